"""Noise of one channel: its standard deviation and its median absolute deviation, exactly, without holding the signal.

What this does: counts samples by the upper half of their bits while a signal goes by. That says which few of these
bins can hold the median and the median deviation from it; a second look counts the values in these one by one
(:mod:`hippflow.ephys.detection`, which looks for events at the same time).

What it does not: filter, or find artifacts (:mod:`hippflow.ephys.artifacts`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hippflow.compiling import compiled

#: Median absolute deviation of a normal distribution of standard deviation 1.
MAD_OF_NORMAL = 0.6744897501960817

#: Samples that are read at a time, about.
BLOCK = 2**18

#: Bins of the first look: the upper half of a float32's bits; its lower half tells values in a bin apart.
N_BINS = 2**16

#: Samples that are held in double precision at a time.
HELD = 2**20


@dataclass(frozen=True)
class Scan:
    """What the first look at a signal finds.

    Attributes
    ----------
    sums, squares : ndarray of float64, (chunks,)
        Sum of the samples and of their squares in each chunk; the last may be incomplete.
    counts : ndarray of int64, (65536,)
        Samples in each bin, in the order of their values.
    n_samples, chunk : int
        Samples of the signal and of a chunk.
    """

    sums: np.ndarray
    squares: np.ndarray
    counts: np.ndarray
    n_samples: int
    chunk: int


def scan(signal: Any, chunk: int, block: int = BLOCK) -> Scan:
    """Take a first look at a signal.

    Parameters
    ----------
    signal : sliceable, (n,)
        uV.
    chunk : int
        Samples per chunk.
    block : int
        Samples to read at a time, about.
    """
    n = len(signal)
    n_chunks = -(-n // chunk)
    sums, squares, counts = np.zeros(n_chunks), np.zeros(n_chunks), np.zeros((2, N_BINS), np.int64)
    step = max(1, block // chunk)
    for first in range(0, n_chunks, step):
        samples = as_float32(signal[first * chunk : min((first + step) * chunk, n)])
        _sum_chunks(samples, chunk, sums[first:], squares[first:])
        count_bins(samples.view(np.uint32), counts)
    return Scan(sums, squares, counts.sum(axis=0), n, chunk)


def standard_deviation(found: Scan, masked: np.ndarray) -> float:
    """Return the standard deviation of the unmasked signal, uV; 0 if it is constant, or nothing is left."""
    kept = np.ones(len(found.sums), bool)
    for start, stop in masked:
        kept[start // found.chunk : -(-stop // found.chunk)] = False
    n = found.n_samples - int(sum(stop - start for start, stop in masked))
    if not n:
        return 0.0
    mean, square = found.sums[kept].sum() / n, found.squares[kept].sum() / n
    variance = square - mean**2
    # of a constant, rounding leaves some 1e-16 of its square
    return float(np.sqrt(variance)) if variance > 1e-12 * square else 0.0


def noise_levels(x: np.ndarray, masked: np.ndarray) -> tuple[float, float]:
    """Return standard deviation and median absolute deviation / 0.6745 of the unmasked signal.

    Parameters
    ----------
    x : ndarray of float, (n,)
        Signal of mean about 0, uV.
    masked : ndarray of int, (m, 2)
        Intervals [start, stop) to leave out.

    Returns
    -------
    tuple of two floats
        In uV; both 0 if nothing is left, or nothing but a constant.

    Examples
    --------
    >>> noise_levels(np.array([1.0, -1.0, 1.0, -1.0, 50.0]), np.array([[4, 5]]))[0]
    1.0
    """
    bounds = np.concatenate(([0], np.asarray(masked, np.int64).ravel(), [len(x)])).reshape(-1, 2)
    kept = x if len(bounds) == 1 else np.concatenate([x[start:stop] for start, stop in bounds])
    if not kept.size or kept.min() == kept.max():
        return 0.0, 0.0
    deviation = kept - np.median(kept)
    np.abs(deviation, out=deviation)
    mad = float(np.median(deviation, overwrite_input=True)) / MAD_OF_NORMAL
    # in blocks: numpy's own would hold the signal in double precision
    mean = kept.mean(dtype=np.float64)
    squares = sum(float(np.sum(np.square(kept[i : i + HELD] - mean))) for i in range(0, len(kept), HELD))
    return float(np.sqrt(squares / len(kept))), mad


def as_float32(samples: np.ndarray) -> np.ndarray:
    """Return samples as the compiled looks read them."""
    return np.ascontiguousarray(samples, np.float32)


def _values(keys: np.ndarray) -> np.ndarray:
    """Return the float32 of keys, whose order is that of the values; float64."""
    keys = np.asarray(keys, np.uint32)
    bits = np.where(keys >> 31, keys ^ np.uint32(2**31), ~keys)
    with np.errstate(invalid="ignore"):
        return bits.view(np.float32).astype(np.float64)


def edges_of_bins(bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest value of bins."""
    keys = np.asarray(bins, np.uint32) << 16
    return _values(keys), _values(keys | 0xFFFF)


def _rank_range(n: int) -> tuple[int, int]:
    """Return the ranks, from 0, whose mean is the median of so many values."""
    return (n - 1) // 2, n // 2


def bins_of_deviation(counts: np.ndarray) -> np.ndarray:
    """Return the bins that can hold the median, and those whose values can be the median absolute deviation from it."""
    n = int(counts.sum())
    if not n:
        return np.empty(0, np.int64)
    used = np.flatnonzero(counts)
    cumulative = np.cumsum(counts[used])
    ranks = _rank_range(n)
    middle = used[np.searchsorted(cumulative, ranks, side="right")]
    low, high = edges_of_bins(used)
    least, most = edges_of_bins(middle)
    least, most = least[0], most[-1]
    # a value's deviation lies between these, wherever in its bin it is and the median in its own
    nearest = np.maximum(0, np.maximum(low - most, least - high))
    farthest = np.maximum(np.abs(high - least), np.abs(most - low))
    lower = _quantile_bound(nearest, counts[used], ranks[0])
    upper = _quantile_bound(farthest, counts[used], ranks[1])
    return np.union1d(middle, used[(farthest >= lower) & (nearest <= upper)])


def _quantile_bound(values: np.ndarray, counts: np.ndarray, rank: int) -> float:
    """Return the value of a rank, of values that there are so many of each."""
    order = np.argsort(values, kind="stable")
    return float(values[order][np.searchsorted(np.cumsum(counts[order]), rank, side="right")])


def exact_deviation(counts: np.ndarray, bins: np.ndarray, fine: np.ndarray) -> float:
    """Return the median absolute deviation, of float32 as numpy takes it, from the counts of values in `bins`."""
    n = int(counts.sum())
    if not n:
        return 0.0
    others = np.setdiff1d(np.flatnonzero(counts), bins)
    place, low = np.nonzero(fine)
    known = _values((bins[place].astype(np.uint32) << 16) | low.astype(np.uint32))
    # values of other bins are on one side of every rank that matters: any of the bin will do
    values = np.concatenate([known, edges_of_bins(others)[0]])
    weights = np.concatenate([fine[place, low], counts[others]])
    median = np.float32(np.mean([np.float32(_quantile_bound(values, weights, rank)) for rank in _rank_range(n)]))
    deviations = np.abs(values.astype(np.float32) - median).astype(np.float64)
    return float(np.mean([_quantile_bound(deviations, weights, rank) for rank in _rank_range(n)]))


@compiled
def _sum_chunks(samples, chunk, sums, squares):
    """Sum samples and their squares; four at a time, always the same way."""
    n = len(samples)
    for start in range(0, n, chunk):
        stop = min(start + chunk, n)
        a = b = c = d = 0.0
        e = f = g = h = 0.0
        whole = start + (stop - start) // 4 * 4
        for i in range(start, whole, 4):
            p, q = np.float64(samples[i]), np.float64(samples[i + 1])
            r, s = np.float64(samples[i + 2]), np.float64(samples[i + 3])
            a += p
            b += q
            c += r
            d += s
            e += p * p
            f += q * q
            g += r * r
            h += s * s
        for i in range(whole, stop):
            p = np.float64(samples[i])
            a += p
            e += p * p
        sums[start // chunk] = (a + b) + (c + d)
        squares[start // chunk] = (e + f) + (g + h)


@compiled
def key_of(bits):
    """Order the bits of float32 as their values: of negative ones all are turned, of others the first."""
    return bits ^ (np.uint32(np.int32(bits) >> 31) | np.uint32(0x80000000))


@compiled
def count_bins(bits, counts):
    """Count samples by the upper half of their keys, in two rows by turns: the processor need not wait for itself."""
    n = len(bits)
    for i in range(0, n - 1, 2):
        counts[0, key_of(bits[i]) >> 16] += 1
        counts[1, key_of(bits[i + 1]) >> 16] += 1
    if n % 2:
        counts[0, key_of(bits[n - 1]) >> 16] += 1
