"""Small tables (.csv) of products, checked: every row as long as the header, and of each column what it must hold.

pandas alone fills up short rows, takes the first column of long ones for an index, and makes text of a column in which
one number is damaged. Not for tables of many thousand rows, which would take long.
"""

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hippflow.errors import FormatError

#: What a column can have to hold: whole numbers from 0, any numbers (or none), text (not empty), or whatever it does.
WHOLE, NUMBER, TEXT, ANY = "whole numbers from 0", "numbers", "text", "anything"


def read_table(path: str | Path, columns: Mapping[str, str], *, unique: str | None = None, **options: Any) -> Any:
    r"""Read a table.

    Parameters
    ----------
    path : path
    columns : mapping of str to str
        Columns that it must have, and what they hold: :data:`WHOLE`, :data:`NUMBER`, :data:`TEXT` or :data:`ANY`.
    unique : str, optional
        Column in which no two rows have the same.
    **options
        For :func:`pandas.read_csv`.

    Returns
    -------
    DataFrame

    Raises
    ------
    FormatError
        The table is not there, is none, lacks a column, or has something else in it.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "units.csv")
    >>> _ = path.write_text("unit,quality\n1,good\n2,noise\n")
    >>> read_table(path, {"unit": WHOLE, "quality": TEXT})["quality"].tolist()
    ['good', 'noise']
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        header = _check_rows(text)
        table = pd.read_csv(io.StringIO(text), **options)
    except (OSError, ValueError, OverflowError, csv.Error) as error:  # what pandas raises is a ValueError
        raise FormatError(
            f"{path}: expected a table with the columns {' and '.join(columns)}, found {error}; make it anew"
        ) from error
    for name, kind in columns.items():
        if name not in header:
            raise FormatError(
                f"{path}: expected a table with the columns {' and '.join(columns)}, found {', '.join(header)[:200]}; "
                "make it anew"
            )
        if len(table) and not _holds(table[name], kind):
            found = ", ".join(map(str, table[name].head(5)))[:100]
            raise FormatError(f"{path}: expected {kind} as {name}, found {found} ...; make it anew")
    if unique and table[unique].duplicated().any():
        twice = table[unique][table[unique].duplicated()].iloc[0]
        raise FormatError(f"{path}: expected every {unique} once, found {twice} twice; make it anew")
    return table


def _check_rows(text: str) -> list[str]:
    """Return the names in the header, having compared its length with that of every row."""
    if odd := re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", text):
        raise ValueError(f"the character {odd[0]!r}")
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(rows, [])
    if len(set(header)) < len(header):
        raise ValueError(f"a column twice in {', '.join(header)[:200]}")
    for number, row in enumerate(rows, start=2):
        if row and len(row) != len(header):
            raise ValueError(f"{len(row)} fields in row {number}, {len(header)} in the header")
    return header


def _holds(column: pd.Series, kind: str) -> bool:
    if kind == WHOLE:
        return column.dtype.kind == "i" and bool((column >= 0).all())
    if kind == NUMBER:
        return column.dtype.kind in "if"
    is_text = column.dtype.kind in "OTU" or column.dtype == "str"
    return kind == ANY or (is_text and bool((column.notna() & (column != "")).all()))
