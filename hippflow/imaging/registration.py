"""Motion of a plane, estimated and taken out by suite2p.

What this does: checks that a movie can be registered, runs suite2p's registration from one movie into another,
and describes a movie that is left as it is in the same terms.

What it does not: judge whether the motion was found; compare `corrXY` and the means.
"""

import logging
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hippflow.errors import ImagingError
from hippflow.imaging.suite2p import highpass_mean_image, suite2p

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

#: suite2p takes no movie with fewer frames, and warns below the second number.
LEAST_FRAMES, FEW_FRAMES = 10, 200

#: Frames that are looked at before the work begins, and that are summed at a time.
SAMPLE, CHUNK = 100, 500


class Frames(Protocol):
    """A movie in a file, or in memory; what is registered must not be an ndarray, since suite2p asks if it is true."""

    shape: tuple[int, int, int]

    def __getitem__(self, index: Any) -> np.ndarray: ...


def check_movie(frames: Frames, source: str) -> None:
    """Check that there is something to register.

    Parameters
    ----------
    frames : Frames
        int16, of shape (n_frames, height, width).
    source : str
        Name of the movie, for messages.

    Raises
    ------
    ImagingError
        Fewer than 10 frames, or no image in any of a hundred frames over the whole movie.

    Examples
    --------
    >>> check_movie(np.zeros((50, 64, 64), np.int16), "plane0.bin")
    Traceback (most recent call last):
    hippflow.errors.ImagingError: plane0.bin: expected images, found 50 sampled frames each of one value (0); ...
    """
    n_frames = frames.shape[0]
    if n_frames < LEAST_FRAMES:
        raise ImagingError(
            f"{source}: expected {LEAST_FRAMES} frames or more for registration and detection, found {n_frames}; "
            "is the recording complete, and movie.planes right?"
        )
    if n_frames < FEW_FRAMES:
        log.warning("%s: only %d frames; cells may not be found", source, n_frames)
    chosen = np.unique(np.linspace(0, n_frames - 1, SAMPLE).astype(int))
    sample = [frames[int(index)] for index in chosen]
    blank = sum(frame.min() == frame.max() for frame in sample)
    if blank == len(sample):
        raise ImagingError(
            f"{source}: expected images, found {len(sample)} sampled frames each of one value ({sample[0].flat[0]}); "
            "was the shutter closed, or is movie.functional_channel the wrong one?"
        )
    if blank:
        log.warning(
            "%s: %d of %d sampled frames hold no image, which hides cells; leave them out of the recording",
            source,
            blank,
            len(sample),
        )


def register(raw: Frames, registered: Any, settings: dict[str, Any], device: "torch.device") -> dict[str, Any]:
    """Register a movie.

    Parameters
    ----------
    raw : Frames
        int16, of shape (n_frames, height, width); only read.
    registered : object
        Takes the registered frames by slices, and gives them back.
    settings : dict
        suite2p's whole group `registration`.
    device : torch.device

    Returns
    -------
    dict
        suite2p's `reg_outputs`: refImg, meanImg, yoff, xoff, corrXY, badframes, yrange, xrange ...
    """
    return suite2p.registration_wrapper(registered, f_raw=raw, settings=settings, device=device)


def leave_unregistered(raw: Frames, registered: Any) -> dict[str, Any]:
    """Copy a movie and describe it as suite2p does a registered one: no shifts, no frame bad, no edge cut.

    Returns
    -------
    dict
        As of :func:`register`, without what only a registration knows (refImg, corrXY ...).
    """
    n_frames, height, width = raw.shape
    mean = np.zeros((height, width))
    for start in range(0, n_frames, CHUNK):
        frames = raw[start : start + CHUNK]
        registered[start : start + len(frames)] = frames
        mean += frames.sum(axis=0, dtype=np.int64) / n_frames
    mean = mean.astype(np.float32)
    return {
        "meanImg": mean,
        "meanImgE": highpass_mean_image(mean),
        "yoff": np.zeros(n_frames, np.int64),
        "xoff": np.zeros(n_frames, np.int64),
        "badframes": np.zeros(n_frames, bool),
        "yrange": [0, height],
        "xrange": [0, width],
    }
