"""What runs cost, one line a run, and the estimates that were made before them.

The ledger is ``ledger.jsonl`` in the folder of what runs know of each other. Lines are only ever
added, each in one write, and a run has one: its record's name tells it from others.
"""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hippflow.cost.account import Account
from hippflow.io.atomic import whole_file
from hippflow.redaction import redacted_command
from hippflow.runs.record import Run

#: Names in the folder of what runs know of each other.
LEDGER, ESTIMATES = "ledger.jsonl", "estimates"

#: Seconds after which an estimate is too old to be held against a run, and how many are kept.
OLD, KEPT = 7 * 86400.0, 50

#: Options that a dry run has and a run has not.
_DRY = {"-n", "--dry-run", "--dryrun"}


def entries(state: str | Path) -> list[dict[str, Any]]:
    """Return the ledger, the oldest run first; what a killed process left of a line does not count."""
    try:
        lines = Path(state, LEDGER).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and {"run", "at", "usd", "billed"} <= set(entry):
            found.append(entry)
    return found


def add_entry(state: str | Path, run: Run, account: Account, estimate: dict[str, Any] | None = None) -> bool:
    """Add a run that has ended to the ledger, unless it is there.

    Parameters
    ----------
    state : path
        Folder of what runs know of each other.
    run : Run
    account : Account
        Its bill.
    estimate : dict, optional
        The one that was made before it.

    Returns
    -------
    bool
        Whether it was added.
    """
    state = Path(state)
    if any(entry["run"] == run.path.name for entry in entries(state)):
        return False
    entry = {
        "run": run.path.name,
        "at": run.ended or time.time(),
        "started": run.started,
        "state": run.state,
        "usd": round(account.usd, 6),
        "billed": account.billed,
        "estimate_usd": estimate["usd"] if estimate else None,
        "instance_hours": round(account.instance_hours, 5),
        "cpu_hours": round(account.cpu_hours, 5),
        "hours": round(account.hours, 4),
        "region": account.settings["region"],
        "prices_of": account.prices.date,
        "by_rule": {key[0]: round(row.usd, 6) for key, row in account.by("rule").items()},
        "by_day": {key[0]: round(row.usd, 6) for key, row in account.by("day").items()},
    }
    state.mkdir(parents=True, exist_ok=True)
    with open(state / LEDGER, "a+b", buffering=0) as file:
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
        whole = file.read(1) in (b"", b"\n")  # else a killed process left half a line
        file.write((b"" if whole else b"\n") + json.dumps(entry).encode() + b"\n")
    return True


def spent(state: str | Path, since: float = 0.0, until: float | None = None) -> float:
    """Return the dollars of all runs that ended in a time and were billed.

    Parameters
    ----------
    state : path
        Folder of what runs know of each other.
    since, until : float
        Seconds of the epoch.

    Examples
    --------
    >>> spent("no/such/folder")
    0.0
    """
    end = float("inf") if until is None else until
    return float(sum(entry["usd"] for entry in entries(state) if entry["billed"] and since <= entry["at"] <= end))


def save_estimate(state: str | Path, command: list[str], account: Account) -> Path:
    """Keep an estimate, for the bill of the run that follows it; the oldest go.

    Returns
    -------
    Path
        The file.
    """
    folder, now = Path(state, ESTIMATES), time.time()
    path = folder / f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S.%fZ}-{os.getpid()}.json"
    with whole_file(path) as part:
        part.write_text(json.dumps({"at": now, "command": _plain(command)} | account.to_dict()))
    for old in sorted(folder.glob("*.json"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def find_estimate(state: str | Path, run: Run) -> dict[str, Any] | None:
    """Return the latest estimate of a run's command that was made in the week before it, None if there is none."""
    for path in sorted(Path(state, ESTIMATES).glob("*.json"), reverse=True):
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if found["command"] == _plain(run.command) and run.started - OLD <= found["at"] <= run.started:
            return found
    return None


def _plain(command: list[str]) -> list[str]:
    return redacted_command(argument for argument in command if argument not in _DRY)
