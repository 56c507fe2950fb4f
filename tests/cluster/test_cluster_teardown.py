"""The end of a cluster: what is checked, that nothing is lost, and that it goes on where it was killed.

The cluster is a stack with ParallelCluster's tags in a simulated AWS, its Slurm the real one of these tests, and in the
first test the command that deletes it is ParallelCluster's own. The simulated AWS deletes a stack at once; a server in
between (aws_between.py) shows it as being deleted for some answers first, as AWS does for minutes. Elsewhere a script
stands in for pcluster, which takes seconds to start: it makes the one request that matters.
"""

import argparse
import json
import multiprocessing
import os
import re
import signal
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aws_between import client, make_instance, make_stack, make_volume, tags, with_snapshots
from debian import wait_until

from hippflow.cloud.clusters import head
from hippflow.cloud.clusters.checks import Check, Evidence, Verdict, make_checks
from hippflow.cloud.clusters.teardown import find_pcluster, teardown_steps
from hippflow.commands.cluster import Hooks, add
from hippflow.demo.day import write_demo_day
from hippflow.errors import CloudError, StorageError

pytest_plugins = ["aws_fixtures"]

ROOT = Path(__file__).parents[2]
STEPS = ["checked", "confirmed", "asked", "gone"]
DELETED = (
    '<DeleteStackResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><ResponseMetadata>'
    "<RequestId>1</RequestId></ResponseMetadata></DeleteStackResponse>"
)

STAND_IN = f"""#!{sys.executable}
import os, sys, urllib.request
assert sys.argv[1:] == ["delete-cluster", "--cluster-name", "hippflow", "--region", "us-east-1"], sys.argv
urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"], b"Action=DeleteStack&StackName=hippflow").read()
"""

FAILING = """#!/bin/sh
echo '{ "message": "Bad Request: no permission" }'
exit 1
"""


def script(path, text):
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


class Lab:
    """A cluster with a volume and a completed snapshot of it."""

    def __init__(self, between, folder):
        self.between, self.n_deleting, self.deleting, self.failed = between, 3, False, False
        self.ec2, self.cloudformation = (client(between.upstream, name) for name in ("ec2", "cloudformation"))
        make_stack(self.cloudformation)
        self.volume = make_volume(self.ec2, cluster="hippflow", Name="data")
        self.snapshot = self.ec2.create_snapshot(VolumeId=self.volume, Description="hippflow hippflow data")[
            "SnapshotId"
        ]
        self.fields = {}
        self.stand_in = script(folder / "pcluster", STAND_IN)
        between.before, between.after = self.before, self.after

    def before(self, action, form):
        """Take a deletion, and carry it out after some questions."""
        if action == "DeleteStack":
            self.deleting = True
            return 200, DELETED
        if action == "DescribeStacks" and self.deleting and not self.failed:
            self.n_deleting -= 1
            if self.n_deleting < 0:
                self.cloudformation.delete_stack(StackName=form["StackName"])
        return None

    def after(self, action, form, body):
        if action == "DescribeStacks" and self.deleting:
            status = "DELETE_FAILED" if self.failed else "DELETE_IN_PROGRESS"
            reason = "<StackStatusReason>the network is in use</StackStatusReason>" if self.failed else ""
            return re.sub("<StackStatus>.*?</StackStatus>", f"<StackStatus>{status}</StackStatus>{reason}", body)
        return with_snapshots(body, self.fields) if action == "DescribeSnapshots" else body

    def exists(self):
        return [stack["StackName"] for stack in self.cloudformation.describe_stacks()["Stacks"]] == ["hippflow"]

    def assert_nothing_lost(self):
        """Volume and snapshot are what deleting a cluster never takes."""
        assert self.volume in {one["VolumeId"] for one in self.ec2.describe_volumes()["Volumes"]}
        own = self.ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [self.volume]}])["Snapshots"]
        assert [one["SnapshotId"] for one in own] == [self.snapshot]
        assert not {"DeleteSnapshot", "DeleteVolume", "TerminateInstances"} & set(self.between.asked)


@pytest.fixture
def lab(aws, tmp_path):
    return Lab(aws, tmp_path)


@pytest.fixture
def on_head(slurm, tmp_path, monkeypatch):
    """This machine is the head node of the cluster, with the Slurm of the tests."""
    node_file = tmp_path / "cfnconfig"
    node_file.write_text("stack_name=hippflow\ncfn_node_type=HeadNode\n")
    monkeypatch.setattr(head, "NODE_FILE", node_file)
    monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
    return slurm


def clients(environment):
    return client(environment, "cloudformation"), client(environment, "ec2")


def tear_down(lab, *, pcluster=None, checks=(), answer=True):
    """Tear down, and return the steps and what was said."""
    said = []
    steps = teardown_steps(
        *clients(lab.between.environment),
        "hippflow",
        pcluster=str(pcluster or lab.stand_in),
        checks=checks,
        confirm=lambda: answer,
        period=0.01,
        say=said.append,
    )
    return list(steps), "\n".join(said)


def check(lab, **evidence):
    """Make the checks; by name."""
    standard = {"inventory": list, "archive": lambda: (None, []), "newest_product": lambda: None}
    found = make_checks(client(lab.between.environment, "ec2"), "hippflow", Evidence(**(standard | evidence)))
    return {one.name: one for one in found}


def command(*words, hooks=None):
    """Run the command line."""
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers(), hooks)
    arguments = parser.parse_args(["cluster", "teardown", "--region", "us-east-1", *words])
    arguments.run(arguments)


def test_parallelcluster_deletes_the_cluster_and_what_is_left_is_named(lab, pcluster, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # pcluster writes a log there
    node = make_instance(lab.ec2, cluster="hippflow", node="Compute")["InstanceId"]
    address = lab.ec2.allocate_address(
        Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": tags(cluster="hippflow")}]
    )
    steps, said = tear_down(lab, pcluster=pcluster)
    assert steps == STEPS
    assert not lab.exists() and lab.between.asked.count("DeleteStack") == 1
    assert "deletion has begun" in said and "cluster hippflow: gone" in said
    assert f"aws ec2 terminate-instances --instance-ids {node}" in said
    assert f"aws ec2 delete-volume --volume-id {lab.volume}" in said
    assert f"aws ec2 release-address --allocation-id {address['AllocationId']}" in said
    lab.assert_nothing_lost()


def run_until(environment, pcluster, n_steps):
    """In a process of its own: make so many steps, and be killed."""
    steps = teardown_steps(
        *clients(environment), "hippflow", pcluster=pcluster, checks=(), confirm=lambda: True, say=[].append
    )
    for _ in range(n_steps):
        next(steps)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("n_steps", range(len(STEPS)))
def test_killed_between_two_steps_nothing_is_lost_and_it_goes_on(lab, n_steps):
    process = multiprocessing.get_context("fork").Process(
        target=run_until, args=(lab.between.environment, lab.stand_in, n_steps)
    )
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert lab.exists() and lab.deleting is (n_steps == 3)
    lab.assert_nothing_lost()
    steps, said = tear_down(lab)
    assert steps == (["gone"] if n_steps == 3 else STEPS)
    assert ("is being deleted already" in said) is (n_steps == 3)
    assert lab.between.asked.count("DeleteStack") == 1
    assert not lab.exists()
    lab.assert_nothing_lost()


def test_a_cluster_that_is_gone_is_said_so(lab):
    lab.cloudformation.delete_stack(StackName="hippflow")
    steps, said = tear_down(lab)
    assert steps == ["gone"] and "there is none" in said and lab.volume in said
    lab.assert_nothing_lost()


def test_a_deletion_that_fails_is_named_with_its_reason_and_can_be_repeated(lab):
    lab.failed = True
    with pytest.raises(CloudError, match="found DELETE_FAILED: the network is in use; look at its stack"):
        tear_down(lab)
    lab.failed = lab.deleting = False
    assert tear_down(lab)[0] == STEPS


def test_a_pcluster_that_fails_is_quoted(lab, tmp_path):
    with pytest.raises(CloudError, match=r"found exit status 1: .*Bad Request: no permission.*is still there"):
        tear_down(lab, pcluster=script(tmp_path / "failing", FAILING))
    assert lab.exists() and not lab.deleting


def test_a_missing_pcluster_is_seen_before_anything_is_checked(lab, tmp_path):
    def checks():
        raise AssertionError("looked at")
        yield

    with pytest.raises(CloudError, match=r"expected ParallelCluster's command, found none; install it"):
        tear_down(lab, pcluster=tmp_path / "none", checks=checks())
    assert find_pcluster(lab.stand_in) == lab.stand_in


def test_a_stack_that_is_no_cluster_is_refused(lab):
    lab.cloudformation.create_stack(
        StackName="network", TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    )
    steps = teardown_steps(
        *clients(lab.between.environment), "network", pcluster=lab.stand_in, checks=(), confirm=lambda: True
    )
    with pytest.raises(CloudError, match="network: expected a cluster of ParallelCluster 3 .*found a stack without it"):
        next(steps)
    assert not lab.deleting


@pytest.mark.parametrize("verdict", [Verdict.NO, Verdict.UNKNOWN])
def test_a_check_that_does_not_hold_stops_it(lab, verdict):
    checks = [Check("jobs", Verdict.OK, "none"), Check("inventory", verdict, "two are missing")]
    with pytest.raises(CloudError, match="found that inventory is not; nothing was deleted"):
        tear_down(lab, checks=checks)
    assert lab.exists() and not lab.deleting
    passed = [Check("inventory", verdict, "two are missing", "--anyway")]
    said = tear_down(lab, checks=passed)[1]
    assert re.search(rf"^{verdict} +inventory +two are missing \(passed: --anyway\)$", said, re.MULTILINE)


def test_an_answer_other_than_its_name_stops_it(lab):
    with pytest.raises(CloudError, match="found another answer; nothing was deleted"):
        tear_down(lab, answer=False)
    assert lab.exists() and not lab.deleting


def test_everything_is_checked_and_said(lab, on_head):
    lab.fields[lab.snapshot] = {"startTime": "2026-01-02T00:00:00.000Z"}
    before = datetime(2026, 1, 1, 23, 58, tzinfo=UTC).timestamp()
    found = check(lab, newest_product=lambda: before, archive=lambda: ("s3://lab/products", []))
    assert {name: one.verdict for name, one in found.items()} == dict.fromkeys(
        ("jobs", "inventory", "archive", "snapshot", "products"), Verdict.OK
    )
    assert lab.snapshot in found["snapshot"].said and "s3://lab/products" in found["archive"].said
    assert tear_down(lab, checks=found.values())[1].count("\nok ") == 4, "and the first line"


def test_a_running_job_of_anybody_stops_it_whatever_is_said(lab, on_head, monkeypatch, tmp_path):
    monkeypatch.setenv("SQUEUE_USERS", "nobody")  # a user's setting that would hide it
    job = on_head.submit("sleep 60", "--mem=100", "--job-name=sorting of 009", f"--chdir={tmp_path}")
    on_head.wait_for(job, "RUNNING")
    found = check(lab, anyway=True, unchecked=True)["jobs"]
    assert (found.verdict, found.holds) == (Verdict.NO, False)
    assert f"1 in squeue: 1 RUNNING: {job} of " in found.said and "(sorting of 009)" in found.said
    on_head.cancel(job)
    wait_until(lambda: check(lab)["jobs"].verdict is Verdict.OK, 20, "the check to see the job's end")


def test_jobs_that_cannot_be_seen_need_to_be_passed(lab, tmp_path, monkeypatch):
    found = check(lab)["jobs"]
    assert (found.verdict, found.holds) == (Verdict.UNKNOWN, False)
    assert "expected a node of the cluster hippflow, found none of any" in found.said and "--unchecked" in found.said
    assert check(lab, anyway=True)["jobs"].holds is False
    assert check(lab, unchecked=True)["jobs"].holds is True
    # The Slurm of another cluster says nothing of this one.
    node_file = tmp_path / "cfnconfig"
    node_file.write_text("stack_name=another\n")
    monkeypatch.setattr(head, "NODE_FILE", node_file)
    assert "found one of another" in check(lab)["jobs"].said
    node_file.write_text("stack_name=hippflow\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "env").symlink_to("/usr/bin/env")
    assert "squeue: expected this command here, found none" in check(lab)["jobs"].said


def test_the_head_node_is_asked_through_a_command(lab, on_head, tmp_path, monkeypatch):
    ssh = script(tmp_path / "ssh", f'#!/bin/sh\nshift\nexport SLURM_CONF={os.environ["SLURM_CONF"]}\nexec sh -c "$1"\n')
    monkeypatch.delenv("SLURM_CONF")
    assert check(lab, head=f"{ssh} ec2-user@203.0.113.5")["jobs"].said == "none in squeue, of no user"
    assert "correct --head" in check(lab, head=str(tmp_path / "none"))["jobs"].said
    assert "exit status 255" in check(lab, head=script(tmp_path / "broken", "#!/bin/sh\nexit 255\n"))["jobs"].said


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
def test_what_is_missing_wrong_or_unknown_is_told_apart(lab, name, evidence, verdict, holds, said):
    found = check(lab, **evidence)[name]
    assert (found.verdict, found.holds) == (verdict, holds)
    assert said in found.said


@pytest.mark.parametrize("seconds, verdict", [(-3600, "ok"), (-30, "not ok"), (30, "not ok")])
def test_products_must_be_older_than_the_snapshot_by_what_may_be_in_memory(lab, seconds, verdict):
    start = datetime(2026, 1, 2, 12, tzinfo=UTC)
    lab.fields[lab.snapshot] = {"startTime": "2026-01-02T12:00:00.000Z"}
    found = check(lab, newest_product=lambda: (start + timedelta(seconds=seconds)).timestamp())["products"]
    assert found.verdict == verdict
    assert ("run: hippflow cluster snapshot" in found.said) is (verdict == "not ok")


@pytest.mark.parametrize("state, said", [("pending", "is at 40 %"), ("error", "has none that is completed; run")])
def test_without_a_completed_snapshot_nothing_lets_it_pass(lab, state, said):
    lab.fields[lab.snapshot] = {"status": state, "progress": "40%"}
    found = check(lab, anyway=True, unchecked=True)
    assert (found["snapshot"].verdict, found["snapshot"].holds) == (Verdict.NO, False)
    assert said in found["snapshot"].said and "products" not in found


def test_the_command_checks_asks_and_deletes(lab, on_head, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("cluster: {name: hippflow}\narchive: {url: s3://lab}\nresults: made\n")
    product = tmp_path / "made" / "picasso" / "rpllfp_6eca.hkl"
    product.parent.mkdir(parents=True)
    product.write_text("x")
    asked = []
    hooks = Hooks(
        inventory=lambda config: asked.append(config["results"]) or [],
        archive_report=lambda config: asked.append(config["archive"]["url"]) or [],
    )
    words = ["--pcluster", lab.stand_in]
    with pytest.raises(CloudError, match="found that products is not"):
        command(*words, "--yes", hooks=hooks)
    assert "not a minute before the newest completed snapshot" in capsys.readouterr().out
    assert asked == ["made", "s3://lab"] and lab.exists()
    product.unlink()
    with pytest.raises(CloudError, match="found no terminal; give --yes"):
        command(*words, hooks=hooks)
    assert lab.exists() and not lab.deleting
    lab.n_deleting = 0
    command(*words, "--yes", hooks=hooks)
    said = capsys.readouterr().out
    assert len(re.findall(r"^ok ", said, re.MULTILINE)) == 10, "five, twice"
    assert "cluster hippflow: gone" in said and not lab.exists()
    lab.assert_nothing_lost()


def test_the_head_node_answers_for_its_products(lab, on_head, tmp_path, monkeypatch, capsys):
    """Its own configuration counts, not that of the computer from which the cluster is deleted."""
    there, here = tmp_path / "there", tmp_path / "here"
    (there / ".venv/bin").mkdir(parents=True)
    here.mkdir()
    write_demo_day(there / "data", channels=(9,), seconds=2, behaviour=False)
    for name in ("schemas", "config.yaml"):
        (there / name).symlink_to(ROOT / name)
    script(there / ".venv/bin/hippflow", f'#!/bin/sh\nexec {sys.executable} -m hippflow "$@"\n')
    ssh = script(tmp_path / "ssh", f'#!/bin/sh\nshift\nexport SLURM_CONF={os.environ["SLURM_CONF"]}\nexec sh -c "$1"\n')
    monkeypatch.chdir(here)
    words = ["--cluster", "hippflow", "--head", f"{ssh} lab", "--pcluster", lab.stand_in, "--yes"]
    with pytest.raises(CloudError, match="found that inventory, archive, products are not"):
        command(*words, "--folder", str(here))
    assert capsys.readouterr().out.count("expected an answer, found exit status") == 3

    (there / "results").mkdir()
    with pytest.raises(CloudError, match="found that inventory is not"):
        command(*words, "--folder", str(there))
    said = capsys.readouterr().out
    assert re.search(r"not ok +inventory .* missing: picasso/20181105: sorting: 1 of 1 are to be made", said)
    assert "none is configured (archive.url in config.yaml)" in said and "products   there are none" in said
    assert lab.exists() and not lab.deleting
    # Results that lie elsewhere there
    (tmp_path / "made").mkdir()
    (tmp_path / "made/rpllfp_6eca.hkl").touch()
    (there / "config.yaml").unlink()
    (there / "config.yaml").write_text(f"results: {tmp_path / 'made'}\n")
    with pytest.raises(CloudError, match="found that inventory, products are not"):
        command(*words, "--folder", str(there))
    assert "not a minute before the newest completed snapshot" in capsys.readouterr().out
    (tmp_path / "made/rpllfp_6eca.hkl").unlink()
    lab.n_deleting = 0
    command(*words, "--folder", str(there), "--anyway")
    assert not lab.exists()


def test_a_cluster_that_is_not_named_is_not_deleted_even_if_it_is_the_only_one(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CloudError, match="expected the name of a cluster, found none; give --cluster: hippflow"):
        command("--yes")
    assert lab.exists() and not lab.deleting


def test_products_of_another_computer_prove_nothing(lab, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    with pytest.raises(CloudError, match="found that jobs, inventory, products are not"):
        command("--cluster", "hippflow", "--yes", "--pcluster", lab.stand_in, hooks=Hooks(inventory=lambda config: []))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["unknown", "unknown", "ok", "ok", "unknown"]
    assert json.dumps(lines).count("expected a node of the cluster hippflow") == 3
