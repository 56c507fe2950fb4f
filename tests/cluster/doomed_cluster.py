"""A cluster to be deleted: `pytest_plugins = ["aws_fixtures", "doomed_cluster"]` gives `doomed` and `on_head`.

It is a stack with ParallelCluster's tags in a simulated AWS. That deletes a stack at once; a server in between
(aws_between.py) shows it as being deleted for some answers first, as AWS does for minutes. A script stands in for
pcluster, which takes seconds to start: it makes the one request that matters.
"""

import re
import stat
import sys

import pytest
from aws_between import client, make_stack, make_volume, with_snapshots

from hippflow.cloud.clusters import head
from hippflow.cloud.clusters.checks import Evidence, make_checks
from hippflow.cloud.clusters.teardown import teardown_steps

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


def script(path, text):
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


class Doomed:
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
def doomed(aws, tmp_path):
    return Doomed(aws, tmp_path)


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


def tear_down(doomed, *, pcluster=None, checks=(), answer=True):
    """Tear down, and return the steps and what was said."""
    said = []
    steps = teardown_steps(
        *clients(doomed.between.environment),
        "hippflow",
        pcluster=str(pcluster or doomed.stand_in),
        checks=checks,
        confirm=lambda: answer,
        period=0.01,
        say=said.append,
    )
    return list(steps), "\n".join(said)


def check(doomed, **evidence):
    """Make the checks; by name."""
    standard = {"inventory": list, "archive": lambda: (None, []), "newest_product": lambda: None}
    found = make_checks(client(doomed.between.environment, "ec2"), "hippflow", Evidence(**(standard | evidence)))
    return {one.name: one for one in found}
