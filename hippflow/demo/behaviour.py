"""What the animal did on the demo day, and the files of the maze and the eye tracker about it.

Writes, in the folder of the day::

    session01/RawData_T1-400/session_1_5112018105911.txt    VirtualMaze's log, of every navigation session
    181105.asc                                              gaze of all navigation sessions
    P11_5.asc                                               gaze of the fixation session

The clocks of maze and eye tracker have an offset and a drift of their own.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hippflow.demo.eye_file import EyeBlock, fixation_message, navigation_message, write_eye_file
from hippflow.demo.faults import Fault, check_faults, has_aborted_start, marker_copies, repeat_markers
from hippflow.demo.gaze import Gaze, make_gaze
from hippflow.demo.maze_log import HEADERS, Frames, make_frames, write_maze_log
from hippflow.demo.maze_path import MazePath, make_path
from hippflow.demo.timeline import (
    CUE_OFFSET,
    CUE_ONSET,
    SESSION_START,
    TICKS_PER_SECOND,
    Clock,
    Session,
    Timeline,
    generator,
)
from hippflow.demo.units import PlaceField, Unit
from hippflow.errors import ConfigError

#: Place field: standard deviation, and spikes per second at the centre (on top of the base rate) and elsewhere.
FIELD_WIDTH, FIELD_PEAK, FIELD_BASE = 2.0, 20.0, 1.0

#: An aborted start: from when to when the tracker ran, and when its markers came, s before the session's recording.
ABORTED = (-20.0, -12.0)
ABORTED_MARKERS = (-18.5, -17.0, -16.0)


@dataclass(frozen=True)
class BehaviourOptions:
    """How the behaviour of a day is made and written.

    Attributes
    ----------
    maze_ppm, eye_ppm, fixation_ppm : float
        Drifts of the clocks of the maze and of the eye tracker, in the navigation
        sessions and in the fixation session: ppm by which they are faster than Ripple's.
    header : str
        Header of the maze logs: ``text``, ``json`` or ``none``.
    n_logs : int
        Files into which the log of a session is cut.
    faults : tuple of Fault
    """

    maze_ppm: float = 120.0
    eye_ppm: float = -300.0
    fixation_ppm: float = -270.0
    header: str = "text"
    n_logs: int = 1
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        if self.header not in HEADERS:
            raise ConfigError(f"header: expected one of {', '.join(HEADERS)}; got {self.header!r}")
        if not 1 <= self.n_logs <= 20:
            raise ConfigError(f"n_logs: a session's log is one file to twenty; got {self.n_logs!r}")


@dataclass(frozen=True, eq=False)
class Behaviour:
    """What happened in the maze and to the eye, by session.

    Attributes
    ----------
    timeline : Timeline
    options : BehaviourOptions
    faults : tuple of Fault
        Their trials counted from 0.
    paths : dict of str to MazePath
        Navigation sessions only, as `frames`.
    frames : dict of str to Frames
    gazes : dict of str to Gaze
    aborted : dict of str to EyeBlock
        What the eye tracker recorded of starts in vain.
    """

    timeline: Timeline
    options: BehaviourOptions
    faults: tuple[Fault, ...]
    paths: dict[str, MazePath] = field(default_factory=dict)
    frames: dict[str, Frames] = field(default_factory=dict)
    gazes: dict[str, Gaze] = field(default_factory=dict)
    aborted: dict[str, EyeBlock] = field(default_factory=dict)


def eye_file_name(day: datetime.date, kind: str) -> str:
    """Return what the eye tracker's file of a day's navigation or fixation sessions is called.

    Examples
    --------
    >>> [eye_file_name(datetime.date(2018, 11, 5), kind) for kind in ("navigation", "fixation")]
    ['181105.asc', 'P11_5.asc']
    """
    return f"{day:%y%m%d}.asc" if kind == "navigation" else f"P{day.month}_{day.day}.asc"


def _eye_clock(session: Session, started: float, options: BehaviourOptions, seed: int) -> Clock:
    """Return the eye tracker's clock in a session that began `started` s after the day's first.

    It runs on from one navigation session to the next, which are in one file.
    """
    ppm = options.eye_ppm if session.kind == "navigation" else options.fixation_ppm
    offset = generator(seed, "eye clock", session.kind).uniform(200, 900)
    return Clock(float(offset + (1 + ppm / 1e6) * started), ppm)


def _aborted_start(session: Session, path: MazePath, clock: Clock, seed: int) -> EyeBlock:
    """Make a start in vain: session marker, and a first trial, with another target, that does not end."""
    target = session.trials[0].target % 6 + 1
    codes = (SESSION_START, CUE_ONSET + target, CUE_OFFSET + target)
    times = (_milliseconds(clock, seconds) for seconds in ABORTED_MARKERS)
    messages = [(time, navigation_message(code)) for time, code in zip(times, codes, strict=True)]
    return EyeBlock(make_gaze(session, path, clock, seed, between=ABORTED), messages)


def _milliseconds(clock: Clock, seconds: float) -> int:
    return int(np.rint(1000 * clock.to_device(seconds)))


def make_behaviour(
    timeline: Timeline, starts: Mapping[str, datetime.datetime], options: BehaviourOptions | None = None
) -> Behaviour:
    """Draw what the animal did on a day.

    Parameters
    ----------
    timeline : Timeline
    starts : mapping of str to datetime
        When each session's recording began.
    options : BehaviourOptions, optional

    Raises
    ------
    ConfigError
        A fault that the day cannot have.

    Examples
    --------
    >>> from hippflow.demo.timeline import make_timeline
    >>> day = make_timeline("picasso", "20181105", seconds=60, seed=1)
    >>> behaviour = make_behaviour(day, session_starts(day))
    >>> list(behaviour.frames), list(behaviour.gazes)
    (['session01'], ['session01', 'sessioneye'])
    """
    options = options or BehaviourOptions()
    behaviour = Behaviour(timeline, options, check_faults(options.faults, timeline))
    seed, first = timeline.seed, starts[timeline.sessions[0].name]
    for session in timeline.sessions:
        name, path = session.name, None
        if session.kind == "navigation":
            path = behaviour.paths[name] = make_path(session, seed)
            behaviour.frames[name] = make_frames(session, path, options.maze_ppm, seed)
        clock = _eye_clock(session, (starts[name] - first).total_seconds(), options, seed)
        behaviour.gazes[name] = make_gaze(session, path, clock, seed)
        if has_aborted_start(session, behaviour.faults):
            behaviour.aborted[name] = _aborted_start(session, path, clock, seed)
    return behaviour


def session_starts(timeline: Timeline) -> dict[str, datetime.datetime]:
    """Say when each session's recording began: from 10:59:11 on, with five minutes between two."""
    start = datetime.datetime.strptime(timeline.day, "%Y%m%d").replace(hour=10, minute=59, second=11)
    starts = {}
    for session in timeline.sessions:
        starts[session.name] = start
        start += datetime.timedelta(seconds=session.seconds + 300)
    return starts


def make_place_field(behaviour: Behaviour, unit: Unit) -> PlaceField:
    """Put the field of a unit where the animal runs most often in the first session.

    It is centred on the corner or crossing of corridors within 2 units of which
    the animal spends most time between cue offset and end.
    """
    session = behaviour.timeline.sessions[0]
    frames = behaviour.frames[session.name]
    ticks = np.array([trial.ticks for trial in session.trials]) / TICKS_PER_SECOND
    trial = np.searchsorted(ticks[:, 1], frames.times, side="right") - 1
    runs = frames.position[(trial >= 0) & (frames.times <= ticks[trial, 2])]
    nodes = np.array([(x, z) for x in (-10, 0, 10) for z in (-10, 0, 10)], float)
    near = np.hypot(*(runs[:, None] - nodes).transpose(2, 0, 1)) < FIELD_WIDTH
    x, z = nodes[near.sum(0).argmax()].tolist()
    return PlaceField(unit.channel, unit.label, x, z, FIELD_WIDTH, FIELD_PEAK, FIELD_BASE, tuple(behaviour.frames))


def eye_messages(session: Session, clock: Clock, faults: Sequence[Fault]) -> list[tuple[int, str]]:
    """Return the messages of a session as the eye tracker has them: ms of its clock, and text.

    Navigation sessions have one for every marker; fixation sessions have no session marker.
    """
    ticks, codes = session.events
    which, later = repeat_markers(marker_copies(session, faults, "eye"))
    messages = []
    for row, delay in zip(which.tolist(), later.tolist(), strict=True):
        if session.kind == "navigation":
            text = navigation_message(int(codes[row]))
        elif row > 0:
            text = fixation_message((row - 1) % 3, session.trials[(row - 1) // 3].rewarded)
        else:
            continue
        messages.append((_milliseconds(clock, ticks[row] / TICKS_PER_SECOND + delay), text))
    return messages


def write_behaviour(behaviour: Behaviour, day_dir: Path, starts: Mapping[str, datetime.datetime]) -> None:
    """Write the maze logs and the eye tracker's files into the folder of the day."""
    options, blocks = behaviour.options, {"navigation": [], "fixation": []}
    for session in behaviour.timeline.sessions:
        name = session.name
        if name in behaviour.frames:
            copies = marker_copies(session, behaviour.faults, "maze")
            logs = {"header": options.header, "n_files": options.n_logs}
            write_maze_log(day_dir / name, behaviour.frames[name], copies, starts[name], **logs)
        if name in behaviour.aborted:
            blocks[session.kind].append(behaviour.aborted[name])
        gaze = behaviour.gazes[name]
        blocks[session.kind].append(EyeBlock(gaze, eye_messages(session, gaze.clock, behaviour.faults)))
    for kind, of_kind in blocks.items():
        start = min(starts[session.name] for session in behaviour.timeline.sessions if session.kind == kind)
        write_eye_file(day_dir / eye_file_name(start, kind), of_kind, start)
