"""The end of a cluster: what has to be so before it is deleted, and the deletion.

Nothing but the checks comes before ``pcluster delete-cluster``, and nothing is deleted besides what that deletes: no
volume, no snapshot, no object. So it may be killed anywhere. Run again, it makes the checks again as long as the
cluster exists, waits for one that is being deleted, and says of one that is gone that it is gone.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from hippflow.cloud.clusters.aws import CLUSTER_TAG, asking, find_stack
from hippflow.cloud.clusters.checks import Check
from hippflow.cloud.clusters.volume import shared_volumes
from hippflow.cloud.errors_s3 import is_transient
from hippflow.errors import CloudError
from hippflow.progress import format_duration

#: Seconds between two questions whether a cluster is gone, and for how long these may fail in a row.
PERIOD, PATIENCE = 15.0, 600.0


def find_pcluster(path: str | None = None) -> str:
    """Find the command ``pcluster``.

    Raises
    ------
    CloudError
        It is not there.
    """
    found = shutil.which(str(Path(path).expanduser()) if path else "pcluster")
    if not found:
        raise CloudError(
            f"{path or 'pcluster'}: expected ParallelCluster's command, found none; install it from "
            "cluster/requirements.txt into an environment of its own and give --pcluster ~/pcluster/bin/pcluster"
        )
    return found


def teardown_steps(
    cloudformation: Any,
    ec2: Any,
    cluster: str,
    *,
    pcluster: str | None,
    checks: Iterable[Check],
    confirm: Callable[[], bool],
    period: float = PERIOD,
    say: Callable[[str], object] = print,
) -> Iterator[str]:
    """Delete a cluster, step by step.

    Parameters
    ----------
    cloudformation, ec2 : boto3 clients
        Of the cluster's region.
    cluster : str
    pcluster : str or None
        Path of the command, by default the one in ``PATH``.
    checks : iterable of Check
        As from :func:`make_checks`; not looked at if the cluster is gone or being deleted.
    confirm : callable
        Asked when all checks hold.
    period : float
        Seconds between two questions whether it is gone.
    say : callable
        Is told in a line what was found and done.

    Yields
    ------
    str
        ``checked``, ``confirmed``, ``asked`` (pcluster was told to delete it) and ``gone``.

    Raises
    ------
    CloudError
        A check does not hold, nobody confirmed, or AWS or pcluster did not delete the cluster.
    """
    stack = find_stack(cloudformation, cluster)
    if stack is None:
        say(f"cluster {cluster}: there is none at {cloudformation.meta.endpoint_url}, or no longer")
    elif stack.status == "DELETE_IN_PROGRESS":
        say(f"cluster {cluster}: is being deleted already")
    else:
        command = find_pcluster(pcluster)
        _judge(cluster, checks, say)
        yield "checked"
        if not confirm():
            raise CloudError(
                f"cluster {cluster}: expected its name to confirm, found another answer; nothing was deleted"
            )
        yield "confirmed"
        say(_delete(cloudformation, cluster, command))
        yield "asked"
    _wait(cloudformation, cluster, period, say)
    for line in left_over(ec2, cluster):
        say(line)
    yield "gone"


def _judge(cluster: str, checks: Iterable[Check], say: Callable[[str], object]) -> None:
    failed = []
    for check in checks:
        say(str(check))
        if not check.holds:
            failed.append(check.name)
    if failed:
        raise CloudError(
            f"cluster {cluster}: expected every line above to be ok, found that {', '.join(failed)} "
            f"{'is' if len(failed) == 1 else 'are'} not; nothing was deleted"
        )


def _delete(cloudformation: Any, cluster: str, command: str) -> str:
    """Tell pcluster to delete a cluster, which then goes on by itself."""
    region = cloudformation.meta.region_name
    called = [command, "delete-cluster", "--cluster-name", cluster, "--region", region]
    try:
        done = subprocess.run(called, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise CloudError(
            f"{command}: expected ParallelCluster's command, found: {error.strerror}; correct --pcluster"
        ) from error
    if done.returncode:
        stack = find_stack(cloudformation, cluster)
        if stack is not None and stack.status != "DELETE_IN_PROGRESS":  # else it is what was wanted
            said = " ".join((done.stdout + done.stderr).split())[-500:]
            raise CloudError(
                f"{' '.join(called)}: expected the deletion to begin, found exit status {done.returncode}: {said}; "
                "the cluster is still there"
            )
    return f"cluster {cluster}: deletion has begun"


def _wait(cloudformation: Any, cluster: str, period: float, say: Callable[[str], object]) -> None:
    """Wait until the stack is gone; a connection that fails for some minutes ends nothing."""
    start = answered = said = time.monotonic()
    while True:
        now = time.monotonic()
        try:
            stack = find_stack(cloudformation, cluster)
        except CloudError as error:
            cause = error.__cause__
            if not isinstance(cause, Exception) or not is_transient(cause) or now - answered > PATIENCE:
                raise
        else:
            if stack is None:
                return
            answered = now
            if stack.status != "DELETE_IN_PROGRESS":
                raise CloudError(
                    f"cluster {cluster}: expected it to be deleted, found {stack.status}"
                    f"{': ' + stack.reason if stack.reason else ''}; look at its stack in the CloudFormation console, "
                    "mend what is said there, and run this again"
                )
        if now - said > 30:
            said = now
            say(f"cluster {cluster}: being deleted for {format_duration(now - start)}; it goes on by itself")
        time.sleep(period)


def left_over(ec2: Any, cluster: str) -> Iterator[str]:
    """Say what there is of a cluster that is gone and still costs.

    Raises
    ------
    CloudError
        EC2 cannot be asked.
    """
    wanted = [{"Name": f"tag:{CLUSTER_TAG}", "Values": [cluster]}]
    running = [*wanted, {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
    with asking(f"what is left of {cluster}", ec2):
        reservations = ec2.describe_instances(Filters=running)["Reservations"]
        addresses = ec2.describe_addresses(Filters=wanted)["Addresses"]
    yield f"cluster {cluster}: gone"
    for instance in (one for reservation in reservations for one in reservation["Instances"]):
        number = instance["InstanceId"]
        yield (
            f"left: instance {number}, {instance['State']['Name']}, costs; end it with: "
            f"aws ec2 terminate-instances --instance-ids {number}"
        )
    for volume in shared_volumes(ec2, cluster):
        yield (
            f"left: volume {volume}, costs; when you no longer want it beside its snapshot: "
            f"aws ec2 delete-volume --volume-id {volume.id}"
        )
    for address in addresses:
        number = address["AllocationId"]
        yield f"left: address {address['PublicIp']}, costs; aws ec2 release-address --allocation-id {number}"
