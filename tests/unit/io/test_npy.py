import io
import os
import pickle
import tracemalloc
from contextlib import contextmanager
from time import process_time

import numpy as np
import pytest

from hippflow.errors import FormatError
from hippflow.io.npy import read_npy


def same(found, expected):
    """Whether two values are alike in every type, also within."""
    if type(found) is not type(expected):
        return False
    if isinstance(found, np.ndarray):
        if (found.dtype, found.shape) != (expected.dtype, expected.shape):
            return False
        if found.dtype.hasobject:
            return all(map(same, found.ravel().tolist(), expected.ravel().tolist()))
        return found.tobytes() == expected.tobytes()
    if isinstance(found, dict):
        return list(found) == list(expected) and all(map(same, found.values(), expected.values()))
    if isinstance(found, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == expected


@contextmanager
def little_memory():
    """Checks that less than a megabyte is taken within."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def roi(rng):
    n = int(rng.integers(1, 30))
    return {
        "ypix": rng.integers(0, 512, n),
        "xpix": rng.integers(0, 512, n),
        "lam": rng.random(n, np.float32),
        "overlap": rng.random(n) > 0.5,
        "soma_crop": np.zeros(0, bool),
        "med": [3, np.int32(4)],
        "npix": n,
        "radius": np.float64(2.5),
        "snr": np.float32(0.5),
    }


RNG = np.random.default_rng(0)
OPS = {
    "meanImg": RNG.random((4, 6), np.float32),
    "fortran": np.asfortranarray(RNG.random((4, 6))),
    "refImg": RNG.integers(-5, 5, (4, 6), np.int16),
    "swapped": np.arange(3, dtype=">i4"),
    "names": np.array(["GCaMP6s", "ä"]),
    "empty": np.zeros((0, 3)),
    "objects": np.array([[None, {"a": np.arange(2)}]], object),
    "Vmap": [np.zeros((2, 2)), np.ones((1, 1))],
    "yrange": [0, 128],
    "save_path": "/data/ä",
    "fs": 2.0,
    "version": None,
    "diameter": (12, 12.0),
    "allow": {1, 2},
    "size": 2**70,
    "complex": np.complex64(1j),
    "text": np.str_("ä"),
    "long": np.longdouble(2),
    "registration": {"nonrigid": np.bool_(True), "block_size": (128, 128), "weights": b"ab"},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ops.npy"


def test_dictionaries_of_suite2p_come_back_as_numpy_reads_them(path):
    np.save(path, OPS)
    found, expected = read_npy(path, objects=True), np.load(path, allow_pickle=True).item()
    for name, value in expected.items():
        assert same(found[name], value), name
    assert list(found) == list(OPS)


def test_lists_of_rois_come_back_as_they_were_stored(path):
    stat = np.array([roi(RNG) for _ in range(20)], object)
    np.save(path, stat)
    assert same(read_npy(path, objects=True), stat)
    np.save(path, np.array([], object))
    assert same(read_npy(path, objects=True), np.array([], object))


@pytest.mark.parametrize("protocol", range(2, 6))
def test_pickles_of_other_protocols_are_read(path, protocol):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    array = np.array({"F": np.arange(5.0), "n": np.float32(2), "name": "plane0"}, object)
    path.write_bytes(header.getvalue() + pickle.dumps(array, protocol=protocol))
    assert same(read_npy(path, objects=True), array.item())


def test_a_pickle_of_numpy_1_is_read(path):
    np.save(path, OPS["Vmap"][0].astype(object))
    new, old = b"numpy._core.multiarray", b"numpy.core.multiarray"
    content = path.read_bytes()
    start = content.index(new)
    length = content[start - 1 : start]
    assert length == bytes([len(new)])
    frame = content.index(b"\x95")  # its length counts the name
    size = int.from_bytes(content[frame + 1 : frame + 9], "little") - 1
    content = content[: frame + 1] + size.to_bytes(8, "little") + content[frame + 9 :]
    path.write_bytes(content.replace(length + new, bytes([len(old)]) + old, 1))
    assert same(read_npy(path, objects=True), OPS["Vmap"][0].astype(object))


@pytest.mark.parametrize("array", [RNG.random((3, 50), np.float32), np.arange(4), np.asfortranarray(np.eye(3, 4))])
@pytest.mark.parametrize("mapped", [False, True])
def test_numbers_come_back_as_they_were_stored(path, array, mapped):
    np.save(path, array)
    found = read_npy(path, mapped=mapped)
    assert isinstance(found, np.memmap) == mapped
    assert same(np.asarray(found), array)


def test_mapped_numbers_stay_in_the_file(path):
    np.lib.format.open_memmap(path, "w+", np.float32, (1000, 100_000))[:, 500] = 7
    with little_memory():
        found = read_npy(path, mapped=True)
        assert found[999, 500] == 7
    assert not found.flags.writeable
    np.save(path, np.zeros((0, 100)))
    assert read_npy(path, mapped=True).shape == (0, 100)


@pytest.mark.parametrize("objects", [False, True])
def test_numbers_and_objects_are_not_taken_for_each_other(path, objects):
    np.save(path, np.zeros(3) if objects else {"a": 1})
    with pytest.raises(FormatError, match="it holds numbers" if objects else "it holds objects"):
        read_npy(path, objects=objects)


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00aaaa", b"%PDF-1.7 and so on"])
def test_what_is_no_npy_file_is_an_error_that_says_so(path, content):
    if content is not None:
        path.write_bytes(content)
    for objects in (False, True):
        with pytest.raises(FormatError, match=r"ops\.npy: expected a \.npy file of .*; make it anew"):
            read_npy(path, objects=objects)


class Calls:
    """What a pickle calls when it is loaded."""

    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.parts


class Plain:
    pass


def traps(mark):
    """Pickles that leave a mark, or reach for what they must not have; with what they ask for."""
    yield "posix.mkdir", Calls(os.mkdir, str(mark))
    yield "builtins.eval", Calls(eval, f"open({str(mark)!r}, 'w')")
    yield "builtins.getattr", Calls(getattr, "text", "upper")
    yield "numpy.*fromfile", Calls(np.fromfile, "/etc/hostname")
    yield "Plain", Plain()
    yield "io.open", Calls(open, str(mark), "w")


@pytest.mark.parametrize("k", range(6))
@pytest.mark.parametrize("within", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path, path, k, within):
    mark = tmp_path / "mark"
    asked, trap = list(traps(mark))[k]
    np.save(path, np.array([{"ypix": trap}] if within else {"trap": trap}, object))
    with pytest.raises(FormatError, match=f"it asks for .*{asked}.*neither an array nor a number"):
        read_npy(path, objects=True)
    assert not mark.exists()


def test_the_traps_do_spring_where_pickles_are_trusted(tmp_path, path):
    np.save(path, np.array({"trap": Calls(os.mkdir, str(tmp_path / "mark"))}, object))
    np.load(path, allow_pickle=True)
    assert (tmp_path / "mark").exists()


HEADER = io.BytesIO()
np.lib.format.write_array_header_1_0(HEADER, {"descr": "|O", "fortran_order": False, "shape": ()})

#: Pickles written by hand: parts that are allowed, put together as numpy never does.
RECONSTRUCT = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR"
OBJECT, FLOAT = b"cnumpy\ndtype\n(U\x01OI00\nI01\ntR", b"cnumpy\ndtype\n(U\x02f8tR"
FORGERIES = {
    "an object type that says it holds numbers": RECONSTRUCT
    + b"(I1\n(I1\nt"
    + OBJECT
    + b"(I3\nU\x01|NNNI-1\nI-1\nI0\ntbI00\nU\x08aaaaaaaatb.",
    "bytes for addresses of objects": RECONSTRUCT + b"(I1\n(I1\nt" + OBJECT + b"I00\nU\x08aaaaaaaatb.",
    "a scalar of bytes for an address": b"cnumpy._core.multiarray\nscalar\n(" + OBJECT + b"U\x08aaaaaaaatR.",
    "a shape of more objects than there are": RECONSTRUCT + b"(I1\n(I4000000000\nt" + OBJECT + b"I00\n(NltbI1\n.",
    "a shape of more numbers than there are": RECONSTRUCT + b"(I1\n(I4000000000\nt" + FLOAT + b"I00\nU\x08aaaaaaaatb.",
    "a number of two gigabytes": b"cnumpy._core.multiarray\nscalar\n(cnumpy\ndtype\n(U\x0bS2000000000tRtR.",
    "an array made directly": b"cnumpy\nndarray\n((I4000000000\nttR.",
    "an array that begins large": RECONSTRUCT.replace(b"I0", b"I4000000000") + b".",
    "another default for a function of numpy": b"cnumpy._core.numeric\n_frombuffer\n(N}U\x0c__defaults__)stb.",
    "an attribute of an array": RECONSTRUCT + b"}U\x04nameI1\nsb.",
    "an object made of its class alone": b"cnumpy\nndarray\n(I3\nt\x81.",
    "a place beyond the stack": b"I1\n" + b"r\xff\xff\xff\xff" + b"h\x07.",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_pickle_is_refused_in_little_memory(path, name):
    path.write_bytes(HEADER.getvalue() + FORGERIES[name])
    defaults = np._core.numeric._frombuffer.__defaults__
    with little_memory(), pytest.raises(FormatError, match=r"expected a \.npy file of objects"):
        read_npy(path, objects=True)
    assert np._core.numeric._frombuffer.__defaults__ == defaults
    assert np.dtype("f8").byteorder == "=" and np.dtype("O").hasobject


def small_files():
    stat = np.array([roi(np.random.default_rng(0))], object)
    return {"stat": (stat, True), "ops": (np.array(OPS, object), True), "F": (RNG.random((3, 7), np.float32), False)}


@pytest.mark.parametrize("name", ["stat", "ops", "F"])
def test_a_file_that_ends_early_or_late_is_refused(path, name):
    value, objects = small_files()[name]
    np.save(path, value)
    content = path.read_bytes()
    for length in [*range(len(content)), None]:
        path.write_bytes(content + b"\x00" if length is None else content[:length])
        with pytest.raises(FormatError):
            read_npy(path, objects=objects)


@pytest.mark.parametrize("name", ["stat", "ops", "F"])
def test_a_changed_byte_is_an_error_or_changes_a_value_and_takes_no_memory(path, name):
    value, objects = small_files()[name]
    np.save(path, value)
    content = bytearray(path.read_bytes())
    refused, tried = 0, 0
    with little_memory():
        for place in range(len(content)):
            flip = (0x01, 0x80, 0xFF)[place % 3]
            content[place] ^= flip
            path.write_bytes(content)
            content[place] ^= flip
            tried += 1
            try:
                read_npy(path, objects=objects)
            except FormatError:
                refused += 1
    assert tried / 10 < refused < tried


def test_a_shape_in_the_header_that_the_file_does_not_have_takes_no_memory(path):
    np.save(path, np.zeros((3, 7)))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(3, 7), }          ", b"(3, 7000000000), } ", 1))
    assert len(path.read_bytes()) == len(content)
    with pytest.raises(FormatError, match="promises 168000000000 bytes, there are 168"):
        read_npy(path)


def test_5000_rois_are_read_in_seconds(path):
    np.save(path, np.array([roi(RNG) for _ in range(5000)], object))
    start = process_time()
    assert len(read_npy(path, objects=True)) == 5000
    assert process_time() - start < 10
