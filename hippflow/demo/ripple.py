"""What the Ripple recorder writes of a session: events (.nev) here, signals (.nsX) in :mod:`~hippflow.demo.ripple_nsx`.

Both writers are to be had from here. Writes NEV by the specifications 2.1, 2.2
(Ripple's, the default), 2.3, 3.0, and 3.0 with times in ns (``3.0-ptp``), byte for
byte. Digital packets of several ports at once, comments, spikes and times in any
order can be written on purpose, to test readers.
"""

import datetime
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hippflow.demo.ripple_nsx import (
    DEMO_START,
    SAMPLING_RATE,
    SPECS,
    Channel,
    DataBlock,
    analog_channel,
    clock_hz,
    raw_channel,
    system_time,
    version_numbers,
    write_nsx,
)
from hippflow.io.atomic import whole_file

__all__ = [
    "PARALLEL", "SERIAL", "SMA1", "SPECS", "Channel", "Comment", "DataBlock", "Digital", "Spike",
    "analog_channel", "clock_hz", "marker_events", "raw_channel", "write_nev", "write_nsx",
]  # fmt: skip

#: Insertion reasons of a digital packet, which may come together; SMA inputs 1 to 4 are bits 1 to 4.
PARALLEL, SMA1, SERIAL = 0x01, 0x02, 0x80

_COMMENT_ID = 0xFFFF


class Digital(NamedTuple):
    """A change on the digital inputs. `reason` says which inputs; `sma` are the words of SMA 1 to 4."""

    timestamp: int
    parallel: int
    reason: int = PARALLEL
    sma: tuple[int, int, int, int] = (0, 0, 0, 0)


class Comment(NamedTuple):
    """A comment; from specification 2.3."""

    timestamp: int
    text: str


class Spike(NamedTuple):
    """A threshold crossing on electrode `channel`; `waveform` is int16 (up to the size of a packet)."""

    timestamp: int
    channel: int
    unit: int
    waveform: np.ndarray


def marker_events(ticks: Iterable[int], codes: Iterable[int], combined_every: int = 0) -> list[Digital]:
    """Make the digital packets of trial markers.

    Parameters
    ----------
    ticks, codes : iterable of int
    combined_every : int
        Make every n-th packet report SMA 1 as well (reason 3), as Ripple does
        when both change within a sample. neo drops such packets of a 2.2 file.

    Examples
    --------
    >>> [event.reason for event in marker_events([10, 40, 90], [84, 0, 11], combined_every=2)]
    [1, 3, 1]
    """
    events = []
    for number, (tick, code) in enumerate(zip(ticks, codes, strict=True), start=1):
        combined = combined_every and number % combined_every == 0
        reason, sma = (PARALLEL | SMA1, (1, 0, 0, 0)) if combined else (PARALLEL, (0, 0, 0, 0))
        events.append(Digital(int(tick), int(code), reason, sma))
    return events


def _nev_extended_headers(spec: str, channels: Sequence[Channel], waveform_samples: int) -> list[bytes]:
    headers = []
    for c in channels:
        # nV per bit in two bytes: an input of +-5 V does not fit, and saturates
        factor = min(0xFFFF, round(c.max_analog / c.max_digital * (1e3 if c.units == "uV" else 1e6)))
        fields = (c.id, c.front_end, c.pin, factor, 0, 0, 0, 0, 2)
        headers.append(struct.pack("<8sHBBHHhhBBH8x", b"NEUEVWAV", *fields, waveform_samples))
        if spec != "2.1":
            headers.append(struct.pack("<8sH16s6x", b"NEUEVLBL", c.id, c.label.encode()))
            headers.append(struct.pack("<8sHIIHIIH2x", b"NEUEVFLT", c.id, *c.highpass, *c.lowpass))
    if spec != "2.1":
        headers.append(struct.pack("<8s16sB7x", b"DIGLABEL", b"Parallel", 1))
    return headers


def _nev_packet(event: Digital | Comment | Spike, spec: str, packet_bytes: int) -> bytes:
    wide = spec.startswith("3")
    time = struct.pack("<Q", event.timestamp) if wide else struct.pack("<I", event.timestamp % 2**32)
    if isinstance(event, Digital):
        body = struct.pack("<HBBH4H", 0, event.reason, 0, event.parallel, *event.sma)
    elif isinstance(event, Spike):
        body = struct.pack("<HBB", event.channel, event.unit, 0) + np.asarray(event.waveform, "<i2").tobytes()
    elif spec in ("2.1", "2.2"):
        raise ValueError(f"specification {spec} knows no comments")
    else:
        body = struct.pack("<HBBI", _COMMENT_ID, 0, 0, 0) + event.text.encode("latin-1")
    packet = time + body
    if len(packet) > packet_bytes:
        raise ValueError(f"{type(event).__name__} needs {len(packet)} bytes, a packet has {packet_bytes}")
    return packet.ljust(packet_bytes, b"\0")


def write_nev(
    path: str | Path,
    events: Iterable[Digital | Comment | Spike],
    spec: str = "2.2",
    channels: Sequence[Channel] = (),
    packet_bytes: int = 108,
    start: datetime.datetime = DEMO_START,
) -> None:
    """Write events, in the order in which they are given.

    Parameters
    ----------
    path : path
        E.g. ``181105_Block1.nev``. It appears only when it is complete.
    events : iterable of Digital, Comment or Spike
    spec : {'2.2', '2.1', '2.3', '3.0', '3.0-ptp'}
    channels : sequence of Channel
        Electrodes that get a waveform, label and filter header.
    packet_bytes : int
        Size of all packets; it limits waveforms and comments.
    start : datetime
        Written into the header.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "181105_Block1.nev"
    >>> write_nev(path, marker_events([100, 130], [84, 0]), channels=[raw_channel(9)])
    >>> path.stat().st_size == 336 + 4 * 32 + 2 * 108
    True
    """
    clock = clock_hz(spec)
    magic = b"BREVENTS" if spec.startswith("3") else b"NEURALEV"
    waveform_samples = (packet_bytes - (12 if spec.startswith("3") else 8)) // 2
    extended = _nev_extended_headers(spec, channels, waveform_samples)
    sizes = (336 + 32 * len(extended), packet_bytes, clock, SAMPLING_RATE)
    header = struct.pack("<8sBBHIIII", magic, *version_numbers(spec), 1, *sizes) + system_time(start)
    header += struct.pack("<32s256sI", b"hippflow demo", b"", len(extended))
    with whole_file(path) as part, open(part, "wb") as file:
        file.write(header + b"".join(extended))
        file.writelines(_nev_packet(event, spec, packet_bytes) for event in events)
