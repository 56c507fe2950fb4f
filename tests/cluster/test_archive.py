import hashlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest
from debian import free_ports, wait_until
from s3_endpoints import FaultyProxy, put_parts, random_bytes, use, writer

from hippflow.cloud import archive_local, s3
from hippflow.cloud.archive import archive_files, list_day_files, verify
from hippflow.cloud.workers import Patience
from hippflow.errors import StorageError

MIB = 1 << 20
#: Bytes of a part, the least that S3 allows; the default would make all files of the tests three times as large.
PART = 5 * MIB
DAY = "picasso/20181105"
IMPATIENT = Patience(attempts=3, seconds=10, first_pause=0.02, longest_pause=0.05)

#: What a process of its own does: archive a day, and tell its largest memory in kB.
PROGRAM = """
import re, sys
from pathlib import Path
from hippflow.cloud import archive_local
from hippflow.cloud.archive import archive_files, list_day_files
from hippflow.cloud.workers import Patience
archive_local.PART_SIZE = 5 << 20
patience = Patience(first_pause=0.1)
root, url = sys.argv[1:]
assert archive_files(root, list_day_files(root, "picasso/20181105"), url, connections=4, patience=patience).ok
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@dataclass
class Trouble:
    """What a proxy does to one request or its answer.

    Attributes
    ----------
    status, code : int, str
        Answer this, and do not ask the endpoint.
    cut : bool
        Close the connection amid the body of the request, or of the answer where the request has none.
    flip : int
        Change the byte at this offset of the request's body, or of the answer's where the request has none.
    lose : bool
        Do not pass on the answer.
    before : callable
        Called before the endpoint is asked.
    """

    status: int = 0
    code: str = ""
    cut: bool = False
    flip: int | None = None
    lose: bool = False
    before: Callable[[], object] = lambda: None


class Proxy(FaultyProxy):
    """A server that forwards requests with their bodies to an endpoint.

    Attributes
    ----------
    trouble : callable
        Returns the trouble that a request is to have, or None; called with method, path and query as text.
    pause : float
        Seconds to wait before every request with a body.
    log : list of (str, str, int)
        Method, path and bytes of the body of every request that reached the endpoint.
    """

    trouble, pause = staticmethod(lambda _: None), 0.0

    def sent_bodies(self):
        """Bytes of files that reached the endpoint: not those of the request that completes an upload."""
        return sum(size for method, _, size in self.log if method == "PUT")

    def _answer(self, handler):
        length = int(handler.headers.get("Content-Length", 0))
        trouble = self.trouble(f"{handler.command} {handler.path}") or Trouble()
        body = bytearray(handler.rfile.read(length // 2 if trouble.cut and length else length))
        trouble.before()
        if body:
            time.sleep(self.pause)
        if trouble.status:
            self._refuse(handler, trouble)
            return
        if trouble.cut and length:
            handler.close_connection = True
            return
        if trouble.flip is not None and body:
            body[trouble.flip] ^= 1
        upstream = http.client.HTTPConnection(self._upstream, timeout=60)
        try:
            headers = {name: value for name, value in handler.headers.items() if name.lower() != "expect"}
            upstream.request(handler.command, handler.path, body=bytes(body) or None, headers=headers)
            answer = upstream.getresponse()
            content = bytearray(answer.read())
        finally:
            upstream.close()
        with self._lock:
            self.log.append((handler.command, handler.path, length))
        if trouble.lose:
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                handler.send_header(name, value)
        size = answer.headers.get("Content-Length", "0") if handler.command == "HEAD" else str(len(content))
        handler.send_header("Content-Length", size)
        handler.end_headers()
        if trouble.flip is not None and not length:
            content[trouble.flip] ^= 1
        with suppress(OSError):  # the client was killed
            handler.wfile.write(content[: len(content) // 2] if trouble.cut else content)
        handler.close_connection = trouble.cut


class Place:
    """Results of a day, and a bucket with an archive in it."""

    def __init__(self, environment, root):
        self.environment, self.root = environment, root
        self.client, self.bucket = writer(environment), f"lab-{random.SystemRandom().randrange(10**9)}"
        self.client.create_bucket(Bucket=self.bucket)
        self.url = f"s3://{self.bucket}/some/products"

    def write(self, name, data):
        """Make a product of the day."""
        path = self.root / DAY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    @property
    def files(self):
        return list_day_files(self.root, DAY)

    def archive(self, **settings):
        return archive_files(self.root, self.files, self.url, **({"patience": IMPATIENT, "connections": 4} | settings))

    def verify(self, deep=False):
        return verify(self.root, self.files, self.url, deep, patience=IMPATIENT, connections=4)

    def key(self, name):
        return f"some/products/{DAY}/{name}"

    def put(self, name, data, part=None, **more):
        """Put an object where a product's would be, as another tool does."""
        if part:
            put_parts(self.client, self.bucket, self.key(name), data, part)
        else:
            self.client.put_object(Bucket=self.bucket, Key=self.key(name), Body=data, **more)

    def content(self):
        """All objects of the bucket."""
        listed = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {
            entry["Key"]: self.client.get_object(Bucket=self.bucket, Key=entry["Key"])["Body"].read()
            for entry in listed
        }

    def written(self):
        """When each object was last written."""
        listed = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {entry["Key"]: entry["LastModified"] for entry in listed}

    def begin_upload(self, name, parts):
        """Leave an upload of a product unfinished, with some parts by number; return its id."""
        upload = self.client.create_multipart_upload(Bucket=self.bucket, Key=self.key(name))["UploadId"]
        for number, data in parts.items():
            self.client.upload_part(
                Bucket=self.bucket, Key=self.key(name), UploadId=upload, PartNumber=number, Body=data
            )
        return upload

    def unfinished(self):
        return [upload["Key"] for upload in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])]


@pytest.fixture
def place(ceph, monkeypatch, tmp_path):
    yield from make_place(ceph, monkeypatch, tmp_path)


@pytest.fixture
def moto_place(moto, monkeypatch, tmp_path):
    yield from make_place(moto, monkeypatch, tmp_path)


def make_place(environment, monkeypatch, folder):
    use(monkeypatch, environment)
    monkeypatch.setattr(s3, "ATTEMPTS", 1)  # only our own
    monkeypatch.setattr(archive_local, "PART_SIZE", PART)
    place = Place(environment, folder / "results")
    yield place
    for key in place.written():  # they are in memory
        place.client.delete_object(Bucket=place.bucket, Key=key)


def etag_of(data):
    """The ETag of content in parts, by the documentation of S3."""
    if len(data) <= PART:
        return hashlib.md5(data).hexdigest()
    parts = [data[start : start + PART] for start in range(0, len(data), PART)]
    joined = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts))
    return f"{joined.hexdigest()}-{len(parts)}"


def test_files_become_objects_under_their_paths_with_their_checksums(place):
    contents = {
        "day.csv": b"",
        "session01/b ä+%41.hkl": b"x",
        "session01/array01/channel009/rplraw_d41d.hkl": random_bytes(PART),
        "mountains/channel009/firings.hkl": random_bytes(2 * PART + MIB + 5, 2),
    }
    for name, data in contents.items():
        place.write(name, data)
    report = place.archive()
    assert report.ok and not report.there and not report.failed
    assert report.sent == sorted(f"{DAY}/{name}" for name in contents)
    assert report.bytes_sent == report.n_bytes == sum(map(len, contents.values()))
    assert place.content() == {place.key(name): data for name, data in contents.items()}
    for name, data in contents.items():
        answer = place.client.head_object(Bucket=place.bucket, Key=place.key(name))
        assert answer["Metadata"] == {"hippflow-sha256": hashlib.sha256(data).hexdigest()}
        assert answer["ETag"] == f'"{etag_of(data)}"'
    assert not place.unfinished()


def test_what_is_there_is_not_sent_again_and_what_changed_replaces_it(place):
    place.write("a", b"first"), place.write("b", random_bytes(7 * MIB)), place.write("c", b"same")
    place.archive()
    before = place.written()
    report = place.archive()
    assert report.ok and not report.sent and report.bytes_sent == 0 and len(report.there) == 3
    assert place.written() == before
    place.write("a", b"other"), place.write("b", random_bytes(7 * MIB, 2))
    report = place.archive()
    assert report.sent == [f"{DAY}/a", f"{DAY}/b"] and report.there == [f"{DAY}/c"]
    assert place.content() == {
        place.key("a"): b"other",
        place.key("b"): random_bytes(7 * MIB, 2),
        place.key("c"): b"same",
    }


@pytest.mark.parametrize("part", [None, 8 * MIB])
def test_what_another_tool_has_put_in_other_parts_is_not_sent_again(place, part):
    place.write("a", random_bytes(9 * MIB))
    place.put("a", random_bytes(9 * MIB), part)
    assert place.archive().there == [f"{DAY}/a"]
    place.put("a", random_bytes(9 * MIB, 2), part)
    assert place.archive().sent == [f"{DAY}/a"]
    assert place.content()[place.key("a")] == random_bytes(9 * MIB)


def test_a_file_that_cannot_be_archived_is_named_and_the_others_go_on(moto_place):
    (outside := moto_place.root.parent / "outside").mkdir()
    (outside / "secret").write_bytes(b"secret")
    good = moto_place.write("good", b"good")
    moto_place.write("ctrl\n", b"x")
    day = good.parent
    os.mkfifo(day / "fifo")
    (day / "away").symlink_to(outside / "secret")
    (day / "folder").symlink_to(outside)
    (day / "loop").symlink_to("loop")
    (day / "inside").symlink_to("good")
    files = [*moto_place.files, day / "gone", outside / "secret", day / ".." / ".." / ".." / "outside" / "secret"]
    report = archive_files(moto_place.root, files, moto_place.url)
    assert not report.ok and report.n_files == 10
    assert moto_place.content() == {moto_place.key("good"): b"good", moto_place.key("inside"): b"good"}
    expected = {
        f"{DAY}/fifo": "fifo: expected a file of at most 5 TiB, found something else",
        f"{DAY}/away": f"below {moto_place.root}, found a link that leads outside it, to {outside}/secret",
        f"{DAY}/folder": "folder: expected a file below .*, found a link that leads outside it",
        f"{DAY}/loop": "loop: expected a file that can be read, found: Too many levels of symbolic links",
        f"{DAY}/gone": "gone: expected a file that can be read, found: No such file or directory",
        str(outside / "secret"): f"secret: expected a file below {moto_place.root}, found one elsewhere",
        str(
            files[-1]
        ): "found '../outside/secret'|found 'picasso/20181105/../../../outside/secret', which has an empty",
        str(day / "ctrl\n"): "which has control characters; rename it",
    }
    assert set(report.failed) == set(expected)
    for name, pattern in expected.items():
        assert re.search(pattern, report.failed[name]), report.failed[name]


def test_a_name_that_is_no_utf8_or_too_long_is_refused(moto_place):
    moto_place.write("good", b"good")
    day = moto_place.root / DAY
    (day / os.fsdecode(b"\xff")).write_bytes(b"x")
    deep = day.joinpath(*["d" * 200] * 5)
    deep.mkdir(parents=True)
    (deep / "x").write_bytes(b"x")
    report = moto_place.archive()
    assert report.sent == [f"{DAY}/good"]
    no_utf8, long = sorted(report.failed.values(), key=len)
    assert r"'picasso/20181105/\\udcff', which is no UTF-8; rename it" in no_utf8
    assert f"{len(f'some/products/{DAY}/') + 1006} bytes (at most 1024); rename it" in long


def test_verification_finds_what_is_missing_different_and_extra(place):
    for name, data in {"same": b"same", "large": random_bytes(7 * MIB), "short": b"short", "bad": b"good"}.items():
        place.write(name, data)
    log = place.root / "logs" / "edfsplit" / f"{DAY}.log"
    log.parent.mkdir(parents=True)
    log.write_text("done")
    place.archive()
    report = place.verify()
    assert report.ok and report.same == report.n_files == 5 and not report.extra
    assert report.to_dict()["ok"] is True
    place.write("new", b"new")
    (place.root / DAY / "link").symlink_to("/etc/hostname")
    place.put("link", b"x")
    place.put("short", b"shor")
    place.put("bad", b"evil", Metadata={"hippflow-sha256": hashlib.sha256(b"good").hexdigest()})
    corrupted = bytearray(random_bytes(7 * MIB))
    corrupted[6 * MIB] ^= 1
    place.put("large", bytes(corrupted), PART)
    place.put("old.hkl", b"of other parameters")
    place.client.put_object(Bucket=place.bucket, Key="some/products/picasso/20181106/a", Body=b"of another day")
    place.begin_upload("new", {1: b"x"})
    report = place.verify()
    assert not report.ok
    assert report.missing == [f"{DAY}/new"]
    assert report.different == {
        f"{DAY}/short": "expected 5 bytes, found 4",
        f"{DAY}/bad": f"expected ETag {hashlib.md5(b'good').hexdigest()}, found {hashlib.md5(b'evil').hexdigest()}",
        f"{DAY}/large": f"expected ETag {etag_of(random_bytes(7 * MIB))}, found {etag_of(bytes(corrupted))}",
    }
    assert list(report.unreadable) == [f"{DAY}/link"]
    assert report.extra == [f"{DAY}/old.hkl"]
    assert report.unfinished == [f"{DAY}/new"]
    assert report.same == 2 and report.n_files == 7
    assert json.loads(json.dumps(report.to_dict()))["missing"] == [f"{DAY}/new"]


def test_an_encrypted_object_is_compared_by_the_checksum_that_was_kept(moto_place):
    """With a key of KMS, its ETag is no MD5 of its content."""
    moto_place.write("a", b"good"), moto_place.write("b", b"good")
    kept = {"hippflow-sha256": hashlib.sha256(b"good").hexdigest()}
    # Stands for an ETag that says nothing: that of other bytes.
    moto_place.put("a", b"evil", Metadata=kept, ServerSideEncryption="aws:kms")
    moto_place.put("b", b"evil", ServerSideEncryption="aws:kms")
    report = moto_place.verify()
    expected = kept["hippflow-sha256"]
    assert report.different == {f"{DAY}/b": f"expected SHA-256 {expected}, found none kept"}
    assert set(moto_place.verify(deep=True).different) == {f"{DAY}/a", f"{DAY}/b"}
    assert moto_place.archive().sent == [f"{DAY}/b"]


def test_memory_does_not_grow_with_the_file(place):
    used = {}
    for n_mib in (20, 200):
        with place.write("a", b"").open("r+b") as file:
            file.truncate(n_mib * MIB)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(place.root), place.url],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"MALLOC_ARENA_MAX": "2"},
        )
        used[n_mib] = int(done.stdout) / 1024
        assert place.client.head_object(Bucket=place.bucket, Key=place.key("a"))["ContentLength"] == n_mib * MIB
    assert used[200] - used[20] < 15


# Faults


@pytest.fixture
def proxy(place, monkeypatch):
    """Between the archive and the endpoint."""
    with Proxy(place.environment) as proxy:
        use(monkeypatch, proxy.environment)
        yield proxy


@pytest.fixture
def moto_proxy(moto_place, monkeypatch):
    with Proxy(moto_place.environment) as proxy:
        use(monkeypatch, proxy.environment)
        yield proxy


def nth(pattern, *troubles):
    """Trouble for the first requests that a pattern fits, one after another."""
    waiting, lock = list(troubles), threading.Lock()

    def choose(request):
        with lock:
            return waiting.pop(0) if waiting and re.search(pattern, request) else None

    return choose


SEND, CREATE, COMPLETE = r"^PUT .*partNumber=", r"^POST .*uploads", r"^POST .*uploadId="


def test_a_killed_upload_goes_on_with_the_parts_that_are_missing(place, proxy):
    data = random_bytes(7 * PART + 1000)
    place.write("a", data), place.write("b", b"small")
    proxy.pause = 0.3
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(place.root), place.url])
    try:
        wait_until(lambda: sum(size > MIB for _, _, size in proxy.log) >= 3, 30, "three parts to arrive")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    time.sleep(0.5)  # what the proxy has it passes on
    (upload,) = place.client.list_multipart_uploads(Bucket=place.bucket)["Uploads"]
    listed = place.client.list_parts(Bucket=place.bucket, Key=place.key("a"), UploadId=upload["UploadId"])["Parts"]
    there = sum(part["Size"] for part in listed)
    assert 3 * PART <= there < len(data)
    assert place.key("a") not in place.written()
    small = 0 if place.key("b") in place.written() else 5
    proxy.pause = 0
    proxy.log.clear()
    report = place.archive()
    assert f"{DAY}/a" in report.sent and report.ok
    assert proxy.sent_bodies() == report.bytes_sent == len(data) - there + small
    assert place.content() == {place.key("a"): data, place.key("b"): b"small"}
    assert not place.unfinished()


def test_of_several_unfinished_uploads_the_fullest_goes_on_and_the_others_are_given_up(place, proxy):
    data = random_bytes(12 * MIB)
    place.write("a", data)
    place.begin_upload("a", {})
    place.begin_upload("a", {2: data[PART : 2 * PART], 1: random_bytes(PART, 9)})  # of an earlier content
    place.begin_upload("a", {1: data[: 6 * MIB]})  # of another size of parts
    place.begin_upload("a", {4: b"x"})
    place.begin_upload("a", {2: data[PART : 2 * PART]})
    place.begin_upload("of-another-product", {1: b"x"})
    kept = place.client.create_multipart_upload(
        Bucket=place.bucket,
        Key=place.key("a"),
        Metadata={"hippflow-sha256": hashlib.sha256(data).hexdigest()},
    )["UploadId"]
    for number in (1, 3):
        place.client.upload_part(
            Bucket=place.bucket,
            Key=place.key("a"),
            UploadId=kept,
            PartNumber=number,
            Body=data[(number - 1) * PART : number * PART],
        )
    assert place.archive().ok
    assert proxy.sent_bodies() == PART
    assert place.content() == {place.key("a"): data}
    assert place.unfinished() == [place.key("of-another-product")]


def test_an_unfinished_upload_with_a_part_of_another_content_is_not_continued(place, proxy):
    data = random_bytes(7 * MIB)
    place.write("a", data)
    place.begin_upload("a", {1: random_bytes(PART, 9)})
    assert place.archive().ok
    assert proxy.sent_bodies() == len(data)
    assert place.content() == {place.key("a"): data} and not place.unfinished()


def test_unfinished_uploads_of_what_is_there_are_given_up(place, proxy):
    place.write("a", random_bytes(7 * MIB)), place.write("b", b"small")
    place.archive()
    place.begin_upload("a", {1: random_bytes(PART)}), place.begin_upload("b", {})
    proxy.log.clear()
    assert len(place.archive().there) == 2
    assert proxy.sent_bodies() == 0
    assert not place.unfinished()


@pytest.mark.parametrize("there", [0, PART])
def test_an_upload_that_was_begun_for_another_content_does_not_pass_on_its_checksum(place, there):
    """What is there of it is the same, but its metadata can no more be changed, nor be seen before it is completed."""
    data = random_bytes(7 * MIB)
    place.write("a", data)
    place.begin_upload("a", {1: data[:there]} if there else {})
    assert place.archive().ok
    answer = place.client.head_object(Bucket=place.bucket, Key=place.key("a"))
    assert answer["Metadata"] == {"hippflow-sha256": hashlib.sha256(data).hexdigest()}
    assert not place.unfinished()


def test_several_at_once_do_no_harm(place):
    contents = {f"small{number}": random_bytes(1000, number) for number in range(20)} | {"a": random_bytes(17 * MIB)}
    for name, data in contents.items():
        place.write(name, data)
    place.begin_upload("a", {1: contents["a"][:PART]})
    commands = [[sys.executable, "-c", PROGRAM, str(place.root), place.url]] * 3
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    for process in processes:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert place.content() == {place.key(name): data for name, data in contents.items()}
    assert not place.unfinished()
    assert place.verify(deep=True).ok


def test_an_upload_that_another_process_takes_away_is_begun_again(place, proxy):
    data = random_bytes(12 * MIB)
    place.write("a", data)

    def take_away():
        for upload in place.client.list_multipart_uploads(Bucket=place.bucket)["Uploads"]:
            place.client.abort_multipart_upload(Bucket=place.bucket, Key=upload["Key"], UploadId=upload["UploadId"])

    proxy.trouble = nth(COMPLETE, Trouble(before=take_away))
    assert place.archive().ok
    assert place.content() == {place.key("a"): data} and not place.unfinished()
    place.write("a", random_bytes(12 * MIB, 2))
    proxy.trouble = nth(COMPLETE, *[Trouble(before=take_away)] * 3)
    report = place.archive()
    assert "expected to be alone in archiving it" in report.failed[f"{DAY}/a"]
    assert place.content() == {place.key("a"): data}


def test_a_lost_answer_sends_nothing_again(place, proxy):
    data = random_bytes(7 * MIB)
    place.write("a", data)
    proxy.trouble = nth(COMPLETE, Trouble(lose=True))
    report = place.archive()
    assert report.ok and report.bytes_sent == proxy.sent_bodies() == len(data)
    assert place.content() == {place.key("a"): data} and not place.unfinished()


def test_refusals_and_lost_connections_are_borne(place, proxy):
    contents = {"a": random_bytes(12 * MIB), "b": b"small"}
    for name, data in contents.items():
        place.write(name, data)
    busy = Trouble(status=503, code="SlowDown")
    bursts = {
        SEND: nth(SEND, busy, Trouble(cut=True), busy, Trouble(lose=True), Trouble(status=500, code="InternalError")),
        CREATE: nth(CREATE, busy, busy),
        COMPLETE: nth(COMPLETE, busy, busy),
        "list-type": nth("list-type", busy, busy),
        "/b": nth(r"^PUT .*/b", Trouble(cut=True), Trouble(lose=True)),
    }
    proxy.trouble = lambda request: next((found for choose in bursts.values() if (found := choose(request))), None)
    report = place.archive(patience=Patience(attempts=8, seconds=30, first_pause=0.02, longest_pause=0.05))
    assert report.ok
    assert place.content() == {place.key(name): data for name, data in contents.items()}
    assert not place.unfinished()


@pytest.mark.parametrize("endpoint", ["place", "moto_place"])
def test_a_byte_that_changes_on_the_way_is_sent_again(request, monkeypatch, endpoint, caplog):
    """One endpoint refuses what does not fit its checksum, the other stores it and tells the ETag."""
    place = request.getfixturevalue(endpoint)
    contents = {"a": random_bytes(7 * MIB), "b": b"small"}
    for name, data in contents.items():
        place.write(name, data)
    with Proxy(place.environment) as proxy:
        use(monkeypatch, proxy.environment)
        part, small = nth(SEND, Trouble(flip=1_000_000)), nth("^PUT .*/b", Trouble(flip=2))
        proxy.trouble = lambda request: part(request) or small(request)
        assert place.archive().ok
        assert caplog.text.count("arrived damaged") == 2
        assert place.content() == {place.key(name): data for name, data in contents.items()}
        place.write("b", b"other")
        proxy.trouble = lambda _: Trouble(flip=2)
        with pytest.raises(StorageError, match=f"{DAY}/b: expected bytes 0 to 5 with MD5 .* to arrive, found .* 3 tim"):
            place.archive()


def test_a_file_that_changes_while_it_is_read_is_named_and_leaves_what_was_there(place, proxy):
    place.write("a", random_bytes(12 * MIB)), place.write("b", b"good"), place.write("small", b"before")
    place.archive()
    old = place.content()
    path, small = place.write("a", random_bytes(12 * MIB, 2)), place.write("small", b"during")
    place.write("b", b"better")

    def change():
        with path.open("r+b") as file:
            file.seek(11 * MIB)
            file.write(b"changed")

    amid = nth(SEND, Trouble(before=change))
    after = nth("^PUT .*/small", Trouble(before=lambda: small.write_bytes(b"after it")))
    proxy.trouble = lambda request: amid(request) or after(request)
    report = place.archive(connections=1)
    assert report.sent == [f"{DAY}/b"] and set(report.failed) == {f"{DAY}/a", f"{DAY}/small"}
    said = f"{path}: expected a finished file, found that it changed while it was being archived; archive it again"
    assert report.failed[f"{DAY}/a"].startswith(said)
    assert place.content()[place.key("a")] == old[place.key("a")]
    assert not place.unfinished()
    assert place.archive().ok and place.verify().ok


def test_a_product_that_is_made_anew_while_it_is_sent_is_named(place, proxy):
    path = place.write("a", random_bytes(7 * MIB))
    new = place.root / "new"
    new.write_bytes(random_bytes(7 * MIB, 2))
    proxy.trouble = nth(SEND, Trouble(before=lambda: new.replace(path)))
    assert "found that it changed while it was being archived" in place.archive().failed[f"{DAY}/a"]
    assert not place.unfinished() and not place.content()
    assert place.archive().ok
    assert place.content() == {place.key("a"): random_bytes(7 * MIB, 2)}


def test_a_file_that_is_cut_off_while_it_is_sent_is_named(moto_place, moto_proxy):
    path = moto_place.write("a", random_bytes(19 * MIB))
    moto_proxy.trouble = nth(CREATE, Trouble(before=lambda: os.truncate(path, MIB)))
    report = moto_place.archive()
    assert "found that it changed while it was being archived" in report.failed[f"{DAY}/a"]
    assert not moto_place.unfinished() and not moto_place.content()


def test_a_corrupted_object_with_the_right_etag_is_found_by_downloading_it(place, proxy):
    contents = {"a": random_bytes(300_000), "b": b"", "c": random_bytes(7 * MIB, 3)}
    for name, data in contents.items():
        place.write(name, data)
    place.archive()
    proxy.trouble = lambda request: Trouble(flip=200_000) if re.search("^GET .*/[ac]$", request) else None
    assert place.verify().ok
    report = place.verify(deep=True)
    assert set(report.different) == {f"{DAY}/a", f"{DAY}/c"} and report.same == 1
    wrong = bytearray(contents["a"])
    wrong[200_000] ^= 1
    right, found = (hashlib.sha256(data).hexdigest() for data in (contents["a"], wrong))
    assert report.different[f"{DAY}/a"] == f"expected SHA-256 {right}, found {found}"
    proxy.trouble = nth("^GET .*/c$", Trouble(cut=True), Trouble(status=503, code="SlowDown"), Trouble(cut=True))
    report = place.verify(deep=True)
    assert report.ok and report.same == 3 and report.deep


def test_a_dead_endpoint_is_one_clear_error(place, monkeypatch):
    place.write("a", b"x")
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    use(monkeypatch, place.environment | {"AWS_ENDPOINT_URL_S3": endpoint})
    for action in (place.archive, place.verify):
        with pytest.raises(StorageError, match=f"{place.url} at {endpoint}: expected an endpoint that answers"):
            action()


def test_an_endpoint_that_goes_away_is_one_clear_error_and_the_rest_is_sent_later(place, proxy):
    contents = {"a": random_bytes(19 * MIB), "b": b"small"}
    for name, data in contents.items():
        place.write(name, data)
    proxy.trouble = lambda request: Trouble(cut=True) if "partNumber=3" in request else None
    with pytest.raises(StorageError, match=f"{DAY}/a at .*: expected an endpoint that answers"):
        place.archive(connections=1)
    proxy.trouble = Proxy.trouble
    proxy.log.clear()
    assert place.archive().ok
    assert proxy.sent_bodies() < 19 * MIB - PART
    assert place.content() == {place.key(name): data for name, data in contents.items()}


def test_a_missing_bucket_is_not_made(place):
    place.write("a", b"x")
    place.url = "s3://not-there/some/products"
    for action in (place.archive, place.verify):
        with pytest.raises(StorageError, match=r"expected a bucket not-there, found NoSuchBucket \(HTTP 404\)"):
            action()
    names = [bucket["Name"] for bucket in place.client.list_buckets()["Buckets"]]
    assert place.bucket in names and "not-there" not in names


@pytest.mark.parametrize("pattern", ["list-type", "uploads", "^PUT"])
def test_a_forbidden_request_is_one_clear_error(moto_place, moto_proxy, pattern):
    moto_place.write("a", b"x")
    moto_proxy.trouble = lambda request: (
        Trouble(status=403, code="AccessDenied") if re.search(pattern, request) else None
    )
    with pytest.raises(StorageError, match=r"expected permission to archive, found AccessDenied \(HTTP 403\).*PutObj"):
        moto_place.archive()


def test_a_server_that_speaks_another_protocol_is_no_empty_archive(moto_place, moto_proxy):
    moto_place.write("a", b"x")
    moto_proxy.trouble = lambda _: Trouble(status=200, code="not a listing")
    with pytest.raises(StorageError, match="expected a listing, found an answer that is none; correct AWS_ENDPOINT"):
        moto_place.archive()


def test_on_the_wire_nothing_but_uploads_is_removed_and_all_keys_are_below_the_prefix(place, proxy):
    place.write("a", random_bytes(12 * MIB)), place.write("b", b"small")
    place.begin_upload("a", {1: b"x"})
    place.archive()
    place.verify(deep=True)
    below = re.compile(rf"/{place.bucket}/some/products/picasso/20181105/[ab](\?|$)")
    listing = re.compile(rf"/{place.bucket}\?.*prefix=some(%2F|/)products(%2F|/)")
    assert {method for method, _, _ in proxy.log} == {"GET", "HEAD", "PUT", "POST", "DELETE"}
    for method, path, _ in proxy.log:
        assert below.match(path) or (method == "GET" and listing.match(path)), path
        assert method != "DELETE" or "?uploadId=" in path, path
