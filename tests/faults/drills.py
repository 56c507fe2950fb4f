"""Runs that a drill disturbs while a job is in the middle of writing its product, and what must be left of them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

DAY = "picasso/20181105"
LFP = f"{DAY}/session01/array02/channel034/rpllfp_6eca.hkl"

#: In what every script begins with (a change of one script would make all of its products again): this signal's
#: product has its samples and is not finished, until the test lets it go on.
MID_WRITE = """
import os, pathlib, time
from hippflow.io.signals import SignalWriter
finish = SignalWriter.finish
def wait_and_finish(writer):
    if "session01/array02/channel034/.rpllfp_" not in str(writer._part):
        return finish(writer)
    if pathlib.Path("wait").exists():
        pathlib.Path("held.new").write_text(str(os.getpid()))
        os.replace("held.new", "held")
    while pathlib.Path("wait").exists():
        time.sleep(0.05)
    finish(writer)
SignalWriter.finish = wait_and_finish
"""


def products(root):
    """Content of all products below the results but the report, which has times; logs and summaries are none."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted((Path(root) / "picasso").rglob("*"))
        if path.is_file() and path.name != "report.html"
    }


@contextmanager
def mounted(folder, *options, source="tmpfs"):
    """Something mounted on a folder, which takes the rights of an administrator."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, source, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"nothing can be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True)


def resize(disk, room):
    """Let a mounted tmpfs have so many bytes more than are on it."""
    state = os.statvfs(disk)
    size = (state.f_blocks - state.f_bfree) * state.f_frsize + room
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


class Drill:
    """A finished day in which one channel's LFP is made again, and waits in the middle of that.

    Attributes
    ----------
    results : Path
        They are those of the undisturbed run, without this signal, until something happens.
    """

    def __init__(self, workflow, finished):
        self.workflow, self.folder, self.finished = workflow, workflow.folder, finished
        self.results, self.driver = self.folder / "results", None
        os.symlink(finished.folder / "data", self.folder / "data")
        adapter = self.folder / "scripts/adapter.py"
        adapter.write_text(adapter.read_text().replace("\nlog = ", f"{MID_WRITE}\nlog = ", 1))
        (self.folder / "wait").touch()

    def copy_results(self):
        """Take over what the undisturbed run made, and what Snakemake knows of it."""
        for name in ("results", ".snakemake"):
            shutil.copytree(self.finished.folder / name, self.folder / name, dirs_exist_ok=True)
        (self.results / LFP).unlink()
        return self

    def start(self, *options):
        """Start the driver, and wait until the job is in the middle of writing."""
        (self.folder / "held").unlink(missing_ok=True)
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *options]
        with open(self.folder / "driver.txt", "w") as output:
            self.driver = subprocess.Popen(
                command,
                cwd=self.folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
                # tests that run in the background ignore Ctrl-C, and what they start would inherit that
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        deadline = time.monotonic() + 120
        while not (self.folder / "held").exists():
            assert time.monotonic() < deadline and self.driver.poll() is None, self.output
            time.sleep(0.05)
        assert len(self.unfinished()) == 1
        return self

    @property
    def output(self):
        return (self.folder / "driver.txt").read_text()

    def unfinished(self):
        """Files under temporary names."""
        return list(self.results.rglob(".*.part"))

    def locks(self):
        """What Snakemake has locked."""
        return list((self.folder / ".snakemake/locks").glob("*.lock"))

    def let_go(self):
        """Let the job, and every later one, go on."""
        (self.folder / "wait").unlink()

    def end(self, seconds=120):
        """Wait for the driver's end, and return its status."""
        return self.driver.wait(seconds)

    def close(self):
        """End what a test that failed left."""
        if self.driver and self.driver.poll() is None:
            os.killpg(self.driver.pid, signal.SIGKILL)
            self.driver.wait()

    def check_rerun(self, *, again):
        """Start again, with nothing done by hand: the same bytes; the signal is made `again`, or was whole."""
        run = self.workflow.run()
        assert (f"LFP of {LFP.rpartition('/')[0]}" in run.jobs) == again, run.jobs
        made, undisturbed = products(self.results), products(self.finished.folder / "results")
        assert [path for path in made | undisturbed if made.get(path) != undisturbed.get(path)] == []
        assert self.unfinished() == []
        assert self.locks() == []
        return run
