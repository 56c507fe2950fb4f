"""The table of a channel's cells, ``cells.csv``: its names become paths, and so are held to what they can be."""

import re
from pathlib import Path

import pandas as pd

from hippflow.errors import FormatError

#: The folder of a cell, and its spike train in it.
_CELL, _TRAIN = re.compile(r"cell[0-9]{2,}"), "spiketrain_d41d.hkl"


def check_cells(path: str | Path, cells: pd.DataFrame) -> None:
    """Check that every cell has a folder of its own below its channel's, and its spike train in it.

    Parameters
    ----------
    path : path
        The table, for the message.
    cells : DataFrame
        With ``cell`` and ``spiketrain``, which is empty or missing where there are no spikes.

    Raises
    ------
    FormatError
        Any other name, which could lead out of the channel's folder.

    Examples
    --------
    >>> check_cells("cells.csv", pd.DataFrame({"cell": ["cell01"], "spiketrain": ["cell01/spiketrain_d41d.hkl"]}))
    """
    for name, train in zip(cells["cell"], cells["spiketrain"], strict=True):
        given = train if isinstance(train, str) else ""
        if not _CELL.fullmatch(str(name)) or given not in ("", f"{name}/{_TRAIN}"):
            raise FormatError(
                f"{path}: expected cells like cell01, each with its train in cell01/{_TRAIN}, found {name!r} with "
                f"{given!r}; make the channel's spike trains anew"
            )
