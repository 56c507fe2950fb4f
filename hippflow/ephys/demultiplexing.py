"""Samples that are interleaved over channels, put in order channel by channel, a bounded piece at a time.

What this does: turns blocks of a recording (all channels of one sample after the other) into pieces of
each channel's signal, as sampled or in uV, a batch of blocks at a time, while the caller writes the batch before.

What it does not: read files or write them.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

#: Bytes of a block of a recording: it and its transpose stay in a core's share of the cache.
BLOCK_BYTES = 4 << 20
#: Rows of a block that are transposed at a time, so that both sides stay in the nearest cache.
TILE_ROWS = 128
#: Blocks that are handed on together: a write has its price, and 124 channels have many.
BATCH = 4


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
    return max(TILE_ROWS, BLOCK_BYTES // (2 * n_channels) // TILE_ROWS * TILE_ROWS)


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
    while pieces := [_transpose(block[:, taken]) for block in islice(blocks, BATCH)]:
        low = np.min([piece.min(axis=1) for piece in pieces], axis=0)
        high = np.max([piece.max(axis=1) for piece in pieces], axis=0)
        if scaling is not None:
            pieces = [_scale(piece, *scaling) for piece in pieces]
            ends = [_scale(end[:, None], *scaling)[:, 0] for end in (low, high)]
            low, high = np.minimum(*ends), np.maximum(*ends)  # a gain can be negative
        yield Batch(pieces, low, high)


def _transpose(samples: np.ndarray) -> np.ndarray:
    transposed = np.empty(samples.shape[::-1], np.int16)
    for start in range(0, len(samples), TILE_ROWS):
        transposed[:, start : start + TILE_ROWS] = samples[start : start + TILE_ROWS].T
    return transposed


def _scale(samples: np.ndarray, gains: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return int16 samples (n_channels, n) in uV."""
    microvolts = np.multiply(samples, gains[:, None], dtype=np.float32)
    if offsets.any():
        microvolts += offsets[:, None]
    return microvolts
