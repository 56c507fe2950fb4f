"""One channel of a session: its signals, spike trains and place fields."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hippflow.ephys.clock import sample_times
from hippflow.errors import FormatError
from hippflow.io.cells import check_cells
from hippflow.io.products import read_product
from hippflow.io.signals import open_signal
from hippflow.io.tables import ANY, NUMBER, TEXT, WHOLE
from hippflow.reading.files import Files
from hippflow.reading.named import Named

#: Columns of the table of cells, and what they hold.
_CELLS = {"cell": TEXT, "unit": WHOLE, "quality": TEXT, "num_spikes": WHOLE, "firing_rate": NUMBER, "spiketrain": ANY}

#: What to do about several products of different settings.
_SETTINGS = "made with different settings; say which with load_day(folder, config='config.yaml')"


class SignalFile:
    """A signal on disk; samples are read when they are asked for.

    ``signal[a:b]`` reads samples a to b (exclusive) as float32 in µV, also where they are stored as int16, and nothing
    else of the file; ``len(signal)`` is their number. The file is open only while it is read.

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

    Raises
    ------
    FormatError
        The file is not there, or holds no signal.
    TypeError, ValueError
        On reading: an index that is no slice, a slice with a step.

    Examples
    --------
    >>> from hippflow import load_day
    >>> from hippflow.demo.finished import write_finished_day
    >>> lfp = load_day(write_finished_day())["session01"].channels[9].lfp
    >>> lfp
    SignalFile(rpllfp_6eca.hkl, 3000 samples at 1000 Hz)
    >>> lfp[1500:1503].tolist(), lfp.times(1500, 1503).tolist()
    ([1500.0, 1501.0, 1502.0], [1.5, 1.501, 1.502])
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

    def at(self, samples: np.ndarray) -> np.ndarray:
        """Return single samples, float32 in µV, by their indices (which are best in ascending order)."""
        with open_signal(self.path) as signal:
            return np.array([signal[k : k + 1][0] for k in np.asarray(samples).tolist()], np.float32)

    @property
    def gain(self) -> float:
        """µV per stored number; 1 where µV are stored."""
        return float(self.info.get("Gain", 1.0))

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored numbers, float32 (µV) or int16 (bits)."""
        return np.dtype(np.int16 if "Gain" in self.info else np.float32)

    def stored(self, start: int, stop: int) -> np.ndarray:
        """Return samples start to stop (exclusive) as they are stored: µV, or bits, which are µV over `gain`."""
        samples = self[start:stop]
        return np.rint(samples / np.float32(self.gain)).astype(np.int16) if "Gain" in self.info else samples

    def times(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return when samples start to stop (exclusive) were taken, float64 in s on Ripple's clock.

        Pauses that were left out of the signal are jumps in these times.
        """
        start, stop, _ = slice(start, stop).indices(len(self))
        return sample_times(np.arange(start, max(start, stop)), self.segments, self._tick_rate)

    def between(self, start: float, stop: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the samples taken from `start` to `stop`.

        Parameters
        ----------
        start, stop : float
            s on Ripple's clock; `stop` is not included. What lies outside the recording, or in a pause, has no samples.

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

    Notes
    -----
    What is not there raises a FormatError when it is asked for.
    """

    number: int
    folder: Path
    _files: Files = field(repr=False, compare=False)

    @property
    def array(self) -> int:
        """Number of the array that the channel is on."""
        return int(self.folder.parent.name.removeprefix("array"))

    @cached_property
    def raw(self) -> SignalFile:
        """The signal as it was recorded, 30 kHz from Ripple."""
        return SignalFile(self._files.find(self.folder, "rplraw_d41d.hkl"))

    @cached_property
    def lfp(self) -> SignalFile:
        """The local field potential, 1 to 150 Hz at 1 kHz unless configured otherwise."""
        return SignalFile(self._files.find(self.folder, "rpllfp"))

    @cached_property
    def highpass(self) -> SignalFile:
        """The band of the spikes, 500 to 7500 Hz at the rate of `raw` unless configured otherwise."""
        return SignalFile(self._files.find(self.folder, "rplhighpass"))

    def spectrum(self, signal: str = "lfp") -> tuple[np.ndarray, np.ndarray]:
        """Return the amplitude spectrum of a signal.

        Parameters
        ----------
        signal : {'lfp', 'highpass'}

        Returns
        -------
        frequencies : ndarray of float64, shape (n,)
            Hz.
        magnitudes : ndarray of float64, shape (n,)
            µV · samples.

        Raises
        ------
        FormatError
            There is none, or there are several, made with different settings.
        """
        candidates = self._files.candidates(self.folder, f"freqspectrum {signal}")
        spectra = [read_product(path) for path in candidates]
        found = [fields for fields in spectra if bool(fields["args"]["loadHighPass"]) == (signal == "highpass")]
        if len(found) != 1:
            why = _SETTINGS if found else "hippflow status says why"
            raise FormatError(f"{self.folder}: expected one spectrum of the {signal} signal, found {len(found)}; {why}")
        return np.asarray(found[0]["freq"][0], np.float64), np.asarray(found[0]["magnitude"][0], np.float64)

    @cached_property
    def quality(self) -> dict[str, Any]:
        """What the signals are worth: levels and noise in µV, saturated and flat stretches, ``problems`` in words."""
        return self._files.report(self.folder, "quality.json")

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row for each unit.

        ``cell`` is its folder's name, ``unit`` its number on the day, ``quality`` good, multi-unit or noise,
        ``num_spikes`` and ``firing_rate`` (Hz) are of this session, ``spiketrain`` is its file's path in the
        channel's folder (NaN without spikes).
        """
        return self._files.table(self.folder, "cells.csv", _CELLS, unique="unit")

    @cached_property
    def spike_times(self) -> dict[int, np.ndarray]:
        """Spike times of each unit, float64 in s on Ripple's clock, ascending, by the unit's number."""
        check_cells(self.folder / "cells.csv", self.cells)
        trains = {
            unit: np.zeros(0) if pd.isna(path) else self._train(self.folder / path)
            for unit, path in zip(self.cells["unit"].tolist(), self.cells["spiketrain"], strict=True)
        }
        return Named(f"{self.folder}, units", trains)

    @staticmethod
    def _train(path: Path) -> np.ndarray:
        return np.asarray(read_product(path)["spiketimes"][0], np.float64) / 1000

    @cached_property
    def place_fields(self) -> pd.DataFrame:
        """One row for each cell: where it fires most, and whether that tells where the animal is.

        ``cell``, ``spikes`` (while navigating), ``mean_rate`` and ``peak_rate`` in Hz, ``peak_x`` and ``peak_z`` in
        maze units, ``spatial_information`` and its ``threshold`` in bits per spike, ``significant``.
        """
        return self._files.table(self.folder, "placefields.csv")

    def rate_map(self, unit: int) -> np.ndarray:
        """Return how often a unit fires in every bin of the floor.

        Parameters
        ----------
        unit : int

        Returns
        -------
        ndarray of float64, shape (n, n)
            Hz; rows along z and columns along x, both ascending; NaN where the animal was too rarely. The edges of the
            bins are ``session.occupancy["horGridBound"]`` (x) and ``["vertGridBound"]`` (z).

        Raises
        ------
        FormatError
            The unit has no map in this session, or several, made with different settings.
        """
        candidates = map(read_product, self._files.candidates(self.folder / f"cell{unit:02d}", "vmplacecell"))
        found = [fields for fields in candidates if "rateMap" in fields]  # PyHipp's own has counts instead
        if len(found) != 1:
            why = _SETTINGS if found else "it may have no spikes, or no place fields yet: hippflow status says which"
            raise FormatError(f"{self.folder}: expected one map of unit {unit}, found {len(found)}; {why}")
        rates = np.asarray(found[0]["rateMap"][0], np.float64)
        return rates.reshape(found[0]["args"]["GridSteps"], -1)
