"""Templates of the page, and how they write numbers."""

import math
from functools import cache
from typing import Any

from hippflow.progress import format_duration


def number(value: Any, digits: int = 3, missing: str = "–") -> str:
    """Write a number with some significant digits, and a dash where there is none.

    Examples
    --------
    >>> number(0.00012345), number(1234567.0, 4), number(float("nan")), number(12)
    ('0.000123', '1235000', '–', '12')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return missing
    if isinstance(value, int):
        return str(value)
    value = float(value)
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    rounded = float(f"{value:.{digits}g}")
    text = f"{rounded:.{min(decimals, 9)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def size(n_bytes: float) -> str:
    """Write a number of bytes.

    Examples
    --------
    >>> size(512), size(10_300_000_000)
    ('512 B', '10.3 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000 or unit == "GB":
            return f"{number(n_bytes)} {unit}"
        n_bytes /= 1000
    raise AssertionError


def count(n: int, noun: str, nouns: str = "") -> str:
    """Write how many there are.

    Examples
    --------
    >>> count(1, "unit"), count(0, "unit"), count(2, "movie")
    ('1 unit', 'no units', '2 movies')
    """
    return f"{n or 'no'} {noun if n == 1 else nouns or noun + 's'}"


def names(items: Any, most: int = 8) -> str:
    """Write a list, and how many more there are.

    Examples
    --------
    >>> names([9, 31, 34], 2)
    '9, 31 and 1 more'
    """
    items = [str(item) for item in items]
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("hippflow.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "size": size, "duration": format_duration, "names": names}
    environment.globals |= {"count": count}
    return environment


def render(template: str, **values: Any) -> str:
    """Fill in a template of ``hippflow/report/templates``."""
    return _environment().get_template(template).render(**values)


def source(name: str) -> str:
    """Return a file of ``hippflow/report/templates`` as it is."""
    text, _, _ = _environment().loader.get_source(_environment(), name)
    return text
