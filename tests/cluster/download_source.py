"""Buckets to download from, behind a proxy: `pytest_plugins = ["download_source"]` gives `source` and its like."""

import random

import pytest
from s3_endpoints import FaultyProxy, put_parts, use, writer

from hippflow.cloud import s3
from hippflow.cloud.download import download_objects
from hippflow.cloud.s3 import list_objects
from hippflow.cloud.workers import Patience

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


class Source:
    """An empty bucket behind a proxy, and an empty folder to download to."""

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
def source(request, monkeypatch, tmp_path):
    """On both endpoints."""
    yield from make_source(request.getfixturevalue(request.param), monkeypatch, tmp_path)


@pytest.fixture
def moto_source(moto, monkeypatch, tmp_path):
    yield from make_source(moto, monkeypatch, tmp_path)


@pytest.fixture
def ceph_source(ceph, monkeypatch, tmp_path):
    yield from make_source(ceph, monkeypatch, tmp_path)


def make_source(environment, monkeypatch, folder):
    client, bucket = writer(environment), f"lab-{random.SystemRandom().randrange(10**9)}"
    client.create_bucket(Bucket=bucket)
    with FaultyProxy(environment) as proxy:
        use(monkeypatch, proxy.environment)
        monkeypatch.setattr(s3, "ATTEMPTS", 1)  # only our own
        target = folder / "target"
        target.mkdir()
        yield Source(proxy, client, bucket, target)
    for found in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in found.get("Contents", ()):
            client.delete_object(Bucket=bucket, Key=entry["Key"])
