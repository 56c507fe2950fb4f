"""Endpoints that misbehave as asked, and what the tests of transfers put into buckets."""

import functools
import http.client
import os
import re
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

import boto3
import numpy as np
from botocore.config import Config
from local_http import LocalServer

PIECE = 1 << 16


@dataclass(frozen=True)
class Fault:
    """What a proxy does to one answer.

    Attributes
    ----------
    status, code : int, str
        Answer this instead of asking the endpoint.
    cut : int
        Close the connection after so many bytes of the body.
    shorten : int
        Claim and send so many bytes fewer than there are.
    flip : int
        Change the byte at this offset of the object, where the answer has it.
    pause : float
        Seconds to wait before every 64 kB.
    etag : str
        Tell this ETag, and do not let the endpoint compare it.
    whole : bool
        Pass over the range that was asked for.
    """

    status: int = 0
    code: str = ""
    cut: int | None = None
    shorten: int = 0
    flip: int | None = None
    pause: float = 0.0
    etag: str = ""
    whole: bool = False


class FaultyProxy(LocalServer):
    """A server that forwards requests to an endpoint and does faults to its answers about objects.

    Attributes
    ----------
    once : list of Fault
        One after another, each for the next GET of an object.
    always : Fault or None
        For all others.
    log : list of (str, str, tuple or None)
        Method, path, and the first and last byte asked for, of every request.
    sent : int
        Bytes of objects that were sent.
    """

    def __init__(self, environment):
        self._upstream = urlsplit(environment.get("AWS_ENDPOINT_URL_S3") or environment["AWS_ENDPOINT_URL"]).netloc
        self._lock = threading.Lock()
        self.once, self.always, self.log, self.sent = [], None, [], 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                proxy._answer(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        self._serve(Handler, environment, "AWS_ENDPOINT_URL_S3")

    @property
    def objects_got(self):
        """Ranges of the GETs of objects so far."""
        return [asked for method, path, asked in self.log if method == "GET" and "list-type" not in path]

    def _answer(self, handler):
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        asked = (int(asked[1]), int(asked[2])) if asked else None
        with self._lock:
            self.log.append((handler.command, handler.path, asked))
            of_object = handler.command == "GET" and "list-type" not in handler.path
            fault = (self.once.pop(0) if self.once and of_object else self.always) or Fault()
        if fault.status:
            self._refuse(handler, fault)
        else:
            self._forward(handler, fault, asked[0] if asked and not fault.whole else 0)

    def _refuse(self, handler, fault):
        tag = "html" if fault.status == 200 else "Error"
        body = f"<{tag}><Code>{fault.code}</Code><Message>as asked</Message></{tag}>".encode()
        handler.send_response(fault.status)
        handler.send_header("Content-Type", "application/xml")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def _forward(self, handler, fault, start):
        headers = dict(handler.headers.items())
        if fault.etag:
            headers.pop("If-Match", None)
        if fault.whole:
            headers.pop("Range", None)
        upstream = http.client.HTTPConnection(self._upstream, timeout=60)
        try:
            # Bodies of uploads are not passed on: downloads have none.
            upstream.request(handler.command, handler.path, headers=headers)
            answer = upstream.getresponse()
            listing = answer.read() if "list-type" in handler.path else None  # of unknown length
            length = len(listing) if listing is not None else int(answer.headers.get("Content-Length", 0))
            length -= fault.shorten
            handler.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() == "etag" and fault.etag:
                    value = f'"{fault.etag}"'
                if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                    handler.send_header(name, value)
            handler.send_header("Content-Length", str(length))
            handler.end_headers()
            if listing is not None:
                handler.wfile.write(listing)
            elif handler.command == "GET":
                self._send_body(handler, fault, answer, start, length)
        except OSError:  # the client, or the endpoint, has gone
            handler.close_connection = True
        finally:
            upstream.close()

    def _send_body(self, handler, fault, answer, start, length):
        stop = length if fault.cut is None else min(fault.cut, length)
        done = 0
        while done < stop:
            time.sleep(fault.pause)
            data = bytearray(answer.read(min(PIECE, stop - done)))
            if fault.flip is not None and start + done <= fault.flip < start + done + len(data):
                data[fault.flip - start - done] ^= 1
            with self._lock:
                self.sent += len(data)  # first: who has the data may look at once
            handler.wfile.write(data)
            done += len(data)
        handler.close_connection = done < length or bool(fault.shorten)


def use(monkeypatch, environment):
    """Let boto3 see this environment and no other credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    # Without these, the credentials and the network of the machine would decide.
    isolated = {
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in (isolated | environment).items():
        monkeypatch.setenv(name, value)


def writer(environment):
    """Return a client that may write, on the endpoint itself."""
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment["AWS_ENDPOINT_URL"]
    return _client(
        endpoint, *(environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"))
    )


@functools.cache  # making a client takes longer than most of the tests
def _client(endpoint, key, secret, region):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name=region,
        config=Config(request_checksum_calculation="when_required"),
    )


def random_bytes(n_bytes, seed=1):
    """Return bytes that differ all along, the same for the same seed."""
    return np.random.default_rng(seed).bytes(n_bytes)


def put_parts(client, bucket, key, data, part):
    """Put an object in parts of `part` bytes."""
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(data), part), start=1):
        answer = client.upload_part(
            Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=data[start : start + part]
        )
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
