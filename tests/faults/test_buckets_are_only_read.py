"""Buckets of raw recordings are only read: whatever happens, nothing else is asked for, and no other right is needed.

What the archive may do in its own bucket is in tests/cluster/test_archive_client.py and test_archive.py.
"""

import ast
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from s3_endpoints import Fault, FaultyProxy

from hippflow.demo.bucket import endpoint
from hippflow.demo.day import write_demo_day

REPOSITORY = Path(__file__).parents[2]
BUCKET, DAY = "raw-of-the-lab", "picasso/20181105"
DATA = ("--config", f"data=s3://{BUCKET}/raw")

#: All that a run may do, as one gives it to a user or role.
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:GetObject"],
            "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
        }
    ],
}


def client_of(environment):
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A bucket with a short day of one channel, and the environment of a user who may list and get, and no more."""
    raw = tmp_path_factory.mktemp("raw")
    write_demo_day(raw, channels=[9], seconds=4, seed=5, behaviour=False)
    with endpoint() as administrator:
        client = client_of(administrator)
        client.create_bucket(Bucket=BUCKET)
        client.create_bucket(Bucket="empty-of-the-lab")
        for path in sorted(raw.rglob("*")):
            if path.is_file():
                client.upload_file(str(path), BUCKET, f"raw/{path.relative_to(raw).as_posix()}")
        account = {
            "endpoint_url": administrator["AWS_ENDPOINT_URL_S3"],
            "region_name": "us-east-1",
            "aws_access_key_id": administrator["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": administrator["AWS_SECRET_ACCESS_KEY"],
        }
        iam = boto3.client("iam", **account)
        iam.create_user(UserName="reader")
        iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps(POLICY))
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        # from here on the endpoint asks for rights
        ask = urllib.request.Request(
            f"{account['endpoint_url']}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}, method="POST"
        )
        urllib.request.urlopen(ask, timeout=10).close()
        yield {
            "AWS_ENDPOINT_URL_S3": account["endpoint_url"],
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_REGION": "us-east-1",
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@pytest.fixture
def proxy(lab):
    """Between a run and the endpoint, to see what is asked."""
    with FaultyProxy(lab) as proxy:
        yield proxy


def test_the_rights_to_list_and_get_are_enough_for_a_run(lab, proxy, workflow):
    client = client_of(lab)
    for forbidden in (
        lambda: client.put_object(Bucket=BUCKET, Key="raw/new", Body=b""),
        lambda: client.delete_object(Bucket=BUCKET, Key="raw/new"),
        lambda: client.create_bucket(Bucket="another-of-the-lab"),
        lambda: client.delete_bucket(Bucket=BUCKET),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            forbidden()
    run = workflow.run(*DATA, environment=proxy.environment)
    assert len([job for job in run.jobs if job.startswith("Copy of")]) == 4
    assert workflow.product("report.html").exists()
    assert {method for method, _, _ in proxy.log} <= {"GET", "HEAD"}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=403, code="AccessDenied"),
        Fault(status=404, code="NoSuchBucket"),
    ],
)
def test_a_run_that_fails_only_reads(proxy, workflow, fault):
    """A missing bucket is not made, and an empty one is not deleted: the plugin that ours extends does both."""
    proxy.always = fault
    run = workflow.run(*DATA, status=1, environment=proxy.environment)
    assert run.jobs == []
    assert f"s3://{BUCKET}/raw" in run.output
    assert {method for method, _, _ in proxy.log} <= {"GET", "HEAD"}
    assert proxy.log


def test_what_looks_at_a_bucket_beside_runs_only_reads(proxy, workflow):
    """Also an empty bucket, and one that is not there."""
    looks = [(command, f"{BUCKET}/raw") for command in ("doctor", "status", "cost")]
    for command, bucket in [*looks, ("doctor", "empty-of-the-lab"), ("doctor", "not-there-at-all")]:
        subprocess.run(
            [sys.executable, "-m", "hippflow", command, "--config", f"data=s3://{bucket}"],
            cwd=workflow.folder,
            env=os.environ | proxy.environment,
            capture_output=True,
        )
    assert {method for method, _, _ in proxy.log} <= {"GET", "HEAD"}
    assert len({path.partition("?")[0].split("/")[1] for _, path, _ in proxy.log}) == 3


def test_the_storage_of_the_workflow_can_neither_write_nor_remove():
    from snakemake_interface_common.exceptions import WorkflowError
    from snakemake_storage_plugin_hippflow_s3 import StorageObject

    made = object.__new__(StorageObject)
    made.query = f"s3://{BUCKET}/raw/a"
    for ask in (made.store_object, made.remove, made.retrieve_object):
        with pytest.raises(WorkflowError, match=f"s3://{BUCKET}/raw/a: "):
            ask()


def test_s3_is_asked_through_two_modules_alone():
    """Whoever else made a client could ask for anything; `s3_client` is for reading, `archive_client` is guarded."""
    makers, users = set(), set()
    for path in sorted((REPOSITORY / "hippflow").rglob("*.py")):
        tree = ast.parse(path.read_text())
        called = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        if any(re.match(r"[\w.()]*\.(client|resource)\((['\"]s3['\"])", call) for call in called):
            makers.add(path.name)
        if any(
            re.search(r"\.(delete_(object|objects|bucket)|create_bucket|copy_object|put_bucket\w*)\(", c)
            for c in called
        ):
            users.add(path.name)
    assert makers == {"s3.py", "bucket.py"}  # the second serves the demo from a simulated endpoint of its own
    assert users == {"bucket.py"}
