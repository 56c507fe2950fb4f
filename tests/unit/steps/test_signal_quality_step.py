"""quality.json and channels.csv: of signals with planted faults, against numpy on the whole arrays."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import median_abs_deviation

from hippflow import load_day
from hippflow.io.signals import open_signal, write_signal
from hippflow.names import spectrum_args
from hippflow.steps.channels import make_channels
from hippflow.steps.freqspectrum import make_freqspectrum
from hippflow.steps.rplhighpass import make_rplhighpass
from hippflow.steps.rpllfp import make_rpllfp
from hippflow.steps.signal_quality import make_signal_quality

CONFIG = yaml.safe_load((Path(__file__).parents[3] / "config.yaml").read_text())
RATE, SECONDS = 30_000, 8


def make_channel(root, session, channel, x, dtype="float32", segments=None):
    """Write a raw signal and all that is made of it, up to its report."""
    folder = root / session / "array01" / f"channel{channel:03d}"
    names = ("rplraw_d41d", "rpllfp_6eca", "rplhighpass_b59f", "freqspectrum_9c80", "freqspectrum_660e")
    raw, lfp, highpass, low, high = (folder / f"{name}.hkl" for name in names)
    info = {"SampleRate": float(RATE), "TickRate": RATE, "BitGain": 0.25, "ProbeInfo": f"raw {channel}"}
    info["Segments"] = np.array([[0, len(x), 0, len(x) - 1]] if segments is None else segments)
    with write_signal(raw, {"analogInfo": info}, len(x), dtype, 0.25) as writer:
        writer.write(x)
    make_rpllfp(raw, lfp, **CONFIG["rpllfp"], dtype=dtype)
    make_rplhighpass(raw, highpass, **CONFIG["rplhighpass"], dtype=dtype)
    for signal, path, name in ((lfp, low, "lfp"), (highpass, high, "highpass")):
        make_freqspectrum(signal, path, args=spectrum_args(name, CONFIG["freqspectrum"]))
    make_signal_quality(raw, lfp, highpass, low, high, folder / "quality.json", **CONFIG["quality"])
    return folder


def noise(seed=0):
    return 8 * np.random.default_rng(seed).normal(0, 1, RATE * SECONDS) + 30


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """A sound channel, one that clips, loses its wire and hums, and both again in int16 in a session with a pause."""
    root = tmp_path_factory.mktemp("results") / "picasso" / "20181105"
    faulty = noise(1) + 120 * np.sin(2 * np.pi * 50 * np.arange(RATE * SECONDS) / RATE)
    faulty[30_000:60_000] = 8191.75
    faulty[90_000:105_000] = -20
    pause = [[0, 45_000, 0, 44_999], [45_000, RATE * SECONDS - 45_000, 75_000, RATE * SECONDS + 29_999]]
    for channel, x in ((9, noise()), (10, faulty)):
        make_channel(root, "session01", channel, x)
        make_channel(root, "sessioneye", channel, x, "int16", pause)
        units = root / f"mountains/channel{channel:03d}/units.csv"
        units.parent.mkdir(parents=True)
        rows = f"1,good,{channel},4,5\n2,multi-unit,7,1,2\n3,good,9,0,9\n" if channel == 10 else ""
        units.write_text("unit,quality,snr,num_spikes_session01,num_spikes_sessioneye\n" + rows)
    return root


def report(day, session, channel):
    return json.loads((day / session / f"array01/channel{channel:03d}/quality.json").read_text())


def test_a_sound_channel_has_its_levels_and_no_problems(day):
    fields, folder = report(day, "session01", 9), day / "session01/array01/channel009"
    with open_signal(folder / "rplraw_d41d.hkl") as raw, open_signal(folder / "rpllfp_6eca.hkl") as lfp:
        expected = {"raw_offset": raw[:].mean(dtype=float), "raw_rms": raw[:].std(dtype=float)}
        expected |= {"raw_minimum": raw[:].min(), "raw_maximum": raw[:].max(), "lfp_rms": lfp[:].std(dtype=float)}
    with open_signal(folder / "rplhighpass_b59f.hkl") as signal:
        expected["highpass_rms"] = signal[:].std(dtype=float)
        assert fields["highpass_noise"] == pytest.approx(median_abs_deviation(signal[:], scale="normal"), rel=2e-3)
    assert {name: fields[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert (fields["session"], fields["array"], fields["channel"]) == ("session01", 1, 9)
    assert (fields["seconds"], fields["num_samples"], fields["sampling_rate"]) == (8, 240_000, 30_000)
    assert [row["frequency"] for row in fields["line_harmonics"]] == [50, 100, 150]
    assert fields["problems"] == fields["saturated"] == fields["flat"] == []
    assert load_day(day)["session01"].channels[9].quality == fields


def test_faults_are_found_and_said(day):
    fields = report(day, "session01", 10)
    assert fields["saturated"] == [{"first": 30_000, "number": 30_000, "time": 1.0}]
    assert fields["flat"] == [{"first": 90_000, "number": 15_000, "time": 3.0}]
    assert (fields["saturated_seconds"], fields["flat_seconds"]) == (1, 0.5)
    assert (fields["saturated_share"], fields["flat_share"]) == (0.125, 0.0625)
    said = " ".join(fields["problems"])
    assert "flat for 0.5 s" in said and "saturated for 1 s" in said and "quality.max_offset_uv" in said
    assert fields["artifact_count"] >= 2  # both edges of the clipped second


def test_times_are_on_the_clock_also_after_a_pause_and_in_int16(day):
    fields = report(day, "sessioneye", 10)
    assert fields["saturated"] == [{"first": 30_000, "number": 30_000, "time": 1.0}]
    assert fields["flat"] == [{"first": 90_000, "number": 15_000, "time": 4.0}]
    assert fields["raw_maximum"] == 8191.75


def test_line_noise_is_measured_in_the_lfp(day, tmp_path):
    hum = 40 * np.sin(2 * np.pi * 50 * np.arange(RATE * SECONDS) / RATE)
    folder = make_channel(tmp_path / "picasso/20181105", "session01", 11, noise(2) + hum)
    fields = json.loads((folder / "quality.json").read_text())
    assert fields["line_ratio"] == fields["line_harmonics"][0]["ratio"] > 10
    assert fields["problems"] == [
        f"50 Hz is {fields['line_ratio']:.3g} times its neighbours, more than 10 (quality.max_line_ratio)"
    ]
    assert report(day, "session01", 9)["line_ratio"] < 2


def test_a_dead_channel_is_flat_and_without_noise(tmp_path):
    folder = make_channel(tmp_path / "picasso/20181105", "session01", 9, np.zeros(RATE * SECONDS))
    fields = json.loads((folder / "quality.json").read_text())
    assert (fields["flat_share"], fields["highpass_noise"], fields["saturated_count"]) == (1, 0, 0)
    assert fields["tone_ratio"] is fields["line_ratio"] is None
    assert [text.split(",")[0] for text in fields["problems"]] == ["flat for 8 s", "noise of 0 uV"]


def test_the_same_signal_makes_the_same_bytes(day, tmp_path):
    folder = make_channel(tmp_path / "picasso/20181105", "session01", 9, noise())
    again = (folder / "quality.json").read_bytes()
    assert again == (day / "session01/array01/channel009/quality.json").read_bytes()


def test_the_table_has_a_row_for_every_channel_and_session(day):
    quality = [str(path) for path in sorted(day.glob("*/array01/*/quality.json"), reverse=True)]
    units = [str(path) for path in day.glob("mountains/*/units.csv")]
    make_channels(quality, units, day / "channels.csv")
    table = pd.read_csv(day / "channels.csv")
    assert table[["array", "channel", "session"]].to_numpy().tolist() == [
        [1, 9, "session01"],
        [1, 9, "sessioneye"],
        [1, 10, "session01"],
        [1, 10, "sessioneye"],
    ]
    assert table["num_spikes"].tolist() == [0, 0, 5, 16]
    assert table["units_good"].tolist() == [0, 0, 2, 2]
    assert table["units_multi_unit"].tolist() == [0, 0, 1, 1]
    assert table["units_noise"].tolist() == [0] * 4
    for row in table.to_dict("records"):
        fields = report(day, row["session"], row["channel"])
        assert row["num_problems"] == len(fields["problems"])
        numbers = {name: value for name, value in fields.items() if type(value) in (int, float)}
        assert {name: row[name] for name in numbers} == pytest.approx(numbers)
    pd.testing.assert_frame_equal(load_day(day).channel_table, table)
    first = (day / "channels.csv").read_bytes()
    make_channels(quality[::-1], units[::-1], day / "channels.csv")
    assert (day / "channels.csv").read_bytes() == first
