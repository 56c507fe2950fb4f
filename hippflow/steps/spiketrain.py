"""spiketrain: the spike times of one channel's units in one session (PyHipp's Spiketrain, one folder a cell)."""

import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd

from hippflow.ephys.clock import sample_times
from hippflow.ephys.curation import apply_merges, merges_of
from hippflow.ephys.sessions import split_by_session
from hippflow.errors import FormatError
from hippflow.io.atomic import whole_file
from hippflow.io.products import base_fields, write_product
from hippflow.io.signals import open_signal
from hippflow.io.tables import TEXT, WHOLE, read_table
from hippflow.steps.sorting import read_sorting, session_name

log = logging.getLogger(__name__)

PRODUCT, TABLE = "spiketrain_d41d.hkl", "spiketrain.csv"


def _remove_other_cells(channel: Path, kept: set[str]) -> None:
    """Remove the spike trains of cells that an earlier sorting had and this one has not."""
    for folder in channel.glob("cell*"):
        if re.fullmatch(r"cell\d{2,}", folder.name) and folder.name not in kept:
            for name in (PRODUCT, TABLE):
                (folder / name).unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()


def _write_cell(folder: Path, milliseconds: np.ndarray) -> None:
    with whole_file(folder / TABLE) as part:
        part.write_text(",".join(f"{time:.6f}" for time in milliseconds) + "\n")
    path = folder / PRODUCT
    write_product(path, base_fields(path, "cell") | {"spiketimes": [milliseconds], "numSets": 1})


def read_units(path: str | Path) -> tuple[pd.DataFrame, list[tuple[int, ...]]]:
    """Read the quality of a channel's units, by unit, and which units of the sorting were merged.

    Raises
    ------
    FormatError
        The table is not there, or damaged.
    """
    table = read_table(path, {"unit": WHOLE, "quality": TEXT}, unique="unit", dtype={"merged": str}).set_index("unit")
    try:
        return table, merges_of(table)
    except ValueError as error:
        raise FormatError(
            f"{path}: expected units with spaces between as merged, as 2 4, found other text ({error}); make it anew"
        ) from error


def make_spiketrains(
    firings: str | Path, units: str | Path, highpass: str | Path, cells: str | Path, *, selection: str
) -> None:
    """Write the spike trains of one session: ``cellNN/spiketrain_d41d.hkl`` and ``.csv``, then ``cells.csv``.

    A cell has the number of its unit, which is the same in all sessions of the day.

    Parameters
    ----------
    firings, units : path
        Sorting of the channel over the day, and its units' quality and what they were merged from.
    highpass : path
        The session's high-pass signal, which knows its clock.
    cells : path
        ``cells.csv``, a row for every unit; it is written last.
    selection : {'all', 'no-noise'}
        Units that become cells.
    """
    sorting, fields = read_sorting(firings)
    table, merges = read_units(units)
    sorting, quality = apply_merges(sorting, merges), table["quality"]
    session = session_name(highpass)
    trains = split_by_session(sorting.samples, sorting.labels, fields["sessionLengths"])[
        fields["sessions"].index(session)
    ]
    chosen = quality.index if selection == "all" else quality.index[quality != "noise"]
    channel = Path(cells).parent
    with open_signal(highpass) as signal:
        segments, tick_rate, seconds = signal.segments, signal.tick_rate, len(signal) / signal.sampling_rate
    rows = []
    for unit in chosen.tolist():
        times = sample_times(trains.get(unit, np.zeros(0, np.int64)), segments, tick_rate)
        name = f"cell{unit:02d}"
        if times.size:
            _write_cell(channel / name, 1000 * times)
        rows.append(
            {
                "cell": name,
                "unit": unit,
                "quality": quality[unit],
                "num_spikes": times.size,
                "firing_rate": times.size / seconds,
                "spiketrain": f"{name}/{PRODUCT}" if times.size else "",
            }
        )
    _remove_other_cells(channel, {row["cell"] for row in rows if row["num_spikes"]})
    columns = ["cell", "unit", "quality", "num_spikes", "firing_rate", "spiketrain"]
    with whole_file(cells) as part:
        pd.DataFrame(rows, columns=columns).to_csv(part, index=False, float_format="%.6g")
    log.info("%s: %d cells, %d of them with spikes", cells, len(rows), sum(row["num_spikes"] > 0 for row in rows))
