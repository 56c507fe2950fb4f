"""Artifacts: stretches of a signal that are far louder than the rest, found and silenced as MountainLab does.

What it does not: read signals, or find artifacts that are shorter or weaker than MountainLab's rule sees.
"""

import numpy as np


def mask_artifacts(x: np.ndarray, *, threshold: float = 10.0, chunk: int = 2000) -> np.ndarray:
    """Zero, in place, the chunks whose norm is far above that of the others.

    The rule of MountainLab's ``ephys.mask_out_artifacts``: a chunk is an artifact if
    the square root of its sum of squares exceeds the mean over all chunks by more
    than `threshold` standard deviations; it and its two neighbours are zeroed. An
    incomplete last chunk is judged by its norm scaled to a full chunk and, unlike in
    MountainLab, left out of the mean and the standard deviation, which it would distort.

    Parameters
    ----------
    x : ndarray of float, (n,)
        Signal; changed.
    threshold : float
        Standard deviations above the mean. One chunk of k exceeds the mean by at most
        ``(k - 1) / sqrt(k)``: with 10, nothing shorter than 102 chunks is ever masked.
    chunk : int
        Samples per chunk.

    Returns
    -------
    ndarray of int64, (m, 2)
        The masked intervals [start, stop), joined where they touch.

    Examples
    --------
    >>> x = np.tile([1.0, -1.0], 1000)
    >>> x[805:810] = 100
    >>> mask_artifacts(x, threshold=10, chunk=10).tolist(), bool((x[790:820] == 0).all())
    ([[790, 820]], True)
    """
    # chunk by chunk: a squared copy of the whole signal would double the memory
    starts = range(0, len(x), chunk)
    squares = np.array([np.sum(np.square(x[start : start + chunk], dtype=np.float64)) for start in starts])
    intervals = artifact_intervals(squares, len(x), threshold=threshold, chunk=chunk)
    for start, stop in intervals:
        x[start:stop] = 0
    return intervals


def artifact_intervals(squares: np.ndarray, n_samples: int, *, threshold: float, chunk: int) -> np.ndarray:
    """Return the intervals that MountainLab's rule masks, see :func:`mask_artifacts`.

    Parameters
    ----------
    squares : ndarray of float, (chunks,)
        Sum of squares of every chunk.
    n_samples : int
        Samples of the signal.
    threshold : float
        Standard deviations above the mean.
    chunk : int
        Samples per chunk.

    Returns
    -------
    ndarray of int64, (m, 2)
        Intervals [start, stop), joined where they touch.

    Examples
    --------
    >>> artifact_intervals(np.array([1.0, 1, 1, 1, 400, 1, 1, 1]), 80, threshold=2, chunk=10).tolist()
    [[30, 60]]
    """
    n_full = n_samples // chunk
    if n_full < 2:
        return np.empty((0, 2), np.int64)
    sizes = np.minimum(n_samples - chunk * np.arange(len(squares)), chunk)
    norms = np.sqrt(squares / sizes * chunk)
    bad = norms > norms[:n_full].mean() + threshold * norms[:n_full].std()
    bad = bad | np.append(bad[1:], False) | np.insert(bad[:-1], 0, False)
    edges = np.flatnonzero(np.diff(bad.astype(np.int8), prepend=0, append=0))
    return np.minimum(edges.reshape(-1, 2) * chunk, n_samples).astype(np.int64)
