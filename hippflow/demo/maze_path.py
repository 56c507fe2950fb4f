"""Where the animal of the demo day is: a path through the maze that respects its walls.

Writes nothing. Units are the maze's (nominally metres), headings degrees, 0 = +z,
clockwise seen from above. The maze is Double Tee: a square arena with four square
pillars; what is left are corridors, along whose middle 21 vertices lie, five apart.

In every trial the animal walks along them from where it is to the front of the
target poster, mostly the shortest way, and is there when the reward comes. In a
trial that times out it strays and stays away from the target. It stands while the
cue is shown; in the pause before it, it stands or, if the run will be too short
for the way, walks ahead. Speeds are 6 units/s or less but where the run is too
short for that. Sessions shorter than 30 s have shorter trials, and so a faster animal.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from hippflow.demo.timeline import TICKS_PER_SECOND, Session, Trial, generator

#: Half the side of the arena; half the side of a pillar, and the centres of the four, (4, 2) x, z.
ARENA, PILLAR = 12.5, 2.5
PILLARS = np.array([(5.0, -5.0), (-5.0, -5.0), (5.0, 5.0), (-5.0, 5.0)])

#: Posters 1 to 6, (6, 2) x, z, and the directions in which they face, (6, 2).
POSTERS = np.array([(-5, -7.55), (-7.55, 5), (7.55, -5), (5, 7.55), (5, 2.45), (-5, -2.45)])
FACINGS = np.array([(0, -1), (-1, 0), (1, 0), (0, 1), (0, -1), (0, 1)], float)

#: Where a session starts, facing +z.
START = (0, -10)

#: Speed in units/s that the animal does not exceed if there is time.
MAX_SPEED = 6.0

#: Distance from a poster at which the animal is rewarded, (closest, farthest).
REWARD_DISTANCE = (1.2, 1.6)

#: Share of rewarded trials in which it tries a way that is not the shortest.
DETOURS = 0.25

# By how much it misses a vertex, and how far from it a turn begins.
_MISS, _TURN = 0.5, 1.5

# Share of a walk in which it speeds up, and as much slows down.
_RAMP = 0.15

# Standard deviation in s over which a change of direction is spread.
_TURN_SECONDS = 0.15

Vertex = tuple[int, int]

_NODES = [(x, z) for z in range(-10, 15, 5) for x in range(-10, 15, 5) if x % 10 == 0 or z % 10 == 0]
_NEIGHBOURS = {a: [b for b in _NODES if abs(a[0] - b[0]) + abs(a[1] - b[1]) == 5] for a in _NODES}

#: The vertex in front of each poster.
POSTER_NODES: tuple[Vertex, ...] = tuple((round(x), round(z)) for x, z in np.round((POSTERS + 2.45 * FACINGS) / 5) * 5)


def walkable(position: np.ndarray) -> np.ndarray:
    """Whether places (n, 2) are in the arena and in no pillar, bool (n,).

    Examples
    --------
    >>> walkable(np.array([(0.0, 0.0), (5.0, 5.0), (13.0, 0.0)])).tolist()
    [True, False, False]
    """
    inside = (abs(position) < ARENA).all(-1)
    in_pillar = (abs(position[..., None, :] - PILLARS) <= PILLAR).all(-1).any(-1)
    return inside & ~in_pillar


def _route(start: Vertex, goal: Vertex, rng: np.random.Generator, closed: Vertex | None = None) -> list[Vertex]:
    """Return the vertices of a shortest way, both ends included; chance decides among equals."""
    came_from: dict[Vertex, Vertex] = {start: start}
    queue = deque([start])
    while goal not in came_from:
        here = queue.popleft()
        around = _NEIGHBOURS[here]
        for i in rng.permutation(len(around)):
            if around[i] not in came_from and around[i] != closed:
                came_from[around[i]] = here
                queue.append(around[i])
    way = [goal]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]


def _rewarded_route(start: Vertex, target: Vertex, seconds: float, rng: np.random.Generator) -> list[Vertex]:
    """Return the way to the target's vertex, sometimes by way of another vertex if there is time."""
    direct = _route(start, target, rng)
    via = _NODES[rng.integers(len(_NODES))]
    if rng.random() < DETOURS and target not in (start, via):
        detour = _route(start, via, rng, closed=target) + _route(via, target, rng)[1:]
        if 5 * len(detour) < MAX_SPEED * seconds:
            return detour
    return direct


def _stray(start: Vertex, target: Vertex, length: float, rng: np.random.Generator) -> list[Vertex]:
    """Return a way of about `length` that does not lead past the target, nor back unless it must."""
    way = [start]
    while len(way) < 2 or 5 * (len(way) - 1) < length:
        around = [node for node in _NEIGHBOURS[way[-1]] if node != target]
        onward = [node for node in around if node not in way[-2:-1]] or around
        way.append(onward[rng.integers(len(onward))])
    return way


def _walk(corners: np.ndarray) -> np.ndarray:
    """Return the corners (k, 2) joined by straight lines, with rounded turns, (n, 2)."""
    sides = np.diff(corners, axis=0)
    lengths = np.hypot(*sides.T)
    parts = [corners[:1]]
    u = np.linspace(0, 1, 16)[:, None]
    for i in range(1, len(corners) - 1):
        reach = np.minimum(_TURN, lengths[i - 1 : i + 1] / 2)
        begin = corners[i] - sides[i - 1] * reach[0] / lengths[i - 1]
        finish = corners[i] + sides[i] * reach[1] / lengths[i]
        parts.append((1 - u) ** 2 * begin + 2 * u * (1 - u) * corners[i] + u**2 * finish)
    return np.concatenate([*parts, corners[-1:]])


def _ease(share: np.ndarray) -> np.ndarray:
    """Return how much of a walk is done after a share of its time: speeding up, steady, slowing down."""
    begun = np.minimum(share, 1 - share)
    done = np.where(begun < _RAMP, begun**2 / (2 * _RAMP), begun - _RAMP / 2) / (1 - _RAMP)
    return np.where(share <= 0.5, done, 1 - done)


@dataclass(frozen=True, eq=False)
class MazePath:
    """Where the animal is at any time of a session, in seconds of Ripple's clock.

    Attributes
    ----------
    times, walked : ndarray, (k,)
        Between one time and the next it walks from one length of way to the next.
    points : ndarray, (m, 2)
        The way: x and z.
    lengths : ndarray, (m,)
        Length of way up to each point.
    heading_times, headings : ndarray, (h,)
        The heading in degrees, unwrapped.
    """

    times: np.ndarray
    walked: np.ndarray
    points: np.ndarray
    lengths: np.ndarray
    heading_times: np.ndarray
    headings: np.ndarray

    def position(self, seconds: np.ndarray) -> np.ndarray:
        """Return x and z, (n, 2)."""
        done = _walked(self.times, self.walked, seconds)
        return np.column_stack([np.interp(done, self.lengths, axis) for axis in self.points.T])

    def heading(self, seconds: np.ndarray) -> np.ndarray:
        """Return the heading in degrees, 0 <= h < 360, (n,)."""
        return np.interp(seconds, self.heading_times, self.headings) % 360


def _walked(times: np.ndarray, walked: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Return the length of way that lies behind at `seconds`, (n,)."""
    phase = np.clip(np.searchsorted(times, seconds, side="right") - 1, 0, times.size - 2)
    share = np.clip((seconds - times[phase]) / (times[phase + 1] - times[phase]), 0, 1)
    return walked[phase] + (walked[phase + 1] - walked[phase]) * _ease(share)


def _headings(session: Session, path: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return times and headings, unwrapped: the way's direction, with changes spread over time."""
    times, walked, points, lengths = path
    directions = np.degrees(np.arctan2(*np.diff(points, axis=0).T))
    spread = _TURN_SECONDS * session.shrink
    grid = np.arange(0, session.seconds + spread, spread / 10)
    # whoever stands at the end of a stretch still looks along it, also if sums differ in the last digits
    stretch = np.searchsorted(lengths + 1e-6, _walked(times, walked, grid), side="left") - 1
    raw = np.where(stretch < 0, 0.0, directions[np.clip(stretch, 0, directions.size - 1)])
    return grid, gaussian_filter1d(np.unwrap(raw, period=360), 10, mode="nearest")


def _plan(trial: Trial, node: Vertex, rng: np.random.Generator) -> tuple[Vertex, list[np.ndarray]]:
    """Return the vertex at which a trial ends, and the corners of the way to there."""
    seconds = (trial.end - trial.cue_offset) / TICKS_PER_SECOND
    target = POSTER_NODES[trial.target - 1]
    if trial.rewarded:
        way = _rewarded_route(node, target, seconds, rng)
    else:
        way = _stray(node, target, rng.uniform(0.3, 0.6) * MAX_SPEED * seconds, rng)
    corners = [place + rng.uniform(-_MISS, _MISS, 2) for place in np.array(way, float)]
    if trial.rewarded:
        facing = FACINGS[trial.target - 1]
        front = POSTERS[trial.target - 1] + rng.uniform(-0.3, 0.3) * facing[::-1]
        # from the middle of the corridor it goes straight at the poster
        corners[-1] = front + rng.uniform(2.3, 2.9) * facing
        corners.append(front + rng.uniform(*REWARD_DISTANCE) * facing)
    return way[-1], corners


def make_path(session: Session, seed: int) -> MazePath:
    """Draw the animal's path through a navigation session.

    Examples
    --------
    >>> from hippflow.demo.timeline import make_session
    >>> session = make_session("session01", "navigation", seconds=60, seed=1)
    >>> path = make_path(session, seed=1)
    >>> bool(walkable(path.position(np.arange(0, 60, 0.01))).all())
    True
    """
    rng = generator(seed, "maze path", session.name)
    node, place, ended = START, np.array(START, float), 0.0
    times, walked, ways = [0.0], [0.0], [place[None]]
    for trial in session.trials:
        cue_onset, cue_offset, end = (tick / TICKS_PER_SECOND for tick in trial.ticks)
        node, corners = _plan(trial, node, rng)
        way = _walk(np.array([place, *corners]))
        length = np.hypot(*np.diff(way, axis=0).T).sum()
        pause, run = cue_onset - ended, end - cue_offset
        ahead = 0.0
        if length > MAX_SPEED * run:
            ahead = min(length - MAX_SPEED * run, length * 0.5 * pause / (0.5 * pause + run))
        behind = walked[-1]
        times += [ended + 0.4 * pause, ended + 0.9 * pause, cue_offset, end]
        walked += [behind, behind + ahead, behind + ahead, behind + length]
        ways.append(way[1:])
        place, ended = way[-1], end
    points = np.concatenate(ways)
    steps = np.hypot(*np.diff(points, axis=0).T)
    points = points[np.append(True, steps > 1e-9)]
    lengths = np.append(0, np.cumsum(np.hypot(*np.diff(points, axis=0).T)))
    path = np.array([*times, session.seconds]), np.array([*walked, walked[-1]]), points, lengths
    return MazePath(*path, *_headings(session, path))
