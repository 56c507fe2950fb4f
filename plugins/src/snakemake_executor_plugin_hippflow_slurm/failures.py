"""Which jobs of a group failed, and what they said."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: A line with which a job of hippflow ends that did not succeed.
ERROR = re.compile(r"^[\d:]* ?(\w*Error: .*)$", re.MULTILINE)


def members(job: Any) -> Iterator[Any]:
    """Yield the jobs of a group, or the job itself."""
    yield from job if job.is_group() else [job]


def failed_members(job: Any) -> list[Any]:
    """Return the jobs whose inputs are there and whose outputs are not: those that could run and failed.

    All of them, if every output is there: then something else failed.
    """
    failed = [
        member
        for member in members(job)
        if not all(Path(path).exists() for path in member.output)
        and all(path.is_storage or Path(path).exists() for path in member.input)
    ]
    return failed or list(members(job))


def last_error(job: Any) -> str | None:
    """Return the last error line of a job's own log."""
    for path in job.log:
        if Path(path).exists():
            lines = ERROR.findall(Path(path).read_text(errors="replace"))
            if lines:
                return lines[-1]
    return None


def failed_for_good(job: Any) -> bool:
    """Say whether all that failed did so for its input, and would again; an endpoint or a disk may be back."""
    errors = [last_error(member) for member in failed_members(job)]
    return all(error and not error.startswith(("StorageError", "DiskError")) for error in errors)
