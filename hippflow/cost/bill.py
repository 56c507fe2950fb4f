"""What a run cost: its record and benchmarks, priced by the model of estimates.

Every finished job keeps a vCPU for as long as its benchmark says, or, if that is more, for its CPU time
at the utilisation that estimates assume. What failed or was stopped counts for as long as the driver
saw it, once a Slurm job; a job that was lost with its node counts once, not for every attempt. On a
machine of your own nothing is billed: dollars are what the CPU time would cost on the cluster.
"""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hippflow.cost.account import Account
from hippflow.cost.estimate import day_of, slurm_job_of
from hippflow.cost.ledger import add_entry, find_estimate
from hippflow.cost.model import Work, account_for
from hippflow.cost.observations import base_rule
from hippflow.cost.prices import Prices, load_prices
from hippflow.cost.site import cost_settings
from hippflow.errors import HippflowError
from hippflow.progress import format_duration
from hippflow.runs.record import Job, Run

#: A bill is an account without errors.
Bill = Account

#: The state of runs, from the workflow's folder.
STATE = Path(".snakemake", "hippflow")


def bill(run: Run, results: str | Path, prices: Prices, settings: dict[str, Any]) -> Bill:
    """Say what a run cost, or has cost so far.

    Parameters
    ----------
    run : Run
        As from `hippflow.runs.record.read_run`.
    results : path
        The root of the results; sizes of products that are not there any more count as nothing.
    prices : Prices
    settings : dict
        See `hippflow.cost.site.cost_settings`.

    Returns
    -------
    Bill
        ``usd``, ``instance_hours``, ``cpu_hours``, ``lines``, ``items``, ``to_dict()``.
    """
    folder, root = run.folder or ".", os.path.normpath(os.path.join(run.folder or ".", results))
    work, made, staged = [], 0.0, 0.0
    lost: set[str] = set()
    for job in run.jobs.values():
        slurm_job = slurm_job_of(job.rule, job.wildcards, day_of(job.wildcards, job.outputs), job.group, job.id)
        if job.state == "finished" and job.cpu is not None:
            busy = max(job.cpu, (job.wall or 0.0) * settings["utilisation"]) if settings["cluster"] else job.cpu
            work.append(_work(job, slurm_job, job.cpu, busy))
        elif job.state in ("failed", "stopped") and slurm_job not in lost:
            lost.add(slurm_job)
            seconds = max(0.0, job.ended - job.started)
            work.append(_work(job, slurm_job, 0.0, seconds * settings["utilisation"] if settings["cluster"] else 0.0))
        if job.state == "finished":
            for path in job.outputs:
                where = os.path.normpath(os.path.join(folder, path))
                size = _size(where)
                made += size if where.startswith(root + os.sep) else 0.0
                staged += size if job.rule == "staging" else 0.0
    hours = max(0.0, (run.ended or time.time()) - run.started) / 3600
    return account_for(work, prices, settings, hours=hours if settings["cluster"] else None, made=made, staged=staged)


def _work(job: Job, slurm_job: str, cpu: float, busy: float) -> Work:
    return Work(base_rule(job.rule), day_of(job.wildcards, job.outputs), cpu, busy, slurm_job, job.minutes)


def _size(path: str) -> float:
    try:
        return float(os.stat(path).st_size)
    except OSError:
        return 0.0


def bill_of(run: Run) -> Bill:
    """Bill a run by its own configuration.

    Raises
    ------
    HippflowError
        The prices or the cluster's file cannot be read.
    """
    folder = Path(run.folder or ".")
    config = run.config
    named = (config.get("cost") or {}).get("prices")
    own = folder / "resources" / "prices.yaml"
    prices = load_prices(folder / named if named else own if own.exists() else None)
    settings = cost_settings(config, prices, folder, run.command or ["snakemake"])
    return bill(run, config.get("results", "results"), prices, settings)


def cost_line(run: Run) -> str:
    """Say in a line about how much a run cost, by prices of which date; asks nobody and raises nothing.

    Examples
    --------
    >>> cost_line(Run(Path("x.jsonl"), "succeeded", config={"cluster": {"file": "none.yaml"}})).split(":")[0]
    'unknown'
    """
    try:
        return _line(bill_of(run), find_estimate(Path(run.folder or ".", STATE), run))
    except HippflowError as error:
        return f"unknown: {error}"


def settle(run: Run) -> str:
    """Enter a run that has ended in the ledger, once, and return its :func:`cost_line`."""
    state = Path(run.folder or ".", STATE)
    try:
        account, before = bill_of(run), find_estimate(state, run)
    except HippflowError as error:
        return f"unknown: {error}"
    try:
        add_entry(state, run, account, before)
    except OSError as error:
        return f"{_line(account, before)}; it is not in the ledger: {error.strerror}"
    return _line(account, before)


def _line(account: Bill, before: dict[str, Any] | None) -> str:
    queue = next(iter(account.lines), None)
    nodes = f"{queue.instance} ({queue.market.replace('_', '-')})" if queue else "no nodes"
    by = f"prices of {account.prices.date}, {account.settings['region']}"
    if account.billed:
        said = f"about ${account.usd:.2f}: {account.instance_hours:.2f} node hours, {nodes}, {by}"
    else:
        time_here = format_duration(account.cpu_hours * 3600)
        said = f"nothing, {time_here} of this machine's CPU; about ${account.usd:.2f} on {nodes}, {by}"
    if before:
        said += f"; estimated ${before['usd']:.2f} ({datetime.fromtimestamp(before['at'], UTC):%Y-%m-%d %H:%M} UTC)"
    return said
