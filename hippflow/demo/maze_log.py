"""What VirtualMaze wrote of a session: one row a frame, in the text format of 2018.

Writes ``session_N_<dMyyyyHms>.txt``: a header, then rows of trigger, seconds since
the frame before, x, z and heading. A trigger stands in the row of the frame in which it
was sent. Markers are made by the task, so a frame lies on each of them exactly.
"""

import datetime
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hippflow.demo.maze_path import MazePath
from hippflow.demo.timeline import TICKS_PER_SECOND, Clock, Session, generator
from hippflow.io.atomic import whole_file

FRAME_RATE = 30

#: Largest departure of a frame from its place, as a share of the frames' distance.
FRAME_JITTER = 0.12

#: Folder of a session's logs.
LOG_FOLDER = "RawData_T1-400"

#: How the header can be written: 14 lines, one line of JSON as newer versions do, or not at all.
HEADERS = ("text", "json", "none")

_HEADER = {
    "Version": "20171221 Taxi Continuous v4",
    "Trigger": "v4",
    "TaskType": "Continuous",
    "PosterLocations": "P1(-5,-7.55) P2(-7.55,5) P3(7.55,-5) P4(5,7.55) P5(5,2.45) P6(-5,-2.45)",
    "TrialType": "Double Tee",
    "SpecifiedRewardNo": "400",
    "CompletionWindow": "8000",
    "TimeoutDuration": "8000",
    "IntersessionInterval": "1000",
    "RewardTime": "800",
    "RotationSpeed": "0.5",
    "TranslationSpeed": "0.5",
    "JoystickDeadzone": "0.3",
    "RewardViewCriteria": "0.5",
}


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of a navigation session.

    Attributes
    ----------
    clock : Clock
        The maze's; it shows 0 in the first frame.
    times : ndarray, float64 (F,)
        When each frame was shown, s of Ripple's clock.
    triggers : ndarray, int64 (F,)
        What was sent in it; 0 nothing.
    position : ndarray, float64 (F, 2)
        x and z, as they are written.
    heading : ndarray, float64 (F,)
        Degrees, 0 <= h < 360, as they are written.
    """

    clock: Clock
    times: np.ndarray
    triggers: np.ndarray
    position: np.ndarray
    heading: np.ndarray


def _frame_times(marks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the times of frames from the first mark to the last, and the indices of those on a mark."""
    times, rows = [marks[:1]], [0]
    for begin, finish in itertools.pairwise(marks.tolist()):
        # one more at least: a doubled trigger needs it
        n_frames = max(2, round((finish - begin) * FRAME_RATE))
        places = np.arange(1.0, n_frames + 1)
        places[:-1] += rng.uniform(-FRAME_JITTER, FRAME_JITTER, n_frames - 1)
        times.append(begin + (finish - begin) * places / n_frames)
        times[-1][-1] = finish
        rows.append(rows[-1] + n_frames)
    return np.concatenate(times), np.array(rows)


def make_frames(session: Session, path: MazePath, ppm: float, seed: int) -> Frames:
    """Draw the frames of a navigation session, from its session marker to the end of the recording.

    Examples
    --------
    >>> from hippflow.demo.maze_path import make_path
    >>> from hippflow.demo.timeline import make_session
    >>> session = make_session("session01", "navigation", seconds=60, seed=1)
    >>> frames = make_frames(session, make_path(session, seed=1), ppm=120, seed=1)
    >>> int(frames.triggers[0]), bool(0.025 < np.diff(frames.times).min() < np.diff(frames.times).max() < 0.045)
    (84, True)
    """
    ticks, codes = session.events
    rng = generator(seed, "frames", session.name)
    times, rows = _frame_times(np.append(ticks, session.n_samples) / TICKS_PER_SECOND, rng)
    triggers = np.zeros(times.size, np.int64)
    triggers[rows[:-1]] = codes
    # adding 0 makes 0 of -0
    position = np.round(path.position(times), 4) + 0.0
    heading = np.round(path.heading(times), 4) % 360
    clock = Clock(offset=-(1 + ppm / 1e6) * float(times[0]), ppm=ppm)
    return Frames(clock, times, triggers, position, heading)


def _header_text(header: str) -> str:
    if header == "text":
        return "".join(f"{key}: {value}\n" for key, value in _HEADER.items())
    return json.dumps(_HEADER) + "\n" if header == "json" else ""


def written_triggers(frames: Frames, copies: np.ndarray) -> np.ndarray:
    """Return the trigger column with each marker as often as `copies` says, int64 (F,); the second is a frame later."""
    triggers = np.zeros_like(frames.triggers)
    rows = np.flatnonzero(frames.triggers)
    for more in (1, 2):
        kept = rows[copies >= more]
        triggers[kept + more - 1] = frames.triggers[kept]
    return triggers


def write_maze_log(
    folder: Path,
    frames: Frames,
    copies: np.ndarray,
    start: datetime.datetime,
    *,
    header: str = "text",
    n_files: int = 1,
) -> list[Path]:
    """Write the log of a session, as one file or, cut between frames, as several that follow each other.

    Parameters
    ----------
    folder : Path
        The session's; the log is put into :data:`LOG_FOLDER` there.
    frames : Frames
    copies : ndarray, int64 (m,)
        How often each trigger is written.
    start : datetime
        When the session's recording began.
    header : str
        One of :data:`HEADERS`; every file has it.
    n_files : int

    Returns
    -------
    list of Path
    """
    # whole units of 10 ns: rounding does not add up over the session
    clock = np.rint(frames.clock.to_device(frames.times) * 1e8).astype(np.int64)
    steps = np.diff(clock, prepend=clock[0] - round(1e8 / FRAME_RATE)) / 1e8
    columns = (written_triggers(frames, copies), steps, *frames.position.T, frames.heading)
    paths = []
    for number, rows in enumerate(np.array_split(np.arange(frames.times.size), n_files), start=1):
        begin = start + datetime.timedelta(seconds=float(frames.times[rows[0]]))
        stamp = f"{begin.day}{begin.month}{begin.year}{begin.hour}{begin.minute}{begin.second}"
        path = folder / LOG_FOLDER / f"session_{number}_{stamp}.txt"
        values = [column[rows[0] : rows[-1] + 1].tolist() for column in columns]
        lines = [f" {t} {step:.8f} {x:.4f} {z:.4f} {h:.4f}\n" for t, step, x, z, h in zip(*values, strict=True)]
        with whole_file(path) as part:
            part.write_text(_header_text(header) + "".join(lines))
        paths.append(path)
    return paths
