"""Digital events: Ripple and Blackrock NEV files.

Reads the packets of the digital input from spec 2.1, 2.2, 2.3 (``NEURALEV``,
32-bit time stamps) and 3.0 (``BREVENTS``, 64-bit). The parallel word is taken
from every packet whose insertion reason has bit 0 set, whichever SMA inputs the
packet was sent for as well; with bit 7 the word is a serial one. Spike waveforms,
comments, tracking and serial data are not read.
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from hippflow.errors import FormatError
from hippflow.io.system_time import parse_system_time, time_or_none

_BASIC = struct.Struct("<8sBBHIIII16s32s256sI")
_EPOCH_NANOSECONDS = 10**17
#: Longest packets that are read; waveforms of the longest that the specifications know take a few hundred bytes.
_MAX_PACKET_BYTES = 1 << 16
#: Bits of a digital packet's insertion reason: a word on the port, and that it came over the serial one.
_WORD, _SERIAL = 0x01, 0x80


@dataclass(frozen=True)
class NevHeader:
    """What the basic header of a NEV file says.

    Attributes
    ----------
    spec : str
        File specification, ``2.1`` ... ``3.0``.
    n_bytes : int
        Length of all headers, where the packets begin.
    packet_bytes : int
    tick_rate : int
        Ticks a second of the time stamps.
    sampling_rate : int
        Samples a second of the spike waveforms, the recording's base rate.
    started : datetime or None
        When the recording began; None where the header does not say it.
    """

    path: str
    spec: str
    n_bytes: int
    packet_bytes: int
    tick_rate: int
    sampling_rate: int
    started: datetime | None


@dataclass(frozen=True)
class DigitalEvents:
    """Words on the parallel port of the recording system.

    Attributes
    ----------
    codes : ndarray of uint16, shape (n,)
        The words, a high byte that never changes taken off.
    ticks : ndarray of int64, shape (n,)
        Their times in ticks since the recording's start.
    high_byte : int
        The constant high byte that was taken off, 0 if there was none.
    tick_rate, sampling_rate : int
        Ticks and samples a second.
    """

    codes: np.ndarray
    ticks: np.ndarray
    high_byte: int
    tick_rate: int
    sampling_rate: int


def parse_nev_header(data: bytes, path: str) -> NevHeader:
    """Parse the basic header at the start of a NEV file.

    Raises
    ------
    FormatError
        Not a NEV file, or a spec that is not read.
    """
    magic = data[:8]
    if magic not in (b"NEURALEV", b"BREVENTS"):
        raise FormatError(
            f"{path}: expected a NEV file (NEURALEV or BREVENTS in its first 8 bytes), found {magic!r}; "
            "was another file given this name, or was its transfer cut off?"
        )
    if len(data) < _BASIC.size:
        raise FormatError(f"{path}: {len(data)} bytes, too short for a header of {_BASIC.size}; copy the file again")
    _, major, minor, _, n_bytes, packet_bytes, tick_rate, sampling_rate, origin, *_ = _BASIC.unpack(data[: _BASIC.size])
    spec = f"{major}.{minor}"
    if spec not in ("2.1", "2.2", "2.3", "3.0"):
        raise FormatError(f"{path}: NEV spec {spec} found; specs 2.1, 2.2, 2.3 and 3.0 are read")
    least = (8 if spec == "3.0" else 4) + 6  # time stamp, identifier, reason, a byte between, word
    if not (least <= packet_bytes <= _MAX_PACKET_BYTES and tick_rate and sampling_rate and n_bytes >= _BASIC.size):
        raise FormatError(
            f"{path}: header of {n_bytes} bytes, packets of {packet_bytes} bytes, {tick_rate} ticks/s and "
            f"{sampling_rate} samples/s cannot be right; the file is damaged"
        )
    return NevHeader(path, spec, n_bytes, packet_bytes, tick_rate, sampling_rate, time_or_none(origin))


def read_nev_header(path: str | Path) -> NevHeader:
    """Read the basic header of a NEV file and nothing else of it."""
    with open(path, "rb") as file:
        return parse_nev_header(file.read(_BASIC.size), str(path))


def _packets(header: NevHeader) -> np.ndarray:
    """Map the file's packets as records with the fields that all packets share."""
    tick_bytes = 8 if header.spec == "3.0" else 4
    size = Path(header.path).stat().st_size - header.n_bytes
    if size < 0 or size % header.packet_bytes:
        raise FormatError(
            f"{header.path}: expected whole packets of {header.packet_bytes} bytes after a header of {header.n_bytes}, "
            f"found {size} bytes; the file is cut off. Copy it again from the recording computer"
        )
    record = np.dtype(
        {
            "names": ["tick", "id", "reason", "word"],
            "formats": [f"<u{tick_bytes}", "<u2", "u1", "<u2"],
            "offsets": [0, tick_bytes, tick_bytes + 2, tick_bytes + 4],
            "itemsize": header.packet_bytes,
        }
    )
    if size == 0:
        return np.zeros(0, record)
    return np.memmap(header.path, record, "r", header.n_bytes, (size // header.packet_bytes,))


def recording_start(path: str | Path) -> int:
    """Return the tick at which the recording's clock is at 0 s.

    That is tick 0, but for the clocks of spec 3.0 that count nanoseconds since
    1970: there it is the first packet of the file, written when recording begins.
    """
    header = read_nev_header(path)
    return _start_of(header, _packets(header))


def _start_of(header: NevHeader, packets: np.ndarray) -> int:
    if header.spec != "3.0" or not len(packets):
        return 0
    first, last = int(packets["tick"].min()), int(packets["tick"].max())
    if last >= 2**63:
        raise FormatError(f"{header.path}: a packet at tick {last} cannot be right; the file is damaged, copy it again")
    if first <= _EPOCH_NANOSECONDS < last:
        raise FormatError(
            f"{header.path}: expected ticks from the recording's start or ns since 1970, found both, {first} and "
            f"{last}; the recorder's clock was set, or the file is damaged. Split the recording there, or copy it again"
        )
    return first if first > _EPOCH_NANOSECONDS else 0


def read_start_time(path: str | Path) -> datetime | None:
    """Return when a recording began (its time 0), UTC, as its header says, to a ms, or its clock of nanoseconds.

    Returns
    -------
    datetime or None
        None where the header has no time.

    Raises
    ------
    FormatError
        It is no NEV file, or what it has is no time.
    """
    ticks = recording_start(path)
    if ticks:
        return datetime.fromtimestamp(ticks // 10**9, UTC) + timedelta(microseconds=ticks % 10**9 // 1000)
    with open(path, "rb") as file:
        origin = _BASIC.unpack(file.read(_BASIC.size))[8]
    try:
        return parse_system_time(origin)
    except ValueError as error:
        raise FormatError(
            f"{path}: expected the time of the recording's start in the header, {error}; "
            "repair the header, or do without it (nwb.clock: consecutive)"
        ) from error


def read_digital_events(path: str | Path) -> DigitalEvents:
    """Read every word that appeared on the parallel port.

    Returns
    -------
    DigitalEvents
        In the order of the file.

    Raises
    ------
    FormatError
        Damaged or cut off file, or time stamps that run backwards.
    """
    header = read_nev_header(path)
    packets = _packets(header)
    is_digital = packets["id"] == 0
    events = packets[is_digital & (packets["reason"] & (_WORD | _SERIAL) == _WORD)]
    ticks = events["tick"].astype(np.int64) - _start_of(header, packets)
    back = np.flatnonzero(np.diff(ticks) < 0)
    if back.size:
        k = int(back[0])
        raise FormatError(
            f"{path}: digital event {k + 2} is at tick {ticks[k + 1]}, before event {k + 1} at tick {ticks[k]}; "
            "the recorder's clock was reset. Split the recording there"
        )
    words = events["word"].astype(np.uint16)
    high = np.unique(words >> 8)
    high_byte = int(high[0]) if high.size == 1 else 0
    codes = words & np.uint16(0xFF) if high.size == 1 else words
    return DigitalEvents(codes, ticks, high_byte, header.tick_rate, header.sampling_rate)
