"""Accuracy and cost of the spike sorting, beside MountainSort5 as the workflow runs it and called directly.

    python benchmarks/sorting_accuracy.py [--quick] [--seeds 401 402 ...]

Sorts channels whose spikes are known: demo days, whose high-pass signals come through the workflow's own steps,
channels of another simulator, 1 to 10 minutes long, and the regular spikes of a real recording. For every
way the mean accuracy of all true units is TP / (TP + FP + FN) with 0.5 ms tolerance. Sorts a channel of
90 minutes in a process of its own for CPU time and memory.

Seeds 301 to 360 were used to choose how events are clustered, and are not to be measured on.
"""

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import measuring
import numpy as np
import pandas as pd
from measuring import Row, print_rows
from scipy.signal import find_peaks
from simulated_channels import RATE, simulate, write_channel

from hippflow.day.channels import raw_channels
from hippflow.demo.day import write_demo_day
from hippflow.demo.truth import load_truth
from hippflow.ephys.scoring import match_units
from hippflow.ephys.sorters import one_thread
from hippflow.ephys.sorting import sort_spikes
from hippflow.example import SESSION, STEM, lay_out_example
from hippflow.io.nsx_header import read_nsx_header
from hippflow.steps.rplhighpass import make_rplhighpass
from hippflow.steps.rplsplit import make_rplraw
from hippflow.steps.sorting import make_sorting, read_day_signal, read_sorting
from hippflow.steps.units import make_units

LABEL = r"raw (\d+)"

#: Seeds of the published figures.
SEEDS = range(401, 421)

#: Seconds of a simulated channel, by turns.
LENGTHS = (60, 120, 240, 60, 600)

#: Settings of the `units` step, of no account for its cost.
UNITS = {"template_size": 150, "isi_ms": 2.0, "min_snr": 4.5, "min_sd_ratio": 0.5, "max_isi_share": 0.005}

#: What is known of the real recording: where its spikes become regular, three units by turns.
FIRST_REGULAR_SAMPLE = 26000


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


def sort_by(sorter: str, signal: np.ndarray) -> dict[int, np.ndarray]:
    """Sort as the workflow does by default, with this sorter; return samples by unit."""
    found = sort_spikes(signal, RATE, sorter=sorter)
    return {unit: found.samples[found.labels == unit] for unit in range(1, found.n_units + 1)}


#: How channels are sorted. The first is ours.
WAYS: dict[str, Callable[[np.ndarray], dict[int, np.ndarray]]] = {
    "ours": partial(sort_by, "gaussian_mixture"),
    "mountainsort5, five starts": partial(sort_by, "mountainsort5"),
    "mountainsort5, called directly": sort_directly,
}


def score(channels: Iterator[tuple[int, np.ndarray, dict]]) -> pd.DataFrame:
    """Sort channels in every way; return the accuracy of every true unit, a column for each way, and ``channel``."""
    tables = []
    for number, signal, true in channels:
        accuracies = {name: match_units(true, sort(signal), RATE)["accuracy"] for name, sort in WAYS.items()}
        tables.append(pd.DataFrame(accuracies).assign(channel=number))
    return pd.concat(tables)


def score_demo_day(seed: int, n_channels: int, seconds: float) -> pd.DataFrame:
    """Score the channels with units of a demo day."""
    with tempfile.TemporaryDirectory() as folder:
        return score(highpass_days(Path(folder), seed, n_channels, seconds))


def score_simulated(seed: int, seconds: float) -> pd.DataFrame:
    """Score a channel of the other simulator."""
    return score(iter([(seed, *simulate(seed, seconds))]))


def real_channels(folder: Path, n_channels: int) -> Iterator[tuple[int, np.ndarray, dict]]:
    """Yield the high-pass signals of the real recording's channels, with its spikes by turns as three units."""
    lay_out_example(folder)
    recording = folder / "data" / SESSION / f"{STEM}.ns6"
    found = raw_channels(read_nsx_header(recording), r"chan(\d+)", 1)
    products = {number: str(folder / path / "rplraw_d41d.hkl") for number, (_, path) in sorted(found.items())}
    make_rplraw(
        recording,
        list(products.values()),
        nev=recording.with_suffix(".nev"),
        raw_label=r"chan(\d+)",
        first_connector=1,
        on_gap="error",
        dtype="float32",
    )
    # the last one is flat
    for number, raw in list(products.items())[:-1][:n_channels]:
        product = raw.replace("rplraw_d41d", "rplhighpass_b59f")
        make_rplhighpass(raw, product, order=8, band=[500, 7500], dtype="float32")
        signal, _, _ = read_day_signal([product])
        spikes, _ = find_peaks(np.abs(signal), height=4 * signal.std(), distance=30)
        spikes = spikes[spikes >= FIRST_REGULAR_SAMPLE]
        yield number, signal, {unit + 1: spikes[unit::3] for unit in range(3)}


def accuracy_row(work: str, tables: list[pd.DataFrame]) -> Row:
    """Return the row of the mean accuracy of all units."""
    table = pd.concat(tables)
    means = {name: float(table[name].mean()) for name in WAYS}
    return Row(
        work=f"{work}, {len(table)} units",
        unit="accuracy",
        figures=means,
        target="not below mountainsort5",
        met=means["ours"] >= max(list(means.values())[1:]),
    )


def cost_rows(folder: Path, minutes: int) -> list[Row]:
    """Return the rows of sorting a long channel, and of measuring its units."""
    highpass = [str(folder / "session01" / "array01" / "channel001" / "rplhighpass_b59f.hkl")]
    Path(highpass[0]).parent.mkdir(parents=True)
    true = write_channel(Path(highpass[0]), minutes, seed=SEEDS[0])
    sorters = {"ours": ("gaussian_mixture", 5), "mountainsort5, five starts": ("mountainsort5", 5)}
    sorters["mountainsort5, one start"] = ("mountainsort5", 1)

    def sort(sorter: str, n_starts: int) -> dict[int, np.ndarray]:
        firings = folder / f"{sorter}{n_starts}.hkl"
        make_sorting(highpass, firings, sorter=sorter, n_starts=n_starts, seed=0)
        found, _ = read_sorting(firings)
        return {unit: found.samples[found.labels == unit] for unit in range(1, found.n_units + 1)}

    # what a process imports and compiles once is there before the clock starts
    warm = np.random.default_rng(0).normal(0, 1, 2 * RATE).astype(np.float32)
    for sorter, n_starts in sorters.values():
        sort_spikes(warm, RATE, sorter=sorter, n_starts=n_starts)
    costs = measuring.compare({name: partial(sort, *how) for name, how in sorters.items()}, repeats=1)
    n_events = sum(map(len, costs["ours"].result.values()))
    work = f"sorting a channel of {minutes} min, {n_events} events"
    accuracies = {name: match_units(true, cost.result, RATE)["accuracy"].mean() for name, cost in costs.items()}
    most = 2 * minutes / 90
    rows = [
        Row(
            work=work,
            unit="CPU s",
            figures={name: cost.cpu for name, cost in costs.items()},
            target=f"at most {most:.2g}",
            met=costs["ours"].cpu <= most,
            peak=costs["ours"].peak,
            note="imports and compilation left out; the file is in memory",
        ),
        Row(
            work=work,
            unit="MB",
            figures={name: cost.peak for name, cost in costs.items()},
            target="at most 500",
            met=costs["ours"].peak <= 500,
        ),
        Row(
            work=f"{work}, of {len(true)} units",
            unit="accuracy",
            figures=accuracies,
            target="not below mountainsort5",
            met=accuracies["ours"] >= max(list(accuracies.values())[1:]),
        ),
    ]
    outputs = [folder / name for name in ("units.csv", "metrics.csv", "templates.hkl")]

    def measure_units() -> float:
        firings = folder / "gaussian_mixture5.hkl"
        # the first time SpikeInterface imports and compiles
        make_units(highpass, firings, *outputs, **UNITS)
        start = time.process_time()
        make_units(highpass, firings, *outputs, **UNITS)
        return time.process_time() - start

    cost = measuring.measure(measure_units)
    rows.append(
        Row(
            work=f"units of a channel of {minutes} min",
            unit="CPU s",
            figures={"ours": cost.result},
            target=f"at most {most:.2g}, 500 MB",
            met=cost.result <= most and cost.peak <= 500,
            peak=cost.peak,
        )
    )
    return rows


def rows(quick: bool, folder: Path, seeds: range | list[int] = SEEDS) -> list[Row]:
    """Return the rows of the table.

    Parameters
    ----------
    quick : bool
        Two seeds, a few channels and a short recording: a minute in all.
    folder : Path
        For products; made if need be.
    seeds : sequence of int
    """
    folder.mkdir(parents=True, exist_ok=True)
    seeds = list(seeds)[: 2 if quick else None]
    # first: the memory of a process that has not sorted much yet
    with tempfile.TemporaryDirectory(dir=folder) as work:
        costs = cost_rows(Path(work), 10 if quick else 90)
    demo = [score_demo_day(seed, 8, 60) for seed in seeds]
    simulated = [score_simulated(seed, 60 if quick else LENGTHS[seed % len(LENGTHS)]) for seed in seeds]
    found = [
        accuracy_row(f"demo days of {len(seeds)} seeds, 90 s", demo),
        accuracy_row(f"another simulator, {len(seeds)} seeds, {'60 s' if quick else '1 to 10 min'}", simulated),
    ]
    with tempfile.TemporaryDirectory(dir=folder) as work:
        real = score(real_channels(Path(work), 4 if quick else 64))
        found.append(accuracy_row("a real recording of 2 s, three regular spikes", [real]))
    return found + costs


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(print_rows(rows(arguments.quick, Path(folder), arguments.seeds)))


if __name__ == "__main__":
    main()
