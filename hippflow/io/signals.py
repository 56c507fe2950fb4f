"""Continuous signals of one channel, written and read block by block.

A signal product is the hickle file of a PyHipp RPLRaw, RPLLFP or RPLHighPass
object. Its samples lie contiguous and uncompressed in the file, as float32 in uV
(what PyHipp has) or as int16 with a gain; both load through :func:`open_signal`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import hickle
import numpy as np

from hippflow.errors import FormatError
from hippflow.io.atomic import whole_file
from hippflow.io.products import decode, open_hickle, value_node

INT16 = np.iinfo(np.int16)


def _make_room(path: Path, n_samples: int, dtype: np.dtype) -> int:
    """Swap the placeholder 'data' of a hickle file for `n_samples` of space; return its byte offset.

    hickle can only write arrays that are in memory. The new dataset takes over the
    placeholder's attributes, so hickle reads it back like one of its own.
    """
    with h5py.File(path, "r+") as file:
        group = file["data"]
        attributes = dict(group['"data"'].attrs)
        del group['"data"']
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.CONTIGUOUS)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        layout.set_obj_track_times(False)  # the same input makes the same bytes
        space = h5py.h5s.create_simple((n_samples,))
        dataset = h5py.h5d.create(group.id, b'"data"', h5py.h5t.py_create(dtype), space, layout)
        for name, value in attributes.items():
            h5py.Dataset(dataset).attrs[name] = value
        return dataset.get_offset()


class SignalWriter:
    """Takes the samples of one signal in order; made by :func:`write_signal`."""

    def __init__(self, part: Path, fields: dict[str, Any], n_samples: int, dtype: str, gain: float):
        self._part, self.n_samples, self.gain, self.dtype = part, n_samples, gain, np.dtype(dtype)
        self._written = self._clipped = 0
        self._low, self._high = np.inf, -np.inf
        info = fields["analogInfo"] | {"MinVal": 0.0, "MaxVal": 0.0, "NumberSamples": n_samples}
        if self.dtype == np.int16:
            info |= {"Gain": float(gain), "NumberClipped": 0}
        hickle.dump({"data": np.zeros(1, self.dtype)} | fields | {"analogInfo": info}, str(part), mode="w")
        self._offset = _make_room(part, n_samples, self.dtype)
        self._descriptor = os.open(part, os.O_WRONLY)

    def write(self, microvolts: np.ndarray) -> None:
        """Append samples in uV, rounding and clipping them where the product is int16."""
        if self.dtype == np.int16:
            bits = np.rint(np.asarray(microvolts, np.float64) / self.gain)
            self._clipped += int(np.count_nonzero((bits < INT16.min) | (bits > INT16.max)))
            self.write_stored(np.clip(bits, INT16.min, INT16.max).astype(np.int16))
        else:
            self.write_stored(np.asarray(microvolts, np.float32))

    def write_stored(self, samples: np.ndarray) -> None:
        """Append samples that already have the product's type and scale."""
        samples = np.ascontiguousarray(samples, self.dtype)
        if samples.size == 0:
            return
        if self._written + samples.size > self.n_samples:
            raise ValueError(f"{self._part}: more than the announced {self.n_samples} samples")
        self._low = min(self._low, float(samples.min()))
        self._high = max(self._high, float(samples.max()))
        view, position = memoryview(samples).cast("B"), self._offset + self._written * self.dtype.itemsize
        while view:
            count = os.pwrite(self._descriptor, view, position)
            view, position = view[count:], position + count
        self._written += samples.size

    def close(self) -> None:
        """Release the file."""
        os.close(self._descriptor)

    def finish(self) -> None:
        """Fill in what is only known at the end."""
        if self._written != self.n_samples:
            raise ValueError(f"{self._part}: {self._written} of the announced {self.n_samples} samples written")
        scale = self.gain if self.dtype == np.int16 else 1.0
        with h5py.File(self._part, "r+") as file:
            info = file['data/"analogInfo"']
            if self.n_samples:
                info['"MinVal"'][()] = self._low * scale
                info['"MaxVal"'][()] = self._high * scale
            if self.dtype == np.int16:
                info['"NumberClipped"'][()] = self._clipped


@contextmanager
def write_signal(
    path: str | Path, fields: dict[str, Any], n_samples: int, dtype: str = "float32", gain: float = 1.0
) -> Iterator[SignalWriter]:
    """Write a signal product block by block, in memory of one block.

    Parameters
    ----------
    path : path
        The product; it appears when the block ends well and all samples were written, and not at all otherwise.
    fields : dict
        All fields but 'data', 'analogInfo' among them, whose MinVal, MaxVal and NumberSamples are filled in here.
    n_samples : int
    dtype : {'float32', 'int16'}
        How samples are stored.
    gain : float
        uV per bit of an int16 product.

    Yields
    ------
    SignalWriter
        ``write(microvolts)`` appends a block.

    Raises
    ------
    ValueError
        Fewer or more samples were written than announced.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "rplraw_d41d.hkl"
    >>> with write_signal(path, {"analogInfo": {"SampleRate": 30000.0}}, n_samples=3) as writer:
    ...     writer.write(np.array([1.0, -2.5, 0.0]))
    >>> with open_signal(path) as signal:
    ...     signal[0:2], signal.info["MinVal"]
    (array([ 1. , -2.5], dtype=float32), -2.5)
    """
    with whole_file(path) as part:
        writer = SignalWriter(part, fields, n_samples, dtype, gain)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


class Signal:
    """One channel's signal in a product, read by slices.

    Attributes
    ----------
    path : Path
    info : dict
        The product's 'analogInfo'.
    sampling_rate : float
        Hz.

    Examples
    --------
    ``signal[a:b]`` reads samples a to b (exclusive) as float32 in uV, and
    ``len(signal)`` is their number, so a Signal can stand where functions of
    :mod:`hippflow.ephys` take an array.
    """

    def __init__(
        self, path: Path, dataset: h5py.Dataset, info: dict[str, Any], start: int = 0, stop: int | None = None
    ):
        self.path, self.info = path, info
        self.sampling_rate = float(info["SampleRate"])
        self._dataset = dataset
        self._start, self._stop = start, dataset.shape[0] if stop is None else stop

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, index: slice) -> np.ndarray:
        start, stop, step = index.indices(len(self))
        if step != 1:
            raise ValueError("a signal is read in steps of 1")
        samples = self._dataset[self._start + start : self._start + max(start, stop)]
        if samples.dtype == np.int16:
            return samples * np.float32(self.info["Gain"])
        return samples.astype(np.float32, copy=False)

    @property
    def segments(self) -> np.ndarray:
        """Uninterrupted stretches, int64 (k, 4): first sample, number of samples, first tick, last tick."""
        stored = self.info.get("Segments")
        if stored is None:  # PyHipp's own files have none: one stretch that starts with the clock
            n = self._dataset.shape[0]
            return np.array([[0, n, 0, max(0, n - 1)]], np.int64)
        return np.asarray(stored, np.int64).reshape(-1, 4)

    @property
    def tick_rate(self) -> float:
        """Ticks a second of the clock in which segments are given."""
        return float(self.info.get("TickRate", self.sampling_rate))

    def stretches(self) -> Iterator["Signal"]:
        """Yield every uninterrupted stretch as a signal of its own."""
        for first, n, *_ in self.segments.tolist():
            yield Signal(self.path, self._dataset, self.info, first, first + n)


@contextmanager
def open_signal(path: str | Path) -> Iterator[Signal]:
    """Open a signal product (rplraw, rpllfp, rplhighpass) for reading by slices.

    Raises
    ------
    FormatError
        The file is missing, no hickle file, or holds no signal.
    """
    with open_hickle(path) as file:
        node = file["data"]
        names = {name.strip("'\""): name for name in node} if isinstance(node, h5py.Group) else {}
        if "data" not in names or "analogInfo" not in names:
            raise FormatError(f"{path}: expected a signal with 'data' and 'analogInfo', found {sorted(names)}")
        dataset, info = (value_node(node[names[name]]) for name in ("data", "analogInfo"))
        if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 1:
            raise FormatError(f"{path}: expected a signal, one array of samples, as 'data', found something else")
        yield Signal(Path(path), dataset, decode(file, info))
