"""report: the page of a day, of whatever of its products is there."""

import logging
from pathlib import Path
from typing import Any

from hippflow.day.catalog import Catalog
from hippflow.progress import format_duration
from hippflow.reading.day import load_day
from hippflow.report.material import Failure, Material
from hippflow.report.page import write_page

log = logging.getLogger(__name__)


def make_report(
    report: str | Path,
    *,
    recorded: str,
    settings: dict[str, Any],
    failures: dict[str, Failure] | None = None,
) -> None:
    """Write the report of a day.

    Parameters
    ----------
    report : path
        ``report.html`` in the day's folder of results, whose products it is of. Paths in `recorded` and `settings` are
        relative to the current folder, which is the workflow's.
    recorded : str
        The catalog of the day, as :meth:`hippflow.day.catalog.Catalog.to_json` writes it.
    settings : dict
        See :func:`hippflow.day.products.report_settings`.
    failures : dict of str to Failure, optional
        Why products are missing, as far as a run knows it.

    Raises
    ------
    FormatError
        There is no folder of the day, or a product that cannot be read.
    """
    folder = Path(report).parent
    day = load_day(folder, settings)
    catalog = Catalog.from_json(recorded)
    material = Material(day, catalog, settings, failures or {})
    write_page(material, report)
    seconds = format_duration(sum(session.seconds for session in catalog.sessions))
    log.info(
        "%s: %.1f MB, of %d of %d products, %d sessions (%s) and %d two-photon recordings",
        report,
        Path(report).stat().st_size / 1e6,
        len(material.expected) - len(material.missing),
        len(material.expected),
        len(catalog.sessions),
        seconds,
        len(catalog.recordings),
    )
