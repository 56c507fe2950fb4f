"""Downloads from buckets: what arrives is what is there, by its checksums, and takes little memory.

What fails, and what goes on where it ended, is in test_download_faults.py.
"""

import base64
import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import time
import zlib

import pytest
from download_source import MIB, PROGRAM
from s3_endpoints import Fault, random_bytes

from hippflow.cloud import download, etag
from hippflow.cloud.download import download_objects
from hippflow.errors import StorageError

pytest_plugins = ["download_source"]


def test_small_objects_come_whole_by_one_request_each(source):
    contents = {"a": b"", "b": b"x", "c ä+%41.nev": random_bytes(1000), "d": random_bytes(3 * MIB, 2)}
    objects = [source.put(key, data) for key, data in contents.items()]
    start = time.time()
    source.get(*objects)
    assert {path.name: path.read_bytes() for path in source.folder.iterdir()} == contents
    assert len(source.proxy.log) == len(objects)
    for obj in objects:
        assert start - 1 <= source.path(obj).stat().st_mtime <= time.time() + 1


def test_nothing_but_reading_requests_are_made(ceph_source):
    ceph_source.get(ceph_source.put("a", random_bytes(11 * MIB), part=5 * MIB), part_size=5 * MIB)
    assert {method for method, _, _ in ceph_source.proxy.log} <= {"GET", "HEAD"}


def test_no_objects_are_no_work():
    download_objects([])


@pytest.mark.parametrize("part", [5, 8, 16])
def test_an_object_in_parts_is_verified_part_by_part(source, part, caplog):
    data = random_bytes(2 * part * MIB + 12345)
    with caplog.at_level(logging.WARNING):
        obj = source.put("a", data, part=part * MIB)
        source.get(obj)
    assert obj.etag.endswith("-3")
    assert source.path(obj).read_bytes() == data
    assert not caplog.records
    assert {start % (part * MIB) for start, _ in source.proxy.objects_got} == {0}
    assert sum(stop - start + 1 for start, stop in source.proxy.objects_got) == len(data)


def test_parts_that_are_too_large_to_ask_for_are_verified_behind_the_front(source, monkeypatch):
    monkeypatch.setattr(download, "LARGEST_PART", 5 * MIB)
    data = random_bytes(13 * MIB + 7)
    obj = source.put("a", data, part=6 * MIB)
    source.get(obj, part_size=MIB + 1)
    assert source.path(obj).read_bytes() == data
    source.proxy.always = Fault(flip=12 * MIB + 3)
    with pytest.raises(StorageError, match="expected ETag"):
        source.get(obj, part_size=MIB + 1)


def test_an_object_in_one_piece_is_verified_behind_the_front(source, caplog):
    data = random_bytes(9 * MIB + 5)
    obj = source.put("a", data)
    with caplog.at_level(logging.INFO):
        source.get(obj, part_size=MIB)
    assert obj.etag == hashlib.md5(data).hexdigest()
    assert source.path(obj).read_bytes() == data
    assert len(source.proxy.objects_got) > 4
    (record,) = [record for record in caplog.records if record.name == "hippflow.cloud.download"]
    assert record.message.startswith("1 objects: 9.4 MB in ")
    assert record.message.endswith(f" MB/s), {len(source.proxy.log)} requests")


def test_parts_of_a_size_that_is_usual_nowhere_are_found_if_they_share_alike(ceph_source):
    data = random_bytes(11_000_000)
    obj = ceph_source.put("a", data, part=5_500_000)
    ceph_source.get(obj)
    assert ceph_source.path(obj).read_bytes() == data
    assert ceph_source.proxy.sent == len(data)


def test_parts_of_a_size_that_nobody_knows_are_refused(ceph_source):
    obj = ceph_source.put("a", random_bytes(11_000_000), part=5_555_555)
    with pytest.raises(StorageError, match=f"expected ETag {obj.etag}, found no size of its 2 parts that gives it"):
        ceph_source.get(obj)
    assert not ceph_source.left()


@pytest.mark.parametrize("part", [None, 5 * MIB])
def test_a_byte_that_changed_on_the_way_is_found_and_the_object_got_again(source, part, caplog):
    data = random_bytes(11 * MIB)
    obj = source.put("a", data, part=part)
    source.proxy.once = [Fault(flip=5 * MIB + 1)] * 3
    source.get(obj, part_size=5 * MIB, connections=1)
    assert source.path(obj).read_bytes() == data
    assert f"{obj.url}: expected ETag {obj.etag}, found " in caplog.text
    assert source.left() == ["a"]


@pytest.mark.parametrize("part", [None, 5 * MIB])
def test_an_object_that_never_comes_right_is_refused_and_leaves_nothing(moto_source, part):
    data = random_bytes(6 * MIB)
    obj = moto_source.put("a", data, part=part)
    moto_source.path(obj).write_text("what was there before")
    wrong = bytearray(data)
    wrong[123] ^= 1
    if part:
        md5s = b"".join(hashlib.md5(wrong[start : start + part]).digest() for start in range(0, len(data), part))
        found = f"{hashlib.md5(md5s).hexdigest()}-2"
    else:
        found = hashlib.md5(wrong).hexdigest()
    moto_source.proxy.always = Fault(flip=123)
    with pytest.raises(StorageError) as caught:
        moto_source.get(obj)
    assert str(caught.value).startswith(f"{obj.url}: expected ETag {obj.etag}, found {found}, twice;")
    assert moto_source.left() == ["a"]
    assert moto_source.path(obj).read_text() == "what was there before"


def test_an_encrypted_object_is_verified_by_its_checksum(moto_source, caplog):
    """Its ETag is no MD5."""
    data = random_bytes(3 * MIB)
    obj = moto_source.put("a", data, ServerSideEncryption="aws:kms", ChecksumAlgorithm="SHA256")
    obj = type(obj)(obj.url, obj.size, "0" * 32, obj.modified)
    moto_source.proxy.always = Fault(etag="0" * 32)
    moto_source.get(obj)
    assert moto_source.path(obj).read_bytes() == data
    assert not caplog.records
    moto_source.proxy.always = Fault(etag="0" * 32, flip=1)
    expected = base64.b64encode(hashlib.sha256(data).digest()).decode()
    with pytest.raises(StorageError, match=f"expected ChecksumSHA256 {expected}, found "):
        moto_source.get(obj)


def test_an_encrypted_object_without_checksum_is_verified_by_its_size_and_that_is_said(moto_source, caplog):
    data = random_bytes(MIB)
    obj = moto_source.put("a", data, ServerSideEncryption="aws:kms")
    obj = type(obj)(obj.url, obj.size, "0" * 32, obj.modified)
    moto_source.proxy.always = Fault(etag="0" * 32)
    moto_source.get(obj)
    assert moto_source.path(obj).read_bytes() == data
    assert f"{obj.url}: verified by its size alone" in caplog.text


@pytest.mark.parametrize("kind, parts", [("FULL_OBJECT", 0), ("COMPOSITE", 3)])
def test_checksums_are_taken_as_the_endpoint_takes_them(tmp_path, kind, parts):
    data, part = random_bytes(2 * MIB + 5), MIB
    if parts:
        sums = b"".join(
            zlib.crc32(data[start : start + part]).to_bytes(4, "big") for start in range(0, len(data), part)
        )
        value = base64.b64encode(zlib.crc32(sums).to_bytes(4, "big")).decode() + "-3"
    else:
        value = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()

    class Client:
        def head_object(self, **_):
            return {"ChecksumCRC32": value, "ChecksumType": kind, "ETag": '"x-3"', "ServerSideEncryption": "aws:kms"}

    stored = etag.head_stored(Client(), "lab", "a", part)
    assert stored == etag.Stored(True, "ChecksumCRC32", value, part if parts else 0)
    (tmp_path / "a").write_bytes(data)
    with (tmp_path / "a").open("rb") as file:
        assert stored.take(file.fileno(), len(data)) == value


def test_two_downloads_of_one_file_are_refused(moto_source):
    obj = moto_source.put("a", b"content")
    with (moto_source.folder / ".a.s3journal").open("w") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match=f"{moto_source.path(obj)}: expected to be alone in writing it"):
            moto_source.get(obj)
    moto_source.get(obj)
    assert moto_source.path(obj).read_bytes() == b"content"


def test_too_little_space_is_noticed_before_anything_is_transferred(moto_source, monkeypatch):
    objects = [moto_source.put(key, random_bytes(MIB)) for key in "ab"]
    usage = shutil.disk_usage(moto_source.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2 * MIB + 20_000))
    with pytest.raises(StorageError, match=r"target: expected 0.002 GB of free space .*, found 0.002 GB; free some"):
        moto_source.get(*objects)
    assert not moto_source.proxy.log and not moto_source.left()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2 * MIB + 22_000))
    moto_source.get(*objects)
    assert moto_source.left() == ["a", "b"]


def test_a_place_that_cannot_be_written_is_named(moto_source):
    obj = moto_source.put("a", b"content")
    moto_source.path(obj).mkdir()
    with pytest.raises(
        StorageError, match=f"{moto_source.path(obj)}: expected to write {obj.url} there, found: Is a dir"
    ):
        moto_source.get(obj)
    (moto_source.folder / "file").touch()
    with pytest.raises(StorageError, match="file/b: expected to write .*, found: "):
        download_objects([(obj, moto_source.folder / "file" / "b")])


def test_folders_are_made(moto_source):
    obj = moto_source.put("raw/day/a", b"content")
    download_objects([(obj, str(moto_source.folder / "raw" / "day" / "a"))])
    assert (moto_source.folder / "raw" / "day" / "a").read_bytes() == b"content"


def test_memory_does_not_grow_with_the_object(ceph_source):
    used = {}
    for n_mib in (30, 300):
        ceph_source.put("a", random_bytes(n_mib * MIB), part=5 * MIB)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, ceph_source.bucket, str(ceph_source.folder)],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"MALLOC_ARENA_MAX": "2"},
        )
        used[n_mib] = int(done.stdout) / 1024
        assert (ceph_source.folder / "a").stat().st_size == n_mib * MIB
    assert used[300] - used[30] < 15
