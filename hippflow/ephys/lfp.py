"""Local field potential: the slow part of a raw signal, at a lower sampling rate.

What this does: PyHipp's RPLLFP maths in bounded memory: decimation by scipy's polyphase
filter, then a Butterworth band-pass run forwards and backwards, kept as float32.

What it does not: read or write files, or resample by a ratio that is not a whole number.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.signal import firwin

from hippflow.ephys.filters import (
    SignalLike,
    butter_bandpass,
    read_blocks,
    read_unchecked,
    refuse_not_finite,
)
from hippflow.ephys.recursion import for_kernels
from hippflow.ephys.zero_phase import zero_phase_blocks
from hippflow.errors import SignalError

#: Half the length of the decimation filter, in samples of the decimated signal (scipy's resample_poly).
HALF_LENGTH = 10

#: Raw samples read at a time unless told otherwise: 0.5 MB as float32, which stays in a core's cache.
BLOCK = 2**17

#: Samples of LFP in a stretch of the band-pass, which 8 of are filtered at a time.
STRETCH = 2**13


def lfp_length(n_samples: int, sampling_rate: float, resample_rate: float = 1000) -> int:
    """Count the samples of the LFP of a raw signal.

    Parameters
    ----------
    n_samples : int
        Number of raw samples.
    sampling_rate, resample_rate : float
        Samples per second of the raw signal and of the LFP.

    Returns
    -------
    int
        One sample for every begun sampling interval of the LFP.

    Raises
    ------
    SignalError
        If the ratio of the rates is not a whole number.

    Examples
    --------
    >>> lfp_length(7_859_970, 30000, 1000)
    261999
    """
    return -(-n_samples // decimation_ratio(sampling_rate, resample_rate))


def decimation_ratio(sampling_rate: float, resample_rate: float) -> int:
    """Say how many raw samples make one sample of the LFP.

    Raises
    ------
    SignalError
        If that is not a whole number.

    Examples
    --------
    >>> decimation_ratio(30000.0, 1000)
    30
    """
    ratio = round(sampling_rate / resample_rate) if sampling_rate > 0 and resample_rate > 0 else 0
    if ratio < 1 or abs(ratio * resample_rate - sampling_rate) > 1e-9 * sampling_rate:
        raise SignalError(
            f"sampling rate {sampling_rate:g} Hz, resample rate {resample_rate:g} Hz: "
            "expected the first to be a whole multiple of the second; choose another resample rate"
        )
    return ratio


def decimate_blocks(x: SignalLike, ratio: int, *, block: int = BLOCK) -> Iterator[np.ndarray]:
    """Keep one of `ratio` samples after removing what the lower rate cannot carry.

    The maths is that of ``scipy.signal.resample_poly(x, 1, ratio)``: a linear-phase low-pass
    of 20 * ratio + 1 taps (Kaiser window, beta 5) with zeros around the signal; -6 dB at
    half the new rate. Sums are double, whereas scipy's are of the type of `x`.

    Parameters
    ----------
    x : SignalLike
        Signal of n samples. Each is read once.
    ratio : int
        Samples in for one sample out; 1 gives the signal itself.
    block : int
        Samples per read.

    Yields
    ------
    numpy.ndarray, float64 (the type of `x` if ratio is 1)
        Consecutive samples, ceil(n / ratio) in all.

    Raises
    ------
    SignalError
        As :func:`hippflow.ephys.filters.read_blocks`.

    Examples
    --------
    >>> y = np.concatenate(list(decimate_blocks(np.ones(3000), 30)))
    >>> len(y), round(float(y[50]), 6)
    (100, 1.0)
    """
    if ratio == 1:
        yield from read_blocks(x, block)
        return
    half = HALF_LENGTH * ratio
    taps = firwin(2 * half + 1, 1 / ratio, window=("kaiser", 5.0))
    by_phase = np.ascontiguousarray(taps[:-1].reshape(-1, ratio).T[:, ::-1]).ravel()
    weights = ratio, by_phase, taps[-1]
    left = -(-len(x) // ratio)
    # The rest opens `half` samples before the raw sample of the next output.
    rest, start = np.zeros(half, np.float32), -half
    for part in read_unchecked(x, block):
        part = for_kernels(part)
        n_across = -(-len(rest) // ratio)
        taken = (n_across - 1) * ratio + len(taps) - len(rest)
        if taken > len(part):
            part = np.concatenate([rest, part])
        else:
            yield _weigh(np.concatenate([rest, part[:taken]]), weights, n_across, start)
            left -= n_across
            part = part[n_across * ratio - len(rest) :]
            start += n_across * ratio
        n_out = max(0, (len(part) - len(taps)) // ratio + 1)
        if n_out:
            yield _weigh(part, weights, n_out, start)
            left -= n_out
        rest = part[n_out * ratio :].copy()  # the copy lets go of the rest
        start += n_out * ratio
    if left:
        missing = (left - 1) * ratio + len(taps) - len(rest)
        yield _weigh(np.pad(rest, (0, missing)), weights, left, start)


def lfp_blocks(
    x: SignalLike,
    sampling_rate: float,
    *,
    resample_rate: float = 1000,
    order: int = 8,
    band: Sequence[float] = (1, 150),
    block: int = BLOCK,
) -> Iterator[np.ndarray]:
    """Filter a raw signal to the band of field potentials, at a lower rate.

    The maths is that of PyHipp's ``rpllfp.py``: ``resample_poly(x, resample_rate, sampling_rate)``, then
    ``filtfilt(*butter(order / 2, band / (resample_rate / 2), "bandpass"), ..., padtype="odd", padlen=3 * order)``.

    Parameters
    ----------
    x : SignalLike
        Raw signal of n samples, float32, uV. Each sample is read once.
    sampling_rate, resample_rate : float
        Samples per second of the raw signal and of the LFP; the first a whole multiple of the second.
    order : int
        Number of poles of the band-pass, even.
    band : sequence of two floats
        Low and high corner, Hz.
    block : int
        Raw samples per read.

    Returns
    -------
    iterator of numpy.ndarray, float32
        Blocks in uV, in order, ``lfp_length(n, sampling_rate, resample_rate)`` samples in all.

    Raises
    ------
    ConfigError
        If `order` or `band` cannot be, at once.
    SignalError
        If the ratio of the rates is not a whole number, at once; if the signal is too short (3 * order
        samples of LFP or fewer) or not finite, when its blocks are taken.

    Examples
    --------
    >>> seconds = np.arange(150000) / 30000
    >>> x = (200 * np.sin(2 * np.pi * 10 * seconds) + 500).astype(np.float32)
    >>> lfp = np.concatenate(list(lfp_blocks(x, 30000)))
    >>> lfp.dtype, len(lfp), round(float(lfp[2000:3000].max()), -1)
    (dtype('float32'), 5000, 200.0)
    """
    ratio = decimation_ratio(sampling_rate, resample_rate)
    b, a = butter_bandpass(order, band, resample_rate)
    slow = x if ratio == 1 else _Joined(decimate_blocks(x, ratio, block=block), -(-len(x) // ratio))
    return zero_phase_blocks(b, a, slow, block=2 * STRETCH, stretch=STRETCH)


class _Joined:
    """Blocks that are made in order, as a signal of which slices are taken in that order."""

    def __init__(self, blocks: Iterator[np.ndarray], n_samples: int):
        self._blocks, self._n_samples = blocks, n_samples
        self._rest = np.empty(0)

    def __len__(self) -> int:
        return self._n_samples

    def __getitem__(self, index: slice) -> np.ndarray:
        n = index.stop - index.start
        joined, found, part = np.empty(n, self._rest.dtype), 0, self._rest
        while True:
            taken = min(len(part), n - found)
            joined[found : found + taken] = part[:taken]
            found += taken
            if found == n:
                self._rest = part[taken:]
                return joined
            part = next(self._blocks)


def _weigh(buffer: np.ndarray, weights: tuple[int, np.ndarray, float], n_out: int, start: int) -> np.ndarray:
    """Sum taps times the samples under them at `n_out` places; the buffer begins at sample `start` of the signal.

    Every sample is part of some sum, which shows if it is not finite.
    """
    from hippflow.ephys.filter_kernels import weigh

    out = np.empty(n_out)
    if not weigh(np.ascontiguousarray(buffer), *weights, out):
        refuse_not_finite(buffer, start)
    return out
