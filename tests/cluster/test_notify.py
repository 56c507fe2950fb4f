"""Messages at the end of a run: they arrive, or a line says why not, and no run waits or fails for it."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pytest
from botocore.exceptions import ClientError
from debian import free_ports
from s3_endpoints import use

from hippflow.cloud.sns import SnsTopic, shorten_subject
from hippflow.errors import CloudError
from hippflow.runs.notify import send_all

ARN = "arn:aws:sns:us-east-1:123456789012:hippflow"

#: Two jobs in a group, of which the second fails, and one that has a group of its own.
SNAKEFILE = """
from snakemake_logger_plugin_hippflow import describe_run

describe_run(config, workflow)

rule all:
    input: "out/a.second", "out/b.first"

rule first:
    output: "out/{name}.first"
    log: "out/logs/first/{name}.log"
    benchmark: "out/benchmarks/first/{name}.tsv"
    group: lambda wildcards: f"channels_{wildcards.name}"
    resources: mem_mb=200, runtime=1
    shell: "touch {output}"

rule second:
    input: "out/{name}.first"
    output: "out/{name}.second"
    log: "out/logs/second/{name}.log"
    group: lambda wildcards: f"channels_{wildcards.name}"
    resources: mem_mb=200, runtime=1
    shell: "echo '11:11:11 SignalError: channel {wildcards.name} is flat' > {log}; exit 1"
"""


@pytest.fixture
def aws(moto, monkeypatch):
    """The simulated AWS for this process."""
    use(monkeypatch, moto)
    return moto


@pytest.fixture
def topic(aws):
    """A topic with a queue that its messages come to: its ARN, and a function that takes them out."""
    arn = boto3.client("sns").create_topic(Name="hippflow")["TopicArn"]
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="mail")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    boto3.client("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)

    def messages():
        received = sqs.receive_message(QueueUrl=url).get("Messages", [])
        return [json.loads(message["Body"]) for message in received]

    return arn, messages


@pytest.fixture
def hook():
    """A server that keeps what is posted: its address, the bodies, and the status that it answers with."""
    bodies, status = [], [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status[0])
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/secret-path", bodies, status
    server.shutdown()
    server.server_close()


def run_tiny(folder, *arguments, environment=None):
    (folder / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--keep-going", "--scheduler", "greedy", *arguments]
    variables = os.environ | (environment or {})
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)


def test_a_group_that_fails_on_slurm_is_told_of_by_sns(slurm, topic, tmp_path):
    arn, messages = topic
    config = ("--config", "results=out", f"notify={{sns_topic: '{arn}'}}")
    executor = ("--executor", "hippflow-slurm", "--jobs", "4", "--seconds-between-status-checks", "1")
    # as the profile has it: what a failed group had finished stays
    options = (*executor, "--keep-incomplete", "--latency-wait", "5", "--logger", "hippflow")
    done = run_tiny(tmp_path, *config, *options, environment=slurm.environment)
    assert done.returncode == 1, done.stderr
    (message,) = messages()
    assert message["Subject"] == "hippflow: 1 job failed, 2 products made"
    assert message["MessageAttributes"]["state"]["Value"] == "failed"
    assert message["Message"] == (tmp_path / "out/summary.txt").read_text()
    assert "  made         2 products: first 2\n" in message["Message"]
    assert "second a: SignalError: channel a is flat\n" in message["Message"]
    data = json.loads((tmp_path / "out/summary.json").read_text())
    assert data["cpu_of_jobs"] == [2, 2]  # also of the one whose group failed
    assert "Warning: notify" not in done.stderr


def test_a_run_whose_topic_cannot_be_reached_ends_as_it_should(tmp_path, aws):
    (port,) = free_ports(1)
    config = ("--config", "results=out", f"notify={{sns_topic: '{ARN}'}}")
    dead = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    arguments = ("out/b.first", "--cores", "1", *config, "--logger", "hippflow")
    done = run_tiny(tmp_path, *arguments, environment=dead)
    assert done.returncode == 0
    assert "hippflow: 1 product made\n" in done.stderr
    (warning,) = [line for line in done.stderr.splitlines() if line.startswith("Warning: ")]
    assert warning.startswith(f"Warning: notify.sns_topic: {ARN}: expected that SNS answers, found: Could not connect")


def test_all_sinks_are_told(topic, hook):
    arn, messages = topic
    address, bodies, _ = hook
    subject, data = "hippflow: 1 job failed – " + "x" * 200, {"state": "failed", "failed": []}
    assert send_all({"sns_topic": arn, "webhook": address, "other": None}, subject, "All of it: µV", data) == []
    assert bodies == [{"subject": subject, "text": "All of it: µV", "run": data}]
    (message,) = messages()
    assert message["Subject"] == "hippflow: 1 job failed ? " + "x" * 72 + "..."
    assert len(message["Subject"]) == 100
    assert message["Message"] == "All of it: µV"


def test_a_message_longer_than_sns_takes_is_shortened(topic):
    arn, messages = topic
    assert send_all({"sns_topic": arn}, "long", "µ" * 200_000, {}) == []
    (message,) = messages()
    assert message["Message"] == "µ" * 100_000 + "\n..."


def test_a_key_that_may_not_publish_is_a_warning(topic, aws, monkeypatch):
    arn, _ = topic
    iam = boto3.client("iam")
    iam.create_user(UserName="student")
    key = iam.create_access_key(UserName="student")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    _check_permissions(aws, after=0)
    try:
        (warning,) = send_all({"sns_topic": arn}, "subject", "text", {})
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "unknown")
        (unknown,) = send_all({"sns_topic": arn}, "subject", "text", {})
    finally:
        _check_permissions(aws, after="inf")
    assert warning.startswith(f"notify.sns_topic: {arn}: expected permission to publish, found AccessDenied")
    assert "allow sns:Publish on this topic" in warning
    assert "expected a key that AWS knows, found InvalidClientTokenId" in unknown


def _check_permissions(aws, after):
    """Make the simulated AWS ask who may do what, after so many requests."""
    address = aws["AWS_ENDPOINT_URL"] + "/moto-api/reset-auth"
    request = urllib.request.Request(address, str(after).encode(), {"Content-Type": "text/plain"}, method="POST")
    urllib.request.urlopen(request, timeout=10).close()


def test_what_sns_itself_calls_a_missing_permission_is_one(monkeypatch):
    """The code of SNS, which the simulation does not use."""

    def refuse(self, operation, arguments):
        raise ClientError({"Error": {"Code": "AuthorizationError", "Message": "not authorized"}}, operation)

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", refuse)
    with pytest.raises(CloudError, match="expected permission to publish, found AuthorizationError"):
        SnsTopic(ARN).send("subject", "text", {})


def test_a_topic_that_is_not_there_is_a_warning(aws):
    (warning,) = send_all({"sns_topic": ARN}, "subject", "text", {})
    assert f"{ARN}: expected a topic of this name, found NotFound" in warning


@pytest.mark.parametrize("arn", ["hippflow", "arn:aws:sqs:us-east-1:123456789012:hippflow", ARN + ":x", "sns:" + ARN])
def test_what_is_no_topic_is_a_warning_without_a_request(arn):
    (warning,) = send_all({"sns_topic": arn}, "subject", "text", {})
    assert warning.startswith("notify.sns_topic: expected a topic like arn:aws:sns:")
    assert repr(arn) in warning


def test_missing_credentials_are_a_warning(aws, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (warning,) = send_all({"sns_topic": ARN}, "subject", "text", {})
    assert f"{ARN}: expected credentials, found none; set AWS_ACCESS_KEY_ID" in warning


def test_a_machine_without_boto3_is_a_warning(monkeypatch):
    monkeypatch.delitem(sys.modules, "hippflow.cloud.sns")
    monkeypatch.setitem(sys.modules, "boto3", None)
    (warning,) = send_all({"sns_topic": ARN}, "subject", "text", {})
    assert warning.startswith("notify.sns_topic: expected the library of AWS, found: ")
    assert "pip install 'hippflow[cluster]'" in warning


def test_a_webhook_that_refuses_is_a_warning_without_its_secret(hook):
    address, _, status = hook
    status[0] = 403
    (warning,) = send_all({"webhook": address}, "subject", "text", {})
    assert warning.startswith("notify.webhook: http://127.0.0.1: expected that it takes the message, found HTTP 403")
    assert "secret" not in warning
    (port,) = free_ports(1)
    (warning,) = send_all({"webhook": f"http://127.0.0.1:{port}/secret"}, "subject", "text", {})
    assert "Connection refused" in warning
    assert "secret" not in warning


def test_sinks_that_never_answer_are_waited_for_once_and_not_long(monkeypatch):
    monkeypatch.setattr("hippflow.runs.notify.SINKS", dict.fromkeys(["sns_topic", "webhook"], Silent))
    start = time.monotonic()
    warnings = send_all({"sns_topic": "a", "webhook": "b"}, "subject", "text", {}, patience=0.5)
    assert time.monotonic() - start < 2
    assert warnings == [
        f"notify.{kind}: no answer within 0.5 s; the run does not wait longer" for kind in ("sns_topic", "webhook")
    ]


class Silent:
    def __init__(self, address):
        self.address = address

    def send(self, subject, text, data):
        time.sleep(5)


def test_a_defect_of_a_sink_is_a_warning(monkeypatch):
    monkeypatch.setattr("hippflow.runs.notify.SINKS", {"webhook": lambda address: None})
    (warning,) = send_all({"webhook": "x"}, "subject", "text", {})
    assert warning.startswith("notify.webhook: AttributeError: ")


def test_a_subject_is_printable_ascii():
    assert shorten_subject("a\nb\x07c") == "a b?c"
