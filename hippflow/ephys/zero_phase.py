"""The zero-phase filter of :mod:`hippflow.ephys.filters`, for long signals and many times as fast.

What this does: filters 8 consecutive stretches of a signal side by side. A stretch is begun one
settling length early, from the steady state of a constant, so that what it gives differs from the
pass over the whole signal by no more than rounding; the first stretch continues where the last block ended.

What it does not: help filters with odd coefficients in the numerator, of more than 8 poles, or that settle
too slowly; these, the last seconds of a signal and short signals go the plain way.
"""

from collections.abc import Iterator

import numpy as np
from scipy.signal import lfilter_zi, lfiltic

from hippflow.ephys.filters import (
    BLOCK,
    SignalLike,
    filtfilt_blocks,
    read_part,
    refuse_not_finite,
    settling_length,
)
from hippflow.ephys.recursion import Recursion, for_kernels

#: Samples of a stretch unless told otherwise: what is filtered twice is then 6 % for spikes, and what is kept between
#: the passes 1 MB.
STRETCH = 2**14

_LANES = 8


def zero_phase_blocks(
    b: np.ndarray, a: np.ndarray, x: SignalLike, *, block: int = BLOCK, stretch: int = STRETCH
) -> Iterator[np.ndarray]:
    """Filter a signal forwards and backwards without holding it in memory.

    Parameters
    ----------
    b, a : numpy.ndarray
        Transfer function.
    x : SignalLike
        Signal of n samples, in uV. Each is read once.
    block : int
        Samples per read where the signal goes the plain way.
    stretch : int
        Samples of a stretch, a multiple of 8. The plain way is taken if the filter settles in more than 3 of them,
        or if there are fewer than 8 stretches; else 8 are read at a time.

    Returns
    -------
    iterator of numpy.ndarray, float32
        Blocks in uV, in order, n samples in all: scipy's filtfilt of the whole signal within 1e-9 uV for signals of
        some 1000 uV, rounded to float32. They belong to the caller.

    Raises
    ------
    ConfigError, SignalError
        As :func:`hippflow.ephys.filters.filtfilt_blocks`. A sample that is not finite is found in what it does
        to the result, before any result that it spoils is given.

    Examples
    --------
    >>> from scipy.signal import butter, filtfilt
    >>> b, a = butter(4, [1 / 30, 1 / 2], "bandpass")
    >>> x = np.sin(np.arange(300_000.0))
    >>> y = np.concatenate(list(zero_phase_blocks(b, a, x)))
    >>> bool(np.allclose(y, filtfilt(b, a, x, padlen=24), rtol=1e-7, atol=1e-9))
    True
    """
    settling = -(-max(settling_length(b, a), 3 * len(a)) // _LANES) * _LANES
    if not _suits(b, a) or settling > 3 * stretch or len(x) < _LANES * stretch + settling:
        return (y.astype(np.float32) for y in filtfilt_blocks(b, a, x, block=block))
    return _side_by_side(b, a, x, settling, stretch)


def _suits(b: np.ndarray, a: np.ndarray) -> bool:
    """Say whether a transfer function is what the kernels take: a Butterworth band-pass of at most 8 poles."""
    order = len(a) - 1
    mirrored = -b[::-1] if order // 2 % 2 else b[::-1]
    return order in (2, 4, 6, 8) and len(b) == len(a) and not b[1::2].any() and np.array_equal(b, mirrored)


def _side_by_side(b: np.ndarray, a: np.ndarray, x: SignalLike, settling: int, length: int) -> Iterator[np.ndarray]:
    """Do the work of :func:`zero_phase_blocks`; both lengths are multiples of 8, that of settling above the padding."""
    from hippflow.ephys.filter_kernels import filter_stretches

    b, a = b / a[0], a / a[0]
    order = len(a) - 1
    edge = 3 * order
    n_out = _LANES * length
    gain = float(b.sum() / a.sum())
    # The forward pass is without the factor b[0], which a pass of 8 poles is some percent faster for.
    first, numerator = float(b[0]), b[: order // 2 + 1 : 2]
    numerators = tuple((numerator[1:] / first).tolist()), tuple((numerator * first).tolist())
    design = settling, length, *numerators, tuple(a[1:].tolist()), (gain / first, gain * first)

    # What is left from the stretches before, of which the results are still to come, and room for what follows.
    head = for_kernels(read_part(x, 0, settling - edge))
    refuse_not_finite(head, 0)
    room = np.empty(-(-settling // length) * length, head.dtype)
    head = np.concatenate([2 * head[0] - head[edge:0:-1], head, room])
    before = np.empty((2, _LANES))  # samples, and results of the forward pass, before that
    before[0], before[1] = head[0], gain / first * head[0]
    y = np.empty((settling + length) * _LANES)
    unwanted, start = edge, settling - edge
    while start + n_out <= len(x):
        part = np.ascontiguousarray(for_kernels(read_part(x, start, start + n_out)))
        out = np.empty(n_out, np.float32)
        if not filter_stretches(head, part, *design, before, y, out):
            refuse_not_finite(part, start)
        yield out[unwanted:]
        unwanted, start = 0, start + n_out

    rest = np.concatenate([head[:settling], read_part(x, start, len(x))])
    refuse_not_finite(rest[unwanted:], start - settling + unwanted)
    rest = np.concatenate([rest, 2 * rest[-1] - rest[-2 : -edge - 2 : -1]])
    steady, run = lfilter_zi(b, a), Recursion(b, a)
    last = y[: len(rest)]
    run(rest, lfiltic(b, a, first * before[1, ::-1], before[0, ::-1]), out=last)
    run(last[::-1], steady * last[-1], out=last[::-1])
    yield last[unwanted:-edge].astype(np.float32)
