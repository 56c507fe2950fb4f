"""High-pass and LFP of one channel: hippflow, PyHipp's calls on scipy, and SpikeInterface's preprocessing.

    python benchmarks/filters.py [--quick]

All start from the same float32 samples in memory and have one thread. PyHipp and SpikeInterface return whole
signals; hippflow's blocks are let go of as they come. Figures are for an hour of one channel at 30 kHz
(108 million samples); quick measures 10 minutes and multiplies by 6.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measuring import Cost, Row, compare, main
from pyhipp_way import filter_highpass, filter_lfp
from scipy.signal import butter, filtfilt, resample_poly
from spikeinterface import NumpyRecording
from spikeinterface.preprocessing import bandpass_filter, resample

import hippflow.ephys.compiled_filters  # noqa: F401 - so that kernels are loaded before the clock starts
from hippflow.ephys.highpass import highpass_blocks
from hippflow.ephys.lfp import lfp_blocks
from hippflow.io.signals import write_signal
from hippflow.steps.rplhighpass import make_rplhighpass
from hippflow.steps.rpllfp import make_rpllfp

RATE = 30_000
HOUR = 3600
LFP_RATE = 1000
TARGET = 0.25


def recording(seconds: int) -> np.ndarray:
    """Return a raw trace in uV, in steps of a quarter: field potential on an offset, noise, spikes; by seconds."""
    rng = np.random.default_rng(1)
    x = np.empty(seconds * RATE, np.float32)
    field = 500 + 200 * np.sin(2 * np.pi * 7 * np.arange(RATE) / RATE)
    for part in x.reshape(seconds, RATE):
        part[:] = field + 10 * rng.standard_normal(RATE, dtype=np.float32)
        part[rng.integers(0, RATE, 15)] -= 150
    return np.round(x * 4, out=x).__itruediv__(4)


def drain(blocks: Iterator[np.ndarray]) -> None:
    """Take all blocks and keep none."""
    for _ in blocks:
        pass


def spikeinterface_highpass(x: np.ndarray) -> np.ndarray:
    """Filter as SpikeInterface does, in second-order sections."""
    whole = NumpyRecording(x[:, None], RATE)
    return bandpass_filter(whole, 500, 7500, filter_order=4, dtype="float32").get_traces()


def spikeinterface_lfp(x: np.ndarray) -> np.ndarray:
    """Resample and filter as SpikeInterface does."""
    slow = resample(NumpyRecording(x[:, None], RATE), LFP_RATE, dtype="float32")
    return bandpass_filter(slow, 1, 150, filter_order=4, ignore_low_freq_error=True, dtype="float32").get_traces()


def both(costs: dict[str, Cost], who: str) -> float:
    """Return the CPU seconds of high-pass and LFP."""
    return costs[f"{who}, high-pass"].cpu + costs[f"{who}, LFP"].cpu


def largest_differences(x: np.ndarray) -> Iterator[Row]:
    """Compare with PyHipp's calls on the whole signal, in double precision, before it is stored."""
    for name, blocks, slow, rate, band, target in (
        ("high-pass", highpass_blocks, x, RATE, (500, 7500), 5e-6),
        ("LFP", lfp_blocks, resample_poly(x, LFP_RATE, RATE), LFP_RATE, (1, 150), 1e-3),
    ):
        expected = filtfilt(*butter(4, np.array(band) / (rate / 2), "bandpass"), slow, padtype="odd", padlen=24)
        ours = np.concatenate(list(blocks(x, RATE)))
        storing = np.spacing(np.abs(expected).astype(np.float32)).astype(float) / 2
        largest = float((np.abs(ours - expected) - storing).max())
        yield Row(
            f"largest difference of the {name} from PyHipp's, {len(x) / RATE / 60:g} min",
            "uV",
            {"ours": max(0.0, largest)},
            target=f"at most {target:g} uV",
            met=largest <= target,
            note="beyond the rounding to float32",
        )


def rows(quick: bool, folder: Path) -> list[Row]:
    """Measure an hour, quick 10 minutes."""
    seconds = HOUR // 6 if quick else HOUR
    x = recording(seconds)
    factor = HOUR / seconds
    scaled = f"10 min, times {factor:g}" if quick else ""
    works = {
        "ours, high-pass": lambda: drain(highpass_blocks(x, RATE)),
        "ours, LFP": lambda: drain(lfp_blocks(x, RATE)),
        "PyHipp's way, high-pass": lambda: len(filter_highpass(x)),
        "PyHipp's way, LFP": lambda: len(filter_lfp(x)),
        "SpikeInterface, high-pass": lambda: len(spikeinterface_highpass(x)),
        "SpikeInterface, LFP": lambda: len(spikeinterface_lfp(x)),
        "copy of the samples": lambda: len(x.copy()),
    }
    costs = compare(works, 5 if quick else 3)
    peers = ("PyHipp's way", "SpikeInterface")
    found = []
    for part in ("high-pass", "LFP"):
        figures = {who: factor * costs[f"{who}, {part}"].cpu for who in ("ours", *peers)}
        figures["copy of the samples"] = factor * costs["copy of the samples"].cpu
        found.append(Row(f"{part} of a channel-hour", "CPU s", figures, note=scaled))
    figures = {who: factor * both(costs, who) for who in ("ours", *peers)}
    figures["copy of the samples"] = factor * costs["copy of the samples"].cpu
    found.insert(
        0,
        Row(
            "high-pass and LFP of a channel-hour",
            "CPU s",
            figures,
            target=f"at most {TARGET} CPU s",
            met=figures["ours"] <= TARGET,
            note=scaled,
        ),
    )
    found += memory(x, costs, seconds)
    found += largest_differences(x[: 600 * RATE])
    found.append(jobs(x, folder, factor, scaled))
    return found


def memory(x: np.ndarray, costs: dict[str, Cost], seconds: int) -> Iterator[Row]:
    """Compare what a process needs beyond what it is forked with, at full and at a tenth of the length."""
    nothing = compare({"nothing": lambda: None}, 1)["nothing"].peak
    short = x[: len(x) // 10]
    for name, blocks in (("high-pass", highpass_blocks), ("LFP", lfp_blocks)):
        brief = compare({"brief": functools.partial(lambda blocks: drain(blocks(short, RATE)), blocks)}, 1)[
            "brief"
        ].peak
        peak = costs[f"ours, {name}"].peak
        # A fork has the samples of this process, and so has the one that does nothing.
        yield Row(
            f"memory of the {name} beyond that of the process, {seconds / 60:g} min in memory",
            "MB",
            {
                "ours": peak - nothing,
                f"of {seconds / 600:g} min": brief - nothing,
                "PyHipp's way": costs[f"PyHipp's way, {name}"].peak - nothing,
                "SpikeInterface": costs[f"SpikeInterface, {name}"].peak - nothing,
            },
            target="at most 150 MB, the same at any length",
            met=peak - nothing <= 150 and abs(peak - brief) < 20,
        )


def jobs(x: np.ndarray, folder: Path, factor: float, scaled: str) -> Row:
    """Measure the two steps from product to product, on the disk of the folder, beside copying a file."""
    raw, products = folder / "rplraw.hkl", {name: folder / f"{name}.hkl" for name in ("highpass", "lfp")}
    info = {"SampleRate": float(RATE), "Segments": np.array([[0, len(x), 0, len(x) - 1]]), "TickRate": float(RATE)}
    with write_signal(raw, {"analogInfo": info}, len(x)) as writer:
        for part in np.array_split(x, max(1, len(x) // 2**17)):
            writer.write(part)

    def ours() -> None:
        make_rplhighpass(raw, products["highpass"], order=8, band=[500, 7500], dtype="float32")
        make_rpllfp(raw, products["lfp"], resample_rate=LFP_RATE, order=8, band=[1, 150], dtype="float32")

    def copies() -> None:
        (folder / "copy").write_bytes(raw.read_bytes())

    costs = compare({"ours": ours, "reading and writing a file as large": copies}, 3)
    return Row(
        "rplhighpass and rpllfp of a channel-hour, files included",
        "CPU s",
        {name: factor * cost.cpu for name, cost in costs.items()},
        note=", ".join(filter(None, ["warm", scaled])),
    )


if __name__ == "__main__":
    main(__doc__, rows)
