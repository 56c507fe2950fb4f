"""Files that are whole or not there."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hippflow.io.atomic import temporary_name, whole_file

needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="living processes are looked up in /proc")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def part_of(path, pid, host=None):
    return path.with_name(f".{path.name}.{host or socket.gethostname()}-{pid}.part")


@pytest.fixture
def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_file_appears_when_the_block_ends(tmp_path):
    with whole_file(tmp_path / "a.csv") as part:
        part.write_text("1")
        assert names(tmp_path) == [part.name]
        assert part.name.startswith(".") and part.name.endswith(".part")
    assert names(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "1"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_appears_after_an_error(tmp_path, error):
    with pytest.raises(error), whole_file(tmp_path / "a.csv") as part:
        part.write_text("half")
        raise error
    assert names(tmp_path) == []


def test_an_error_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(ValueError), whole_file(path) as part:
        part.write_text("half")
        raise ValueError
    assert names(tmp_path) == ["a.csv"]
    assert path.read_text() == "old"
    with whole_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_folders_are_made(tmp_path):
    with whole_file(str(tmp_path / "array01" / "channel009" / "a.csv")) as part:
        part.touch()
    assert names(tmp_path / "array01" / "channel009") == ["a.csv"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a.csv"):
        pass
    assert names(tmp_path) == []


@needs_proc
def test_what_a_killed_process_left_is_removed(tmp_path):
    script = f"""
import os
from hippflow.io.atomic import whole_file
with whole_file({str(tmp_path / "a.csv")!r}) as part:
    part.write_text("half")
    os.kill(os.getpid(), 9)
"""
    process = subprocess.run([sys.executable, "-c", script], check=False)
    assert process.returncode == -9
    (left,) = names(tmp_path)
    assert left.startswith(".a.csv.") and left.endswith(".part")
    with whole_file(tmp_path / "a.csv") as part:
        part.write_text("whole")
    assert names(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "whole"


@needs_proc
def test_what_a_living_process_writes_is_kept(tmp_path):
    path = tmp_path / "a.csv"
    own, other = part_of(path, os.getpid()), part_of(path, os.getppid())
    own.touch()
    other.touch()
    assert temporary_name(path) == own
    assert names(tmp_path) == sorted([own.name, other.name])


@needs_proc
def test_other_files_and_other_hosts_are_left_alone(tmp_path, dead_pid):
    path = tmp_path / "a.csv"
    kept = [
        part_of(path, dead_pid, host="another-node"),
        part_of(tmp_path / "b.csv", dead_pid),
        part_of(tmp_path / "aXcsv", dead_pid),
        tmp_path / f"a.csv.{socket.gethostname()}-{dead_pid}.part",
    ]
    for other in [*kept, part_of(path, dead_pid)]:
        other.touch()
    temporary_name(path)
    assert names(tmp_path) == sorted(other.name for other in kept)
