import base64
import fcntl
import hashlib
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zlib

import pytest
from s3_endpoints import Fault, FaultyProxy, put_parts, random_bytes, use, writer

from hippflow.cloud import download, etag, s3
from hippflow.cloud.download import download_objects
from hippflow.cloud.s3 import list_objects
from hippflow.cloud.workers import Patience
from hippflow.errors import StorageError

MIB = 1 << 20
IMPATIENT = Patience(attempts=3, seconds=10, first_pause=0.02, longest_pause=0.05)

#: What a process of its own does: download the objects of a bucket to a folder, and tell its largest memory in kB.
PROGRAM = """
import re, sys
from pathlib import Path
from hippflow.cloud.download import download_objects
from hippflow.cloud.s3 import list_objects
bucket, folder = sys.argv[1:]
found = list_objects(f"s3://{bucket}")
download_objects([(obj, Path(folder) / key) for key, obj in found.items()], connections=4)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


class Place:
    """An empty bucket behind a proxy, and an empty folder."""

    def __init__(self, proxy, client, bucket, folder):
        self.proxy, self.client, self.bucket, self.folder = proxy, client, bucket, folder

    def put(self, key, data, part=None, **more):
        """Put an object and return it as listed; the proxy has seen nothing afterwards."""
        if part:
            put_parts(self.client, self.bucket, key, data, part)
        else:
            self.client.put_object(Bucket=self.bucket, Key=key, Body=data, **more)
        obj = list_objects(f"s3://{self.bucket}", self.client)[key]
        self.proxy.log.clear()
        return obj

    def get(self, *objects, **settings):
        """Download objects to files of their keys' last parts."""
        settings = {"patience": IMPATIENT, "connections": 4} | settings
        download_objects([(obj, self.path(obj)) for obj in objects], **settings)

    def path(self, obj):
        return self.folder / obj.url.rsplit("/", 1)[1]

    def left(self):
        """Names of all files in the folder."""
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture(params=["moto", "ceph"])
def place(request, monkeypatch, tmp_path):
    """On both endpoints."""
    yield from make_place(request.getfixturevalue(request.param), monkeypatch, tmp_path)


@pytest.fixture
def moto_place(moto, monkeypatch, tmp_path):
    yield from make_place(moto, monkeypatch, tmp_path)


@pytest.fixture
def ceph_place(ceph, monkeypatch, tmp_path):
    yield from make_place(ceph, monkeypatch, tmp_path)


def make_place(environment, monkeypatch, folder):
    client, bucket = writer(environment), f"lab-{random.SystemRandom().randrange(10**9)}"
    client.create_bucket(Bucket=bucket)
    with FaultyProxy(environment) as proxy:
        use(monkeypatch, proxy.environment)
        monkeypatch.setattr(s3, "ATTEMPTS", 1)  # only our own
        target = folder / "target"
        target.mkdir()
        yield Place(proxy, client, bucket, target)
    for found in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in found.get("Contents", ()):
            client.delete_object(Bucket=bucket, Key=entry["Key"])


def test_small_objects_come_whole_by_one_request_each(place):
    contents = {"a": b"", "b": b"x", "c ä+%41.nev": random_bytes(1000), "d": random_bytes(3 * MIB, 2)}
    objects = [place.put(key, data) for key, data in contents.items()]
    start = time.time()
    place.get(*objects)
    assert {path.name: path.read_bytes() for path in place.folder.iterdir()} == contents
    assert len(place.proxy.log) == len(objects)
    for obj in objects:
        assert start - 1 <= place.path(obj).stat().st_mtime <= time.time() + 1


def test_nothing_but_reading_requests_are_made(ceph_place):
    ceph_place.get(ceph_place.put("a", random_bytes(11 * MIB), part=5 * MIB), part_size=5 * MIB)
    assert {method for method, _, _ in ceph_place.proxy.log} <= {"GET", "HEAD"}


def test_no_objects_are_no_work():
    download_objects([])


@pytest.mark.parametrize("part", [5, 8, 16])
def test_an_object_in_parts_is_verified_part_by_part(place, part, caplog):
    data = random_bytes(2 * part * MIB + 12345)
    with caplog.at_level(logging.WARNING):
        obj = place.put("a", data, part=part * MIB)
        place.get(obj)
    assert obj.etag.endswith("-3")
    assert place.path(obj).read_bytes() == data
    assert not caplog.records
    assert {start % (part * MIB) for start, _ in place.proxy.objects_got} == {0}
    assert sum(stop - start + 1 for start, stop in place.proxy.objects_got) == len(data)


def test_parts_that_are_too_large_to_ask_for_are_verified_behind_the_front(place, monkeypatch):
    monkeypatch.setattr(download, "LARGEST_PART", 5 * MIB)
    data = random_bytes(13 * MIB + 7)
    obj = place.put("a", data, part=6 * MIB)
    place.get(obj, part_size=MIB + 1)
    assert place.path(obj).read_bytes() == data
    place.proxy.always = Fault(flip=12 * MIB + 3)
    with pytest.raises(StorageError, match="expected ETag"):
        place.get(obj, part_size=MIB + 1)


def test_an_object_in_one_piece_is_verified_behind_the_front(place, caplog):
    data = random_bytes(9 * MIB + 5)
    obj = place.put("a", data)
    with caplog.at_level(logging.INFO):
        place.get(obj, part_size=MIB)
    assert obj.etag == hashlib.md5(data).hexdigest()
    assert place.path(obj).read_bytes() == data
    assert len(place.proxy.objects_got) > 4
    (record,) = [record for record in caplog.records if record.name == "hippflow.cloud.download"]
    assert record.message.startswith("1 objects: 9.4 MB in ")
    assert record.message.endswith(f" MB/s), {len(place.proxy.log)} requests")


def test_parts_of_a_size_that_is_usual_nowhere_are_found_if_they_share_alike(ceph_place):
    data = random_bytes(11_000_000)
    obj = ceph_place.put("a", data, part=5_500_000)
    ceph_place.get(obj)
    assert ceph_place.path(obj).read_bytes() == data
    assert ceph_place.proxy.sent == len(data)


def test_parts_of_a_size_that_nobody_knows_are_refused(ceph_place):
    obj = ceph_place.put("a", random_bytes(11_000_000), part=5_555_555)
    with pytest.raises(StorageError, match=f"expected ETag {obj.etag}, found no size of its 2 parts that gives it"):
        ceph_place.get(obj)
    assert not ceph_place.left()


@pytest.mark.parametrize("part", [None, 5 * MIB])
def test_a_byte_that_changed_on_the_way_is_found_and_the_object_got_again(place, part, caplog):
    data = random_bytes(11 * MIB)
    obj = place.put("a", data, part=part)
    place.proxy.once = [Fault(flip=5 * MIB + 1)] * 3
    place.get(obj, part_size=5 * MIB, connections=1)
    assert place.path(obj).read_bytes() == data
    assert f"{obj.url}: expected ETag {obj.etag}, found " in caplog.text
    assert place.left() == ["a"]


@pytest.mark.parametrize("part", [None, 5 * MIB])
def test_an_object_that_never_comes_right_is_refused_and_leaves_nothing(moto_place, part):
    data = random_bytes(6 * MIB)
    obj = moto_place.put("a", data, part=part)
    moto_place.path(obj).write_text("what was there before")
    wrong = bytearray(data)
    wrong[123] ^= 1
    if part:
        md5s = b"".join(hashlib.md5(wrong[start : start + part]).digest() for start in range(0, len(data), part))
        found = f"{hashlib.md5(md5s).hexdigest()}-2"
    else:
        found = hashlib.md5(wrong).hexdigest()
    moto_place.proxy.always = Fault(flip=123)
    with pytest.raises(StorageError) as caught:
        moto_place.get(obj)
    assert str(caught.value).startswith(f"{obj.url}: expected ETag {obj.etag}, found {found}, twice;")
    assert moto_place.left() == ["a"]
    assert moto_place.path(obj).read_text() == "what was there before"


def test_an_encrypted_object_is_verified_by_its_checksum(moto_place, caplog):
    """Its ETag is no MD5."""
    data = random_bytes(3 * MIB)
    obj = moto_place.put("a", data, ServerSideEncryption="aws:kms", ChecksumAlgorithm="SHA256")
    obj = type(obj)(obj.url, obj.size, "0" * 32, obj.modified)
    moto_place.proxy.always = Fault(etag="0" * 32)
    moto_place.get(obj)
    assert moto_place.path(obj).read_bytes() == data
    assert not caplog.records
    moto_place.proxy.always = Fault(etag="0" * 32, flip=1)
    expected = base64.b64encode(hashlib.sha256(data).digest()).decode()
    with pytest.raises(StorageError, match=f"expected ChecksumSHA256 {expected}, found "):
        moto_place.get(obj)


def test_an_encrypted_object_without_checksum_is_verified_by_its_size_and_that_is_said(moto_place, caplog):
    data = random_bytes(MIB)
    obj = moto_place.put("a", data, ServerSideEncryption="aws:kms")
    obj = type(obj)(obj.url, obj.size, "0" * 32, obj.modified)
    moto_place.proxy.always = Fault(etag="0" * 32)
    moto_place.get(obj)
    assert moto_place.path(obj).read_bytes() == data
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


def test_a_connection_that_is_cut_goes_on_where_it_broke(place):
    data = random_bytes(12 * MIB)
    obj = place.put("a", data, part=6 * MIB)
    place.proxy.once = [Fault(cut=1_000_000)] * 5  # one of both requests fails more often than it may without progress
    place.get(obj, connections=1)
    assert place.path(obj).read_bytes() == data
    assert len(data) <= place.proxy.sent < len(data) + 6 * MIB / 4  # what was sent, and was lost with the connection
    assert len(place.proxy.objects_got) == 2 + 5


def test_a_burst_of_refusals_is_survived(ceph_place):
    data = random_bytes(2 * MIB)
    obj = ceph_place.put("a", data)
    ceph_place.proxy.once = [Fault(status=503, code="SlowDown")] * 4 + [Fault(status=500, code="InternalError")]
    ceph_place.get(obj, patience=Patience(attempts=6, seconds=60, first_pause=0.02))
    assert ceph_place.path(obj).read_bytes() == data


def test_an_endpoint_that_stays_busy_is_given_up(moto_place):
    obj = moto_place.put("a", b"x" * 1000)
    moto_place.proxy.always = Fault(status=503, code="SlowDown")
    with pytest.raises(StorageError, match=rf"{obj.url} at .*found SlowDown \(HTTP 503\).*try again later"):
        moto_place.get(obj, patience=Patience(attempts=2, first_pause=0.02))
    assert len(moto_place.proxy.objects_got) == 2


def test_an_object_that_ends_too_early_is_given_up(moto_place):
    obj = moto_place.put("a", random_bytes(MIB))
    moto_place.proxy.always = Fault(shorten=MIB)
    with pytest.raises(StorageError, match="expected an endpoint that answers, found: .*bytes"):
        moto_place.get(obj)
    assert not moto_place.path(obj).exists()


def test_an_endpoint_without_ranges_is_refused(moto_place):
    obj = moto_place.put("a", random_bytes(3 * MIB))
    moto_place.proxy.always = Fault(whole=True)
    with pytest.raises(StorageError, match="expected bytes .* alone, found 3145728 bytes"):
        moto_place.get(obj, part_size=MIB)


def test_a_changed_object_is_refused(place):
    obj = place.put("a", random_bytes(MIB))
    place.put("a", random_bytes(MIB, 2))
    with pytest.raises(StorageError, match=f"{obj.url} at .*changed since the run was planned; start again"):
        place.get(obj)
    assert not place.path(obj).exists()


def test_an_object_that_is_gone_is_refused(ceph_place):
    obj = ceph_place.put("a", random_bytes(MIB))
    ceph_place.client.delete_object(Bucket=ceph_place.bucket, Key="a")
    with pytest.raises(StorageError, match=f"{obj.url} at .*expected an object of this name, found NoSuchKey"):
        ceph_place.get(obj)


def test_one_failure_ends_the_others_which_go_on_later(moto_place):
    objects = [moto_place.put(f"{number}", random_bytes(1000, number)) for number in range(20)]
    gone = moto_place.put("gone", b"x")
    moto_place.client.delete_object(Bucket=moto_place.bucket, Key="gone")
    with pytest.raises(StorageError, match="NoSuchKey"):
        moto_place.get(gone, *objects, connections=1)
    assert len(moto_place.proxy.objects_got) < 10
    moto_place.get(*objects)
    assert all(moto_place.path(obj).read_bytes() == random_bytes(1000, k) for k, obj in enumerate(objects))


def killed_download(place, obj, blocks):
    """Download in another process, and kill it when so many blocks are on disk; return the bytes of these."""
    journal = place.folder / f".{obj.url.rsplit('/', 1)[1]}.s3journal"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, place.bucket, str(place.folder)])
    try:
        deadline = time.monotonic() + 60
        while not journal.exists() or len(journal.read_bytes().splitlines()) <= blocks:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    lines = journal.read_bytes().splitlines()
    return (len(lines) - 1) * json.loads(lines[0])["block"]


@pytest.mark.parametrize("part", [None, 8 * MIB])
def test_a_killed_download_goes_on_with_what_is_missing(ceph_place, part):
    data = random_bytes(200 * MIB)
    obj = ceph_place.put("a", data, part=part)
    ceph_place.proxy.always = Fault(pause=0.002)
    done = killed_download(ceph_place, obj, blocks=5)
    assert ceph_place.left() == [".a.s3journal", ".a.s3part"]
    ceph_place.proxy.always, ceph_place.proxy.log[:] = None, []
    ceph_place.get(obj)
    asked = sum(stop - start + 1 for start, stop in ceph_place.proxy.objects_got)
    assert asked == len(data) - done < len(data)
    assert hashlib.sha256(ceph_place.path(obj).read_bytes()).digest() == hashlib.sha256(data).digest()
    assert ceph_place.left() == ["a"]


@pytest.fixture
def interrupted(ceph_place):
    """A place, an object of four parts and its content; two of them are on disk."""
    data = random_bytes(4 * 5 * MIB)
    obj = ceph_place.put("a", data, part=5 * MIB)
    ceph_place.proxy.once = [Fault()] * 2 + [Fault(status=403, code="AccessDenied")]
    with pytest.raises(StorageError, match="AccessDenied"):
        ceph_place.get(obj, connections=1)
    assert ceph_place.left() == [".a.s3journal", ".a.s3part"]
    ceph_place.proxy.log.clear()
    return ceph_place, obj, data


def journaled(place):
    """The blocks that the journal of an interrupted download says are on disk."""
    return [int(line.split()[0]) for line in (place.folder / ".a.s3journal").read_text().splitlines()[1:]]


def test_an_interrupted_download_goes_on_with_what_is_missing(interrupted):
    place, obj, data = interrupted
    missing = {0, 1, 2, 3}.difference(journaled(place))
    place.get(obj)
    assert sorted(place.proxy.objects_got) == [(k * 5 * MIB, (k + 1) * 5 * MIB - 1) for k in sorted(missing)]
    assert place.path(obj).read_bytes() == data


def test_blocks_that_a_power_failure_took_are_got_again(interrupted):
    place, obj, data = interrupted
    with (place.folder / ".a.s3part").open("r+b") as part:
        part.seek(journaled(place)[1] * 5 * MIB + 100)
        part.write(bytes(4096))
    place.get(obj)
    assert len(place.proxy.objects_got) == 3
    assert place.path(obj).read_bytes() == data


def test_a_journal_without_its_file_is_of_no_use(interrupted):
    place, obj, data = interrupted
    (place.folder / ".a.s3part").unlink()
    place.get(obj)
    assert len(place.proxy.objects_got) == 4
    assert place.path(obj).read_bytes() == data


@pytest.mark.parametrize("rest", [b"2 8f", b"nonsense\n\xff\n2 "])
def test_a_journal_that_ends_amid_a_line_is_used_up_to_it(interrupted, rest):
    place, obj, data = interrupted
    with (place.folder / ".a.s3journal").open("ab") as journal:
        journal.write(rest)
    place.get(obj)
    assert len(place.proxy.objects_got) == 2
    assert place.path(obj).read_bytes() == data


@pytest.mark.parametrize("text", [b"", b"{}\n", b"[1]\n0 00\n"])
def test_a_journal_that_cannot_be_read_is_discarded(interrupted, text):
    place, obj, data = interrupted
    (place.folder / ".a.s3journal").write_bytes(text)
    place.get(obj)
    assert len(place.proxy.objects_got) == 4
    assert place.path(obj).read_bytes() == data


def test_a_journal_of_another_etag_is_discarded(interrupted):
    place, _, _ = interrupted
    data = random_bytes(4 * 5 * MIB, 2)
    obj = place.put("a", data, part=5 * MIB)
    place.get(obj)
    assert len(place.proxy.objects_got) == 4
    assert place.path(obj).read_bytes() == data


def test_a_journal_of_another_size_is_discarded(interrupted):
    place, _, _ = interrupted
    data = random_bytes(6 * MIB, 3)
    obj = place.put("a", data)
    place.get(obj)
    assert place.path(obj).read_bytes() == data


def test_two_downloads_of_one_file_are_refused(moto_place):
    obj = moto_place.put("a", b"content")
    with (moto_place.folder / ".a.s3journal").open("w") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match=f"{moto_place.path(obj)}: expected to be alone in writing it"):
            moto_place.get(obj)
    moto_place.get(obj)
    assert moto_place.path(obj).read_bytes() == b"content"


def test_too_little_space_is_noticed_before_anything_is_transferred(moto_place, monkeypatch):
    objects = [moto_place.put(key, random_bytes(MIB)) for key in "ab"]
    usage = shutil.disk_usage(moto_place.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2 * MIB + 20_000))
    with pytest.raises(StorageError, match=r"target: expected 0.002 GB of free space .*, found 0.002 GB; free some"):
        moto_place.get(*objects)
    assert not moto_place.proxy.log and not moto_place.left()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2 * MIB + 22_000))
    moto_place.get(*objects)
    assert moto_place.left() == ["a", "b"]


def test_space_that_an_interrupted_download_has_taken_is_not_needed_again(interrupted, monkeypatch):
    place, obj, data = interrupted
    usage = shutil.disk_usage(place.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4096))
    place.get(obj)
    assert place.path(obj).read_bytes() == data


def test_a_place_that_cannot_be_written_is_named(moto_place):
    obj = moto_place.put("a", b"content")
    moto_place.path(obj).mkdir()
    with pytest.raises(
        StorageError, match=f"{moto_place.path(obj)}: expected to write {obj.url} there, found: Is a dir"
    ):
        moto_place.get(obj)
    (moto_place.folder / "file").touch()
    with pytest.raises(StorageError, match="file/b: expected to write .*, found: "):
        download_objects([(obj, moto_place.folder / "file" / "b")])


def test_folders_are_made(moto_place):
    obj = moto_place.put("raw/day/a", b"content")
    download_objects([(obj, str(moto_place.folder / "raw" / "day" / "a"))])
    assert (moto_place.folder / "raw" / "day" / "a").read_bytes() == b"content"


def test_memory_does_not_grow_with_the_object(ceph_place):
    used = {}
    for n_mib in (30, 300):
        ceph_place.put("a", random_bytes(n_mib * MIB), part=5 * MIB)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, ceph_place.bucket, str(ceph_place.folder)],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"MALLOC_ARENA_MAX": "2"},
        )
        used[n_mib] = int(done.stdout) / 1024
        assert (ceph_place.folder / "a").stat().st_size == n_mib * MIB
    assert used[300] - used[30] < 15
