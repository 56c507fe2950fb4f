"""What is read once leaves memory, unless it was there before; fincore says what is there."""

import os
import shutil
import subprocess

import pytest

from hippflow.io.page_cache import passing_through

pytestmark = pytest.mark.skipif(not shutil.which("fincore"), reason="no fincore")

SIZE = 160 << 20


def in_memory(path):
    """Bytes of a file that the system keeps."""
    asked = ["fincore", "--bytes", "--noheadings", "--output", "RES", path]
    return int(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "181105_Block1.ns5"
    path.write_bytes(os.urandom(1 << 20) * (SIZE >> 20))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if in_memory(path):
        pytest.skip("a file system that keeps its files in memory")
    return path


def read(path, passed):
    """Read a file in blocks; return the most of it that was in memory at a time."""
    most = 0
    with path.open("rb") as file:
        while file.read(4 << 20):
            passed(file.tell())
            most = max(most, in_memory(path))
    return most


def test_a_file_that_is_read_once_does_not_stay(recording):
    with passing_through(recording) as passed:
        assert read(recording, passed) < SIZE * 3 / 4
    assert in_memory(recording) == 0


def test_a_file_that_was_in_memory_stays_there(recording):
    recording.read_bytes()
    with passing_through(recording) as passed:
        read(recording, passed)
    assert in_memory(recording) == SIZE
