"""Records of drivers: who is at work, who was killed, and what is cleared up after whom."""

import json
import os
import socket
import subprocess
import sys

import pytest

from hippflow import driver
from hippflow.errors import DriverError

LEAVE = "from hippflow.driver import start_record; start_record({!r}); start_record({!r}, run='name')"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def locks(tmp_path):
    """Snakemake's folder, locked."""
    folder = tmp_path / "locks"
    folder.mkdir()
    (folder / "0.input.lock").write_text("a.nev\n")
    return folder


@pytest.fixture
def slurm(monkeypatch, tmp_path):
    """A squeue that lists the jobs in a file, and a scancel that takes them out of it."""
    commands = tmp_path / "bin"
    commands.mkdir()
    jobs = tmp_path / "jobs"
    jobs.write_text("")
    scripts = {
        "squeue": f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n[ -f {jobs} ] && cat {jobs}\n',
        "scancel": f"#!/bin/sh\ngrep -vxF $(printf ' -e %s' \"$@\") {jobs} > {jobs}.new; mv {jobs}.new {jobs}\n",
    }
    for name, text in scripts.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    return jobs


def left_behind(state, end="import os, signal; os.kill(os.getpid(), signal.SIGKILL)"):
    """Let a process leave its record and end."""
    subprocess.run([sys.executable, "-c", f"{LEAVE.format(str(state), str(state))}\n{end}"])
    return list((state / "drivers").glob("*.json"))


def test_a_process_that_ends_by_itself_leaves_nothing(state):
    assert left_behind(state, end="") == []
    assert left_behind(state, end="raise SystemExit(3)") == []


def test_a_killed_process_is_known(state):
    (path,) = left_behind(state)
    killed, alone = driver.killed_drivers(state)
    assert alone
    assert [(record["path"], record["run"], record["host"]) for record in killed] == [
        (path, "name", socket.gethostname())
    ]


def test_this_process_is_alive_and_another_with_its_number_is_not(state):
    driver.start_record(state)
    assert driver.killed_drivers(state) == ([], False)
    (path,) = (state / "drivers").glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"identity": "1"}))
    killed, alone = driver.killed_drivers(state)
    assert (len(killed), alone) == (1, True)
    path.unlink()


def test_a_process_of_another_host_is_taken_for_alive(state, locks, slurm):
    (path,) = left_behind(state)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "elsewhere"}))
    driver.clear_up(state, locks)
    assert path.exists()
    assert list(locks.iterdir())


def test_locks_of_a_killed_driver_are_opened(state, locks, slurm, caplog):
    left_behind(state)
    driver.clear_up(state, locks)
    assert list(locks.iterdir()) == []
    assert list((state / "drivers").iterdir()) == []
    assert "was killed; 0 of its Slurm jobs were cancelled" in caplog.text


def test_locks_without_a_record_are_left_alone(state, locks):
    driver.clear_up(state, locks)
    assert list(locks.iterdir())


def test_locks_stay_while_another_driver_is_at_work(state, locks, slurm):
    left_behind(state)
    driver.start_record(state)
    driver.clear_up(state, locks)
    assert list(locks.iterdir())
    (path,) = (state / "drivers").glob("*.json")
    assert str(os.getpid()) in path.name
    path.unlink()


def test_its_jobs_and_no_others_are_cancelled(state, locks, slurm, tmp_path, caplog):
    left_behind(state)
    slurm.write_text("11\n12\n")
    driver.clear_up(state, locks)
    assert slurm.read_text() == ""
    assert (tmp_path / "asked").read_text().split()[-2:] == ["--name", "name"]
    assert "2 of its Slurm jobs were cancelled" in caplog.text


def test_a_controller_that_is_away_leaves_everything_as_it_is(state, locks, slurm):
    (path,) = left_behind(state)
    slurm.unlink()
    with pytest.raises(DriverError, match="start again when its controller answers"):
        driver.clear_up(state, locks)
    assert path.exists()
    assert list(locks.iterdir())


def test_jobs_that_do_not_end_are_an_error(slurm, tmp_path):
    slurm.write_text("11\n")
    (tmp_path / "bin/scancel").write_text("#!/bin/sh\n")
    with pytest.raises(
        DriverError, match="expected the jobs of a killed run to end within 0 s .* found 11 still there"
    ):
        driver.cancel_jobs("name", patience=0)
