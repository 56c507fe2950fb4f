"""kmeans: which cells of a plane are active together, and the covariance matrix that says so."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from hippflow.errors import ConfigError, ImagingError
from hippflow.imaging.clusters import accepted_rois, activity, cluster_rois
from hippflow.io.atomic import whole_file
from hippflow.io.suite2p import check_lengths, read_iscell, read_stat, read_trace_settings, read_traces

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
        suite2p's files of the plane; `settings` may be its ``settings.npy`` or ``ops.npy``.
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
    fluorescence, rois, label = read_traces(F, Fneu, spks), read_stat(stat), read_iscell(iscell)
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
