"""What the Snakefile knows of the run and its logger cannot: both are in the driver's process."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hippflow.runs.record import Run


@dataclass
class Current:
    """The run of this process.

    Attributes
    ----------
    config : dict
        Its configuration with all defaults.
    workflow : Workflow or None
        Snakemake's.
    cost : function or None
        Says what a run that ended cost.
    reason : str or None
        Why it was stopped.
    guard : Guard or None
        Watches what it costs.
    """

    config: dict[str, Any] = field(default_factory=dict)
    workflow: Any = None
    cost: Callable[[Run], str | None] | None = None
    reason: str | None = None
    guard: Any = None


CURRENT = Current()


def describe_run(config: dict[str, Any], workflow: Any, cost: Callable[[Run], str | None] | None = None) -> None:
    """Tell the logger about the run; called by the Snakefile as soon as its configuration is checked.

    Parameters
    ----------
    config : dict
        With ``results``, the folder for the summary, and ``notify``, who is told.
    workflow : snakemake.workflow.Workflow
        The Snakefile's ``workflow``, for its jobs.
    cost : function, optional
        Gets the run when it is over and returns what it cost, in a few words.
    """
    CURRENT.config, CURRENT.workflow, CURRENT.cost = config, workflow, cost
    CURRENT.reason, CURRENT.guard = None, None
    # Snakemake writes these into the commands of jobs, which need not know who is told.
    settings = workflow.config_settings
    settings.overwrite_config.pop("notify", None)
    if isinstance(settings.config_args, list):
        settings.config_args = [given for given in settings.config_args if not given.startswith("notify=")]


def stopped_because(reason: str) -> None:
    """Say why the run is about to be stopped, for the summary; called before it is (by a signal to the driver)."""
    CURRENT.reason = reason
