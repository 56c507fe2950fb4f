"""Files of suite2p 1.1.0 for one plane: traces, regions of interest, their labels, settings.

Reads what suite2p writes with ``numpy.save``, pickles included, without running
code from them (:mod:`hippflow.io.npy`). Does not read MATLAB files (``Fall.mat``)
nor NWB files of suite2p.
"""

from pathlib import Path
from typing import Any

import numpy as np

from hippflow.errors import FormatError
from hippflow.io.npy import read_npy


def read_traces(F: str | Path, Fneu: str | Path, spks: str | Path, *, mapped: bool = False) -> list[np.ndarray]:
    """Read the three kinds of traces of one plane, all of shape (n ROIs, frames), float32; or leave them in the files.

    Raises
    ------
    FormatError
        A damaged file, or shapes that differ.
    """
    arrays = [read_npy(path, mapped=mapped) for path in (F, Fneu, spks)]
    shapes = [array.shape for array in arrays]
    if not any(array.size for array in arrays):
        return [np.zeros((0, 0), np.float32)] * 3  # a plane without ROIs, which has no frames to tell either
    if len(set(shapes)) > 1 or arrays[0].ndim != 2 or not all(array.dtype.kind in "iuf" for array in arrays):
        names = ", ".join(f"{Path(path).name} {shape}" for path, shape in zip((F, Fneu, spks), shapes, strict=True))
        raise FormatError(
            f"{Path(F).parent}: expected traces of one shape (ROIs, frames), found {names}; make them anew"
        )
    return arrays


def read_stat(path: str | Path) -> np.ndarray:
    """Read suite2p's list of ROIs: one dict each, with their pixels.

    Raises
    ------
    FormatError
        It is something else.
    """
    rois = read_npy(path, objects=True)
    fields = {"ypix", "xpix", "lam", "med"}
    if (
        not isinstance(rois, np.ndarray)
        or rois.ndim != 1
        or not all(isinstance(roi, dict) and fields <= roi.keys() for roi in rois)
    ):
        raise FormatError(f"{path}: expected suite2p's list of ROIs with {sorted(fields)}, found another; make it anew")
    return rois


def read_settings(path: str | Path) -> dict[str, Any]:
    """Read a dict of suite2p: its settings or what registration found.

    Raises
    ------
    FormatError
        It is something else.
    """
    stored = read_npy(path, objects=True)
    if not isinstance(stored, dict):
        raise FormatError(f"{path}: expected a dict of suite2p, found {type(stored).__name__}; make it anew")
    return stored


def read_trace_settings(path: str | Path) -> dict[str, Any]:
    """Read from suite2p's settings what :func:`hippflow.imaging.clusters.activity` needs of them.

    Raises
    ------
    FormatError
        They lack it.
    """
    settings = read_settings(path)
    try:
        preprocess = settings["dcnv_preprocess"]
        return {
            "neuropil_coefficient": float(settings["extraction"]["neuropil_coefficient"]),
            "baseline_window": max(1, int(preprocess["win_baseline"] * settings["fs"])),
            "baseline_sigma": float(preprocess["sig_baseline"]),
        }
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(
            f"{path}: expected suite2p's settings with fs, extraction.neuropil_coefficient and dcnv_preprocess, found "
            f"no usable {error}; make it anew"
        ) from error


def check_lengths(folder: Path, lengths: dict[str, int]) -> None:
    """Check that the files of a plane, given with their numbers of ROIs, are of the same run.

    Raises
    ------
    FormatError
        They are not.
    """
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise FormatError(f"{folder}: expected files of one run of suite2p, found ROIs: {found}; make them anew")


def read_iscell(path: str | Path) -> np.ndarray:
    """Read the label (1: a cell) and the probability of a cell of every ROI, shape (n ROIs, 2).

    Raises
    ------
    FormatError
        It is something else.
    """
    label = read_npy(path)
    if label.ndim != 2 or label.shape[1] != 2 or label.dtype.kind not in "biuf" or not np.isfinite(label).all():
        raise FormatError(f"{path}: expected a label and a probability for each ROI, found {label.shape}; make it anew")
    return label
