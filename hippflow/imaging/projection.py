"""Projections of a movie over time, as its frames pass by: first frame, maximum, mean and exact standard deviation.

Takes blocks of frames in the order of time and keeps sums, not frames. Values are 16-bit integers, so that every sum
is an integer and exact; the only roundings are in the last division and square root.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

#: Most windows of time that a movie is divided into, which are the frames of its animations.
MAX_WINDOWS = 48


def window_starts(n_frames: int, max_windows: int = MAX_WINDOWS) -> np.ndarray:
    """Return the first frames of equal windows of time; those that get one frame more come first.

    Examples
    --------
    >>> window_starts(11, 4).tolist()
    [0, 3, 6, 9]
    """
    n_windows = min(max_windows, n_frames)
    size, rest = divmod(n_frames, n_windows)
    windows = np.arange(n_windows, dtype=np.int64)
    return windows * size + np.minimum(windows, rest)


@dataclass(frozen=True)
class Window:
    """Projections of the frames of one window, or of the whole movie.

    Attributes
    ----------
    n_frames : int
    maximum : ndarray of int16, shape (height, width)
    mean, standard_deviation : ndarray of float64, shape (height, width)
        The latter of the population (divided by `n_frames`).
    """

    n_frames: int
    maximum: np.ndarray
    mean: np.ndarray
    standard_deviation: np.ndarray


class _Sums:
    """Number, maximum, sum and sum of squares of the frames so far.

    The sums are float64, which holds integers below 2^53 exactly: 8 million frames at full scale.
    """

    def __init__(self, shape: tuple[int, int]):
        self.n_frames = 0
        self._maximum = np.full(shape, np.iinfo(np.int16).min, np.int16)
        self._sum = np.zeros(shape)
        self._squares = np.zeros(shape)
        self._scratch = np.empty(shape)

    def add(self, frames: np.ndarray) -> None:
        self.n_frames += len(frames)
        np.maximum(self._maximum, frames.max(axis=0), out=self._maximum)
        self._sum += frames.sum(axis=0, dtype=np.int64)
        for frame in frames:
            self._scratch[...] = frame  # squares of one frame stay in the cache
            np.multiply(self._scratch, self._scratch, out=self._scratch)
            self._squares += self._scratch

    def take(self, other: "_Sums") -> None:
        """Add the sums of `other` and empty it."""
        self.n_frames += other.n_frames
        np.maximum(self._maximum, other._maximum, out=self._maximum)
        self._sum += other._sum
        self._squares += other._squares
        other.n_frames = 0
        other._maximum.fill(np.iinfo(np.int16).min)
        other._sum.fill(0)
        other._squares.fill(0)

    def result(self) -> Window:
        """Return the projections.

        Squares are taken about the integer next to the mean, so that nothing is lost where a small deviation sits on a
        large mean.
        """
        mean = self._sum / self.n_frames
        centre = np.rint(mean)
        rest = self._sum - self.n_frames * centre
        variance = self._squares - centre * (self._sum + rest)  # the sum of (x - centre)^2, in integers
        variance /= self.n_frames
        rest /= self.n_frames
        variance -= np.square(rest, out=rest)
        return Window(self.n_frames, self._maximum.copy(), mean, np.sqrt(np.maximum(variance, 0, out=variance)))


class Projections:
    """Projections of a movie of known length, of the whole and of up to 48 windows of time.

    Parameters
    ----------
    n_frames : int
    shape : (int, int)
        Height and width.

    Attributes
    ----------
    window_start : ndarray of int64
        First frame of every window.
    first : ndarray of int16 or None
        The first frame.

    Examples
    --------
    >>> movie = np.arange(12, dtype=np.int16).reshape(12, 1, 1)
    >>> projections = Projections(12, (1, 1))
    >>> windows = [window for block in (movie[:5], movie[5:]) for window in projections.add(block)]
    >>> len(windows), int(projections.total().maximum[0, 0]), float(projections.total().mean[0, 0])
    (12, 11, 5.5)
    """

    def __init__(self, n_frames: int, shape: tuple[int, int]):
        self.window_start = window_starts(n_frames)
        self.first: np.ndarray | None = None
        self._ends = [*self.window_start[1:].tolist(), n_frames]
        self._done = self._n_windows = 0
        self._window, self._total = _Sums(shape), _Sums(shape)

    def add(self, frames: np.ndarray) -> Iterator[Window]:
        """Take the next frames (int16, shape (n, height, width)) and yield the windows that they complete."""
        if self.first is None:
            self.first = frames[0].copy()
        taken = 0
        while taken < len(frames):
            end = self._ends[self._n_windows]
            piece = frames[taken : taken + end - self._done]
            self._window.add(piece)
            taken += len(piece)
            self._done += len(piece)
            if self._done == end:
                self._n_windows += 1
                yield self._window.result()
                self._total.take(self._window)

    def total(self) -> Window:
        """Return the projections of all frames of the completed windows."""
        return self._total.result()
