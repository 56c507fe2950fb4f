"""``hippflow doctor``: is everything right for a run? A line a finding, with what to do about it."""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from hippflow.commands.configuration import add_config_arguments, complete_config
from hippflow.errors import HippflowError


def add(commands: Any) -> None:
    """Add the command."""
    doctor = commands.add_parser("doctor", help="is everything right for a run, and if not, what to do")
    add_config_arguments(doctor)
    doctor.add_argument("--json", action="store_true", help="all findings as JSON")
    doctor.set_defaults(run=_doctor)


def _checks() -> dict[str, Any]:
    from hippflow.doctor import buckets, clock, disk, leftovers, recordings, slurm, surroundings

    return {
        "python": surroundings.check_python,
        "packages": surroundings.check_packages,
        "text": surroundings.check_encoding,
        "config": recordings.check_configuration,
        "raw data": recordings.check_raw_data,
        "results": disk.check_results,
        "disk space": disk.check_space,
        "AWS": buckets.check_buckets,
        "Slurm": slurm.check_slurm,
        "clock": clock.check_clock,
        "GPU": surroundings.check_gpu,
        "open files": surroundings.check_open_files,
        "runs": leftovers.check_leftovers,
    }


def _doctor(arguments: argparse.Namespace) -> None:
    from hippflow.doctor.findings import Workplace, examine

    try:
        workplace = Workplace(Path(), complete_config(arguments))  # which goes to the workflow's folder
    except HippflowError as error:
        workplace = Workplace(Path(arguments.directory), None, error)
    found = examine(_checks(), workplace)
    if arguments.json:
        print(json.dumps([_entry(finding) for finding in found], indent=1))
    else:
        print(_text(found))
    if any(finding.state == "failure" for finding in found):
        sys.exit(1)


def _entry(finding: Any) -> dict[str, str | None]:
    return {"check": finding.check, "state": finding.state, "message": finding.message, "fix": finding.fix}


def _text(found: list[Any]) -> str:
    width = max(len(finding.check) for finding in found)
    lines = []
    for finding in found:
        lines.append(f"{finding.state:<8} {finding.check:<{width}}  {finding.message}")
        if finding.fix:
            lines.append(f"{'':<8} {'':<{width}}  -> {finding.fix}")
    counts = Counter(finding.state for finding in found)
    words = {"ok": "ok", "warning": "warnings", "failure": "failures"}
    return "\n".join([*lines, "", ", ".join(f"{counts[state]} {word}" for state, word in words.items())])
