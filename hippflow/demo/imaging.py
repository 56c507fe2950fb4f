"""A small two-photon recording, with the truth beside it.

Writes, below a root folder::

    zebrafish/20220104/imaging01/imaging01_00001.tif ...  the movie, one page a frame, int16
    zebrafish/20220104/truth.npz, truth.json              written last

as plain multipage TIFF. Frames of several planes take turns, plane by plane, and a file
may end between them. The tissue (:mod:`hippflow.demo.imaging_scene`) is moved by slow
drift, jitter and now and then a twitch, all of it rigid; light arrives as single photons
(Poisson), which the detector makes counts of, with an offset and read noise.
"""

import datetime
import json
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
import tifffile
from scipy import fft

from hippflow.demo.imaging_scene import DECAY, MARGIN, Scene, make_scene
from hippflow.demo.imaging_truth import ImagingTruth, PlaneTruth, save_imaging_truth
from hippflow.demo.timeline import generator
from hippflow.errors import ConfigError
from hippflow.io.atomic import whole_file
from hippflow.progress import Progress

#: Frames per second of a plane.
RATE = 2.0

#: Counts per photon, counts without light, and standard deviation of the read noise in counts.
GAIN, OFFSET, READ_NOISE = 30.0, 60.0, 20.0

#: Fewest frames and pixels a side that hold four groups of cells, and fewest frames that suite2p takes.
MIN_FRAMES, MIN_SIDE = 50, 64

# Standard deviations in pixels of slow drift and of jitter; share of frames with a twitch, and its size.
_DRIFT, _JITTER, _TWITCHES, _TWITCH = 1.2, 0.45, 0.01, 2.0

# No motion is larger: the scene's margin ends there.
_MAX_MOTION = 6.0

# Frames that are rendered at a time.
_BLOCK = 50


def draw_motion(n: int, rate: float, seed: int) -> np.ndarray:
    """Draw where the tissue is in each of `n` frames at `rate` per second.

    Returns
    -------
    ndarray, float64 (n, 2)
        Pixels in y and x by which it lies further down and right than at rest.
    """
    rng = generator(seed, "imaging motion")
    seconds = np.arange(n) / rate
    periods, phases = rng.uniform(150, 500, (3, 2)), rng.uniform(0, 2 * np.pi, (3, 2))
    drift = np.sin(2 * np.pi * seconds[:, None, None] / periods + phases).sum(axis=1) / np.sqrt(1.5)
    twitches = (rng.random((n, 1)) < _TWITCHES) * rng.standard_normal((n, 2))
    motion = _DRIFT * drift + _JITTER * rng.standard_normal((n, 2)) + _TWITCH * twitches
    return np.clip(motion, -_MAX_MOTION, _MAX_MOTION)


def move(images: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Move images by fractions of pixels; what leaves on one side comes back on the other.

    Parameters
    ----------
    images : ndarray, float32 (k, H, W)
    motion : ndarray, (k, 2)
        Pixels in y and x.

    Examples
    --------
    >>> image = np.zeros((1, 4, 6), np.float32)
    >>> image[0, 1, 2] = 1
    >>> np.argwhere(move(image, np.array([[1.0, 3.0]]))[0] > 0.5).tolist()
    [[2, 5]]
    """
    height, width = images.shape[1:]
    down = np.exp(-2j * np.pi * motion[:, :1] * fft.fftfreq(height)).astype(np.complex64)
    right = np.exp(-2j * np.pi * motion[:, 1:] * fft.rfftfreq(width)).astype(np.complex64)
    waves = fft.rfft2(images) * (down[:, :, None] * right[:, None, :])
    return fft.irfft2(waves, (height, width))


class _Recording:
    """A plane in front of the detector.

    Parameters
    ----------
    scene : Scene
    motion : ndarray, float64 (T, 2)
        Pixels in y and x by which the tissue is away from where it rests.
    seed, plane : int
    """

    def __init__(self, scene: Scene, motion: np.ndarray, seed: int, plane: int):
        self.scene, self.motion = scene, motion
        self._seed, self._plane = seed, plane
        self._total, self._frame_means = np.zeros(()), []

    def frames(self) -> Iterator[np.ndarray]:
        """Give the frames as the detector saw them, int16 (H, W)."""
        inside = np.s_[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        for first in range(0, len(self.motion), _BLOCK):
            photons = self.scene.render(first, first + _BLOCK)
            clean = OFFSET + GAIN * photons[inside].astype(np.float64)
            self._total = self._total + clean.sum(axis=0)
            self._frame_means.extend(clean.mean(axis=(1, 2)))
            moved = move(photons, self.motion[first : first + _BLOCK])[inside]
            for index, expected in enumerate(np.maximum(moved, 0), first):
                rng = generator(self._seed, "imaging photons", self._plane, index)
                counts = OFFSET + GAIN * rng.poisson(expected)
                counts += READ_NOISE * rng.standard_normal(expected.shape, np.float32)
                yield np.clip(np.rint(counts), -(2**15), 2**15 - 1).astype(np.int16)

    def truth(self) -> PlaneTruth:
        """Collect what is true of the plane, when all frames have been given."""
        cells, strength = self.scene.cells, self.scene.footprints
        indices = np.where(strength.max(axis=1).toarray() >= 0.5, strength.argmax(axis=1) + 1, 0)
        masks = indices.reshape(self.scene.tissue.shape)[MARGIN:-MARGIN, MARGIN:-MARGIN]
        return PlaneTruth(
            centres=cells.centres,
            radius=np.sqrt(cells.axes.prod(axis=1)),
            groups=cells.groups,
            masks=masks.astype(np.int16),
            dff=self.scene.dff,
            bleaching=self.scene.bleaching,
            motion=self.motion,
            mean=(self._total / len(self.motion)).astype(np.float32),
            frame_means=np.array(self._frame_means),
        )


def _check(subject: str, day: str, recording: str, planes: int, frames: int, size: tuple[int, int], files: int) -> None:
    if not (subject.isascii() and subject.isalpha()):
        raise ConfigError(f"subject: expected letters only, e.g. zebrafish; got {subject!r}")
    try:
        datetime.datetime.strptime(day, "%Y%m%d")
    except ValueError:
        raise ConfigError(f"day: expected a date such as 20220104; got {day!r}") from None
    number = recording.removeprefix("imaging")
    if number == recording or not (len(number) == 2 and number.isascii() and number.isdigit()):
        raise ConfigError(f"recording: expected imaging01 ... imaging99; got {recording!r}")
    if not (planes >= 1 and frames >= MIN_FRAMES and min(size) >= MIN_SIDE and 1 <= files <= frames):
        raise ConfigError(
            f"imaging: expected planes >= 1, frames >= {MIN_FRAMES}, size >= {MIN_SIDE} x {MIN_SIDE} and files in "
            f"1..frames; got {planes!r}, {frames!r}, {size!r} and {files!r}"
        )


def _check_free(folder: Path, names: list[str]) -> None:
    """Refuse to replace what is true of something else, or to leave files in the movie that are not of it."""
    facts = folder.parent / "truth.json"
    if facts.exists() and json.loads(facts.read_text()).get("recording") != folder.name:
        raise ConfigError(
            f"{facts}: expected none, or that of {folder.name}, found that of something else; "
            "write this recording to another day"
        )
    others = sorted({path.name for path in folder.glob("*.tif")} - set(names))
    if others:
        raise ConfigError(f"{folder}: expected no files but {names[0]} ... {names[-1]}, found {others[0]}; remove it")


def _write_movie(
    folder: Path, names: list[str], frames: Iterator[np.ndarray], total: int, shape: tuple[int, int]
) -> None:
    """Divide `total` frames between files whose names are in order, a page each."""
    progress = Progress(total, "demo movie", "frames")

    def pages(count: int) -> Iterator[np.ndarray]:
        for frame in islice(frames, count):
            yield frame
            progress.update()

    ends = np.linspace(0, total, len(names) + 1).astype(int)
    for name, count in zip(names, np.diff(ends).tolist(), strict=True):
        with whole_file(folder / name) as part, tifffile.TiffWriter(part) as tiff:
            stack = {"shape": (count, *shape), "dtype": np.int16, "photometric": "minisblack"}
            tiff.write(pages(count), **stack, metadata=None, software=False)


def write_demo_imaging(
    root: str | Path,
    *,
    subject: str = "zebrafish",
    day: str = "20220104",
    recording: str = "imaging01",
    planes: int = 1,
    frames: int = 900,
    size: tuple[int, int] = (128, 144),
    files: int = 3,
    seed: int = 20220104,
) -> Path:
    """Write a two-photon recording whose truth is known.

    Parameters
    ----------
    root : path
        Folder above the subjects.
    subject, day, recording : str
        Names of the three levels. The day has nothing else.
    planes : int
        Number of planes; their frames take turns.
    frames : int
        Frames of each plane, `RATE` a second.
    size : tuple of int
        Height and width in pixels.
    files : int
        Number of files that the frames of all planes are divided between.
    seed : int
        Equal seeds give equal files.

    Returns
    -------
    Path
        Folder of the recording.

    Raises
    ------
    ConfigError
        A recording that cannot be, or a day that has another one.

    Examples
    --------
    >>> import tempfile
    >>> folder = write_demo_imaging(tempfile.mkdtemp(), frames=60, size=(64, 80), files=2)
    >>> folder.parts[-3:], sorted(path.name for path in folder.iterdir())
    (('zebrafish', '20220104', 'imaging01'), ['imaging01_00001.tif', 'imaging01_00002.tif'])
    """
    _check(subject, day, recording, planes, frames, size, files)
    folder = Path(root, subject, day, recording)
    names = [f"{recording}_{number:05d}.tif" for number in range(1, files + 1)]
    _check_free(folder, names)
    motion = draw_motion(frames * planes, RATE * planes, seed)
    times = np.arange(frames * planes) / (RATE * planes)
    scenes = [make_scene(size, times[plane::planes], frames / RATE, seed, plane) for plane in range(planes)]
    recordings = [_Recording(scene, motion[plane::planes], seed, plane) for plane, scene in enumerate(scenes)]
    turns = chain.from_iterable(zip(*(recorded.frames() for recorded in recordings), strict=True))
    _write_movie(folder, names, turns, frames * planes, size)
    truths = tuple(recorded.truth() for recorded in recordings)
    detector = {"gain": GAIN, "offset": OFFSET, "read_noise": READ_NOISE}
    truth = ImagingTruth(subject, day, recording, seed, RATE, DECAY, detector, truths)
    save_imaging_truth(truth, folder.parent)
    return folder
