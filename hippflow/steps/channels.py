"""channels: one row for each channel and session of a day, with the numbers of its signals and its units."""

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from hippflow.io.atomic import whole_file
from hippflow.io.tables import TEXT, WHOLE, read_table

log = logging.getLogger(__name__)

#: Columns that come first.
FIRST = ("array", "channel", "session")

#: Columns of units, by quality.
UNITS = {"good": "units_good", "multi-unit": "units_multi_unit", "noise": "units_noise"}


def make_channels(quality: list[str], units: list[str], channels: str | Path) -> None:
    """Gather what was measured of a day's channels.

    Parameters
    ----------
    quality : list of path
        ``quality.json`` of every channel in every session.
    units : list of path
        ``mountains/channelNNN/units.csv`` of every channel.
    channels : path
        ``channels.csv``, by array, channel and session.
    """
    tables = {
        int(Path(path).parent.name[-3:]): read_table(path, {"unit": WHOLE, "quality": TEXT}, unique="unit")
        for path in units
    }
    rows = [_row(json.loads(Path(path).read_text()), tables) for path in quality]
    rows.sort(key=lambda row: tuple(row[name] for name in FIRST))
    with whole_file(channels) as part:
        pd.DataFrame(rows).to_csv(part, index=False, float_format="%.6g")
    log.info("%s: %d rows, %d of them with problems", channels, len(rows), sum(row["num_problems"] > 0 for row in rows))


def _row(fields: dict[str, Any], tables: dict[int, pd.DataFrame]) -> dict[str, Any]:
    """Return the numbers of one channel in one session."""
    table = tables[fields["channel"]]
    numbers = {name: value for name, value in fields.items() if not isinstance(value, list) and name not in FIRST}
    found = table["quality"].value_counts()
    return {
        **{name: fields[name] for name in FIRST},
        **numbers,
        "num_problems": len(fields["problems"]),
        **{column: int(found.get(label, 0)) for label, column in UNITS.items()},
        "num_spikes": int(table[f"num_spikes_{fields['session']}"].sum()),
    }
