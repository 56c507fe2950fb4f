"""hippflow doctor: what it says of a place where all is right, and of one where something is really broken."""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hippflow.commands.doctor import add
from hippflow.day.catalog import build_catalog
from hippflow.day.config import check_config, load_schema
from hippflow.day.products import Products
from hippflow.doctor import clock
from hippflow.doctor.findings import Finding, Workplace, examine
from hippflow.doctor.space import Sizes, bytes_to_come
from hippflow.errors import ConfigError, StorageError

ROOT = Path(__file__).parents[2]
DAY = "picasso/20181105"


@pytest.fixture
def place(tmp_path, short_day, monkeypatch):
    """The folder of a workflow with a short day, on a machine without Slurm; it is the current folder."""
    (tmp_path / "schemas").mkdir()
    for name in ("config.yaml", "schemas/config.schema.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(short_day, tmp_path / "data" / DAY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    return tmp_path


def doctor(capsys, *arguments):
    """Exit status, and the findings by check: a list of (state, message, fix) each."""
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    chosen = parser.parse_args(["doctor", "--json", *arguments])
    status = 0
    try:
        chosen.run(chosen)
    except SystemExit as end:
        status = end.code
    found = {}
    for entry in json.loads(capsys.readouterr().out):
        found.setdefault(entry["check"], []).append((entry["state"], entry["message"], entry["fix"]))
    return status, found


@pytest.fixture
def mounted(tmp_path_factory):
    """Mounts a small file system in memory, for root alone."""
    made = []

    def mount(options):
        folder = tmp_path_factory.mktemp("mount")
        done = subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
        made.append(folder)
        return folder

    yield mount
    for folder in made:
        subprocess.run(["/bin/umount", folder], check=True)


def test_where_all_is_right_every_line_is_ok(place, capsys):
    start = time.monotonic()
    status, found = doctor(capsys)
    assert time.monotonic() - start < 3
    assert status == 0, found
    assert list(found) == [
        *("python", "packages", "text", "config", "raw data", "results", "disk space", "clock", "open files", "runs")
    ]
    assert {state for lines in found.values() for state, _, _ in lines} == {"ok"}
    assert all(fix is None for lines in found.values() for _, _, fix in lines)
    assert found["raw data"][0][1].startswith("data: 1 days, 2 sessions, 0 two-photon recordings, ")
    assert found["raw data"][0][1].endswith("all 4 files can be read")
    assert [path.name for path in place.iterdir() if "hippflow" in path.name] == []  # nothing is left behind


def test_the_text_has_a_line_a_finding_and_the_fix_below(place, capsys):
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    chosen = parser.parse_args(["doctor", "--config", "data=nowhere"])
    with pytest.raises(SystemExit) as end:
        chosen.run(chosen)
    said = capsys.readouterr().out.splitlines()
    assert end.value.code == 1
    number = next(k for k, line in enumerate(said) if line.startswith("failure  raw data "))
    assert "nowhere: expected the folder of raw recordings" in said[number]
    assert said[number + 1].split("-> ")[1].startswith("set data in config.yaml to it")
    assert "warning  disk space  not checked: the raw data could not be listed" in said
    assert said[-1] == "7 ok, 2 warnings, 1 failures"


def test_a_wrong_configuration_is_one_failure_and_the_rest_waits(place, capsys):
    with (place / "config.yaml").open("a") as file:
        file.write("chanels: 9\n")
    status, found = doctor(capsys)
    assert status == 1
    ((state, message, fix),) = found["config"]
    assert (state, "chanels: unknown key" in message, bool(fix)) == ("failure", True, True)
    assert found["raw data"][0][:2] == ("warning", "not checked: config.yaml is not valid")
    assert found["runs"][0][0] == "ok"


def test_a_folder_that_is_no_workflow_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, found = doctor(capsys)
    assert status == 1
    assert "expected the workflow (Snakefile, config.yaml, schemas/), found none" in found["config"][0][1]
    assert "requirements.lock: expected the versions" in found["packages"][0][1]


def test_missing_and_other_packages_are_named(place, capsys):
    lock = place / "requirements.lock"
    good = lock.read_text()
    lock.write_text(good.replace("PyYAML==", "PyYAML==0.1.") + "no-such-package==1.0\n")
    status, found = doctor(capsys)
    assert status == 1
    ((_, message, fix),) = found["packages"]
    assert message.endswith("packages of requirements.lock are missing: no-such-package 1.0")
    assert fix.startswith("pip install -r requirements.lock")
    lock.write_text(good.replace("PyYAML==", "PyYAML==0.1."))
    status, found = doctor(capsys)
    assert (status, found["packages"][0][0]) == (0, "warning")
    assert "PyYAML " in found["packages"][0][1]


def test_every_raw_file_that_cannot_be_read_is_named(place, capsys):
    nev = place / f"data/{DAY}/session01/181105_Block1.nev"
    nev.unlink()
    nev.symlink_to("gone")
    (place / f"data/{DAY}/sessioneye/181105_DST.nev").write_bytes(b"")
    status, found = doctor(capsys)
    assert status == 1
    assert [message for _, message, _ in found["raw data"]] == [
        f"data/{DAY}/session01/181105_Block1.nev: expected a file that can be read, found: No such file or directory",
        f"data/{DAY}/sessioneye/181105_DST.nev: expected a recording, found an empty file",
    ]


def test_a_file_in_place_of_the_results_is_a_failure(place, capsys):
    (place / "results").write_text("")
    status, found = doctor(capsys)
    assert status == 1
    assert found["results"][0][1].startswith("results: expected a folder, found a file (")


def test_a_folder_that_cannot_be_written_to_is_a_failure(place, capsys, mounted):
    if os.geteuid() == 0:
        folder = mounted("ro,size=1m")
    else:
        folder = place / "closed"
        folder.mkdir(0o555)
    status, found = doctor(capsys, "--config", f"results={folder}/results")
    assert status == 1
    ((state, message, fix),) = found["results"]
    assert state == "failure"
    assert message.startswith(f"{folder}/results: expected to write to {folder}, found: ")
    assert message.endswith(("Read-only file system", "Permission denied"))
    assert "chown" in fix
    assert found["clock"][0][0] == "warning"


def test_a_disk_that_is_too_small_is_a_failure(place, capsys, mounted):
    folder = mounted("size=4m")
    status, found = doctor(capsys, "--config", f"results={folder}/results")
    assert status == 1
    ((state, message, _),) = found["disk space"]
    # two channels: 8 and 4 s of 30 kHz as two float32 signals are 5.8 MB
    assert (state, message.split(": ", 1)[1].endswith(", 4 MB are free")) == ("failure", True)
    assert found["results"][0][0] == "warning"
    assert "gone after a restart" in found["results"][0][1]


def test_recordings_that_are_too_long_for_the_disk_are_a_failure(place, capsys):
    recording = place / f"data/{DAY}/session01/181105_Block1.ns5"
    free = shutil.disk_usage(place).free
    os.truncate(recording, recording.stat().st_size // 2 * 2 + free // 12 * 12)  # sparse: it takes no room
    status, found = doctor(capsys)
    assert status == 1
    state, message, fix = found["disk space"][0]
    assert state == "failure"
    assert "products.dtype: int16" in fix
    assert message.startswith("results: ")


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_what_is_still_to_be_made_is_counted(dtype, short_day, short_day_results, tmp_path, monkeypatch):
    """Against the files themselves; signals are nearly all of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/picasso").mkdir(parents=True)
    (tmp_path / "data" / DAY).symlink_to(short_day)
    schema = load_schema(ROOT / "schemas/config.schema.yaml")
    config = check_config({"products": {"dtype": dtype}}, schema)
    products = Products(config, build_catalog(config))
    sizes = Sizes(products)
    signals = [product for product in products.of_day(DAY) if product.kind in ("rplsplit", "rplhighpass")]
    assert len(signals) == 8
    for product in signals:
        real = (short_day_results / Path(product.path).relative_to(f"results/{DAY}")).stat().st_size
        if dtype == "int16":  # half the samples, the same header
            real -= {"session01": 8, "sessioneye": 4}[product.owner.split("/")[2]] * 30000 * 2
        assert sizes.of(product) == pytest.approx(real, rel=0.03)
    everything, n_files = bytes_to_come(products)
    assert n_files == len(list(products.of_day(DAY)))
    assert sum(map(sizes.of, signals)) < everything
    made = Path(signals[0].path)
    made.parent.mkdir(parents=True)
    made.write_text("")
    assert bytes_to_come(products) == (everything - sizes.of(signals[0]), n_files - 1)


def test_a_clock_that_is_off_is_a_failure(place, capsys, monkeypatch):
    now = time.time
    monkeypatch.setattr(clock, "time", argparse.Namespace(time=lambda: now() - 1000))
    status, found = doctor(capsys)
    assert status == 1
    ((_, message, fix),) = found["clock"]
    assert message.startswith("expected at most 60 s of difference, found 1000 s behind the disk of results")
    assert "timedatectl" in fix


def test_a_low_limit_of_open_files_is_a_failure(place, capsys):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (101, before[1]))
    try:
        status, found = doctor(capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert status == 1
    assert found["open files"] == [
        ("failure", "expected 102 open files for 2 channels, found a limit of 101", "ulimit -n 4096, before the run")
    ]


def test_a_gpu_that_is_not_there_is_a_failure_and_only_asked_for_where_it_is_used(place, capsys):
    torch = pytest.importorskip("torch")
    last = torch.cuda.device_count() + 3
    status, found = doctor(capsys, "--config", f"suite2p={{torch_device: 'cuda:{last}'}}")
    assert status == 1
    ((state, message, fix),) = found["GPU"]
    assert state == "failure"
    assert message.startswith(f"suite2p.torch_device is cuda:{last}; ")
    assert fix.startswith("set suite2p.torch_device to cpu")


def test_a_text_encoding_other_than_utf_8_is_a_failure(place):
    program = (
        "from hippflow.doctor.surroundings import check_encoding\n"
        "from hippflow.doctor.findings import Workplace\n"
        "print([finding.state for finding in check_encoding(Workplace(None))])"
    )
    for variables, state in (
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "failure"),
        ({"LC_ALL": "C.UTF-8"}, "ok"),
    ):
        others = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
        done = subprocess.run([sys.executable, "-c", program], env=others | variables, capture_output=True, text=True)
        assert done.stdout == f"['{state}']\n", done.stderr


def test_a_killed_run_and_a_lock_of_nobody_are_told_apart(place, capsys):
    drivers, locks = place / ".snakemake/hippflow/drivers", place / ".snakemake/locks"
    drivers.mkdir(parents=True)
    locks.mkdir()
    (locks / "0.input.lock").write_text("")
    status, found = doctor(capsys)
    assert (status, found["runs"][0][0], "snakemake --unlock" in found["runs"][0][2]) == (1, "failure", True)

    program = (
        "import os, signal\nfrom hippflow.driver import start_record\n"
        "start_record('.snakemake/hippflow', run='x')\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.Popen([sys.executable, "-c", program])
    killed.wait()
    status, found = doctor(capsys)
    assert status == 0  # the next run clears up
    ((state, message, fix), _) = found["runs"]
    assert (state, f"process {killed.pid}" in message) == ("warning", True)
    assert "cancels its Slurm jobs" in fix

    (path,) = drivers.iterdir()
    path.write_text(json.dumps({"host": "another", "pid": 1, "identity": "x"}))
    status, found = doctor(capsys)
    assert (status, found["runs"][0][0]) == (0, "warning")
    assert "a run is at work" in found["runs"][0][1]


def test_a_broken_record_of_a_run_is_a_failure_of_its_own_line(place, capsys):
    runs = place / ".snakemake/hippflow/runs"
    runs.mkdir(parents=True)
    (runs / "20250101T000000Z-1.jsonl").write_text("no JSON\n{}\n")
    status, found = doctor(capsys)
    assert status == 1
    assert found["runs"][0][0] == "failure"
    assert found["runs"][0][2] == "remove the file, no product depends on it"


def test_a_check_that_breaks_is_a_failure_and_the_others_go_on():
    def breaks(_):
        yield Finding("ok", "so far")
        raise ZeroDivisionError("by nought")

    def refuses(_):
        raise StorageError("s3://b: expected an answer,\n found none; try again later")
        yield

    found = examine(
        {"one": breaks, "two": refuses, "three": lambda _: iter([Finding("ok", "fine")])}, Workplace(Path())
    )
    assert [(finding.check, finding.state, finding.message) for finding in found] == [
        ("one", "ok", "so far"),
        ("one", "failure", "the check itself failed: ZeroDivisionError: by nought"),
        ("two", "failure", "s3://b: expected an answer, found none"),
        ("three", "ok", "fine"),
    ]
    assert found[2].fix == "try again later"


def test_a_trouble_of_the_configuration_is_told_with_its_fix(tmp_path):
    from hippflow.doctor.recordings import check_configuration

    workplace = Workplace(tmp_path, None, ConfigError("config.yaml: rpllfp.order: expected a number, found 'x'"))
    (finding,) = examine({"config": check_configuration}, workplace)
    assert (finding.state, finding.fix) == ("failure", "correct that")


def test_slurms_commands_without_a_cluster_are_a_warning(place, capsys, monkeypatch):
    if not shutil.which("scontrol", path=os.defpath):
        pytest.skip("needs Slurm's commands: apt install slurm-client")
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.delenv("SLURM_CONF", raising=False)
    if Path("/etc/slurm/slurm.conf").exists():
        pytest.skip("this machine belongs to a cluster")
    status, found = doctor(capsys)
    assert (status, found["Slurm"][0][0]) == (0, "warning")
    assert "belongs to no cluster" in found["Slurm"][0][1]
