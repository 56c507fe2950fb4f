"""What every script does around its one call: start the log, report errors, and run without Snakemake.

A script works on the `snakemake` object that the workflow gives it. Started by hand
it takes the same from its command line, to look into one job alone:

    python scripts/rplparallel.py input.nev=a.nev output.markers=a.hkl params.no_markers=error
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

# Environments of single rules (envs/) have the libraries, but not hippflow itself.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from hippflow.errors import HippflowError
from hippflow.io.disk import disk_error
from hippflow.job_log import start_job_log

log = logging.getLogger("hippflow.job")


def _from_command_line(arguments: list[str]) -> SimpleNamespace:
    """Build the parts of a `snakemake` object that scripts use from ``section.name=value``."""
    sections: dict[str, dict[str, Any]] = {"input": {}, "output": {}, "params": {}}
    for argument in arguments:
        name, found, value = argument.partition("=")
        section, _, key = name.partition(".")
        if not found or section not in sections or not key:
            sys.exit(f"expected input.NAME=..., output.NAME=... or params.NAME=..., found {argument!r}")
        sections[section][key] = yaml.safe_load(value)
    return SimpleNamespace(**{section: SimpleNamespace(**values) for section, values in sections.items()}, log=[])


def _files(outputs: Any) -> list[str]:
    """Return the files that a job writes; a name may stand for several."""
    values = [value if isinstance(value, list) else [value] for value in vars(outputs).values()]
    return [str(path) for paths in values for path in paths]


@contextmanager
def job(names: dict[str, Any]) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    """Run the body of a script as one job.

    Parameters
    ----------
    names : dict
        The script's ``globals()``.

    Yields
    ------
    input, output, params
        Named files, and the parameters as a dictionary.
    """
    if "snakemake" in names:
        run = names["snakemake"]
        params = dict(run.params.items())
    else:
        run = _from_command_line(sys.argv[1:])
        params = vars(run.params)
    start_job_log(run.log)
    try:
        yield run.input, run.output, params
    except HippflowError as error:
        log.error("%s: %s", type(error).__name__, error)
        log.debug("It was raised here:", exc_info=True)
        sys.exit(1)
    except Exception as error:
        if trouble := disk_error(error, _files(run.output)):
            log.debug("It was raised here:", exc_info=True)
            log.error("%s: %s", type(trouble).__name__, trouble)  # last: it says more than the traceback's own line
            sys.exit(1)
        log.exception("Unexpected error, a defect of hippflow: please report it with this log.")
        sys.exit(1)  # Python itself would print the error once more, with what the log has left out of it
