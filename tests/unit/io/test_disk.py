"""What is said of disks, and that products are whole or not there on one that is full at any byte."""

import errno
import os
import subprocess
from pathlib import Path

import h5py
import hickle
import numpy as np
import pytest

from hippflow.errors import DiskError
from hippflow.io.disk import CLAIM_VARIABLE, check_results, claim_results, disk_error, full_disk, mount_point
from hippflow.io.products import write_product
from hippflow.io.signals import write_signal

FIELDS = {"a": np.arange(3000), "b": 1, "c": {"d": [1, 2, "x"]}, "e": [["x", "yy"], 3.0]}


def test_what_the_system_says_is_told_with_the_disk_and_what_to_do(tmp_path):
    said = str(disk_error(OSError(errno.ENOSPC, "any words"), [tmp_path / "new/rplraw_d41d.hkl"]))
    assert said.startswith(f"{tmp_path}/new/rplraw_d41d.hkl: expected room on its disk, found: No space left on device")
    assert f"(at {mount_point(tmp_path)}, " in said
    assert said.endswith("make room there, or set results to another disk, and start again: what is finished stays")
    assert "quota" in str(disk_error(OSError(errno.EDQUOT, "")))
    named = disk_error(OSError(errno.ESTALE, "", "/data/a.ns5"), ["results/b"])
    assert str(named).startswith("/data/a.ns5: expected a disk in order, found: Stale file handle")


def test_what_hdf5_says_of_a_disk_is_understood():
    text = "Can't decrement id ref count (file write failed: errno = 28, error message = 'No space left on device')"
    assert "No space left on device" in str(disk_error(RuntimeError(text), ["results/a"]))


def test_an_array_that_numpy_cannot_write_is_an_error_of_the_disk(small_disk):
    (small_disk / "other").write_bytes(bytes(60_000))
    with pytest.raises(OSError) as caught:
        np.save(small_disk / "a.npy", np.zeros(30_000))
    assert "expected room on its disk" in str(disk_error(caught.value, [small_disk / "a.npy"]))


@pytest.mark.parametrize("error", [ValueError("errno = 28"), OSError(errno.EACCES, ""), KeyError(28)])
def test_other_errors_are_none_of_a_disk(error):
    assert disk_error(error, ["results/a"]) is None


def test_a_mount_point_is_that_of_the_system(tmp_path):
    said = subprocess.run(["stat", "--format=%m", str(tmp_path)], capture_output=True, text=True, check=True).stdout
    assert mount_point(tmp_path / "not/yet/there") == Path(said.strip())


def test_a_folder_in_the_place_of_the_results_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv(CLAIM_VARIABLE, raising=False)
    check_results()  # a script alone has nothing to look for
    claim = tmp_path / "results/.hippflow/drivers/host-1.json"
    claim.parent.mkdir(parents=True)
    claim.touch()
    monkeypatch.setenv(CLAIM_VARIABLE, "")
    claim_results(claim)
    check_results()
    claim.unlink()
    expected = f"{tmp_path}/results: expected the folder in which the run began, found another in its place on "
    with pytest.raises(DiskError, match=expected):
        check_results(patience=0)
    assert str(disk_error(FileNotFoundError(errno.ENOENT, "", "a"))).startswith(expected)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 96 kB, which takes the rights of an administrator."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"nothing can be mounted: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def write_one(path):
    write_product(path, FIELDS)


def write_other(path):
    info = {"SampleRate": 30000.0, "ProbeInfo": "raw 9"}
    with write_signal(path, {"dirs": ["a"], "analogInfo": info}, n_samples=6000) as writer:
        for _ in range(6):
            writer.write(np.ones(1000))


@pytest.mark.parametrize("write", [write_one, write_other])
def test_on_a_disk_of_any_room_a_product_is_whole_or_not_there(small_disk, tmp_path, write):
    """And the process lives: HDF5 itself would end it, or try to write for ever after."""
    write(tmp_path / "whole.hkl")
    whole, failures = (tmp_path / "whole.hkl").read_bytes(), 0
    for pages in range(0, 25):
        (small_disk / "other").write_bytes(bytes(4096 * pages))
        try:
            write(small_disk / "a.hkl")
            assert (small_disk / "a.hkl").read_bytes() == whole
            (small_disk / "a.hkl").unlink()
        except OSError as error:
            failures += 1
            assert error.errno == errno.ENOSPC
            assert "DiskError" in type(disk_error(error, [small_disk / "a.hkl"])).__name__
        assert os.listdir(small_disk) == ["other"]
    assert 3 < failures < 22
    assert full_disk([small_disk / "a.hkl"])
    assert full_disk([tmp_path / "a.hkl"]) is None


def test_products_made_in_memory_are_those_that_hickle_writes_itself(tmp_path):
    write_product(tmp_path / "a.hkl", FIELDS)
    hickle.dump(FIELDS, str(tmp_path / "b.hkl"), mode="w")
    assert (tmp_path / "a.hkl").read_bytes() == (tmp_path / "b.hkl").read_bytes()
    with h5py.File(tmp_path / "a.hkl") as file:
        assert file["data"].attrs
