"""The real recording: 65 channels at 30 kHz by Blackrock hardware, spec 3.0, one packet a sample.

Its 64 neural channels carry three waveforms in strict rotation, one about every 10 ms from
second 0.9 on; channel 129 is flat. The NEV's spike packets carry the time of the first
sample of the stored waveform; the spike itself is at the waveform's largest value.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from neo.rawio import BlackrockRawIO
from scipy import signal

from hippflow.day.config import load_schema, schema_defaults
from hippflow.ephys.scoring import match_units
from hippflow.example import SESSION, STEM, lay_out_example
from hippflow.io.products import read_product
from hippflow.io.signals import open_signal
from hippflow.steps.rplhighpass import make_rplhighpass
from hippflow.steps.rplsplit import make_rplraw
from hippflow.steps.sorting import make_sorting

#: Events before this sample are marks that have no waveform at their place.
FIRST_REGULAR_SAMPLE = 26000
#: Time stamps of the first and the last sample, in nanoseconds.
FIRST_TICK, LAST_TICK = 1688252801327328740, 1688252803476262196
SORTING = schema_defaults(load_schema(Path(__file__).parents[2] / "schemas/config.schema.yaml"))["sorting"]


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    lay_out_example(folder)
    return folder


@pytest.fixture(scope="module")
def neo_reader(example):
    reader = BlackrockRawIO(str(example / "data" / SESSION / STEM), nsx_to_load=6)
    reader.parse_header()
    return reader


@pytest.fixture(scope="module")
def channels(example, neo_reader):
    """Channel numbers, in the order of the recording."""
    return [int(str(name).removeprefix("chan")) for name in neo_reader.header["signal_channels"]["name"]]


@pytest.fixture(scope="module")
def folders(example, channels):
    """The channels' folders with raw and high-pass signals in them, by channel number."""
    session = example / "results" / SESSION
    recording = example / "data" / SESSION / f"{STEM}.ns6"
    found = {n: session / f"array{(n - 1) // 32 + 1:02d}" / f"channel{n:03d}" for n in channels}
    products = [str(folder / "rplraw_d41d.hkl") for folder in found.values()]
    make_rplraw(
        recording,
        products,
        nev=recording.with_suffix(".nev"),
        raw_label=r"chan(\d+)",
        first_connector=1,
        on_gap="error",
        dtype="float32",
    )
    for folder in found.values():
        raw = folder / "rplraw_d41d.hkl"
        make_rplhighpass(raw, folder / "rplhighpass_b59f.hkl", order=8, band=[500, 7500], dtype="float32")
    return found


def test_every_raw_sample_is_neos(neo_reader, folders, channels):
    samples = neo_reader.get_analogsignal_chunk(stream_index=0)
    assert samples.shape == (64469, 65)
    for column, channel in enumerate(channels):
        with open_signal(folders[channel] / "rplraw_d41d.hkl") as raw:
            np.testing.assert_array_equal(raw[:], samples[:, column] * np.float32(0.25))


def test_the_clock_starts_with_the_nev(folders):
    with open_signal(folders[1] / "rplraw_d41d.hkl") as raw:
        first, n, start, stop = raw.segments[0]
    assert (first, n) == (0, 64469)
    # 0.2 ms after the NEV's first packet; 64468 periods of its own clock, which is 0.008 % slow
    assert start == FIRST_TICK - 1688252801327128558
    assert stop - start == LAST_TICK - FIRST_TICK


def test_the_high_pass_signal_is_scipys(folders):
    with open_signal(folders[3] / "rplraw_d41d.hkl") as raw, open_signal(folders[3] / "rplhighpass_b59f.hkl") as made:
        b, a = signal.butter(4, [500 / 15000, 7500 / 15000], "bandpass")
        reference = signal.filtfilt(b, a, raw[:], padtype="odd", padlen=24)
        np.testing.assert_allclose(made[:], reference.astype(np.float32), rtol=2e-7, atol=5e-6)


def _marked_spikes(neo_reader, channel):
    """Samples of the regular spikes that the NEV marks on a channel, at the largest value of their waveforms."""
    names = [str(name) for name in neo_reader.header["spike_channels"]["name"]]
    index = names.index(f"ch{channel}#0")
    ticks = neo_reader.get_spike_timestamps(spike_channel_index=index).astype(np.int64)
    waveforms = neo_reader.get_spike_raw_waveforms(spike_channel_index=index)[:, 0]
    samples = np.rint((ticks - FIRST_TICK) * 64468 / (LAST_TICK - FIRST_TICK)).astype(np.int64)
    samples += np.abs(waveforms).argmax(axis=1)
    return samples[samples >= FIRST_REGULAR_SAMPLE]


def test_the_marked_spikes_are_detected_and_clustered(neo_reader, folders, channels, tmp_path, record_property):
    three_units, rotation = [], []
    for channel in [n for n in channels if n != 129]:
        firings = tmp_path / f"{channel}.hkl"
        make_sorting([str(folders[channel] / "rplhighpass_b59f.hkl")], firings, **SORTING)
        found = read_product(firings)
        samples, labels = found["samples"], found["labels"]

        marked = _marked_spikes(neo_reader, channel)
        assert len(marked) >= 90
        distance = np.abs(samples[None, :] - marked[:, None]).min(axis=1)
        assert (distance > 15).sum() <= 1, channel  # 0.5 ms

        regular = samples[samples >= FIRST_REGULAR_SAMPLE]
        truth = {k + 1: regular[k::3] for k in range(3)}
        units = {int(unit): samples[labels == unit] for unit in np.unique(labels)}
        three_units.append(len(units) == 3)
        rotation.append(match_units(truth, units, 30000)["accuracy"].mean())
    record_property("channels_with_three_units", sum(three_units))
    record_property("mean_accuracy", float(np.mean(rotation)))
    assert sum(three_units) >= 60
    assert np.mean(rotation) > 0.95


def test_the_flat_channel_has_no_spikes(folders, tmp_path):
    make_sorting([str(folders[129] / "rplhighpass_b59f.hkl")], tmp_path / "firings.hkl", **SORTING)
    assert read_product(tmp_path / "firings.hkl")["samples"].size == 0


def test_the_workflow_goes_from_files_to_units(workflow, example):
    """As `make example` does, for one channel."""
    os.symlink(example / "data", workflow.folder / "data")
    run = workflow.run(
        "--configfile", str(example / "config.yaml"), "--config", "data=data", "results=results", "channels=3"
    )
    assert len(run.jobs) == 10
    results = Path(workflow.folder) / "results/blackrock/20231027"
    units = pd.read_csv(results / "mountains/channel003/units.csv")
    assert units["quality"].tolist() == ["good"] * 3
    cells = pd.read_csv(results / "session01/array01/channel003/cells.csv")
    assert cells["num_spikes"].sum() == 100
    assert read_product(results / "session01/rplparallel_d41d.hkl")["markers"].shape == (0, 3)
