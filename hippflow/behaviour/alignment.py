"""Maze and eye times on the Ripple clock.

The maths that PyHipp's aligning_objects intends: between two markers of a device
its times are stretched to Ripple's interval. Here this is one interpolation
through the matched markers, so that no error adds up; the session start takes
part where a device has it; beyond the first and last marker the clock goes on
with the speed of the whole session.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hippflow.behaviour.clocks import ClockMap, fit_clock
from hippflow.behaviour.matching import Matching, match_markers
from hippflow.behaviour.navigation import MARKER_NAMES, trial_times
from hippflow.errors import AlignmentError

#: Name of the code that opens a session; those of a trial's markers are MARKER_NAMES.
SESSION_START = "session start"


@dataclass(frozen=True)
class Reference:
    """Ripple's markers in one row.

    Attributes
    ----------
    codes, trials, phases : ndarray of int64
        Shape (n,): code, trial index and 0, 1, 2 for start, cue offset, end; the session
        start's trial and phase are -1.
    times : ndarray of float64
        Shape (n,), s on the Ripple clock.
    n_trials : int
    """

    codes: np.ndarray
    times: np.ndarray
    trials: np.ndarray
    phases: np.ndarray
    n_trials: int

    def name(self, index: int) -> dict[str, Any]:
        """Describe a marker: trial (None for the session start), name, code and time."""
        trial, phase = int(self.trials[index]), int(self.phases[index])
        return {
            "trial": None if trial < 0 else trial,
            "marker": SESSION_START if phase < 0 else MARKER_NAMES[phase],
            "code": int(self.codes[index]),
            "ripple_time": float(self.times[index]),
        }


@dataclass(frozen=True)
class Device:
    """A device's markers, what of Ripple's they are, and the clock map through them.

    Attributes
    ----------
    name : str
        In the report.
    codes, times : ndarray
        Shape (n,): what the device recorded, without what was put in for lost markers; s on its own clock.
    reference : Reference
    matching : Matching
    clock : ClockMap
    repaired : ndarray of bool
        Shape (n_trials, 3): lost markers that were put in.
    explained : list of dict
        Extra markers that were taken out before: `code`, `device_time` (s) and `reason`.
    """

    name: str
    codes: np.ndarray
    times: np.ndarray
    reference: Reference
    matching: Matching
    clock: ClockMap
    repaired: np.ndarray
    explained: list[dict[str, Any]]


def reference_markers(
    codes: np.ndarray, times: np.ndarray, *, session_start: tuple[int, float] | None = None
) -> Reference:
    """Put Ripple's trials into one row of markers.

    Parameters
    ----------
    codes, times : array, shape (n_trials, 3)
        Start, cue offset and end of every trial; times in s.
    session_start : (int, float), optional
        Code and time, s, of the session start.

    Returns
    -------
    Reference

    Examples
    --------
    >>> reference = reference_markers([[11, 21, 31]], [[1.0, 2.0, 9.0]], session_start=(84, 0.5))
    >>> reference.codes.tolist(), reference.trials.tolist(), reference.name(0)["marker"]
    ([84, 11, 21, 31], [-1, 0, 0, 0], 'session start')
    """
    codes, times = np.asarray(codes, np.int64), np.asarray(times, np.float64)
    if codes.ndim != 2 or codes.shape[1] != 3 or codes.shape != times.shape:
        raise AlignmentError(
            f"Ripple markers: expected start, cue offset and end of every trial with their times, found arrays of "
            f"shape {codes.shape} and {times.shape}; only navigation sessions with all three codes can be aligned"
        )
    n_trials = len(codes)
    opening = [] if session_start is None else [session_start]
    return Reference(
        codes=np.array([code for code, _ in opening] + codes.ravel().tolist(), np.int64),
        times=np.array([time for _, time in opening] + times.ravel().tolist(), np.float64),
        trials=np.r_[[-1] * len(opening), np.repeat(np.arange(n_trials), 3)].astype(np.int64),
        phases=np.r_[[-1] * len(opening), np.tile(np.arange(3), n_trials)].astype(np.int64),
        n_trials=n_trials,
    )


def match_device(
    name: str,
    codes: np.ndarray,
    times: np.ndarray,
    reference: Reference,
    *,
    repaired: np.ndarray,
    session_start: tuple[int, float] | None = None,
    explained: list[dict[str, Any]] | None = None,
    source: str,
) -> Device:
    """Match a device's markers with Ripple's and map its clock.

    Parameters
    ----------
    name : str
        Name in the report.
    codes, times : array, shape (n_trials, 3)
        The trials' markers as the device's product has them; s on its own clock.
    reference : Reference
    repaired : array of bool, shape (n_trials, 3)
        Which of them were put in because the device had lost them; the map does without these.
    session_start : (int, float), optional
        Code and time of the session start on the device; counts if Ripple has one.
    explained : list of dict, optional
        See :class:`Device`.
    source : str
        File they are from, for messages.

    Returns
    -------
    Device

    Raises
    ------
    AlignmentError
        The device's product has other trials than Ripple.
    MarkerError
        They do not match, or in two ways.
    """
    codes, times, repaired = np.asarray(codes, np.int64), np.asarray(times, np.float64), np.asarray(repaired, bool)
    if codes.shape != (reference.n_trials, 3) or times.shape != codes.shape:
        raise AlignmentError(
            f"{source}: expected the markers of Ripple's {reference.n_trials} trials, found arrays of shape "
            f"{codes.shape} and {times.shape}; make this product anew"
        )
    opening = [session_start] if session_start is not None and (reference.trials < 0).any() else []
    codes = np.r_[[code for code, _ in opening], codes[~repaired]].astype(np.int64)
    times = np.r_[[time for _, time in opening], times[~repaired]]
    matching = match_markers(codes, times, reference.codes, reference.times, device=source)
    clock = fit_clock(matching, times, reference.times)
    return Device(name, codes, times, reference, matching, clock, repaired, list(explained or []))


def align_unity(
    clock: ClockMap, unity_time: np.ndarray, unity_data: np.ndarray, triggers: np.ndarray, dubious: list[int]
) -> dict[str, np.ndarray]:
    """Put the maze log's times on the Ripple clock.

    Parameters
    ----------
    clock : ClockMap
        Of the maze log.
    unity_time : array, shape (n_frames + 1,)
        s; row r of the log ends at `unity_time[r + 1]`.
    unity_data : array, shape (n_frames, n_columns)
        Column 1 is the frames' length, s.
    triggers : array of int, shape (n_trials, 3)
        Rows of start, cue offset and end.
    dubious : list of int
        Trials that get no time at all, from start to end, as in PyHipp; the frame
        after such a trial takes up its length.

    Returns
    -------
    dict
        `unityTime`, `unityData` and `unityTrialTime`, the last with the N + 1 times
        from cue offset to end, N rows apart, that PyHipp's Unity has (its
        aligning_objects leaves out two).
    """
    triggers = np.asarray(triggers, np.int64).reshape(-1, 3)
    time = clock.to_reference(unity_time)
    for trial in dubious:
        start, end = triggers[trial, 0] + 1, triggers[trial, 2] + 1
        time[start : end + 1] = time[start]
    data = np.array(unity_data, np.float64)
    data[:, 1] = np.diff(time)
    return {"unityTime": time, "unityData": data, "unityTrialTime": trial_times(time, triggers)}
