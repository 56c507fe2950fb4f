"""The volume that a cluster keeps its data on, and the snapshots of it.

ParallelCluster 3 makes a shared EBS volume as a part of the cluster's stack, so it has the stack's tags
(``parallelcluster:cluster-name`` and the configuration's own) and its ``Name`` is that of the entry in
``SharedStorage``. The nodes' own disks have ``parallelcluster:node-type`` besides. A volume that outlives its cluster
keeps its tags; the volume of a cluster that exists is attached to its head node.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hippflow.cloud.clusters.aws import CLUSTER_TAG, NODE_TAG, asking, tags_of
from hippflow.errors import CloudError

#: Tag of our own on snapshots: the cluster whose data they hold.
SNAPSHOT_TAG = "hippflow:cluster"


@dataclass(frozen=True)
class Volume:
    """A shared volume.

    Attributes
    ----------
    id, name, state : str
        As in ``vol-...``, ``data``, ``in-use`` or ``available``.
    gb : int
        Size in GiB.
    tags : dict of str to str
    """

    id: str
    name: str
    state: str
    gb: int
    tags: dict[str, str]

    def __str__(self) -> str:
        return f"{self.id} ({self.name or 'no name'}, {self.gb} GB, {self.state})"


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of this account.

    Attributes
    ----------
    id, owner, volume, description, state : str
        The state is ``pending``, ``completed`` or ``error``, or one of the recycle bin.
    message : str
        Why, if the state is ``error``.
    percent : float
        How much of it is done.
    started : datetime
        The time whose data it holds, with a time zone.
    gb : float
        Size in GiB of all that it holds where AWS tells, else of the volume.
    tags : dict of str to str
    """

    id: str
    owner: str
    volume: str
    description: str
    state: str
    message: str
    percent: float
    started: datetime
    gb: float
    tags: dict[str, str]


def find_volume(ec2: Any, cluster: str, volume_id: str | None = None) -> Volume:
    """Find the one shared volume of a cluster.

    Parameters
    ----------
    ec2 : boto3 client
    cluster : str
        Name of the cluster.
    volume_id : str, optional
        The one meant, where the tags fit several, or none because the volume is older than the cluster.

    Returns
    -------
    Volume
        Of several, the only one that is attached: those of former clusters with the same name are not.

    Raises
    ------
    CloudError
        None or several fit, or the request failed.
    """
    if volume_id:
        with asking(f"volume {volume_id}", ec2):
            return _volume(ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0])
    found = shared_volumes(ec2, cluster)
    attached = [volume for volume in found if volume.state == "in-use"]
    if len(found) == 1:
        return found[0]
    if len(attached) == 1:
        return attached[0]
    listed = ", ".join(map(str, found)) or "none"
    advice = "choose with" if found else "correct the name or the region, or give"
    raise CloudError(
        f"cluster {cluster} at {ec2.meta.endpoint_url}: expected one shared volume with the tag "
        f"{CLUSTER_TAG}={cluster}, found {listed}; {advice} --volume vol-..."
    )


def shared_volumes(ec2: Any, cluster: str | None = None) -> list[Volume]:
    """List the shared volumes of a cluster, or of all that there are or were in the region.

    Raises
    ------
    CloudError
        The request failed.
    """
    wanted = {"Name": f"tag:{CLUSTER_TAG}", "Values": [cluster]} if cluster else {}
    wanted = wanted or {"Name": "tag-key", "Values": [CLUSTER_TAG]}
    with asking(f"volumes of {cluster or 'clusters'}", ec2):
        pages = ec2.get_paginator("describe_volumes").paginate(Filters=[wanted])
        volumes = [_volume(entry) for page in pages for entry in page["Volumes"]]
    gone = ("deleting", "deleted")
    return sorted((v for v in volumes if NODE_TAG not in v.tags and v.state not in gone), key=lambda v: v.id)


def own_snapshots(ec2: Any, *, cluster: str | None = None, volume: str | None = None, **equal: str) -> list[Snapshot]:
    """List snapshots that this account owns, newest first.

    Parameters
    ----------
    ec2 : boto3 client
    cluster : str, optional
        Of this cluster, made by these commands; empty for those of all clusters.
    volume : str, optional
        Of this volume, made by anything.
    **equal : str
        What else must be so: ``description``, ``state``.

    Raises
    ------
    CloudError
        The request failed.
    """
    wanted = [{"Name": "volume-id", "Values": [volume]}] if volume else []
    if cluster is not None:
        name = {"Name": f"tag:{SNAPSHOT_TAG}", "Values": [cluster]}
        wanted.append(name if cluster else {"Name": "tag-key", "Values": [SNAPSHOT_TAG]})
    with asking("snapshots", ec2):
        pages = ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=wanted)
        found = [_snapshot(entry) for page in pages for entry in page["Snapshots"]]
    # Compared here: a filter of EC2 takes * and ? in a description for wildcards.
    found = [one for one in found if all(getattr(one, name) == value for name, value in equal.items())]
    return sorted(found, key=lambda one: (one.started, one.id), reverse=True)


def get_snapshot(ec2: Any, snapshot_id: str) -> Snapshot:
    """Ask for one snapshot.

    Raises
    ------
    botocore.exceptions.ClientError, BotoCoreError
        The request failed, for the caller to judge.
    """
    return _snapshot(ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0])


def create_snapshot(ec2: Any, volume: Volume, cluster: str, description: str) -> Snapshot:
    """Start a snapshot; its tags are set in the same request, so that there is none without them.

    Raises
    ------
    CloudError
        The request failed.
    """
    # Tags such as `project`, by which the bill is grouped.
    passed_on = {k: v for k, v in volume.tags.items() if not k.startswith(("aws:", "parallelcluster:"))}
    tags = passed_on | {"Name": description, SNAPSHOT_TAG: cluster}
    with asking(f"snapshot of {volume.id}", ec2):
        answer = ec2.create_snapshot(
            VolumeId=volume.id,
            Description=description,
            TagSpecifications=[
                {"ResourceType": "snapshot", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            ],
        )
    return _snapshot(answer)


def _volume(entry: dict[str, Any]) -> Volume:
    tags = tags_of(entry)
    return Volume(entry["VolumeId"], tags.get("Name", ""), entry["State"], entry["Size"], tags)


def _snapshot(entry: dict[str, Any]) -> Snapshot:
    percent = entry.get("Progress", "").rstrip("%")
    n_bytes = entry.get("FullSnapshotSizeInBytes")
    return Snapshot(
        entry["SnapshotId"],
        entry.get("OwnerId", ""),
        entry.get("VolumeId", ""),
        entry.get("Description", ""),
        entry["State"],
        entry.get("StateMessage", ""),
        float(percent) if percent else 0.0,
        entry["StartTime"],
        n_bytes / 2**30 if n_bytes else float(entry.get("VolumeSize", 0)),
        tags_of(entry),
    )
