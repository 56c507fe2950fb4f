"""registration: a plane's movie with the motion taken out, and the shifts."""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from hippflow.errors import FormatError
from hippflow.imaging.settings import registration_settings, resolve_registration
from hippflow.io.atomic import whole_file
from hippflow.progress import Progress

log = logging.getLogger(__name__)

#: What this step imports when it starts to work, which takes longer than all else (hippflow.forks).
LATE_IMPORTS = ("hippflow.imaging.registration",)


class MovieFile:
    """A binary movie of suite2p's, int16 frames one after the other, read and written by slices.

    Unlike suite2p's own class it maps no memory: what a job takes does not grow with the movie, and what is opened
    for reading cannot be altered.

    Parameters
    ----------
    path : path
    shape : tuple of int
        Frames, height and width.
    write : bool
        Make the file anew.
    written : callable, optional
        Is told the number of frames of every write.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "data.bin"
    >>> with MovieFile(path, (5, 2, 3), write=True) as movie:
    ...     movie[1:3] = np.full((2, 2, 3), 40000.0)
    ...     movie[2:6].max()
    np.int16(32766)
    """

    def __init__(
        self,
        path: str | Path,
        shape: tuple[int, int, int],
        *,
        write: bool = False,
        written: Callable[[int], None] | None = None,
    ):
        self.path, self.shape = Path(path), shape
        self._written = written
        self._frame_bytes = 2 * shape[1] * shape[2]
        self._file = open(path, "w+b" if write else "rb", buffering=0)  # noqa: SIM115 - closed by __exit__
        if write:
            self._file.truncate(shape[0] * self._frame_bytes)

    def __enter__(self) -> "MovieFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _read(self, start: int, stop: int) -> np.ndarray:
        frames = np.empty((max(0, stop - start), *self.shape[1:]), "<i2")
        view = memoryview(frames.reshape(-1).view(np.uint8))
        self._file.seek(start * self._frame_bytes)
        while view:
            n_bytes = self._file.readinto(view)
            if not n_bytes:
                raise FormatError(
                    f"{self.path}: expected {self.shape[0]} frames, it ends in frame {stop - 1} or before"
                )
            view = view[n_bytes:]
        return frames

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        """Return frames by number, slice or array of numbers."""
        if isinstance(index, slice):
            start, stop, step = index.indices(self.shape[0])
            return self._read(start, stop)[::step]
        if np.ndim(index) == 0:
            return self._read(int(index), int(index) + 1)[0]
        numbers = np.asarray(index)
        frames = np.empty((len(numbers), *self.shape[1:]), np.int16)
        for frame, number in zip(frames, numbers, strict=True):
            frame[:] = self[int(number)]
        return frames

    def __setitem__(self, index: slice, frames: np.ndarray) -> None:
        """Write consecutive frames; other types than int16 are clipped as suite2p does it."""
        if frames.dtype != np.int16:
            frames = np.minimum(frames, 2**15 - 2).astype(np.int16)
        start, _, _ = index.indices(self.shape[0])
        view = memoryview(np.ascontiguousarray(frames, "<i2").reshape(-1).view(np.uint8))
        self._file.seek(start * self._frame_bytes)
        while view:
            view = view[self._file.write(view) :]
        if self._written:
            self._written(len(frames))


def read_report(report: str | Path, movie: str | Path) -> tuple[int, int, int]:
    """Return frames, height and width of a plane's binary movie from the recording's ``movie.json``.

    Raises
    ------
    FormatError
        The binary file has another size.
    """
    found = json.loads(Path(report).read_text())
    shape = (int(found["n_frames"]), int(found["height"]), int(found["width"]))
    expected, size = 2 * math.prod(shape), Path(movie).stat().st_size
    if size != expected:
        raise FormatError(
            f"{movie}: expected {shape[0]} frames of {shape[1]} x {shape[2]} pixels ({expected} bytes) as {report} "
            f"says, found {size} bytes; delete both to have them made anew"
        )
    return shape


def save_array(path: str | Path, value: Any) -> None:
    """Write an array, or a dictionary as suite2p does, as a whole ``.npy`` file."""
    from hippflow.imaging.suite2p import plain

    with whole_file(path) as part, part.open("wb") as file:
        np.save(file, plain(value), allow_pickle=True)


def register_plane(
    movie: str | Path,
    report: str | Path,
    data: str | Path,
    registration: str | Path,
    *,
    settings: dict[str, Any],
    threads: int = 1,
) -> None:
    """Register a plane and write ``data.bin`` and ``reg_outputs.npy``.

    With ``suite2p.run.do_registration: 0`` ``data.bin`` is a copy of the movie.

    Parameters
    ----------
    movie : path
        ``movie/planeN.bin``; only read.
    report : path
        ``movie/movie.json``.
    data, registration : path
        ``suite2p/planeN/data.bin`` and ``reg_outputs.npy``.
    settings : dict
        suite2p's blocks as in config.yaml; what does not concern registration may be missing.
    threads : int

    Raises
    ------
    ConfigError
        Settings that are wrong or impossible for frames of this size, or no GPU where one is asked for.
    ImagingError
        Fewer than 10 frames, or no image in them.
    """
    from hippflow.imaging import registration as science
    from hippflow.imaging.suite2p import hear_warnings, open_device, tune

    shape = read_report(report, movie)
    given = registration_settings(settings)
    wanted = given.get("run", {}).get("do_registration", 1)
    group = resolve_registration(given, height=shape[1], width=shape[2])
    device = open_device(given["torch_device"])
    for product in (data, registration):
        Path(product).unlink(missing_ok=True)
    tune(threads)
    with whole_file(data) as part:
        with hear_warnings(), MovieFile(movie, shape) as raw:
            science.check_movie(raw, str(movie))
            passes = 1 + (bool(wanted) and group["two_step_registration"])
            progress = Progress(passes * shape[0], f"registration of {Path(movie).stem}", "frames")
            with MovieFile(part, shape, write=True, written=progress.update) as registered:
                if wanted:
                    outputs = science.register(raw, registered, group, device)
                else:
                    outputs = science.leave_unregistered(raw, registered)
        save_array(registration, outputs)
    log.info(
        "%s: %d frames, %s, %d bad ones",
        data,
        shape[0],
        ("non-rigid" if group["nonrigid"] else "rigid") if wanted else "not registered",
        outputs["badframes"].sum(),
    )
