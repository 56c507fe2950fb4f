"""Events of one channel, from a signal that is read block by block and never held.

What this does: reads a signal twice. The first look gives the artifacts and the noise of what is left, the second
the events that reach the threshold, with their clips. Results do not depend on the size of blocks.

What it does not: filter, cluster events (:mod:`hippflow.ephys.mixture`), or open files: anything with a length
that gives float32 samples by slices will do (:class:`hippflow.io.signals.Signal`, an array).
"""

from collections.abc import Callable, Iterator
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

#: What the second look does with a bin: nothing, compare with the threshold, or count its values from FIRST on.
COMPARED, FIRST = 1, 2


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


@dataclass(frozen=True)
class Events:
    """Events of one channel.

    Attributes
    ----------
    samples : ndarray of int64, (n,)
        Sample of each event, ascending.
    clips : ndarray of float32, (n, before + after)
        The signal around each, uV; the event's own sample is at index ``before``.
    std, mad : float
        Standard deviation, and median absolute deviation over 0.6745, of the unmasked signal, uV.
    """

    samples: np.ndarray
    clips: np.ndarray
    std: float
    mad: float


def artifact_intervals(squares: np.ndarray, n_samples: int, *, threshold: float, chunk: int) -> np.ndarray:
    """Return the intervals that MountainLab's rule masks, see :func:`hippflow.ephys.sorting.mask_artifacts`.

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
        samples = _float32(signal[first * chunk : min((first + step) * chunk, n)])
        _sum_chunks(samples, chunk, sums[first:], squares[first:])
        _count(samples.view(np.uint32), counts)
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


def streamed_noise_levels(signal: Any, masked: np.ndarray, block: int = BLOCK) -> tuple[float, float]:
    """Return what :func:`hippflow.ephys.sorting.noise_levels` does, without holding the signal.

    Parameters
    ----------
    signal : sliceable, (n,)
        uV.
    masked : ndarray of int, (m, 2)
        Intervals [start, stop) to leave out.

    Examples
    --------
    >>> std, mad = streamed_noise_levels(np.array([1.0, -1.0, 1.0, -1.0, 50.0]), np.array([[4, 5]]))
    >>> std, round(mad * MAD_OF_NORMAL, 6)
    (1.0, 1.0)
    """
    kept = _Kept(signal, masked)
    found = scan(kept, 2000, block)
    std = standard_deviation(found, np.empty((0, 2), np.int64))
    if not std > 0:
        return 0.0, 0.0
    nothing = np.empty((0, 2), np.int64)
    events = find_events(kept, found, nothing, threshold=np.inf, sign=0, interval=0, before=0, after=0, block=block)
    return std, events.mad


class _Kept:
    """What masked intervals leave of a signal, by slices."""

    def __init__(self, signal: Any, masked: np.ndarray):
        bounds = np.concatenate(([0], np.asarray(masked, np.int64).ravel(), [len(signal)])).reshape(-1, 2)
        self._signal, self._bounds = signal, bounds.tolist()

    def __len__(self) -> int:
        return sum(stop - start for start, stop in self._bounds)

    def __getitem__(self, index: slice) -> np.ndarray:
        first, last, _ = index.indices(len(self))
        pieces, place = [], 0
        for start, stop in self._bounds:
            a, b = max(first, place), min(last, place + stop - start)
            if a < b:
                pieces.append(self._signal[start + a - place : start + b - place])
            place += stop - start
        return pieces[0] if len(pieces) == 1 else np.concatenate([np.empty(0, np.float32), *pieces])


def find_events(
    signal: Any,
    found: Scan,
    masked: np.ndarray,
    *,
    threshold: float,
    sign: int,
    interval: int,
    before: int,
    after: int,
    block: int = BLOCK,
    progress: Callable[[Iterator[int], int], Iterator[int]] | None = None,
) -> Events:
    """Take a second look at a signal: events, their clips, and the exact median absolute deviation.

    An event is a sample that reaches the threshold and that no other that does exceeds within the interval: that
    of MountainSort5. Equal ones are events both.

    Parameters
    ----------
    signal : sliceable, (n,)
        uV.
    found : Scan
        Of the same signal.
    masked : ndarray of int, (m, 2)
        Intervals that are read as 0, of whole chunks.
    threshold : float
        In standard deviations of the unmasked signal.
    sign : int
        -1: troughs, 1: peaks, 0: both.
    interval : int
        Samples.
    before, after : int
        Samples of a clip before the event's own, and from it on. Events nearer to an end are none.
    block : int
        Samples to read at a time.
    progress : callable, optional
        Wraps the blocks' starts and their number.
    """
    std = standard_deviation(found, masked)
    counts = found.counts.copy()
    n_masked = 0
    for start, stop in masked:
        both = np.zeros((2, N_BINS), np.int64)
        _count(_float32(signal[start:stop]).view(np.uint32), both)
        counts -= both.sum(axis=0)
        n_masked += stop - start
    level = threshold * std
    bins = _bins_of_deviation(counts)
    actions = _actions(level, bins, sign)
    fine = np.zeros((len(bins), N_BINS), np.int64)
    margin = interval + max(before, after)
    n = found.n_samples
    samples, clips = [np.empty(0, np.int64)], [np.empty((0, before + after), np.float32)]
    starts = range(0, n, block)
    for start in progress(iter(starts), len(starts)) if progress else starts:
        first, last = max(0, start - margin), min(n, start + block + margin)
        stop = min(n, start + block)
        piece = _masked(_float32(signal[first:last]), first, masked)
        own = slice(start - first, stop - first)
        # samples of the margins are compared, too, but counted where they are at home
        places = _look(piece, piece.view(np.uint32), actions, level, sign, own.start, own.stop, fine)
        places = places[(places + first >= before) & (places + first < n - after)]
        places = places[_is_largest(places, _height(piece[places], sign), interval)]
        places = places[(places >= own.start) & (places < own.stop)]
        samples.append(places + first)
        clips.append(_cut(piece, places, before, after))
    zero = np.flatnonzero(bins == N_BINS // 2)
    fine[zero, 0] -= n_masked
    mad = _exact_deviation(counts, bins, fine) / MAD_OF_NORMAL
    return Events(np.concatenate(samples), np.concatenate(clips), std, mad)


def _float32(samples: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(samples, np.float32)


def _masked(piece: np.ndarray, first: int, masked: np.ndarray) -> np.ndarray:
    """Return a piece of the signal that starts at `first` with the masked intervals 0."""
    here = masked[(masked[:, 1] > first) & (masked[:, 0] < first + len(piece))] - first
    if len(here):
        piece = piece.copy()
        for start, stop in here.clip(0, len(piece)):
            piece[start:stop] = 0
    return piece


def _height(values: np.ndarray, sign: int) -> np.ndarray:
    return np.abs(values) if sign == 0 else values * np.float32(sign)


def _values(keys: np.ndarray) -> np.ndarray:
    """Return the float32 of keys, whose order is that of the values; float64."""
    keys = np.asarray(keys, np.uint32)
    bits = np.where(keys >> 31, keys ^ np.uint32(2**31), ~keys)
    with np.errstate(invalid="ignore"):
        return bits.view(np.float32).astype(np.float64)


def _edges(bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest value of bins."""
    keys = np.asarray(bins, np.uint32) << 16
    return _values(keys), _values(keys | 0xFFFF)


def _rank_range(n: int) -> tuple[int, int]:
    """Return the ranks, from 0, whose mean is the median of so many values."""
    return (n - 1) // 2, n // 2


def _bins_of_deviation(counts: np.ndarray) -> np.ndarray:
    """Return the bins that can hold the median, and those whose values can be the median absolute deviation from it."""
    n = int(counts.sum())
    if not n:
        return np.empty(0, np.int64)
    used = np.flatnonzero(counts)
    cumulative = np.cumsum(counts[used])
    ranks = _rank_range(n)
    middle = used[np.searchsorted(cumulative, ranks, side="right")]
    low, high = _edges(used)
    least, most = _edges(middle)
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


def _exact_deviation(counts: np.ndarray, bins: np.ndarray, fine: np.ndarray) -> float:
    """Return the median absolute deviation, of float32 as numpy takes it, from the counts of values in `bins`."""
    n = int(counts.sum())
    if not n:
        return 0.0
    others = np.setdiff1d(np.flatnonzero(counts), bins)
    place, low = np.nonzero(fine)
    known = _values((bins[place].astype(np.uint32) << 16) | low.astype(np.uint32))
    # values of other bins are on one side of every rank that matters: any of the bin will do
    values = np.concatenate([known, _edges(others)[0]])
    weights = np.concatenate([fine[place, low], counts[others]])
    median = np.float32(np.mean([np.float32(_quantile_bound(values, weights, rank)) for rank in _rank_range(n)]))
    deviations = np.abs(values.astype(np.float32) - median).astype(np.float64)
    return float(np.mean([_quantile_bound(deviations, weights, rank) for rank in _rank_range(n)]))


def _actions(level: float, bins: np.ndarray, sign: int) -> np.ndarray:
    """Return what the second look does with each bin: 0, COMPARED, multiples of FIRST from 1 on to count, or both."""
    low, high = _edges(np.arange(N_BINS))
    with np.errstate(invalid="ignore"):
        peaks, troughs = (high >= level) & (sign >= 0), (low <= -level) & (sign <= 0)
    actions = np.where(peaks | troughs, COMPARED, 0).astype(np.int32)
    actions[bins] |= FIRST * (1 + np.arange(len(bins), dtype=np.int32))
    return actions


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
def _key(bits):
    """Order the bits of float32 as their values: of negative ones all are turned, of others the first."""
    return bits ^ (np.uint32(np.int32(bits) >> 31) | np.uint32(0x80000000))


@compiled
def _count(bits, counts):
    """Count samples by the upper half of their keys, in two rows by turns: the processor need not wait for itself."""
    n = len(bits)
    for i in range(0, n - 1, 2):
        counts[0, _key(bits[i]) >> 16] += 1
        counts[1, _key(bits[i + 1]) >> 16] += 1
    if n % 2:
        counts[0, _key(bits[n - 1]) >> 16] += 1


@compiled
def _look(piece, bits, actions, level, sign, start, stop, fine):
    """Return the places that reach the level, ascending; count values of the bins of interest from start to stop."""
    places = np.empty(1024, np.int64)
    n = 0
    for i in range(len(piece)):
        key = _key(bits[i])
        action = actions[key >> 16]
        if action == 0:
            continue
        if action >= FIRST and start <= i < stop:
            fine[action // FIRST - 1, key & 0xFFFF] += 1
        if action % FIRST == COMPARED:
            value = np.float64(piece[i])
            height = abs(value) if sign == 0 else value * sign
            if height >= level:
                if n == len(places):
                    more = np.empty(2 * n, np.int64)
                    more[:n] = places
                    places = more
                places[n] = i
                n += 1
    return places[:n]


@compiled
def _is_largest(places, heights, interval):
    """Return which places have no higher one within the interval."""
    n = len(places)
    largest = np.ones(n, np.bool_)
    for i in range(n):
        j = i - 1
        while j >= 0 and places[i] - places[j] <= interval and largest[i]:
            largest[i] = heights[j] <= heights[i]
            j -= 1
        j = i + 1
        while j < n and places[j] - places[i] <= interval and largest[i]:
            largest[i] = heights[j] <= heights[i]
            j += 1
    return largest


@compiled
def _cut(piece, places, before, after):
    """Return clips around places."""
    clips = np.empty((len(places), before + after), np.float32)
    for i in range(len(places)):
        for k in range(before + after):
            clips[i, k] = piece[places[i] - before + k]
    return clips
