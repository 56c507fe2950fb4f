"""What a run would do, from Snakemake's own dry run."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hippflow.errors import DriverError
from hippflow.redaction import redacted_command

#: Variable that makes the logger plugin write the jobs of a dry run to the file that it names.
VARIABLE = "HIPPFLOW_PLANNED"

#: At the end of a command: a dry run that shows nothing and stops when it knows its jobs. The last option takes one
#: word, so that nothing that follows is taken for its own.
_DRY_RUN = ("--logger", "hippflow", "--quiet", "rules", "progress", "--dry-run", "--nolock")


@dataclass(frozen=True)
class PlannedJob:
    """A job that a run would start.

    Attributes
    ----------
    inputs : dict of str to int or None
        Bytes of every input file, None for one that is still to be made.
    outputs : list of str
        Its products.
    mem_mb, runtime : int or None
        Memory in MB and time in minutes that it would ask for, None where its rule does not say.
    group : str or None
        Jobs with the same group share a Slurm job.
    local : bool
        Runs beside the driver, wherever the others do.
    """

    rule: str
    wildcards: dict[str, str]
    inputs: dict[str, int | None]
    outputs: list[str]
    threads: int
    mem_mb: int | None
    runtime: int | None
    group: str | None
    local: bool


def planned_jobs(command: list[str], folder: str | Path = ".") -> list[PlannedJob]:
    """Ask Snakemake what a command would do.

    Parameters
    ----------
    command : list of str
        As it is typed, ``["snakemake", "--profile", "slurm", "day/20181105"]``; the Snakemake of this environment
        is asked, also where the environment is not activated.
    folder : path
        Where.

    Returns
    -------
    list of PlannedJob
        In no order; empty where everything is there.

    Raises
    ------
    DriverError
        Snakemake refuses; its last words are in the message.
    """
    program = [sys.executable, "-m", "snakemake"] if command[0] == "snakemake" else command[:1]
    with tempfile.TemporaryDirectory() as temporary:
        answer = Path(temporary, "planned.jsonl")
        asked = subprocess.run(
            [*program, *command[1:], *_DRY_RUN],
            cwd=folder,
            env=os.environ | {VARIABLE: str(answer)},
            capture_output=True,
            text=True,
        )
        if asked.returncode != 0:
            said = [line.strip() for line in (asked.stdout + asked.stderr).splitlines() if line.strip()]
            raise DriverError(
                f"expected a dry run that says what {' '.join(redacted_command(command))} would do, found: "
                f"{' '.join(said[-3:])}; correct that and ask again"
            )
        lines = answer.read_text().splitlines() if answer.exists() else []
    return [PlannedJob(**json.loads(line)) for line in lines]
