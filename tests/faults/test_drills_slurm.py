"""Drills on a real Slurm beside those of tests/cluster/test_slurm_survival.py: SIGTERM, and shared disks that are full,
slow, or not there on one node.
"""

import os
import shutil
import signal

import pytest
from drills import mounted, resize
from held_run import FIRINGS, HeldRun
from local_slurm import LocalSlurm

pytest_plugins = ["held_run"]

long = pytest.mark.skipif(os.environ.get("HIPPFLOW_LONG_FAULTS") != "1", reason="make faults has it")

MARKERS = "results/picasso/20181105/session01/rplparallel_d41d.hkl"
OPTIONS = ("--profile", "slurm", "--cores", "2", "--seconds-between-status-checks", "1")

#: In the place of sbatch: changes the script of a job before it is submitted.
SBATCH = """#!/bin/sh
cat > job.sh
cat > changed.sh <<'END'
{script}
END
exec {sbatch} "$@" < changed.sh
"""

#: The job, and then: its product is not seen for a while, as where a client of NFS has not looked anew.
LATE = f"""#!/bin/sh
sh job.sh
status=$?
mv {FIRINGS} {FIRINGS}.away
setsid sh -c 'sleep 8; mv {FIRINGS}.away {FIRINGS}' > /dev/null 2>&1 &
exit $status
"""

#: The job on a node on which the disk of the results is not mounted.
ABSENT = """#!/bin/sh
exec unshare --mount sh -c 'umount results && exec sh job.sh'
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with LocalSlurm(tmp_path_factory.mktemp("slurm"), nodes=2) as cluster:
        yield cluster


@pytest.fixture
def slurm(cluster):
    yield cluster
    cluster.reset()


def changed_by(folder, script):
    """Return the PATH with which jobs are submitted in another form."""
    commands = folder / "commands"
    commands.mkdir()
    (commands / "sbatch").write_text(SBATCH.format(script=script, sbatch=shutil.which("sbatch")))
    (commands / "sbatch").chmod(0o755)
    return f"{commands}:{os.environ['PATH']}"


def test_sigterm_waits_for_submitted_jobs_and_submits_no_others(held):
    held.start().wait_until_sorting()
    os.kill(held.driver.pid, signal.SIGTERM)
    held.wait(lambda: "Will exit after finishing currently running jobs" in held.output)
    held.let_go()
    held.driver.wait(120)
    assert "hippflow: interrupted (SIGTERM, running jobs were finished)" in held.output
    assert not list((held.folder / ".snakemake/locks").glob("*.lock"))
    assert [job["state"] for job in held.slurm.jobs()] == ["COMPLETED"]
    held.start()
    held.finish()
    held.check(attempts=1)


@long
def test_a_product_that_is_seen_late_is_waited_for(held):
    held.environment = held.environment | {"PATH": changed_by(held.folder, LATE)}
    held.let_go()
    held.start()
    held.finish()
    assert "for missing files" in held.output
    held.check(attempts=1)


@long
def test_a_node_without_the_disk_of_the_results_is_named_and_makes_nothing(workflow, slurm, finished):
    os.symlink(finished.folder / "data", workflow.folder / "data")
    disk = workflow.folder / "disk"
    disk.mkdir()
    with mounted(workflow.folder / "results", "--bind", source=str(disk)) as results:
        environment = slurm.environment | {"PATH": changed_by(workflow.folder, ABSENT)}
        run = workflow.run(MARKERS, *OPTIONS, "--retries", "0", status=1, environment=environment)
        said = run.output.split("\nhippflow: ")[1]
        assert f"DiskError: {results}: expected the folder in which the run began, found another in its place" in said
        assert f"on {os.uname().nodename}" in said
        assert not (workflow.folder / MARKERS).exists()
        workflow.run(MARKERS, *OPTIONS, environment=slurm.environment)
        assert (workflow.folder / MARKERS).read_bytes() == (finished.folder / MARKERS).read_bytes()
    assert not (workflow.folder / MARKERS).exists()  # nor was it made below the disk


def test_a_disk_that_gets_full_under_jobs_is_named_and_with_more_room_the_rest_is_made(workflow, slurm, finished):
    with mounted(workflow.folder / "results", "-t", "tmpfs", "-o", "size=200m") as disk:
        held = HeldRun(workflow, slurm, finished)
        held.let_go()
        resize(disk, room=1_300_000)  # the high-pass signal of the longer session takes 1.9 MB
        held.start("--retries", "0")
        held.finish(status=1)
        said = held.output.split("\nhippflow: ")[1]
        assert "rplhighpass picasso/20181105/session01 array02/channel034: DiskError: results/picasso" in said
        assert f"expected room on its disk, found: No space left on device (at {disk}, " in said
        assert not list(disk.rglob("*.part"))
        assert not (workflow.folder / FIRINGS).exists()
        resize(disk, room=100_000_000)
        held.start()
        held.finish()
        assert (workflow.folder / FIRINGS).read_bytes() == (finished.folder / FIRINGS).read_bytes()
        assert workflow.plan(FIRINGS) == []
