"""Projections of a movie as an animated GIF, small enough to be looked at in a browser.

What it reads: projections, as arrays. What it does: one grey scale for all frames, so that they can be compared; a
cap on the size and the number of frames; the same bytes for the same projections.

What it does not: more than 64 shades of grey. Noise does not compress, and more shades would show noise only.
"""

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

#: Most frames of a GIF, and shades of grey.
MAX_FRAMES, GREYS = 48, 64

#: Pixels between planes that are shown side by side.
_GAP = 2


def frames_of_planes(planes: Sequence[np.ndarray]) -> np.ndarray:
    """Make a frame of every plane, or of `MAX_FRAMES` evenly spaced ones where there are more.

    Parameters
    ----------
    planes : sequence of array, shape (Ly, Lx)

    Returns
    -------
    array, shape (frames, Ly, Lx)

    Examples
    --------
    >>> frames_of_planes([np.full((1, 1), plane) for plane in range(100)]).ravel()[[0, 1, -1]].tolist()
    [0, 2, 99]
    """
    shown = np.linspace(0, len(planes) - 1, min(len(planes), MAX_FRAMES)).round().astype(int)
    return np.stack([planes[plane] for plane in shown])


def frames_of_time(planes: Sequence[np.ndarray]) -> np.ndarray:
    """Make a frame of every window of time, with the planes side by side from the top left, row by row.

    Parameters
    ----------
    planes : sequence of array, shape (windows, Ly, Lx)

    Returns
    -------
    array, shape (windows, height, width)

    Examples
    --------
    >>> frames_of_time([np.full((1, 1, 2), 3), np.full((1, 1, 2), 4), np.full((1, 1, 2), 5)])[0].tolist()
    [[3, 3, 3, 3, 4, 4], [3, 3, 3, 3, 3, 3], [3, 3, 3, 3, 3, 3], [5, 5, 3, 3, 3, 3]]
    """
    windows, height, width = planes[0].shape
    columns = math.ceil(math.sqrt(len(planes)))
    rows = math.ceil(len(planes) / columns)
    # Gaps as dark as the darkest pixel do not change the grey scale's limits much.
    shape = (windows, rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP)
    frames = np.full(shape, min(plane.min() for plane in planes), planes[0].dtype)
    for i, plane in enumerate(planes):
        top, left = i // columns * (height + _GAP), i % columns * (width + _GAP)
        frames[:, top : top + height, left : left + width] = plane
    return frames


def resized(frames: np.ndarray, max_pixels: int) -> np.ndarray:
    """Shrink frames by averaging over areas, or enlarge small ones by a whole factor.

    Parameters
    ----------
    frames : array, shape (n, height, width)
    max_pixels : int
        Most pixels of the longer side.

    Returns
    -------
    array of float64

    Examples
    --------
    >>> resized(np.array([[[1, 3, 5, 7]]]), 2).tolist(), resized(np.array([[[1, 3]]]), 5).tolist()
    ([[[2.0, 6.0]]], [[[1.0, 1.0, 3.0, 3.0], [1.0, 1.0, 3.0, 3.0]]])
    """
    height, width = frames.shape[1:]
    longer = max(height, width)
    if longer <= max_pixels:
        factor = max_pixels // longer
        return frames.astype(np.float64).repeat(factor, axis=1).repeat(factor, axis=2)
    for axis, side in ((1, height), (2, width)):
        frames = _averaged(frames, axis, max(1, round(side * max_pixels / longer)))
    return frames


def to_grey(frames: np.ndarray) -> np.ndarray:
    """Scale frames to `GREYS` shades: black is the 1st percentile of all frames, white the 99.7th.

    Examples
    --------
    >>> to_grey(np.array([[0.0, 20.0, 100.0]])).tolist()
    [[0, 12, 63]]
    """
    low, high = np.percentile(frames, (1, 99.7))
    # Rounding while shrinking must not become an image where there is none.
    scaled = (frames - low) / (high - low if high - low > 1e-9 * abs(high) else np.inf)
    return np.rint(scaled.clip(0, 1) * (GREYS - 1)).astype(np.uint8)


def gif_bytes(frames: np.ndarray, *, max_pixels: int = 384, frame_ms: int = 100) -> bytes:
    """Make an endless animated GIF of frames.

    Parameters
    ----------
    frames : array, shape (n, height, width)
    max_pixels : int
        Most pixels of the longer side.
    frame_ms : int
        How long a frame is shown, in ms; the format has steps of 10. Equal neighbours become one that is shown
        longer.

    Returns
    -------
    bytes
    """
    palette = np.rint(np.arange(GREYS) * (255 / (GREYS - 1))).astype(np.uint8).repeat(3).tobytes()
    images = []
    for grey in to_grey(resized(frames, max_pixels)):
        image = Image.fromarray(grey)
        image.putpalette(palette)
        images.append(image)
    stream = io.BytesIO()
    images[0].save(
        stream, "GIF", save_all=True, append_images=images[1:], duration=frame_ms, loop=0, optimize=False, disposal=1
    )
    return stream.getvalue()


def _averaged(frames: np.ndarray, axis: int, smaller: int) -> np.ndarray:
    """Average along one axis over `smaller` areas of equal width, which need not be of whole pixels."""
    size = frames.shape[axis]
    sums = np.cumsum(frames, axis=axis, dtype=np.float64)
    sums = np.insert(sums, 0, 0, axis=axis)
    edges = np.linspace(0, size, smaller + 1)
    before = np.minimum(edges.astype(int), size - 1)
    shape = [1, 1, 1]
    shape[axis] = -1
    share = (edges - before).reshape(shape)
    at_edges = sums.take(before, axis) * (1 - share) + sums.take(before + 1, axis) * share
    return np.diff(at_edges, axis=axis) * (smaller / size)
