"""Snapshots of a volume in a simulated AWS: `pytest_plugins = ["aws_fixtures", "snapshot_lab"]` gives `lab`.

That AWS completes a snapshot at once. So that one can be under way or fail, a server in between (aws_between.py)
changes state, progress, owner and time of single snapshots in its answers; all else, and what is deleted, is its own.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from aws_between import client, make_volume, with_snapshots

from hippflow.cloud.clusters import snapshot as module
from hippflow.cloud.clusters.snapshot import SnapshotPlan, snapshot_steps

REPOSITORY = Path(__file__).parents[2]
DESCRIPTION = "hippflow hippflow data"
STEPS = ["checked", "started", "completed", "rewritten", "pruned"]


class Lab:
    """A cluster's volume with three snapshots, a configuration that names the newest, and other people's snapshots."""

    def __init__(self, aws, folder):
        self.ec2 = client(aws, "ec2")
        self.volume = make_volume(self.ec2, cluster="hippflow", Name="data", project="memory")
        make_volume(self.ec2, cluster="hippflow", node="Compute", Name="root")
        make_volume(self.ec2, cluster="other", Name="data")
        self.fields = {}
        self.old = [self.snapshot(days=days) for days in (3, 2, 1)]
        self.others = [
            self.snapshot(days=4, description="another"),
            self.snapshot(days=5, cluster="other"),
            self.snapshot(days=6, tagged=False),
            self.snapshot(days=7, ownerId="999999999999"),
            self.snapshot(days=8, status="error"),
        ]
        self.data = folder / "volume"
        self.data.mkdir()
        self.file = folder / "cluster.yaml"
        text = (REPOSITORY / "cluster" / "parallelcluster.yaml").read_text()
        self.text = text.replace("snap-0123456789abcdef0", self.old[-1])
        self.file.write_text(self.text)

    def snapshot(self, days, description=DESCRIPTION, cluster="hippflow", tagged=True, **fields):
        """A snapshot of so many days ago; with fields as `with_snapshots` takes them."""
        tags = [{"Key": "hippflow:cluster", "Value": cluster}]
        given = [{"ResourceType": "snapshot", "Tags": tags}] if tagged else []
        made = self.ec2.create_snapshot(VolumeId=self.volume, Description=description, TagSpecifications=given)
        start = datetime.now(UTC) - timedelta(days=days)
        self.fields[made["SnapshotId"]] = {"startTime": start.strftime("%Y-%m-%dT%H:%M:%S.000Z")} | fields
        return made["SnapshotId"]

    def after(self, action, form, body):
        """What the server in between does to answers."""
        if action == "DescribeSnapshots":
            return with_snapshots(body, self.fields)
        return body

    def ours(self):
        """Ids of all snapshots of the account that these commands or this test have made."""
        known = {*self.fields}
        found = self.ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [self.volume]}])["Snapshots"]
        return known & {one["SnapshotId"] for one in found}, {one["SnapshotId"] for one in found} - known

    def named(self):
        """The snapshot that the configuration names."""
        return yaml.safe_load(self.file.read_text())["SharedStorage"][0]["EbsSettings"]["SnapshotId"]

    def plan(self, **settings):
        standard = {"cluster": "hippflow", "keep": 2, "file": self.file, "data": self.data, "period": 0.01}
        return SnapshotPlan(**(standard | settings))


@pytest.fixture
def lab(aws, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "flush", lambda folder: None)  # of this machine's disk, on which others work
    made = Lab(aws.upstream, tmp_path)
    made.between, aws.after = aws, made.after
    return made


def take(lab, **settings):
    """Take a snapshot, and return the steps and what was said."""
    said = []
    steps = list(snapshot_steps(client(lab.between.environment, "ec2"), lab.plan(**settings), said.append))
    return steps, "\n".join(said)
