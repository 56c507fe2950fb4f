"""placefield: where the units of one channel fire (PyHipp's VMPlaceCell, and the newer one with shuffles)."""

import logging
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hippflow.behaviour.occupancy import Grid
from hippflow.behaviour.placefield import PlaceField, place_field
from hippflow.errors import FormatError
from hippflow.io.atomic import whole_file
from hippflow.io.cells import check_cells
from hippflow.io.products import base_fields, read_product, write_product
from hippflow.io.tables import ANY, TEXT, read_table
from hippflow.names import LEVEL_DEPTH, product_name
from hippflow.progress import track

log = logging.getLogger(__name__)

COLUMNS = (
    "cell",
    "spikes",
    "mean_rate",
    "peak_rate",
    "peak_x",
    "peak_z",
    "spatial_information",
    "threshold",
    "significant",
)


def count_args(grid_steps: int, overall_grid_size: float) -> dict[str, Any]:
    """Return the arguments of PyHipp's VMPlaceCell, in its order.

    Examples
    --------
    >>> product_name("vmplacecell", count_args(40, 25))
    'vmplacecell_7ab1.hkl'
    """
    return {"GridSteps": grid_steps, "OverallGridSize": overall_grid_size}


def map_args(
    n_shuffles: int, shuffle_bounds: list[float], grid_steps: int, overall_grid_size: float, min_obs: int
) -> dict[str, Any]:
    """Return the arguments of PyHippocampus's VMPlaceCell, in its order.

    Examples
    --------
    >>> product_name("vmplacecell", map_args(100, [0.1, 0.9], 40, 25, 5))
    'vmplacecell_a35f.hkl'
    """
    return {
        "NumShuffles": n_shuffles,
        "ShuffleBounds": list(shuffle_bounds),
        "GridSteps": grid_steps,
        "OverallGridSize": overall_grid_size,
        "MinObs": min_obs,
    }


def make_placefields(
    cells: str | Path,
    umaze: str | Path,
    table: str | Path,
    *,
    n_shuffles: int,
    shuffle_bounds: list[float],
    min_obs: int,
    seed: int,
    grid_steps: int,
    overall_grid_size: float,
) -> None:
    """Map the spikes of a channel's cells onto the maze's floor.

    Writes ``cellNN/vmplacecell_7ab1.hkl`` (spikes in each bin) and ``cellNN/vmplacecell_a35f.hkl`` (rates, and
    spatial information of the train and of its shuffles) for every cell with spikes, then ``placefields.csv``.

    Differs from the original classes on purpose: the shuffles are seeded, a circle is as long as the session
    in one unit (it ends with the last trial or spike), `MinObs` counts, and the grid may have any size.

    Parameters
    ----------
    cells : path
        ``cells.csv`` of the channel; the spike trains are beside it.
    umaze : path
        The session's visits, ``umaze_fd09.hkl``.
    table : path
        ``placefields.csv``, a row for every cell; it is written last.
    n_shuffles : int
        Shifted trains to compare with.
    shuffle_bounds : [float, float]
        Least and largest shift as a share of the session.
    min_obs : int
        Least number of visits of the bins that have a rate.
    seed : int
        Seed of the shifts; every cell has shifts of its own, whatever other cells there are.
    grid_steps, overall_grid_size : int, float
        Those that `umaze` was made with.

    Raises
    ------
    FormatError
        An input is not what it should be, or `umaze` has another grid.
    ConfigError
        The bounds are no two shares in order.
    """
    grid = Grid(grid_steps, overall_grid_size)
    visits = _read_visits(umaze, grid)
    counted = count_args(grid_steps, overall_grid_size)
    mapped = map_args(n_shuffles, shuffle_bounds, grid_steps, overall_grid_size, min_obs)
    trains = read_trains(cells)
    channel = Path(table).parent
    rows = []
    for name, spikes in track(trains.items(), len(trains), "placefield", "cells"):
        folder = channel / name
        key = "/".join(folder.parts[-LEVEL_DEPTH["cell"] :]).encode()
        field = place_field(
            spikes,
            visits,
            grid.n_bins,
            n_shuffles=n_shuffles,
            shuffle_bounds=tuple(shuffle_bounds),
            min_obs=min_obs,
            generator=np.random.default_rng([seed, zlib.crc32(key)]),
        )
        if spikes.size:
            _write_cell(folder, field, counted, mapped, seed)
        rows.append(_row(name, field, grid))
    _remove_other_cells(channel, {name for name, spikes in trains.items() if spikes.size})
    with whole_file(table) as part:
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(part, index=False, float_format="%.6g")
    log.info("%s: %d cells, %d with a place field", table, len(rows), sum(row["significant"] for row in rows))


def _read_visits(path: str | Path, grid: Grid) -> np.ndarray:
    """Read the visit table and check that it is of this grid."""
    fields = read_product(path)
    missing = [name for name in ("sessionTime", "GridSteps", "OverallGridSize") if name not in fields]
    if missing:
        raise FormatError(
            f"{path}: expected the fields of a umaze product, found no {', '.join(missing)}; make it anew"
        )
    found = (fields["GridSteps"], fields["OverallGridSize"])
    if found != (grid.steps, grid.size):
        raise FormatError(
            f"{path}: expected a grid of {grid.steps} steps over {grid.size:g} maze units, found {found[0]} over "
            f"{found[1]:g}; make it anew with the same umaze settings"
        )
    return np.asarray(fields["sessionTime"], np.float64)


def read_trains(path: str | Path) -> dict[str, np.ndarray]:
    """Read the spike times in s of all cells of the table; of those without spikes, none."""
    cells = read_table(path, {"cell": TEXT, "spiketrain": ANY}, unique="cell", keep_default_na=False, dtype=str)
    check_cells(path, cells)
    trains = {}
    for name, train in zip(cells["cell"], cells["spiketrain"], strict=True):
        trains[name] = _read_train(Path(path).parent / train) if train else np.zeros(0)
    return trains


def _read_train(path: Path) -> np.ndarray:
    times = read_product(path).get("spiketimes")
    if not times:
        raise FormatError(f"{path}: expected spiketimes of one cell, found none; make the channel's spike trains anew")
    return np.asarray(times[0], np.float64) / 1000


def _write_cell(folder: Path, field: PlaceField, counted: dict[str, Any], mapped: dict[str, Any], seed: int) -> None:
    path = folder / product_name("vmplacecell", counted)
    write_product(path, base_fields(path, "cell", counted) | {"placebins": field.counts[:, np.newaxis], "numSets": 1})
    path = folder / product_name("vmplacecell", mapped)
    write_product(
        path,
        base_fields(path, "cell", mapped)
        | {
            "rateMap": [field.rates],
            "sicValues": [np.concatenate(([field.information], field.shuffled))],
            "sicThreshold": field.threshold,
            "significant": field.significant,
            "seed": seed,
            "numSets": 1,
        },
    )


def _row(name: str, field: PlaceField, grid: Grid) -> dict[str, Any]:
    peak = field.peak_bin
    x, z = grid.centre(peak) if peak else (np.nan, np.nan)
    return {
        "cell": name,
        "spikes": int(field.counts.sum()),
        "mean_rate": field.mean_rate,
        "peak_rate": field.rates[peak - 1] if peak else 0.0,
        "peak_x": x,
        "peak_z": z,
        "spatial_information": field.information,
        "threshold": field.threshold,
        "significant": field.significant,
    }


def _remove_other_cells(channel: Path, kept: set[str]) -> None:
    """Remove the maps of cells that an earlier sorting had and this one has not."""
    for folder in channel.glob("cell*"):
        if re.fullmatch(r"cell\d{2,}", folder.name) and folder.name not in kept:
            for path in folder.glob("vmplacecell_*.hkl"):
                path.unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()
