"""unity: the maze log of a session, its trials and routes (PyHipp's Unity)."""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hippflow.behaviour.navigation import find_trials, movement, trial_times, wrap
from hippflow.behaviour.routes import route_costs, route_ratios
from hippflow.errors import FormatError, MarkerError
from hippflow.io.products import base_fields, read_product, write_product
from hippflow.io.virtualmaze import read_maze_logs

log = logging.getLogger(__name__)

#: PyHipp's arguments, which the product's name is made of; nothing here depends on them.
ARGS = {
    "FileLineOffset": 15,
    "DirName": "RawData*",
    "FileName": "session*",
    "TriggerVal1": 10,
    "TriggerVal2": 20,
    "TriggerVal3": 30,
    "BinNumberLimit": 500,
}


def make_unity(
    logs: Iterable[str | Path], rplparallel: str | Path, unity: str | Path, *, reversal_frames: int = 165
) -> None:
    """Read a navigation session's maze logs and write ``unaligned/unity_71bf.hkl``.

    The fields are those of PyHipp's Unity, each in a list of one. On purpose different: the row of the session
    start (84) is kept as row 0, with unityTime 0 still at its moment; triggers that the log lacks are put in and
    doubled ones taken out, in unityData too (`repairs` and `extras` list them); headings are wrapped to 0..360; the
    pause between two files counts in unityTime; a route with reversals is shortest only if all of them are short.

    Parameters
    ----------
    logs : iterable of path
    rplparallel : path
        Ripple's trial markers of the same session.
    unity : path
    reversal_frames : int
        See :func:`hippflow.behaviour.routes.is_shortest`.

    Raises
    ------
    FormatError
        A log that is damaged or has no rows.
    MarkerError
        Triggers that do not fit Ripple's markers.
    """
    logs, unity = list(map(Path, logs)), Path(unity)
    maze = read_maze_logs(logs)
    if not maze.trigger.size:
        raise FormatError(f"{logs[0]}: expected rows of a session, found a header only; copy the log again")
    codes, times, cut_off = _ripple_trials(rplparallel)
    folders = {path.name: path.parent for path in logs}
    files = [(str(folders[name] / name), n_rows) for name, n_rows in maze.files]
    trials = find_trials(maze.trigger, maze.delta_time, files, codes, times, cut_off=cut_off)
    direction, displacement = movement(maze.x, maze.z)
    data = np.column_stack(
        [trials.trigger, maze.delta_time, maze.x, maze.z, wrap(maze.heading), direction, displacement]
    )
    costs = route_costs(data[:, 2:4], trials.rows, codes[:, 2], reversal_frames=reversal_frames)
    took = trials.times[trials.rows + 1]
    session = unity.parent.parent if unity.parent.name == "unaligned" else unity.parent
    write_product(
        unity,
        base_fields(session / unity.name, "session", ARGS)
        | {
            "unityData": [data],
            "unityTriggers": [trials.rows],
            "unityTime": [trials.times],
            "unityTrialTime": [trial_times(trials.times, trials.rows)],
            "sumCost": [costs],
            "timePerformance": [_mean(costs[:, 4] == 30)],
            "routePerformance": [_mean(costs[:, 5] == 1)],
            "trialRouteRatio": [route_ratios(costs)],
            "durationDiff": [1000 * ((took[:, 2] - took[:, 0]) - (times[:, 2] - times[:, 0]))],
            "timeStamps": [times],
            "setidx": [0] * len(codes),
            "numSets": len(files),
            "repairs": trials.repairs,
            "extras": trials.extras,
            "header": maze.header,
            "files": [name for name, _ in maze.files],
            "fileRows": np.array([n_rows for _, n_rows in maze.files], np.int64),
            "filePauses": trials.pauses,
        },
    )
    for entry in trials.repairs:
        log.warning("%s: put in the lost %s", unity, {k: v for k, v in entry.items() if k != "device"})
    for entry in trials.extras:
        log.warning("%s: left out the extra %s", unity, {k: v for k, v in entry.items() if k != "device"})
    log.info("%s: %d rows, %d trials", unity, len(data), len(codes))


def _ripple_trials(rplparallel: str | Path) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return codes and times (s) of Ripple's trials, and whether the recording ended inside one that was left out."""
    product = read_product(rplparallel)
    codes, times = np.asarray(product["markers"], np.int64), np.asarray(product["timeStamps"], float)
    whole = codes.ndim == 2 and codes.shape[1] == 3 and codes.shape == times.shape
    phases = np.minimum(codes // 10, 3)  # start, cue offset, end of either kind
    if not whole or (phases != (1, 2, 3)).any() or (codes % 10 != codes[:, :1] % 10).any():
        raise MarkerError(
            f"{rplparallel}: expected trials of three markers with one poster (1x, 2x, 3x or 4x), found markers of "
            f"format {product.get('markerFormat', 'unknown')}, shape {codes.shape}; only navigation sessions have mazes"
        )
    return codes, times, bool(product.get("unfinishedTrial"))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else np.nan
