"""The nearest object that each of many rays hits, in float64 and exact to rounding.

Every object is an axis-aligned box, maybe of no thickness, so a ray is inside it between the
largest of three entries and the smallest of three exits. :class:`Caster` names the same
object as that test for all 48 objects of a maze with a third of the work: a ray that
starts in the room leaves it through one of six planes, whose tiles are looked up, and only
rays that pass through the box around a group (a pillar's walls and posters) before that are
tested against its members.
"""

from dataclasses import dataclass

import numpy as np

from hippflow.behaviour.scene import PILLARS, Scene
from hippflow.errors import FormatError

#: Rays that are worked on at once: enough to hide the cost of a call, few enough for the processor's cache.
CHUNK = 32768

#: Stands in for 1/0, so that a ray along an axis makes no NaN where it starts in a plane.
_HUGE = 1e300

#: What no object is called.
NOTHING = -1


class Boxes:
    """Boxes tested one by one; edges that several share are worked out once."""

    def __init__(self, scene: Scene, members: np.ndarray):
        self._slabs: list[list[tuple[float, float]]] = []
        columns = []
        for axis in range(3):
            edges = list(zip(scene.lower[members, axis].tolist(), scene.upper[members, axis].tolist(), strict=True))
            unique = sorted(set(edges))
            self._slabs.append(unique)
            columns.append([unique.index(edge) for edge in edges])
        self._boxes = list(zip(members.tolist(), *columns, strict=True))

    def nearest(self, origins: np.ndarray, inverse: np.ndarray, depth: np.ndarray, objects: np.ndarray) -> None:
        """Put nearer hits than `depth` into `depth` and `objects`, both of shape (N,)."""
        spans = [
            [_span(low, high, origins[axis], inverse[axis]) for low, high in self._slabs[axis]] for axis in range(3)
        ]
        # What is behind the start, or around it, is not hit: entries must lie ahead.
        for member, x, y, z in self._boxes:
            entry = np.maximum(spans[0][x][0], spans[1][y][0])
            np.maximum(entry, spans[2][z][0], out=entry)
            leave = np.minimum(spans[0][x][1], spans[1][y][1])
            np.minimum(leave, spans[2][z][1], out=leave)
            hit = entry <= leave
            hit &= entry < depth
            hit &= entry > 0
            np.copyto(depth, entry, where=hit)
            np.copyto(objects, member, where=hit)


def _span(low: float, high: float, origin: np.ndarray, inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where rays enter and leave the space between two planes."""
    first = low - origin
    first *= inverse
    if low == high:
        return first, first
    second = high - origin
    second *= inverse
    enter = np.minimum(first, second)
    return enter, np.maximum(first, second, out=first)


def _invert(directions: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        inverse = np.divide(1.0, directions)
    return np.clip(inverse, -_HUGE, _HUGE, out=inverse)


@dataclass(frozen=True)
class _Tiles:
    """The objects that make two opposite faces of the room.

    `table` is (2, U, V): the object of each cell between `breaks` along the two other axes, lower face first.
    """

    axes: tuple[int, int]
    breaks: tuple[np.ndarray, np.ndarray]
    table: np.ndarray


def _tile(scene: Scene, axis: int) -> _Tiles:
    """Look up which objects make the two faces of the room across `axis`, without a hole."""
    axes = ((axis + 1) % 3, (axis + 2) % 3)
    low, high = scene.room
    faces = []
    for plane, edge in ((low[axis], scene.upper), (high[axis], scene.lower)):
        faces.append(np.flatnonzero(edge[:, axis] == plane))
    either = np.concatenate(faces)
    breaks = []
    for other in axes:
        edges = np.unique(np.concatenate([scene.lower[either, other], scene.upper[either, other]]))
        breaks.append(edges[(edges > low[other]) & (edges < high[other])])
    middles = [
        np.convolve(np.concatenate([[low[other]], edges, [high[other]]]), [0.5, 0.5], "valid")
        for other, edges in zip(axes, breaks, strict=True)
    ]
    table = np.full((2, len(middles[0]), len(middles[1])), NOTHING, np.int16)
    for side, members in enumerate(faces):
        for member in members[::-1]:  # where two overlap, the first in the file is seen
            inside = [
                (middle > scene.lower[member, other]) & (middle < scene.upper[member, other])
                for other, middle in zip(axes, middles, strict=True)
            ]
            table[side][np.ix_(*inside)] = member
        if (table[side] == NOTHING).any():
            raise FormatError(
                f"{scene.source}: expected objects all over the room's {'upper' if side else 'lower'} "
                f"{'xyz'[axis]} face at {(low, high)[side][axis]:g}, found a hole; correct room, or leave it out"
            )
    return _Tiles(axes, tuple(breaks), table)


class Caster:
    """Finds the nearest object of a scene for many rays at once.

    Parameters
    ----------
    scene : Scene

    Raises
    ------
    FormatError
        The faces of the scene's room have holes.
    """

    def __init__(self, scene: Scene):
        self._all = Boxes(scene, np.arange(scene.n_objects))
        self._scene, self._room = scene, scene.room
        if self._room is None:
            return
        self._tiles = [_tile(scene, axis) for axis in range(3)]
        inner = ((scene.upper > self._room[0]) & (scene.lower < self._room[1])).all(1)
        # Walls and posters of a pillar are a group, anything else is one of its own.
        surface = scene.surface[: scene.n_objects].astype(int)
        label = np.where(surface >= PILLARS, surface // 4, -1 - np.arange(scene.n_objects))
        groups = [np.flatnonzero((label == group) & inner) for group in np.unique(label[inner])]
        self._groups = [Boxes(scene, members) for members in groups]
        self._hulls = [(scene.lower[members].min(0), scene.upper[members].max(0)) for members in groups]
        self._slabs, self._hull_slabs = _shared_slabs(self._hulls)

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find what each ray hits first.

        Parameters
        ----------
        origins, directions : ndarray of float64
            Shape (3, N), maze units; directions of any length.

        Returns
        -------
        objects : ndarray of int16
            Shape (N,), indices into the scene's objects; -1 where nothing is hit and for rays with NaN. What is
            around the start is not hit: of a box only the outside is.
        depth : ndarray of float64
            Shape (N,), the hit is at origin + depth * direction; inf where nothing is hit.
        """
        n_rays = origins.shape[1]
        objects, depth = np.full(n_rays, NOTHING, np.int16), np.full(n_rays, np.inf)
        for start in range(0, n_rays, CHUNK):
            part = slice(start, start + CHUNK)
            ray = origins[:, part], _invert(directions[:, part]), depth[part], objects[part]
            if self._room is None:
                self._all.nearest(*ray)
                continue
            low, high = self._room
            if (ray[0].min(1) > low).all() and (ray[0].max(1) < high).all():
                self._cast_in_room(*ray, directions[:, part])
                continue
            inside = ((ray[0] > low[:, None]) & (ray[0] < high[:, None])).all(0) & ~np.isnan(ray[1]).any(0)
            for in_room in (True, False):
                index = np.flatnonzero(inside == in_room)
                some = ray[0][:, index], ray[1][:, index], ray[2][index], ray[3][index]
                if in_room:
                    self._cast_in_room(*some, directions[:, part][:, index])
                else:
                    self._all.nearest(*some)
                ray[2][index], ray[3][index] = some[2:]
        return objects, depth

    def _cast_in_room(
        self,
        origins: np.ndarray,
        inverse: np.ndarray,
        depth: np.ndarray,
        objects: np.ndarray,
        directions: np.ndarray,
    ) -> None:
        """Cast rays that start inside the room; fills `depth` and `objects`."""
        low, high = self._room
        exits = [_span(low[axis], high[axis], origins[axis], inverse[axis])[1] for axis in range(3)]
        np.minimum(exits[0], exits[1], out=depth)
        np.minimum(depth, exits[2], out=depth)
        spans = [[_span(*edge, origins[axis], inverse[axis]) for edge in self._slabs[axis]] for axis in range(3)]
        for entry, _ in spans[1]:
            np.maximum(entry, 0.0, out=entry)
        for group, (x, y, z) in zip(self._groups, self._hull_slabs, strict=True):
            entry = np.maximum(spans[0][x][0], spans[1][y][0])
            np.maximum(entry, spans[2][z][0], out=entry)
            leave = np.minimum(spans[0][x][1], spans[1][y][1])
            np.minimum(leave, spans[2][z][1], out=leave)
            np.minimum(leave, depth, out=leave)
            index = np.flatnonzero(entry <= leave)
            some = depth.take(index), objects.take(index)
            group.nearest(origins.take(index, axis=1), inverse.take(index, axis=1), *some)
            depth[index], objects[index] = some
        for axis, tiles in enumerate(self._tiles):
            # Hits in the room are nearer than all its planes, so these rays hit no group.
            index = np.flatnonzero(depth == exits[axis])
            far, cells = depth.take(index), []
            for other, edges in zip(tiles.axes, tiles.breaks, strict=True):
                if len(edges):
                    where = origins[other].take(index) + far * directions[other].take(index)
                    cells.append(np.searchsorted(edges, where, "right"))
                else:
                    cells.append(0)
            objects[index] = tiles.table[(inverse[axis].take(index) > 0).view(np.int8), cells[0], cells[1]]


def _shared_slabs(hulls: list[tuple[np.ndarray, np.ndarray]]) -> tuple[list[list[tuple[float, float]]], list]:
    """Widen boxes that nearly share their edges along an axis until they do, so that one test serves several.

    Returns
    -------
    slabs : list of list of tuple
        For every axis, pairs of planes.
    index : list of tuple
        For every box, which pair it has along x, y and z.
    """
    slabs: list[list[tuple[float, float]]] = []
    columns = []
    for axis in range(3):
        found: list[tuple[float, float]] = []
        column = []
        for low, high in ((float(low[axis]), float(high[axis])) for low, high in hulls):
            near = 0.05 * (high - low)
            same = [i for i, edge in enumerate(found) if abs(edge[0] - low) <= near and abs(edge[1] - high) <= near]
            if same:
                found[same[0]] = (min(found[same[0]][0], low), max(found[same[0]][1], high))
            else:
                same = [len(found)]
                found.append((low, high))
            column.append(same[0])
        slabs.append(found)
        columns.append(column)
    return slabs, list(zip(*columns, strict=True))
