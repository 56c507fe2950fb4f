"""umaze: which bins of the maze's floor the animal visited, when and for how long (PyHipp's Umaze)."""

import logging
from pathlib import Path

import numpy as np

from hippflow.behaviour.occupancy import (
    Grid,
    check_trials,
    navigated_bins,
    occupancy,
    sort_visits,
    trial_durations,
    visit_table,
)
from hippflow.errors import FormatError
from hippflow.io.products import base_fields, read_product, write_product
from hippflow.names import umaze_args

log = logging.getLogger(__name__)

#: What is needed of the maze log, each in a list of one item, as PyHipp has it.
UNITY_FIELDS = ("unityData", "unityTriggers", "unityTrialTime", "unityTime", "sumCost")


def _read_unity(path: str | Path) -> dict[str, np.ndarray]:
    fields = read_product(path)
    missing = [name for name in UNITY_FIELDS if not isinstance(fields.get(name), list) or not fields[name]]
    if missing:
        raise FormatError(
            f"{path}: expected the fields of a unity product, found no {', '.join(missing)}; make it anew"
        )
    return {name: np.asarray(fields[name][0]) for name in UNITY_FIELDS}


def make_umaze(
    unity: str | Path, umaze: str | Path, *, grid_steps: int, overall_grid_size: float, min_obs: int
) -> None:
    """Bin the animal's path through the maze and write ``umaze_fd09.hkl``.

    Differs from PyHipp's Umaze, whose fields it has, on purpose:

    - Times are of the frames themselves, so that none is NaN after the alignment.
    - A bin that is entered with a trial's last frame is no visit; PyHipp meant to leave it out.
    - `ou_i` and `P_i` count all visits of a bin, not all but the last.
    - Positions outside the arena, and rows after the last trial, have the bin 0, not one of another place.
    - `gp2ind` may hold the last bin.
    - `gpDurations`: a log that ends with the last trial's end is allowed.
    - `matrix` is an array, not a pandas table, which would be a pickle in the file.

    Parameters
    ----------
    unity : path
        Maze log of the session on Ripple's clock, ``unity_71bf.hkl``.
    umaze : path
    grid_steps : int
        Bins along each side of the arena.
    overall_grid_size : float
        Length of a side in maze units.
    min_obs : int
        Least number of visits of the bins in `sTPu`, `ou_i` and `P_i`.

    Raises
    ------
    MarkerError
        The session has no trials.
    FormatError
        The maze log is no unity product, or the animal was never in the arena.
    """
    log_fields = _read_unity(unity)
    data, triggers, times = (log_fields[name] for name in ("unityData", "unityTriggers", "unityTime"))
    check_trials(triggers, times, len(data), source=str(unity))
    grid = Grid(grid_steps, overall_grid_size)
    bins = grid.bins(data[:, 2], data[:, 3])
    positions = navigated_bins(bins, triggers)
    visits = visit_table(bins, triggers, times)
    order, info = sort_visits(visits)
    seconds, _ = occupancy(visits, grid.n_bins)
    _check_time_in_bins(seconds, positions, triggers, overall_grid_size, str(unity))
    often = np.flatnonzero(info[:, 3] + 1 >= min_obs)
    if not often.size:
        log.warning("%s: no bin was visited %d times (umaze.min_obs)", unity, min_obs)
    chosen = info[often, 0]
    chosen_seconds = seconds[chosen.astype(np.int64) - 1, np.newaxis]
    args = umaze_args(grid_steps, overall_grid_size, min_obs)
    write_product(
        umaze,
        base_fields(umaze, "session", args)
        | {
            "GridSteps": grid_steps,
            "OverallGridSize": overall_grid_size,
            "oGS2": overall_grid_size / 2,
            "gridSize": overall_grid_size / grid_steps,
            "horGridBound": grid.edges,
            "vertGridBound": grid.edges,
            "gpEdges": np.arange(grid.n_bins + 1),
            "gridPosition": positions,
            "gpDurations": trial_durations(bins, triggers, data[:, 1], grid.n_bins),
            "setIndex": np.array([[0], [len(triggers)]]),
            "processTrials": (np.flatnonzero(log_fields["sumCost"][:, 5] == 1),),
            "sessionTime": visits,
            "sortedGPindices": order,
            "sortedGPindinfo": info,
            "sGPi_minobs": (often,),
            "sTPu": chosen,
            "nsTPu": len(chosen),
            "ou_i": chosen_seconds,
            "P_i": chosen_seconds / chosen_seconds.sum(),
            "gp2ind": info[:, 0].astype(np.int64),
            "unityTriggers": [triggers],
            "unityTrialTime": [log_fields["unityTrialTime"]],
            "unityData": data,
            "unityTime": times,
            "matrix": seconds.reshape(grid_steps, grid_steps)[::-1].copy(),
        },
    )
    log.info("%s: %d trials, %d visits of %d bins", unity, len(triggers), (visits[:, 1] > 0).sum(), len(info))


def _check_time_in_bins(
    seconds: np.ndarray, positions: np.ndarray, triggers: np.ndarray, size: float, source: str
) -> None:
    """Check that the animal spent time in the arena, and say when it was elsewhere."""
    n_rows = int((triggers[:, 2] - triggers[:, 1]).sum())
    outside = n_rows - int((positions > 0).sum())
    if not seconds.any():
        raise FormatError(
            f"{source}: expected navigation within {size / 2:g} maze units of the origin, found no time there: "
            f"{outside} of {n_rows} rows are outside; check umaze.overall_grid_size and the alignment of this session"
        )
    if outside:
        log.warning("%s: %d of %d rows of navigation are outside the arena and in no bin", source, outside, n_rows)
