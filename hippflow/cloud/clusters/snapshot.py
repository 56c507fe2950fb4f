"""A snapshot of a cluster's data that is whole before anything older is given up.

The order is what makes it safe to be killed at any time: nothing is changed before the new snapshot is completed, and
nothing is deleted before the configuration names the new one.

=========== ============================================== ==================================================
step        what it has done                               killed after it, and run again
=========== ============================================== ==================================================
checked     looked for volume, configuration, key files    the same again
started     started a snapshot, or found one under way     waits for the one under way
completed   waited for it                                  starts another, with what changed meanwhile
rewritten   put it into the configuration                  starts another; the configuration is good as it is
pruned      deleted older ones beyond those to keep        starts another
=========== ============================================== ==================================================
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from hippflow.cloud.clusters.aws import asking, error_code, explain_aws
from hippflow.cloud.clusters.cluster_file import apply_change, backup_of, named_snapshots, plan_change
from hippflow.cloud.clusters.keys import find_keys
from hippflow.cloud.clusters.volume import (
    Snapshot,
    Volume,
    create_snapshot,
    find_volume,
    get_snapshot,
    own_snapshots,
)
from hippflow.cloud.errors_s3 import REQUEST_ERRORS, is_transient
from hippflow.errors import CloudError
from hippflow.progress import Progress

#: Seconds between two questions how far a snapshot is, and for how long these may fail in a row.
PERIOD, PATIENCE = 15.0, 600.0

#: Why EC2 keeps a snapshot that is to be deleted.
_IN_USE = {"InvalidSnapshot.InUse": "an image uses it", "SnapshotLocked": "it is locked"}

#: A name that no snapshot has, to see whether a configuration could be changed.
_NONE = "snap-00000000000000000"


@dataclass(frozen=True)
class SnapshotPlan:
    """What is to be kept of which cluster.

    Attributes
    ----------
    cluster : str
    keep : int
        How many snapshots stay, with the new one.
    file : Path or None
        Configuration to be rewritten.
    description : str or None
        Of the snapshot; older ones are those with the same. By default it names cluster and volume.
    volume : str or None
        See :func:`hippflow.cloud.clusters.volume.find_volume`.
    data : Path
        Where the volume is mounted, to look for key files.
    with_keys : bool
        Take the snapshot though there are some, or though they cannot be looked for.
    period : float
        Seconds between two questions how far it is.
    """

    cluster: str
    keep: int
    file: Path | None
    description: str | None = None
    volume: str | None = None
    data: Path = Path("/data")
    with_keys: bool = False
    period: float = PERIOD


def snapshot_steps(ec2: Any, plan: SnapshotPlan, say: Callable[[str], object] = print) -> Iterator[str]:
    """Make a snapshot, step by step.

    Parameters
    ----------
    ec2 : boto3 client
    plan : SnapshotPlan
    say : callable
        Is told in a line what was done.

    Yields
    ------
    str
        The name of each step that is done; see above for what it means to stop there.

    Raises
    ------
    CloudError
        No such volume, key files on it, a snapshot that failed, a request that failed.
    ConfigError
        The configuration cannot be changed; seen before the snapshot is started.
    """
    if plan.keep < 1:
        raise CloudError(f"--keep: expected at least 1, the new snapshot, found {plan.keep}")
    volume = find_volume(ec2, plan.cluster, plan.volume)
    say(f"volume: {volume}")
    if plan.file is not None:
        plan_change(plan.file, _NONE, volume.name)
    description = plan.description or f"hippflow {plan.cluster} {volume.name or 'data'}"
    under_way = [one for one in _ours(ec2, plan.cluster, description, "pending") if one.volume == volume.id]
    if not under_way:
        check_keys(plan.data, plan.with_keys, say)
    yield "checked"

    if under_way:
        snapshot = under_way[0]
        say(f"snapshot: {snapshot.id} of {_time(snapshot)} is under way; going on with it")
    else:
        flush(plan.data)
        snapshot = create_snapshot(ec2, volume, plan.cluster, description)
        say(f"snapshot: {snapshot.id} started, called {description!r}")
    yield "started"

    snapshot = wait_for(ec2, snapshot, plan.period)
    say(f"snapshot: {snapshot.id} is completed; it holds what was on the volume at {_time(snapshot)}")
    yield "completed"

    if plan.file is not None:
        say(_rewrite(plan.file, snapshot, volume))
    yield "rewritten"

    for line in _prune(ec2, plan, snapshot, description):
        say(line)
    yield "pruned"


def flush(folder: Path) -> None:
    """Put on its disk what this machine has written to a folder's file system and still has in memory.

    Where the folder is not, or this fails, a snapshot lacks what was written in the last half minute.
    """
    if folder.is_dir() and (sync := shutil.which("sync")):
        subprocess.run([sync, "--file-system", str(folder)], stdin=subprocess.DEVNULL, capture_output=True)


def check_keys(folder: Path, allowed: bool, say: Callable[[str], object]) -> None:
    """Refuse a volume with credentials on it, and one that is not here to be looked at, unless this is `allowed`.

    Raises
    ------
    CloudError
        There are some, or there is no such folder.
    """
    if not folder.is_dir():
        if not allowed:
            raise CloudError(
                f"{folder}: expected the volume here, to see that no key files get into the snapshot, found no such "
                "folder; run this on the head node, give --data DIR, or take it unseen with --with-keys"
            )
        say(f"key files: not looked for, there is no {folder} here")
        return
    search = find_keys(folder)
    for closed in search.closed:
        say(f"key files: not looked for in {closed}, no permission")
    if not search.found:
        say(f"key files: none in {folder}")
        return
    listed = ", ".join(map(str, search.found[:20])) + (", ..." if len(search.found) > 20 else "")
    if not allowed:
        raise CloudError(
            f"{folder}: expected no credentials on a volume that goes into a snapshot, found {listed}; move them to "
            "your home folder, which is not on the volume, or say --with-keys if they may stay in the snapshot"
        )
    say(f"key files: {listed}; they will be in the snapshot, as --with-keys says")


def wait_for(ec2: Any, snapshot: Snapshot, period: float = PERIOD) -> Snapshot:
    """Wait until a snapshot is completed, and show how far it is.

    A connection that fails for some minutes ends nothing: the snapshot goes on by itself.

    Raises
    ------
    CloudError
        It failed, or is no more, or AWS could not be asked for ten minutes.
    """
    progress = Progress(100.0, f"snapshot {snapshot.id}", "%")
    answered = time.monotonic()
    while True:
        try:
            now = get_snapshot(ec2, snapshot.id)
        except REQUEST_ERRORS as error:
            if not is_transient(error) or time.monotonic() - answered > PATIENCE:
                raise explain_aws(error, f"snapshot {snapshot.id}", ec2) from error
        else:
            answered = time.monotonic()
            if now.state == "completed":
                progress.update(100.0 - progress.done)
                return now
            if now.state != "pending":
                raise CloudError(
                    f"{snapshot.id}: expected a snapshot that becomes complete, found it in state {now.state}"
                    f"{': ' + now.message if now.message else ''}; nothing was deleted or rewritten. Delete it with: "
                    f"aws ec2 delete-snapshot --snapshot-id {snapshot.id}, and start again"
                )
            progress.update(max(0.0, min(now.percent, 99.0) - progress.done))
        time.sleep(period)


def _ours(ec2: Any, cluster: str, description: str, state: str) -> list[Snapshot]:
    """List the snapshots that these commands have made of a cluster's data, newest first."""
    return own_snapshots(ec2, cluster=cluster, description=description, state=state)


def _time(snapshot: Snapshot) -> str:
    return snapshot.started.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _rewrite(file: Path, snapshot: Snapshot, volume: Volume) -> str:
    change = plan_change(file, snapshot.id, volume.name)
    if change.kept_volume:
        return f"{file}: left as it is; it names the volume {change.kept_volume} itself"
    if not apply_change(change):
        return f"{file}: has SnapshotId: {snapshot.id}"
    return f"{file}: SnapshotId: {snapshot.id}; as it was: {backup_of(change.path)}"


def _prune(ec2: Any, plan: SnapshotPlan, snapshot: Snapshot, description: str) -> Iterator[str]:
    """Delete what is older and beyond those to keep, the oldest first, and say so."""
    completed = _ours(ec2, plan.cluster, description, "completed")
    if snapshot.id not in {one.id for one in completed}:
        raise CloudError(
            f"{snapshot.id}: expected it in the list of completed snapshots, found it missing; nothing was deleted. "
            "Run this again"
        )
    named = named_snapshots(plan.file) if plan.file is not None else set()
    with asking("images", ec2):
        images = ec2.describe_images(Owners=["self"])["Images"]
    for image in images:
        named |= {disk.get("Ebs", {}).get("SnapshotId") for disk in image.get("BlockDeviceMappings", ())}
    # EC2 was asked for our own; that they are is looked at once more, because what follows cannot be undone.
    others = [one for one in completed if one.id != snapshot.id and one.owner == snapshot.owner]
    others = [one for one in others if one.started <= snapshot.started]
    older = others[plan.keep - 1 :]
    for one in reversed(older):
        if one.id in named:
            yield f"snapshot: {one.id} of {_time(one)} stays, an image or the configuration names it"
            continue
        try:
            with asking(f"snapshot {one.id}", ec2):
                yield _delete(ec2, one)
        except CloudError as error:
            raise CloudError(f"{error}. The new snapshot {snapshot.id} is complete; run this again") from error
    yield f"snapshots: of {len(completed)} called {description!r}, {len(older)} were more than --keep {plan.keep}"


def _delete(ec2: Any, one: Snapshot) -> str:
    try:
        ec2.delete_snapshot(SnapshotId=one.id)
    except ClientError as error:
        if error_code(error) == "InvalidSnapshot.NotFound":
            return f"snapshot: {one.id} of {_time(one)} is gone already"
        if error_code(error) not in _IN_USE:
            raise
        return f"snapshot: {one.id} of {_time(one)} stays, {_IN_USE[error_code(error)]}"
    return f"snapshot: {one.id} of {_time(one)} deleted"
