"""Where the eye looked on the screen: fixations, the saccades between them, and blinks.

Writes nothing. Pixels of a screen of 1920 x 1080, origin at the top left; whole
milliseconds of the eye tracker's clock, one sample each.

In the maze every fixation aims at a point of a wall, a pillar, a poster, the floor or
the ceiling that is on the screen when it begins (and may lie behind another object),
at the cue while that is shown, or now and then off the screen. Without a maze it aims
at one of nine calibration points.
"""

from dataclasses import dataclass

import numpy as np

from hippflow.demo.maze_path import PILLARS, POSTERS, MazePath
from hippflow.demo.timeline import TICKS_PER_SECOND, Clock, Session, generator

SCREEN = np.array([1920.0, 1080.0])

#: The camera in the maze: height, pitch downwards in degrees, and vertical field of view in degrees.
EYE_HEIGHT, PITCH, FIELD_OF_VIEW = 1.85, 12.0, 60.0

PIXELS_PER_DEGREE = 30.0

#: Share of fixations that lie off the screen, and of saccades that are made behind closed lids.
OFF_SCREEN, BLINKS = 0.05, 0.06

#: Seconds by which the eye tracker starts before Ripple and stops after it.
LEAD, TAIL = 1.5, 1.0

# Milliseconds that are free for a saccade and for a blink, and that the lid needs at either end of a blink.
_SACCADE, _BLINK, _LID = 90, 240, 20

_CALIBRATION = np.array([(x, y) for y in (190, 540, 890) for x in (410, 960, 1510)], float)


@dataclass(frozen=True, eq=False)
class Gaze:
    """What the eye tracker saw in a session.

    Attributes
    ----------
    clock : Clock
    first : int
        Time of the first sample, ms of the eye tracker's clock.
    pixels : ndarray, float32 (S, 2)
        x and y, one a millisecond, as they are written (to 0.1); NaN while the eye is closed.
    fixations, saccades, blinks : ndarray, int64 (k, 2)
        First and last sample of each, ms of the eye tracker's clock. A blink lies in a saccade.
    """

    clock: Clock
    first: int
    pixels: np.ndarray
    fixations: np.ndarray
    saccades: np.ndarray
    blinks: np.ndarray

    @property
    def milliseconds(self) -> np.ndarray:
        """Times of the samples on the eye tracker's clock, int64 (S,)."""
        return self.first + np.arange(len(self.pixels))

    @property
    def times(self) -> np.ndarray:
        """Times of the samples on Ripple's clock, s, float64 (S,)."""
        return self.clock.to_ripple(self.milliseconds / 1000)


def project(points: np.ndarray, position: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """Return where on the screen points of the maze are.

    Parameters
    ----------
    points : ndarray, (..., 3)
        x, y (up), z.
    position, heading : ndarray, (..., 2) and (...)
        Where the animal is and looks, in degrees.

    Returns
    -------
    ndarray, (..., 2)
        Pixels; NaN for what is behind the camera.

    Examples
    --------
    >>> ahead = np.array([0.0, 1.85 - np.tan(np.radians(12)), 1.0])
    >>> project(ahead, np.zeros(2), np.zeros(())).round(6).tolist()
    [960.0, 540.0]
    """
    east, up, north = points[..., 0] - position[..., 0], points[..., 1] - EYE_HEIGHT, points[..., 2] - position[..., 1]
    yaw, pitch = np.radians(heading), np.radians(PITCH)
    right, ahead = east * np.cos(yaw) - north * np.sin(yaw), east * np.sin(yaw) + north * np.cos(yaw)
    depth = ahead * np.cos(pitch) - up * np.sin(pitch)
    height = ahead * np.sin(pitch) + up * np.cos(pitch)
    depth = np.where(depth > 0.3, depth, np.nan)
    scale = SCREEN[1] / 2 / np.tan(np.radians(FIELD_OF_VIEW / 2))
    return SCREEN / 2 + scale * np.stack([right / depth, -height / depth], -1)


def _points_of_interest(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw points on the things in the maze, (*shape, 3): posters, pillars, outer walls, floor and ceiling."""
    kind = rng.choice(5, shape, p=[0.4, 0.25, 0.2, 0.1, 0.05])
    along, height = rng.uniform(-1, 1, shape), rng.random(shape)
    side = rng.integers(0, 4, shape)
    turn = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
    on_side = turn[side] + along[..., None] * turn[side][..., ::-1]
    poster = POSTERS[rng.integers(0, 6, shape)] + 0.4 * rng.uniform(-1, 1, (*shape, 2))
    ground = [
        poster,
        PILLARS[rng.integers(0, 4, shape)] + 2.5 * on_side,
        12.4 * on_side,
        rng.uniform(-12, 12, (*shape, 2)),
        rng.uniform(-12, 12, (*shape, 2)),
    ]
    heights = [1 + height, 2.9 * height, 4.9 * height, 0 * height, 4.93 + 0 * height]
    x, z = np.moveaxis(np.choose(kind[..., None], ground), -1, 0)
    return np.stack([x, np.choose(kind, heights), z], -1)


def _slots(n_ms: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return when each saccade may begin, ms from the first sample, (k,), and whether it is a blink's, (k,)."""
    n = n_ms // 100 + 10
    blink = rng.random(n) < BLINKS
    blink[0] = False
    fixation = np.clip(rng.gamma(4, 60, n), 80, 900).astype(np.int64)
    begins = np.concatenate([[0], np.cumsum(fixation + np.where(blink, _BLINK, _SACCADE))[:-1]])
    inside = begins + _BLINK + 80 < n_ms
    return begins[inside], blink[inside]


def _aims(session: Session, path: MazePath | None, seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return where on the screen the fixations that begin at `seconds` aim, (k, 2)."""
    n = seconds.size
    anywhere = rng.uniform(0.03, 0.97, (n, 2)) * SCREEN
    if path is None:
        aims = _CALIBRATION[rng.integers(0, len(_CALIBRATION), n)] + rng.normal(0, 6, (n, 2))
    else:
        position, heading = path.position(seconds), path.heading(seconds)
        seen = project(_points_of_interest(rng, (n, 16)), position[:, None], heading[:, None])
        good = ((seen > 10) & (seen < SCREEN - 10)).all(-1)
        aims = np.where(good.any(1)[:, None], seen[np.arange(n), good.argmax(1)], anywhere)
    ticks, targets = np.array([trial.ticks for trial in session.trials]), [trial.target for trial in session.trials]
    trial = np.searchsorted(ticks[:, 0], seconds * TICKS_PER_SECOND, side="right") - 1
    cue = (trial >= 0) & (seconds * TICKS_PER_SECOND < ticks[trial, 1])
    centre = SCREEN / 2 if path is not None else _CALIBRATION[np.array(targets)[trial]]
    aims = np.where(cue[:, None], centre + rng.normal(0, 40 if path is not None else 6, (n, 2)), aims)
    off = ~cue & (rng.random(n) < OFF_SCREEN)
    beyond = rng.uniform(30, 300, n)
    sideways = rng.random(n) < 0.5
    outside = anywhere.copy()
    for axis in (0, 1):
        chosen = sideways == (axis == 0)
        outside[chosen, axis] = np.where(rng.random(n) < 0.5, -beyond, SCREEN[axis] + beyond)[chosen]
    return np.where(off[:, None], outside, aims)


def _trace(n_ms: int, aims: np.ndarray, begins: np.ndarray, lasts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the eye's place at every ms, float32 (n_ms, 2): on its way for a saccade's length, then at its aim."""
    slot = np.repeat(np.arange(begins.size), np.diff(begins, append=n_ms))
    since = np.arange(n_ms) - begins[slot]
    share = np.minimum(1, since / np.maximum(lasts[slot], 1)).astype(np.float32)
    share = share * share * (3 - 2 * share)
    drift = rng.normal(0, 0.01, aims.shape).astype(np.float32)
    pixels = np.empty((n_ms, 2), np.float32)
    for axis in (0, 1):
        place = aims[:, axis].astype(np.float32)
        step = np.diff(place, prepend=place[:1])
        pixels[:, axis] = place[slot] - step[slot] * (1 - share) + drift[slot, axis] * since
        pixels[:, axis] += rng.standard_normal(n_ms, np.float32)
    return pixels


def make_gaze(
    session: Session, path: MazePath | None, clock: Clock, seed: int, between: tuple[float, float] | None = None
) -> Gaze:
    """Draw the gaze of a session.

    Parameters
    ----------
    session : Session
    path : MazePath or None
        Where the animal is; None outside the maze.
    clock : Clock
        The eye tracker's.
    seed : int
    between : (float, float), optional
        From when to when the tracker runs, s of Ripple's clock; by default a little longer than Ripple.

    Examples
    --------
    >>> from hippflow.demo.timeline import make_session
    >>> session = make_session("sessioneye", "fixation", seconds=30, seed=1)
    >>> gaze = make_gaze(session, None, Clock(offset=400, ppm=-300), seed=1)
    >>> gaze.first, gaze.pixels.shape
    (398500, (32492, 2))
    """
    begin, finish = between or (-LEAD, session.seconds + TAIL)
    first, last = (int(np.rint(1000 * clock.to_device(seconds))) for seconds in (begin, finish))
    n_ms = last - first + 1
    rng = generator(seed, "gaze", session.name, round(begin * 1000) + 1_000_000)
    begins, blink = _slots(n_ms, rng)
    aims = _aims(session, path, clock.to_ripple((first + begins) / 1000), rng)
    degrees = np.hypot(*np.diff(aims, axis=0, prepend=aims[:1]).T) / PIXELS_PER_DEGREE
    lasts = np.minimum(21 + 2.2 * degrees, _SACCADE).astype(np.int64)
    lasts = np.where(blink, rng.integers(2 * _LID + 80, _BLINK, blink.size), lasts)
    lasts[0] = 0
    pixels = np.round(_trace(n_ms, aims, begins, lasts, rng), 1)
    saccades = np.column_stack([begins, begins + lasts - 1])
    blinks = saccades[blink] + (_LID, -_LID)
    for start, stop in blinks:
        pixels[start : stop + 1] = np.nan
    fixations = np.column_stack([begins + lasts, np.append(begins[1:], n_ms) - 1])
    return Gaze(clock, first, pixels, first + fixations, first + saccades[1:], first + blinks)
