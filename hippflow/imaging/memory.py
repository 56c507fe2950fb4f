"""Memory that suite2p's stages take, so that jobs can ask for it and detection can be made to fit.

What this does: says from the size of a movie what registration and detection take at most, and makes bins of
detection longer where they would take too much. The numbers are measured on suite2p 1.1.0 with PyTorch on the CPU
(``benchmarks/imaging.py`` prints them beside peaks), with glibc keeping its memory
(:func:`hippflow.imaging.suite2p.tune`). MB are 1024 x 1024 bytes, as Slurm counts.

What it does not: import suite2p, so that rules may call it; count the movie's file in the system's cache.
"""

import math
from typing import Any

from hippflow.errors import ConfigError

MB = 1 << 20

#: MB of a process with suite2p and its libraries (530 measured), and some to spare.
LIBRARY = 700

#: Bytes for each pixel of the blocks of one frame of a batch, and of a frame that the reference is made of.
BATCH_BYTES, REFERENCE_BYTES = 55, 16

#: Bytes for each pixel of a bin, more of them where bins are denoised, and of a frame that is read in a batch.
BIN_BYTES, DENOISE_BYTES, READ_BYTES = 26, 8, 12

#: MB of the masks of a region, and bytes for each frame of its traces and of those that are worked on together.
REGION_MB, TRACE_BYTES, WORK_BYTES = 0.06, 32, 40

#: Pixels of the frame for each region that is found, at most of them; and where many are asked for.
REGION_PIXELS, MANY_REGIONS_PIXELS = 100, 20

#: Sides of the blocks of non-rigid registration that are tried, in pixels; suite2p's own default first.
BLOCK_SIDES = (128, 64)

#: suite2p reads this many frames at a time when it makes bins.
BATCH = 500

#: Fewer bins do not tell activity from noise.
LEAST_BINS = 10

#: suite2p's defaults of the settings that matter here (a test holds them against the library).
SUITE2P = {
    "registration.batch_size": 100,
    "registration.nimg_init": 400,
    "detection.nbins": 5000,
    "detection.denoise": False,
    "detection.threshold_scaling": 1.0,
    "detection.sparsery_settings.max_ROIs": 5000,
    "extraction.batch_size": 500,
}


def default_blocks(height: int, width: int) -> tuple[int, int] | None:
    """Return the blocks of non-rigid registration that fit a frame, None where it is too small for any.

    suite2p fails where a block is not smaller than the frame on both sides.

    Examples
    --------
    >>> default_blocks(512, 128), default_blocks(512, 64)
    ((128, 64), None)
    """
    sides = [next((side for side in BLOCK_SIDES if side < length), 0) for length in (height, width)]
    return (sides[0], sides[1]) if all(sides) else None


def registration_memory(
    height: int,
    width: int,
    batch_size: int = SUITE2P["registration.batch_size"],
    *,
    nimg_init: int = SUITE2P["registration.nimg_init"],
    nonrigid: bool = True,
    block_size: tuple[int, int] | None = None,
) -> int:
    """Return what registration of a plane takes at most, MB; it does not depend on the number of frames.

    Parameters
    ----------
    height, width : int
        Of a frame, pixels.
    batch_size, nimg_init, nonrigid, block_size
        suite2p's settings of the group `registration`; no block size is :func:`default_blocks`.

    Examples
    --------
    >>> registration_memory(512, 512), registration_memory(512, 512, nonrigid=False)
    (5394, 3675)
    """
    coverage = 1.0
    blocks = (block_size or default_blocks(height, width)) if nonrigid else None
    if blocks is not None:  # blocks overlap by half, so that a pixel is in several
        for length, side in zip((height, width), blocks, strict=True):
            coverage *= math.ceil(1.5 * length / side) * side / length
    per_pixel = BATCH_BYTES * coverage * batch_size + REFERENCE_BYTES * nimg_init
    return math.ceil(LIBRARY + per_pixel * height * width / MB)


def detection_memory(
    height: int,
    width: int,
    nbins: int,
    *,
    n_frames: int = 0,
    max_rois: int = SUITE2P["detection.sparsery_settings.max_ROIs"],
    batch_size: int = SUITE2P["extraction.batch_size"],
    denoise: bool = False,
    region_pixels: int = REGION_PIXELS,
) -> int:
    """Return what detection, extraction and deconvolution of a plane take at most, MB.

    Parameters
    ----------
    height, width : int
        Of a frame, pixels.
    nbins : int
        Bins that the movie is made into (:func:`count_bins`).
    n_frames : int
        Of the movie, for the traces.
    max_rois, batch_size, denoise
        suite2p's settings `detection.sparsery_settings.max_ROIs`, `extraction.batch_size` and `detection.denoise`.
    region_pixels : int
        Pixels of the frame for each region that is found.

    Examples
    --------
    >>> detection_memory(512, 512, 1000), detection_memory(512, 512, 5000)
    (7200, 33200)
    """
    pixels = height * width
    regions = min(max_rois, pixels // region_pixels)
    bins = _bin_memory(height, width, denoise) * nbins
    frames = READ_BYTES * max(BATCH, batch_size) * pixels
    traces = (regions * TRACE_BYTES + min(regions, batch_size) * WORK_BYTES) * n_frames
    # the bins are gone before traces are made
    return math.ceil(LIBRARY + max(bins, REGION_MB * regions + (frames + traces) / MB))


def _bin_memory(height: int, width: int, denoise: bool) -> float:
    return (BIN_BYTES + DENOISE_BYTES * denoise) * height * width / MB


def count_bins(flat: dict[str, Any], n_frames: int) -> tuple[int, int]:
    """Return the length of suite2p's bins in frames, and how many there are.

    Parameters
    ----------
    flat : dict
        Settings by their whole names (``detection.nbins``), `fs` and `tau` among them.
    n_frames : int
    """
    most = flat.get("detection.nbins", SUITE2P["detection.nbins"])
    size = flat.get("detection.bin_size") or max(1, n_frames // most, round(flat["tau"] * flat["fs"]))
    return size, min(most, n_frames // size)


def fit_bins(flat: dict[str, Any], height: int, width: int, n_frames: int, memory_mb: float | None) -> int | None:
    """Return the length of bins that detection fits with, or None where suite2p's own choice does.

    Raises
    ------
    ConfigError
        Bins that are longer than suite2p can make them, or too few, or no memory for even the longest.
    """
    size, n_bins = count_bins(flat, n_frames)
    longest = min(BATCH, n_frames)
    if size > longest or n_bins < LEAST_BINS:
        raise ConfigError(
            f"suite2p.detection: expected {LEAST_BINS} bins or more of at most {longest} frames, found {n_bins} of "
            f"{size} (bin_size, or else tau x fs) in {n_frames} frames; set bin_size"
        )
    if (least := longest // size) > flat.get("detection.nbins", least):
        raise ConfigError(
            f"suite2p.detection.nbins: expected {least} or more with bins of {size} frames, found "
            f"{flat['detection.nbins']}; suite2p would use no frame at all"
        )
    if memory_mb is None:
        return flat.get("detection.bin_size")
    per_bin = _bin_memory(height, width, flat.get("detection.denoise", False))
    room = int((memory_mb - LIBRARY) / per_bin)
    if n_bins <= room:
        return flat.get("detection.bin_size")
    least = max(LEAST_BINS, math.ceil(n_frames / BATCH))
    if room < least:
        raise ConfigError(
            f"suite2p.memory: detection on {n_frames} frames of {height} x {width} pixels takes "
            f"{math.ceil(LIBRARY + least * per_bin)} MB at least, {memory_mb:g} MB are allowed; raise it"
        )
    return math.ceil(n_frames / room)


def cells_memory(flat: dict[str, Any], height: int, width: int, nbins: int, n_frames: int) -> int:
    """Return :func:`detection_memory` with settings that are given by their whole names."""
    values = SUITE2P | flat
    many = values["detection.threshold_scaling"] < 1 or values["detection.denoise"]
    return detection_memory(
        height,
        width,
        nbins,
        n_frames=n_frames,
        max_rois=values["detection.sparsery_settings.max_ROIs"],
        batch_size=values["extraction.batch_size"],
        denoise=values["detection.denoise"],
        region_pixels=MANY_REGIONS_PIXELS if many else REGION_PIXELS,
    )
