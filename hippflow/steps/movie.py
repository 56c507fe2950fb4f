"""movie: the frames of a recording's planes as suite2p reads them, and their projections over time."""

import json
import logging
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hippflow.errors import ConfigError, FormatError, SignalError
from hippflow.imaging.projection import Projections
from hippflow.io.atomic import whole_file
from hippflow.io.tiff import TiffMovie
from hippflow.progress import Progress

log = logging.getLogger(__name__)

#: suite2p makes nothing of fewer frames a plane.
MIN_FRAMES = 10

_LIMITS = np.iinfo(np.int16)


class _TooLarge(Exception):
    """A uint16 value that only its half makes an int16."""


class _Plane:
    """The products of one plane while they are written.

    The windows' projections, of which a movie of many planes has more than memory, wait in files without a name.
    """

    def __init__(self, binary: BinaryIO, maxima: BinaryIO, deviations: BinaryIO, movie: TiffMovie):
        self._binary, self._maxima, self._deviations = binary, maxima, deviations
        self._movie = movie
        self.restart()

    def restart(self) -> None:
        """Forget all frames."""
        for file in (self._binary, self._maxima, self._deviations):
            file.seek(0)
            file.truncate()
        self._projections = Projections(self._movie.n_frames, (self._movie.height, self._movie.width))

    def add(self, frames: np.ndarray) -> None:
        """Write the next frames."""
        frames = np.ascontiguousarray(frames, "<i2")
        self._binary.write(frames)
        for window in self._projections.add(frames):
            self._maxima.write(window.maximum)
            self._deviations.write(window.standard_deviation.astype(np.float32))

    def save(self, path: Path, scale: int) -> None:
        """Write the projections as an archive of numpy, one array after another.

        They are stored as they are: compressing their noise, by a third, takes longer than all the rest.
        """
        total = self._projections.total()
        starts = self._projections.window_start
        arrays = {
            "first": self._projections.first,
            "maximum": total.maximum,
            "mean": total.mean,
            "standard_deviation": total.standard_deviation,
            "window_start": starts,
            "n_frames": np.array(total.n_frames),
            "scale": np.array(scale),
        }
        spooled = {"window_maximum": (self._maxima, "<i2"), "window_standard_deviation": (self._deviations, "<f4")}
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array)
            for name, (file, dtype) in spooled.items():
                header = {"descr": dtype, "fortran_order": False, "shape": (starts.size, *total.maximum.shape)}
                file.seek(0)
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array_header_1_0(member, header)
                    shutil.copyfileobj(file, member, 1 << 20)


def _as_int16(frames: np.ndarray, first: int, channel: int, movie: TiffMovie, scale: int) -> np.ndarray:
    """Return frames as int16; never let a value wrap around.

    Raises _TooLarge where `scale` must be 2, FormatError where nothing helps.
    """
    if frames.dtype == np.uint16:
        if scale == 2:
            np.right_shift(frames, 1, out=frames)
        elif frames.max() > _LIMITS.max:
            raise _TooLarge
        return frames.view(np.int16)
    if frames.dtype.itemsize > 2 and (frames.min() < _LIMITS.min or frames.max() > _LIMITS.max):
        wrong = (frames < _LIMITS.min) | (frames > _LIMITS.max)
        time, plane, row, column = (int(i) for i in np.argwhere(wrong)[0])
        page = ((first + time) * movie.planes + plane) * movie.channels + channel - 1
        raise FormatError(
            f"{movie.file_of(page)}: expected values from {_LIMITS.min} to {_LIMITS.max}, found "
            f"{frames[time, plane, row, column]} in frame {first + time + 1} of plane {plane} (row {row}, column "
            f"{column}); export the recording as int16 or uint16"
        )
    return frames.astype(np.int16, copy=False)


def _check(movie: TiffMovie, n_planes: int, channel: int) -> None:
    if movie.planes != n_planes:
        raise ConfigError(
            f"{movie.files[0]}: expected {n_planes} planes, for which there are products, found {movie.planes} in the "
            "files and movie.planes; start the workflow anew, so that it reads the files again"
        )
    if not 1 <= channel <= movie.channels:
        raise ConfigError(
            f"{movie.files[0]}: expected movie.functional_channel from 1 to {movie.channels}, the channels of this "
            f"recording, found {channel}; set it to the channel of the indicator"
        )
    if movie.n_frames < MIN_FRAMES:
        raise SignalError(
            f"{movie.files[0]}: expected at least {MIN_FRAMES} frames a plane, which suite2p needs, found "
            f"{movie.n_frames} ({movie.n_pages} frames in {movie.planes} planes and {movie.channels} channels); see "
            "whether files are missing, and whether movie.planes and movie.channels are right"
        )


def make_movie(
    files: Sequence[str | Path],
    binaries: Sequence[str | Path],
    projections: Sequence[str | Path],
    report: str | Path,
    *,
    planes: Any = "auto",
    channels: Any = "auto",
    functional_channel: int = 1,
) -> None:
    """Write the frames of every plane as suite2p's binary, and their projections, in one pass over the recording.

    Values stay as they are: int16, uint8 and int8 always, uint16 as long as none is above 32767. If one is, all values
    are halved and rounded down, as suite2p does with every uint16 file, and `scale` is 2. int32 and uint32 are taken
    where all values are an int16.

    Parameters
    ----------
    files : sequence of path
        TIFF files in the order of time.
    binaries : sequence of path
        ``plane0.bin`` ...: int16, little-endian, frame after frame.
    projections : sequence of path
        ``plane0.npz`` ...: `first`, `maximum` (int16), `mean`, `standard_deviation` (float64, of the population) over
        all frames; `window_start`, `window_maximum` (int16) and `window_standard_deviation` (float32) of up to 48 equal
        windows of time; `n_frames`; `scale`.
    report : path
        ``movie.json``: what was recorded.
    planes, channels : int or "auto"
        As the frames are interleaved, where the files do not say it.
    functional_channel : int
        The channel that is written, from 1.

    Raises
    ------
    FormatError
        Files that are damaged or no movie, or values that are no int16. Nothing is written.
    ConfigError
        Planes or channels that the files contradict.
    SignalError
        Fewer than 10 frames a plane.
    """
    movie = TiffMovie(files, planes, channels)
    _check(movie, len(binaries), functional_channel)
    with ExitStack() as stack:
        part = stack.enter_context(whole_file(report))
        archives = [stack.enter_context(whole_file(path)) for path in projections]
        made = []
        for path in binaries:
            binary = stack.enter_context(open(stack.enter_context(whole_file(path)), "wb"))
            maxima = stack.enter_context(tempfile.TemporaryFile(dir=Path(path).parent))
            deviations = stack.enter_context(tempfile.TemporaryFile(dir=Path(path).parent))
            made.append(_Plane(binary, maxima, deviations, movie))
        try:
            scale = 1
            _write_frames(movie, made, functional_channel, scale)
        except _TooLarge:
            log.info("%s: values above %d, all are halved", movie.files[0], _LIMITS.max)
            scale = 2
            for plane in made:
                plane.restart()
            _write_frames(movie, made, functional_channel, scale)
        for plane, path in zip(made, archives, strict=True):
            plane.save(path, scale)
        part.write_text(json.dumps(_report(movie, functional_channel, scale), indent=1) + "\n")
    log.info("%s: %d frames of %d planes", movie.files[0].parent, movie.n_frames, movie.planes)


def _write_frames(movie: TiffMovie, planes: list[_Plane], channel: int, scale: int) -> None:
    progress = Progress(movie.n_frames * movie.planes, "movie", "frames")
    for first, frames in movie.blocks(channel):
        values = _as_int16(frames, first, channel, movie, scale)
        for i, plane in enumerate(planes):
            plane.add(values[:, i])
        progress.update(len(frames) * movie.planes)


def _report(movie: TiffMovie, channel: int, scale: int) -> dict[str, Any]:
    return {
        "files": [path.name for path in movie.files],
        "n_frames": movie.n_frames,
        "planes": movie.planes,
        "channels": movie.channels,
        "functional_channel": channel,
        "dtype": movie.dtype.name,
        "height": movie.height,
        "width": movie.width,
        "scale": scale,
        "total_frames": movie.n_pages,
    }
