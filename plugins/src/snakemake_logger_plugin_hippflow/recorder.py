"""Writes the record of a run from Snakemake's events; `hippflow.runs.record` says what is in it."""

import csv
import json
import math
import os
import re
import socket
import sys
import time
from datetime import UTC, datetime
from logging import LogRecord
from pathlib import Path
from typing import Any, TextIO

from snakemake_interface_logger_plugins.common import LogEvent

from hippflow.driver import process_identity
from hippflow.redaction import redacted, redacted_command
from hippflow.runs.record import Job, Run, last_words, read_run
from snakemake_logger_plugin_hippflow.current import CURRENT
from snakemake_logger_plugin_hippflow.plan import count_plan

#: Where the record goes, from the folder of the run.
RUNS = Path(".snakemake", "hippflow", "runs")

#: Starts of options with which Snakemake does something else than running jobs.
_NO_RUN = (
    "--touch", "-t", "--list", "--lint", "--lt", "--summary", "-S", "--detailed-summary", "-D", "--dag",
    "--rulegraph", "--filegraph", "--d3dag", "--unlock", "--cleanup", "--archive", "--delete", "--report",
    "--containerize", "--generate-unit-tests", "--print-compilation", "--conda-c",
)  # fmt: skip

#: Messages without an event that say that the user ended the run.
_INTERRUPTED = {
    "Terminating processes on user request": "Ctrl-C",
    "Will exit after finishing currently running jobs": "SIGTERM, running jobs were finished",
}

#: Lines of messages that say where: ``RuleException:``, ``CalledProcessError in file "Snakefile", line 17:``.
_PLACE = re.compile(r'\w+( in .*)?:|File ".*')

#: What the executor says of a job that was taken back from Slurm.
_WITHDRAWN = "is CANCELLED"

#: With what Snakemake ends after any failure or interruption; it says nothing more.
_NOT_ALL = "At least one job did not complete successfully"

#: Seconds in which one Ctrl-C reaches all processes.
_TOGETHER = 2.0

#: Longest message of an error that is kept.
_LONGEST = 2000


class Recorder:
    """The record of a run.

    Attributes
    ----------
    interrupted : str or None
        What ended the run before its time.
    """

    def __init__(self) -> None:
        self.interrupted: str | None = None
        self.path: Path | None = None
        self._file: TextIO | None = None
        self._group: tuple[str, frozenset[int]] = ("", frozenset())
        self._planned = False
        self._said = ""
        self._speechless: dict[int, float] = {}
        self._cut_off = math.inf
        self._benchmarks: dict[int, str | None] = {}
        self._started: dict[int, float] = {}

    def take(self, record: LogRecord) -> None:
        """Write what an event says."""
        event = getattr(record, "event", None)
        if self._file is None and self._begins(event):
            self._start()
        if not self._file:
            return
        if event == LogEvent.RUN_INFO:
            self._plan(record.stats)
        elif event == LogEvent.GROUP_INFO:
            members = frozenset(job.jobid for job in record.jobs)
            self._group = f"{record.group_id}-{min(members)}", members  # groups of one name may be several
        elif event == LogEvent.JOB_INFO:
            self._job(record)
        elif event == LogEvent.JOB_FINISHED:
            self._write("finished", id=record.job_id, **benchmark_times(self._benchmarks.get(record.job_id)))
        elif event == LogEvent.JOB_ERROR:
            self._fail(record.jobid, record.log, record.rule_msg)
        elif event == LogEvent.ERROR:
            self._said = record.getMessage()[:_LONGEST]
            if not (self.interrupted and _NOT_ALL in self._said):
                self._write("error", message=self._said)
        elif event is None:
            message = record.getMessage()
            for start, cause in _INTERRUPTED.items():
                if message.startswith(start):
                    self.interrupt(cause)
            if message.startswith("Nothing to be done"):
                self._plan({})

    def interrupt(self, cause: str) -> None:
        """Note that the run was ended before its time."""
        self.interrupted = self.interrupted or cause
        if cause == "Ctrl-C":
            self._cut_off = min(self._cut_off, time.time() - _TOGETHER)

    def _write(self, event: str, **entries: Any) -> None:
        line = {"event": event, "at": round(time.time(), 3), **entries}
        self._file.write(redacted(json.dumps(line, default=str)) + "\n")

    def _begins(self, event: LogEvent | None) -> bool:
        """Say whether a run begins with an event, which may be that it fails before it begins."""
        if event == LogEvent.WORKFLOW_STARTED:
            return not {"--touch", "-t"} & set(sys.argv)
        return event == LogEvent.ERROR and not any(argument.startswith(_NO_RUN) for argument in sys.argv[1:])

    def _start(self) -> None:
        RUNS.mkdir(parents=True, exist_ok=True)
        now, pid = datetime.now(UTC), os.getpid()
        self.path = RUNS.absolute() / f"{now:%Y%m%dT%H%M%SZ}-{pid}.jsonl"
        self._file = open(self.path, "w", buffering=1)  # noqa: SIM115 - closed by `end`; a line is written when whole
        self._write(
            "start",
            command=redacted_command(["snakemake", *sys.argv[1:]]),
            folder=str(Path.cwd()),
            host=socket.gethostname(),
            pid=pid,
            identity=process_identity(pid),
            # addresses of who is told may be secret
            config={key: value for key, value in CURRENT.config.items() if key != "notify"},
        )

    def _plan(self, stats: dict[str, int]) -> None:
        """Write what is to be made; without the Snakefile's help, a product a job."""
        if self._planned:
            return
        self._planned = True
        rules = {rule: (number, number) for rule, number in stats.items() if rule != "total"}
        there = None
        if CURRENT.workflow is not None:
            rules, there = count_plan(CURRENT.workflow.dag)
        self._write("plan", rules=rules, there=there)

    def _job(self, record: LogRecord) -> None:
        group, members = self._group
        self._benchmarks[record.jobid], self._started[record.jobid] = record.benchmark, time.time()
        self._write(
            "job",
            id=record.jobid,
            rule=record.rule_name,
            wildcards=dict(record.wildcards),
            outputs=list(record.output),
            logs=list(record.log),
            benchmark=record.benchmark,
            group=group if record.jobid in members else None,
            minutes=record.resources.get("runtime") or 0,
        )

    def _fail(self, number: int, logs: list[str], message: str | None, late: bool = False) -> None:
        """Write why a job failed: as it says itself, or else as who ran it does, or with its last line."""
        if CURRENT.reason and message and _WITHDRAWN in message:
            self._write("stopped", id=number)  # with the run, while it waited
            return
        error, lines = last_words(logs, self._started.get(number, 0.0))
        executor = (message or "").strip().splitlines()
        # Snakemake tells what it got from a job of this machine just before it tells that the job failed
        snakemake, self._said = _without_places(self._said), ""
        if not error:
            self._speechless[number] = time.time()
        if not error and executor:
            error = executor[-1]
        elif not error:
            # what failed besides a script, or killed it, is not in the script's own words
            spoke = lines and (not snakemake or (snakemake.startswith("Command '") and "died with" not in snakemake))
            error = lines[-1] if spoke else snakemake or None
        self._write("failed", id=number, error=error, lines=lines, late=late)

    def end(self) -> Run | None:
        """End the record, after what Snakemake did not tell; return the run, None if there was none."""
        if not self._file:
            return None
        with self._file:
            run = read_run(self.path)
            for job in run.failed:  # Ctrl-C reaches jobs of this machine too, before or after the driver
                if self._speechless.get(job.id, 0.0) > self._cut_off:
                    self._write("stopped", id=job.id, late=True)
            broken = {job.group for job in run.failed if job.group}
            for job in run.in_state("running"):
                self._settle(job, job.group in broken)
            for job in run.in_state("finished"):
                if job.cpu is None and (times := benchmark_times(job.benchmark)):
                    self._write("timed", id=job.id, **times)
            reason = self.interrupted and (CURRENT.reason or self.interrupted)
            self._write("end", interrupted=reason)
        return read_run(self.path)

    def _settle(self, job: Job, broken: bool) -> None:
        """Say how a job ended that Snakemake told nothing more of.

        Products are whole or not there, and those of a job that is started are removed before
        that: what exists was made. So with the jobs of a group of which another failed.
        """
        if all(Path(path).exists() for path in job.outputs):
            self._write("finished", id=job.id, late=True, **benchmark_times(job.benchmark))
        elif self.interrupted:
            self._write("stopped", id=job.id, late=True)
        elif broken:
            self._write("dropped", id=job.id, late=True)
        else:
            self._fail(job.id, job.logs, "it ended without its products", late=True)


def _without_places(message: str) -> str:
    """Return a message of Snakemake's in a line, without where in which file it was."""
    lines = [line.strip() for line in message.splitlines()]
    return " ".join(line for line in lines if line and not _PLACE.fullmatch(line))


def benchmark_times(benchmark: str | None) -> dict[str, float | None]:
    """Return CPU and wall time of a job from its benchmark; nothing where there is none (yet)."""
    if benchmark is None:
        return {}
    try:
        with open(benchmark, newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        return {"cpu": sum(float(row["cpu_time"]) for row in rows), "wall": sum(float(row["s"]) for row in rows)}
    except (OSError, KeyError, ValueError):  # it is not there, or says NA
        return {}
