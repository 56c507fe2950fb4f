"""hippflow doctor on a cluster and with buckets: a real Slurm and a real S3, whole and broken."""

import argparse
import json
import re
import shutil
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import boto3
import pytest
from s3_endpoints import use, writer

from hippflow.commands.doctor import add
from hippflow.demo.day import write_demo_day

ROOT = Path(__file__).parents[2]
BUCKET = "doctor-lab"


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    return write_demo_day(tmp_path_factory.mktemp("raw"), channels=[9], seconds=4, behaviour=False)


@pytest.fixture
def place(tmp_path, day, monkeypatch):
    """The folder of a workflow with a short day; it is the current folder."""
    for name in ("config.yaml", "schemas/config.schema.yaml", "requirements.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    (tmp_path / "data/picasso").mkdir(parents=True)
    (tmp_path / "data/picasso/20181105").symlink_to(day)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def doctor(capsys, check, *settings):
    """Exit status, and the findings of a check as (state, message, fix)."""
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    chosen = parser.parse_args(["doctor", "--json", *(("--config", *settings) if settings else ())])
    status = 0
    try:
        chosen.run(chosen)
    except SystemExit as end:
        status = end.code
    found = json.loads(capsys.readouterr().out)
    return status, [(line["state"], line["message"], line["fix"]) for line in found if line["check"] == check]


@pytest.fixture
def on_slurm(slurm, monkeypatch):
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    return slurm


def use_partitions(place, text):
    profile = place / "profiles/slurm/config.yaml"
    profile.write_text(
        profile.read_text().replace("# hippflow-slurm-partition-config:", "hippflow-slurm-partition-config:")
    )
    (place / "profiles/slurm/partitions.yaml").write_text(text)


def test_a_cluster_that_is_right_is_ok(place, capsys, on_slurm):
    status, lines = doctor(capsys, "Slurm")
    assert status == 0
    assert {state for state, _, _ in lines} == {"ok"}
    messages = [message for _, message, _ in lines]
    assert messages[0].startswith("the controller answers: Slurm 2")
    assert "memory is scheduled (CR_CORE_MEMORY" in messages[1]
    assert messages[2].startswith("accounting is off: sacct tells nothing of ended jobs")
    assert "spot (UNLIMITED, default), ondemand (UNLIMITED)" in messages[3]
    assert "not used" in messages[3]


def test_partitions_of_the_profile_are_held_to_those_of_the_cluster(place, capsys, on_slurm):
    use_partitions(place, "partitions: {spot: {max_runtime: 120}, night: {max_runtime: 600}}")
    status, lines = doctor(capsys, "Slurm")
    failures = [line for line in lines if line[0] == "failure"]
    assert status == 1
    assert [message for _, message, _ in failures] == [
        "profiles/slurm/partitions.yaml names night; the cluster has spot (UNLIMITED, default), ondemand (UNLIMITED)"
    ]
    use_partitions(place, "partitions: {spot: {max_runtime: 120}, ondemand: {max_runtime: 600}}")
    on_slurm.call("scontrol", "update", "PartitionName=ondemand", "MaxTime=60", "State=INACTIVE")
    try:
        status, lines = doctor(capsys, "Slurm")
    finally:
        on_slurm.call("scontrol", "update", "PartitionName=ondemand", "MaxTime=INFINITE", "State=UP")
    assert status == 1
    (limit,), (idle,) = ([line for line in lines if line[0] == state] for state in ("failure", "warning"))
    assert "gives jobs of up to 600 min to ondemand, whose limit is 60 min" in limit[1]
    assert limit[2].startswith("set max_runtime of ondemand to 60")
    assert idle[1] == "partition ondemand is INACTIVE: its jobs wait"


def test_a_controller_that_is_away_is_a_failure(place, capsys, on_slurm):
    on_slurm.stop_controller()
    status, ((state, message, fix),) = doctor(capsys, "Slurm")
    assert (status, state) == (1, "failure")
    assert message.startswith("expected Slurm's controller to answer, found: ")
    assert "systemctl status slurmctld" in fix


def test_a_cluster_without_memory_scheduling_is_a_warning(place, capsys, local_slurm, monkeypatch):
    with local_slurm(nodes=1, memory_scheduling=False) as cluster:
        monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
        status, lines = doctor(capsys, "Slurm")
    assert status == 0
    ((_, message, fix),) = [line for line in lines if line[0] == "warning"]
    assert message.startswith("memory is not scheduled (SelectTypeParameters=CR_CORE")
    assert "EnableMemoryBasedScheduling: true" in fix


@pytest.fixture
def bucket(ceph, day, monkeypatch):
    """The day in a bucket of a real S3."""
    use(monkeypatch, ceph)
    client = writer(ceph)
    client.create_bucket(Bucket=BUCKET)
    for path in day.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), BUCKET, f"raw/picasso/20181105/{path.relative_to(day)}")
    return f"s3://{BUCKET}/raw"


def test_a_bucket_that_is_right_is_ok_and_no_secret_is_shown(place, capsys, bucket, ceph):
    settings = (f"data={bucket}", f"archive={{url: s3://{BUCKET}/products}}")
    status, lines = doctor(capsys, "AWS", *settings)
    assert status == 0
    assert [message.split(";")[0] for _, message, _ in lines] == [
        "credentials from environment variables",
        f"data: {bucket} can be listed",
        f"archive.url: s3://{BUCKET}/products can be listed",
    ]
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    chosen = parser.parse_args(["doctor", "--config", *settings])
    chosen.run(chosen)
    said = capsys.readouterr().out
    assert ceph["AWS_SECRET_ACCESS_KEY"] not in said
    assert ceph["AWS_ACCESS_KEY_ID"] not in said
    assert f"within 60 s of that of the endpoint of {bucket}" in said
    assert "staging can be written to" in said
    assert "results and staging: " in said


def test_a_wrong_secret_is_a_failure_with_its_cause(place, capsys, bucket, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    status, (_, (state, message, fix)) = doctor(capsys, "AWS", f"data={bucket}")
    assert (status, state) == (1, "failure")
    assert "expected a secret that fits the key, found SignatureDoesNotMatch" in message
    assert fix == "correct AWS_SECRET_ACCESS_KEY"
    assert doctor(capsys, "disk space", f"data={bucket}")[1][0][0] == "warning"  # not asked again


def test_missing_credentials_and_a_missing_bucket_are_failures(place, capsys, bucket, monkeypatch):
    archive = "archive={url: s3://doctor-none/products}"
    status, (_, (state, message, _)) = doctor(capsys, "AWS", archive)
    assert (status, state) == (1, "failure")
    assert "archive.url" not in message
    assert "expected a bucket doctor-none, found NoSuchBucket" in message
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    status, ((state, message, fix),) = doctor(capsys, "AWS", archive)
    assert (status, state, message) == (1, "failure", "expected credentials, found none")
    assert "aws configure" in fix


def test_a_topic_without_subscriptions_is_a_warning_and_a_missing_one_a_failure(place, capsys, moto, monkeypatch):
    use(monkeypatch, moto)
    sns = boto3.client("sns")
    arn = sns.create_topic(Name="doctor")["TopicArn"]
    status, (_, (state, message, _)) = doctor(capsys, "AWS", f"notify={{sns_topic: '{arn}'}}")
    assert (status, state) == (0, "warning")
    assert message.endswith("nobody has subscribed and confirmed that")
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:mail")
    status, (_, (state, message, _)) = doctor(capsys, "AWS", f"notify={{sns_topic: '{arn}'}}")
    assert (state, message.endswith(f"{arn} sends on to 1")) == ("ok", True)
    status, (_, (state, message, _)) = doctor(capsys, "AWS", f"notify={{sns_topic: '{arn}x'}}")
    assert (status, state) == (1, "failure")
    assert "NotFound" in message


@pytest.fixture
def late_endpoint(monkeypatch):
    """An endpoint whose clock is 20 minutes behind ours: it refuses our signatures, as S3 does."""
    body = b"<Error><Code>RequestTimeTooSkewed</Code><Message>as asked</Message></Error>"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response_only(403)
            self.send_header("Date", formatdate(time.time() - 1200, usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    use(
        monkeypatch,
        {
            "AWS_ENDPOINT_URL_S3": address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_REGION": "us-east-1",
        },
    )
    yield
    server.shutdown()
    server.server_close()


def test_a_clock_that_differs_from_the_endpoints_is_a_failure(place, capsys, late_endpoint):
    status, (disk, (state, message, fix)) = doctor(capsys, "clock", "archive={url: s3://doctor-lab/products}")
    assert (status, state, disk[0]) == (1, "failure", "ok")
    found = re.fullmatch(
        r"expected at most 60 s of difference, found (\d+) s ahead of the endpoint of s3://doctor-lab/products", message
    )
    assert 1199 <= int(found[1]) < 1260
    assert "timedatectl" in fix
