"""Cells of a registered plane and their activity, found by suite2p.

What this does: suite2p's own stages after registration (detection, extraction, deconvolution, classification by
the classifier it brings), in its order and with its numbers; a plane without cells is a result like any other.

What it does not: choose settings, or look at a second channel.
"""

import logging
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import skew

from hippflow.errors import ImagingError
from hippflow.imaging.registration import Frames
from hippflow.imaging.suite2p import BUILTIN_CLASSIFIER, assign_overlaps, oasis, preprocess, suite2p

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

#: suite2p's detection looks at the movie at five scales; a side must be longer than this, in pixels.
LEAST_SIDE = 16


@dataclass(frozen=True)
class Cells:
    """What was found; `n` regions of interest, most active first.

    Attributes
    ----------
    F, Fneu, spks : ndarray of float32, shape (n, n_frames)
        Fluorescence, that of the surrounding neuropil, and deconvolved activity.
    stat : ndarray of dict, shape (n,)
        Pixels and shape of each.
    iscell : ndarray of float64, shape (n, 2)
        Whether the classifier takes it for a cell, and with what probability.
    detect_outputs : dict
        Images of the detection.
    """

    F: np.ndarray
    Fneu: np.ndarray
    spks: np.ndarray
    stat: np.ndarray
    iscell: np.ndarray
    detect_outputs: dict[str, Any]


def check_crop(registration: dict[str, Any], source: str) -> None:
    """Check that registration has left an image.

    Raises
    ------
    ImagingError
        The shifts leave too few pixels that all frames have.
    """
    height, width = (int(end) - int(start) for start, end in (registration["yrange"], registration["xrange"]))
    if min(height, width) <= LEAST_SIDE:
        raise ImagingError(
            f"{source}: expected more than {LEAST_SIDE} x {LEAST_SIDE} pixels that all frames share after "
            f"registration, found {max(height, 0)} x {max(width, 0)}; lower suite2p.registration.maxregshift or "
            "th_badframes"
        )


def find_cells(frames: Frames, registration: dict[str, Any], settings: dict[str, Any], device: "torch.device") -> Cells:
    """Find cells in a registered movie.

    Parameters
    ----------
    frames : Frames
        int16, of shape (n_frames, height, width).
    registration : dict
        suite2p's `reg_outputs`.
    settings : dict
        suite2p's whole settings (:func:`hippflow.imaging.settings.build_settings`).
    device : torch.device

    Returns
    -------
    Cells
    """
    settings = deepcopy(settings)
    detected = _detect(frames, registration, settings, device)
    if detected is None:
        return _no_cells(frames, registration)
    detect_outputs, stat = detected
    stat, fluorescence, neuropil, corrected = _extract(frames, stat, settings["extraction"], device)
    if not len(stat):
        return _no_cells(frames, registration, detect_outputs)
    if settings["run"]["do_deconvolution"]:
        spikes = _deconvolve(corrected, settings, device)
    else:
        spikes = np.zeros_like(fluorescence)
    iscell = suite2p.classify(stat=stat, classfile=BUILTIN_CLASSIFIER)
    return Cells(fluorescence, neuropil, spikes, stat, iscell, detect_outputs)


def _detect(
    frames: Frames, registration: dict[str, Any], settings: dict[str, Any], device: "torch.device"
) -> tuple[dict[str, Any], np.ndarray] | None:
    """Return suite2p's `detect_outputs` and `stat`; None where it found nothing, which it takes for an error."""
    detection, preclassify = settings["detection"], settings["classification"]["preclassify"]
    try:
        detect_outputs, stat, _ = suite2p.detection_wrapper(
            frames,
            yrange=registration["yrange"],
            xrange=registration["xrange"],
            tau=settings["tau"],
            fs=settings["fs"],
            diameter=np.array(settings["diameter"]),
            settings=detection,
            classifier_path=BUILTIN_CLASSIFIER,
            badframes=registration["badframes"].copy(),
            preclassify=preclassify,
            device=device,
        )
    except ValueError as error:
        if not str(error).startswith("no ROIs"):
            raise
        scaling = f"suite2p.detection.threshold_scaling ({detection['threshold_scaling']:g})"
        advice = f"suite2p.classification.preclassify ({preclassify:g})" if "preclassify" in str(error) else scaling
        log.warning("no cells: suite2p says %r; lower %s, and look at the registered movie", str(error), advice)
        return None
    return detect_outputs, stat


def _extract(
    frames: Frames, stat: np.ndarray, extraction: dict[str, Any], device: "torch.device"
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return `stat` of the regions that are kept, with numbers on their activity; F, Fneu and F without neuropil."""
    for last in (False, True):
        if not len(stat):
            log.warning(
                "no cells: every region was dropped by suite2p.detection.npix_norm_min, npix_norm_max or max_overlap, "
                "or by suite2p.extraction.snr_threshold (%g)",
                extraction["snr_threshold"],
            )
            empty = np.zeros((0, frames.shape[0]), np.float32)
            return np.empty(0, object), empty, empty, empty
        fluorescence, neuropil, _, _ = suite2p.extraction_wrapper(stat, frames, settings=extraction, device=device)
        corrected = fluorescence - extraction["neuropil_coefficient"] * neuropil
        snr = 1 - 0.5 * np.diff(corrected, axis=1).var(axis=1) / corrected.var(axis=1)
        keep = snr > extraction["snr_threshold"]
        if last or extraction["snr_threshold"] <= 0 or keep.all():
            break
        # without those that are dropped fewer pixels belong to two regions, and the others' traces change
        log.info("%d of %d regions below extraction.snr_threshold are dropped", (~keep).sum(), len(keep))
        stat = assign_overlaps(stat[keep], *frames.shape[1:])
    for region, *numbers in zip(stat, snr, skew(corrected, axis=1), np.std(corrected, axis=1), strict=True):
        region["snr"], region["skew"], region["std"] = numbers
    return stat, fluorescence, neuropil, corrected


def _deconvolve(corrected: np.ndarray, settings: dict[str, Any], device: "torch.device") -> np.ndarray:
    batch_size, fs = settings["extraction"]["batch_size"], settings["fs"]
    flat = preprocess(F=corrected, fs=fs, batch_size=batch_size, device=device, **settings["dcnv_preprocess"])
    return oasis(F=flat, batch_size=batch_size, tau=settings["tau"], fs=fs)


def _no_cells(frames: Frames, registration: dict[str, Any], detect_outputs: dict[str, Any] | None = None) -> Cells:
    """Return a result without cells; images that suite2p did not come to make are black."""
    n_frames = frames.shape[0]
    if detect_outputs is None:
        crop = registration["meanImg"][slice(*registration["yrange"]), slice(*registration["xrange"])]
        black = np.zeros(crop.shape, np.float32)
        detect_outputs = {"Vcorr": black, "max_proj": black.copy(), "meanImg_crop": crop}
    traces = [np.zeros((0, n_frames), np.float32) for _ in range(3)]
    return Cells(*traces, np.empty(0, object), np.zeros((0, 2)), detect_outputs)
