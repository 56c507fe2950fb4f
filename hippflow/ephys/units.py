"""Mean waveforms of sorted units, as PyHipp keeps them.

What this does: averages the signal around the spikes of each unit, like MountainLab's
``ephys.compute_templates``.

What it does not: sort (:mod:`hippflow.ephys.sorting`), measure or judge units
(:mod:`hippflow.ephys.metrics`).
"""

from itertools import pairwise
from typing import Any

import numpy as np

from hippflow.compiling import compiled

#: Samples that are read at a time.
BLOCK = 2**18


def mean_waveforms(x: Any, samples: np.ndarray, labels: np.ndarray, clip_size: int = 150) -> np.ndarray:
    """Average the signal around the spikes of each unit.

    A spike's own sample is at index ``(clip_size + 1) // 2 - 1`` of the waveform (74 of
    150), where MountainLab puts it. Spikes too near an end of the signal for a whole clip
    are left out.

    Parameters
    ----------
    x : ndarray, or sliceable, (n_samples,)
        High-pass signal, not whitened, uV; it is read block by block.
    samples : ndarray of int, (n,)
        Sample of each spike, 0-based.
    labels : ndarray of int, (n,)
        Unit of each spike, from 1.
    clip_size : int
        Samples per waveform.

    Returns
    -------
    ndarray of float32, (1, clip_size, K)
        Channel x sample x unit, uV, with K the largest label: MountainLab's order.
        Zero for a unit without a whole clip.

    Examples
    --------
    >>> x = np.zeros(100)
    >>> x[[20, 60]] = 2, 4
    >>> mean_waveforms(x, np.array([20, 60, 99]), np.array([1, 1, 1]), clip_size=4)[0, :, 0].tolist()
    [0.0, 3.0, 0.0, 0.0]
    """
    samples, labels = np.asarray(samples, np.int64), np.asarray(labels, np.int64)
    before = (clip_size + 1) // 2 - 1
    n_units = int(labels.max()) if labels.size else 0
    whole = (samples >= before) & (samples + clip_size - before <= len(x))
    order = np.argsort(samples[whole], kind="stable")
    samples, labels = samples[whole][order], labels[whole][order]
    sums, counts = np.zeros((n_units, clip_size)), np.bincount(labels, minlength=n_units + 1)[1:]
    bounds = np.searchsorted(samples, np.arange(0, len(x) + BLOCK, BLOCK))
    for block, (first, last) in enumerate(pairwise(bounds)):
        if first < last:
            start = max(0, block * BLOCK - before)
            piece = np.ascontiguousarray(x[start : (block + 1) * BLOCK + clip_size], np.float32)
            _add_clips(piece, samples[first:last] - before - start, labels[first:last] - 1, sums)
    mean = sums / np.maximum(counts, 1)[:, None]
    return np.ascontiguousarray(mean.T.astype(np.float32))[None]


@compiled
def _add_clips(piece, starts, units, sums):
    """Add the clips from these places to the sums of their units."""
    for i in range(len(starts)):
        for k in range(sums.shape[1]):
            sums[units[i], k] += piece[starts[i] + k]
