"""Compiled loops: what they compute, and their files under damage, rivals, strangers and changes."""

import importlib
import multiprocessing
import os
import sys
import tempfile

import numpy as np
import pytest

from hippflow.compiling import compiled

FORK = multiprocessing.get_context("fork")

#: A user without rights, as which read-only folders are read-only even where tests run as root.
NOBODY = 65534

KERNELS = """
from hippflow.compiling import compiled

OFFSET = 5.0

@compiled
def twice(x):
    return 2 * x

@compiled(fastmath={"contract"})
def total(x):
    some = OFFSET
    for k in range(len(x)):
        some += twice(x[k])
    return some
"""


@compiled
def warm(x):
    return x.sum()


def use_kernels(source, environment, user, answer):
    """Do in a fork what a process does that comes upon the kernels."""
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = environment.get("TMPDIR")  # alone: else it is /tmp where that cannot be written
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(source))
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    kernels = importlib.import_module("kernels")
    answer.send((kernels.total(np.arange(4.0)), sum(kernels.total.stats.cache_hits.values())))


class Runner:
    """Uses the kernels in a process of its own; tells what they gave, and how many came from a file."""

    def __init__(self, folder):
        self.source, self.cache = folder / "source", folder / "cache"
        self.source.mkdir()
        (self.source / "kernels.py").write_text(KERNELS)
        self.environment = {"HIPPFLOW_CACHE": str(self.cache)}
        warm(np.ones(1))  # loads all that compiling needs, once for all forks

    def start(self, user=None):
        ours, theirs = FORK.Pipe(duplex=False)
        process = FORK.Process(target=use_kernels, args=(self.source, self.environment, user, theirs))
        process.start()
        theirs.close()
        return process, ours

    def __call__(self, user=None):
        return self.end(*self.start(user))

    @staticmethod
    def end(process, answer):
        try:
            return answer.recv()
        finally:
            process.join()
            answer.close()

    def files(self, folder=None):
        """Return what `total` has put there; what it calls lies beside it."""
        return sorted((folder or self.cache / "hippflow").glob("kernels.total-*.kernel"))


@pytest.fixture
def use(tmp_path):
    return Runner(tmp_path)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Kernels whose files are there; to be copied, not changed."""
    use = Runner(tmp_path_factory.mktemp("filled"))
    assert use() == (17.0, 0)
    return use


def test_a_kernel_computes_and_divides_as_numpy_does():
    @compiled(fastmath={"contract"})
    def ratio(x, y):
        return x / y

    assert ratio(3.0, 4.0) == 0.75 and ratio(1.0, 0.0) == np.inf
    assert ratio.py_func(3.0, 4.0) == 0.75


def test_the_second_process_takes_what_the_first_compiled(filled):
    assert len(filled.files()) == 1
    assert filled() == (17.0, 1)
    assert len(filled.files()) == 1
    assert filled.files()[0].stat().st_mode & 0o777 == 0o600
    assert filled.files()[0].parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "another's"])
def test_a_damaged_file_is_compiled_and_written_anew(filled, damage):
    path, *_ = filled.files()
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    path.write_bytes(
        {"empty": b"", "cut": whole[: len(whole) // 2], "flipped": flipped, "another's": b"?" * 99}[damage]
    )
    assert filled() == (17.0, 0)
    assert filled() == (17.0, 1)


def test_a_file_that_no_longer_unpickles_is_compiled_anew(filled):
    from hashlib import sha256
    from pickle import dumps

    path, *_ = filled.files()
    for content in (b"", b"cnumba.gone\nname\n.", dumps((1, 2))):
        path.write_bytes(sha256(content).digest() + content)
        assert filled() == (17.0, 0)
    assert filled() == (17.0, 1)


def test_a_changed_source_or_constant_is_compiled_anew(use):
    assert use() == (17.0, 0)
    (use.source / "kernels.py").write_text(KERNELS.replace("5.0", "7.0"))
    assert use() == (19.0, 0)


def test_a_change_of_a_kernel_in_another_file_is_seen(use):
    (use.source / "inner.py").write_text(
        "from hippflow.compiling import compiled\n\n@compiled\ndef twice(x):\n    return 2 * x\n"
    )
    own = KERNELS.replace("@compiled\ndef twice(x):\n    return 2 * x\n", "from inner import twice\n")
    (use.source / "kernels.py").write_text(own)
    assert use() == (17.0, 0)
    assert use() == (17.0, 1)
    inner = use.source / "inner.py"
    inner.write_text(inner.read_text().replace("2 * x", "3 * x"))
    assert use() == (23.0, 0)


def test_a_change_of_an_intrinsic_is_seen(use):
    inner = use.source / "inner.py"
    inner.write_text(
        "from numba import types\nfrom numba.extending import intrinsic\n\n@intrinsic\ndef twice(typing, x):\n"
        "    def codegen(context, builder, signature, args):\n"
        "        return builder.fadd(args[0], args[0])\n    return types.float64(types.float64), codegen\n"
    )
    own = KERNELS.replace("@compiled\ndef twice(x):\n    return 2 * x\n", "from inner import twice\n")
    (use.source / "kernels.py").write_text(own)
    assert use() == (17.0, 0)
    assert use() == (17.0, 1)
    inner.write_text(inner.read_text().replace("fadd", "fmul"))
    assert use() == (19.0, 0)


def test_writers_at_once_leave_one_whole_file(use):
    rivals = [use.start() for _ in range(4)]
    assert [use.end(*rival)[0] for rival in rivals] == [17.0] * 4
    assert len(use.files()) == 1 and not list(use.files()[0].parent.glob(".*"))
    assert use() == (17.0, 1)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_is_neither_read_nor_written(filled, mode):
    folder = filled.files()[0].parent
    before = [path.stat().st_mtime_ns for path in folder.iterdir()]
    folder.chmod(mode)
    assert filled() == (17.0, 0)
    assert [path.stat().st_mtime_ns for path in folder.iterdir()] == before
    folder.chmod(0o700)
    assert filled() == (17.0, 1)


def test_a_file_that_others_can_write_is_not_read(filled):
    path, *_ = filled.files()
    path.chmod(0o666)
    assert filled() == (17.0, 0)
    assert path.stat().st_mode & 0o777 == 0o600, "it was put there anew"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_not_read(filled):
    path, *_ = filled.files()
    os.chown(path, NOBODY, -1)
    assert filled() == (17.0, 0)


@pytest.fixture
def use_as_nobody(tmp_path_factory):
    """A runner whose processes are a user that can write nowhere unless told so."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    folder = tmp_path_factory.mktemp("nobody")
    for parent in [folder, *folder.parents]:
        if parent.name.startswith(("nobody", "popen-", "pytest-")):
            parent.chmod(0o755)
    use = Runner(folder)
    use.home, use.temporary = folder / "home", folder / "tmp"
    use.home.mkdir()
    use.temporary.mkdir()
    use.environment = {"HOME": str(use.home), "TMPDIR": str(use.temporary)}
    return use


def test_where_nothing_can_be_written_every_process_compiles(use_as_nobody):
    assert use_as_nobody(NOBODY) == (17.0, 0)
    assert use_as_nobody(NOBODY) == (17.0, 0)
    assert not list(use_as_nobody.home.iterdir()) and not list(use_as_nobody.temporary.iterdir())


def test_a_read_only_home_leaves_the_source_then_the_temporary_folder(use_as_nobody):
    use = use_as_nobody
    os.chown(use.temporary, NOBODY, -1)
    assert use(NOBODY) == (17.0, 0)
    assert len(use.files(use.temporary / f"hippflow-kernels-{NOBODY}")) == 1
    assert use(NOBODY) == (17.0, 1)
    os.chown(use.source, NOBODY, -1)
    use.files(use.temporary / f"hippflow-kernels-{NOBODY}")[0].unlink()
    assert use(NOBODY) == (17.0, 0)
    assert len(use.files(use.source / "__pycache__" / "kernels")) == 1


def test_what_root_has_compiled_beside_the_source_serves_everybody(use_as_nobody):
    use = use_as_nobody
    use.environment["HOME"] = "/proc/no-home"  # an image is built without one
    assert use() == (17.0, 0)
    folder = use.source / "__pycache__" / "kernels"
    assert len(use.files(folder)) == 1
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
    assert use(NOBODY) == (17.0, 1)


def test_the_users_cache_folder_comes_first_and_a_variable_before_it(use, tmp_path):
    use.environment = {"HOME": str(tmp_path / "home")}
    for name, value, folder in [
        ("HOME", tmp_path / "home", tmp_path / "home/.cache/hippflow/kernels"),
        ("XDG_CACHE_HOME", tmp_path / "xdg", tmp_path / "xdg/hippflow/kernels"),
        ("NUMBA_CACHE_DIR", tmp_path / "numba", tmp_path / "numba/hippflow"),
        ("HIPPFLOW_CACHE", tmp_path / "own", tmp_path / "own/hippflow"),
    ]:
        use.environment[name] = str(value)
        assert use() == (17.0, 0)
        assert len(use.files(folder)) == 1
