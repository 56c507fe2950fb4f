"""projections: the whole recording at a glance, as animated GIFs of its maximum and its standard deviation."""

import logging
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hippflow.errors import FormatError
from hippflow.imaging.gif import MAX_FRAMES, frames_of_planes, frames_of_time, gif_bytes
from hippflow.io.atomic import whole_file

log = logging.getLogger(__name__)

#: What is needed of the movie's projections of a plane.
ARRAYS = ("maximum", "standard_deviation", "window_maximum", "window_standard_deviation")


def make_projections(
    projections: Iterable[str | Path],
    maximum_gif: str | Path,
    standard_deviation_gif: str | Path,
    *,
    axis: str,
    max_pixels: int,
    frame_ms: int,
) -> None:
    """Write the maximum-intensity and the standard-deviation projection of a recording as two animated GIFs.

    Parameters
    ----------
    projections : iterable of path
        ``movie/planeN.npz`` of all planes, in their order.
    maximum_gif, standard_deviation_gif : path
    axis : str
        ``plane``: a frame is the projection of one plane over the whole recording (of one plane, the GIF is a still
        image). ``time``: a frame is the projection of a window of time, several planes side by side. ``auto``:
        ``plane`` where there are several planes, otherwise ``time``.
    max_pixels : int
        Most pixels along the longer side. Larger frames are shrunk; small ones are enlarged by a whole factor.
    frame_ms : int
        How long a frame is shown, in ms; the format has steps of 10.

    Raises
    ------
    FormatError
        A damaged file, or planes that are not of one recording.
    """
    paths = list(map(Path, projections))
    planes = [read_arrays(path, ARRAYS) for path in paths]
    _check(paths, planes)
    along_planes = axis == "plane" or (axis == "auto" and len(planes) > 1)
    for name, gif in (("maximum", maximum_gif), ("standard_deviation", standard_deviation_gif)):
        if along_planes:
            frames = frames_of_planes([plane[name] for plane in planes])
        else:
            frames = frames_of_time([plane[f"window_{name}"] for plane in planes])
        content = gif_bytes(frames, max_pixels=max_pixels, frame_ms=frame_ms)
        with whole_file(gif) as part:
            part.write_bytes(content)
        log.info("%s: %d frames, %.1f MB", gif, len(frames), len(content) / 1e6)


def read_arrays(path: str | Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read arrays of an .npz file.

    Raises
    ------
    FormatError
        A damaged file, or one without these arrays.
    """
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in names}
    except (
        OSError,
        ValueError,
        TypeError,
        EOFError,
        KeyError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise FormatError(
            f"{path}: expected the projections {', '.join(names)} of a movie, cannot read them ({error}); make it anew"
        ) from error


def _check(paths: list[Path], planes: list[dict[str, np.ndarray]]) -> None:
    for path, plane in zip(paths, planes, strict=True):
        windows, first = plane["window_maximum"], planes[0]["window_maximum"]
        if windows.shape != first.shape or not 1 <= len(windows) <= MAX_FRAMES:
            raise FormatError(
                f"{path}: expected 1 to {MAX_FRAMES} windows of time and frames like those of {paths[0]}, found shapes "
                f"{windows.shape} and {first.shape}; make the movie anew"
            )
        if not np.array_equal(windows.max(axis=0), plane["maximum"]):
            raise FormatError(
                f"{path}: expected a maximum that is the windows' maximum, found another; make the movie anew"
            )
