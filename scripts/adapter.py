"""What every script does around its one call: start the log, report errors, and run without Snakemake.

A script works on the `snakemake` object that the workflow gives it. Started by hand
it takes the same from its command line, to look into one job alone:

    python scripts/rplparallel.py input.nev=a.nev output.markers=a.hkl params.no_markers=error
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import yaml

from hippflow.errors import HippflowError


def _from_command_line(arguments: list[str]) -> SimpleNamespace:
    """Build the parts of a `snakemake` object that scripts use from ``section.name=value``."""
    sections: dict[str, dict[str, Any]] = {"input": {}, "output": {}, "params": {}}
    for argument in arguments:
        name, found, value = argument.partition("=")
        section, _, key = name.partition(".")
        if not found or section not in sections or not key:
            sys.exit(f"expected input.NAME=..., output.NAME=... or params.NAME=..., found {argument!r}")
        sections[section][key] = yaml.safe_load(value)
    return SimpleNamespace(
        **{section: SimpleNamespace(**values) for section, values in sections.items()},
        params_dict=sections["params"],
        log=[],
    )


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
        params = run.params_dict
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    handlers += [logging.FileHandler(path, mode="w") for path in run.log]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers)
    logging.captureWarnings(True)
    try:
        yield run.input, run.output, params
    except HippflowError as error:
        logging.error("%s: %s", type(error).__name__, error)
        logging.debug("raised at", exc_info=True)
        if os.environ.get("HIPPFLOW_DEBUG"):
            raise
        sys.exit(1)
    except Exception:
        logging.exception("unexpected error, a defect of hippflow: please report it with this log")
        sys.exit(1)
