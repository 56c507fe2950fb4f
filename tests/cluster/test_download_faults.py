"""Downloads that fail, are refused or are killed: what is given up and what goes on where it ended."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from download_source import MIB, PROGRAM
from s3_endpoints import Fault, random_bytes

from hippflow.cloud.workers import Patience
from hippflow.errors import StorageError

pytest_plugins = ["download_source"]


def test_a_connection_that_is_cut_goes_on_where_it_broke(source):
    data = random_bytes(12 * MIB)
    obj = source.put("a", data, part=6 * MIB)
    source.proxy.once = [Fault(cut=1_000_000)] * 5  # one of both requests fails more often than it may without progress
    source.get(obj, connections=1)
    assert source.path(obj).read_bytes() == data
    assert len(data) <= source.proxy.sent < len(data) + 6 * MIB / 4  # what was sent, and was lost with the connection
    assert len(source.proxy.objects_got) == 2 + 5


def test_a_burst_of_refusals_is_survived(ceph_source):
    data = random_bytes(2 * MIB)
    obj = ceph_source.put("a", data)
    ceph_source.proxy.once = [Fault(status=503, code="SlowDown")] * 4 + [Fault(status=500, code="InternalError")]
    ceph_source.get(obj, patience=Patience(attempts=6, seconds=60, first_pause=0.02))
    assert ceph_source.path(obj).read_bytes() == data


def test_an_endpoint_that_stays_busy_is_given_up(moto_source):
    obj = moto_source.put("a", b"x" * 1000)
    moto_source.proxy.always = Fault(status=503, code="SlowDown")
    with pytest.raises(StorageError, match=rf"{obj.url} at .*found SlowDown \(HTTP 503\).*try again later"):
        moto_source.get(obj, patience=Patience(attempts=2, first_pause=0.02))
    assert len(moto_source.proxy.objects_got) == 2


def test_an_object_that_ends_too_early_is_given_up(moto_source):
    obj = moto_source.put("a", random_bytes(MIB))
    moto_source.proxy.always = Fault(shorten=MIB)
    with pytest.raises(StorageError, match="expected an endpoint that answers, found: .*bytes"):
        moto_source.get(obj)
    assert not moto_source.path(obj).exists()


def test_an_endpoint_without_ranges_is_refused(moto_source):
    obj = moto_source.put("a", random_bytes(3 * MIB))
    moto_source.proxy.always = Fault(whole=True)
    with pytest.raises(StorageError, match="expected bytes .* alone, found 3145728 bytes"):
        moto_source.get(obj, part_size=MIB)


def test_a_changed_object_is_refused(source):
    obj = source.put("a", random_bytes(MIB))
    source.put("a", random_bytes(MIB, 2))
    with pytest.raises(StorageError, match=f"{obj.url} at .*changed since the run was planned; start again"):
        source.get(obj)
    assert not source.path(obj).exists()


def test_an_object_that_is_gone_is_refused(ceph_source):
    obj = ceph_source.put("a", random_bytes(MIB))
    ceph_source.client.delete_object(Bucket=ceph_source.bucket, Key="a")
    with pytest.raises(StorageError, match=f"{obj.url} at .*expected an object of this name, found NoSuchKey"):
        ceph_source.get(obj)


def test_one_failure_ends_the_others_which_go_on_later(moto_source):
    objects = [moto_source.put(f"{number}", random_bytes(1000, number)) for number in range(20)]
    gone = moto_source.put("gone", b"x")
    moto_source.client.delete_object(Bucket=moto_source.bucket, Key="gone")
    with pytest.raises(StorageError, match="NoSuchKey"):
        moto_source.get(gone, *objects, connections=1)
    assert len(moto_source.proxy.objects_got) < 10
    moto_source.get(*objects)
    assert all(moto_source.path(obj).read_bytes() == random_bytes(1000, k) for k, obj in enumerate(objects))


def killed_download(source, obj, blocks):
    """Download in another process, and kill it when so many blocks are on disk; return the bytes of these."""
    journal = source.folder / f".{obj.url.rsplit('/', 1)[1]}.s3journal"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, source.bucket, str(source.folder)])
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
def test_a_killed_download_goes_on_with_what_is_missing(ceph_source, part):
    data = random_bytes(200 * MIB)
    obj = ceph_source.put("a", data, part=part)
    ceph_source.proxy.always = Fault(pause=0.002)
    done = killed_download(ceph_source, obj, blocks=5)
    assert ceph_source.left() == [".a.s3journal", ".a.s3part"]
    ceph_source.proxy.always, ceph_source.proxy.log[:] = None, []
    ceph_source.get(obj)
    asked = sum(stop - start + 1 for start, stop in ceph_source.proxy.objects_got)
    assert asked == len(data) - done < len(data)
    assert hashlib.sha256(ceph_source.path(obj).read_bytes()).digest() == hashlib.sha256(data).digest()
    assert ceph_source.left() == ["a"]


@pytest.fixture
def interrupted(ceph_source):
    """A source, an object of four parts and its content; two of them are on disk."""
    data = random_bytes(4 * 5 * MIB)
    obj = ceph_source.put("a", data, part=5 * MIB)
    ceph_source.proxy.once = [Fault()] * 2 + [Fault(status=403, code="AccessDenied")]
    with pytest.raises(StorageError, match="AccessDenied"):
        ceph_source.get(obj, connections=1)
    assert ceph_source.left() == [".a.s3journal", ".a.s3part"]
    ceph_source.proxy.log.clear()
    return ceph_source, obj, data


def journaled(source):
    """The blocks that the journal of an interrupted download says are on disk."""
    return [int(line.split()[0]) for line in (source.folder / ".a.s3journal").read_text().splitlines()[1:]]


def test_an_interrupted_download_goes_on_with_what_is_missing(interrupted):
    source, obj, data = interrupted
    missing = {0, 1, 2, 3}.difference(journaled(source))
    source.get(obj)
    assert sorted(source.proxy.objects_got) == [(k * 5 * MIB, (k + 1) * 5 * MIB - 1) for k in sorted(missing)]
    assert source.path(obj).read_bytes() == data


def test_blocks_that_a_power_failure_took_are_got_again(interrupted):
    source, obj, data = interrupted
    with (source.folder / ".a.s3part").open("r+b") as part:
        part.seek(journaled(source)[1] * 5 * MIB + 100)
        part.write(bytes(4096))
    source.get(obj)
    assert len(source.proxy.objects_got) == 3
    assert source.path(obj).read_bytes() == data


def test_a_journal_without_its_file_is_of_no_use(interrupted):
    source, obj, data = interrupted
    (source.folder / ".a.s3part").unlink()
    source.get(obj)
    assert len(source.proxy.objects_got) == 4
    assert source.path(obj).read_bytes() == data


@pytest.mark.parametrize("rest", [b"2 8f", b"nonsense\n\xff\n2 "])
def test_a_journal_that_ends_amid_a_line_is_used_up_to_it(interrupted, rest):
    source, obj, data = interrupted
    with (source.folder / ".a.s3journal").open("ab") as journal:
        journal.write(rest)
    source.get(obj)
    assert len(source.proxy.objects_got) == 2
    assert source.path(obj).read_bytes() == data


@pytest.mark.parametrize("text", [b"", b"{}\n", b"[1]\n0 00\n"])
def test_a_journal_that_cannot_be_read_is_discarded(interrupted, text):
    source, obj, data = interrupted
    (source.folder / ".a.s3journal").write_bytes(text)
    source.get(obj)
    assert len(source.proxy.objects_got) == 4
    assert source.path(obj).read_bytes() == data


def test_a_journal_of_another_etag_is_discarded(interrupted):
    source, _, _ = interrupted
    data = random_bytes(4 * 5 * MIB, 2)
    obj = source.put("a", data, part=5 * MIB)
    source.get(obj)
    assert len(source.proxy.objects_got) == 4
    assert source.path(obj).read_bytes() == data


def test_a_journal_of_another_size_is_discarded(interrupted):
    source, _, _ = interrupted
    data = random_bytes(6 * MIB, 3)
    obj = source.put("a", data)
    source.get(obj)
    assert source.path(obj).read_bytes() == data


def test_space_that_an_interrupted_download_has_taken_is_not_needed_again(interrupted, monkeypatch):
    source, obj, data = interrupted
    usage = shutil.disk_usage(source.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4096))
    source.get(obj)
    assert source.path(obj).read_bytes() == data
