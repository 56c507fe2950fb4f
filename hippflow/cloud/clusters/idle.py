"""What of clusters is running and billed and has nothing to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hippflow.cloud.clusters.aws import CLUSTER_TAG, NODE_TAG, asking, cluster_names, tags_of
from hippflow.cloud.clusters.slurm import Job, Node
from hippflow.cloud.clusters.volume import SNAPSHOT_TAG, Snapshot, own_snapshots


@dataclass(frozen=True)
class Idle:
    """One thing that costs for nothing.

    Attributes
    ----------
    kind : {'head node', 'compute node', 'login node', 'volume', 'snapshot', 'address'}
    id, cluster : str
        The cluster is empty where none is known.
    type : str
        Of the instance or the volume: ``m6i.xlarge``, ``gp3``.
    spot : bool
        Whether the instance has the price of the spot market.
    gb : float
        Size of a volume, at most of a snapshot; 0 for all else.
    iops, throughput : int
        What a volume was made with; 0 where AWS does not say. Throughput is in MiB/s.
    why : str
        What shows that it has nothing to do.
    """

    kind: str
    id: str
    cluster: str
    why: str
    type: str = ""
    spot: bool = False
    gb: float = 0.0
    iops: int = 0
    throughput: int = 0


@dataclass(frozen=True)
class View:
    """What Slurm says of one cluster.

    Attributes
    ----------
    cluster : str
    jobs : list of Job
        Also those that ended a while ago.
    nodes : list of Node
    """

    cluster: str
    jobs: list[Job]
    nodes: list[Node]


def find_idle(
    ec2: Any,
    cloudformation: Any,
    *,
    cluster: str | None = None,
    view: View | None = None,
    minutes: float = 30.0,
    keep: int = 2,
    now: datetime | None = None,
) -> list[Idle]:
    """Find what costs for nothing.

    Parameters
    ----------
    ec2, cloudformation : boto3 clients
    cluster : str, optional
        The one to look at; by default all, and what is left of those that are gone.
    view : View, optional
        What Slurm says. Without it a head node is named if none of its cluster's compute nodes is up, and a compute
        node only if its cluster is gone.
    minutes : float
        For how long an instance must have had nothing to do.
    keep : int
        How many snapshots of each description are wanted.
    now : datetime, optional
        With a time zone.

    Raises
    ------
    CloudError
        AWS cannot be asked.
    """
    now, patience = now or datetime.now(UTC), timedelta(minutes=minutes)
    clusters = cluster_names(cloudformation)
    instances = _instances(ec2, cluster)
    found = []
    for instance in instances:
        tags = tags_of(instance)
        name, node = tags[CLUSTER_TAG], tags.get(NODE_TAG, "")
        if now - instance["LaunchTime"] < patience:
            continue
        slurm = view if view is not None and view.cluster == name else None
        if name not in clusters:
            why = "its cluster is gone"
        elif node == "HeadNode":
            up = sum(1 for o in instances if tags_of(o)[CLUSTER_TAG] == name and tags_of(o).get(NODE_TAG) == "Compute")
            why = _head_idle(slurm, up, now, patience)
        elif node == "Compute":
            why = _node_idle(slurm, instance, now, patience)
        else:  # a login node: who is logged in is not seen from here
            continue
        if why:
            kind = {"HeadNode": "head node", "Compute": "compute node"}.get(node, "login node")
            spot = instance.get("InstanceLifecycle") == "spot"
            found.append(Idle(kind, instance["InstanceId"], name, why, type=instance["InstanceType"], spot=spot))
    return [*found, *_volumes(ec2, cluster), *_snapshots(ec2, cluster, keep), *_addresses(ec2, cluster)]


def _instances(ec2: Any, cluster: str | None) -> list[dict[str, Any]]:
    wanted = (
        {"Name": f"tag:{CLUSTER_TAG}", "Values": [cluster]} if cluster else {"Name": "tag-key", "Values": [CLUSTER_TAG]}
    )
    running = {"Name": "instance-state-name", "Values": ["running"]}
    with asking("instances", ec2):
        pages = ec2.get_paginator("describe_instances").paginate(Filters=[wanted, running])
        return [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]


def _head_idle(view: View | None, nodes_up: int, now: datetime, patience: timedelta) -> str:
    if view is None:
        return "" if nodes_up else "no compute node is up; what Slurm has was not asked"
    if any(not job.over for job in view.jobs):
        return ""
    ends = [job.end for job in view.jobs if job.end]
    if not ends:
        return "no jobs that Slurm remembers"
    if now - max(ends) < patience:
        return ""
    return f"no jobs for {_minutes(now - max(ends))}"


def _node_idle(view: View | None, instance: dict[str, Any], now: datetime, patience: timedelta) -> str:
    if view is None:
        return ""
    address, host = instance.get("PrivateIpAddress"), instance.get("PrivateDnsName", "").split(".")[0]
    node = next((node for node in view.nodes if node.address == address or node.host == host), None)
    if node is None:
        return "Slurm has no node with its address"
    if node.working:
        return ""
    since = max(node.busy or instance["LaunchTime"], instance["LaunchTime"])
    if now - since < patience:
        return ""
    return f"{node.name} is {'+'.join(sorted(node.states)).lower()}, no jobs for {_minutes(now - since)}"


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} min"


def _volumes(ec2: Any, cluster: str | None) -> Iterable[Idle]:
    wanted = (
        {"Name": f"tag:{CLUSTER_TAG}", "Values": [cluster]} if cluster else {"Name": "tag-key", "Values": [CLUSTER_TAG]}
    )
    with asking("volumes", ec2):
        pages = ec2.get_paginator("describe_volumes").paginate(
            Filters=[wanted, {"Name": "status", "Values": ["available"]}]
        )
        for volume in (one for page in pages for one in page["Volumes"]):
            tags = tags_of(volume)
            yield Idle(
                "volume",
                volume["VolumeId"],
                tags[CLUSTER_TAG],
                f"attached to nothing, {tags.get('Name', 'no name')}, of {volume['CreateTime']:%Y-%m-%d}",
                type=volume.get("VolumeType", ""),
                gb=volume["Size"],
                iops=volume.get("Iops") or 0,
                throughput=volume.get("Throughput") or 0,
            )


def _snapshots(ec2: Any, cluster: str | None, keep: int) -> Iterable[Idle]:
    """Of each description, the completed ones beyond the newest `keep`."""
    groups: dict[tuple[str, str], list[Snapshot]] = {}
    for one in own_snapshots(ec2, cluster=cluster or "", state="completed"):
        groups.setdefault((one.tags[SNAPSHOT_TAG], one.description), []).append(one)
    for (name, description), snapshots in sorted(groups.items()):
        for one in snapshots[keep:]:
            why = f"older than the newest {keep} called {description!r}, of {one.started:%Y-%m-%d}"
            yield Idle("snapshot", one.id, name, why, gb=one.gb)


def _addresses(ec2: Any, cluster: str | None) -> Iterable[Idle]:
    with asking("addresses", ec2):
        addresses = ec2.describe_addresses()["Addresses"]
    for address in addresses:
        name = tags_of(address).get(CLUSTER_TAG, "")
        # One without a cluster's tag was made by hand, perhaps for a head node, and costs the same.
        if "AssociationId" not in address and cluster in (None, name or cluster):
            yield Idle(
                "address",
                address.get("AllocationId", address["PublicIp"]),
                name,
                f"{address['PublicIp']} leads nowhere",
            )
