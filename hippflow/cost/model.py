"""What work costs on the nodes of a cluster: the model that estimates and bills share.

Jobs run side by side on nodes that are billed whole, from the minute they start until they are given
back. So the hours of a queue's nodes are

    sum of its jobs' CPU seconds / (vCPUs of a node x utilisation) / 3600
    + nodes x (minutes that one takes to start + minutes that it waits for work before it goes)

where `utilisation` (``cost.utilisation``) is the share of a node's vCPU seconds that become CPU seconds
of jobs: two vCPUs are one core, jobs wait for the disk, and the last ones of a run do not fill a node.
The number of nodes is what its Slurm jobs can fill, at most the queue's. Nodes that wait for the
volume are billed, too: they are there at least as long as it takes for all bytes that Slurm jobs
read and write, at its throughput, without those that a job made itself. The run lasts as long as
the busiest queue, or the longest Slurm job. The head node, its volume and the public addresses are billed
for that time; what is billed by the month whether anything runs or not is listed, but in no sum.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hippflow.cost.account import Account, Item, Row
from hippflow.cost.prices import HOURS_OF_MONTH, Prices
from hippflow.cost.site import FREE_IOPS, FREE_MBPS

#: Bytes that one request for an object brings.
PART = 8 << 20

#: How much more or less may be, as a share, what nobody has measured: how long nodes wait, for the volume or for
#: work, and how long a run will take.
WAITING_ERROR = 0.5


@dataclass(frozen=True)
class Work:
    """A job, to be priced.

    Attributes
    ----------
    rule, day : str
        ``day`` is subject/date, or ``-``.
    cpu : float
        CPU seconds.
    busy : float
        Seconds of one vCPU that it keeps from others, at full utilisation its CPU seconds.
    slurm_job : str
        Jobs with the same one run in one Slurm job.
    minutes : float
        That it asks for.
    error : float
        Of `cpu`, as a share.
    basis : str
        What `cpu` is from.
    n_bytes : float
        That it reads from the volume and writes to it.
    """

    rule: str
    day: str
    cpu: float
    busy: float
    slurm_job: str
    minutes: float = 0.0
    error: float = 0.0
    basis: str = "measured"
    n_bytes: float = 0.0


def account_for(
    work: Iterable[Work],
    prices: Prices,
    settings: dict[str, Any],
    *,
    hours: float | None = None,
    made: float = 0.0,
    staged: float = 0.0,
) -> Account:
    """Price some work.

    Parameters
    ----------
    work : iterable of Work
    prices : Prices
    settings : dict
        See `hippflow.cost.site.cost_settings`.
    hours : float, optional
        How long the run took; computed where it is still to be made.
    made, staged : float
        Bytes of products, and of raw files that come from a bucket.

    Returns
    -------
    Account
    """
    work = list(work)
    account = Account(settings, prices, billed=settings["cluster"])
    jobs: dict[str, list[Work]] = {}
    for job in work:
        jobs.setdefault(job.slurm_job, []).append(job)
    rows: dict[tuple[str, str, str], Row] = {}
    slurm_jobs: dict[str, int] = {}
    longest = 0.0
    for members in jobs.values():
        name = _queue(sum(job.minutes for job in members) / min(settings["slots"], len(members)), settings)
        slurm_jobs[name] = slurm_jobs.get(name, 0) + 1
        seconds = sum(job.busy for job in members) / settings["utilisation"] / min(settings["slots"], len(members))
        longest = max(longest, seconds / 3600)
        queue = settings["queues"][name]
        price = prices.hour(queue["instance"], settings["region"], queue["market"])
        per_hour = prices.vcpus(queue["instance"]) * settings["utilisation"] * 3600
        for job in members:
            key = (job.rule, job.day, name)
            row = rows.setdefault(key, Row(job.rule, job.day, queue["instance"], queue["market"]))
            row.jobs, row.cpu = row.jobs + 1, row.cpu + job.cpu
            node_hours = job.busy / per_hour
            row.hours, row.usd = row.hours + node_hours, row.usd + node_hours * price
            row.error += node_hours * price * job.error
            row.basis.add(job.basis)
            row.n_bytes += job.n_bytes
    account.lines = sorted(rows.values(), key=lambda row: (row.day, row.rule, row.instance))
    _add_nodes(account, rows, slurm_jobs, longest, hours)
    _add_storage(account, made, staged)
    return account


def _queue(minutes: float, settings: dict[str, Any]) -> str:
    """Return the queue of a Slurm job: the first whose limit allows its time, or the cluster's first."""
    partitions = settings["partitions"] or {}
    fitting = [name for name, limit in partitions.items() if minutes <= limit and name in settings["queues"]]
    return fitting[0] if fitting else next(iter(settings["queues"]))


def _add_nodes(
    account: Account,
    rows: dict[tuple[str, str, str], Row],
    slurm_jobs: dict[str, int],
    longest: float,
    hours: float | None,
) -> None:
    """Add the start and the waiting of nodes, the head node, its volume for the time of the run, and addresses."""
    settings, prices = account.settings, account.prices
    region, start = settings["region"], settings["start_minutes"] / 60
    lasting = 0.0
    for name, n_jobs in slurm_jobs.items():
        queue = settings["queues"][name]
        per_node = max(1, prices.vcpus(queue["instance"]) // settings["slots"])
        nodes = max(1, min(queue["nodes"], math.ceil(n_jobs / per_node)))
        of_queue = [row for key, row in rows.items() if key[2] == name]
        price = prices.hour(queue["instance"], region, queue["market"])
        _wait_for_disk(of_queue, nodes, settings["volume"]["mbps"], price)
        working = sum(row.hours for row in of_queue)
        lasting = max(lasting, start + max(working / nodes, longest))
        waiting = nodes * (start + settings["idle_minutes"] / 60)
        what = f"{nodes} x {queue['instance']} ({name}) starting, waiting"
        account.items.append(Item(what, waiting, "node h", waiting * price, waiting * price * WAITING_ERROR))
    account.hours, error = (lasting, WAITING_ERROR) if hours is None else (hours, 0.0)
    head = prices.hour(settings["head_node"], region, "on_demand")
    price = account.hours * head
    account.items.append(Item(f"head node {settings['head_node']}", account.hours, "h", price, price * error))
    addresses = account.hours + account.instance_hours
    price = addresses * prices.rate(region, "address_hour")
    account.items.append(Item("public addresses", addresses, "h", price, price * error))
    volume, month = settings["volume"], volume_month(prices, settings)
    price = month * account.hours / HOURS_OF_MONTH
    account.items.append(Item(f"volume of {volume['gb']:g} GB, for the run", account.hours, "h", price, price * error))
    account.items.append(Item(f"volume of {volume['gb']:g} GB", 1, "month", month, monthly=True))


def _wait_for_disk(rows: list[Row], nodes: int, mbps: float, price: float) -> None:
    """Add the time that nodes wait for the volume, where it is the slower one, to the rows by their bytes."""
    n_bytes = sum(row.n_bytes for row in rows)
    waiting = nodes * n_bytes / (mbps * 1e6) / 3600 - sum(row.hours for row in rows)
    if n_bytes == 0 or waiting <= 0:
        return
    for row in rows:
        hours = waiting * row.n_bytes / n_bytes
        row.hours, row.usd = row.hours + hours, row.usd + hours * price
        row.error += hours * price * WAITING_ERROR


def volume_month(prices: Prices, settings: dict[str, Any]) -> float:
    """Return what the cluster's volume costs in a month, in USD."""
    region, volume = settings["region"], settings["volume"]
    return (
        volume["gb"] * prices.rate(region, "volume_gb_month")
        + max(0.0, volume["mbps"] - FREE_MBPS) * prices.rate(region, "volume_mbps_month")
        + max(0.0, volume["iops"] - FREE_IOPS) * prices.rate(region, "volume_iops_month")
    )


def _add_storage(account: Account, made: float, staged: float) -> None:
    """Add the bucket and the traffic: within a region it is free but for the requests."""
    settings, region = account.settings, account.settings["region"]
    rate = account.prices.rate
    if staged:
        requests = math.ceil(staged / PART)
        price = requests / 1000 * rate(region, "s3_get_1000")
        account.items.append(Item("requests to the bucket", requests, "GET", price))
        account.items.append(Item("transfer from the bucket, same region", staged / 1e9, "GB", 0.0))
    archived = made if settings["archive"] else 0.0
    if archived:
        requests = math.ceil(archived / PART)
        price = requests / 1000 * rate(region, "s3_put_1000")
        account.items.append(Item("requests to the archive", requests, "PUT", price))
    taken = made * settings["download"]
    price = taken / 1e9 * rate(region, "transfer_out_gb")
    account.items.append(Item("transfer to your own computer", taken / 1e9, "GB", price))
    kept = (archived + staged) / 1e9
    if kept:
        account.items.append(
            Item("bucket: raw files, archive", kept, "GB-month", kept * rate(region, "s3_gb_month"), monthly=True)
        )
