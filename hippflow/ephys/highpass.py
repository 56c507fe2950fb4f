"""High-pass signal: the band that holds the spikes, at the raw sampling rate.

What this does: PyHipp's RPLHighPass maths, a Butterworth band-pass run forwards and
backwards in double precision and kept as float32, in bounded memory.

What it does not: read or write files, subtract references, or find spikes.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from hippflow.ephys.filters import BLOCK, SignalLike, butter_bandpass
from hippflow.ephys.zero_phase import STRETCH, zero_phase_blocks


def highpass_blocks(
    x: SignalLike,
    sampling_rate: float,
    *,
    order: int = 8,
    band: Sequence[float] = (500, 7500),
    block: int = BLOCK,
) -> Iterator[np.ndarray]:
    """Filter a raw signal to the band of spikes.

    The maths is that of PyHipp's ``rplhighpass.py``:
    ``filtfilt(*butter(order / 2, band / (sampling_rate / 2), "bandpass"), x, padtype="odd", padlen=3 * order)``.

    Parameters
    ----------
    x : SignalLike
        Raw signal of n samples, float32, uV. Each sample is read once.
    sampling_rate : float
        Samples per second.
    order : int
        Number of poles, even.
    band : sequence of two floats
        Low and high corner, Hz.
    block : int
        Samples per read of a signal of a few seconds; longer ones are read as the filter needs them.

    Returns
    -------
    iterator of numpy.ndarray, float32
        Blocks in uV, in order, n samples in all.

    Raises
    ------
    ConfigError
        If `order` or `band` cannot be, at once.
    SignalError
        If the signal is too short (3 * order samples or fewer) or not finite, when its blocks are taken.

    Examples
    --------
    >>> seconds = np.arange(30000) / 30000
    >>> x = (np.sin(2 * np.pi * 1000 * seconds) + 500).astype(np.float32)
    >>> y = np.concatenate(list(highpass_blocks(x, 30000)))
    >>> y.dtype, len(y), round(float(y[1000:-1000].max()), 1)
    (dtype('float32'), 30000, 1.0)
    """
    b, a = butter_bandpass(order, band, sampling_rate)
    return zero_phase_blocks(b, a, x, block=block, stretch=2 * STRETCH)
