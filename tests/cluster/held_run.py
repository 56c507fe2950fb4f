"""A run on a real Slurm that waits in its sorting, for drills: `pytest_plugins = ["held_run"]` gives `held`.

One channel's raw signals are there. Its Slurm job filters both sessions and then sorts; the
sorting waits (a line that is added to its script) until the test has done its worst.
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
        self.wait(lambda: self._starts("sorting") >= times)
        (job,) = [job for job in self.slurm.jobs() if job["state"] == "RUNNING"]
        return job

    def _starts(self, name):
        return len(list(self.folder.glob(f"started/{name}-*")))

    def wait(self, condition, seconds=120):
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
