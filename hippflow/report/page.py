"""The page: all sections, what they draw, and the script and style that do it, in one file.

The same products give the same bytes: there is no time of now in it, and nothing random.
"""

from pathlib import Path

from hippflow import __version__
from hippflow.io.atomic import whole_file
from hippflow.report import alignment, behaviour, costs, imaging, overview, provenance, signals, units
from hippflow.report.material import Material, Section
from hippflow.report.packing import to_script
from hippflow.report.rendering import render, source

#: The sections in the order of the page.
SECTIONS = (overview, alignment, signals, units, behaviour, imaging, costs, provenance)

#: The page's script, in this order.
SCRIPTS = ("figures.js", "tables.js", "sections.js", "details.js", "page.js")


def make_page(material: Material) -> str:
    """Return the report of a day as HTML.

    Parameters
    ----------
    material : Material

    Returns
    -------
    str
        A whole page, which needs no other file and no network.
    """
    sections = [section for module in SECTIONS if (section := module.section(material)) is not None]
    return compose(sections, material.day.subject, material.day.date)


def compose(sections: list[Section], subject: str, date: str) -> str:
    """Put sections together.

    Examples
    --------
    >>> section = Section("Overview", "overview", ["one is lost"], "<p>It was recorded.</p>")
    >>> page = compose([section], "picasso", "20181105")
    >>> page.count("<p>It was recorded.</p>"), page.count("one is lost")
    (1, 1)
    """
    return render(
        "page.html.j2",
        subject=subject,
        date=overview.long_date(date),
        sections=sections,
        problems=[(section, problem) for section in sections for problem in section.problems],
        style=source("style.css"),
        scripts=[source(name) for name in SCRIPTS],
        data=to_script({section.anchor: section.data for section in sections if section.data}),
        version=__version__,
    )


def write_page(material: Material, path: str | Path) -> None:
    """Write the report of a day, whole or not at all."""
    with whole_file(path) as part:
        part.write_text(make_page(material), encoding="utf-8")
