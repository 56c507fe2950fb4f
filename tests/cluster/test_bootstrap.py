"""bootstrap.sh, with the project's Makefile and an interpreter that only notes what it is asked to do."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from debian import require

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"

INTERPRETER = """#!/usr/bin/env bash
folder=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
case "$*" in
  "-c "*) ;;
  "-m venv .venv")
    mkdir -p .venv/bin
    cp "${BASH_SOURCE[0]}" .venv/bin/python
    ;;
  "-m pip install "*)
    echo "$PWD" >> "$NOTES/installed"
    touch .venv/half
    while [[ -e $NOTES/hold ]]; do sleep 0.05; done
    touch .venv/whole
    ;;
  *) exit 9 ;;
esac
"""


class Sandbox:
    """A volume, a repository with two versions and an interpreter, and runs of bootstrap.sh on them."""

    def __init__(self, folder):
        self.folder = folder
        self.home = folder / "data" / "hippflow"
        self.work = folder / "data" / "hippflow.bootstrap"
        self.repository = folder / "repository"
        self.notes = folder / "notes"
        self.runs = []
        for part in (self.home.parent, self.repository, self.notes):
            part.mkdir(parents=True)
        self.interpreter = folder / "python"
        self.interpreter.write_text(INTERPRETER)
        self.interpreter.chmod(0o755)
        # What `make .venv/complete` looks at, and what a user edits.
        (needed,) = re.findall(r"^\.venv/complete: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        for name in ("Makefile", "config.yaml", *needed.split()):
            (self.repository / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.repository / name)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", ".")
        self.commit("v1")
        with (self.repository / "requirements.lock").open("a") as lock:
            lock.write("another-package==1.0\n")
        self.commit("v2")

    def git(self, *arguments, folder=None):
        identity = ("-c", "user.name=Lab", "-c", "user.email=lab@example.org")
        command = ["git", *identity, "-C", folder or self.repository, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, tag):
        self.git("commit", "--quiet", "--all", "--message", tag)
        self.git("tag", tag)

    def start(self, version="v1", **environment):
        settings = {"HIPPFLOW_HOME": self.home, "HIPPFLOW_REPOSITORY": self.repository, "HIPPFLOW_VERSION": version}
        settings |= {"HIPPFLOW_PYTHON": self.interpreter, "HIPPFLOW_USER": "root", "NOTES": self.notes} | environment
        run = subprocess.Popen(
            ["bash", CLUSTER / "bootstrap.sh"],
            env=os.environ | {name: str(value) for name, value in settings.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.runs.append(run)
        return run

    def stop(self):
        """End what a failed test has left running."""
        for run in self.runs:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            run.stdout.close()

    def run(self, version="v1", status=0, **environment):
        run = self.start(version, **environment)
        output, _ = run.communicate(timeout=60)
        assert run.returncode == status, output
        return output

    def wait_for(self, path, run):
        while not path.exists():
            assert run.poll() is None, run.stdout.read()
            time.sleep(0.02)

    @property
    def installations(self):
        return len((self.notes / "installed").read_text().splitlines())

    @property
    def head(self):
        return self.git("describe", "--tags", folder=self.home)

    def state(self):
        """Every file on the volume with its size and time, without what a run notes of itself."""
        own = {self.work / "log", self.work / "lock"}
        files = [path for path in self.home.parent.rglob("*") if path.is_file() and path not in own]
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def sandbox(tmp_path):
    sandbox = Sandbox(tmp_path)
    yield sandbox
    sandbox.stop()


def test_bootstrap_installs_once_and_a_second_run_changes_nothing(sandbox):
    assert "complete: v1" in sandbox.run()
    assert (sandbox.head, sandbox.installations) == ("v1", 1)
    assert (sandbox.home / ".venv" / "complete").exists()
    before = sandbox.state()
    assert "nothing to do" in sandbox.run()
    assert sandbox.state() == before
    assert sandbox.installations == 1
    assert (sandbox.work / "log").read_text().count("nothing to do") == 1


def test_bootstrap_that_was_killed_while_installing_is_repaired(sandbox):
    (sandbox.notes / "hold").touch()
    run = sandbox.start()
    sandbox.wait_for(sandbox.home / ".venv" / "half", run)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert not (sandbox.home / ".venv" / "complete").exists()
    (sandbox.home / ".venv" / "leftover").touch()
    (sandbox.notes / "hold").unlink()
    assert "complete: v1" in sandbox.run()
    assert (sandbox.home / ".venv" / "whole").exists()
    assert not (sandbox.home / ".venv" / "leftover").exists()
    assert sandbox.installations == 2


def test_bootstrap_that_was_killed_while_cloning_is_repaired(sandbox):
    (sandbox.work / "clone" / ".git").mkdir(parents=True)
    assert "complete: v1" in sandbox.run()
    assert sandbox.head == "v1"
    assert not (sandbox.work / "clone").exists()


def test_bootstrap_that_was_killed_while_changing_files_is_repaired_and_keeps_the_users(sandbox):
    sandbox.run()
    config = sandbox.home / "config.yaml"
    config.write_text(config.read_text().replace("data: data", "data: s3://lab/raw"))
    # As a run is found that was killed after it had noted the changes and written some of the files.
    (sandbox.work / "local.patch").write_text(sandbox.git("diff", "HEAD", folder=sandbox.home) + "\n")
    (sandbox.home / ".git" / "index.lock").touch()
    (sandbox.home / "Makefile").write_text("half of")
    config.unlink()
    assert "complete: v2" in sandbox.run("v2")
    assert sandbox.head == "v2"
    assert sandbox.git("diff", "--name-only", folder=sandbox.home) == "config.yaml"
    assert "data: s3://lab/raw\n" in config.read_text()
    assert not (sandbox.work / "local.patch").exists()


def test_bootstrap_changes_to_another_version_and_keeps_the_users_changes(sandbox):
    sandbox.run()
    config = sandbox.home / "config.yaml"
    mine = config.read_text().replace("data: data", "data: s3://lab/raw")
    config.write_text(mine)
    assert "complete: v2" in sandbox.run("v2")
    assert (sandbox.head, sandbox.installations, config.read_text()) == ("v2", 2, mine)
    assert "nothing to do" in sandbox.run("v2")


def test_bootstrap_follows_a_branch(sandbox):
    sandbox.run("main")
    (sandbox.repository / "config.yaml").write_text("data: elsewhere\n")
    sandbox.commit("v3")
    assert "complete: main" in sandbox.run("main")
    assert (sandbox.head, sandbox.installations) == ("v3", 1)
    assert "nothing to do" in sandbox.run("main")


def test_bootstrap_says_where_changes_are_that_do_not_fit(sandbox):
    sandbox.run()
    (sandbox.home / "config.yaml").write_text("mine: 1\n")
    (sandbox.repository / "config.yaml").write_text("theirs: 1\n")
    sandbox.commit("v3")
    assert "rejected.patch: expected your changes to fit v3" in sandbox.run("v3", status=1)
    assert "+mine: 1" in (sandbox.work / "rejected.patch").read_text()


def test_two_bootstraps_at_once_install_once(sandbox):
    (sandbox.notes / "hold").touch()
    first = sandbox.start()
    sandbox.wait_for(sandbox.home / ".venv" / "half", first)
    second = sandbox.start()
    deadline = time.monotonic() + 30
    while "waiting" not in (sandbox.work / "log").read_text():
        assert time.monotonic() < deadline, "the second run does not wait"
        time.sleep(0.02)
    (sandbox.notes / "hold").unlink()
    assert "complete: v1" in first.communicate(timeout=60)[0]
    assert "nothing to do" in second.communicate(timeout=60)[0]
    assert (first.returncode, second.returncode, sandbox.installations) == (0, 0, 1)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"HIPPFLOW_REPOSITORY": ""}, "expected a repository to clone, found none"),
        ({"HIPPFLOW_REPOSITORY": "https://me:word@host/hippflow"}, "expected a repository without a password"),
        ({"version": "v9"}, "expected the tag, branch or commit v9"),
        ({"HIPPFLOW_PYTHON": "/bin/false"}, "expected Python 3.11 or newer"),
    ],
)
def test_bootstrap_says_what_it_cannot_use(sandbox, environment, message):
    output = sandbox.run(status=1, **environment)
    assert message in output
    assert "word" not in output.replace("password", "")


def test_bootstrap_leaves_a_folder_alone_that_is_something_else(sandbox):
    sandbox.home.mkdir()
    (sandbox.home / "thesis.txt").write_text("mine")
    assert "expected a clone of hippflow or nothing" in sandbox.run(status=1)
    assert (sandbox.home / "thesis.txt").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_bootstrap_as_root_gives_everything_to_the_user():
    folder = Path(tempfile.gettempdir(), f"hippflow-bootstrap-{os.getpid()}")  # pytest's own is closed to others
    try:
        sandbox = Sandbox(folder)
        # As the volume is on a cluster: everybody may write, and only owners may touch what is there.
        sandbox.home.parent.chmod(0o1777)
        subprocess.run(["chown", "-R", "nobody", sandbox.repository, sandbox.notes], check=True)
        for expected in ("complete: v1", "nothing to do"):
            assert expected in sandbox.run(HIPPFLOW_USER="nobody")
        assert {path.owner() for path in sandbox.home.rglob("*")} == {"nobody"}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
def test_bootstrap_of_a_compute_node_installs_the_interpreter_once(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    dnf = programs / "dnf"
    dnf.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nln -s /bin/true {programs}/python3.99\n')
    dnf.chmod(0o755)
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "HIPPFLOW_PYTHON": "python3.99"}
    for _ in range(2):
        subprocess.run([CLUSTER / "bootstrap.sh", "--interpreter-only"], env=environment, check=True)
    assert (tmp_path / "asked").read_text() == "install --assumeyes --quiet python3.99\n"


def test_shellcheck_finds_nothing_in_bootstrap():
    shellcheck = require({"shellcheck": "shellcheck"})["shellcheck"]
    done = subprocess.run([shellcheck, CLUSTER / "bootstrap.sh"], capture_output=True, text=True)
    assert done.stdout == ""
