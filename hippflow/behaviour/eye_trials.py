"""Trials in the messages of an eye tracker: found, given to their sessions, and repaired.

One recording of the eye tracker covers all navigation sessions of a day, with a trigger
message where each began. Which stretch belongs to which session is decided by what
follows the trigger: the trials' codes and times against the session's Ripple markers. A
start that was aborted, or a session that was only tried, is therefore left out and
shifts nothing. Messages that were lost are put back from Ripple's markers, and every
change is listed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hippflow.behaviour.clocks import fit_clock
from hippflow.behaviour.eye_messages import (
    FIXATION_END,
    FIXATION_FAILED,
    FIXATION_REWARD,
    FIXATION_START,
    EyeMarkers,
    ReferenceTrials,
    SessionTrials,
    marker_name,
)
from hippflow.behaviour.matching import Matching, match_markers
from hippflow.errors import MarkerError

#: A message twice within this time, s, was sent or written twice.
DOUBLED = 0.5


@dataclass(frozen=True)
class _Stretch:
    """What lies between a trigger and the next one."""

    start: float
    stop: float
    codes: np.ndarray
    times: np.ndarray


def split_sessions(
    markers: EyeMarkers, references: Mapping[str, ReferenceTrials], source: str
) -> tuple[dict[str, SessionTrials], list[dict[str, Any]]]:
    """Find the stretch of every navigation session, and repair its trials.

    Parameters
    ----------
    markers : EyeMarkers
        Of the whole file.
    references : mapping of str to ReferenceTrials
        Sessions by name, in the order in which they were recorded.
    source : str
        File the messages are from, for messages.

    Returns
    -------
    sessions : dict of str to SessionTrials
    left_out : list of dict
        Triggers that belong to no session, as rows like those of :attr:`SessionTrials.changes`.

    Raises
    ------
    MarkerError
        A session that no stretch or two stretches fit, two sessions in one stretch, sessions in another
        order than their stretches, or messages that cannot be explained.
    """
    stretches = _stretches(markers)
    chosen = {name: _choose_stretch(name, trials, stretches, source) for name, trials in references.items()}
    names = list(chosen)
    for before, after in pairwise(names):
        first, second = chosen[before][0], chosen[after][0]
        if second <= first:
            raise MarkerError(
                f"{source}: expected {before} and {after} one after the other, found their trials after triggers "
                f"{first + 1} and {second + 1} ({stretches[first].start:.3f} s and {stretches[second].start:.3f} s); "
                "are these sessions' Ripple files in the right folders?"
            )
    sessions = {}
    for name, (index, matching) in chosen.items():
        stretch, trials = stretches[index], references[name]
        where = f"{source}, {name} (trigger at {stretch.start:.3f} s)"
        times, repaired, changes = _repair(stretch, matching, trials, name, where)
        shape = trials.codes.shape
        sessions[name] = SessionTrials(
            stretch.start, stretch.stop, trials.codes.astype(np.int64), times.reshape(shape), repaired.reshape(shape),
            changes,
        )  # fmt: skip
    return sessions, _left_out(markers, stretches, {index for index, _ in chosen.values()})


def fixation_trials(markers: EyeMarkers, reference: ReferenceTrials | None, source: str, session: str) -> SessionTrials:
    """Find the trials of the fixation task: start, reward or failure, end.

    Parameters
    ----------
    markers : EyeMarkers
    reference : ReferenceTrials or None
        Ripple's markers, from which lost messages are put back: the fixation task's codes, or trials (n, 3), whose
        second markers are then taken for reward or failure. None takes the messages as they are.
    source, session : str
        File and session, for messages and the list of changes.

    Returns
    -------
    SessionTrials
        Columns start, reward or failure, end; code 0 and time NaN where a trial has no such marker.

    Raises
    ------
    MarkerError
        No trials, messages that cannot be explained, or trials that are not start, reward or failure, end.
    """
    where = f"{source}, {session}"
    if len(markers.codes) == 0:
        raise MarkerError(
            f"{where}: expected messages of the fixation task (eight bits, as 1  0  0  0  0  0  0  0), found none; "
            "is this the fixation file?"
        )
    if reference is None:
        codes, times, changes = _without_doubled(markers, session)
        repaired = np.zeros(len(codes), bool)
    else:
        reference = _in_fixation_codes(reference, where)
        stretch = _Stretch(-np.inf, np.inf, markers.codes, markers.times)
        codes = reference.codes.astype(np.int64)
        matching = match_markers(markers.codes, markers.times, codes, reference.times, device=where)
        times, repaired, changes = _repair(stretch, matching, reference, session, where)
    rows = _fixation_rows(codes, times, where)
    absent = rows < 0
    if reference is None:
        changes += tuple(
            _row(session, trial, ("", "reward or failed", "end")[column], 0, times[rows[trial, 0]],
                 "trial from this time on has no such message, and Ripple has no markers to tell when it was")
            for trial, column in np.argwhere(absent).tolist()
        )  # fmt: skip
    return SessionTrials(
        -np.inf,
        np.inf,
        np.where(absent, 0, codes[rows]),
        np.where(absent, np.nan, times[rows]),
        repaired[rows] & ~absent,
        changes,
    )


def _stretches(markers: EyeMarkers) -> list[_Stretch]:
    """Cut the trial messages at the triggers."""
    starts = markers.triggers.tolist()
    found = []
    for start, stop in zip(starts, [*starts[1:], np.inf], strict=True) if starts else ():
        inside = (markers.times >= start) & (markers.times < stop)
        found.append(_Stretch(start, stop, markers.codes[inside], markers.times[inside]))
    return found


def _left_out(markers: EyeMarkers, stretches: Sequence[_Stretch], taken: set[int]) -> list[dict[str, Any]]:
    """List trial messages before the first trigger, and triggers that are of no session."""
    rows = []
    early = np.flatnonzero(markers.times < markers.triggers[0]) if markers.triggers.size else []
    for index in early:
        code = int(markers.codes[index])
        rows.append(_row("", None, marker_name(code), code, markers.times[index], "left out: before the first trigger"))
    for index, (stretch, code) in enumerate(zip(stretches, markers.trigger_codes.tolist(), strict=True)):
        if index not in taken:
            what = (
                f"left out: the {len(stretch.codes)} trial messages after this trigger are of no session "
                "(an aborted start, or a session that was only tried)"
            )
            rows.append(_row("", None, "trigger", code, stretch.start, what))
    return rows


def _choose_stretch(
    name: str, trials: ReferenceTrials, stretches: Sequence[_Stretch], source: str
) -> tuple[int, Matching]:
    """Return the one stretch whose messages fit the session's markers best."""
    if trials.codes.ndim != 2 or trials.codes.shape[1] != 3 or len(trials.codes) == 0:
        raise MarkerError(
            f"{source}, {name}: expected Ripple's trials as start, cue and end (n, 3), found an array of shape "
            f"{trials.codes.shape}; without them the session cannot be found among the eye tracker's messages, "
            "leave it out"
        )
    fits, reasons = [], []
    for index, stretch in enumerate(stretches):
        device = f"trigger {index + 1} at {stretch.start:.3f} s"
        try:
            matching = match_markers(
                stretch.codes, stretch.times, trials.codes.ravel(), trials.times.ravel(), device=device
            )
        except MarkerError as error:
            reasons.append(f"\n- {error}")
        else:
            fits.append((len(matching.missing) + len(matching.extra), index, matching))
    if not fits:
        raise MarkerError(
            f"{source}: expected the {len(trials.codes)} trials of {name} after one of {len(stretches)} messages "
            f"Trigger Version 84, found them after none; is this the day's navigation file?{''.join(reasons)}"
        )
    least = min(fit[0] for fit in fits)
    best = [(index, matching) for wrong, index, matching in fits if wrong == least]
    if len(best) > 1:
        places = " and ".join(f"{index + 1} ({stretches[index].start:.3f} s)" for index, _ in best)
        raise MarkerError(
            f"{source}: expected the trials of {name} after one trigger, found them equally well after triggers "
            f"{places}; take the other recording out of the file"
        )
    return best[0]


def _repair(
    stretch: _Stretch, matching: Matching, trials: ReferenceTrials, session: str, where: str
) -> tuple[np.ndarray, np.ndarray, tuple[dict[str, Any], ...]]:
    """Give every marker of the reference a time on the eye tracker's clock; explain the messages that are left over.

    Returns times, which of them are repaired, and the list of changes.
    """
    codes, ref_times = trials.codes.ravel().astype(np.int64), trials.times.ravel()
    clock = fit_clock(matching, stretch.times, ref_times)
    times, repaired = clock.to_device(ref_times), np.zeros(len(codes), bool)
    times[matching.pairs[:, 1]] = stretch.times[matching.pairs[:, 0]]
    repaired[matching.missing] = True
    if (np.diff(times) <= 0).any() or times[0] < stretch.start or times[-1] >= stretch.stop:
        raise MarkerError(
            f"{where}: expected markers one after the other between {stretch.start:.3f} s and {stretch.stop:.3f} s, "
            f"found them, repaired from Ripple's, from {times[0]:.3f} s to {times[-1]:.3f} s; is a trigger missing?"
        )
    number, names = _label(trials.codes)
    changes = [
        _row(session, number[k], names[k], int(codes[k]), times[k],
             f"message missing: time from Ripple's marker at {ref_times[k]:.4f} s")
        for k in matching.missing.tolist()
    ]  # fmt: skip
    for code, time in zip(stretch.codes[matching.extra].tolist(), stretch.times[matching.extra].tolist(), strict=True):
        twins = np.flatnonzero((codes == code) & ~repaired & (np.abs(times - time) <= DOUBLED))
        if twins.size:
            k = int(twins[0])
            changes.append(_row(session, number[k], names[k], code, time, _doubled(times[k])))
        elif trials.unfinished and time > times[-1]:
            what = "left out: after the last whole trial of Ripple's recording, which ended inside the next one"
            changes.append(_row(session, None, marker_name(code), code, time, what))
        else:
            raise MarkerError(
                f"{where}: expected messages for Ripple's {len(codes)} markers, found code {code} at {time:.3f} s, "
                "which is none of them and no doubled one; check Ripple's markers of this session"
            )
    return times, repaired, tuple(changes)


def _without_doubled(markers: EyeMarkers, session: str) -> tuple[np.ndarray, np.ndarray, tuple[dict[str, Any], ...]]:
    """Leave out messages that repeat the one before."""
    repeats = np.zeros(len(markers.codes), bool)
    repeats[1:] = (np.diff(markers.codes) == 0) & (np.diff(markers.times) <= DOUBLED)
    number, names = _label(markers.codes[~repeats])
    before = np.cumsum(~repeats) - 1
    changes = tuple(
        _row(session, number[before[k]], names[before[k]], int(markers.codes[k]), float(markers.times[k]),
             _doubled(markers.times[~repeats][before[k]]))
        for k in np.flatnonzero(repeats).tolist()
    )  # fmt: skip
    return markers.codes[~repeats], markers.times[~repeats], changes


def _in_fixation_codes(reference: ReferenceTrials, where: str) -> ReferenceTrials:
    """Return markers of trials (n, 3), as other tasks send them, as those of the fixation task."""
    if reference.codes.ndim == 1:
        return reference
    if reference.codes.shape[1] != 3:
        raise MarkerError(
            f"{where}: expected Ripple's markers in the codes of the fixation task, or trials (n, 3), found an array "
            f"of shape {reference.codes.shape}; leave the fixation session's eye data out"
        )
    codes = np.tile([FIXATION_START, FIXATION_REWARD, FIXATION_END], (len(reference.codes), 1))
    codes[reference.codes[:, 2] // 10 == 4, 1] = FIXATION_FAILED
    return ReferenceTrials(codes.ravel(), reference.times.ravel())


def _fixation_rows(codes: np.ndarray, times: np.ndarray, where: str) -> np.ndarray:
    """Return for every trial the indices of its start, reward or failure, and end; -1 where it has none."""
    rows: list[list[int]] = []
    for index, code in enumerate(codes.tolist()):
        column = {FIXATION_START: 0, FIXATION_END: 2}.get(code, 1)
        if column == 0:
            rows.append([index, -1, -1])
        elif not rows or max(rows[-1][column:]) >= 0:
            raise MarkerError(
                f"{where}: expected fixation trials of start (128), reward (6) or failure (7), end (32), found {code} "
                f"at {times[index]:.3f} s, where it does not fit; a marker is missing or doubled, also among Ripple's"
            )
        else:
            rows[-1][column] = index
    return np.array(rows, np.int64).reshape(-1, 3)


def _label(codes: np.ndarray) -> tuple[list[int], list[str]]:
    """Return the trial (from 0) and the name of every marker, for trials (n, 3) or the fixation task's codes (n,)."""
    flat = codes.ravel().astype(np.int64)
    number = np.arange(len(flat)) // 3 if codes.ndim == 2 else np.cumsum(flat == FIXATION_START) - 1
    return number.tolist(), [marker_name(code) for code in flat.tolist()]


def _doubled(kept: float) -> str:
    return f"message doubled: left out, the one at {kept:.4f} s is kept"


def _row(session: str, trial: int | None, marker: str, code: int, time: float, what: str) -> dict[str, Any]:
    return {
        "session": session,
        "device": "eyelink",
        "trial": trial,
        "marker": marker,
        "code": code,
        "time_s": float(time),
        "what": what,
    }
