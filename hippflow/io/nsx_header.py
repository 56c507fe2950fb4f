"""Headers of continuous recordings: Ripple and Blackrock NSx files (``.ns5``, ``.ns6``, ...).

Reads file spec 2.2, 2.3 (``NEURALCD``) and 3.0 (``BRSMPGRP``): the rate, the clock, and the channels with their
labels, scales and filters. The samples behind them are in :mod:`hippflow.io.nsx`.

Does not read spec 2.1 (``NEURALSG``: no labels, units or scaling in the file),
nor Ripple's float32 ``.nf*`` files.
"""

import struct
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hippflow.errors import FormatError
from hippflow.io.system_time import time_or_none

#: Longest headers that are read, those of some 15 000 channels.
MAX_HEADER_BYTES = 1 << 20

_BASIC = struct.Struct("<8sBBI16s256sII16sI")
_CHANNEL = struct.Struct("<2sH16sBBhhhh16sIIHIIH")


@dataclass(frozen=True)
class NsxChannel:
    """One channel as the file's header describes it.

    Attributes
    ----------
    label : str
        ``raw 9``, ``analog 1``, ...
    units : str
        ``uV`` or ``mV``.
    connector, pin : int
        Front-end and pin, as numbered in the file.
    gain, offset : float
        ``units = gain * sample + offset``.
    high_corner, low_corner : float
        Corners of the amplifier's high-pass and low-pass filter in Hz.
    high_order, high_type, low_order, low_type : int
        Orders and types of these filters.
    """

    electrode_id: int
    label: str
    connector: int
    pin: int
    units: str
    gain: float
    offset: float
    high_corner: float
    high_order: int
    high_type: int
    low_corner: float
    low_order: int
    low_type: int


@dataclass(frozen=True)
class NsxHeader:
    """What the headers of one NSx file say.

    Attributes
    ----------
    spec : str
        File specification, ``2.2`` ...
    sampling_rate : float
        Hz.
    tick_rate : int
        Ticks a second of the time stamps.
    n_bytes : int
        Length of the headers, where the first data block begins.
    channels : tuple of NsxChannel
        In the order in which their samples are interleaved.
    started : datetime or None
        When the recording began; None where the headers do not say it.
    """

    path: str
    spec: str
    sampling_rate: float
    tick_rate: int
    n_bytes: int
    channels: tuple[NsxChannel, ...]
    started: datetime | None


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("latin-1").strip()


def _parse_channel(raw: bytes, path: str, index: int) -> NsxChannel:
    (mark, electrode, label, connector, pin, low_bit, high_bit, low, high, units, *filters) = _CHANNEL.unpack(raw)
    if mark != b"CC":
        raise FormatError(
            f"{path}: expected 'CC' at the header of channel {index + 1}, found {mark!r}; the file is damaged"
        )
    if high_bit == low_bit:
        raise FormatError(f"{path}: channel {_text(label)!r} has an empty digital range; its scale is not known")
    gain = (high - low) / (high_bit - low_bit)
    high_corner, high_order, high_type, low_corner, low_order, low_type = filters
    return NsxChannel(
        electrode, _text(label), connector, pin, _text(units), gain, high - gain * high_bit,
        high_corner / 1000, high_order, high_type, low_corner / 1000, low_order, low_type,
    )  # fmt: skip


def parse_nsx_header(data: bytes, path: str) -> NsxHeader:
    """Parse the headers at the start of an NSx file.

    Parameters
    ----------
    data : bytes
        The file's first bytes, at least all its headers (their length is in bytes 10 to 14).
    path : str
        Name of the file, for messages.

    Raises
    ------
    FormatError
        Not an NSx file, a spec that is not read, or damaged headers.
    """
    magic = data[:8]
    if magic == b"NEURALSG":
        raise FormatError(
            f"{path}: NSx spec 2.1 (NEURALSG) has no labels, units or scaling; expected spec 2.2, 2.3 or 3.0. "
            "Convert it with the vendor's tool"
        )
    if magic not in (b"NEURALCD", b"BRSMPGRP"):
        raise FormatError(
            f"{path}: expected an NSx file (NEURALCD or BRSMPGRP in its first 8 bytes), found {magic!r}; "
            "was another file given this name, or was its transfer cut off?"
        )
    if len(data) < _BASIC.size:
        raise FormatError(f"{path}: {len(data)} bytes, too short for a header of {_BASIC.size}; copy the file again")
    _, major, minor, n_bytes, _, _, period, tick_rate, origin, n_channels = _BASIC.unpack(data[: _BASIC.size])
    spec = f"{major}.{minor}"
    if spec not in ("2.2", "2.3", "3.0"):
        raise FormatError(f"{path}: NSx spec {spec} found; specs 2.2, 2.3 and 3.0 are read")
    if not (period and tick_rate):
        raise FormatError(f"{path}: period {period} and {tick_rate} ticks/s cannot be right; the file is damaged")
    if not n_channels:
        raise FormatError(f"{path}: headers of no channel; the file is damaged, copy it again")
    if n_bytes != _BASIC.size + _CHANNEL.size * n_channels or n_bytes > len(data):
        raise FormatError(
            f"{path}: expected headers of {_BASIC.size} + {_CHANNEL.size} x {n_channels} channels bytes, the file says "
            f"{n_bytes} and has {len(data)}; it is damaged or its transfer was cut off"
        )
    channels = tuple(
        _parse_channel(data[start : start + _CHANNEL.size], path, index)
        for index, start in enumerate(range(_BASIC.size, n_bytes, _CHANNEL.size))
    )
    # The period counts samples of the 30 kHz base clock, whatever the time stamps' resolution.
    return NsxHeader(path, spec, 30000 / period, tick_rate, n_bytes, channels, time_or_none(origin))


def header_bytes(data: bytes) -> int:
    """Return the length of all headers, as an NSx file's first bytes say; 0 if these are too few to say it."""
    return _BASIC.unpack(data[: _BASIC.size])[3] if len(data) >= _BASIC.size else 0


def read_nsx_header(path: str | Path) -> NsxHeader:
    """Read the headers of an NSx file and nothing else of it."""
    with open(path, "rb") as file:
        data = file.read(_BASIC.size)
        # a damaged length must not read a recording of many GB into memory
        data += file.read(min(max(0, header_bytes(data) - _BASIC.size), MAX_HEADER_BYTES))
    return parse_nsx_header(data, str(path))
