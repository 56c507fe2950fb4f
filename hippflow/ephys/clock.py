"""Sample indices and seconds on the recording system's clock.

Time 0 is the start of the recording's nev. A signal knows where each of its
uninterrupted stretches begins and ends on that clock, in integer ticks.
"""

import numpy as np


def sample_times(samples: np.ndarray, segments: np.ndarray, tick_rate: float) -> np.ndarray:
    """Return when samples were taken.

    Parameters
    ----------
    samples : array of int, shape (n,)
        0-based sample indices into a signal.
    segments : array of int, shape (k, 4)
        Stretches of the signal: first sample, number of samples, first tick, last tick.
    tick_rate : float
        Ticks a second.

    Returns
    -------
    ndarray of float64, shape (n,)
        Seconds.

    Examples
    --------
    A recording that paused from 3 to 10 ticks:

    >>> sample_times([0, 2, 3, 4], [[0, 3, 0, 2], [3, 2, 10, 11]], tick_rate=1.0).tolist()
    [0.0, 2.0, 10.0, 11.0]
    """
    samples = np.asarray(samples, np.int64)
    first, n, first_tick, last_tick = np.asarray(segments, np.int64).reshape(-1, 4).T
    k = np.clip(np.searchsorted(first, samples, side="right") - 1, 0, len(first) - 1)
    step = (last_tick - first_tick)[k] / np.maximum(n[k] - 1, 1)
    return (first_tick[k] + (samples - first[k]) * step) / tick_rate
