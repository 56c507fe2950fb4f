"""The records of runs: what each was to do, what it did, and how it ended.

The logger plugin in ``plugins/`` writes a file a run, ``runs/<UTC time>-<pid>.jsonl`` in the
folder of what runs know of each other, one JSON object a line while things happen. A record
without an end is of a run that still goes on, or of one whose driver was killed.

Lines have ``event`` and ``at`` (seconds of the epoch): ``start`` (command, configuration, process),
``plan`` (jobs and products by rule), ``job`` (one has started, or was submitted), ``finished``,
``failed``, ``dropped`` (a job of a group that ended before its turn), ``stopped`` (with the run),
``timed`` (its benchmark came late), ``error`` (a message that names no job), ``end``. What the
plugin finds out when the run is over, because nobody told it, is marked ``late``.
"""

import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hippflow.driver import process_identity
from hippflow.errors import FormatError
from hippflow.runs.planned import PlannedJob, planned_jobs

__all__ = ["Job", "PlannedJob", "Run", "last_run", "last_words", "list_runs", "planned_jobs", "read_run", "to_dict"]

#: A line with which a job ends that did not succeed, after the time of day; in a traceback with the error's module.
_ERROR = re.compile(r"^[\d:]* ?(?:\w+\.)*(\w*(?:Error|Exception|Interrupt): .*)$", re.MULTILINE)

#: Bytes of a log's end that are looked at, and the lines of it that are kept.
_TAIL, _N_LINES = 1 << 16, 5

#: Seconds by which the clocks of a job's node and of this one may differ.
_CLOCKS = 5.0


@dataclass
class Job:
    """A job that was started.

    Attributes
    ----------
    outputs, logs : list of str
        Its files, relative to the run's folder.
    benchmark : str or None
        Its benchmark table.
    group : str or None
        The group that it was submitted with.
    minutes : float
        That it asked for, 0 if it asked for none.
    state : str
        ``running``, ``finished``, ``failed``, ``dropped`` (its group ended before its turn) or ``stopped``.
    started, ended : float
        Seconds of the epoch, as the driver saw it; `ended` is 0 while it runs.
    cpu, wall : float or None
        Seconds from its benchmark.
    error : str or None
        Why it failed, in a line.
    lines : list of str
        The end of its log, where it failed.
    attempts : int
        How many times it was started.
    """

    id: int
    rule: str
    wildcards: dict[str, str]
    outputs: list[str]
    logs: list[str]
    benchmark: str | None = None
    group: str | None = None
    minutes: float = 0.0
    state: str = "running"
    started: float = 0.0
    ended: float = 0.0
    cpu: float | None = None
    wall: float | None = None
    error: str | None = None
    lines: list[str] = field(default_factory=list)
    attempts: int = 0

    @property
    def name(self) -> str:
        """Rule and wildcards: ``rpllfp picasso/20181105/session01 array01/channel009``."""
        return " ".join([self.rule, *self.wildcards.values()])


@dataclass
class Run:
    """A run of the workflow, as its record has it.

    Attributes
    ----------
    path : Path
        The record.
    state : str
        ``running``, ``succeeded``, ``failed``, ``interrupted`` or ``killed``.
    command : list of str
        What was typed, from ``snakemake`` on.
    folder : str
        Where.
    config : dict
        The configuration with all defaults, as far as it was known.
    started : float
        Seconds of the epoch.
    ended : float or None
        None without an end.
    reason : str or None
        Why it was interrupted.
    planned : dict of str to tuple of int
        Jobs and products of every rule that were to be made.
    there : int or None
        Products that were asked for and were there already; None if that is not known.
    jobs : dict of int to Job
        Those that were started.
    errors : list of str
        What went wrong outside of jobs.
    """

    path: Path
    state: str = "running"
    command: list[str] = field(default_factory=list)
    folder: str = ""
    host: str = ""
    pid: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    started: float = 0.0
    ended: float | None = None
    reason: str | None = None
    planned: dict[str, tuple[int, int]] = field(default_factory=dict)
    there: int | None = None
    jobs: dict[int, Job] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def in_state(self, *states: str) -> list[Job]:
        """Return the jobs in any of these states, in the order of their start."""
        return [job for job in self.jobs.values() if job.state in states]

    @property
    def made(self) -> int:
        """Products that were made."""
        return sum(len(job.outputs) for job in self.in_state("finished"))

    @property
    def failed(self) -> list[Job]:
        """The jobs that failed, and were not made good by another attempt."""
        return self.in_state("failed")

    @property
    def not_made(self) -> dict[str, int]:
        """Products by rule that were planned and are neither made nor of a failed job."""
        done = Counter()
        for job in self.in_state("finished", "failed"):
            done[job.rule] += len(job.outputs)
        missing = {rule: products - done[rule] for rule, (_, products) in self.planned.items()}
        return {rule: number for rule, number in missing.items() if number > 0}

    @property
    def seconds(self) -> float | None:
        """Time from start to end, None without an end."""
        return None if self.ended is None else self.ended - self.started

    @property
    def cpu(self) -> tuple[float, int, int]:
        """CPU time of finished jobs in s, how many have told it, and how many measure it."""
        jobs = [job for job in self.in_state("finished") if job.benchmark]
        told = [job.cpu for job in jobs if job.cpu is not None]
        return sum(told), len(told), len(jobs)


def _time(seconds: float) -> str:
    """Write a time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def to_dict(run: Run) -> dict[str, Any]:
    """Return a run as JSON has it, without its finished jobs.

    Examples
    --------
    >>> to_dict(Run(Path("runs/x.jsonl"), "succeeded", ["snakemake"], started=0.0, ended=2.5))["seconds"]
    2.5
    """
    cpu, n_told, n_jobs = run.cpu
    return {
        "state": run.state,
        "reason": run.reason,
        "command": run.command,
        "folder": run.folder,
        "host": run.host,
        "started": _time(run.started),
        "ended": None if run.ended is None else _time(run.ended),
        "seconds": None if run.seconds is None else round(run.seconds, 1),
        "cpu_seconds": round(cpu, 2),
        "cpu_of_jobs": [n_told, n_jobs],
        "products": {"made": run.made, "already_there": run.there, "not_made": run.not_made},
        "failed": [
            {
                "rule": job.rule,
                "wildcards": job.wildcards,
                "error": job.error,
                "log": job.logs[0] if job.logs else None,
                "last_lines": job.lines,
                "attempts": job.attempts,
                "outputs": job.outputs,
            }
            for job in run.failed
        ],
        "running": [job.name for job in run.in_state("running", "stopped")],
        "errors": run.errors,
        "record": str(run.path),
    }


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a record's lines; what a killed process wrote last may be half a line."""
    text = path.read_text(errors="replace")
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            if number == len(lines):
                return
            raise FormatError(
                f"{path}: expected a JSON object in every line, found another text in line {number}; remove the file, "
                "no product depends on it"
            ) from error


def read_run(path: str | Path) -> Run:
    """Read the record of a run.

    Raises
    ------
    FormatError
        The file is no record.
    """
    path = Path(path)
    run = Run(path)
    identity, known, last_error, last_work = None, False, 0, 0
    for number, line in enumerate(_lines(path)):
        event, at = line.get("event"), line.get("at", 0.0)
        job = run.jobs.get(line.get("id", -1))
        if event == "start":
            run.command, run.folder, run.config = line["command"], line["folder"], line["config"]
            run.host, run.pid, identity, run.started = line["host"], line["pid"], line["identity"], at
        elif event == "plan":
            known = True
            run.planned = {rule: tuple(numbers) for rule, numbers in line["rules"].items()}
            run.there = line["there"]
        elif event == "job":
            entries = {key: value for key, value in line.items() if key not in ("event", "at")}
            attempts = job.attempts + 1 if job else 1
            run.jobs[line["id"]] = Job(**entries, started=at, attempts=attempts)
            last_work = number
        elif event == "error":
            run.errors.append(line["message"])
            last_error = number
        elif event == "end":
            run.ended, run.reason = at, line["interrupted"]
        elif event in ("finished", "failed", "dropped", "stopped") and job:
            job.state, job.ended = event, at
            job.cpu, job.wall = line.get("cpu"), line.get("wall")
            job.error, job.lines = line.get("error"), line.get("lines", [])
            if event == "finished" and not line.get("late"):
                last_work = number
        elif event == "timed" and job:
            job.cpu, job.wall = line["cpu"], line["wall"]
    if last_work > last_error and not run.failed:
        run.errors = []  # they were of attempts that failed, and that another one made good
    run.state = _state(run, identity, known)
    return run


def _state(run: Run, identity: str | None, known: bool) -> str:
    """Judge a run; it succeeded if its jobs were known, all were finished, and nothing went wrong after that."""
    if run.ended is None:
        alive = run.host != socket.gethostname() or (identity is not None and process_identity(run.pid) == identity)
        return "running" if alive else "killed"
    if run.reason:
        return "interrupted"
    n_planned = sum(jobs for jobs, _ in run.planned.values())
    whole = len(run.in_state("finished")) == len(run.jobs) >= n_planned
    return "succeeded" if known and whole and not run.errors else "failed"


def list_runs(state: str | Path) -> list[Run]:
    """Read all records below the folder of what runs know of each other, oldest first."""
    return [read_run(path) for path in _records(state)]


def last_run(state: str | Path) -> Run | None:
    """Read the latest record, None if there is none."""
    paths = _records(state)
    return read_run(paths[-1]) if paths else None


def _records(state: str | Path) -> list[Path]:
    return sorted(Path(state, "runs").glob("*.jsonl"))


def last_words(logs: list[str], since: float = 0.0) -> tuple[str | None, list[str]]:
    """Say why a job failed, from its logs.

    Parameters
    ----------
    logs : list of str
        Its log files, its own first.
    since : float
        When it was started, seconds of the epoch; older logs are of another run.

    Returns
    -------
    error : str or None
        Its last error in a line, ``FormatError: a.ns5: expected ...``, if a log has one.
    lines : list of str
        The last lines of the first log that is there.
    """
    first: list[str] = []
    for path in map(Path, logs):
        try:
            if path.stat().st_mtime < since - _CLOCKS:
                continue
            with open(path, "rb") as file:
                file.seek(max(0, path.stat().st_size - _TAIL))
                text = file.read().decode(errors="replace")
        except OSError:  # the job did not come to writing one
            continue
        first = first or [line for line in text.splitlines() if line.strip()][-_N_LINES:]
        if found := _ERROR.findall(text):
            return found[-1], first
    return None, first
