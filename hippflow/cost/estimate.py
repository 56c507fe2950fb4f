"""What a run would cost: the jobs of a dry run, sized and priced."""

import re
from pathlib import Path
from typing import Any

from hippflow.cost.account import Account
from hippflow.cost.history import History
from hippflow.cost.model import Work, account_for
from hippflow.cost.observations import base_rule
from hippflow.cost.prices import Prices
from hippflow.errors import HippflowError
from hippflow.io.nsx_header import read_nsx_header
from hippflow.runs.planned import PlannedJob

#: An estimate is an account with errors.
Estimate = Account

_DAY = re.compile(r"[A-Za-z]+/\d{8}(?!\d)")

#: Channels in one Slurm job, as profiles/slurm has it.
CHANNELS = 8

#: Rules that read no whole inputs from the volume: a bucket's object, and moments of a day's signals.
_NOT_FROM_VOLUME = ("staging", "report")

#: Channels of a recording that are not neural, where its header cannot be read.
_ANALOG = 4


def day_of(wildcards: dict[str, str], outputs: list[str]) -> str:
    """Return subject/date of a job, ``-`` where it has none.

    Examples
    --------
    >>> day_of({"session": "picasso/20181105/session01", "channel": "array01/channel009"}, [])
    'picasso/20181105'
    """
    found = _DAY.search(" ".join([*wildcards.values(), *outputs[:1]]))
    return found[0] if found else "-"


def slurm_job_of(rule: str, wildcards: dict[str, str], day: str, group: str | None, number: int) -> str:
    """Return the Slurm job that a job runs in; of a job that is in no group, the one that the Slurm profile makes.

    Eight channels of a day share one, the steps on its sessions, and those on its movies. A pass over a recording has
    its own, and so have the report of a day and its NWB file.

    Examples
    --------
    >>> slurm_job_of("rpllfp", {"channel": "array01/channel009"}, "picasso/20181105", None, 7)
    'picasso/20181105 channels 1'
    """
    if group or base_rule(rule) in ("rplsplit", "report", "nwb"):
        return group or f"job {number}"
    channel = re.search(r"(\d{3})$", wildcards.get("channel", wildcards.get("number", "")))
    if channel:
        stage = "places" if rule == "placefield" else "channels"
        return f"{day} {stage} {(int(channel[1]) - 1) // CHANNELS}"
    return f"{day} {'movies' if 'recording' in wildcards else 'sessions'}"


class _Sizes:
    """Bytes of files, those that are to be made included."""

    def __init__(self, jobs: list[PlannedJob], history: History, sample_bytes: int):
        self._maker = {path: job for job in jobs for path in job.outputs}
        self._history, self._sample_bytes = history, sample_bytes
        self._known: dict[str, float] = {}

    def of_inputs(self, job: PlannedJob) -> float:
        """Return the bytes of a job's inputs."""
        return sum(self.of_input(job, path) for path in job.inputs)

    def of_input(self, job: PlannedJob, path: str) -> float:
        """Return the bytes of one of its inputs."""
        size = job.inputs[path]
        return self._of(path) if size is None else float(size)

    def _of(self, path: str) -> float:
        if path not in self._known:
            job = self._maker.get(path)
            self._known[path] = 0.0 if job is None else self.of_output(job, path)
        return self._known[path]

    def of_output(self, job: PlannedJob, path: str) -> float:
        """Return the bytes that a product would have."""
        if base_rule(job.rule) == "rplsplit" and re.search(r"rplraw_\w+\.hkl$", path):
            return self._raw_signal(job)
        if job.rule == "staging":
            return self.of_inputs(job)
        return self._history.output_bytes(job.rule, path, self.of_inputs(job))

    def _raw_signal(self, job: PlannedJob) -> float:
        """Return the bytes of one channel of a recording: the file's, divided by its channels."""
        name = next((path for path in job.inputs if re.search(r"\.ns\d$", path)), None)
        if name is None:
            return 0.0
        size = self.of_input(job, name)
        try:
            n_channels = len(read_nsx_header(Path(name)).channels)
        except (OSError, HippflowError):  # still in the bucket: as if all of its channels were asked for
            n_channels = len(job.outputs) + _ANALOG
        return size / n_channels / 2 * self._sample_bytes


def estimate(jobs: list[PlannedJob], history: History, prices: Prices, settings: dict[str, Any]) -> Estimate:
    """Say what the jobs of a dry run would take and cost.

    Parameters
    ----------
    jobs : list of PlannedJob
        As from `hippflow.runs.planned.planned_jobs`.
    history : History
        What finished jobs took.
    prices : Prices
    settings : dict
        See `hippflow.cost.site.cost_settings`.

    Returns
    -------
    Estimate
        ``usd``, ``error`` (dollars more or less), ``instance_hours``, ``cpu_hours``, ``lines``, ``items``,
        ``to_dict()``.
    """
    work, made, staged = planned_work(jobs, history, settings)
    return account_for(work, prices, settings, made=made, staged=staged)


def planned_work(jobs: list[PlannedJob], history: History, settings: dict[str, Any]) -> tuple[list[Work], float, float]:
    """Say what each job of a dry run would take, before anything is priced.

    Parameters
    ----------
    jobs, history, settings
        As of :func:`estimate`.

    Returns
    -------
    work : list of Work
        In the order of `jobs`.
    made, staged : float
        Bytes of products, and of copies from a bucket.
    """
    sizes = _Sizes(jobs, history, settings["sample_bytes"])
    work, made, staged = [], 0.0, 0.0
    days = [day_of(job.wildcards, job.outputs) for job in jobs]
    names = [
        slurm_job_of(job.rule, job.wildcards, day, job.group if settings["cluster"] else None, number)
        for number, (job, day) in enumerate(zip(jobs, days, strict=True))
    ]
    # what a Slurm job has made or read is in its node's memory
    known: dict[str, set[str]] = {}
    for job, name in zip(jobs, names, strict=True):
        known.setdefault(name, set()).update(job.outputs)
    for job, day, name in zip(jobs, days, names, strict=True):
        n_bytes = sizes.of_inputs(job)
        written = sum(sizes.of_output(job, path) for path in job.outputs)
        made += written if job.rule != "staging" else 0.0
        staged += n_bytes if job.rule == "staging" else 0.0
        new = set(job.inputs) - known[name] if job.rule not in _NOT_FROM_VOLUME else set()
        known[name] |= new
        predicted = history.predict(job.rule, n_bytes)
        work.append(
            Work(
                rule=base_rule(job.rule),
                day=day,
                cpu=predicted.cpu,
                busy=predicted.cpu,
                slurm_job=name,
                minutes=float(job.runtime or 0),
                error=predicted.error,
                basis=predicted.basis,
                n_bytes=written + sum(sizes.of_input(job, path) for path in new),
            )
        )
    return work, made, staged
