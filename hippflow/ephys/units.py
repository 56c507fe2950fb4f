"""Mean waveforms of sorted units, as PyHipp keeps them.

What this does: averages the signal around the spikes of each unit, like MountainLab's
``ephys.compute_templates``.

What it does not: sort (:mod:`hippflow.ephys.sorting`), measure or judge units
(:mod:`hippflow.ephys.metrics`).
"""

import numpy as np

#: Spikes whose clips are in memory at a time.
BATCH = 4096


def mean_waveforms(x: np.ndarray, samples: np.ndarray, labels: np.ndarray, clip_size: int = 150) -> np.ndarray:
    """Average the signal around the spikes of each unit.

    A spike's own sample is at index ``(clip_size + 1) // 2 - 1`` of the waveform (74 of
    150), where MountainLab puts it. Spikes too near an end of the signal for a whole clip
    are left out.

    Parameters
    ----------
    x : ndarray, (n_samples,)
        High-pass signal, not whitened, uV.
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
    samples, labels = samples[whole], labels[whole]
    mean = np.zeros((1, clip_size, n_units), np.float32)
    window = np.arange(clip_size) - before
    for unit in range(1, n_units + 1):
        own = samples[labels == unit]
        total = np.zeros(clip_size)
        for start in range(0, len(own), BATCH):
            total += x[own[start : start + BATCH, None] + window].sum(axis=0, dtype=np.float64)
        if own.size:
            mean[0, :, unit - 1] = total / len(own)
    return mean
