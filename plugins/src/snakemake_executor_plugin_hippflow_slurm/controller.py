"""Slurm's controller: is it there, and what does it schedule."""

import subprocess
import time
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

#: Seconds between two attempts to reach the controller.
PERIOD = 5


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)


def controller_answers() -> bool:
    """Say whether a controller, primary or backup, is up."""
    try:
        answer = _ask("scontrol", "ping")
    except FileNotFoundError as error:
        raise WorkflowError(
            "expected Slurm's commands (sbatch, squeue, scontrol) on this machine, found none; "
            "start the run on the cluster's head or login node, or run here without --profile slurm"
        ) from error
    return " is UP" in answer.stdout


def wait_for_controller(patience: float, logger: Any) -> None:
    """Return when the controller answers.

    Raises
    ------
    WorkflowError
        It did not for `patience` seconds, or Slurm is not installed.
    """
    deadline = time.monotonic() + patience
    waiting = False
    while not controller_answers():
        if not waiting:
            logger.warning("Slurm's controller does not answer; waiting for it before submitting.")
            waiting = True
        if time.monotonic() >= deadline:
            raise WorkflowError(
                f"Slurm's controller has not answered for {patience:g} s (scontrol ping); "
                "look at it with systemctl status slurmctld on the head node, then start again"
            )
        time.sleep(min(PERIOD, patience))


def schedules_memory() -> bool:
    """Say whether memory is something that jobs can ask for (SelectTypeParameters)."""
    for line in _ask("scontrol", "show", "config").stdout.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "SelectTypeParameters":
            return "MEMORY" in value.upper()
    return False


def largest_memory(partition: str) -> int:
    """Return the memory of the largest node of a partition in MB, 0 if Slurm does not say."""
    sizes = [word.rstrip("+") for word in _ask("sinfo", "--noheader", "--format=%m", "-p", partition).stdout.split()]
    return max((int(size) for size in sizes if size.isdigit()), default=0)
