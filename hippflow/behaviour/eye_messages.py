"""What the task wrote into the eye tracker's file: triggers and trials among its messages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hippflow.errors import MarkerError

#: Trial messages, with the tens digit that their code must have.
_TRIAL_WORDS = {"start trial": 1, "cue offset": 2, "end trial": 3, "timeout": 4}
_TRIAL = re.compile(r"(Start Trial|Cue Offset|End Trial|Timeout)\b\s*(.*)", re.IGNORECASE | re.DOTALL)
_TRIGGER = re.compile(r"Trigger Version (\d+)\s*", re.IGNORECASE)
_BITS = re.compile(r"[01](?:\s+[01]){7}\s*")

#: Codes of the fixation task: trial start, reward, failure, trial end.
FIXATION_START, FIXATION_REWARD, FIXATION_FAILED, FIXATION_END = 128, 6, 7, 32
_FIXATION_NAMES = {
    FIXATION_START: "start",
    FIXATION_REWARD: "reward",
    FIXATION_FAILED: "failed",
    FIXATION_END: "end",
}
_NAVIGATION_NAMES = {1: "start", 2: "cue", 3: "end", 4: "end"}


@dataclass(frozen=True)
class EyeMarkers:
    """Codes among the messages of one eye file.

    Attributes
    ----------
    codes : ndarray of int64
        Shape (n,): codes of the trial messages, in the file's order.
    times : ndarray of float64
        Shape (n,), s on the eye tracker's clock.
    triggers, trigger_codes : ndarray
        Shape (m,): times of the messages that open a session, s (float64), and their codes (int64).
    """

    codes: np.ndarray
    times: np.ndarray
    triggers: np.ndarray
    trigger_codes: np.ndarray


@dataclass(frozen=True)
class ReferenceTrials:
    """A session's markers as Ripple recorded them.

    Attributes
    ----------
    codes : ndarray of int
        Shape (n_trials, 3) for navigation, (n,) for fixation.
    times : ndarray of float64
        Same shape, s on Ripple's clock.
    unfinished : tuple of int
        Codes of a last trial that the end of Ripple's recording cut off.
    """

    codes: np.ndarray
    times: np.ndarray
    unfinished: tuple[int, ...] = ()


@dataclass(frozen=True)
class SessionTrials:
    """One session's trials on the eye tracker's clock.

    Attributes
    ----------
    start, stop : float
        The session's stretch of the recording, s: from its trigger to the next one; infinite where there is none.
    codes : ndarray of int64
        Shape (n_trials, 3).
    times : ndarray of float64
        Same shape, s; NaN where a fixation trial has no such marker.
    repaired : ndarray of bool
        Same shape: the message was lost, and its time is from Ripple's marker.
    changes : tuple of dict
        Every repair and every message left out: session, device, trial (from 0), marker, code, time_s, what.
    """

    start: float
    stop: float
    codes: np.ndarray
    times: np.ndarray
    repaired: np.ndarray
    changes: tuple[dict[str, Any], ...]


def navigation_markers(messages: Sequence[tuple[float, str]], source: str) -> EyeMarkers:
    """Find trial and trigger messages of the navigation task.

    Parameters
    ----------
    messages : sequence of (float, str)
        Time, s, and text.
    source : str
        File they are from, for messages.

    Raises
    ------
    MarkerError
        A trial message without a code, or with one of another kind.

    Examples
    --------
    >>> found = navigation_markers([(1.0, "Trigger Version 84"), (2.5, "Start Trial 13")], "a.edf")
    >>> found.codes.tolist(), found.triggers.tolist()
    ([13], [1.0])
    """
    trials: list[tuple[int, float]] = []
    triggers: list[tuple[int, float]] = []
    for time, text in messages:
        if match := _TRIGGER.fullmatch(text.strip()):
            triggers.append((int(match[1]), time))
        elif match := _TRIAL.fullmatch(text.strip()):
            word, code = match[1].lower(), match[2].strip()
            if not re.fullmatch(rf"{_TRIAL_WORDS[word]}[1-6]", code):
                raise MarkerError(
                    f"{source}: expected the message {match[1]} {_TRIAL_WORDS[word]}x with x = 1..6, found {text!r} at "
                    f"{time:.3f} s; was another version of the task running? Correct the message in an .asc, or leave "
                    "the recording out"
                )
            trials.append((int(code), time))
    return _markers(trials, triggers)


def fixation_markers(messages: Sequence[tuple[float, str]], source: str) -> EyeMarkers:
    """Find the messages of the fixation task, which are codes written as eight bits.

    Parameters
    ----------
    messages : sequence of (float, str)
        Time, s, and text.
    source : str
        File they are from, for messages.

    Raises
    ------
    MarkerError
        Bits that are no code of this task.

    Examples
    --------
    >>> fixation_markers([(1.0, "1  0  0  0  0  0  0  0"), (2.0, "0  0  0  0  0  1  1  0")], "P11_5.edf").codes.tolist()
    [128, 6]
    """
    trials: list[tuple[int, float]] = []
    for time, text in messages:
        if not _BITS.fullmatch(text.strip()):
            continue
        code = int("".join(text.split()), 2)
        if code and code not in _FIXATION_NAMES:
            raise MarkerError(
                f"{source}: expected messages of the fixation task (codes {sorted(_FIXATION_NAMES)} in bits), found "
                f"{text!r} ({code}) at {time:.3f} s; was another task running?"
            )
        if code:
            trials.append((code, time))
    return _markers(trials, [])


def _markers(trials: list[tuple[int, float]], triggers: list[tuple[int, float]]) -> EyeMarkers:
    return EyeMarkers(
        np.array([code for code, _ in trials], np.int64),
        np.array([time for _, time in trials], np.float64),
        np.array([time for _, time in triggers], np.float64),
        np.array([code for code, _ in triggers], np.int64),
    )


def marker_name(code: int) -> str:
    """Name a marker: start, cue or end; in the fixation task start, reward, failed or end."""
    return _FIXATION_NAMES.get(code) or _NAVIGATION_NAMES.get(code // 10, "")
