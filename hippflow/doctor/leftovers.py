"""What earlier runs left behind: locks of killed drivers, and how the last run ended."""

from collections.abc import Iterator

from hippflow.doctor.findings import FAILURE, OK, WARNING, Finding, Workplace
from hippflow.driver import killed_drivers
from hippflow.runs.record import last_run

#: Folder of what runs know of each other, and of Snakemake's locks, from the workflow's.
STATE, LOCKS = ".snakemake/hippflow", ".snakemake/locks"

_ENDS = {
    "running": "is at work",
    "succeeded": "succeeded",
    "failed": "failed: see hippflow status",
    "interrupted": "was interrupted",
    "killed": "was killed",
}


def check_leftovers(workplace: Workplace) -> Iterator[Finding]:
    """Look for a lock that nobody holds, and for the records of processes that are no more."""
    killed, alone = killed_drivers(workplace.folder / STATE)
    locks = list((workplace.folder / LOCKS).glob("*.lock"))
    run = last_run(workplace.folder / STATE)
    if killed:
        numbers = ", ".join(str(record["pid"]) for record in killed)
        jobs = "cancels its Slurm jobs, " if any("run" in record for record in killed) else ""
        yield Finding(
            WARNING,
            f"a run was killed (process {numbers}); what it had finished is there",
            f"start it again: that {jobs}opens the lock and goes on; hippflow status says what is missing",
        )
    elif locks and alone:
        yield Finding(
            FAILURE,
            f"{LOCKS} is locked, and no run is known that holds it",
            "if no Snakemake works in this folder, also on no other machine: snakemake --unlock",
        )
    if locks and not alone:
        yield Finding(WARNING, "a run is at work in this folder, or on another machine", "wait for it: another refuses")
    if run is None:
        yield Finding(OK, "no run yet")
    elif not (killed and run.state == "killed"):
        yield Finding(OK, f"the last run {_ENDS[run.state]}")
