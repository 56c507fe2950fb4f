"""Scripts in forks: they see what an interpreter of their own would show them, and do not see each other."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hippflow.forks import ForkServer


@pytest.fixture(scope="module")
def server():
    return ForkServer()


@pytest.fixture
def run(server, tmp_path):
    """Runs lines of Python as a script; `names` and `environment` as they are."""

    def run(lines, names=None, environment=None):
        script = tmp_path / f"script{len(list(tmp_path.glob('script*')))}.py"
        script.write_text(lines)
        return server.start(script, names or {}, environment or {}).wait()

    return run


def test_a_script_finds_its_names(run, tmp_path):
    names = {"input": {"nev": "a.nev", "raw": ["b", "c"]}, "params": {"band": [1, 150], "none": None}, "threads": 2}
    lines = (
        "import json\n"
        "found = [snakemake.input.nev, snakemake.input.raw, snakemake.params, snakemake.threads, __name__]\n"
        f"open({str(tmp_path / 'found')!r}, 'w').write(json.dumps(found))\n"
    )
    assert run(lines, names).status == 0
    found = json.loads((tmp_path / "found").read_text())
    assert found == ["a.nev", ["b", "c"], {"band": [1, 150], "none": None}, 2, "__main__"]


@pytest.mark.parametrize(
    "lines, status",
    [
        ("pass", 0),
        ("import sys; sys.exit()", 0),
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('words')", 1),
        ("1 / 0", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("raise KeyboardInterrupt", 1),
        ("import os; os._exit(7)", 7),
    ],
)
def test_the_status_is_that_of_an_interpreter(run, lines, status):
    assert run(lines).status == status


def test_an_error_shows_its_traceback(server, tmp_path, capfd):
    (tmp_path / "fails.py").write_text("raise ValueError('this one')\n")
    ForkServer().start(tmp_path / "fails.py", {}, {}).wait()
    error = capfd.readouterr().err
    assert "ValueError: this one" in error
    assert "fails.py" in error


def test_scripts_do_not_see_each_other(run):
    assert (
        run("import os, sys; os.environ['LEFT'] = '1'; sys.left = 1; os.chdir('/')", environment={"OWN": "1"}).status
        == 0
    )
    lines = "import os, sys; sys.exit({'LEFT', 'OWN'} & set(os.environ) or hasattr(sys, 'left') or os.getcwd() == '/')"
    assert run(lines).status == 0


def test_modules_beside_a_script_are_found(server, tmp_path):
    (tmp_path / "beside.py").write_text("answer = 42\n")
    (tmp_path / "uses.py").write_text("import sys, beside\nsys.exit(beside.answer)\n")
    assert server.start(tmp_path / "uses.py", {}, {}).wait().status == 42


def test_many_at_once(server, tmp_path):
    for number in range(30):
        (tmp_path / f"{number}.py").write_text(f"import sys, time; time.sleep(0.2); sys.exit({number})")
    start = time.monotonic()
    with ThreadPoolExecutor(30) as pool:
        ended = list(pool.map(lambda n: server.start(tmp_path / f"{n}.py", {}, {}).wait().status, range(30)))
    assert ended == list(range(30))
    assert time.monotonic() - start < 30 * 0.2  # they slept side by side


def test_what_a_script_used_is_measured(run):
    lines = (
        "import time\n"
        "ballast = bytearray(200 << 20); ballast[::4096] = b'x' * len(ballast[::4096])\n"
        "while time.process_time() < 0.5: pass\n"
    )
    ended = run(lines)
    assert 0.5 <= ended.cpu_seconds < 1.5
    assert 200 < ended.max_rss < 400


def test_what_a_step_imports_late_is_there_when_its_script_starts(run):
    lines = (
        "import sys\nthere = 'hippflow.ephys.compiled_sorting' in sys.modules\n"
        "from hippflow.steps.sorting import make_sorting\nsys.exit(0 if there else 9)\n"
    )
    assert run(lines).status == 0
    assert run("import sys; sys.exit('hippflow.steps.sorting' in sys.modules)").status == 1


def test_threads_of_numeric_libraries(run):
    assert run("import os, sys; sys.exit(int(os.environ['OPENBLAS_NUM_THREADS']))").status == 1


def _alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_the_server_and_its_scripts_end_with_their_parent(tmp_path):
    (tmp_path / "sleeps.py").write_text(
        "import os, time\nopen(snakemake.output.pids, 'w').write(f'{os.getpid()} {os.getppid()}')\ntime.sleep(60)\n"
    )
    pids = tmp_path / "pids"
    code = (
        "from hippflow.forks import ForkServer\n"
        f"ForkServer().start({str(tmp_path / 'sleeps.py')!r}, {{'output': {{'pids': {str(pids)!r}}}}}, {{}}).wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 20
    while not (pids.exists() and len(pids.read_text().split()) == 2):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    script, server = map(int, pids.read_text().split())
    assert _alive(script)
    parent.kill()
    parent.wait()
    while _alive(script) or _alive(server):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_that_is_killed_is_an_error(tmp_path):
    (tmp_path / "kills.py").write_text(
        "import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(1)\n"
    )
    with pytest.raises(ChildProcessError, match="was killed; see whether memory ran out"):
        ForkServer().start(tmp_path / "kills.py", {}, {}).wait()
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL  # the parent's own signals are left alone
