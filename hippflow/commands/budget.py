"""``hippflow budget``: what may be spent, what is spent by whose figures, and what is still to come."""

import argparse
import json
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

from hippflow.commands.configuration import add_config_arguments, complete_config, settings_again
from hippflow.errors import ConfigError, HippflowError

#: The state of runs, from the workflow's folder.
STATE = ".snakemake/hippflow"

#: Columns of the words before the numbers.
_WIDTH = 10


def add(commands: Any) -> None:
    """Add the command."""
    budget = commands.add_parser("budget", help="what may be spent, what is spent, and what is still to come")
    add_config_arguments(budget)
    budget.add_argument("--json", action="store_true", help="everything as JSON")
    budget.add_argument("--create", action="store_true", help="make the AWS budget with its alerts, or change it")
    budget.add_argument("--email", metavar="ADDRESS", help="who gets the alerts, with --create")
    budget.set_defaults(run=_budget)


def _budget(arguments: argparse.Namespace) -> None:
    from hippflow.cost.budget import check_budget

    files = [str(Path(file).absolute()) for file in arguments.configfile]
    config = complete_config(arguments)  # which goes to the workflow's folder
    arguments.configfile, arguments.directory = files, "."
    budget = config.get("budget") or {}
    check_budget(budget)
    if arguments.create:
        _create(budget, arguments.email)
    else:
        _show(config, budget, arguments)


def _create(budget: dict[str, Any], email: str | None) -> None:
    if budget["period"] != "month":
        raise ConfigError(
            f"config.yaml: budget.period: expected month for a budget of AWS, found {budget['period']}; set it to month"
        )
    if not email or not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", email):
        raise ConfigError(
            f"--email: expected the address that gets the alerts, found {email!r}; add --email YOU@LAB.EDU"
        )
    try:
        from hippflow.cloud.aws_budgets import ALERTS, NAME, put_budget
    except ImportError as error:
        raise ConfigError(
            f"expected the library of AWS, found: {error}; install it: pip install 'hippflow[cluster]'"
        ) from error
    done = put_budget(float(budget["usd"]), email)
    when = ", ".join(f"{percent:g} % {'spent' if kind == 'ACTUAL' else 'forecast'}" for kind, percent in ALERTS)
    print(
        f"AWS budget {NAME} {done}: {budget['usd']:.2f} USD a month for the whole account; {email} is told at {when}."
    )


def _show(config: dict[str, Any], budget: dict[str, Any], arguments: argparse.Namespace) -> None:
    from hippflow.cost.budget import hold, workflow_figures
    from hippflow.runs.planned import planned_jobs

    snakemake = ["snakemake", "--profile", "slurm"] if shutil.which("sbatch") else ["snakemake", f"-c{os.cpu_count()}"]
    trouble = None
    try:
        jobs = planned_jobs([*snakemake, *shlex.split(settings_again(arguments))])
    except HippflowError as error:
        jobs, trouble = None, str(error)
    # as on the cluster: that is where it costs
    standing = hold(budget, workflow_figures(config, STATE), jobs)
    if arguments.json:
        found = standing.to_dict() | {"on_exceed": budget["on_exceed"], "jobs": len(jobs) if jobs is not None else None}
        print(json.dumps(found | {"trouble": trouble}, indent=1))
        return
    per = {"month": "a month", "run": "a run", "total": "in all"}[standing.period]
    lines = [("limit", f"{standing.limit:.2f} USD {per}; a run that exceeds it: {budget['on_exceed']}")]
    lines.append(("spent", f"{standing.spent.usd:.2f} USD: {standing.spent.source}"))
    if standing.spent.trouble:
        lines.append(("", f"AWS did not say: {standing.spent.trouble}"))
    lines.append(("left", f"{standing.left:.2f} USD"))
    if standing.planned is None:
        lines.append(("to come", f"not known: {trouble}"))
    else:
        planned = standing.planned
        lines.append(
            ("to come", f"{planned.usd:.2f} (± {planned.error:.2f}) USD for {len(jobs or ())} jobs, on the cluster")
        )
        if standing.excess:
            lines.append(("", f"{standing.excess:.2f} USD too much"))
    print("\n".join(f"{name:<{_WIDTH}}{text}" for name, text in lines))
