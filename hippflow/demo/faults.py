"""Markers that a device of the demo day lost or recorded twice, and a start that came to nothing.

Writes nothing. Every device takes how often it recorded each marker from
:func:`marker_copies`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hippflow.demo.timeline import Session, Timeline
from hippflow.errors import ConfigError

#: Seconds after which Ripple and the eye tracker record a doubled marker again; the maze does in its next frame.
DOUBLE_DELAY = 0.005

ACTIONS = ("drop", "double", "abort")
DEVICES = ("maze", "eye", "ripple")

#: The markers of a trial: cue onset, cue offset, and reward or timeout.
MARKERS = ("start", "cue", "end")

_EXPECTED = (
    "ACTION:DEVICE:SESSION:TRIAL:MARKER, e.g. drop:eye:session01:2:cue, with drop or double, maze, eye or ripple, a "
    "trial from 0 (-1: the last) and start, cue, end or trial (all three), or abort:eye:SESSION"
)


@dataclass(frozen=True)
class Fault:
    """Something that went wrong with one device.

    Attributes
    ----------
    action : str
        ``drop``: the device lacks the marker; ``double``: it has it twice;
        ``abort``: the task was started in vain before the session, which only
        the eye tracker recorded.
    device : str
        ``maze``, ``eye`` or ``ripple``.
    session : str
    trial : int or None
        From 0; -1 is the last.
    marker : str or None
        ``start`` (cue onset), ``cue`` (cue offset), ``end`` or ``trial`` (all three).
    """

    action: str
    device: str
    session: str
    trial: int | None = None
    marker: str | None = None

    @property
    def text(self) -> str:
        """The fault as :func:`parse_fault` reads it."""
        parts = (self.action, self.device, self.session, self.trial, self.marker)
        return ":".join(str(part) for part in parts if part is not None)


def parse_fault(text: str) -> Fault:
    """Read a fault as it is given on the command line.

    Examples
    --------
    >>> parse_fault("double:maze:session01:-1:end")
    Fault(action='double', device='maze', session='session01', trial=-1, marker='end')
    >>> parse_fault("abort:eye:session01").text
    'abort:eye:session01'
    """
    parts = text.split(":")
    if len(parts) == 3:
        return Fault(*parts)
    if len(parts) == 5 and parts[3].removeprefix("-").isdecimal():
        return Fault(*parts[:3], int(parts[3]), parts[4])
    raise ConfigError(f"fault: expected {_EXPECTED}; got {text!r}")


def _check_fault(fault: Fault, sessions: dict[str, Session]) -> Fault:
    """Return the fault with its trial counted from 0, or say what is wrong with it."""
    session = sessions.get(fault.session)
    if session is None:
        raise ConfigError(f"fault {fault.text}: expected one of the sessions {', '.join(sessions)}")
    if fault.action not in ACTIONS or fault.device not in DEVICES:
        raise ConfigError(f"fault: expected {_EXPECTED}; got {fault.text!r}")
    if session.kind == "fixation" and (fault.device == "maze" or fault.action == "abort"):
        raise ConfigError(f"fault {fault.text}: a fixation session has no maze and no session start; name another")
    if fault.action == "abort":
        if fault.device != "eye" or fault.trial is not None or fault.marker is not None:
            raise ConfigError(f"fault: expected {_EXPECTED}; got {fault.text!r}")
        return fault
    n_trials = len(session.trials)
    if fault.trial is None or fault.marker not in (*MARKERS, "trial"):
        raise ConfigError(f"fault: expected {_EXPECTED}; got {fault.text!r}")
    if not -n_trials <= fault.trial < n_trials:
        raise ConfigError(f"fault {fault.text}: expected a trial in 0..{n_trials - 1} of {fault.session}, or -1")
    return replace(fault, trial=fault.trial % n_trials)


def _rows(fault: Fault) -> list[int]:
    """Return which of the session's events (session marker first) a fault is about."""
    which = MARKERS if fault.marker == "trial" else (fault.marker,)
    return [1 + 3 * fault.trial + MARKERS.index(marker) for marker in which]


def check_faults(faults: Iterable[Fault], timeline: Timeline) -> tuple[Fault, ...]:
    """Return the faults with their trials counted from 0.

    Raises
    ------
    ConfigError
        A fault that the day cannot have, or two about one marker of a device.

    Examples
    --------
    >>> from hippflow.demo.timeline import make_timeline
    >>> day = make_timeline("picasso", "20181105", seconds=60, seed=1)
    >>> check_faults([Fault("drop", "eye", "session01", -1, "cue")], day)[0].trial == len(day.sessions[0].trials) - 1
    True
    """
    sessions = {session.name: session for session in timeline.sessions}
    checked = tuple(_check_fault(fault, sessions) for fault in faults)
    seen: dict[tuple, Fault] = {}
    for fault in checked:
        rows = _rows(fault) if fault.action != "abort" else ["abort"]
        for row in rows:
            other = seen.setdefault((fault.device, fault.session, row), fault)
            if other is not fault:
                raise ConfigError(f"fault {fault.text}: expected one fault a marker, {other.text} is about it too")
    return checked


def marker_copies(session: Session, faults: Iterable[Fault], device: str) -> np.ndarray:
    """Say how often a device recorded each of the session's events: 0, 1 or 2.

    Returns
    -------
    ndarray, int64 (1 + 3 T,)
        As :attr:`~hippflow.demo.timeline.Session.events`, the session marker first.
    """
    copies = np.ones(1 + 3 * len(session.trials), np.int64)
    for fault in faults:
        if (fault.device, fault.session) == (device, session.name) and fault.action != "abort":
            copies[_rows(fault)] = 0 if fault.action == "drop" else 2
    return copies


def has_aborted_start(session: Session, faults: Iterable[Fault]) -> bool:
    """Whether the session was started in vain before."""
    return any(fault.action == "abort" and fault.session == session.name for fault in faults)


def repeat_markers(copies: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return which marker every recorded one is, int64 (n,), and how much later than its first copy, s, (n,).

    Examples
    --------
    >>> which, later = repeat_markers([1, 0, 2])
    >>> which.tolist(), later.tolist()
    ([0, 2, 2], [0.0, 0.0, 0.005])
    """
    which = np.repeat(np.arange(len(copies)), copies)
    again = np.diff(which, prepend=-1) == 0
    return which, again * DOUBLE_DELAY
