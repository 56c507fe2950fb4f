"""What a two-photon microscope would see of the demo's tissue without noise or motion.

Writes nothing. A plane has cells, neuropil and structure that does not change. Cells are
nuclei as of a zebrafish with GCaMP6s in them: flat-topped, slightly elliptic discs with an
edge as soft as the microscope's focus, that nearly never touch. Each belongs to one of
four groups, of decreasing size, whose cells lie around a common place and take part in
the group's events; it also has events of its own. Neuropil is smooth, follows the groups
around it in part, and has slow modes of its own, so that a cell's surround is worth subtracting.

Brightness is in photons per pixel and frame, places in pixels of the field of view, (y, x).
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array

from hippflow.demo.timeline import generator

N_GROUPS = 4

#: Share of the cells that each group has.
GROUP_SHARES = (0.34, 0.27, 0.22, 0.17)

#: Seconds in which a nucleus's fluorescence falls to 1/e after an event, and scale of its rise.
DECAY, RISE = 1.8, 0.25

#: Pixels of field per cell, smallest distance of two centres, and of a centre from the field's edge.
AREA_PER_CELL, MIN_DISTANCE, EDGE = 280.0, 10.0, 9.0

#: Semi-axes of a nucleus (lowest, highest), and how soft its edge is, in pixels.
RADII, SOFTNESS = (3.1, 3.9), 0.7

#: Pixels by which the tissue goes on beyond the field, on every side.
MARGIN = 8

#: Events per second of a group and of a cell by itself, and the share of its cells that takes part in one.
GROUP_RATE, PRIVATE_RATE, PARTICIPATION = 0.045, 0.02, 0.85

# Photons: of a cell at rest (median), of the tissue around it.
_CELL, _TISSUE = 6.0, 5.0

# dF/F of an event (median); of neuropil: its own modes, and for a group's event.
_EVENT, _NEUROPIL, _ECHO = 1.5, 0.08, 0.15


@dataclass(frozen=True, eq=False)
class Cells:
    """The nuclei of a plane.

    Attributes
    ----------
    centres : ndarray, float64 (n, 2)
        y and x in pixels of the field.
    axes : ndarray, float64 (n, 2)
        Semi-axes in pixels.
    angles : ndarray, float64 (n,)
        Direction of the first semi-axis from y towards x, radians.
    brightness : ndarray, float64 (n,)
        Photons per pixel and frame at rest, tissue not included.
    groups : ndarray, int64 (n,)
        0 to 3.
    """

    centres: np.ndarray
    axes: np.ndarray
    angles: np.ndarray
    brightness: np.ndarray
    groups: np.ndarray


def footprints(cells: Cells, shape: tuple[int, int]) -> csr_array:
    """Return how strongly each cell is in each pixel.

    Parameters
    ----------
    cells : Cells
    shape : tuple of int
        Height and width of the field.

    Returns
    -------
    csr_array, float32 (pixels, n)
        0 to 1, 0.5 on a cell's rim; pixels in C order, `MARGIN` included.
    """
    height, width = np.array(shape) + 2 * MARGIN
    reach = int(np.ceil(RADII[1] + 8 * SOFTNESS))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    pixels, values = [], []
    for (cy, cx), (a, b), angle in zip(cells.centres, cells.axes, cells.angles, strict=True):
        y, x = round(cy) + dy, round(cx) + dx
        along = (y - cy) * np.cos(angle) + (x - cx) * np.sin(angle)
        across = (x - cx) * np.cos(angle) - (y - cy) * np.sin(angle)
        beyond = (np.hypot(along / a, across / b) - 1) * np.sqrt(a * b)
        pixels.append(((y + MARGIN) * width + x + MARGIN).ravel())
        values.append((1 / (1 + np.exp(beyond / SOFTNESS))).astype(np.float32).ravel())
    columns = np.repeat(np.arange(len(cells.centres)), dy.size)
    places = (np.concatenate(pixels), columns)
    return csr_array((np.concatenate(values), places), shape=(height * width, len(cells.centres)))


@dataclass(frozen=True, eq=False)
class Scene:
    """A plane and what happens in it, for frames 0 to T - 1.

    Attributes
    ----------
    cells : Cells
    footprints : csr_array, float32 (H * W, n)
        How strongly each cell is in each pixel, `MARGIN` included.
    dff : ndarray, float32 (n, T)
        Change of the cells' fluorescence over that at rest.
    bleaching : ndarray, float32 (T,)
        What is left of the fluorophore, 1 at first.
    tissue : ndarray, float32 (H, W)
        Photons that are not the cells', `MARGIN` included.
    modes : ndarray, float32 (m, H, W)
        Where neuropil changes: share of `tissue`.
    neuropil : ndarray, float32 (m, T)
        dF/F of the modes.
    """

    cells: Cells
    footprints: csr_array
    dff: np.ndarray
    bleaching: np.ndarray
    tissue: np.ndarray
    modes: np.ndarray
    neuropil: np.ndarray

    def render(self, first: int, stop: int) -> np.ndarray:
        """Return photons expected in frames `first` to `stop`, float32 (stop - first, H, W), `MARGIN` included."""
        height, width = self.tissue.shape
        light = self.cells.brightness[:, None] * (1 + self.dff[:, first:stop])
        photons = (self.footprints @ light.astype(np.float32)).T.reshape(-1, height, width)
        for frame, weights in zip(photons, self.neuropil.T[first:stop], strict=True):
            around = np.ones_like(self.tissue)
            for mode, weight in zip(self.modes, weights, strict=True):
                around += weight * mode
            frame += self.tissue * around
        return photons * self.bleaching[first:stop, None, None]


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> np.ndarray:
    """Return noise of unit variance that is smooth over `sigma` pixels."""
    noise = gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return (noise - noise.mean()) / noise.std()


def place_cells(shape: tuple[int, int], seed: int, plane: int) -> Cells:
    """Draw the nuclei of a plane.

    Examples
    --------
    >>> cells = place_cells((128, 144), seed=1, plane=0)
    >>> gaps = np.linalg.norm(cells.centres[:, None] - cells.centres, axis=2)
    >>> bool((gaps[gaps > 0] >= MIN_DISTANCE).all()), np.unique(cells.groups).tolist()
    (True, [0, 1, 2, 3])
    """
    rng = generator(seed, "imaging cells", plane)
    room = np.array(shape) - 2 * EDGE
    wanted = max(N_GROUPS, round(shape[0] * shape[1] / AREA_PER_CELL))
    centres = np.zeros((0, 2))
    for candidate in EDGE + rng.random((60 * wanted, 2)) * room:
        if len(centres) < wanted and (np.hypot(*(centres - candidate).T) >= MIN_DISTANCE).all():
            centres = np.vstack([centres, candidate])
    n = len(centres)
    axes = rng.uniform(*RADII, (n, 2))
    angles = rng.uniform(0, np.pi, n)
    brightness = _CELL * np.exp(0.25 * rng.standard_normal(n))
    return Cells(centres, axes, angles, brightness, _assign_groups(centres / shape, rng))


def _assign_groups(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give every cell a group: sizes as in `GROUP_SHARES`, each loosely around a place of its own."""
    n = len(places)
    homes = np.array([(0.3, 0.3), (0.7, 0.65), (0.3, 0.75), (0.75, 0.25)])
    sizes = np.diff(np.rint(np.concatenate([[0], np.cumsum(GROUP_SHARES)]) * n).astype(int))
    # the groups choose in turn; distances are blurred so that groups mix at their borders
    far = np.linalg.norm(places[:, None] - homes, axis=2) + rng.normal(0, 0.15, (n, N_GROUPS))
    turns = rng.permutation(np.repeat(np.arange(N_GROUPS), sizes))
    groups = np.full(n, -1)
    for group in turns:
        groups[np.argmin(np.where(groups < 0, far[:, group], np.inf))] = group
    return groups


def _event_times(rng: np.random.Generator, rate: float, seconds: float) -> np.ndarray:
    """Draw events that come at `rate` but not within a few seconds of each other."""
    gaps = rng.gamma(2, 0.5 / rate, int(3 * rate * seconds) + 20)
    times = np.cumsum(gaps) - gaps[0] * rng.random()
    return times[times < seconds]


def _response(times: np.ndarray, event: float) -> np.ndarray:
    """Return the time course of an event's fluorescence, 1 at its largest, at `times` (s)."""
    since = np.maximum(times - event, 0)
    peak = RISE * np.log1p(DECAY / RISE)
    return (1 - np.exp(-since / RISE)) * np.exp(-since / DECAY) / ((1 - np.exp(-peak / RISE)) * np.exp(-peak / DECAY))


def draw_activity(
    cells: Cells, times: np.ndarray, seconds: float, seed: int, plane: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw what cells and groups do.

    Parameters
    ----------
    cells : Cells
    times : ndarray, (T,)
        When the plane's frames are, s.
    seconds : float
        Length of the recording. The groups' events are the same in all planes.
    seed, plane : int

    Returns
    -------
    dff : ndarray, float32 (n, T)
        dF/F of the cells.
    drive : ndarray, float64 (4, T)
        dF/F of a cell that took part in all of its group's events.
    """
    dff = np.zeros((len(cells.groups), len(times)))
    drive = np.zeros((N_GROUPS, len(times)))
    own = generator(seed, "imaging activity", plane)
    for group in range(N_GROUPS):
        rng = generator(seed, "imaging group", group)
        members = np.flatnonzero(cells.groups == group)
        for event in _event_times(rng, GROUP_RATE, seconds):
            size = _EVENT * np.exp(0.3 * rng.standard_normal())
            course = size * _response(times, event)
            drive[group] += course
            taking_part = own.random(len(members)) < PARTICIPATION
            gains = taking_part * np.exp(0.25 * own.standard_normal(len(members)))
            dff[members] += gains[:, None] * course
    for trace in dff:
        for event in _event_times(own, PRIVATE_RATE, seconds):
            trace += _EVENT * np.exp(0.3 * own.standard_normal()) * _response(times, event)
    return dff.astype(np.float32), drive


def _neuropil(
    cells: Cells, drive: np.ndarray, shape: tuple[int, int], times: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return where neuropil changes and how: an echo of each group around its cells, and two slow modes."""
    y, x = np.mgrid[-MARGIN : shape[0] + MARGIN, -MARGIN : shape[1] + MARGIN]
    modes, courses = [], []
    for group in range(N_GROUPS):
        home = cells.centres[cells.groups == group].mean(axis=0)
        away = np.hypot(y - home[0], x - home[1]) / (0.35 * min(shape))
        modes.append(np.exp(-(away**2) / 2))
        courses.append(_ECHO * drive[group])
    step = np.diff(times, append=2 * times[-1] - times[-2]).mean()
    kept = np.exp(-step / 15.0)  # slow modes forget in 15 s
    for _ in range(2):
        modes.append(1 + 0.5 * _smooth_noise(rng, y.shape, 25))
        course = np.zeros(len(times))
        for i in range(1, len(times)):
            course[i] = kept * course[i - 1] + np.sqrt(1 - kept**2) * rng.standard_normal()
        courses.append(_NEUROPIL * course)
    return np.array(modes, np.float32), np.array(courses, np.float32)


def make_scene(shape: tuple[int, int], times: np.ndarray, seconds: float, seed: int, plane: int) -> Scene:
    """Draw a plane and everything that happens in it.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the field, pixels.
    times : ndarray, (T,)
        When its frames are, s.
    seconds : float
        Length of the recording.
    seed, plane : int
    """
    cells = place_cells(shape, seed, plane)
    dff, drive = draw_activity(cells, times, seconds, seed, plane)
    rng = generator(seed, "imaging tissue", plane)
    extent = (shape[0] + 2 * MARGIN, shape[1] + 2 * MARGIN)
    grain = 1 + 0.18 * _smooth_noise(rng, extent, 1.2) + 0.2 * _smooth_noise(rng, extent, 14)
    tissue = (_TISSUE * np.maximum(grain, 0.2)).astype(np.float32)
    modes, courses = _neuropil(cells, drive, shape, times, rng)
    # an eighth is bleached within the first fifth of the recording, the rest slowly
    share = times / seconds
    bleaching = 0.12 * np.exp(-share / 0.08) + 0.88 * np.exp(-share / 5)
    bleaching = (bleaching / bleaching[0]).astype(np.float32)
    return Scene(cells, footprints(cells, shape), dff, bleaching, tissue, modes, courses)
