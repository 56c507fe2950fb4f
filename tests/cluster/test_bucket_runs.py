"""Runs on raw files in a bucket: what is asked of the endpoint, what comes down, and what a user reads on failure."""

import os
import subprocess
import sys
import time

import boto3
import pytest
from s3_endpoints import FaultyProxy, writer
from served_day import ISOLATED

from hippflow.demo.bucket import BUCKET

pytest_plugins = ["served_day"]

DATA = ("--config", f"data=s3://{BUCKET}", "channels=34")
DAY = "picasso/20181105"
NEV, NS5 = f"{DAY}/sessioneye/181105_DST.nev", f"{DAY}/sessioneye/181105_DST.ns5"


@pytest.fixture
def proxy(served):
    """Between a run and the endpoint, to count what is asked."""
    with FaultyProxy(served) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def staged(new_workflow, served):
    """A finished run of one channel, with what it asked of the endpoint."""
    workflow = new_workflow()
    with FaultyProxy(served) as proxy:
        workflow.planned = workflow.run("-n", *DATA, environment=proxy.environment).jobs
        workflow.asked_by_dry_run, workflow.sent_by_dry_run = list(proxy.log), proxy.sent
        workflow.there_after_dry_run = (workflow.folder / "staging").exists()
        proxy.log.clear()
        proxy.sent = 0
        workflow.first_run = workflow.run(*DATA, environment=proxy.environment)
        workflow.asked, workflow.sent = list(proxy.log), proxy.sent
    return workflow


def test_a_dry_run_lists_once_and_reads_headers(staged):
    listings = [path for _, path, _ in staged.asked_by_dry_run if "list-type" in path]
    ranges = [asked for method, path, asked in staged.asked_by_dry_run if "list-type" not in path]
    assert len(listings) == 1
    assert ranges == [(0, (1 << 14) - 1)] * 2  # of the two recordings
    assert staged.sent_by_dry_run == 2 << 14
    assert not staged.there_after_dry_run


def test_the_run_makes_what_was_planned_and_what_a_local_run_makes(staged, finished):
    assert staged.first_run.jobs == staged.planned
    assert sum(job.startswith("Copy of") for job in staged.planned) == 7
    made = [path for path in staged.folder.glob(f"results/{DAY}/**/*") if path.is_file()]
    assert len(made) > 15
    for path in made:
        assert path.read_bytes() == (finished.folder / path.relative_to(staged.folder)).read_bytes(), path


def test_each_object_comes_down_once_and_the_bucket_is_only_read(staged, finished):
    files = [path for path in (finished.folder / "data").rglob("*") if path.suffix in (".nev", ".ns5", ".asc", ".txt")]
    assert len(files) == 7
    assert staged.sent == sum(path.stat().st_size for path in files) + (2 << 14)
    assert {method for method, _, _ in staged.asked} <= {"GET", "HEAD"}
    for path in files:
        copy = staged.folder / "staging" / path.relative_to(finished.folder / "data")
        assert copy.read_bytes() == path.read_bytes()
    heads = [path for method, path, _ in staged.asked if method == "HEAD"]
    assert len(heads) <= 2 * len(files)


def test_finished_is_finished(staged, proxy):
    assert staged.run("-n", *DATA, environment=proxy.environment).jobs == []


def test_an_object_that_changed_makes_what_depends_on_it_anew(staged, served, finished):
    """The same bytes again, later: nobody can know that before they are here."""
    time.sleep(1.1)  # an object's time is in whole seconds
    client = writer(served | {"AWS_REGION": "us-east-1"})
    client.put_object(Bucket=BUCKET, Key=NEV, Body=(finished.folder / "data" / NEV).read_bytes())
    run = staged.run(*DATA, environment=served)
    assert run.jobs == [
        f"Behaviour of {DAY}/session01 on the Ripple clock",
        f"Copy of {NEV} from the bucket",
        f"Eye data of {DAY}",  # its sessions are found by their markers
        f"Place fields of {DAY}/session01/array02/channel034",
        f"Trial markers of {DAY}/sessioneye",
        f"What the animal looked at in {DAY}/session01",
        f"Where the animal was in {DAY}/session01",
    ]
    client.put_object(Bucket=BUCKET, Key=NS5, Body=(finished.folder / "data" / NS5).read_bytes())
    jobs = staged.run("-n", *DATA, environment=served).jobs
    assert f"Copy of {NS5} from the bucket" in jobs
    assert f"Raw signals of {DAY}/sessioneye" in jobs
    assert f"Spike sorting of {DAY}, channel 034" in jobs
    assert not [job for job in jobs if job.startswith(("LFP", "High", "Raw")) and "session01" in job]


def test_a_copy_is_of_the_object_as_it_was_planned(workflow, served, finished):
    """The script alone, with the checksum that another version of the object has."""
    size = (finished.folder / "data" / NEV).stat().st_size
    planned = f"{{size: {size}, etag: {'f' * 32}, modified: 1.0}}"
    arguments = [f"input.object=s3://{BUCKET}/{NEV}", f"output.raw=staging/{NEV}", f"params.as_planned={planned}"]
    command = [sys.executable, "scripts/staging.py", *arguments]
    variables = os.environ | served
    done = subprocess.run(command, cwd=workflow.folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 1
    assert "changed since the run was planned" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (workflow.folder / "staging" / NEV).exists()


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "127.0.0.1:9"),
        ({"AWS_ENDPOINT_URL_S3": "http://no-such-host.invalid"}, "no-such-host.invalid"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "credentials"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_one_error_before_any_job(staged, served, change, expected):
    """Also where all products are there, and a look at them alone would find nothing to do."""
    start = time.monotonic()
    run = staged.run(*DATA, status=1, environment=served | change)
    assert time.monotonic() - start < 30
    assert expected in run.output
    assert f"s3://{BUCKET}" in run.output
    assert "Traceback" not in run.output
    assert run.jobs == []


@pytest.mark.parametrize(
    "data, expected",
    [
        ("s3://no-such-bucket-here", "no-such-bucket-here"),
        (f"s3://{BUCKET}/no/such/prefix", "found no objects"),
        ("s3://", "expected an address like s3://bucket/folder"),
    ],
)
def test_a_wrong_bucket_or_prefix_is_one_error_before_any_job(workflow, served, data, expected):
    run = workflow.run("--config", f"data={data}", status=1, environment=served)
    assert expected in run.output
    assert "Traceback" not in run.output
    assert run.jobs == []


def test_a_wrong_secret_is_one_error_before_any_job(workflow, ceph, finished):
    client = boto3.client(
        "s3",
        endpoint_url=ceph["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=ceph["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ceph["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="wrong-secret")
    client.put_object(Bucket="wrong-secret", Key=NEV, Body=b"")
    changed = ceph | ISOLATED | {"AWS_SECRET_ACCESS_KEY": "not-this-one"}
    run = workflow.run("--config", "data=s3://wrong-secret", status=1, environment=changed)
    assert "AWS_SECRET_ACCESS_KEY" in run.output
    assert "not-this-one" not in run.output
    assert "Traceback" not in run.output
    assert run.jobs == []
