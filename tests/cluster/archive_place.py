"""Results of a day and a bucket for them: `pytest_plugins = ["archive_place"]` gives `place`, `proxy` and their like.

`place` is on Ceph, `moto_place` in a simulated AWS; `proxy` and `moto_proxy` stand before them.
"""

import http.client
import random
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest
from s3_endpoints import FaultyProxy, put_parts, use, writer

from hippflow.cloud import archive_local, s3
from hippflow.cloud.archive import archive_files, list_day_files, verify
from hippflow.cloud.workers import Patience

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
