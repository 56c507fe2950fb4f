"""One channel of a session: its signals, spike trains and place fields."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from hippflow.ephys.clock import sample_times
from hippflow.errors import FormatError
from hippflow.io.products import read_product
from hippflow.io.signals import open_signal
from hippflow.reading.files import Files


class SignalFile:
    """A signal on disk; samples are read when they are asked for.

    ``signal[a:b]`` reads samples a to b (exclusive) as float32 in µV. Nothing else of the file is read.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    path : Path
    sampling_rate : float
        Hz.
    info : dict
        The product's ``analogInfo``.
    segments : ndarray of int64, shape (k, 4)
        Uninterrupted stretches: first sample, number of samples, first tick, last tick.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        with open_signal(path) as signal:
            self.sampling_rate, self.info = signal.sampling_rate, signal.info
            self.segments, self._tick_rate, self._length = signal.segments, signal.tick_rate, len(signal)

    def __repr__(self) -> str:
        return f"SignalFile({self.path.name}, {self._length} samples at {self.sampling_rate:g} Hz)"

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: slice) -> np.ndarray:
        if not isinstance(index, slice):
            raise TypeError(f"{self.path}: a signal is read by slices, as in signal[0:30000], found {index!r}")
        with open_signal(self.path) as signal:
            return signal[index]

    def times(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return when samples start to stop (exclusive) were taken, in s on Ripple's clock."""
        start, stop, _ = slice(start, stop).indices(len(self))
        return sample_times(np.arange(start, max(start, stop)), self.segments, self._tick_rate)

    def between(self, start: float, stop: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the samples taken from `start` to `stop`.

        Parameters
        ----------
        start, stop : float
            s on Ripple's clock; `stop` is not included.

        Returns
        -------
        times : ndarray of float64, shape (n,)
            s.
        values : ndarray of float32, shape (n,)
            µV.
        """
        first, last = (self._first_at_or_after(time) for time in (start, stop))
        return self.times(first, last), self[first:last]

    def _first_at_or_after(self, time: float) -> int:
        """Return the index of the first sample that was not taken before a time."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if sample_times([middle], self.segments, self._tick_rate)[0] < time:
                low = middle + 1
            else:
                high = middle
        return low


@dataclass(frozen=True)
class Channel:
    """One channel in one session.

    Attributes
    ----------
    number : int
    folder : Path
        ``.../session01/array01/channel009``.
    """

    number: int
    folder: Path
    _files: Files = field(repr=False)

    @property
    def array(self) -> int:
        """Number of the array that the channel is on."""
        return int(self.folder.parent.name.removeprefix("array"))

    @cached_property
    def raw(self) -> SignalFile:
        """The signal as it was recorded."""
        return SignalFile(self._files.find(self.folder, "rplraw_d41d.hkl"))

    @cached_property
    def lfp(self) -> SignalFile:
        """The local field potential."""
        return SignalFile(self._files.find(self.folder, "rpllfp"))

    @cached_property
    def highpass(self) -> SignalFile:
        """The band of the spikes."""
        return SignalFile(self._files.find(self.folder, "rplhighpass"))

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row for each unit: ``cell``, ``unit``, ``quality``, ``num_spikes``, ``firing_rate``, ``spiketrain``."""
        return self._files.table(self.folder, "cells.csv")

    @cached_property
    def spike_times(self) -> dict[int, np.ndarray]:
        """Spike times of each unit, float64 in s on Ripple's clock, by the unit's number."""
        return {
            unit: np.zeros(0) if pd.isna(path) else self._train(self.folder / path)
            for unit, path in zip(self.cells["unit"].tolist(), self.cells["spiketrain"], strict=True)
        }

    @staticmethod
    def _train(path: Path) -> np.ndarray:
        return np.asarray(read_product(path)["spiketimes"][0], np.float64) / 1000

    @cached_property
    def place_fields(self) -> pd.DataFrame:
        """One row for each cell: where it fires most, and whether that tells where the animal is."""
        return self._files.table(self.folder, "placefields.csv")

    def rate_map(self, unit: int) -> np.ndarray:
        """Return how often a unit fires in every bin of the floor.

        Parameters
        ----------
        unit : int

        Returns
        -------
        ndarray of float64, shape (n, n)
            Hz; rows along z and columns along x, both ascending; NaN where the animal was too rarely.

        Raises
        ------
        FormatError
            The unit has no map in this session.
        """
        found = [
            path
            for path in sorted(self.folder.glob(f"cell{unit:02d}/vmplacecell_????.hkl"))
            if "rateMap" in read_product(path)
        ]
        if len(found) != 1:
            why = "made with different settings; remove those that are not wanted" if found else "it may have no spikes"
            raise FormatError(f"{self.folder}: expected one map of unit {unit}, found {len(found)}: {why}")
        fields = read_product(found[0])
        rates = np.asarray(fields["rateMap"][0], np.float64)
        return rates.reshape(fields["args"]["GridSteps"], -1)
