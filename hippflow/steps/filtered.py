"""What rpllfp and rplhighpass share: a raw signal, filtered stretch by stretch, as a product like it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.errors import about
from hippflow.io.products import base_fields
from hippflow.io.signals import Signal, open_signal, write_signal
from hippflow.progress import Progress


def write_filtered(
    raw: str | Path,
    product: str | Path,
    args: dict[str, Any],
    *,
    prefix: str,
    sampling_rate: float | None,
    order: int,
    band: list[float],
    dtype: str,
    filter_blocks: Callable[[Signal], Iterator[np.ndarray]],
    length: Callable[[int, float], int],
) -> None:
    """Filter every uninterrupted stretch of a raw signal and write the product.

    Parameters
    ----------
    raw, product : path
    args : dict
        PyHipp's arguments of the product.
    prefix : str
        What 'raw' becomes in ProbeInfo: 'lfp' or 'hp'.
    sampling_rate : float or None
        Hz of the result; None if it is the raw signal's.
    order, band
        Of the filter, for the product's 'analogInfo'.
    dtype : {'float32', 'int16'}
    filter_blocks : callable
        Yields the filtered blocks of a stretch.
    length : callable
        Number of filtered samples of so many raw ones at so many Hz.
    """
    with about(raw), open_signal(raw) as signal:
        lengths = [length(int(n), signal.sampling_rate) for n in signal.segments[:, 1]]
        rate = sampling_rate or signal.sampling_rate
        info = {
            "SampleRate": rate,
            "Units": "uV",
            "HighFreqCorner": float(band[0]),
            "HighFreqOrder": order,
            "LowFreqCorner": float(band[1]),
            "LowFreqOrder": order,
            "ProbeInfo": str(signal.info.get("ProbeInfo", "raw")).replace("raw", prefix),
            "BitGain": float(signal.info.get("BitGain", 0.25)),
            "Segments": _segments_after(signal, lengths, rate),
            "TickRate": signal.info.get("TickRate", signal.sampling_rate),
        }
        fields = base_fields(product, "channel", args) | {"analogInfo": info, "numSets": 1}
        progress = Progress(sum(lengths) / rate, f"{Path(product).name} {info['ProbeInfo']}", "s of recording")
        with write_signal(product, fields, sum(lengths), dtype, info["BitGain"]) as writer:
            for stretch in signal.stretches():
                for block in filter_blocks(stretch):
                    writer.write(block)
                    progress.update(len(block) / rate)


def _segments_after(signal: Signal, lengths: list[int], rate: float) -> np.ndarray:
    """Return the table of stretches for the filtered signal, whose samples may be further apart."""
    segments = signal.segments.copy()
    step = signal.sampling_rate / rate
    ticks_per_sample = (segments[:, 3] - segments[:, 2]) / np.maximum(segments[:, 1] - 1, 1)
    segments[:, 0] = np.cumsum([0, *lengths[:-1]])
    segments[:, 1] = lengths
    segments[:, 3] = segments[:, 2] + np.rint((segments[:, 1] - 1) * step * ticks_per_sample).astype(np.int64)
    return segments
