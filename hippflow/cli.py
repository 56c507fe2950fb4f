"""The command ``hippflow``."""

import argparse
import logging
import os
import sys
import traceback

from hippflow import __version__
from hippflow.commands import archive, budget, cluster, cost, curation, demo, doctor, report, status
from hippflow.errors import HippflowError
from hippflow.redaction import redacted


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hippflow", description="A recording day from raw files to finished, checked products."
    )
    parser.add_argument("--version", action="version", version=f"hippflow {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where in the code an error was raised")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for subject in (demo, doctor, status, report, curation, cost, budget, archive):
        subject.add(commands)
    hooks = cluster.Hooks(status.open_products, archive.archive_problems, cost.idle_price)
    cluster.add(commands, hooks)
    return parser


def main() -> None:
    """Run the command line."""
    arguments = _parser().parse_args()
    logging.basicConfig(format="%(message)s")
    logging.getLogger("hippflow").setLevel(logging.INFO)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it, as head does, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except HippflowError as error:
        if arguments.debug:
            sys.exit(redacted(traceback.format_exc()))
        sys.exit(f"hippflow: {error}")
