"""Stretches of equal samples in a signal that comes in blocks: saturated ones, and flat ones.

What this does: finds in one pass, and in memory that does not grow, the runs at the signal's
extremes (which are known only at its end) and the long ones anywhere else.

What it does not: read signals, or know what a converter's limits are.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Stretches:
    """Runs of equal samples.

    Attributes
    ----------
    listed : list of (int, int)
        First sample and number of samples of the first runs, in order.
    count : int
        All runs.
    num_samples : int
        Samples in all runs.
    """

    listed: list[tuple[int, int]] = field(default_factory=list)
    count: int = 0
    num_samples: int = 0

    def add(self, starts: np.ndarray, lengths: np.ndarray, most: int) -> None:
        """Take further runs, shape (n,), in order; list `most` at most."""
        room = most - len(self.listed)
        if room > 0:
            self.listed += list(zip(starts[:room].tolist(), lengths[:room].tolist(), strict=True))
        self.count += len(starts)
        self.num_samples += int(lengths.sum())

    def merged(self, other: "Stretches", most: int) -> "Stretches":
        """Return the runs of both; the first `most` of all are among the first of each."""
        listed = sorted(self.listed + other.listed)[:most]
        return Stretches(listed, self.count + other.count, self.num_samples + other.num_samples)


class _Level:
    """Runs at what is the signal's extreme so far, as saturated and, where they are as long, as flat ones."""

    def __init__(self, sign: int):
        self.sign, self.value = sign, -np.inf * sign
        self.saturated, self.flat = Stretches(), Stretches()

    def passed_by(self, value: float) -> bool:
        return value * self.sign > self.value * self.sign


class ConstantRuns:
    """Finds runs of equal samples in blocks of a signal.

    Parameters
    ----------
    saturation_samples : int
        Shortest run that counts at the largest or smallest value of the signal.
    flat_samples : int
        Shortest run that counts elsewhere.
    most : int
        Runs that are listed at most.
    """

    def __init__(self, saturation_samples: int, flat_samples: int, most: int):
        self._saturation, self._flat, self._most = saturation_samples, flat_samples, most
        self._levels = (_Level(1), _Level(-1))
        self._elsewhere = Stretches()
        self._position = 0
        # the run that reaches the end of what came so far
        self._open: tuple[int, float] | None = None

    def update(self, part: np.ndarray, finite: np.ndarray | None = None) -> None:
        """Take the next block, shape (n,), and where it is finite, if not everywhere."""
        if not part.size:
            return
        # equal neighbours are rare; NaN differs from itself
        same = np.flatnonzero(part[1:] == part[:-1])
        breaks = np.flatnonzero(np.diff(same, prepend=-2) != 1)
        starts = same[breaks]
        stops = same[np.append(breaks[1:], len(same)) - 1] + 2 if len(same) else starts
        values = part[starts]
        if self._open is not None:
            first, value = self._open
            if part[0] == value and len(starts) and starts[0] == 0:
                starts[0] = first - self._position
            else:  # it ends with the block's first sample, or before it
                starts = np.concatenate(([first - self._position], starts))
                stops = np.concatenate(([int(part[0] == value)], stops))
                values = np.concatenate(([value], values))
        if len(stops) and stops[-1] == part.size:
            self._open = (int(starts[-1]) + self._position, float(values[-1]))
            starts, stops, values = starts[:-1], stops[:-1], values[:-1]
        else:
            self._open = (part.size - 1 + self._position, float(part[-1]))
        self._move_levels(part if finite is None else part[finite])
        self._take(starts + self._position, stops - starts, values)
        self._position += part.size

    def finish(self) -> tuple[Stretches, Stretches]:
        """Return saturated and flat stretches of the whole signal, whose end this is."""
        if self._open is not None:
            first, value = self._open
            self._take(np.array([first]), np.array([self._position - first]), np.array([value]))
        top, bottom = self._levels
        if top.value == bottom.value:  # one value is no limit
            return Stretches(), self._elsewhere.merged(top.flat, self._most)
        return top.saturated.merged(bottom.saturated, self._most), self._elsewhere

    def _take(self, starts: np.ndarray, lengths: np.ndarray, values: np.ndarray) -> None:
        """Sort finished runs into those at an extreme and others."""
        long = (lengths >= min(self._saturation, self._flat)) & np.isfinite(values)
        starts, lengths, values = starts[long], lengths[long], values[long]
        if not len(starts):
            return
        other = lengths >= self._flat
        for level in self._levels:
            at = values == level.value
            for kind, shortest in ((level.saturated, self._saturation), (level.flat, self._flat)):
                chosen = at & (lengths >= shortest)
                kind.add(starts[chosen], lengths[chosen], self._most)
            other &= ~at
        rest = Stretches()
        rest.add(starts[other], lengths[other], self._most)
        self._elsewhere = self._elsewhere.merged(rest, self._most)

    def _move_levels(self, values: np.ndarray) -> None:
        """Move the extremes; runs at one that was passed are flat at most."""
        if not values.size:
            return
        for level, value in zip(self._levels, (float(values.max()), float(values.min())), strict=True):
            if level.passed_by(value):
                # a value that is both extremes (all that came was equal) stays with the other one
                if all(level.value != other.value for other in self._levels if other is not level):
                    self._elsewhere = self._elsewhere.merged(level.flat, self._most)
                level.value, level.saturated, level.flat = value, Stretches(), Stretches()
