"""Continuous recordings (.nsX) as Ripple and Blackrock recorders write them, byte for byte.

Writes the specifications 2.1, 2.2 (Ripple's, the default), 2.3, 3.0, and 3.0 with
a PTP clock (``3.0-ptp``: every sample a packet with a time in ns). Paused
recordings, and clocks that were reset or wrapped around, can be written on
purpose, to test readers. All numbers are little-endian.

Times are in ticks of the file's own clock, 30 kHz or, by ``3.0-ptp``, 1 GHz
(:func:`clock_hz`); those of four bytes wrap around, as they do in a recorder.
"""

import datetime
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from hippflow.io.atomic import whole_file

SPECS = ("2.1", "2.2", "2.3", "3.0", "3.0-ptp")

SAMPLING_RATE = 30_000

#: When recordings say they began, unless told otherwise.
DEMO_START = datetime.datetime(2018, 11, 5, 10, 59, 11)

#: Channels per front-end, and the number from which Ripple counts analog inputs.
FRONT_END_CHANNELS, FIRST_ANALOG_ID = 32, 10241


def clock_hz(spec: str) -> int:
    """Return how many ticks the clock of a file has per second.

    Examples
    --------
    >>> clock_hz("2.2"), clock_hz("3.0-ptp")
    (30000, 1000000000)
    """
    if spec not in SPECS:
        raise ValueError(f"unknown specification {spec!r}; known are {', '.join(SPECS)}")
    return 1_000_000_000 if spec == "3.0-ptp" else SAMPLING_RATE


@dataclass(frozen=True)
class Channel:
    """Header of one channel. Corners are in mHz; a filter is (corner, order, type: 1 = Butterworth)."""

    id: int
    label: str
    front_end: int
    pin: int
    units: str
    max_digital: int
    max_analog: int
    highpass: tuple[int, int, int] = (300, 1, 1)
    lowpass: tuple[int, int, int] = (7_500_000, 3, 1)


def raw_channel(number: int) -> Channel:
    """Describe electrode `number` of a 32-channel front-end: 0.25 uV per bit.

    Examples
    --------
    >>> channel = raw_channel(34)
    >>> channel.label, channel.front_end, channel.pin, channel.max_analog / channel.max_digital
    ('raw 34', 1, 2, 0.25)
    """
    front_end, pin = divmod(number - 1, FRONT_END_CHANNELS)
    return Channel(number, f"raw {number}", front_end, pin + 1, "uV", 32764, 8191)


def analog_channel(number: int) -> Channel:
    """Describe analog input `number`, counted from 1: +-5 V."""
    return Channel(FIRST_ANALOG_ID + number - 1, f"analog {number}", 0, number, "mV", 32767, 5000)


class DataBlock(NamedTuple):
    """Among the arrays given to :func:`write_nsx`: what follows is a new data block, after a pause or a reset."""

    timestamp: int


def system_time(start: datetime.datetime) -> bytes:
    """Pack a date as the headers hold it (SYSTEMTIME, 16 bytes)."""
    weekday = start.isoweekday() % 7  # Windows counts from Sunday
    date = (start.year, start.month, weekday, start.day)
    return struct.pack("<8H", *date, start.hour, start.minute, start.second, start.microsecond // 1000)


def version_numbers(spec: str) -> tuple[int, int]:
    """Return major and minor version of a specification."""
    major, minor = spec.removesuffix("-ptp").split(".")
    return int(major), int(minor)


def _nsx_header(spec: str, channels: Sequence[Channel], period: int, start: datetime.datetime) -> bytes:
    label = f"{SAMPLING_RATE / period / 1000:g} kS/s".encode()
    if spec == "2.1":
        ids = struct.pack(f"<{len(channels)}I", *(channel.id for channel in channels))
        return struct.pack("<8s16sII", b"NEURALSG", label, period, len(channels)) + ids
    magic = b"BRSMPGRP" if spec.startswith("3") else b"NEURALCD"
    comment = b"".ljust(200, b"\0") + b"hippflow demo"  # Ripple: the last 56 of 256 bytes name the application
    size = 314 + 66 * len(channels)
    header = struct.pack("<8sBBI16s256sII", magic, *version_numbers(spec), size, label, comment, period, clock_hz(spec))
    header += system_time(start) + struct.pack("<I", len(channels))
    for c in channels:
        limits = (-c.max_digital, c.max_digital, -c.max_analog, c.max_analog)
        names = (b"CC", c.id, c.label.encode(), c.front_end, c.pin)
        header += struct.pack("<2sH16sBB4h16sIIHIIH", *names, *limits, c.units.encode(), *c.highpass, *c.lowpass)
    return header


def _ptp_packets(block: np.ndarray, first: int, timestamp: int, period: int) -> np.ndarray:
    """Wrap each sample of `block` (n, channels), the first of which is number `first` of its data block."""
    fields = [("one", "u1"), ("timestamp", "<u8"), ("n", "<u4"), ("samples", "<i2", (block.shape[1],))]
    packets = np.ones(len(block), fields)
    numbers = np.arange(first, first + len(block), dtype=np.int64)
    packets["timestamp"] = timestamp + numbers * period * 1_000_000_000 // SAMPLING_RATE
    packets["samples"] = block
    return packets


class _NsxData:
    """The data section of a file: data blocks whose lengths are filled in when they end."""

    def __init__(self, file: BinaryIO, spec: str, n_channels: int, period: int):
        self.file, self.spec, self.n_channels, self.period = file, spec, n_channels, period
        self.has_headers = spec in ("2.2", "2.3", "3.0")

    def begin(self, timestamp: int) -> None:
        self.timestamp, self.n_samples = timestamp, 0
        if self.has_headers:
            wide = self.spec == "3.0"
            self.file.write(struct.pack("<BQI" if wide else "<BII", 1, timestamp if wide else timestamp % 2**32, 0))
            self.length_offset = self.file.tell() - 4

    def end(self) -> None:
        if self.has_headers:
            self.file.seek(self.length_offset)
            self.file.write(struct.pack("<I", self.n_samples))
            self.file.seek(0, 2)

    def append(self, block: np.ndarray) -> None:
        if block.dtype != np.int16 or block.ndim != 2 or block.shape[1] != self.n_channels:
            raise ValueError(f"a block must be int16 (n, {self.n_channels}), not {block.dtype} {block.shape}")
        if self.spec == "3.0-ptp":
            block = _ptp_packets(block, self.n_samples, self.timestamp, self.period)
            self.n_samples += len(block)
        else:
            self.n_samples += len(block)
            block = block.astype("<i2", copy=False)
        self.file.write(np.ascontiguousarray(block).data)


def write_nsx(
    path: str | Path,
    channels: Sequence[Channel],
    blocks: Iterable[np.ndarray | DataBlock],
    spec: str = "2.2",
    timestamp: int = 0,
    period: int = 1,
    start: datetime.datetime = DEMO_START,
) -> None:
    """Write a continuous recording; memory is bounded by the largest block.

    Parameters
    ----------
    path : path
        E.g. ``181105_Block1.ns5``. It appears only when it is complete.
    channels : sequence of Channel
    blocks : iterable of ndarray, int16 (n, channels), or DataBlock
        Consecutive samples. Arrays go on in the same data block of the file until
        a :class:`DataBlock` opens the next one.
    spec : {'2.2', '2.1', '2.3', '3.0', '3.0-ptp'}
        2.1 has neither times nor data blocks.
    timestamp : int
        Time of the first sample.
    period : int
        Sampling interval, in units of 1/30000 s.
    start : datetime
        Written into the header.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "paused.ns5"
    >>> second = np.zeros((30_000, 2), np.int16)
    >>> channels = [analog_channel(1), raw_channel(9)]
    >>> write_nsx(path, channels, [second, second, DataBlock(timestamp=90_000), second])
    >>> path.stat().st_size == 314 + 2 * 66 + 2 * 9 + 3 * second.nbytes
    True
    """
    clock_hz(spec)
    with whole_file(path) as part, open(part, "wb") as file:
        file.write(_nsx_header(spec, channels, period, start))
        data = _NsxData(file, spec, len(channels), period)
        data.begin(timestamp)
        for block in blocks:
            if isinstance(block, DataBlock):
                if spec == "2.1":
                    raise ValueError("specification 2.1 knows no second data block")
                data.end()
                data.begin(block.timestamp)
            else:
                data.append(block)
        data.end()
