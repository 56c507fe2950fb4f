"""What Slurm on the head node says of jobs and nodes, asked there or from elsewhere through a command such as ssh."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from hippflow.cloud.clusters.head import run_there

#: States of jobs that are over; all others still want something.
_OVER = {
    "COMPLETED",
    "CANCELLED",
    "FAILED",
    "TIMEOUT",
    "OUT_OF_MEMORY",
    "NODE_FAIL",
    "BOOT_FAIL",
    "DEADLINE",
    "PREEMPTED",
    "REVOKED",
}


@dataclass(frozen=True)
class Job:
    """A job as squeue shows it.

    Attributes
    ----------
    id, state, user, name : str
    end : datetime or None
        When it ended, or will have to.
    """

    id: str
    state: str
    user: str
    name: str
    end: datetime | None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in _OVER


@dataclass(frozen=True)
class Node:
    """A node as scontrol shows it.

    Attributes
    ----------
    name, address, host : str
    states : frozenset of str
        Such as ``IDLE`` and ``CLOUD``.
    busy : datetime or None
        When it last had a job.
    """

    name: str
    address: str
    host: str
    states: frozenset[str]
    busy: datetime | None

    @property
    def working(self) -> bool:
        """Whether it has jobs, or is starting or stopping."""
        return bool(
            self.states & {"ALLOCATED", "MIXED", "COMPLETING", "POWERING_UP", "CONFIGURING", "POWERING_DOWN", "REBOOT"}
        )


def list_jobs(head: str | None = None) -> list[Job]:
    """List the jobs of all users, also those that ended a while ago.

    Parameters
    ----------
    head : str, optional
        See :func:`hippflow.cloud.clusters.head.require_cluster`.

    Raises
    ------
    CloudError
        Slurm cannot be asked.
    """
    rows = _ask(head, "squeue", "--noheader", "--all", "--states=all", "--format=%i %T %e %u %j").splitlines()
    jobs = []
    for row in rows:
        number, state, end, user, *name = row.split(maxsplit=4)
        jobs.append(Job(number, state, user, " ".join(name), _time(end)))
    return jobs


def list_nodes(head: str | None = None) -> list[Node]:
    """List the nodes.

    Raises
    ------
    CloudError
        Slurm cannot be asked.
    """
    nodes = []
    for row in _ask(head, "scontrol", "show", "nodes", "--oneliner").splitlines():
        entry = dict(re.findall(r"(\w+)=(\S*)", row))
        if "NodeName" in entry:
            states = frozenset(entry["State"].replace("*", "").split("+"))
            name = entry["NodeName"]
            host, busy = entry.get("NodeHostName", name), _time(entry.get("LastBusyTime", ""))
            nodes.append(Node(name, entry.get("NodeAddr", name), host, states, busy))
    return nodes


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:  # N/A, Unknown, None
        return None


def _ask(head: str | None, *command: str) -> str:
    """Run a command of Slurm with times in UTC."""
    return run_there(head, "env", "TZ=UTC", "SLURM_TIME_FORMAT=standard", *command)
