"""Mazes as scenes: axis-aligned boxes with names, and where their bins lie.

A scene file is JSON. Lengths are in maze units, y is up, x and z span the floor; `yaw`
is in degrees, 0 = +z, clockwise seen from above, and a multiple of 90.

format
    "hippflow scene 1".
name, description
    Free text; the name goes into the report.
room (optional)
    "lower" and "upper" corner [x, y, z] of the box of free space inside the outer walls.
    Each of its six faces must be tiled by faces of objects. With it, rays that start in
    the room are cast about three times as fast; what is hit does not depend on it.
objects
    name, kind, "centre" [x, y, z] and "size" before the turn by `yaw`. Kinds:
    "floor", "ceiling";
    "wall", with the "side" of the maze that it stands on, "-x", "+z", "+x" or "-z";
    "pillar", one face of one, with the name of its "pillar" and its outer "side";
    "poster", with the name of the object that it "hangs_on".
    "position" is what is reported as the object's position where it is not the centre.
    Floor, ceiling and posters may have no thickness; a poster faces where `yaw` points.
bins
    Grid of bins (hippflow.behaviour.bins): "centre" [x, z] and "width" of the square over
    floor and ceiling, whose edges are the planes of the walls' bins; "bottom" and "height"
    of the walls' bins; for every pillar, in the order of their numbers, "name", "centre"
    [x, z], "width", "bottom" and "height" of its bins.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hippflow.errors import FormatError

FORMAT = "hippflow scene 1"

#: Sides in the order in which their bins are numbered.
SIDES = ("-x", "+z", "+x", "-z")

#: What the images shown on the screen are called among the objects; they follow the scene's own.
IMAGES = ("CueImage", "HintImage")

#: Surface codes: the two images, floor and ceiling, four sides of the maze, four of every pillar.
CUE, HINT, FLOOR, CEILING, WALLS, PILLARS = 0, 1, 2, 3, 4, 8

#: Corners that are the same within this are the same: decimal fractions of the file, added up.
_ROUNDING = 9

#: Direction of an object's own z axis (posters) and x axis (others), as (axis, sign), by its yaw.
_FORWARD = {0: (2, 1), 90: (0, 1), 180: (2, -1), 270: (0, -1)}
_RIGHT = {0: (0, 1), 90: (2, -1), 180: (0, -1), 270: (2, 1)}


@dataclass(frozen=True)
class Grid:
    """Where the bins of a maze lie, in maze units.

    Attributes
    ----------
    centre : tuple of float
        x and z of the floor's grid.
    width : float
        Its side.
    floor, ceiling : float
        Height of the two.
    wall_bottom, wall_height : float
    pillars : tuple of tuple
        Centre x, centre z, width, bottom and height of every pillar.
    """

    centre: tuple[float, float]
    width: float
    floor: float
    ceiling: float
    wall_bottom: float
    wall_height: float
    pillars: tuple[tuple[float, float, float, float, float], ...]


@dataclass(frozen=True)
class Scene:
    """A maze of M objects.

    Attributes
    ----------
    name, source : str
        Name of the maze, and of the file it comes from.
    names : tuple of str
        Names of the objects, then those of the two images on the screen.
    lower, upper : ndarray of float64
        Corners, shape (M, 3).
    position : ndarray of float64
        Shape (M, 3), what offsets are measured from.
    across, along : ndarray of float64
        Shape (M, 3), unit vectors of the two-dimensional offsets.
    surface : ndarray of int16
        Shape (M + 2,), surface code of the bins of every object and both images; posters have their wall's.
    room : ndarray of float64 or None
        Lower and upper corner of the free space, shape (2, 3).
    grid : Grid
    """

    name: str
    source: str
    names: tuple[str, ...]
    lower: np.ndarray
    upper: np.ndarray
    position: np.ndarray
    across: np.ndarray
    along: np.ndarray
    surface: np.ndarray
    room: np.ndarray | None
    grid: Grid

    @property
    def n_objects(self) -> int:
        """M, the images not counted."""
        return len(self.lower)

    def offsets(self, objects: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return where on its object each point lies, seen from the position of the object.

        Parameters
        ----------
        objects : ndarray of int
            Shape (N,), indices of objects (no images).
        points : ndarray of float64
            Shape (3, N).

        Returns
        -------
        ndarray of float64
            Shape (2, N): to the viewer's right and up for posters and walls (right of who looks against
            the wall's own x axis), x and z on the floor, x and -z on the ceiling.
        """
        relative = points.T - self.position[objects]
        return np.stack([(relative * table[objects]).sum(1) for table in (self.across, self.along)])


class _Reader:
    """Takes values out of a scene's dictionary and says which one is wrong."""

    def __init__(self, source: str):
        self.source = source

    def fail(self, where: str, expected: str, found: Any) -> FormatError:
        return FormatError(f"{self.source}: expected {where} to be {expected}, found {found!r}; correct the scene file")

    def mapping(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.fail(where, "an object with keys", value)
        return value

    def items(self, value: Any, where: str) -> list[dict[str, Any]]:
        if not isinstance(value, list):
            raise self.fail(where, "a list", value)
        return [self.mapping(item, f"{where}[{index}]") for index, item in enumerate(value)]

    def numbers(self, data: dict[str, Any], key: str, where: str, n: int, least: float = -np.inf) -> tuple[float, ...]:
        value = data.get(key)
        values = value if n > 1 and isinstance(value, list) else [value]
        good = all(isinstance(v, int | float) and not isinstance(v, bool) and least <= v < np.inf for v in values)
        if not good or len(values) != n:
            what = "a number" if n == 1 else f"{n} numbers"
            raise self.fail(f"{where}.{key}", what if least == -np.inf else f"{what} of at least {least:g}", value)
        return tuple(float(v) for v in values)

    def choice(self, data: dict[str, Any], key: str, where: str, choices: Any) -> Any:
        value = data.get(key)
        if value not in choices:
            raise self.fail(f"{where}.{key}", f"one of {', '.join(map(str, choices))}", value)
        return value


def load_scene(data: dict[str, Any], source: str) -> Scene:
    """Check the contents of a scene file and turn them into arrays.

    Parameters
    ----------
    data : dict
        What the JSON file holds.
    source : str
        Name of the file, for messages.

    Returns
    -------
    Scene

    Raises
    ------
    FormatError
        Something is missing or cannot be; the message says where.
    """
    read = _Reader(source)
    data = read.mapping(data, "the scene")
    read.choice(data, "format", "scene", [FORMAT])
    objects = read.items(data.get("objects"), "objects")
    names = [item.get("name") for item in objects]
    for index, name in enumerate(names):
        printable = isinstance(name, str) and name.isascii() and name.isprintable() and "," not in name
        if not printable or not name or name in [*names[:index], *IMAGES]:
            raise read.fail(f"objects[{index}].name", "a name of its own, in ASCII and without commas", name)
    columns = [_object(read, item) for item in objects]
    lower, upper, position, across, along = (np.array(column, np.float64) for column in zip(*columns, strict=True))
    pillars, grid = _grid(read, data, [item["kind"] for item in objects], lower, upper)
    room = None
    if "room" in data:
        corners = read.mapping(data["room"], "room")
        room = np.array([read.numbers(corners, key, "room", 3) for key in ("lower", "upper")])
        if not (room[0] < room[1]).all():
            raise read.fail("room.upper", "above and beyond room.lower on every axis", data["room"])
    return Scene(
        name=str(data.get("name", source)),
        source=source,
        names=(*names, *IMAGES),
        lower=lower,
        upper=upper,
        position=position,
        across=across,
        along=along,
        surface=np.array([*_surfaces(read, objects, pillars), CUE, HINT], np.int16),
        room=room,
        grid=grid,
    )


def _unit(axis: int, sign: int) -> np.ndarray:
    vector = np.zeros(3)
    vector[axis] = sign
    return vector


def _object(read: _Reader, item: dict[str, Any]) -> tuple[Any, ...]:
    """Return corners, position and the directions of offsets of one object."""
    where = f"object {item['name']!r}"
    kind = read.choice(item, "kind", where, ["floor", "ceiling", "wall", "pillar", "poster"])
    centre = np.array(read.numbers(item, "centre", where, 3))
    size = np.array(read.numbers(item, "size", where, 3, least=0))
    (yaw,) = read.numbers(item, "yaw", where, 1)
    if yaw % 90:
        raise read.fail(f"{where}.yaw", "a multiple of 90", item["yaw"])
    turned = int(yaw % 360)
    half = (size if turned % 180 == 0 else size[::-1]) / 2
    if kind in ("floor", "ceiling"):
        normal = (1, 1 if kind == "floor" else -1)
        across, along = _unit(0, 1), _unit(2, normal[1])
    else:
        normal = _FORWARD[turned] if kind == "poster" else _RIGHT[turned]
        # The right of a viewer who looks against the normal: -x where it is +z, and +z where it is +x.
        across, along = (_unit(2, normal[1]) if normal[0] == 0 else _unit(0, -normal[1])), _unit(1, 1)
    flat = half[normal[0]] == 0
    if np.count_nonzero(half == 0) != flat or (flat and kind in ("wall", "pillar")):
        raise read.fail(f"{where}.size", "positive, but for the thickness of a floor, ceiling or poster", item["size"])
    position = read.numbers(item, "position", where, 3) if "position" in item else tuple(centre)
    lower, upper = np.round(centre - half, _ROUNDING), np.round(centre + half, _ROUNDING)
    return lower, upper, position, across, along


def _grid(read: _Reader, data: dict, kinds: list[str], lower: np.ndarray, upper: np.ndarray) -> tuple[list[str], Grid]:
    """Return the names of the pillars in order, and the grid."""
    for kind in ("floor", "ceiling"):
        if kinds.count(kind) != 1:
            raise read.fail("objects", f"a list with one {kind}", f"{kinds.count(kind)} of them")
    bins = read.mapping(data.get("bins"), "bins")
    wall = read.mapping(bins.get("wall"), "bins.wall")
    pillars = read.items(bins.get("pillars"), "bins.pillars")
    smallest = 1e-6
    shapes = []
    for index, pillar in enumerate(pillars):
        where = f"bins.pillars[{index}]"
        (width,) = read.numbers(pillar, "width", where, 1, smallest)
        (height,) = read.numbers(pillar, "height", where, 1, smallest)
        centre, bottom = read.numbers(pillar, "centre", where, 2), read.numbers(pillar, "bottom", where, 1)
        shapes.append((*centre, width, *bottom, height))
    grid = Grid(
        centre=read.numbers(bins, "centre", "bins", 2),
        width=read.numbers(bins, "width", "bins", 1, smallest)[0],
        floor=float(upper[kinds.index("floor"), 1]),
        ceiling=float(lower[kinds.index("ceiling"), 1]),
        wall_bottom=read.numbers(wall, "bottom", "bins.wall", 1)[0],
        wall_height=read.numbers(wall, "height", "bins.wall", 1, smallest)[0],
        pillars=tuple(shapes),
    )
    return [pillar.get("name") for pillar in pillars], grid


def _surfaces(read: _Reader, objects: list[dict[str, Any]], pillars: list[str]) -> list[int]:
    """Return the surface code of every object; posters have that of the object that they hang on."""
    codes: dict[str, int] = {}
    for item in (item for item in objects if item["kind"] != "poster"):
        where, kind = f"object {item['name']!r}", item["kind"]
        if kind in ("floor", "ceiling"):
            codes[item["name"]] = FLOOR if kind == "floor" else CEILING
            continue
        side = SIDES.index(read.choice(item, "side", where, SIDES))
        base = WALLS
        if kind == "pillar":
            base = PILLARS + 4 * pillars.index(read.choice(item, "pillar", where, pillars))
        codes[item["name"]] = base + side
    for item in (item for item in objects if item["kind"] == "poster"):
        codes |= {item["name"]: codes[read.choice(item, "hangs_on", f"object {item['name']!r}", list(codes))]}
    return [codes[item["name"]] for item in objects]
