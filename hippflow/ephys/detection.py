"""Events of one channel, from a signal that is read block by block and never held.

What this does: after a first look at the signal (:func:`hippflow.ephys.noise.scan`), which gives the artifacts and the
noise of what is left, finds the events that reach the threshold, with their clips. Results do not depend on the
size of blocks.

What it does not: filter, cluster events (:mod:`hippflow.ephys.mixture`), or open files: anything with a length
that gives float32 samples by slices will do (:class:`hippflow.io.signals.Signal`, an array).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hippflow.compiling import compiled
from hippflow.ephys.noise import (
    BLOCK,
    MAD_OF_NORMAL,
    N_BINS,
    Scan,
    as_float32,
    bins_of_deviation,
    count_bins,
    edges_of_bins,
    exact_deviation,
    key_of,
    scan,
    standard_deviation,
)

#: What the second look does with a bin: nothing, compare with the threshold, or count its values from FIRST on.
COMPARED, FIRST = 1, 2


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
        count_bins(as_float32(signal[start:stop]).view(np.uint32), both)
        counts -= both.sum(axis=0)
        n_masked += stop - start
    level = threshold * std
    bins = bins_of_deviation(counts)
    actions = _actions(level, bins, sign)
    fine = np.zeros((len(bins), N_BINS), np.int64)
    margin = interval + max(before, after)
    n = found.n_samples
    samples, clips = [np.empty(0, np.int64)], [np.empty((0, before + after), np.float32)]
    starts = range(0, n, block)
    for start in progress(iter(starts), len(starts)) if progress else starts:
        first, last = max(0, start - margin), min(n, start + block + margin)
        stop = min(n, start + block)
        piece = _masked(as_float32(signal[first:last]), first, masked)
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
    mad = exact_deviation(counts, bins, fine) / MAD_OF_NORMAL
    return Events(np.concatenate(samples), np.concatenate(clips), std, mad)


def streamed_noise_levels(signal: Any, masked: np.ndarray, block: int = BLOCK) -> tuple[float, float]:
    """Return what :func:`hippflow.ephys.noise.noise_levels` does, without holding the signal.

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


def _actions(level: float, bins: np.ndarray, sign: int) -> np.ndarray:
    """Return what the second look does with each bin: 0, COMPARED, multiples of FIRST from 1 on to count, or both."""
    low, high = edges_of_bins(np.arange(N_BINS))
    with np.errstate(invalid="ignore"):
        peaks, troughs = (high >= level) & (sign >= 0), (low <= -level) & (sign <= 0)
    actions = np.where(peaks | troughs, COMPARED, 0).astype(np.int32)
    actions[bins] |= FIRST * (1 + np.arange(len(bins), dtype=np.int32))
    return actions


@compiled
def _look(piece, bits, actions, level, sign, start, stop, fine):
    """Return the places that reach the level, ascending; count values of the bins of interest from start to stop."""
    places = np.empty(1024, np.int64)
    n = 0
    for i in range(len(piece)):
        key = key_of(bits[i])
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
