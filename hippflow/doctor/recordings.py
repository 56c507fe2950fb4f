"""Configuration and raw data."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from hippflow.doctor.findings import FAILURE, OK, WARNING, Finding, Workplace

if TYPE_CHECKING:
    from hippflow.day.catalog import Catalog

#: Files that are named at most.
MOST_NAMED = 5


def check_configuration(workplace: Workplace) -> Iterator[Finding]:
    """Say whether config.yaml is valid."""
    if workplace.trouble is not None:
        raise workplace.trouble
    yield Finding(OK, "valid")


def check_raw_data(workplace: Workplace) -> Iterator[Finding]:
    """List the raw data, and read the start of every file that is selected."""
    from hippflow.day.plan import check_imaging, check_rates

    config, catalog = workplace.settings, workplace.list_products().catalog
    check_rates(config, catalog)
    check_imaging(config, catalog)
    n_bytes = sum(session.n_bytes for session in catalog.sessions) + sum(r.n_bytes for r in catalog.recordings)
    what = (
        f"{config['data']}: {len(catalog.days)} days, {len(catalog.sessions)} sessions, "
        f"{len(catalog.recordings)} two-photon recordings, {n_bytes / 1e9:.1f} GB"
    )
    if workplace.in_bucket:
        yield Finding(OK, f"{what}; all headers were read, the rest when it is fetched")
        return
    files = list(dict.fromkeys(_files(catalog)))
    unreadable = [trouble for path in files if (trouble := _trouble(path))]
    if not unreadable:
        yield Finding(OK, f"{what}; all {len(files)} files can be read")
    for trouble in islice(unreadable, MOST_NAMED):
        yield Finding(FAILURE, trouble, "copy the file there again, or let yourself read it (chmod u+r)")
    if len(unreadable) > MOST_NAMED:
        yield Finding(
            FAILURE, f"and {len(unreadable) - MOST_NAMED} of {len(files)} files more cannot be read", "the same"
        )
    idle = [session.path for session in catalog.sessions if session.nev is None and session.nsx is None]
    if idle:
        yield Finding(
            WARNING,
            f"{len(idle)} sessions have neither markers nor a recording: {', '.join(idle[:MOST_NAMED])}",
            "copy their files there, or leave them out with sessions",
        )


def _files(catalog: "Catalog") -> Iterator[str]:
    for session in catalog.sessions:
        yield from filter(None, (session.nev, session.nsx, *session.maze_logs, session.eye))
    for recording in catalog.recordings:
        yield from recording.files


def _trouble(path: str) -> str | None:
    """Say why a file cannot be read, None if it can."""
    try:
        with open(path, "rb") as file:
            return None if file.read(1) else f"{path}: expected a recording, found an empty file"
    except OSError as error:
        return f"{path}: expected a file that can be read, found: {error.strerror}"
