"""What is said at the end of a run: what was made, what was not and why, and what to do next."""

import json
import logging
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hippflow.io.atomic import whole_file
from hippflow.progress import format_duration
from hippflow.runs.notify import send_all
from hippflow.runs.record import Job, Run, to_dict

log = logging.getLogger(__name__)

#: Failed jobs that are named; the rest is counted.
MOST_NAMED = 10

#: Longest line about one failure.
_LONGEST = 400


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _by_rule(numbers: dict[str, int]) -> str:
    return ", ".join(f"{rule} {number}" for rule, number in sorted(numbers.items(), key=lambda item: (-item[1], item)))


def headline(run: Run) -> str:
    """Say in a line how a run went.

    Examples
    --------
    >>> headline(Run(Path("x.jsonl"), "succeeded", there=12))
    'nothing to do, 12 products are there'
    """
    parts = []
    if run.state == "interrupted":
        parts.append(f"interrupted ({run.reason})")
    elif run.state != "succeeded" and not (run.state == "failed" and run.failed):
        parts.append(run.state)
    if run.failed:
        parts.append(f"{_count(len(run.failed), 'job')} failed")
    elif run.state == "failed" and not run.jobs:
        parts.append("no job was started")
    if run.state == "succeeded" and not run.jobs:
        parts.append("nothing to do")
        if run.there is not None:
            parts.append(f"{_count(run.there, 'product')} {'is' if run.there == 1 else 'are'} there")
    elif run.jobs:
        parts.append(f"{_count(run.made, 'product')} made")
    stopped = run.in_state("running", "stopped")
    if stopped:
        parts.append(f"{_count(len(stopped), 'job')} {'at work' if run.state == 'running' else 'stopped'}")
    not_made = sum(run.not_made.values())
    if not_made:
        parts.append(f"{not_made} not made")
    return ", ".join(parts)


def next_commands(run: Run) -> list[str]:
    """Return what to type next; empty after a run that is complete."""
    if run.state in ("succeeded", "running"):
        return []
    return [shlex.join(run.command), "hippflow status"]


def _failure(job: Job) -> str:
    """Say in a line what failed and why."""
    error = " ".join((job.error or "it said nothing").split())
    error = error if len(error) <= _LONGEST else f"{error[: _LONGEST - 3]}..."
    return f"{job.name}: {error}"


def _error(message: str) -> str:
    """Return an error of Snakemake's in a line, without the places in its files."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    said = " ".join(line for line in lines if not line.startswith('File "'))
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 3]}..."


def text(run: Run, cost: str | None = None) -> str:
    """Write the summary of a run.

    Parameters
    ----------
    run : Run
        As from `hippflow.runs.record.read_run`; also of a run that was killed or goes on.
    cost : str, optional
        What it cost, in a few words.

    Returns
    -------
    str
        Lines, the first of which is the `headline`.
    """
    rows: list[tuple[str, str]] = []
    cpu, n_told, n_jobs = run.cpu
    length = "no end" if run.seconds is None else format_duration(run.seconds)
    start = datetime.fromtimestamp(run.started, UTC)
    rows.append(("started", f"{start:%Y-%m-%d %H:%M:%S} UTC, {length}, in {run.folder}"))
    if n_told:
        rows.append(("CPU time", format_duration(cpu) + (f", of {n_told} of {n_jobs} jobs" if n_told < n_jobs else "")))
    made: dict[str, int] = {}
    for job in run.in_state("finished"):
        if job.outputs:
            made[job.rule] = made.get(job.rule, 0) + len(job.outputs)
    rows.append(("made", f"{_count(run.made, 'product')}" + (f": {_by_rule(made)}" if made else "")))
    if run.there is not None:
        rows.append(("there before", _count(run.there, "product")))
    if run.failed:
        rows.append(("failed", _count(len(run.failed), "job")))
        rows += [("", _failure(job)) for job in run.failed[:MOST_NAMED]]
        if len(run.failed) > MOST_NAMED:
            rows.append(("", f"and {len(run.failed) - MOST_NAMED} more, see: hippflow status"))
    elif run.errors:
        rows.append(("failed", _error(run.errors[-1])))
    elif run.state == "failed":
        rows.append(("failed", "it ended before all jobs had; Snakemake's log is in .snakemake/log"))
    stopped = run.in_state("running", "stopped")
    if stopped:
        rows.append(("stopped" if run.state != "running" else "at work", _count(len(stopped), "job")))
        rows += [("", job.name) for job in stopped[:MOST_NAMED]]
    if run.not_made:
        number = sum(run.not_made.values())
        why = f" that {'needs' if number == 1 else 'need'} what failed" if run.failed and run.state == "failed" else ""
        rows.append(("not made", f"{_count(number, 'product')}{why}: {_by_rule(run.not_made)}"))
    if cost:
        rows.append(("cost", cost))
    for number, command in enumerate(next_commands(run)):
        rows.append(("" if number else "next", command))
    body = [f"  {label:<13}{value}" for label, value in rows]
    return "\n".join([f"hippflow: {headline(run)}", *body]) + "\n"


def finish(run: Run, cost: str | None = None, notify: dict[str, str | None] | None = None, show: bool = True) -> None:
    """Print the summary of a run, write it below its results, and send it; what does not work is a warning.

    Parameters
    ----------
    run : Run
        That has ended.
    cost : str, optional
        As in `text`.
    notify : dict, optional
        Who is told, as in `hippflow.runs.notify.send_all`.
    show : bool
        Print it, to where Snakemake writes.
    """
    said = text(run, cost)
    data = to_dict(run) | {"summary": headline(run), "cost": cost, "next": next_commands(run)}
    if show:
        _print(f"\n{said}")
    if "results" in run.config:
        _write(Path(run.folder, run.config["results"]), said, data)
    for trouble in send_all(notify, f"hippflow: {headline(run)}", said, data):
        _print(f"Warning: {trouble}\n")


def _write(results: Path, said: str, data: dict[str, Any]) -> None:
    contents = {"summary.txt": said, "summary.json": json.dumps(data, indent=1) + "\n"}
    for name, content in contents.items():
        try:
            with whole_file(results / name) as part:
                part.write_text(content)
        except OSError as error:
            _print(f"Warning: the summary was not written to {results / name}: {error.strerror}\n")


def _print(message: str) -> None:
    try:
        sys.stderr.write(message)
        sys.stderr.flush()
    except (OSError, ValueError):  # the terminal is gone; files and sinks are not
        log.debug("nobody reads: %s", message)
