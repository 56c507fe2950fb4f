"""What may happen to a run on a real Slurm, and what is left of it: the same products, and nothing made twice.

One channel's raw signals are there. Its Slurm job filters both sessions and then sorts; the
sorting waits (a line that these tests add to its script) until the test has done its worst.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DAY = "results/picasso/20181105"
CHANNEL = "array02/channel034"
FIRINGS = f"{DAY}/mountains/channel034/firings.hkl"
HIGHPASS = [f"{DAY}/{session}/{CHANNEL}/rplhighpass_b59f.hkl" for session in ("session01", "sessioneye")]

#: At the start of a script: say that it runs.
SAY = """
import os, pathlib, time
pathlib.Path("started").mkdir(exist_ok=True)
pathlib.Path("started", f"{name}-{{time.time_ns()}}").touch()
"""

#: And of the sorting's: take memory, wait.
WAIT = """
ballast = bytearray(int(os.environ.get("BALLAST_MB", "0")) << 20)
ballast[::4096] = b"x" * len(ballast[::4096])
while pathlib.Path("wait").exists():
    time.sleep(0.1)
"""


class HeldRun:
    """A run on Slurm whose sorting waits."""

    def __init__(self, workflow, slurm, finished, cores=2):
        self.folder, self.slurm, self.finished = workflow.folder, slurm, finished
        self.workflow = workflow
        self.environment = os.environ | slurm.environment
        os.symlink(finished.folder / "data", self.folder / "data")
        for product in HIGHPASS:
            raw = Path(product).with_name("rplraw_d41d.hkl")
            (self.folder / raw).parent.mkdir(parents=True)
            shutil.copy2(finished.folder / raw, self.folder / raw)
        for name, wait in (("rplhighpass", ""), ("sorting", WAIT)):
            script = self.folder / f"scripts/{name}.py"
            lines = SAY.format(name=name) + wait
            script.write_text(script.read_text().replace("\nfrom adapter", lines + "\nfrom adapter", 1))
        (self.folder / "wait").touch()

    def start(self, *options):
        """Start the driver; its output goes to a file."""
        command = [sys.executable, "-m", "snakemake", FIRINGS, "--profile", "slurm", "--cores", "2"]
        command += ["--seconds-between-status-checks", "1", *options]
        with open(self.folder / "driver.txt", "a") as output:
            self.driver = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
                # tests that run in the background ignore Ctrl-C, and what they start would inherit that
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        return self

    def wait_until_sorting(self, times=1):
        """Wait until the sorting has started for the n-th time; return its Slurm job as squeue shows it."""
        self._wait(lambda: self._starts("sorting") >= times)
        (job,) = [job for job in self.slurm.jobs() if job["state"] == "RUNNING"]
        return job

    def _starts(self, name):
        return len(list(self.folder.glob(f"started/{name}-*")))

    def _wait(self, condition, seconds=120):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)

    @property
    def output(self):
        return (self.folder / "driver.txt").read_text()

    def let_go(self):
        """Let the sorting, and every later one, go on."""
        (self.folder / "wait").unlink()

    def finish(self, status=0, seconds=180):
        """Wait for the driver's end."""
        try:
            assert self.driver.wait(seconds) == status, self.output
        except subprocess.TimeoutExpired:
            self.driver.kill()
            pytest.fail(f"the driver hangs:\n{self.output}")

    def check(self, attempts=2):
        """Same bytes as a local run; what was whole was not made again; the sorting started so many times."""
        for product in (FIRINGS, *HIGHPASS):
            assert (self.folder / product).read_bytes() == (self.finished.folder / product).read_bytes()
        assert not list((self.folder / DAY).rglob("*.part"))
        assert (self._starts("rplhighpass"), self._starts("sorting")) == (2, attempts)
        assert self.workflow.plan(FIRINGS) == []


@pytest.fixture
def held(workflow, slurm, finished):
    run = HeldRun(workflow, slurm, finished)
    yield run
    if run.driver.poll() is None:
        run.driver.kill()
        run.driver.wait()


def test_a_job_that_is_cancelled_goes_on_from_its_last_whole_product(held):
    job = held.start().wait_until_sorting()
    held.slurm.cancel(job["id"])
    held.wait_until_sorting(times=2)
    held.let_go()
    held.finish()
    held.check()
    assert "CANCELLED" in held.output


def test_a_node_that_is_lost_takes_no_product_with_it(held):
    job = held.start().wait_until_sorting()
    held.slurm.kill_node(job["node"], notice=True)
    again = held.wait_until_sorting(times=2)
    assert again["id"] == job["id"]  # Slurm queued it again by itself: no attempt of Snakemake's is spent
    assert again["node"] != job["node"]
    held.let_go()
    held.finish()
    held.check()


def test_a_node_that_is_drained_and_reclaimed_hands_its_job_on(held):
    """As ParallelCluster does with spot nodes: no new jobs, and the running ones are queued again."""
    job = held.start().wait_until_sorting()
    held.slurm.drain(job["node"])
    held.slurm.call("scontrol", "requeue", job["id"])
    again = held.wait_until_sorting(times=2)
    assert again["node"] != job["node"]
    held.let_go()
    held.finish()
    held.check()


def test_a_controller_that_is_away_is_waited_for(held):
    held.start().wait_until_sorting()
    held.slurm.stop_controller()
    held._wait(lambda: "does not answer" in held.output)
    time.sleep(25)  # three looks at the queue without an answer
    assert held.driver.poll() is None
    held.let_go()
    held._wait((held.folder / FIRINGS).exists)
    held.slurm.start_controller()
    held.finish()
    held.check(attempts=1)
    assert "answers again" in held.output
    assert len(held.slurm.finished()) == 1  # the job was never given up


def test_a_controller_that_is_away_at_the_start_is_waited_for(held):
    held.let_go()
    held.slurm.stop_controller()
    held.start()
    held._wait(lambda: "waiting for it before submitting" in held.output)
    held.slurm.start_controller()
    held.finish()
    held.check(attempts=1)


def test_a_job_over_its_memory_gets_more(held):
    held.environment = held.environment | {"BALLAST_MB": "900"}
    held.start("--set-resources", "sorting:mem_mb=800*attempt", "rplhighpass:mem_mb=400*attempt")
    held.wait_until_sorting(times=2)  # the first holds its 900 MB until Slurm, which polls, has seen it
    held.let_go()
    held.finish()
    held.check()
    asked = [job["Tres"].split("mem=")[1].split(",")[0] for job in held.slurm.finished()]
    assert asked == ["800M", "1600M"]


def test_a_job_over_its_time_gets_more(held):
    job = held.start("--set-resources", "sorting:runtime=7*attempt", "rplhighpass:runtime=1").wait_until_sorting()
    held.slurm.expire(job["id"])
    held.wait_until_sorting(times=2)
    held.let_go()
    held.finish()
    held.check()
    assert "TIMEOUT" in held.output
    assert held.slurm.finished()[1]["TimeLimit"] == "15"  # filtering 1 min, sorting 2 x 7


def test_ctrl_c_cancels_the_jobs_and_the_next_start_goes_on(held):
    held.start().wait_until_sorting()
    os.kill(held.driver.pid, signal.SIGINT)
    held.finish(status=1, seconds=60)
    assert [job["state"] for job in held.slurm.jobs() if job["state"] in ("RUNNING", "PENDING")] == []
    held.let_go()
    held.start()
    held.finish()
    held.check()


def test_a_driver_that_is_killed_leaves_no_lock_and_no_job_behind(held):
    job = held.start().wait_until_sorting()
    os.killpg(held.driver.pid, signal.SIGKILL)
    held.driver.wait()
    assert [other["id"] for other in held.slurm.jobs() if other["state"] == "RUNNING"] == [job["id"]]
    assert list((held.folder / ".snakemake/locks").iterdir())
    held.start()
    held._wait(lambda: "was killed; 1 of its Slurm jobs were cancelled" in held.output)
    held.wait_until_sorting(times=2)
    held.let_go()
    held.finish()
    held.check()


def test_a_job_that_the_controller_has_forgotten_is_known_by_its_mark(held):
    """The controller comes back without its state, as on a head node that was replaced."""
    held.start().wait_until_sorting()
    held.slurm.stop_controller()
    held.let_go()
    held._wait((held.folder / FIRINGS).exists)
    time.sleep(3)  # for the end of the job itself
    state = held.slurm.folder / "state"
    for name in ("job_state", "job_state.old", "last_config_lite"):
        (state / name).unlink(missing_ok=True)
    held.slurm.start_controller()
    held.finish()
    held.check(attempts=1)
