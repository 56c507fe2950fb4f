"""Folders that cannot be written to, other file systems, odd paths, other runs: said at once, and nothing is harmed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from drills import mounted

from hippflow.demo.day import write_demo_day
from hippflow.driver import check_folders
from hippflow.errors import DriverError

DAY = "picasso/20181105"


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """The raw root of a day of one channel."""
    root = tmp_path_factory.mktemp("short")
    write_demo_day(root, channels=[9], seconds=4, seed=5, behaviour=False)
    return root


@pytest.fixture(scope="module")
def plain(new_workflow, short):
    """The short day, processed in the usual surroundings."""
    workflow = new_workflow()
    workflow.run("--config", f"data={short}")
    return workflow


def products(root):
    """Content of all products but the report, which has times, and logs."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted((root / "picasso").rglob("*"))
        if path.is_file() and path.name != "report.html"
    }


def test_results_that_cannot_be_written_to_are_one_error_before_any_job(workflow, short):
    with mounted(workflow.folder / "results", "-t", "tmpfs", "-o", "ro") as results:
        run = workflow.run("--config", f"data={short}", status=1)
        assert f"{results}: expected a folder that can be written to, found: Read-only file system" in run.output
        assert "Set results in config.yaml to another folder" in run.output
        assert run.jobs == []
        assert "no job was started" in run.output
        assert not list((workflow.folder / ".snakemake/locks").glob("*"))
        assert len(workflow.plan("--config", f"data={short}")) > 8  # a look at what would be made is allowed
    assert workflow.run("--config", f"data={short}", "-n").status == 0


def test_a_file_in_the_place_of_the_results_is_an_error_that_names_it(tmp_path):
    (tmp_path / "results").write_text("mine")
    with pytest.raises(DriverError, match=f"{tmp_path}/results: expected a folder that can be written to, found: File"):
        check_folders({"data": "data", "results": str(tmp_path / "results")})
    with pytest.raises(DriverError, match="Set staging in config.yaml to another folder"):
        check_folders({"data": "s3://lab", "results": str(tmp_path / "new"), "staging": str(tmp_path / "results/x")})
    assert (tmp_path / "results").read_text() == "mine"
    assert not list((tmp_path / "new").rglob("*.part"))


def test_results_on_another_file_system_are_the_same_bytes(workflow, short, plain):
    """Nothing is ever renamed from one file system to the other, also with temporary files on a third."""
    with (
        mounted(workflow.folder / "results", "-t", "tmpfs") as results,
        mounted(workflow.folder / "temporary", "-t", "tmpfs") as temporary,
    ):
        assert results.stat().st_dev != workflow.folder.stat().st_dev != temporary.stat().st_dev
        workflow.run("--config", f"data={short}", environment={"TMPDIR": str(temporary)})
        made = products(results)
        assert len(made) > 15
        assert made == products(plain.folder / "results")
        assert workflow.plan("--config", f"data={short}") == []


def test_a_product_is_written_beside_itself(tmp_path):
    """A rename from another file system would be refused by the kernel; this is why it never comes to that."""
    from hippflow.io.atomic import whole_file

    with mounted(tmp_path / "elsewhere", "-t", "tmpfs") as elsewhere, whole_file(elsewhere / "new/units.csv") as part:
        assert part.parent == elsewhere / "new"
        part.write_text("unit\n")
        assert part.stat().st_dev == elsewhere.stat().st_dev


def test_letters_and_blanks_in_paths_make_no_difference(tmp_path_factory, short, plain):
    folder = tmp_path_factory.mktemp("Daten über µ") / "a b"
    folder.mkdir()
    workflow = type(plain)(folder)
    raw = folder / "röh 'data' $(x)"
    shutil.copytree(short, raw)
    session = raw / DAY / "session01"
    for suffix in ("nev", "ns5"):
        (session / f"181105_Block1.{suffix}").rename(session / f"181105 Blöck & (1).{suffix}")
    run = workflow.run("--config", f"data={raw}", f"results={folder}/die Ergebnisse é", "--cores", "1")
    assert run.jobs
    assert products(folder / "die Ergebnisse é") == products(plain.folder / "results")
    log = folder / f"die Ergebnisse é/logs/rplsplit/{DAY}/session01.log"
    assert "181105 Blöck & (1).ns5: 1 channels of 120000 samples" in log.read_text()
    done = subprocess.run(
        [sys.executable, "-m", "hippflow", "status", "--config", f"data={raw}", f"results={folder}/die Ergebnisse é"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "missing" not in done.stdout


def test_a_second_driver_says_who_is_at_work_and_harms_nothing(workflow, short, plain):
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--config", f"data={short}"]
    first = subprocess.Popen(command, cwd=workflow.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with first:
        for line in first.stdout:
            if line.startswith("Finished jobid"):
                break
        second = workflow.run("--config", f"data={short}", status=1)
        assert first.poll() is None  # or nobody was at work
        assert f"Another run is at work in this folder: process {first.pid} on " in second.output
        assert "wait until it has ended, and do not unlock" in second.output
        assert "Directory cannot be locked" in second.output
        assert second.jobs == []
        first.stdout.read()
    assert first.returncode == 0
    assert products(workflow.folder / "results") == products(plain.folder / "results")


@pytest.mark.skipif("HIPPFLOW_LONG_FAULTS" not in os.environ, reason="make faults has it")
def test_of_two_drivers_at_the_same_moment_one_makes_everything(workflow, short, plain):
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--config", f"data={short}"]
    drivers = [
        subprocess.Popen(command, cwd=workflow.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = [driver.communicate()[0] for driver in drivers]
    outcomes = sorted(
        (driver.returncode, "Directory cannot be locked" in text) for driver, text in zip(drivers, said, strict=True)
    )
    # the second may also have come when all was made
    assert outcomes in ([(0, False), (1, True)], [(0, False), (0, False)]), said
    assert products(workflow.folder / "results") == products(plain.folder / "results")
    assert workflow.plan("--config", f"data={short}") == []


def test_a_day_with_an_empty_session_says_so_in_the_run(workflow, short):
    shutil.copytree(short, workflow.folder / "data")
    (workflow.folder / "data" / DAY / "session02").mkdir()
    run = workflow.run("--until", "rplparallel")
    assert f"data/{DAY}/session02: a session without a recording; nothing is made of it" in run.output
    assert workflow.product("session01/rplparallel_d41d.hkl").exists()


def test_nothing_but_the_results_and_the_state_is_written(workflow, short, finished):
    """The raw folder may be read-only, and is left as it is, also by jobs of every kind."""
    raw = finished.folder / "data"
    assert {path: os.stat(path).st_mtime_ns for path in raw.rglob("*")} == finished.raw_times
    before = {path: os.stat(path).st_mtime_ns for path in Path(short).rglob("*")}
    workflow.run("--config", f"data={short}", "--until", "rplparallel")
    assert {path: os.stat(path).st_mtime_ns for path in Path(short).rglob("*")} == before
    assert {path.name for path in workflow.folder.iterdir() if path.is_dir()} - {"__pycache__"} == {
        ".snakemake", "results", *(name for name in os.listdir(workflow.folder) if name in
        ("rules", "scripts", "schemas", "envs", "profiles", "resources", "slurm"))
    }  # fmt: skip


def test_two_workflows_do_not_write_into_the_same_results(workflow, short, tmp_path_factory):
    """Snakemake's lock is of the workflow's folder, and they have two."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    other = subprocess.Popen(
        [sys.executable, "-c", LIVE, str(workflow.folder / "results")], cwd=elsewhere, stdout=subprocess.PIPE, text=True
    )
    with other:
        try:
            assert other.stdout.readline() == "at work\n"
            run = workflow.run("--config", f"data={short}", status=1)
            assert f"results: expected results that no other run writes, found one of {elsewhere}" in run.output
            assert f"(process {other.pid} on " in run.output
            assert run.jobs == []
            assert len(list((workflow.folder / "results/.hippflow/drivers").iterdir())) == 1
        finally:
            other.kill()
    workflow.run("--config", f"data={short}", "--until", "rplparallel")  # a killed one is in nobody's way
    assert not list((workflow.folder / "results").rglob(".*"))


LIVE = """
import sys, time
from hippflow.driver import check_folders
check_folders({"data": "data", "results": sys.argv[1]})
print("at work", flush=True)
time.sleep(600)
"""
