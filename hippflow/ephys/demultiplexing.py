"""Samples that are interleaved over channels, put in order channel by channel, a bounded piece at a time.

What this does: turns blocks of a recording (all channels of one sample after the other) into pieces of
each channel's signal, as sampled or in uV, a batch of blocks at a time, while the caller writes the batch before.

What it does not: read files or write them.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

#: Bytes of a block of a recording: it and its transpose stay in a core's share of the cache.
BLOCK_BYTES = 4 << 20
#: Rows of a block that are transposed at a time, so that both sides stay in the nearest cache.
TILE_ROWS = 128
#: Rows of which a block has a multiple, if channels are not too many: what is written of each channel is then a
#: multiple of the pieces in which the system keeps files.
EVEN_ROWS = 8192
#: Blocks that are handed on together: a write has its price, and 124 channels have many.
BATCH = 2


@dataclass(frozen=True)
class Batch:
    """Consecutive samples of some channels.

    Attributes
    ----------
    pieces : list of ndarray, (n_channels, n)
        int16 as sampled or float32 in uV; n differs. One after the other they are the signals.
    low, high : ndarray, (n_channels,)
        Smallest and largest sample of each channel in all pieces.
    """

    pieces: list[np.ndarray]
    low: np.ndarray
    high: np.ndarray


def block_rows(n_channels: int) -> int:
    """Say how many samples of so many channels make a block."""
    rows = BLOCK_BYTES // (2 * n_channels)
    return round(rows / EVEN_ROWS) * EVEN_ROWS or max(TILE_ROWS, rows // TILE_ROWS * TILE_ROWS)


def demultiplex(
    blocks: Iterable[np.ndarray],
    columns: Sequence[int],
    scaling: tuple[np.ndarray, np.ndarray] | None = None,
) -> Iterator[Batch]:
    """Take channels apart; a second thread works ahead of the caller.

    Parameters
    ----------
    blocks : iterable of ndarray, int16 (n, n_all_channels)
        Consecutive samples.
    columns : sequence of int
        The channels to take.
    scaling : (gains, offsets), optional
        uV per bit and uV at 0 of these channels, float32 (n_channels,); without it samples stay as they are.

    Yields
    ------
    Batch
        Its pieces are overwritten when the next but one is made: use them before asking for another.

    Examples
    --------
    >>> blocks = np.arange(12, dtype=np.int16).reshape(2, 3, 2)
    >>> (batch,) = demultiplex(blocks, [1])
    >>> np.concatenate(batch.pieces, axis=1).tolist(), batch.high.tolist()
    ([[1, 3, 5, 7, 9, 11]], [11])
    """
    batches = _batches(iter(blocks), list(columns), scaling)
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = ahead.submit(next, batches, None)
            yield batch


def _batches(
    blocks: Iterator[np.ndarray], columns: list[int], scaling: tuple[np.ndarray, np.ndarray] | None
) -> Iterator[Batch]:
    side_by_side = columns == list(range(columns[0], columns[-1] + 1))
    # a slice is a view, while a list of columns copies
    taken = slice(columns[0], columns[-1] + 1) if side_by_side else columns
    # one set of buffers is written from while the other is filled: new memory costs as much as what is done in it
    sets = [[_Buffer() for _ in range(BATCH)] for _ in range(2)]
    sampled = _Buffer()
    for buffers in cycle(sets):
        pieces, ends = [], []
        for block, buffer in zip(islice(blocks, BATCH), buffers, strict=False):
            shape = len(columns), len(block)
            transposed = (buffer if scaling is None else sampled).array(shape, np.int16)
            for start in range(0, len(block), TILE_ROWS):
                transposed[:, start : start + TILE_ROWS] = block[start : start + TILE_ROWS, taken].T
            ends += [transposed.min(axis=1), transposed.max(axis=1)]
            if scaling is None:
                pieces.append(transposed)
            else:
                pieces.append(_scale(transposed, *scaling, buffer.array(shape, np.float32)))
        if not pieces:
            return
        if scaling is not None:  # a gain can be negative
            ends = [_scale(end[:, None], *scaling, np.empty((len(end), 1), np.float32))[:, 0] for end in ends]
        yield Batch(pieces, np.min(ends, axis=0), np.max(ends, axis=0))


class _Buffer:
    """Memory that is used again and again."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def array(self, shape: tuple[int, int], dtype: type) -> np.ndarray:
        """Return an array that may hold anything; the one before is no longer valid."""
        n_bytes = shape[0] * shape[1] * np.dtype(dtype).itemsize
        if self._bytes.size < n_bytes:
            self._bytes = np.empty(n_bytes, np.uint8)
        return self._bytes[:n_bytes].view(dtype).reshape(shape)


def _scale(samples: np.ndarray, gains: np.ndarray, offsets: np.ndarray, microvolts: np.ndarray) -> np.ndarray:
    """Fill an array with int16 samples (n_channels, n) in uV, and return it."""
    np.multiply(samples, gains[:, None], out=microvolts, dtype=np.float32)
    if offsets.any():
        microvolts += offsets[:, None]
    return microvolts
