"""Samples of continuous recordings: Ripple and Blackrock NSx files (``.ns5``, ``.ns6``, ...).

Reads file spec 2.2 and 2.3 (``NEURALCD``: blocks of many samples, 32-bit time
stamps) and 3.0 (``BRSMPGRP``: 64-bit time stamps, either such blocks or, with a
clock synchronised by PTP, one packet for every sample). Checks that the file is
as long as its headers say before it gives out a sample.

Does not read what :mod:`hippflow.io.nsx_header` does not: spec 2.1, and Ripple's float32 ``.nf*`` files.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hippflow.errors import FormatError
from hippflow.io.nsx_header import read_nsx_header


@dataclass(frozen=True)
class DataBlock:
    """An uninterrupted stretch of samples.

    Attributes
    ----------
    pieces : tuple of (int, int)
        Byte of the first sample and number of samples of every part of the stretch, in order.
        There are several where the recorder began a new block without a pause.
    n_samples : int
    stride : int
        Bytes from one sample (of all channels) to the next.
    first_tick, last_tick : int
        Time stamps of the first and the last sample.
    """

    pieces: tuple[tuple[int, int], ...]
    n_samples: int
    stride: int
    first_tick: int
    last_tick: int

    @classmethod
    def joined(cls, blocks: Sequence["DataBlock"]) -> "DataBlock":
        """Make one stretch of blocks without a pause between them."""
        pieces = tuple(piece for block in blocks for piece in block.pieces)
        n_samples = sum(block.n_samples for block in blocks)
        return cls(pieces, n_samples, blocks[0].stride, blocks[0].first_tick, blocks[-1].last_tick)

    def byte_after(self, n_samples: int) -> int:
        """Return the byte of the file at which the first `n_samples` of the stretch have ended."""
        end, left = self.pieces[0][0], n_samples
        for offset, n in self.pieces:
            if left > 0:
                end = offset + min(n, left) * self.stride
            left -= n
        return end


class NsxFile:
    """The samples of an NSx file, read block by block.

    Parameters
    ----------
    path : path

    Raises
    ------
    FormatError
        The headers are damaged, or the file is shorter or longer than they say.
    """

    def __init__(self, path: str | Path):
        self.header = read_nsx_header(path)
        self.path = Path(path)

    @cached_property
    def blocks(self) -> tuple[DataBlock, ...]:
        """All uninterrupted stretches, in the order of the file.

        Two blocks that follow each other without a missing sample are one stretch.
        """
        size = self.path.stat().st_size
        if size == self.header.n_bytes:
            raise FormatError(f"{self.path}: headers but no samples; was the recording stopped at once, or cut off?")
        stretches = self._packets(size) if self._one_packet_per_sample(size) else self._many_sample_blocks(size)
        joined: list[list[DataBlock]] = []
        for block in stretches:
            if joined and self._continues(joined[-1][-1], block):
                joined[-1].append(block)
            else:
                joined.append([block])
        return tuple(DataBlock.joined(blocks) for blocks in joined)

    def _frame_bytes(self) -> int:
        return 2 * len(self.header.channels)

    def _ticks(self, n_samples: int) -> int:
        return round(n_samples * self.header.tick_rate / self.header.sampling_rate)

    def _continues(self, last: DataBlock, block: DataBlock) -> bool:
        """Whether `block` begins one sample after the last of `last`, to within half a sample."""
        period = self.header.tick_rate / self.header.sampling_rate
        return abs(block.first_tick - last.last_tick - period) <= period / 2

    def _one_packet_per_sample(self, size: int) -> bool:
        """Tell a PTP file, whose every sample has its own header, from one of long blocks."""
        if self.header.spec != "3.0":
            return False
        with open(self.path, "rb") as file:
            file.seek(self.header.n_bytes)
            first = file.read(13)
            file.seek(self.header.n_bytes + 13 + self._frame_bytes())
            second = file.read(13)
        is_single = len(first) == 13 and struct.unpack("<BQI", first)[2] == 1
        return is_single and (not second or (len(second) == 13 and struct.unpack("<BQI", second)[2] == 1))

    def _many_sample_blocks(self, size: int) -> list[DataBlock]:
        head = struct.Struct("<BQI" if self.header.spec == "3.0" else "<BII")
        frame, found, position = self._frame_bytes(), [], self.header.n_bytes
        with open(self.path, "rb") as file:
            while position < size:
                file.seek(position)
                raw = file.read(head.size)
                if len(raw) < head.size:
                    raise self._cut_off(f"{len(raw)} bytes of a block's {head.size}-byte header at byte {position}")
                mark, tick, n = head.unpack(raw)
                if mark != 1:
                    raise FormatError(
                        f"{self.path}: expected a data block (byte 1) at byte {position}, found byte {mark}; the file "
                        "is damaged from there on"
                    )
                if tick + self._ticks(n) >= 2**63:
                    raise self._no_time(tick)
                if n == 0:
                    raise self._cut_off(
                        f"a block of 0 samples at byte {position} (the recorder writes the number last)"
                    )
                position += head.size
                if position + n * frame > size:
                    raise self._cut_off(f"{(size - position) // frame} of the {n} samples of the block at tick {tick}")
                found.append(DataBlock(((position, n),), n, frame, tick, tick + self._ticks(n - 1)))
                position += n * frame
        return found

    def _cut_off(self, found: str) -> FormatError:
        return FormatError(
            f"{self.path}: expected whole data blocks, found {found}; the file is cut off. Copy it again from the "
            "recording computer and compare sizes"
        )

    def _no_time(self, tick: int) -> FormatError:
        return FormatError(f"{self.path}: samples at tick {tick} cannot be right; the file is damaged, copy it again")

    def _packets(self, size: int) -> list[DataBlock]:
        """Find the stretches of a file of one-sample packets, reading only their time stamps."""
        stride = 13 + self._frame_bytes()
        count, rest = divmod(size - self.header.n_bytes, stride)
        if rest:
            raise self._cut_off(f"{count} packets of {stride} bytes and {rest} bytes more")
        packet = np.dtype(
            {
                "names": ["mark", "tick", "n"],
                "formats": ["u1", "<u8", "<u4"],
                "offsets": [0, 1, 9],
                "itemsize": stride,
            }
        )
        packets = np.memmap(self.path, packet, "r", self.header.n_bytes, (count,))
        period = self.header.tick_rate / self.header.sampling_rate
        starts, previous = [0], None
        for begin in range(0, count, 1 << 18):
            part = packets[begin : begin + (1 << 18)]
            if not ((part["mark"] == 1).all() and (part["n"] == 1).all()):
                raise FormatError(f"{self.path}: packets of one sample mixed with others after packet {begin}; damaged")
            if (last := int(part["tick"].max())) >= 2**63:
                raise self._no_time(last)
            ticks = part["tick"].astype(np.int64)
            steps = np.diff(ticks, prepend=ticks[0] - round(period) if previous is None else previous)
            breaks = begin + np.flatnonzero(np.abs(steps - period) > period / 2)
            starts += breaks[breaks > 0].tolist()
            previous = ticks[-1]
        return [
            DataBlock(
                ((self.header.n_bytes + first * stride + 13, stop - first),),
                stop - first,
                stride,
                int(packets["tick"][first]),
                int(packets["tick"][stop - 1]),
            )
            for first, stop in zip(starts, [*starts[1:], count], strict=True)
        ]

    def read(self, block: DataBlock, start: int, stop: int) -> np.ndarray:
        """Read samples `start` to `stop` (exclusive) of a block.

        Returns
        -------
        ndarray of int16, shape (stop - start, n_channels)
        """
        parts, before = [], 0
        for offset, n in block.pieces:
            first, last = max(0, start - before), min(n, stop - before)
            if first < last:
                parts.append(self._read_piece(offset + first * block.stride, last - first, block.stride))
            before += n
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty((0, len(self.header.channels)), "<i2")

    def _read_piece(self, offset: int, n_samples: int, stride: int) -> np.ndarray:
        count = n_samples * stride
        # Bytes between the last sample read and the next (a packet's header) need not exist at the file's end.
        wanted = count - (stride - self._frame_bytes())
        raw = np.empty(count, np.uint8)
        with open(self.path, "rb") as file:
            file.seek(offset)
            n_read = file.readinto(raw[:wanted])
        if n_read != wanted:
            raise self._cut_off(f"{n_read} of {wanted} bytes at byte {offset}; it changed while it was read")
        return np.ascontiguousarray(raw.reshape(-1, stride)[:, : self._frame_bytes()]).view("<i2")
