"""rplsplit: a continuous recording, interleaved over channels, as one raw signal a channel (PyHipp's RPLRaw)."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.day.channels import raw_channels
from hippflow.ephys.demultiplexing import block_rows, demultiplex
from hippflow.errors import CatalogError, GapError
from hippflow.io.nev import recording_start
from hippflow.io.nsx import DataBlock, NsxFile
from hippflow.io.nsx_header import NsxChannel
from hippflow.io.page_cache import passing_through
from hippflow.io.products import base_fields
from hippflow.io.signals import write_signal
from hippflow.progress import Progress

log = logging.getLogger(__name__)

#: What PyHipp calls the types of the amplifier's filters.
FILTER_TYPES = {0: "None", 1: "Butterworth"}


def _describe_gaps(blocks: tuple[DataBlock, ...], tick_rate: int) -> str:
    ends = [(a.last_tick / tick_rate, b.first_tick / tick_rate) for a, b in pairwise(blocks)]
    listed = ", ".join(f"{end:.3f} s to {start:.3f} s" for end, start in ends[:5])
    return listed + (f" and {len(ends) - 5} more" if len(ends) > 5 else "")


def _check_gaps(file: NsxFile, on_gap: str) -> None:
    """Refuse what the recording's pauses do not allow."""
    blocks, rate = file.blocks, file.header.tick_rate
    if len(blocks) == 1:
        return
    gaps = _describe_gaps(blocks, rate)
    if on_gap == "error":
        raise GapError(
            f"{file.path}: expected one uninterrupted recording, found {len(blocks)} stretches (from {gaps}). "
            "Set rplsplit.on_gap to fill (bridge pauses) or segment (leave them out)"
        )
    missing = [_missing_samples(file, a, b) for a, b in pairwise(blocks)]
    if min(missing) < 0 and on_gap == "fill":
        raise GapError(
            f"{file.path}: the clock was set back during the recording (from {gaps}), which cannot be filled. "
            "Set rplsplit.on_gap to segment, or split the recording there"
        )
    n_recorded = sum(block.n_samples for block in blocks)
    if sum(missing) > n_recorded and on_gap == "fill":  # one damaged time stamp would be days, and fill the disk
        paused, recorded = (n / file.header.sampling_rate for n in (sum(missing), n_recorded))
        raise GapError(
            f"{file.path}: expected pauses that are shorter than the recording to fill, found {paused:.3f} s of pauses "
            f"(from {gaps}) in {recorded:.3f} s. If the times are right, set rplsplit.on_gap to segment; if not, the "
            "file is damaged, copy it again"
        )
    log.warning("%s: pauses in the recording, from %s: %s", file.path, gaps, on_gap)


def _missing_samples(file: NsxFile, before: DataBlock, after: DataBlock) -> int:
    ticks_per_sample = file.header.tick_rate / file.header.sampling_rate
    return round((after.first_tick - before.last_tick) / ticks_per_sample) - 1


def _samples(file: NsxFile, on_gap: str) -> Iterator[np.ndarray]:
    """Yield the recording block by block, int16 (n, n_channels), with pauses bridged if they are to be filled."""
    rows = block_rows(len(file.header.channels))
    with passing_through(file.path) as passed:
        for k, block in enumerate(file.blocks):
            if k and on_gap == "fill":
                before = file.blocks[k - 1]
                missing = _missing_samples(file, before, block)
                last = file.read(before, before.n_samples - 1, before.n_samples)[0].astype(np.float64)
                first = file.read(block, 0, 1)[0].astype(np.float64)
                for start in range(0, missing, rows):
                    share = (np.arange(start, min(start + rows, missing)) + 1) / (missing + 1)
                    yield np.rint(last + share[:, None] * (first - last)).astype(np.int16)
            for start in range(0, block.n_samples, rows):
                stop = min(start + rows, block.n_samples)
                yield file.read(block, start, stop)
                passed(block.byte_after(stop))


def _segments(file: NsxFile, on_gap: str, start: int) -> np.ndarray:
    """Table of uninterrupted stretches: first sample, number of samples, first tick, last tick."""
    blocks = file.blocks
    if on_gap == "fill":
        filled = sum(_missing_samples(file, a, b) for a, b in pairwise(blocks))
        n = sum(block.n_samples for block in blocks) + filled
        return np.array([[0, n, blocks[0].first_tick - start, blocks[-1].last_tick - start]], np.int64)
    first = np.cumsum([0, *(block.n_samples for block in blocks)])
    return np.array(
        [
            [begin, block.n_samples, block.first_tick - start, block.last_tick - start]
            for begin, block in zip(first, blocks, strict=False)
        ],
        np.int64,
    )


def _filled_stretches(file: NsxFile, on_gap: str) -> np.ndarray:
    """Table of bridged pauses: first sample, number of samples."""
    rows, position = [], 0
    if on_gap == "fill":
        for before, after in pairwise(file.blocks):
            position += before.n_samples
            missing = _missing_samples(file, before, after)
            rows.append([position, missing])
            position += missing
    return np.array(rows, np.int64).reshape(-1, 2)


def _analog_info(channel: NsxChannel, file: NsxFile, segments: np.ndarray, filled: np.ndarray) -> dict[str, Any]:
    return {
        "SampleRate": file.header.sampling_rate,
        "Units": "uV",
        "HighFreqCorner": channel.high_corner,
        "HighFreqOrder": channel.high_order,
        "HighFilterType": FILTER_TYPES.get(channel.high_type, str(channel.high_type)),
        "LowFreqCorner": channel.low_corner,
        "LowFreqOrder": channel.low_order,
        "LowFilterType": FILTER_TYPES.get(channel.low_type, str(channel.low_type)),
        "ProbeInfo": channel.label,
        "BitGain": channel.gain,
        "Segments": segments,
        "TickRate": file.header.tick_rate,
        "Filled": filled,
    }


def make_rplraw(
    nsx: str | Path,
    products: list[str],
    *,
    nev: str | Path | None,
    raw_label: str,
    first_connector: int,
    on_gap: str,
    dtype: str,
) -> None:
    """Split a recording into the raw signals of channels, all in one pass, and write ``rplraw_d41d.hkl`` of each.

    Parameters
    ----------
    nsx : path
        The continuous recording.
    products : list of path
        ``.../arrayNN/channelNNN/rplraw_d41d.hkl`` of every channel to make.
    nev : path or None
        The session's digital events, for the start of the recording's clock.
    raw_label, first_connector
        See :func:`hippflow.day.channels.raw_channels`.
    on_gap : {'error', 'fill', 'segment'}
        What to do with a recording that paused.
    dtype : {'float32', 'int16'}

    Raises
    ------
    FormatError
        The recording is damaged or cut off; nothing has been written then.
    GapError
        It has pauses that `on_gap` does not allow, or more to fill than was recorded.
    CatalogError
        A product's channel is not in the recording.
    """
    file = NsxFile(nsx)
    _check_gaps(file, on_gap)
    channels = {folder: index for index, folder in raw_channels(file.header, raw_label, first_connector).values()}
    folders = ["/".join(Path(product).parent.parts[-2:]) for product in products]
    for folder in folders:
        if folder not in channels:
            raise CatalogError(f"{nsx}: expected the channel of {folder}, found {', '.join(channels)}")
    columns = [channels[folder] for folder in folders]
    gains, offsets = (
        np.array([getattr(file.header.channels[column], name) for column in columns], np.float32)
        for name in ("gain", "offset")
    )
    # int16 products have a gain and no offset: where there is one, samples are rounded anew
    scaling = (gains, offsets) if dtype == "float32" or offsets.any() else None
    segments = _segments(file, on_gap, recording_start(nev) if nev else 0)
    filled = _filled_stretches(file, on_gap)
    n_samples = int(segments[:, 1].sum())
    with ExitStack() as stack:
        writers = []
        for product, column in zip(products, columns, strict=True):
            channel = file.header.channels[column]
            info = _analog_info(channel, file, segments, filled)
            fields = base_fields(product, "channel") | {"analogInfo": info, "numSets": 1}
            writers.append(stack.enter_context(write_signal(product, fields, n_samples, dtype, channel.gain)))
        progress = Progress(n_samples / file.header.sampling_rate, f"rplsplit {nsx}", "s of recording")
        for batch in demultiplex(_samples(file, on_gap), columns, scaling):
            for k, writer in enumerate(writers):
                pieces = [piece[k] for piece in batch.pieces]
                if pieces[0].dtype == writer.dtype:
                    writer.write_pieces(pieces, float(batch.low[k]), float(batch.high[k]))
                else:
                    writer.write(np.concatenate(pieces))
            progress.update(sum(piece.shape[1] for piece in batch.pieces) / file.header.sampling_rate)
    log.info("%s: %d channels of %d samples", nsx, len(products), n_samples)
