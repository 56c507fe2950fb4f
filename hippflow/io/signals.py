"""Continuous signals of one channel, written and read block by block.

A signal product is the hickle file of a PyHipp RPLRaw, RPLLFP or RPLHighPass
object. Its samples lie contiguous and uncompressed in the file, as float32 in uV
(what PyHipp has) or as int16 with a gain; both load through :func:`open_signal`.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hippflow.errors import FormatError
from hippflow.io.atomic import whole_file
from hippflow.io.products import DAMAGE, check_room, damaged, decode, open_hickle, value_node
from hippflow.io.signal_layout import create_signal_file


class SignalWriter:
    """Takes the samples of one signal in order; made by :func:`write_signal`."""

    def __init__(self, part: Path, fields: dict[str, Any], n_samples: int, dtype: str, gain: float):
        self._part, self.n_samples, self.gain, self.dtype = part, n_samples, gain, np.dtype(dtype)
        self._written = self._clipped = 0
        self._low, self._high = np.inf, -np.inf
        info = fields["analogInfo"] | {"MinVal": 0.0, "MaxVal": 0.0, "NumberSamples": n_samples}
        if self.dtype == np.int16:
            info |= {"Gain": float(gain), "NumberClipped": 0}
        self._layout = create_signal_file(part, fields | {"analogInfo": info}, n_samples, self.dtype)
        self._descriptor = os.open(part, os.O_WRONLY)

    def write(self, microvolts: np.ndarray) -> None:
        """Append samples in uV, rounding and clipping them where the product is int16."""
        if self.dtype == np.int16:
            from hippflow.ephys.filter_kernels import to_steps

            microvolts = np.asarray(microvolts)
            dtype = np.float32 if microvolts.dtype == np.float32 else np.float64
            bits = np.empty(microvolts.shape, np.int16)
            self._clipped += to_steps(np.ascontiguousarray(microvolts, dtype), float(self.gain), bits)
            self.write_stored(bits)
        else:
            self.write_stored(np.asarray(microvolts, np.float32))

    def write_stored(self, samples: np.ndarray) -> None:
        """Append samples that already have the product's type and scale."""
        samples = np.ascontiguousarray(samples, self.dtype)
        if samples.size:
            self.write_pieces([samples], float(samples.min()), float(samples.max()))

    def write_pieces(self, pieces: Sequence[np.ndarray], low: float, high: float) -> None:
        """Append contiguous pieces of the product's type and scale, whose smallest and largest sample are known."""
        n_samples = sum(piece.size for piece in pieces)
        if self._written + n_samples > self.n_samples:
            raise ValueError(f"{self._part}: more than the announced {self.n_samples} samples")
        self._low, self._high = min(self._low, low), max(self._high, high)
        position = self._layout.samples + self._written * self.dtype.itemsize
        written = os.pwritev(self._descriptor, pieces, position)
        if written < n_samples * self.dtype.itemsize:  # a disk that gets full writes a part, and then says so
            left = memoryview(b"".join(pieces))[written:]
            while left:
                count = os.pwrite(self._descriptor, left, position + written)
                left, written = left[count:], written + count
        self._written += n_samples

    def close(self) -> None:
        """Release the file."""
        os.close(self._descriptor)

    def finish(self) -> None:
        """Fill in what is only known at the end."""
        if self._written != self.n_samples:
            raise ValueError(f"{self._part}: {self._written} of the announced {self.n_samples} samples written")
        scale = self.gain if self.dtype == np.int16 else 1.0
        late: dict[str, np.generic] = {}
        if self.n_samples:
            late |= {"MinVal": np.float64(self._low * scale), "MaxVal": np.float64(self._high * scale)}
        if self.dtype == np.int16:
            late["NumberClipped"] = np.int64(self._clipped)
        for name, value in late.items():
            os.pwrite(self._descriptor, value.tobytes(), self._layout.late[name])


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
        try:
            samples = self._dataset[self._start + start : self._start + max(start, stop)]
        except (OSError, RuntimeError) as error:
            raise damaged(self.path, error) from error
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
        try:
            signal = _signal_of(file, Path(path))
        except DAMAGE as error:
            raise damaged(path, error) from error
        yield signal


def _signal_of(file: h5py.File, path: Path) -> Signal:
    node = file["data"]
    names = {name.strip("'\""): name for name in node} if isinstance(node, h5py.Group) else {}
    if "data" not in names or "analogInfo" not in names:
        raise FormatError(f"{path}: expected a signal with 'data' and 'analogInfo', found {sorted(names)}")
    dataset, info = (value_node(node[names[name]]) for name in ("data", "analogInfo"))
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 1:
        raise FormatError(f"{path}: expected a signal, one array of samples, as 'data', found something else")
    check_room(dataset)
    signal = Signal(path, dataset, decode(file, info))
    gain = float(signal.info["Gain"]) if dataset.dtype == np.int16 else 1.0
    good = dataset.dtype.kind in "if" and np.isfinite([gain, signal.tick_rate]).all() and signal.tick_rate > 0
    if not good or not 0 < signal.sampling_rate < np.inf or (signal.segments[:, :2] < 0).any():
        raise ValueError(f"{dataset.dtype} samples with {signal.info!s:.100}")
    return signal
