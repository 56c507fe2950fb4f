"""Trial markers: words on the parallel port become trials.

Codes, with x = target 1..6: 84 or 204 session start, 1x trial start (cue onset),
2x cue offset, 3x end after a reward, 4x end after a timeout, 0 reset of the port
after every code. Older rigs sent bare 1, 2, 3, 4, with or without resets. The
fixation task sends 128 (trial start), 6 (reward), 7 (failed), 32 (trial end).

Trials are found by a state machine on the codes, never by their position, and
nothing is repaired here: what the codes do not explain is an error.
"""

from dataclasses import dataclass

import numpy as np

from hippflow.errors import MarkerError

SESSION_STARTS = (84, 204)
FIXATION_START = 128


@dataclass(frozen=True)
class TrialMarkers:
    """Trials as decoded from the codes.

    Attributes
    ----------
    format : {'84', '204', 'A', 'B', 'C', 'D', 'fixation', 'none'}
        The marker format that was recognised.
    codes : ndarray of uint16
        Shape (n_trials, 3): start, cue offset, end; (n_trials, 2) for the formats
        A and B without a cue offset; (n_codes,) for the fixation task, whose
        trials differ in length.
    ticks : ndarray of int64
        Times of `codes`, same shape.
    session_start : int or None
        Tick of the first code, the 84 when there is one.
    unfinished : tuple of int
        Codes of a last trial that the recording's end cut off, if that was allowed.
    """

    format: str
    codes: np.ndarray
    ticks: np.ndarray
    session_start: int | None
    unfinished: tuple[int, ...] = ()


#: Trial phase in which a code may come, by tens digit (formats 84, 204, D) or as such (A, B, C).
_START, _CUE_OFFSET, _ENDS = 1, 2, (3, 4)


def decode_markers(
    codes: np.ndarray, ticks: np.ndarray, *, source: str, unfinished_trial: str = "error", no_markers: str = "error"
) -> TrialMarkers:
    """Decode the words of the parallel port into trials.

    Parameters
    ----------
    codes : array of int, shape (n,)
        Words in order of time, zeros included.
    ticks : array of int, shape (n,)
        Their times.
    source : str
        File they are from, for messages.
    unfinished_trial : {'error', 'drop'}
        What to do with a last trial that has no end.
    no_markers : {'error', 'allow'}
        What to do with a recording without a single code.

    Returns
    -------
    TrialMarkers

    Raises
    ------
    MarkerError
        The sequence is none that the known formats explain; the message shows the codes around the place.

    Examples
    --------
    >>> trials = decode_markers([84, 0, 11, 0, 21, 0, 31, 0], range(8), source="a.nev")
    >>> trials.format, trials.codes.tolist(), trials.ticks.tolist()
    ('84', [[11, 21, 31]], [[2, 4, 6]])
    """
    codes, ticks = np.asarray(codes, np.int64), np.asarray(list(ticks), np.int64)
    sent = np.flatnonzero(codes)
    if sent.size == 0:
        if no_markers == "allow":
            return TrialMarkers("none", np.zeros((0, 3), np.uint16), np.zeros((0, 3), np.int64), None)
        raise MarkerError(
            f"{source}: expected trial markers on the parallel port, found {codes.size} words, none of them a code. "
            "Is the marker cable in? For a recording without trials set rplparallel.no_markers to allow"
        )
    name = _recognise(codes, sent, source)
    start = int(ticks[sent[0]])
    if name == "fixation":
        _check_fixation(codes, sent, source)
        return TrialMarkers(name, codes[sent].astype(np.uint16), ticks[sent], start)
    body = sent[1:] if name in ("84", "204") else sent
    trials, rest = _collect_trials(codes, body, source, name)
    if rest and unfinished_trial == "error":
        raise _unexplained(
            codes, rest[-1], source,
            "the recording ends inside this trial; to leave out a last trial without an end, set "
            "rplparallel.unfinished_trial to drop",
        )  # fmt: skip
    rows = np.array(trials, np.int64).reshape(-1, 2 if name in "AB" else 3)
    return TrialMarkers(
        name, codes[rows].astype(np.uint16), ticks[rows], start, tuple(int(codes[index]) for index in rest)
    )


def _recognise(codes: np.ndarray, sent: np.ndarray, source: str) -> str:
    """Name the marker format from the codes that occur in it."""
    first = int(codes[sent[0]])
    values = set(codes[sent].tolist())
    if first == FIXATION_START:
        return "fixation"
    if first in SESSION_STARTS:
        return str(first)
    if first // 10 == _START and first % 10 in range(1, 7):
        return "D"
    if values <= {1, 2, 3, 4} and first == 1:
        if 2 in values:
            return "C"
        return "B" if (codes == 0).any() else "A"
    raise _unexplained(
        codes, int(sent[0]), source,
        "a session begins with 84, 204, a trial start 11..16, 1 or 128",
    )  # fmt: skip


def _unexplained(codes: np.ndarray, index: int, source: str, why: str) -> MarkerError:
    begin, end = max(0, index - 8), index + 9
    around = " ".join(f"[{c}]" if k == index else str(c) for k, c in enumerate(codes[begin:end].tolist(), begin))
    before, after = "... " if begin else "", " ..." if end < len(codes) else ""
    return MarkerError(
        f"{source}: marker {index + 1} of {len(codes)} does not fit: {before}{around}{after}\n"
        f"{why}. Codes are 1x start, 2x cue offset, 3x reward or 4x timeout, with one target x a trial and 0 between"
    )


def _collect_trials(
    codes: np.ndarray, body: np.ndarray, source: str, name: str
) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """Walk over the codes; return the indices of every whole trial's markers and those of an unfinished last one."""
    by_tens = name in ("84", "204", "D")
    phases = (_START, *_ENDS) if name in "AB" else (_START, _CUE_OFFSET, *_ENDS)
    trials: list[tuple[int, ...]] = []
    trial: tuple[int, ...] = ()
    for index in body.tolist():
        phase, target = divmod(int(codes[index]), 10) if by_tens else (int(codes[index]), 0)
        if phase not in phases or (by_tens and not 1 <= target <= 6):
            raise _unexplained(codes, index, source, f"{codes[index]} is no trial marker of format {name}")
        expected = phases[len(trial) :] if len(trial) == len(phases) - 2 else phases[len(trial) : len(trial) + 1]
        if phase not in expected:
            names = " or ".join(f"{p}x" if by_tens else str(p) for p in expected)
            raise _unexplained(codes, index, source, f"{names} was expected here; a marker is missing or extra")
        if by_tens and trial and target != int(codes[trial[0]]) % 10:
            raise _unexplained(
                codes, index, source, f"this trial started with target {int(codes[trial[0]]) % 10}, not {target}"
            )
        trial = (*trial, index)
        if phase in _ENDS:
            trials.append(trial)
            trial = ()
    return trials, trial


def _check_fixation(codes: np.ndarray, sent: np.ndarray, source: str) -> None:
    """Check that fixation trials consist of the codes that this task sends."""
    known = {FIXATION_START, 6, 7, 32}
    for index in sent.tolist():
        if int(codes[index]) not in known:
            raise _unexplained(
                codes, index, source, f"{codes[index]} is no code of the fixation task ({sorted(known)})"
            )
