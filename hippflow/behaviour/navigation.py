"""The trials of a maze log, its clock, and how the animal moved.

The trials are Ripple's, which a state machine decoded with every target checked
(:mod:`hippflow.ephys.markers`). The triggers of the log are paired with them by code
and time, never by position: what the log lacks is placed at the frame nearest to
Ripple's time, a doubled trigger is explained by its twin, and whatever remains is
refused. So a lost or extra trigger never shifts another trial.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hippflow.behaviour.clocks import ClockMap
from hippflow.behaviour.matching import MAX_DRIFT, WINDOW, Matching, match_markers
from hippflow.errors import MarkerError

SESSION_STARTS = (84, 204)
MARKER_NAMES = ("start", "cue", "end")
#: A trigger repeated within this many seconds is one trigger, written twice.
DOUBLED = 0.5
#: A trigger that the log lacks is given to a frame within this many seconds of Ripple's time, or refused.
NEAREST_FRAME = 0.1
#: Files whose clocks fit together within this many seconds have no pause between them.
_NO_PAUSE = 0.05
#: How far the markers of one file spread around its offset from Ripple, besides drift, s.
_SPREAD = 0.25


@dataclass(frozen=True)
class LogTrials:
    """The trials of a session in its maze log.

    Attributes
    ----------
    rows : ndarray of int64, shape (n_trials, 3)
        0-based rows of start, cue offset and end.
    trigger : ndarray of int64, shape (n_rows,)
        Triggers of all rows, lost ones put in and extra ones taken out.
    times : ndarray of float64, shape (n_rows + 1,)
        Seconds on the log's clock; row r is at ``times[r + 1]``, and 0 is the moment of the session start's row.
    pauses : ndarray of float64, shape (n_files,)
        Seconds between the end of the file before and each file's beginning; `times` has them.
    repairs : list of dict
        Triggers that the log lacked: device, trial, marker ('start', 'cue', 'end'), code, time (s, Ripple), row.
    extras : list of dict
        Triggers that are no trial's: device, code, time (s, Ripple; NaN without trials), row, reason.
    """

    rows: np.ndarray
    trigger: np.ndarray
    times: np.ndarray
    pauses: np.ndarray
    repairs: list[dict[str, Any]]
    extras: list[dict[str, Any]]


def find_trials(
    trigger: np.ndarray,
    delta_time: np.ndarray,
    files: Sequence[tuple[str, int]],
    codes: np.ndarray,
    code_times: np.ndarray,
    *,
    cut_off: bool = False,
) -> LogTrials:
    """Find Ripple's trials in a maze log.

    Parameters
    ----------
    trigger : array of int, shape (n_rows,)
    delta_time : array of float, shape (n_rows,)
        Seconds since the frame before.
    files : sequence of (str, int)
        Name and number of rows of each of the log's files; the time between two files is not in `delta_time`.
    codes, code_times : array, shape (n_trials, 3)
        Ripple's trial markers and their times, s.
    cut_off : bool
        Whether Ripple's recording ended inside a trial that was left out; then the log may go on after the last one.

    Returns
    -------
    LogTrials

    Raises
    ------
    MarkerError
        Triggers that do not fit Ripple's markers, or lost ones where the log has no frame.

    Examples
    --------
    A log without the first trial's cue offset (21):

    >>> trigger = [84, 11, 0, 0, 31, 12, 0, 22, 0, 42]
    >>> codes, times = [[11, 21, 31], [12, 22, 42]], [[8.0, 10.05, 14.0], [16.0, 20.0, 24.0]]
    >>> trials = find_trials(trigger, [2.0] * 10, [("session_1.txt", 10)], codes, times)
    >>> trials.rows.tolist(), trials.repairs[0]["marker"], trials.repairs[0]["row"]
    ([[1, 2, 4], [5, 7, 9]], 'cue', 2)
    """
    log = _Log.of(trigger, delta_time, files)
    codes, code_times = np.asarray(codes, np.int64).ravel(), np.asarray(code_times, float).ravel()
    odd = _repeated_starts(log)
    matching = _match(log, codes, code_times)
    pauses = _pauses(log, matching, code_times)
    log.times[1:] += np.cumsum(pauses)[log.file_of]
    odd |= _explain(log, matching, cut_off)
    clock, rows = None, np.zeros(0, np.int64)
    if codes.size:
        clock = ClockMap(log.sent_times[matching.pairs[:, 0]], code_times[matching.pairs[:, 1]])
        rows = _place(log, matching, clock, codes, code_times)
    repairs = [
        {"device": "unity", "trial": index // 3, "marker": MARKER_NAMES[index % 3]}
        | {"code": int(codes[index]), "time": float(code_times[index]), "row": int(rows[index])}
        for index in matching.missing.tolist()
    ]
    extras = [
        {"device": "unity", "code": int(log.trigger[row]), "row": row, "reason": odd[row]}
        | {"time": float(clock.to_reference(log.times[row + 1])) if clock else np.nan}
        for row in sorted(odd)
    ]
    log.trigger[list(odd)] = 0
    log.trigger[rows] = codes
    return LogTrials(rows.reshape(-1, 3), log.trigger, log.times, pauses, repairs, extras)


def frame_times(trigger: np.ndarray, delta_time: np.ndarray) -> np.ndarray:
    """Return the times of all frames since the session's start.

    Parameters
    ----------
    trigger : array of int, shape (n_rows,)
    delta_time : array of float, shape (n_rows,)
        Seconds since the frame before.

    Returns
    -------
    ndarray of float64, shape (n_rows + 1,)
        PyHipp's unityTime: row r is at index r + 1. 0 is the moment of the first row with a session start, or of the
        first row if none has one. PyHipp leaves that row out, so that 0 is its first value; here it is the second.

    Examples
    --------
    >>> frame_times([84, 0, 11], [0.5, 0.25, 0.25]).tolist()
    [-0.5, 0.0, 0.25, 0.5]
    """
    times = np.concatenate([[0.0], np.cumsum(delta_time)])
    start = int(np.isin(trigger, SESSION_STARTS).argmax())
    return times - times[start + 1]


def movement(x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return direction and length of the step to every frame from the one before.

    Parameters
    ----------
    x, z : array of float, shape (n,)

    Returns
    -------
    direction : ndarray of float64, shape (n,)
        Degrees from 0 up to below 360, 0 = +z, clockwise seen from above; NaN without a step.
    displacement : ndarray of float64, shape (n,)
        Maze units; 0 in the first row.

    Examples
    --------
    >>> movement([0, 0, 1, 1], [0, 2, 2, 2])
    (array([nan,  0., 90., nan]), array([0., 2., 1., 0.]))
    """
    dx, dz = np.diff(x, prepend=x[:1]), np.diff(z, prepend=z[:1])
    displacement = np.hypot(dx, dz)
    return np.where(displacement == 0, np.nan, wrap(np.degrees(np.arctan2(dx, dz)))), displacement


def wrap(angles: np.ndarray) -> np.ndarray:
    """Return angles as degrees from 0 up to below 360.

    Examples
    --------
    >>> wrap([-90.0, 360.0, 725.0]).tolist()
    [270.0, 0.0, 5.0]
    """
    angles = np.mod(angles, 360.0)
    return np.where(angles == 360.0, 0.0, angles)  # what a tiny negative angle is rounded to


def trial_times(times: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the times of every trial's frames since its cue offset.

    Parameters
    ----------
    times : array of float, shape (n_rows + 1,)
        As :func:`frame_times` gives them.
    rows : array of int, shape (n_trials, 3)

    Returns
    -------
    ndarray of float64, shape (longest trial's frames + 2, n_trials)
        PyHipp's unityTrialTime: 0 at the row of the cue offset, then the rows up to the trial's end; NaN below.

    Examples
    --------
    >>> trial_times(np.array([-1.0, 0, 1, 2, 3, 4]), np.array([[0, 1, 2], [2, 2, 4]])).T.tolist()
    [[0.0, 1.0, nan, nan], [0.0, 1.0, 2.0, nan]]
    """
    lengths = rows[:, 2] - rows[:, 1] + 1
    table = np.full((int(lengths.max()) + 1 if len(rows) else 0, len(rows)), np.nan)
    for trial, ((_, cue, end), length) in enumerate(zip(rows, lengths, strict=True)):
        table[:length, trial] = times[cue + 1 : end + 2] - times[cue + 1]
    return table


@dataclass(frozen=True)
class _Log:
    """A log while its trials are looked for; `sent` are the rows with triggers of trials, `file_of` is of every row."""

    trigger: np.ndarray
    times: np.ndarray
    sent: np.ndarray
    file_of: np.ndarray
    names: list[str]

    @classmethod
    def of(cls, trigger: np.ndarray, delta_time: np.ndarray, files: Sequence[tuple[str, int]]) -> "_Log":
        trigger = np.array(trigger, np.int64)
        sent = np.flatnonzero((trigger > 0) & ~np.isin(trigger, SESSION_STARTS))
        file_of = np.repeat(np.arange(len(files)), [n_rows for _, n_rows in files])
        return cls(trigger, frame_times(trigger, delta_time), sent, file_of, [name for name, _ in files])

    @property
    def sent_times(self) -> np.ndarray:
        return self.times[self.sent + 1]

    def describe(self, row: int) -> str:
        """Say where a trigger is, with its neighbours."""
        sent = np.flatnonzero(self.trigger)
        around = _around(self.trigger[sent], int(np.searchsorted(sent, row)))
        where = f"row {row} ({self.times[row + 1]:.3f} s after the session's start)"
        return f"{self.names[self.file_of[row]]}: trigger {self.trigger[row]} in {where}, {around},"


def _around(codes: np.ndarray, index: int) -> str:
    """Show a code, in brackets, among its neighbours."""
    begin, end = max(0, index - 6), index + 7
    shown = " ".join(f"[{c}]" if k == index else str(c) for k, c in enumerate(codes[begin:end].tolist(), begin))
    return f"{'... ' if begin else ''}{shown}{' ...' if end < len(codes) else ''}"


def _repeated_starts(log: _Log) -> dict[int, str]:
    """Return the rows of doubled session starts; one that comes later in a file is refused."""
    sent = np.flatnonzero(log.trigger)
    doubled = {}
    for before, row in zip(sent.tolist(), sent[1:].tolist(), strict=False):
        if log.trigger[row] in SESSION_STARTS and log.file_of[row] == log.file_of[before]:
            if log.trigger[row] != log.trigger[before] or log.times[row + 1] - log.times[before + 1] > DOUBLED:
                raise MarkerError(f"{log.describe(row)} starts a session inside another; split the log there")
            doubled[row] = "doubled"
    return doubled


def _match(log: _Log, codes: np.ndarray, code_times: np.ndarray) -> Matching:
    """Pair triggers with Ripple's markers, every file by itself, because the log's clock stands still between files."""
    own_codes, own_times, file_of = log.trigger[log.sent], log.sent_times, log.file_of[log.sent]
    pairs, begin, used = [np.zeros((0, 2), np.int64)], 0, np.unique(file_of)
    if codes.size and used.size < 2:
        return match_markers(own_codes, own_times, codes, code_times, device=log.names[used[0] if used.size else 0])
    for file in used if codes.size else ():
        own = file_of == file
        first, last = _stretch(own_codes[own], own_times[own], codes[begin:], code_times[begin:])
        part = slice(begin + first, begin + last)
        found = match_markers(own_codes[own], own_times[own], codes[part], code_times[part], device=log.names[file])
        pairs.append(found.pairs + np.array([own.argmax(), part.start]))
        begin = int(pairs[-1][-1, 1]) + 1
    device, reference = np.concatenate(pairs).T
    missing, extra = np.setdiff1d(np.arange(len(codes)), reference), np.setdiff1d(np.arange(len(own_codes)), device)
    return Matching(np.column_stack([device, reference]), missing, extra)


def _stretch(codes: np.ndarray, times: np.ndarray, ref_codes: np.ndarray, ref_times: np.ndarray) -> tuple[int, int]:
    """Find the part of Ripple's markers in which one file's triggers lie: where most pairs of a code agree in time."""
    row, column = np.nonzero(codes[:, None] == ref_codes)
    offsets = np.sort(ref_times[column] - times[row])
    if offsets.size == 0:
        return 0, 0
    width = _SPREAD + MAX_DRIFT * (times[-1] - times[0])
    best = offsets[(np.searchsorted(offsets, offsets + width, side="right") - np.arange(len(offsets))).argmax()]
    first = np.searchsorted(ref_times, times[0] + best - WINDOW)
    last = np.searchsorted(ref_times, times[-1] + best + width + WINDOW, side="right")
    return int(first), int(last)


def _pauses(log: _Log, matching: Matching, code_times: np.ndarray) -> np.ndarray:
    """Return how long the log's clock stood still before each file: one speed for all files, an offset for each."""
    pauses = np.zeros(len(log.names))
    device, reference = matching.pairs.T
    used, which = np.unique(log.file_of[log.sent[device]], return_inverse=True)
    if used.size > 1:
        design = np.column_stack([log.sent_times[device], np.eye(used.size)[which]])
        slope, *offsets = np.linalg.lstsq(design, code_times[reference])[0]
        steps = np.diff(offsets) / slope
        pauses[used[1:]] = np.where(np.abs(steps) < _NO_PAUSE, 0.0, steps)
        if (pauses < 0).any():
            file = int(pauses.argmin())
            raise MarkerError(
                f"{log.names[file]}: by Ripple's clock it begins {-pauses[file]:.3f} s before the file in front of it "
                "ends; are all logs of one session, and numbered in order?"
            )
    return pauses


def _explain(log: _Log, matching: Matching, cut_off: bool) -> dict[int, str]:
    """Return the rows of triggers that are no trial's, and why they are there; refuse what has no reason."""
    paired, reasons = log.sent[matching.pairs[:, 0]], {}
    for row in log.sent[matching.extra].tolist():
        twins = paired[log.trigger[paired] == log.trigger[row]]
        if (np.abs(log.times[twins + 1] - log.times[row + 1]) <= DOUBLED).any():
            reasons[row] = "doubled"
        elif cut_off and row > paired.max(initial=-1):
            reasons[row] = "after the recording's last whole trial"
        else:
            raise MarkerError(
                f"{log.describe(row)} is none of Ripple's markers and no doubled one; "
                "are log and recording of the same session, and is the recording whole?"
            )
    return reasons


def _place(log: _Log, matching: Matching, clock: ClockMap, codes: np.ndarray, code_times: np.ndarray) -> np.ndarray:
    """Return the row of each of Ripple's markers: of its trigger, or of the frame nearest to its time."""
    rows = np.zeros(len(codes), np.int64)
    rows[matching.pairs[:, 1]] = log.sent[matching.pairs[:, 0]]
    frames, wanted = log.times[1:], clock.to_device(code_times[matching.missing])
    after = np.clip(np.searchsorted(frames, wanted), 1, len(frames) - 1)
    rows[matching.missing] = after - (wanted - frames[after - 1] <= frames[after] - wanted)
    far = np.abs(frames[rows[matching.missing]] - wanted) > NEAREST_FRAME
    shared = np.diff(rows, prepend=-1) <= 0
    bad = [*matching.missing[far].tolist(), *np.flatnonzero(shared).tolist()]
    if bad:
        index = bad[0]
        raise MarkerError(
            f"{log.names[0]}: the {MARKER_NAMES[index % 3]} of trial {index // 3 + 1}, {_around(codes, index)}, at "
            f"{code_times[index]:.3f} s on Ripple's clock, is not in the log, which has no frame of its own for it "
            f"within {NEAREST_FRAME} s; is the log cut off? Copy it again from the maze's computer"
        )
    return rows
