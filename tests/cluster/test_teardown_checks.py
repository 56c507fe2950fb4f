"""What is checked before a cluster is deleted: jobs of a real Slurm, products, archive and snapshot."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from debian import wait_until
from doomed_cluster import check, script, tear_down

from hippflow.cloud.clusters import head
from hippflow.cloud.clusters.checks import Verdict
from hippflow.errors import StorageError

pytest_plugins = ["aws_fixtures", "doomed_cluster"]


def test_everything_is_checked_and_said(doomed, on_head):
    doomed.fields[doomed.snapshot] = {"startTime": "2026-01-02T00:00:00.000Z"}
    before = datetime(2026, 1, 1, 23, 58, tzinfo=UTC).timestamp()
    found = check(doomed, newest_product=lambda: before, archive=lambda: ("s3://lab/products", []))
    assert {name: one.verdict for name, one in found.items()} == dict.fromkeys(
        ("jobs", "inventory", "archive", "snapshot", "products"), Verdict.OK
    )
    assert doomed.snapshot in found["snapshot"].said and "s3://lab/products" in found["archive"].said
    assert tear_down(doomed, checks=found.values())[1].count("\nok ") == 4, "and the first line"


def test_a_running_job_of_anybody_stops_it_whatever_is_said(doomed, on_head, monkeypatch, tmp_path):
    monkeypatch.setenv("SQUEUE_USERS", "nobody")  # a user's setting that would hide it
    job = on_head.submit("sleep 60", "--mem=100", "--job-name=sorting of 009", f"--chdir={tmp_path}")
    on_head.wait_for(job, "RUNNING")
    found = check(doomed, anyway=True, unchecked=True)["jobs"]
    assert (found.verdict, found.holds) == (Verdict.NO, False)
    assert f"1 in squeue: 1 RUNNING: {job} of " in found.said and "(sorting of 009)" in found.said
    on_head.cancel(job)
    wait_until(lambda: check(doomed)["jobs"].verdict is Verdict.OK, 20, "the check to see the job's end")


def test_jobs_that_cannot_be_seen_need_to_be_passed(doomed, tmp_path, monkeypatch):
    found = check(doomed)["jobs"]
    assert (found.verdict, found.holds) == (Verdict.UNKNOWN, False)
    assert "expected a node of the cluster hippflow, found none of any" in found.said and "--unchecked" in found.said
    assert check(doomed, anyway=True)["jobs"].holds is False
    assert check(doomed, unchecked=True)["jobs"].holds is True
    # The Slurm of another cluster says nothing of this one.
    node_file = tmp_path / "cfnconfig"
    node_file.write_text("stack_name=another\n")
    monkeypatch.setattr(head, "NODE_FILE", node_file)
    assert "found one of another" in check(doomed)["jobs"].said
    node_file.write_text("stack_name=hippflow\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "env").symlink_to("/usr/bin/env")
    assert "squeue: expected this command here, found none" in check(doomed)["jobs"].said


def test_the_head_node_is_asked_through_a_command(doomed, on_head, tmp_path, monkeypatch):
    ssh = script(tmp_path / "ssh", f'#!/bin/sh\nshift\nexport SLURM_CONF={os.environ["SLURM_CONF"]}\nexec sh -c "$1"\n')
    monkeypatch.delenv("SLURM_CONF")
    assert check(doomed, head=f"{ssh} ec2-user@203.0.113.5")["jobs"].said == "none in squeue, of no user"
    assert "correct --head" in check(doomed, head=str(tmp_path / "none"))["jobs"].said
    assert "exit status 255" in check(doomed, head=script(tmp_path / "broken", "#!/bin/sh\nexit 255\n"))["jobs"].said


def unreachable():
    raise StorageError("s3://lab: expected an endpoint that answers, found none")


@pytest.mark.parametrize(
    ("name", "evidence", "verdict", "holds", "said"),
    [
        ("inventory", {"inventory": lambda: ["a", "b", "c", "d"]}, "not ok", False, "4 missing: a; b; c; and 1 more"),
        ("inventory", {"inventory": lambda: ["a"], "anyway": True}, "not ok", True, "1 missing: a"),
        ("inventory", {"inventory": lambda: ["a"], "unchecked": True}, "not ok", False, "or say --anyway"),
        ("inventory", {"inventory": None}, "unknown", False, "expected an inventory"),
        ("inventory", {"inventory": None, "anyway": True}, "unknown", True, "expected an inventory"),
        ("archive", {"archive": lambda: (None, [])}, "ok", True, "none is configured"),
        ("archive", {"archive": lambda: ("s3://lab", [])}, "ok", True, "all products are in s3://lab"),
        ("archive", {"archive": lambda: ("s3://lab", ["x differs"])}, "not ok", False, "x differs"),
        ("archive", {"archive": unreachable}, "unknown", False, "say --unchecked"),
        ("archive", {"archive": None}, "unknown", False, "expected a comparison"),
        ("archive", {"archive": None, "unchecked": True}, "unknown", True, "expected a comparison"),
        ("products", {"newest_product": None}, "unknown", False, "run this on the head node"),
        ("products", {"newest_product": None, "unchecked": True}, "unknown", True, ""),
    ],
)
def test_what_is_missing_wrong_or_unknown_is_told_apart(doomed, name, evidence, verdict, holds, said):
    found = check(doomed, **evidence)[name]
    assert (found.verdict, found.holds) == (verdict, holds)
    assert said in found.said


@pytest.mark.parametrize("seconds, verdict", [(-3600, "ok"), (-30, "not ok"), (30, "not ok")])
def test_products_must_be_older_than_the_snapshot_by_what_may_be_in_memory(doomed, seconds, verdict):
    start = datetime(2026, 1, 2, 12, tzinfo=UTC)
    doomed.fields[doomed.snapshot] = {"startTime": "2026-01-02T12:00:00.000Z"}
    found = check(doomed, newest_product=lambda: (start + timedelta(seconds=seconds)).timestamp())["products"]
    assert found.verdict == verdict
    assert ("run: hippflow cluster snapshot" in found.said) is (verdict == "not ok")


@pytest.mark.parametrize("state, said", [("pending", "is at 40 %"), ("error", "has none that is completed; run")])
def test_without_a_completed_snapshot_nothing_lets_it_pass(doomed, state, said):
    doomed.fields[doomed.snapshot] = {"status": state, "progress": "40%"}
    found = check(doomed, anyway=True, unchecked=True)
    assert (found["snapshot"].verdict, found["snapshot"].holds) == (Verdict.NO, False)
    assert said in found["snapshot"].said and "products" not in found
