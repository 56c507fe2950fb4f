"""kmeans: which cells of a plane are active together, and the covariance matrix that says so."""

import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hippflow.errors import ConfigError, FormatError, ImagingError
from hippflow.imaging.clusters import accepted_rois, activity, cluster_rois
from hippflow.io.atomic import whole_file

log = logging.getLogger(__name__)

#: What this step imports when it starts to work, which takes longer than all else (hippflow.forks).
LATE_IMPORTS = ("sklearn.cluster", "threadpoolctl")

#: Columns of clusters.csv.
COLUMNS = ("order", "roi", "cluster", "y", "x", "n_pixels", "probability", "iscell", "mean_covariance")


def make_clusters(
    F: str | Path,
    Fneu: str | Path,
    spks: str | Path,
    stat: str | Path,
    iscell: str | Path,
    settings: str | Path,
    table: str | Path,
    covariance: str | Path,
    *,
    clusters: int,
    traces: str,
    cells: str,
    min_probability: float | None,
    n_init: int,
    seed: int,
) -> None:
    """Cluster the ROIs of a plane and write ``clusters.csv`` and ``covariance.npy``.

    A row of the table is a clustered ROI; row `order` of the table is row and column `order` of the matrix. The
    other columns: `roi`, its number in suite2p's files; `cluster`, 1 the largest; `y` and `x`, its centre, and
    `n_pixels`, as suite2p has them (pixels of the registered movie); `probability` and `iscell`, the classifier's
    probability and suite2p's label (1: a cell); `mean_covariance` with the ROIs of its cluster.

    Parameters
    ----------
    F, Fneu, spks, stat, iscell, settings : path
        suite2p's files of the plane; `settings` may be its ``settings.npy`` or ``ops.npy``. `stat` and `settings`
        are pickles, which can run code when they are read: they must be of a run of one's own.
    table : path
        ``clusters.csv``.
    covariance : path
        ``covariance.npy``, shape (n, n), float64.
    clusters, n_init, seed : int
        See :func:`hippflow.imaging.clusters.cluster_rois`.
    traces : str
        See :func:`hippflow.imaging.clusters.activity`.
    cells : str
        ``accepted`` clusters the cells, ``all`` every ROI.
    min_probability : float or None
        What an accepted ROI is, see :func:`hippflow.imaging.clusters.accepted_rois`. Unused with ``all``.

    Raises
    ------
    ImagingError
        Too few ROIs for so many clusters.
    ConfigError
        An unknown value of `traces` or `cells`.
    FormatError
        A file that is damaged, or files that are of different runs.
    """
    fluorescence, rois, label = read_traces(F, Fneu, spks), read_stat(stat), _read_iscell(iscell)
    lengths = {Path(F).name: len(fluorescence[0]), Path(stat).name: len(rois), Path(iscell).name: len(label)}
    check_lengths(Path(stat).parent, lengths)
    if cells not in ("accepted", "all"):
        raise ConfigError(f"kmeans.cells: expected accepted or all, found {cells!r}; change it")
    chosen = np.ones(len(label), bool) if cells == "all" else accepted_rois(label, min_probability)
    values = activity(*fluorescence, traces, **read_trace_settings(settings))
    try:
        result = cluster_rois(values, chosen, clusters=clusters, n_init=n_init, seed=seed)
    except ImagingError as error:
        raise ImagingError(f"{Path(stat).parent}: {error}") from error
    columns = (
        np.arange(len(result.roi)),
        result.roi,
        result.cluster,
        *np.array([rois[roi]["med"] for roi in result.roi]).T,
        [len(rois[roi]["ypix"]) for roi in result.roi],
        label[result.roi, 1],
        label[result.roi, 0].astype(int),
        result.mean_covariance,
    )
    with whole_file(covariance) as part, part.open("wb") as file:
        np.save(file, result.covariance)
    with whole_file(table) as part:
        pd.DataFrame(dict(zip(COLUMNS, columns, strict=True))).to_csv(part, index=False, float_format="%.6g")
    if len(result.dropped):
        dropped = ", ".join(map(str, result.dropped))
        log.warning("%s: ROIs without changing, finite activity are in no cluster: %s", table, dropped)
    sizes = ", ".join(map(str, np.bincount(result.cluster)[1:]))
    log.info("%s: %d of %d ROIs in clusters of %s", table, len(result.roi), len(rois), sizes)


def read_traces(F: str | Path, Fneu: str | Path, spks: str | Path) -> list[np.ndarray]:
    """Read the three kinds of traces of one plane, all of shape (n ROIs, frames).

    Raises
    ------
    FormatError
        A damaged file, or shapes that differ.
    """
    arrays = [load_npy(path) for path in (F, Fneu, spks)]
    shapes = [array.shape for array in arrays]
    if not any(array.size for array in arrays):
        return [np.zeros((0, 0))] * 3  # a plane without ROIs, which has no frames to tell either
    if len(set(shapes)) > 1 or arrays[0].ndim != 2:
        names = ", ".join(f"{Path(path).name} {shape}" for path, shape in zip((F, Fneu, spks), shapes, strict=True))
        raise FormatError(
            f"{Path(F).parent}: expected traces of one shape (ROIs, frames), found {names}; make them anew"
        )
    return arrays


def read_stat(path: str | Path) -> np.ndarray:
    """Read suite2p's list of ROIs, a pickle: one dict each, with their pixels.

    Raises
    ------
    FormatError
        It is something else.
    """
    rois = load_npy(path, pickled=True)
    fields = {"ypix", "xpix", "lam", "med"}
    if rois.ndim != 1 or not all(isinstance(roi, dict) and fields <= roi.keys() for roi in rois):
        raise FormatError(f"{path}: expected suite2p's list of ROIs with {sorted(fields)}, found another; make it anew")
    return rois


def read_settings(path: str | Path) -> dict[str, Any]:
    """Read a dict that suite2p pickled: its settings or what registration found.

    Raises
    ------
    FormatError
        It is something else.
    """
    stored = load_npy(path, pickled=True)
    if stored.shape or not isinstance(stored.item(), dict):
        raise FormatError(f"{path}: expected a dict of suite2p, found {stored.dtype} {stored.shape}; make it anew")
    return stored.item()


def read_trace_settings(path: str | Path) -> dict[str, Any]:
    """Read from suite2p's settings, a pickle, what :func:`hippflow.imaging.clusters.activity` needs of them.

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
    except (KeyError, TypeError, ValueError) as error:
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


def _read_iscell(path: str | Path) -> np.ndarray:
    label = load_npy(path)
    if label.ndim != 2 or label.shape[1] != 2 or not np.isfinite(label).all():
        raise FormatError(f"{path}: expected a label and a probability for each ROI, found {label.shape}; make it anew")
    return label


def load_npy(path: str | Path, *, pickled: bool = False) -> np.ndarray:
    """Read a .npy file; `pickled` only for files that suite2p pickled in a run of our own.

    Raises
    ------
    FormatError
        It is damaged.
    """
    try:
        return np.load(path, allow_pickle=pickled)
    except (OSError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise FormatError(f"{path}: expected a .npy file, cannot read it ({error}); make it anew") from error
