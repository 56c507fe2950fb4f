"""Accuracy of the spike sorting on demo days, beside MountainSort5 called directly with the same parameters.

    python benchmarks/sorting_accuracy.py --seeds 1 2 3 --channels 24 --seconds 60

Writes demo days of these seeds, takes their high-pass signals through the workflow's own
steps, sorts both sessions together, and prints for every seed the mean accuracy of all
true units, TP / (TP + FP + FN) with 0.5 ms tolerance.
"""

import argparse
import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from hippflow.day.catalog import raw_channels
from hippflow.demo.day import write_demo_day
from hippflow.demo.truth import load_truth
from hippflow.ephys.scoring import match_units
from hippflow.ephys.sorters import one_thread
from hippflow.ephys.sorting import sort_spikes
from hippflow.io.nsx import read_nsx_header
from hippflow.steps.rplhighpass import make_rplhighpass
from hippflow.steps.rplsplit import make_rplraw
from hippflow.steps.sorting import read_day_signal

LABEL = r"raw (\d+)"


def highpass_days(folder: Path, seed: int, n_channels: int, seconds: float) -> Iterator[tuple[int, np.ndarray, dict]]:
    """Yield channel, high-pass signal of the day (uV) and true spikes by unit for every channel with units."""
    day = write_demo_day(folder / "data", channels=n_channels, seconds=seconds, seed=seed)
    truth = load_truth(day)
    products: dict[int, list[str]] = {}
    for session in truth.sessions:
        nsx = next((day / session).glob("*.ns5"))
        found = {n: path for n, (_, path) in raw_channels(read_nsx_header(nsx), LABEL, 0).items()}
        raws = {n: folder / session / path / "rplraw_d41d.hkl" for n, path in found.items()}
        make_rplraw(
            nsx,
            list(map(str, raws.values())),
            nev=None,
            raw_label=LABEL,
            first_connector=0,
            on_gap="error",
            dtype="float32",
        )
        for number, raw in raws.items():
            product = raw.with_name("rplhighpass_b59f.hkl")
            make_rplhighpass(raw, product, order=8, band=[500, 7500], dtype="float32")
            raw.unlink()
            products.setdefault(number, []).append(str(product))
    offsets = np.cumsum([0] + [session.n_samples for session in truth.sessions.values()])
    for number, channel in truth.channels.items():
        if channel.units:
            signal, _, _ = read_day_signal(products[number])
            yield number, signal, {
                label: np.concatenate([unit.spikes[s] + o for s, o in zip(truth.sessions, offsets, strict=False)])
                for label, unit in channel.units.items()
            }  # fmt: skip


def sort_directly(signal: np.ndarray) -> dict[int, np.ndarray]:
    """Sort with mountainsort5.sorting_scheme1 on the signal in standard deviations, as PyHipp's parameters say."""
    import mountainsort5
    from spikeinterface.core import NumpyRecording

    recording = NumpyRecording([(signal / signal.std())[:, None]], 30000)
    recording.set_dummy_probe_from_locations(np.zeros((1, 2)))
    parameters = mountainsort5.Scheme1SortingParameters(
        detect_threshold=4,
        detect_sign=0,
        detect_time_radius_msec=1.0,
        detect_channel_radius=None,
        snippet_mask_radius=None,
        snippet_T1=25,
        snippet_T2=25,
        npca_per_channel=10,
        npca_per_subdivision=10,
    )
    with one_thread(0), contextlib.redirect_stdout(io.StringIO()):
        sorting = mountainsort5.sorting_scheme1(recording, sorting_parameters=parameters)
    return {int(unit): sorting.get_unit_spike_train(unit) for unit in sorting.unit_ids}


def compare(seed: int, n_channels: int, seconds: float) -> pd.DataFrame:
    """Sort a day both ways; return the accuracy of every true unit, columns ``ours`` and ``direct``."""
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for number, signal, true in highpass_days(Path(folder), seed, n_channels, seconds):
            found = sort_spikes(signal, 30000)
            units = {unit: found.samples[found.labels == unit] for unit in range(1, found.n_units + 1)}
            accuracies = {
                "ours": match_units(true, units, 30000)["accuracy"],
                "direct": match_units(true, sort_directly(signal), 30000)["accuracy"],
            }
            tables.append(pd.DataFrame(accuracies).assign(channel=number))
    return pd.concat(tables)


def main() -> None:
    """Print the comparison for every seed and over all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--channels", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    everything = []
    print("seed      units   ours  direct")
    for seed in arguments.seeds:
        table = compare(seed, arguments.channels, arguments.seconds)
        everything.append(table)
        print(f"{seed:<9d} {len(table):5d}  {table.ours.mean():.3f}   {table.direct.mean():.3f}", flush=True)
    table = pd.concat(everything)
    print(f"all       {len(table):5d}  {table.ours.mean():.3f}   {table.direct.mean():.3f}")


if __name__ == "__main__":
    main()
