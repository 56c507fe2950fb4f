"""Runs of the workflow as a user starts it, in folders of their own."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hippflow.demo.day import write_demo_day

REPOSITORY = Path(__file__).parent
PARTS = ("Snakefile", "config.yaml", "rules", "scripts", "schemas", "envs", "profiles", "resources", "slurm")

#: Channels on three front-ends, the first of which has no units.
CHANNELS = (9, 34, 120)

#: Another seed makes another day: HIPPFLOW_SEED=7 make test.
SEED = int(os.environ.get("HIPPFLOW_SEED", "20181105"))


@dataclass
class Run:
    """What one call of Snakemake did.

    Attributes
    ----------
    jobs : list of str
        Messages of its jobs, in alphabetical order, without that of the target.
    """

    status: int
    output: str

    @property
    def jobs(self) -> list[str]:
        messages = re.findall(r"^ *(?:Job|localrule) \d+: (.*)$", self.output, re.MULTILINE)
        return sorted(message for message in messages if not message.startswith("Everything"))


class Workflow:
    """A copy of the workflow in a folder, as a clone has it, and calls of Snakemake in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        for part in PARTS:
            source = REPOSITORY / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / part)

    def run(self, *arguments: str, status: int | None = 0, environment: dict[str, str] | None = None) -> Run:
        """Call Snakemake; `status` is what it must exit with, None for anything."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        variables = os.environ | (environment or {})
        done = subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True)
        run = Run(done.returncode, done.stdout + done.stderr)
        assert status is None or run.status == status, run.output[-5000:]
        return run

    def plan(self, *arguments: str) -> list[str]:
        """Messages of the jobs that a dry run lists."""
        return self.run("--dry-run", *arguments).jobs

    def product(self, path: str) -> Path:
        """A product of the demo day by its path below the day."""
        return self.folder / "results" / "picasso" / "20181105" / path


@pytest.fixture
def workflow(tmp_path):
    """A fresh copy of the workflow, without data."""
    return Workflow(tmp_path)


@pytest.fixture(scope="session")
def new_workflow(tmp_path_factory):
    """Makes fresh copies of the workflow, for fixtures that outlive a test."""
    return lambda: Workflow(tmp_path_factory.mktemp("workflow"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The demo day of three channels, 16 s and 8 s, processed to the end. Tests leave its products as they are."""
    folder = tmp_path_factory.mktemp("finished")
    workflow = Workflow(folder)
    write_demo_day(folder / "data", channels=CHANNELS, seconds=16, seed=SEED)
    workflow.raw_times = {path: os.stat(path).st_mtime_ns for path in (folder / "data").rglob("*")}
    workflow.first_run = workflow.run()
    return workflow
