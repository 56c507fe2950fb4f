"""``hippflow status``: what is there, what is missing, stale or failed, and the command that makes it."""

import argparse
import json
import os
import time
from typing import Any

from hippflow.commands.configuration import add_config_arguments, complete_config, list_products, settings_again
from hippflow.errors import ConfigError

#: Columns of the table: what they are called, and the rules in them.
COLUMNS = {
    "markers": ("rplparallel",),
    "signals": ("rplsplit", "rpllfp", "rplhighpass", "freqspectrum", "signal_quality"),
    "sorting": ("sorting", "units", "spiketrain"),
    "behaviour": ("unity", "edfsplit", "aligned", "raycast", "umaze"),
    "places": ("placefield",),
    "imaging": ("movie", "registration", "suite2p", "kmeans", "figure5", "projections"),
    "day": ("channels", "report", "nwb"),
}

#: Groups with something open that are listed at most; --json has all.
MOST = 30


def add(commands: Any) -> None:
    """Add the command."""
    status = commands.add_parser("status", help="what is there, missing, stale or failed, and how to make it")
    status.add_argument("days", nargs="*", metavar="DAY", help="dates, as 20181105 (default: all selected)")
    add_config_arguments(status)
    status.add_argument("--json", action="store_true", help="everything as JSON")
    status.set_defaults(run=_status)


def _status(arguments: argparse.Namespace) -> None:
    from hippflow.day.selection import nearest
    from hippflow.runs.inventory import take_inventory

    started = time.monotonic()
    products = list_products(complete_config(arguments))
    dates = {day.split("/")[1] for day in products.catalog.days}
    for date in arguments.days:
        if date not in dates:
            raise ConfigError(f"{date}: no such day is selected; nearest: {nearest(date, sorted(dates))}")
    days = [day for day in products.catalog.days if not arguments.days or day.split("/")[1] in arguments.days]
    run = _last_run()
    found = list(take_inventory(products, ".", _failures(run), days))
    report = _report(found, run, settings_again(arguments))
    if arguments.json:
        print(json.dumps(report, indent=1))
        return
    print(_table(found))
    print(_problems(report))
    print(_conclusion(report, len(days), time.monotonic() - started))


def open_products(config: dict[str, Any]) -> list[str]:
    """Say what is missing, stale or unfinished of everything that a configuration asks for, a line for each rule.

    The current folder is the workflow's.
    """
    from hippflow.day.config import check_config, load_schema
    from hippflow.runs.inventory import take_inventory

    products = list_products(check_config(config, load_schema("schemas/config.schema.yaml")))
    return [
        f"{group.owner}: {group.kind}: {len(group.open)} of {group.expected} are to be made"
        for groups in take_inventory(products, ".")
        for group in groups
        if group.open
    ]


def _last_run() -> Any:
    from hippflow.runs.record import last_run

    return last_run(".snakemake/hippflow")


def _failures(run: Any) -> dict[str, str]:
    if run is None:
        return {}
    return {path: job.error or "its job failed" for job in run.in_state("failed") for path in job.outputs}


def _report(days: list[list[Any]], run: Any, settings: str) -> dict[str, Any]:
    from hippflow.runs.inventory import remedy
    from hippflow.runs.record import to_dict

    on_slurm = run is not None and "--profile slurm" in " ".join(run.command)  # as it was run before
    snakemake = "snakemake --profile slurm" if on_slurm else f"snakemake -c{os.cpu_count()}"

    def command(groups: list[Any]) -> str | None:
        target = remedy(groups)
        return f"{snakemake} {target}{settings}" if target else None

    groups = [
        {
            "day": group.day,
            "of": group.owner,
            "rule": group.kind,
            "expected": group.expected,
            "there": group.there,
            **{state: [product.path for product in found] for state, found in group.products.items()},
            "reasons": dict(group.reasons),
            "command": command([group]),
        }
        for groups_of_day in days
        for group in groups_of_day
    ]
    commands = {of_day[0].day: command(of_day) for of_day in days if of_day}
    return {
        "groups": groups,
        "commands": {day: text for day, text in commands.items() if text},
        "everything": f"{snakemake}{settings}",
        "last_run": to_dict(run) if run else None,
    }


def _table(days: list[list[Any]]) -> str:
    from hippflow.runs.inventory import Group

    owners: dict[str, dict[str, list[Group]]] = {}
    for groups in days:
        for group in groups:
            column = next(name for name, kinds in COLUMNS.items() if group.kind in kinds)
            owners.setdefault(group.owner, {}).setdefault(column, []).append(group)
    rows = [["", *COLUMNS]]
    for owner, columns in owners.items():
        cells = [owner]
        for column in COLUMNS:
            groups = columns.get(column, [])
            there, expected = sum(group.there for group in groups), sum(group.expected for group in groups)
            cells.append("-" if not groups else f"{there} ok" if there == expected else f"{there} of {expected}")
        rows.append(cells)
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(lines)


def _problems(report: dict[str, Any]) -> str:
    from hippflow.runs.inventory import STATES

    lines: list[str] = []
    open_ = [group for group in report["groups"] if group["command"]]
    for group in open_[:MOST]:
        counts = ", ".join(f"{len(group[state])} {state}" for state in STATES if state in group)
        lines.append(f"{group['of']}: {group['rule']}: {counts} of {group['expected']}")
        lines += [f"    {count} x {reason}" for reason, count in list(group["reasons"].items())[:3]]
        lines.append(f"    {group['command']}")
    if len(open_) > MOST:
        lines.append(f"... and {len(open_) - MOST} more such lists: hippflow status --json")
    run = report["last_run"] or {}
    for job in run.get("failed", [])[:MOST]:
        lines += ["", f"Failed in the last run: {job['rule']} {' '.join(job['wildcards'].values())}"]
        lines += [f"    {line}" for line in job["last_lines"]]
    return "\n".join(["", *lines]) if lines else ""


def _conclusion(report: dict[str, Any], n_days: int, seconds: float) -> str:
    expected = sum(group["expected"] for group in report["groups"])
    there = sum(group["there"] for group in report["groups"])
    run = report["last_run"]
    last = f" The last run {_ENDS[run['state']]}." if run else ""
    days = f"{n_days} day{'s' if n_days > 1 else ''}"
    if there == expected:
        return f"\n{days}: all {there} products are there.{last} ({seconds:.1f} s)"
    lines = [f"\n{days}: {there} of {expected} products are there.{last} ({seconds:.1f} s)", "To make the rest:"]
    commands = list(report["commands"].values())
    lines += [f"    {command}" for command in commands[:MOST]]
    if len(commands) > 1:
        lines += ["or all that is selected:", f"    {report['everything']}"]
    return "\n".join(lines)


#: How a run's state is told.
_ENDS = {
    "running": "is still going",
    "succeeded": "succeeded",
    "failed": "failed",
    "interrupted": "was interrupted",
    "killed": "was killed",
}
