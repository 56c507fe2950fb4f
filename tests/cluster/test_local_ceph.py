"""The S3 of the tests is a real one: it keeps objects, checks signatures, and leaves nothing behind."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from local_ceph import LocalCeph

SERVER = Path(__file__).with_name("local_ceph.py")


def client(environment, monkeypatch, **others):
    """Return boto3's client as a caller with these variables gets it."""
    for name, value in (environment | others).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    return boto3.session.Session().client("s3")


def running(text):
    """Count processes that name `text` in their command line."""
    return subprocess.run(["pgrep", "-c", "-f", text], capture_output=True, text=True).stdout.strip()


def test_an_object_comes_back_as_it_was_put(ceph, monkeypatch, tmp_path):
    s3 = client(ceph, monkeypatch)
    content = os.urandom(20_000_001)  # boto3 sends more than 8 MB in parts
    (tmp_path / "sent").write_bytes(content)
    s3.create_bucket(Bucket="raw-files")
    s3.upload_file(str(tmp_path / "sent"), "raw-files", "picasso/20181105/181105_Block1.ns5")
    s3.download_file("raw-files", "picasso/20181105/181105_Block1.ns5", str(tmp_path / "received"))
    assert (tmp_path / "received").read_bytes() == content
    head = s3.head_object(Bucket="raw-files", Key="picasso/20181105/181105_Block1.ns5")
    parts = [hashlib.md5(content[start : start + (8 << 20)]).digest() for start in range(0, len(content), 8 << 20)]
    assert head["ETag"] == f'"{hashlib.md5(b"".join(parts)).hexdigest()}-{len(parts)}"'
    ranged = s3.get_object(Bucket="raw-files", Key="picasso/20181105/181105_Block1.ns5", Range="bytes=100-199")
    assert ranged["Body"].read() == content[100:200]


def test_a_wrong_secret_is_refused(ceph, monkeypatch):
    client(ceph, monkeypatch).create_bucket(Bucket="locked")
    wrong = client(ceph, monkeypatch, AWS_SECRET_ACCESS_KEY="0" * 40)
    with pytest.raises(ClientError) as refused:
        wrong.put_object(Bucket="locked", Key="object", Body=b"bytes")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_two_endpoints_know_nothing_of_each_other_and_leave_nothing_behind(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("two")
    with LocalCeph(folder / "a", memory=0.5) as first, LocalCeph(folder / "b", memory=0.5) as second:
        client(first.environment, monkeypatch).create_bucket(Bucket="mine")
        assert client(second.environment, monkeypatch).list_buckets()["Buckets"] == []
        assert running(str(folder)) == "6"
    assert running(str(folder)) == "0"


def test_the_command_line_leaves_an_endpoint_running_until_it_is_stopped(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("shell")

    def call(action):
        command = [sys.executable, str(SERVER), action, str(folder), "--memory", "0.5"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    printed = call("start").splitlines()
    try:
        environment = dict(line.removeprefix("export ").split("=", 1) for line in printed)
        s3 = client(environment, monkeypatch)
        s3.create_bucket(Bucket="from-a-shell")
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["from-a-shell"]
    finally:
        call("stop")
    assert running(str(folder)) == "0"


def test_the_simulated_aws_has_what_a_test_puts_there(moto, monkeypatch):
    s3 = client(moto, monkeypatch)
    s3.create_bucket(Bucket="left-behind")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["left-behind"]


def test_the_simulated_aws_is_empty_in_the_next_test(moto, monkeypatch):
    assert client(moto, monkeypatch).list_buckets()["Buckets"] == []
