"""What costs for nothing: instances, volumes, snapshots and addresses of a simulated AWS, jobs of the real Slurm.

Instances there start at once and were started just now; `now` of the tests is later. The real Slurm's nodes are all
this machine, so that instances and nodes are brought together with nodes that the test makes up.
"""

import argparse
import json
from datetime import UTC, datetime, timedelta

import pytest
from aws_between import client, make_instance, make_stack, make_volume, tags, with_snapshots
from debian import wait_until

from hippflow.cloud.clusters import head
from hippflow.cloud.clusters.idle import View, find_idle
from hippflow.cloud.clusters.slurm import Job, Node, list_jobs, list_nodes
from hippflow.commands.cluster import Hooks, add
from hippflow.errors import CloudError

pytest_plugins = ["aws_fixtures"]

LATER = datetime.now(UTC) + timedelta(hours=2)


@pytest.fixture
def ec2(aws):
    make_stack(client(aws.upstream, "cloudformation"))
    return client(aws.upstream, "ec2")


@pytest.fixture
def idle(aws, ec2):
    """Finds what is idle in two hours; by id."""

    def find(**options):
        found = find_idle(ec2, client(aws.environment, "cloudformation"), **({"now": LATER} | options))
        assert len({one.id for one in found}) == len(found)
        return {one.id: one for one in found}

    return find


def job(state, end=None):
    return Job("7", state, "me", "sorting", end)


def node(address, *states, busy=None):
    return Node("spot-dy-memory-1", address, "spot-dy-memory-1", frozenset(states), busy)


def test_nothing_is_idle_in_an_empty_account(idle):
    assert idle() == {}


@pytest.mark.parametrize(
    ("jobs", "why"),
    [
        ([], "no jobs that Slurm remembers"),
        ([job("COMPLETED", LATER - timedelta(minutes=45)), job("FAILED")], "no jobs for 45 min"),
        ([job("COMPLETED", LATER - timedelta(minutes=5))], None),
        ([job("COMPLETED", LATER - timedelta(minutes=45)), job("PENDING")], None),
        ([job("RUNNING", LATER + timedelta(hours=5))], None),
    ],
)
def test_a_head_node_without_jobs_for_long_enough_is_idle(idle, ec2, jobs, why):
    number = make_instance(ec2, cluster="hippflow", node="HeadNode")["InstanceId"]
    found = idle(view=View("hippflow", jobs, []))
    assert [(one.id, one.kind, one.type, one.why) for one in found.values()] == (
        [(number, "head node", "m6i.xlarge", why)] if why else []
    )
    assert idle(view=View("hippflow", [], []), now=datetime.now(UTC) + timedelta(minutes=5)) == {}, (
        "it has just started"
    )


def test_a_head_node_whose_slurm_was_not_asked_is_idle_if_no_compute_node_is_up(idle, ec2):
    number = make_instance(ec2, cluster="hippflow", node="HeadNode")["InstanceId"]
    assert idle()[number].why == "no compute node is up; what Slurm has was not asked"
    assert idle(view=View("another", [job("RUNNING")], []))[number].why.endswith("was not asked")
    make_instance(ec2, cluster="hippflow", node="Compute")
    assert idle() == {}


@pytest.mark.parametrize(
    ("states", "busy", "why"),
    [
        (["IDLE", "CLOUD"], 45, "spot-dy-memory-1 is cloud+idle, no jobs for 45 min"),
        (["IDLE", "CLOUD"], None, "spot-dy-memory-1 is cloud+idle, no jobs for 120 min"),
        (["DOWN", "CLOUD"], 45, "spot-dy-memory-1 is cloud+down, no jobs for 45 min"),
        (["IDLE", "CLOUD"], 5, None),
        (["ALLOCATED", "CLOUD"], 45, None),
        (["IDLE", "CLOUD", "POWERING_DOWN"], 45, None),
    ],
)
def test_a_compute_node_without_jobs_for_long_enough_is_idle(idle, ec2, states, busy, why):
    instance = make_instance(ec2, "r6i.2xlarge", cluster="hippflow", node="Compute")
    now = instance["LaunchTime"] + timedelta(hours=2)
    there = node(instance["PrivateIpAddress"], *states, busy=now - timedelta(minutes=busy) if busy else None)
    found = idle(view=View("hippflow", [job("RUNNING")], [there]), now=now)
    assert [one.why for one in found.values()] == ([why] if why else [])


def test_a_compute_node_that_slurm_does_not_know_or_whose_cluster_is_gone_is_idle(idle, ec2):
    stray = make_instance(ec2, cluster="hippflow", node="Compute")["InstanceId"]
    orphan = make_instance(ec2, cluster="former", node="Compute")["InstanceId"]
    make_instance(ec2, Name="of somebody else")
    found = idle(view=View("hippflow", [job("RUNNING")], [node("10.0.0.1", "IDLE")]))
    assert {number: one.why for number, one in found.items()} == {
        stray: "Slurm has no node with its address",
        orphan: "its cluster is gone",
    }
    assert set(idle(cluster="former")) == {orphan}


def test_volumes_that_are_attached_to_nothing_are_idle(idle, ec2):
    former = make_volume(ec2, cluster="former", Name="data")
    used = make_volume(ec2, cluster="hippflow", Name="data")
    make_volume(ec2, Name="of somebody else")
    number = make_instance(ec2, cluster="hippflow", node="HeadNode")["InstanceId"]
    ec2.attach_volume(VolumeId=used, InstanceId=number, Device="/dev/sdb")
    found = idle(view=View("hippflow", [job("RUNNING")], []))
    (one,) = found.values()
    assert (one.id, one.kind, one.cluster, one.type, one.gb) == (former, "volume", "former", "gp3", 500)
    assert idle(cluster="hippflow", view=View("hippflow", [job("RUNNING")], [])) == {}


def test_snapshots_beyond_those_wanted_are_idle(idle, ec2, aws):
    volume = make_volume(ec2, Name="data")

    def snapshot(day, description, cluster, **fields):
        given = [{"Key": "hippflow:cluster", "Value": cluster}] if cluster else []
        made = ec2.create_snapshot(
            VolumeId=volume,
            Description=description,
            TagSpecifications=[{"ResourceType": "snapshot", "Tags": given}] if given else [],
        )["SnapshotId"]
        shown[made] = {"startTime": f"2026-01-{day:02d}T00:00:00.000Z"} | fields
        return made

    shown = {}
    aws.after = lambda action, form, body: with_snapshots(body, shown) if action == "DescribeSnapshots" else body
    first, second, *_ = [snapshot(day, "a", "hippflow") for day in (1, 2, 3, 4)]
    snapshot(1, "b", "hippflow")
    snapshot(1, "a", "other")
    snapshot(1, "a", "")
    snapshot(5, "a", "hippflow", status="pending")
    found = {
        one.id: one for one in find_idle(client(aws.environment, "ec2"), client(aws.environment, "cloudformation"))
    }
    assert {number: one.why for number, one in found.items()} == {
        first: "older than the newest 2 called 'a', of 2026-01-01",
        second: "older than the newest 2 called 'a', of 2026-01-02",
    }
    assert found[first].gb == 500


def test_addresses_that_lead_nowhere_are_idle(idle, ec2):
    given = [{"ResourceType": "elastic-ip", "Tags": tags(cluster="former")}]
    former = ec2.allocate_address(Domain="vpc", TagSpecifications=given)
    by_hand = ec2.allocate_address(Domain="vpc")
    used = ec2.allocate_address(Domain="vpc")
    number = make_instance(ec2, cluster="hippflow", node="HeadNode")["InstanceId"]
    ec2.associate_address(AllocationId=used["AllocationId"], InstanceId=number)
    working = View("hippflow", [job("RUNNING")], [])
    found = idle(view=working)
    assert {one.id: (one.kind, one.cluster) for one in found.values()} == {
        former["AllocationId"]: ("address", "former"),
        by_hand["AllocationId"]: ("address", ""),
    }
    assert found[former["AllocationId"]].why == f"{former['PublicIp']} leads nowhere"
    assert set(idle(view=working, cluster="hippflow")) == {by_hand["AllocationId"]}


def test_what_slurm_says_is_read(slurm, monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    monkeypatch.setenv("SQUEUE_STATES", "PENDING")
    started = datetime.now(UTC) - timedelta(seconds=1)
    done = slurm.submit("true", "--mem=100", "--job-name=two words", f"--chdir={tmp_path}")
    slurm.wait_for(done, "COMPLETED")
    running = slurm.submit("sleep 60", "--mem=100", f"--chdir={tmp_path}")
    slurm.wait_for(running, "RUNNING")
    jobs = {one.id: one for one in list_jobs()}
    assert (jobs[done].state, jobs[done].name, jobs[done].over) == ("COMPLETED", "two words", True)
    assert started <= jobs[done].end <= datetime.now(UTC) + timedelta(seconds=1)
    assert (jobs[running].state, jobs[running].over) == ("RUNNING", False)
    nodes = {one.name: one for one in list_nodes()}
    assert set(nodes) == {"n1", "n2", "n3", "n4"}
    (busy,) = [name for name, one in nodes.items() if one.working]
    assert busy == slurm.call("squeue", "--noheader", "--format=%N", f"--jobs={running}").strip()
    assert (nodes["n4"].address == "127.0.0.1" and nodes["n4"].states == {"IDLE"}) or busy == "n4"
    slurm.cancel(running)
    wait_until(lambda: not any(one.working for one in list_nodes()), 20, "all nodes to be idle")
    assert started <= max(one.busy for one in list_nodes() if one.busy) <= datetime.now(UTC) + timedelta(seconds=1)


def test_a_slurm_that_does_not_answer_is_a_sentence():
    with pytest.raises(CloudError, match="squeue: expected an answer, found exit status 3, saying: no controller; run"):
        list_jobs("sh -c 'echo no controller >&2; exit 3' head")


def command(capsys, *words, price=None):
    """Run the command line and return what it prints."""
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers(), Hooks(price=price))
    arguments = parser.parse_args(["cluster", "idle", "--minutes", "0", "--region", "us-east-1", *words])
    arguments.run(arguments)
    return capsys.readouterr().out


def test_the_command_prints_a_table_with_prices(ec2, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    number = make_instance(ec2, cluster="hippflow", node="HeadNode")["InstanceId"]
    volume = make_volume(ec2, cluster="hippflow", Name="data")
    prices = {("head node", "us-east-1"): 0.19, ("volume", "us-east-1"): None}
    lines = command(capsys, price=lambda one, region: prices[one.kind, region]).splitlines()
    assert lines[0].split() == ["what", "id", "cluster", "US$/h", "why"]
    assert lines[1].split()[:6] == ["head", "node", "m6i.xlarge", number, "hippflow", "0.1900"]
    assert lines[2].split()[:7] == ["volume", "gp3", "500", "GB", volume, "hippflow", "?"]
    assert lines[3] == "Together 0.1900 US$ an hour, 138.70 a month; 1 without a price."
    assert lines[4].startswith("What Slurm has was not asked. this machine: expected a node of the cluster hippflow")


def test_the_command_asks_the_slurm_of_the_head_node_and_prints_json(ec2, capsys, monkeypatch, tmp_path, slurm):
    monkeypatch.chdir(tmp_path)
    number = make_instance(ec2, cluster="hippflow", node="HeadNode")["InstanceId"]
    (tmp_path / "cfnconfig").write_text("stack_name=hippflow\n")
    monkeypatch.setattr(head, "NODE_FILE", tmp_path / "cfnconfig")
    monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
    running = slurm.submit("sleep 60", "--mem=100", f"--chdir={tmp_path}")
    slurm.wait_for(running, "RUNNING")
    assert json.loads(command(capsys, "--json")) == {"region": "us-east-1", "slurm": "asked", "idle": []}
    assert command(capsys).strip() == "Nothing of a cluster in us-east-1 costs for nothing."
    slurm.cancel(running)
    slurm.wait_for(running, "CANCELLED")
    (row,) = json.loads(command(capsys, "--json"))["idle"]
    assert (row["id"], row["kind"], row["usd_per_hour"]) == (number, "head node", None)
    assert row["why"] == "no jobs for 0 min"
