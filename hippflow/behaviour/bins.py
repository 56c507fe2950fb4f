"""Numbers of the places that can be looked at, as VirtualMaze's binData.hdf has them.

Numbers start at 1: cue, hint, floor, ceiling, the four walls level by level, then the
pillars. With N bins along the maze's width W a bin is W/N wide; with N = 40 the Double
Tee has 5122 of them. Levels and pillar faces hold as many bins of that size as fit,
rounded up, and are divided evenly.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np

from hippflow.behaviour.scene import FLOOR, SIDES, Grid
from hippflow.errors import ConfigError

#: A count of bins that is whole within this is whole.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class _Face:
    """Bins of one surface: columns along a horizontal axis with a direction, rows along another axis, from `first`.

    A point's column is floor((sign * p[axis] + offset) / width), its row floor((p[up] + up_offset) / height).
    `plane` is the coordinate of the surface on the axis that is left.
    """

    first: int
    row_step: int
    n_columns: int
    n_rows: int
    axis: int
    sign: int
    offset: float
    width: float
    up: int
    up_offset: float
    height: float
    plane: float

    def numbers(self, along: np.ndarray, up: np.ndarray) -> np.ndarray:
        """Return the bins of points with these coordinates on the two axes; what is past the edge is at the edge."""
        column = np.floor((self.sign * along + self.offset) / self.width).clip(0, self.n_columns - 1)
        row = np.floor((up + self.up_offset) / self.height).clip(0, self.n_rows - 1)
        return self.first + column + self.row_step * row


def _count(length: float, size: float) -> int:
    return max(1, ceil(length / size - _ROUNDING))


def _horizontal(first: int, n: int, grid: Grid, plane: float) -> _Face:
    size, half = grid.width / n, grid.width / 2
    return _Face(first, n, n, n, 0, 1, half - grid.centre[0], size, 2, half - grid.centre[1], size, plane)


def _upright(
    first: int, size: float, centre: tuple[float, float], width: float, bottom: float, height: float
) -> list[_Face]:
    """Return the four faces around `centre`, numbered level by level: -x, +z, +x, -z."""
    columns, levels = _count(width, size), _count(height, size)
    faces = []
    for number, side in enumerate(SIDES):
        across = 0 if side[1] == "z" else 1  # index into centre of the axis that the columns follow
        sign = 1 if number < 2 else -1
        outward = 1 if side[0] == "+" else -1
        faces.append(
            _Face(
                first=first + number * columns,
                row_step=4 * columns,
                n_columns=columns,
                n_rows=levels,
                axis=2 * across,
                sign=sign,
                offset=width / 2 - sign * centre[across],
                width=width / columns,
                up=1,
                up_offset=-bottom,
                height=height / levels,
                plane=centre[1 - across] + outward * width / 2,
            )
        )
    return faces


class BinGrid:
    """The bins of a maze.

    Parameters
    ----------
    grid : Grid
        Where they lie.
    per_side : int
        Bins along the floor's side.

    Raises
    ------
    ConfigError
        `per_side` is no positive whole number.

    Examples
    --------
    >>> pillars = tuple((x, z, 5.0, -0.09, 3.0) for x, z in ((5, -5), (-5, -5), (5, 5), (-5, 5)))
    >>> bins = BinGrid(Grid((-0.22, 0.13), 25.0, 0.0, 4.93, 0.0, 5.0, pillars), 40)
    >>> bins.n_bins
    5122
    >>> surface, centre = bins.places(np.array([3]))
    >>> int(surface[0]) == FLOOR, centre.round(4).T.tolist()
    (True, [[-12.4075, 0.0, -12.0575]])
    >>> bins.numbers(surface, centre).tolist()
    [3]
    """

    def __init__(self, grid: Grid, per_side: int = 40):
        if isinstance(per_side, bool) or not isinstance(per_side, int) or per_side < 1:
            raise ConfigError(
                f"raycast.bins_per_side: expected a positive whole number, found {per_side!r}; "
                "40 is what VirtualMaze uses"
            )
        size, first = grid.width / per_side, 3
        faces = [_horizontal(first, per_side, grid, grid.floor)]
        first += per_side**2
        faces.append(_horizontal(first, per_side, grid, grid.ceiling))
        first += per_side**2
        boxes = [(grid.centre, grid.width, grid.wall_bottom, grid.wall_height)]
        boxes += [((x, z), *shape) for x, z, *shape in grid.pillars]
        for box in boxes:
            around = _upright(first, size, *box)
            faces += around
            first += 4 * around[0].n_columns * around[0].n_rows
        #: How many bins there are; their numbers are 1 to this.
        self.n_bins = first - 1
        self._faces = dict(enumerate(faces, FLOOR))

    def numbers(self, surfaces: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return the bin of each point on a surface.

        Parameters
        ----------
        surfaces : ndarray of int
            Shape (N,), surface codes (:attr:`hippflow.behaviour.scene.Scene.surface`).
        points : ndarray of float64
            Shape (3, N). Points past the edge of their surface's grid are in the bin at the edge.

        Returns
        -------
        ndarray of int32
            Shape (N,).
        """
        numbers = np.add(surfaces, 1, dtype=np.int32)  # cue and hint are bins 1 and 2, wherever on them the point is
        order = np.argsort(surfaces, kind="stable")
        bounds = np.searchsorted(surfaces[order], np.arange(FLOOR, FLOOR + len(self._faces) + 1))
        for face, start, stop in zip(self._faces.values(), bounds[:-1], bounds[1:], strict=True):
            if start < stop:
                index = order[start:stop]
                numbers[index] = face.numbers(points[face.axis][index], points[face.up][index])
        return numbers

    def places(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the surface code of each bin and the middle of the bin.

        Parameters
        ----------
        numbers : ndarray of int
            Shape (N,), 1 to :attr:`n_bins`.

        Returns
        -------
        surfaces : ndarray of int16
            Shape (N,).
        centres : ndarray of float64
            Shape (3, N), maze units; NaN for the cue and the hint, which are on the screen.

        Raises
        ------
        ValueError
            A number that is no bin's.
        """
        numbers = np.asarray(numbers, np.int64)
        if numbers.size and (numbers.min() < 1 or numbers.max() > self.n_bins):
            raise ValueError(f"expected bins from 1 to {self.n_bins}, found {numbers.min()} to {numbers.max()}")
        surfaces = (numbers - 1).astype(np.int16)
        centres = np.full((3, len(numbers)), np.nan)
        for code, face in self._faces.items():
            row, column = np.divmod(numbers - face.first, face.row_step)
            index = np.flatnonzero((row >= 0) & (row < face.n_rows) & (column < face.n_columns))
            surfaces[index] = code
            centres[face.axis, index] = face.sign * ((column[index] + 0.5) * face.width - face.offset)
            centres[face.up, index] = (row[index] + 0.5) * face.height - face.up_offset
            centres[3 - face.axis - face.up, index] = face.plane
        return surfaces, centres
