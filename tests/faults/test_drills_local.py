"""Drills on one machine: kills and interruptions in mid-write, full and absent disks, one channel of 124 that fails."""

import os
import signal
import subprocess
from types import SimpleNamespace

import hippflow_snakemake
import pytest
from drills import DAY, LFP, Drill, mounted, products, resize
from snakemake.exceptions import WorkflowError

from hippflow.demo.day import write_demo_day
from hippflow.io.disk import CLAIM_VARIABLE, check_results

LONG = os.environ.get("HIPPFLOW_LONG_FAULTS") == "1"
CHANNEL = "picasso/20181105/session01 array02/channel034"


@pytest.fixture
def drill(workflow, finished):
    drill = Drill(workflow, finished)
    yield drill
    drill.close()


def test_a_job_that_is_killed_in_mid_write_is_named_and_made_again(drill):
    drill.copy_results().start()
    os.kill(int((drill.folder / "held").read_text()), signal.SIGKILL)
    assert drill.end() == 1
    assert not (drill.results / LFP).exists()
    said = drill.output.split("hippflow: ")[1]
    assert f"rpllfp {CHANNEL}: Command 'python" in said
    assert "died with <Signals.SIGKILL: 9>" in said
    drill.let_go()
    drill.check_rerun(again=True)


def test_a_driver_that_is_killed_in_mid_write_is_cleared_up_after_by_the_next_start(drill):
    drill.copy_results().start()
    os.kill(drill.driver.pid, signal.SIGKILL)  # its jobs end with it
    drill.end()
    assert drill.locks()
    assert not (drill.results / LFP).exists()
    drill.let_go()
    run = drill.check_rerun(again=True)
    assert f"An earlier run (process {drill.driver.pid}) was killed" in run.output


def test_ctrl_c_in_mid_write_leaves_no_lock_and_nothing_unfinished(drill):
    drill.copy_results().start()
    os.killpg(drill.driver.pid, signal.SIGINT)
    assert drill.end() != 0
    assert "hippflow: interrupted (Ctrl-C)" in drill.output
    assert drill.locks() == []
    assert drill.unfinished() == []
    assert not (drill.results / LFP).exists()
    drill.let_go()
    drill.check_rerun(again=True)


def test_sigterm_lets_running_jobs_finish_and_starts_no_others(drill):
    drill.copy_results().start()
    os.kill(drill.driver.pid, signal.SIGTERM)
    drill.let_go()
    assert drill.end() != 0
    assert "hippflow: interrupted (SIGTERM, running jobs were finished)" in drill.output
    assert (drill.results / LFP).read_bytes() == (drill.finished.folder / "results" / LFP).read_bytes()
    assert drill.locks() == []
    drill.check_rerun(again=False)


def test_a_disk_that_gets_full_is_named_and_with_more_room_the_rest_is_made(drill):
    drill.let_go()
    with mounted(drill.results, "-t", "tmpfs", "-o", "size=200m") as disk:
        drill.copy_results()
        resize(disk, room=40_000)  # the signal takes 68 kB
        run = drill.workflow.run(status=1)
        said = run.output.split("hippflow: ")[1]
        assert f"rpllfp {CHANNEL}: DiskError: results/{LFP}: expected room on its disk, found: No space" in said
        assert f"(at {disk}, " in said
        assert "make room there, or set results to another disk, and start again: what is finished stays" in said
        assert "a defect of hippflow" not in run.output
        assert drill.unfinished() == []
        assert not (disk / LFP).exists()
        resize(disk, room=100_000_000)
        drill.check_rerun(again=True)


@pytest.mark.parametrize("room", [0, 24_000])
def test_a_folder_without_room_is_one_error_before_any_job(tmp_path, finished, room):
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=200m") as disk:
        workflow = type(finished)(disk)
        os.symlink(finished.folder / "data", disk / "data")
        resize(disk, room)
        run = workflow.run(status=1)
        assert ".snakemake/hippflow: expected room on its disk, found: No space left on device" in run.output
        assert "Traceback" not in run.output
        assert run.jobs == []
        resize(disk, room=10_000_000)
        assert len(workflow.run("--until", "rplparallel").jobs) == 2  # with nothing cleaned up by hand


@pytest.mark.skipif(not LONG, reason="make faults has it")
@pytest.mark.parametrize("room", [400_000, 3_000_000, 9_000_000])
def test_a_full_disk_under_everything_is_named_and_with_more_room_all_is_made(tmp_path, finished, room):
    """Snakemake's own records, logs and benchmarks have no room either."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=200m") as disk:
        workflow = type(finished)(disk)
        os.symlink(finished.folder / "data", disk / "data")
        resize(disk, room)
        run = workflow.run(status=1)
        assert "No space left on device" in run.output
        assert not list(disk.rglob("*.part"))
        resize(disk, room=100_000_000)
        workflow.run()
        assert products(disk / "results") == products(finished.folder / "results")
        assert workflow.plan() == []


def test_results_whose_disk_goes_away_are_not_made_elsewhere(drill):
    """What is below a mount point is another disk, on which nobody would look for products."""
    disk = drill.folder / "disk"
    disk.mkdir()
    with mounted(drill.results, "--bind", source=str(disk)):
        drill.copy_results().start()
        subprocess.run(["umount", "--lazy", str(drill.results)], check=True)
        drill.let_go()
        assert drill.end() == 1
        said = drill.output.split("hippflow: ")[1]
        assert f"rpllfp {CHANNEL}: DiskError: {drill.results}: expected the folder in which the run began" in said
        assert f"found another in its place on {os.uname().nodename}" in said
        assert "a defect of hippflow" not in drill.output
        assert products(drill.results) == {}
        with mounted(drill.results, "--bind", source=str(disk)):
            drill.check_rerun(again=True)


#: A job that makes its folder, as all do, and reads nothing in the results; its parameter takes their disk away.
MAKER = """
import os, pathlib
if snakemake.params["unmount"]:
    os.remove(os.environ["HIPPFLOW_CLAIM"])
path = pathlib.Path(snakemake.output.markers)
path.parent.mkdir()
path.touch()
"""


@pytest.mark.parametrize("when", ["before", "meanwhile", "never"])
def test_a_job_that_would_find_its_folder_anywhere_is_an_error_where_the_disk_is_gone(tmp_path, monkeypatch, when):
    """One of raw files alone is not stopped by what it misses in the results, be its disk gone before or meanwhile."""
    claim, made = tmp_path / "results/.hippflow/drivers/host-1.json", tmp_path / "results/picasso/a.hkl"
    claim.parent.mkdir(parents=True)
    if when != "before":
        claim.touch()
    monkeypatch.setenv(CLAIM_VARIABLE, str(claim))
    monkeypatch.setattr(hippflow_snakemake, "_SERVER", hippflow_snakemake.ForkServer())  # it knows the variable
    monkeypatch.setattr(hippflow_snakemake, "check_results", lambda patience: check_results(0))
    (tmp_path / "make.py").write_text(MAKER)
    folder = SimpleNamespace(get_path_or_uri=lambda secret_free: str(tmp_path))
    params, others = {"unmount": when == "meanwhile"}, [None] * 8
    arguments = ["make.py", folder, {}, {"markers": str(made)}, params, {}, 1, {}, [], *others]
    if when == "never":
        hippflow_snakemake.script(*arguments)
    else:
        with pytest.raises(WorkflowError, match=f"DiskError: {tmp_path}/results: expected the folder in which the run"):
            hippflow_snakemake.script(*arguments)
    assert made.exists() == (when != "before")  # what an error leaves is removed by Snakemake


#: A line of the script that works on channel 57 of one session, unless it has been repaired.
PLANTED = """
    if "session01/array02/channel057" in str(next(iter(vars(output).values()))) and "PLANTED" in os.environ:
        raise SignalError("data/session01: raw 57 is planted")
"""


def test_one_channel_of_124_that_fails_is_named_and_made_alone_by_the_rerun(workflow):
    channels = range(1, 125)
    write_demo_day(workflow.folder / "data", channels=channels, seconds=4 if LONG else 2, seed=5, behaviour=False)
    script = workflow.folder / "scripts/rpllfp.py"
    head, line, rest = script.read_text().partition("with job(globals()) as (input, output, params):")
    imports = "import os\nfrom hippflow.errors import SignalError\n"
    script.write_text(imports + head + line + PLANTED + rest.lstrip("\n"))
    until = () if LONG else ("--until", "rpllfp", "--config", "sessions=session01")
    run = workflow.run(*until, status=1, environment={"PLANTED": "1"})
    said = run.output.split("hippflow: ")[1]
    assert said.startswith("1 job failed, ")
    assert f"rpllfp {DAY}/session01 array02/channel057: SignalError: data/session01: raw 57 is planted" in said
    log = f"results/logs/rpllfp/{DAY}/session01/array02/channel057.log"
    assert log in run.output
    assert "SignalError" in (workflow.folder / log).read_text()
    assert run.output.count("Error in rule") == 1
    made = {path for path in products(workflow.folder / "results") if "/rpllfp_" in path}
    session = {path for path in made if "session01" in path}
    assert {int(path.split("/channel")[1][:3]) for path in session} == set(channels) - {57}
    before = {path: (workflow.folder / "results" / path).stat().st_mtime_ns for path in made}
    again = workflow.run(*until).jobs
    others = [job for job in again if "channel057" not in job and "channel 057" not in job]
    assert [job for job in others if not job.startswith(LATER)] == []
    assert f"LFP of {DAY}/session01/array02/channel057" in again
    assert LONG or len(again) == 1
    assert {path: (workflow.folder / "results" / path).stat().st_mtime_ns for path in made} == before
    assert workflow.plan(*until) == []


#: What is made when all channels of a day are done.
LATER = ("Table of", "Report of")
