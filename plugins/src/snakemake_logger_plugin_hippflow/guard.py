"""The budget's guard: refuses a run that would cost too much, and lets one that has cost enough start no more jobs."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from snakemake.logging import logger
from snakemake_interface_common.exceptions import WorkflowError

from hippflow.cost.budget import Figures, Standing, hold, snakemake_command, workflow_figures
from hippflow.errors import HippflowError
from hippflow.runs.planned import PlannedJob
from hippflow.runs.record import Run, read_run
from snakemake_logger_plugin_hippflow.current import CURRENT, stopped_because
from snakemake_logger_plugin_hippflow.plan import planned_entries
from snakemake_logger_plugin_hippflow.recorder import benchmark_times

#: A look at the ledger is followed by at least so many times what it took without one, so that a record of a hundred
#: thousand jobs costs a twentieth of one core.
_REST = 20

#: Least seconds between two attempts to withdraw jobs that wait in Slurm.
_AGAIN = 5.0


class Guard:
    """Watches what a run has cost so far.

    Parameters
    ----------
    standing : Standing
        The budget before the run.
    figures : Figures
    workflow : snakemake.workflow.Workflow
    stop : bool
        Let the run end when the limit is reached; else say so, and let it go on.
    """

    def __init__(self, standing: Standing, figures: Figures, workflow: Any, stop: bool = True):
        self._standing, self._figures, self._workflow, self._stop = standing, figures, workflow, stop
        self._reached = False
        self._rest_until = 0.0
        self._withdrawn = 0.0

    def look(self, record: Path) -> None:
        """Price what is finished; called after every job, from the logger's thread."""
        if self._reached:
            self._withdraw()
            return
        now = time.monotonic()
        if now < self._rest_until:
            return
        run = read_run(record)
        _settle(run)
        usd = self._figures.bill(run)
        self._rest_until = time.monotonic() + _REST * (time.monotonic() - now)
        if self._standing.spent.usd + usd < self._standing.limit:
            return
        n_finished = len([job for job in run.in_state("finished") if job.outputs])
        if n_finished >= sum(jobs for _, (jobs, products) in run.planned.items() if products):
            return  # all is made, there is nothing to stop
        self._reached = True
        reason = (
            f"the budget of {self._standing.limit:.2f} USD is reached: {self._standing.spent.usd:.2f} were spent "
            f"before, and {usd:.2f} by this run"
        )
        if not self._stop:
            logger.warning(f"hippflow: {reason}; going on, as budget.on_exceed is warn.")
            return
        stopped_because(reason)
        logger.warning(f"hippflow: {reason}; jobs that run are finished, no other is started.")
        # What the signal SIGTERM does to the driver. The signal itself would make its main thread wait for a lock that
        # the same thread holds while it tells of a finished job.
        self._workflow.scheduler.exit_gracefully()
        self._withdraw()

    def _withdraw(self) -> None:
        """Take back what was submitted to Slurm and still waits there."""
        name = getattr(self._workflow.scheduler._executor, "run_uuid", None)  # of the Slurm executor alone
        if not self._stop or name is None or shutil.which("scancel") is None:
            return
        if time.monotonic() - self._withdrawn >= _AGAIN:
            self._withdrawn = time.monotonic()
            subprocess.run(["scancel", "--state=PENDING", f"--name={name}"], capture_output=True)


def _settle(run: Run) -> None:
    """Count jobs as finished whose products are there: a quiet Snakemake does not tell that they are."""
    for job in run.in_state("running"):
        if job.outputs and all(Path(path).exists() for path in job.outputs):
            times = benchmark_times(job.benchmark)
            job.state, job.ended, job.cpu, job.wall = "finished", time.time(), times.get("cpu"), times.get("wall")


def guard_budget(config: dict[str, Any], workflow: Any, state: str | Path, figures: Figures | None = None) -> None:
    """Hold a run that is about to start against the budget, and watch it from then on.

    To be called in ``onstart``: the jobs are known, and none has started. Does nothing without a budget, and in
    a run whose jobs are not paid for by the hour.

    Parameters
    ----------
    config : dict
        The complete configuration.
    workflow : snakemake.workflow.Workflow
    state : path
        Where runs keep what they know of each other.
    figures : Figures, optional
        Where dollars come from, instead of this workflow's own.

    Raises
    ------
    WorkflowError
        The run would cost too much, and ``budget.on_exceed`` is ``refuse``; or what it would cost cannot be said.
    """
    budget = config.get("budget") or {}
    if budget.get("usd") is None or workflow.touch or workflow.dryrun:
        return
    stop = budget["on_exceed"] == "refuse"
    try:
        figures = figures or workflow_figures(config, state, snakemake_command())
        standing = hold(budget, figures, [PlannedJob(**entry) for entry in planned_entries(workflow.dag)])
    except HippflowError as error:
        if stop:
            raise WorkflowError(
                f"budget.usd is set, and what the run would cost cannot be said: {error}. Correct that, or set "
                "budget.on_exceed to warn"
            ) from error
        logger.warning(f"hippflow: the budget is not watched: {error}")
        return
    if not standing.planned.billed:
        return
    if standing.spent.trouble:
        logger.warning(f"hippflow: AWS did not say what is spent: {standing.spent.trouble}; the ledger counts.")
    if standing.excess and stop:
        raise WorkflowError(
            f"{standing.explain()}. No job was started. Choose fewer days or channels, raise budget.usd, or set "
            "budget.on_exceed to warn"
        )
    if standing.excess:
        logger.warning(f"hippflow: {standing.explain()}; going on, as budget.on_exceed is warn.")
    CURRENT.guard = Guard(standing, figures, workflow, stop)
