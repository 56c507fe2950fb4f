"""Clusters of cells that are active together: k-means on the covariance matrix of their activity.

What it reads: traces as suite2p extracts them (`F`, `Fneu`, `spks`) and its `iscell`, as arrays.

What it does: chooses the regions of interest (ROIs), makes their activity (:func:`activity`), takes its covariance
and runs scikit-learn's k-means on the rows of that matrix, as the published pipeline does: two ROIs are in the same
cluster if they covary alike with all ROIs. Cluster 1 is the largest. Everything is seeded and has one thread.

What it does not: claim the figures of the publication, whose notebooks do not say which signal they took the
covariance of. Covariance of raw fluorescence is ruled by the brightest ROIs; z-scores, whose covariance is their
correlation, found the groups of simulated movies best and are the default.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d

from hippflow.errors import ConfigError, ImagingError

#: What the covariance may be taken of; see :func:`activity`.
TRACES = ("zscore", "dff", "raw", "spks")


@dataclass(frozen=True)
class Clusters:
    """Clustered ROIs, sorted by cluster and within it by how much they covary with it.

    Attributes
    ----------
    roi : array of int, shape (n,)
        Row of each ROI in the traces.
    cluster : array of int, shape (n,)
        1 is the largest cluster.
    mean_covariance : array of float, shape (n,)
        Mean covariance with the ROIs of its cluster, itself included.
    covariance : array of float, shape (n, n)
        Rows and columns as in `roi`.
    dropped : array of int
        Chosen ROIs whose activity never changes or is not finite, and which are in no cluster.
    """

    roi: np.ndarray
    cluster: np.ndarray
    mean_covariance: np.ndarray
    covariance: np.ndarray
    dropped: np.ndarray


def accepted_rois(iscell: np.ndarray, min_probability: float | None = None) -> np.ndarray:
    """Say which ROIs count as cells.

    Parameters
    ----------
    iscell : array, shape (n, 2)
        suite2p's label (0 or 1; its classifier's, or what a user made of it in suite2p's GUI) and the classifier's
        probability of a cell, which the GUI leaves as it is.
    min_probability : float, optional
        None takes the labels. A number takes the probabilities of at least this, whatever the labels are, so that
        curation in the GUI has no effect.

    Returns
    -------
    array of bool, shape (n,)

    Examples
    --------
    >>> iscell = np.array([[1, 0.9], [0, 0.8], [1, 0.2]])  # the last two were changed by hand
    >>> accepted_rois(iscell).tolist(), accepted_rois(iscell, 0.5).tolist()
    ([True, False, True], [True, True, False])
    """
    return iscell[:, 0] > 0 if min_probability is None else iscell[:, 1] >= min_probability


def activity(
    F: np.ndarray,
    Fneu: np.ndarray,
    spks: np.ndarray,
    traces: str = "zscore",
    *,
    neuropil_coefficient: float = 0.7,
    baseline_window: int = 120,
    baseline_sigma: float = 10.0,
) -> np.ndarray:
    """Make the activity whose covariance is taken.

    Parameters
    ----------
    F, Fneu, spks : array, shape (n, T)
        Fluorescence, that of the surrounding neuropil, and deconvolved activity, of n ROIs in T frames.
    traces : str
        ``zscore``: ``F - neuropil_coefficient * Fneu``, each ROI to mean 0 and standard deviation 1.
        ``dff``: the same difference relative to its slow baseline, ``(x - baseline) / baseline``; the baseline is
        suite2p's "maximin": the running maximum of the running minimum of the smoothed trace.
        ``raw``: `F` as it is. ``spks``: `spks` as it is.
    neuropil_coefficient : float
    baseline_window : int
        Frames of the running minimum and maximum of ``dff``.
    baseline_sigma : float
        Standard deviation in frames of its Gaussian smoothing.

    Returns
    -------
    array of float64, shape (n, T)
        NaN in the rows of ROIs that the signal is not defined for: a constant trace has no z-score, a baseline
        that is not above zero no relative change.

    Raises
    ------
    ConfigError
        `traces` is none of these.
    """
    if traces not in TRACES:
        raise ConfigError(f"kmeans.traces: expected one of {', '.join(TRACES)}, found {traces!r}; change it")
    if traces in ("raw", "spks") or not len(F):
        return (F if traces == "raw" else spks).astype(np.float64)
    corrected = F.astype(np.float64)
    corrected -= neuropil_coefficient * Fneu.astype(np.float64)
    if traces == "zscore":
        return zscore(corrected)
    window = baseline_window | 1  # odd, as suite2p makes it
    baseline = gaussian_filter1d(corrected, baseline_sigma, axis=1, mode="nearest", truncate=3)
    baseline = minimum_filter1d(baseline, window, axis=1, mode="nearest")
    baseline = maximum_filter1d(baseline, window, axis=1, mode="nearest")
    baseline[~(baseline > 0).all(axis=1)] = np.nan
    return (corrected - baseline) / baseline


def zscore(traces: np.ndarray) -> np.ndarray:
    """Scale each row to mean 0 and standard deviation 1 (of the sample, so that its covariance with itself is 1).

    Examples
    --------
    >>> zscore(np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 5.0]])).tolist()
    [[-1.0, 1.0, 0.0], [nan, nan, nan]]
    """
    # Rounding gives a constant row a tiny deviation, which must not be divided by.
    changes = np.ptp(traces, axis=1, keepdims=True) > 0
    deviation = np.where(changes, traces.std(axis=1, ddof=min(1, traces.shape[1] - 1), keepdims=True), np.nan)
    scaled = traces - traces.mean(axis=1, keepdims=True)
    scaled /= deviation
    return scaled


def cluster_rois(
    traces: np.ndarray, chosen: np.ndarray, *, clusters: int = 4, n_init: int = 10, seed: int = 0
) -> Clusters:
    """Sort ROIs into clusters by the covariance of their activity.

    Parameters
    ----------
    traces : array, shape (n, T)
        Activity of all ROIs, from :func:`activity`.
    chosen : array of bool, shape (n,)
        ROIs to cluster, from :func:`accepted_rois`.
    clusters : int
        Number of clusters, k.
    n_init : int
        Starts of k-means, the best of which is taken; one start depends much on the seed.
    seed : int

    Returns
    -------
    Clusters
        Of clusters of the same size the one with the lowest ROI comes first.

    Raises
    ------
    ImagingError
        There are fewer ROIs with changing activity than clusters, or fewer kinds of them.

    Examples
    --------
    >>> t = np.linspace(0, 20, 200)
    >>> traces = np.array([np.sin(t), np.cos(t), np.zeros(200), 1.2 * np.sin(t), 0.8 * np.sin(t)])
    >>> result = cluster_rois(traces, np.ones(5, bool), clusters=2)
    >>> result.roi.tolist(), result.cluster.tolist(), result.dropped.tolist()
    ([3, 0, 4, 1], [1, 1, 1, 2], [2])
    """
    # The libraries that threads are to be kept from must be loaded before they are limited.
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    spread = np.ptp(traces, axis=1) if traces.size else np.zeros(len(traces))
    usable = chosen & np.isfinite(spread) & (spread > 0)
    roi, dropped = np.flatnonzero(usable), np.flatnonzero(chosen & ~usable)
    if len(roi) < clusters:
        raise ImagingError(_too_few(len(traces), int(chosen.sum()), len(dropped), clusters))
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of too few kinds of ROIs, which is an error below
        covariance = np.atleast_2d(np.cov(traces[roi]))
        found = KMeans(clusters, n_init=n_init, random_state=seed).fit_predict(covariance)
    kinds, first, sizes = np.unique(found, return_index=True, return_counts=True)
    if len(kinds) < clusters:
        raise ImagingError(
            f"expected {clusters} clusters, found only {len(kinds)} different kinds of ROI among {len(roi)}; lower "
            f"kmeans.clusters to {len(kinds)}"
        )
    by_size = np.lexsort((first, -sizes))
    cluster = 1 + np.argsort(by_size)[found]
    same = cluster[:, np.newaxis] == cluster
    mean_covariance = (covariance * same).sum(axis=1) / same.sum(axis=1)
    order = np.lexsort((roi, -mean_covariance, cluster))
    return Clusters(
        roi[order], cluster[order], mean_covariance[order], covariance[np.ix_(order, order)].copy(), dropped
    )


def _too_few(n_rois: int, n_chosen: int, n_dropped: int, clusters: int) -> str:
    """Say how many ROIs there are of each kind, and which setting would help."""
    found = (
        f"expected at least {clusters} ROIs to make {clusters} clusters of, found {n_chosen - n_dropped}: suite2p "
        f"detected {n_rois}, of which {n_chosen} are accepted, of which {n_dropped} were dropped for constant or "
        "undefined activity"
    )
    if n_rois < clusters:
        return f"{found}; lower suite2p.detection.threshold_scaling or kmeans.clusters"
    if n_chosen < clusters:
        return f"{found}; lower kmeans.min_probability, set kmeans.cells to all, or lower kmeans.clusters"
    return f"{found}; change kmeans.traces or lower kmeans.clusters"
