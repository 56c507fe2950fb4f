"""figure5: the clusters of a plane as the figure of the publication, four panels."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hippflow.errors import FormatError, SignalError
from hippflow.imaging.clusters import activity, zscore
from hippflow.imaging.figure5 import cluster_figure, render, shifted
from hippflow.io.atomic import whole_file
from hippflow.io.npy import read_npy
from hippflow.io.suite2p import check_lengths, read_settings, read_stat, read_trace_settings, read_traces
from hippflow.steps.projections import read_arrays

log = logging.getLogger(__name__)


def make_figure5(
    movie: str | Path,
    registration: str | Path,
    stat: str | Path,
    F: str | Path,
    Fneu: str | Path,
    spks: str | Path,
    settings: str | Path,
    table: str | Path,
    covariance: str | Path,
    png: str | Path,
    pdf: str | Path,
    *,
    fs: float,
    traces: str,
    title: str = "",
) -> None:
    """Draw first raw frame, sorted covariance matrix, map of ROIs and traces, as ``figure5.png`` and ``figure5.pdf``.

    The first frame is moved as the rigid registration moved it, so that its cells are where the map has them; its
    non-rigid part, of a pixel or two, is not undone.

    Parameters
    ----------
    movie : path
        ``movie/planeN.npz``, for the first frame, and for the mean image where `registration` has none.
    registration : path
        suite2p's ``reg_outputs.npy``, a pickle, of a run of one's own.
    stat, F, Fneu, spks, settings : path
        As for :func:`hippflow.steps.kmeans.make_clusters`.
    table, covariance : path
        What that function wrote.
    png, pdf : path
    fs : float
        Frames of the plane in a second.
    traces : str
        What the covariance was taken of; the traces are drawn as z-scores of it.
    title : str
        Name of the recording.

    Raises
    ------
    FormatError
        A file that is damaged, or files that are of different runs.
    SignalError
        `fs` is not a rate.
    """
    if not 0 < fs < np.inf:
        raise SignalError(f"suite2p.fs: expected the frames of a plane in a second, found {fs}; set it")
    images = read_arrays(movie, ("first", "mean"))
    offsets = read_settings(registration)
    rois, fluorescence = read_stat(stat), read_traces(F, Fneu, spks)
    check_lengths(Path(stat).parent, {Path(F).name: len(fluorescence[0]), Path(stat).name: len(rois)})
    clusters, matrix = _read_clusters(table, covariance, len(rois))
    mean = np.asarray(offsets.get("meanImg", images["mean"]))
    chosen = [rois[roi] for roi in clusters["roi"]]
    _check_images(movie, registration, images["first"], mean, chosen)
    values = activity(*(kind[clusters["roi"]] for kind in fluorescence), traces, **read_trace_settings(settings))
    figure = cluster_figure(
        shifted(images["first"], _first_offset(offsets, "yoff"), _first_offset(offsets, "xoff")),
        mean,
        [(roi["ypix"], roi["xpix"], roi["lam"]) for roi in chosen],
        clusters["cluster"].to_numpy(),
        matrix,
        zscore(values),
        fs=fs,
        kind=traces,
        title=title,
    )
    for path, form in ((png, "png"), (pdf, "pdf")):
        content = render(figure, form)
        with whole_file(path) as part:
            part.write_bytes(content)
    log.info("%s: %d ROIs in %d clusters", png, len(clusters), clusters["cluster"].max())


def _first_offset(offsets: dict[str, Any], name: str) -> int:
    """Return by how much the first frame was moved; not at all where registration was off."""
    return int(offsets[name][0]) if name in offsets else 0


def _read_clusters(table: str | Path, covariance: str | Path, n_rois: int) -> tuple[pd.DataFrame, np.ndarray]:
    try:
        clusters = pd.read_csv(table)[["order", "roi", "cluster"]]
    except (OSError, ValueError, KeyError) as error:  # what pandas raises of a table that is none is a ValueError
        raise FormatError(f"{table}: expected the clusters of kmeans, cannot read them ({error}); make it anew") from (
            error
        )
    matrix = read_npy(covariance)
    n = len(clusters)
    if not n or matrix.shape != (n, n) or not np.array_equal(clusters["order"], np.arange(n)):
        raise FormatError(
            f"{table}: expected a row for each row of {Path(covariance).name}, found {n} for {matrix.shape}; make them "
            "anew"
        )
    if clusters["roi"].max() >= n_rois:
        raise FormatError(f"{table}: expected ROIs below {n_rois}, found {clusters['roi'].max()}; make it anew")
    return clusters, matrix


def _check_images(
    movie: str | Path, registration: str | Path, first: np.ndarray, mean: np.ndarray, rois: list[dict[str, Any]]
) -> None:
    reach = max(int(roi["ypix"].max()) for roi in rois), max(int(roi["xpix"].max()) for roi in rois)
    if first.shape != mean.shape or reach[0] >= mean.shape[0] or reach[1] >= mean.shape[1]:
        raise FormatError(
            f"{registration}: expected an image of the size of {movie}, {first.shape}, and ROIs within it, found "
            f"{mean.shape} and ROIs up to {reach}; make them anew"
        )
