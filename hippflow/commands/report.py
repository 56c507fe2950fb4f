"""``hippflow report``: the page of a day from whatever of it is there, finished or not."""

import argparse
from pathlib import Path
from typing import Any

from hippflow.commands.configuration import add_config_arguments, complete_config, list_products
from hippflow.errors import ConfigError, FormatError


def add(commands: Any) -> None:
    """Add the command."""
    report = commands.add_parser("report", help="write a day's report of whatever is there")
    report.add_argument("day", metavar="DAY", help="the date, as 20181105; subject/20181105 where several have it")
    add_config_arguments(report)
    report.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> None:
    from hippflow.day.selection import nearest
    from hippflow.steps.report import make_report

    products = list_products(complete_config(arguments))
    days = [day for day in products.catalog.days if arguments.day in (day, day.split("/")[1])]
    if not days:
        dates = sorted({day.split("/")[1] for day in products.catalog.days})
        raise ConfigError(f"{arguments.day}: no such day is selected; nearest: {nearest(arguments.day, dates)}")
    for day in days:
        path = Path(products.path(day, "report.html"))
        if not path.parent.is_dir():
            raise FormatError(
                f"{path.parent}: expected products of {day}, found none; make some with "
                f"snakemake -c1 day/{path.parent.name}"
            )
        make_report(path, recorded=products.recorded(day), settings=products.report_settings(day), failures=_failures())
        print(path)


def _failures() -> dict[str, Any]:
    """Return why products were not made, from the record of the last run."""
    from hippflow.report.material import Failure
    from hippflow.runs.record import last_run

    run = last_run(".snakemake/hippflow")
    failed = run.in_state("failed") if run else []
    return {path: Failure(job.error or "its job failed", job.lines) for job in failed for path in job.outputs}
