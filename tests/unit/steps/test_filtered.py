"""rpllfp and rplhighpass: the filtered signal of every stretch, with its clock, as PyHipp's objects."""

import hickle
import numpy as np
import pytest
from scipy.signal import butter, filtfilt, resample_poly

from hippflow.ephys.clock import sample_times
from hippflow.errors import FormatError
from hippflow.io.signals import open_signal, write_signal
from hippflow.steps.rplhighpass import make_rplhighpass
from hippflow.steps.rpllfp import make_rpllfp

X = (np.cumsum(np.random.default_rng(0).normal(0, 3, 60_000)) * 0.2).astype(np.float32)
FOLDER = "picasso/20181105/session01/array01/channel009"
HIGHPASS = {"order": 8, "band": [500, 7500]}
LFP = {"resample_rate": 1000, "order": 8, "band": [1, 150]}


def write_raw(folder, segments, tick_rate=30_000, x=X):
    path = folder / FOLDER / "rplraw_d41d.hkl"
    info = {
        "SampleRate": 30000.0,
        "ProbeInfo": "raw 9",
        "BitGain": 0.25,
        "Segments": np.array(segments),
        "TickRate": tick_rate,
    }
    with write_signal(path, {"analogInfo": info, "numSets": 1}, len(x)) as writer:
        writer.write(x)
    return path


def pyhipp_highpass(x):
    b, a = butter(4, [500, 7500], "bandpass", fs=30000)
    return filtfilt(b, a, x.astype(float), padlen=24)


def pyhipp_lfp(x):
    b, a = butter(4, [1, 150], "bandpass", fs=1000)
    return filtfilt(b, a, resample_poly(x.astype(float), 1, 30), padlen=24)


CASES = {
    "lfp": (make_rpllfp, LFP, "rpllfp_6eca.hkl", pyhipp_lfp),
    "highpass": (make_rplhighpass, HIGHPASS, "rplhighpass_b59f.hkl", pyhipp_highpass),
}


@pytest.mark.parametrize("make, settings, name, reference", CASES.values(), ids=CASES)
def test_an_uninterrupted_signal_is_pyhipps(tmp_path, make, settings, name, reference):
    raw = write_raw(tmp_path, [[0, 60_000, 0, 59_999]])
    make(raw, raw.with_name(name), dtype="float32", **settings)
    data = hickle.load(raw.with_name(name))["data"]
    expected = reference(X)
    assert data.dtype == np.float32 and data.shape == expected.shape
    np.testing.assert_allclose(data, expected, atol=1e-4)


@pytest.mark.parametrize("make, settings, name, reference", CASES.values(), ids=CASES)
def test_every_stretch_is_filtered_on_its_own(tmp_path, make, settings, name, reference):
    raw = write_raw(tmp_path, [[0, 25_001, 0, 25_000], [25_001, 34_999, 90_000, 124_998]])
    make(raw, raw.with_name(name), dtype="float32", **settings)
    parts = [reference(X[:25_001]), reference(X[25_001:])]
    np.testing.assert_allclose(hickle.load(raw.with_name(name))["data"], np.concatenate(parts), atol=1e-4)


@pytest.mark.parametrize("tick_rate", [30_000, 1_000_000_000])
def test_filtered_samples_keep_their_times(tmp_path, tick_rate):
    scale = tick_rate // 30_000
    raw = write_raw(
        tmp_path,
        [[0, 25_001, 5 * scale, 25_005 * scale], [25_001, 34_999, 90_000 * scale, 124_998 * scale]],
        tick_rate,
    )
    times = {}
    for make, settings, name, _ in CASES.values():
        make(raw, raw.with_name(name), dtype="float32", **settings)
        with open_signal(raw.with_name(name)) as signal:
            times[name] = sample_times(np.arange(len(signal)), signal.segments, signal.tick_rate)
            assert signal.segments[:, 1].sum() == len(signal)
    expected = np.concatenate([np.arange(5, 25_006), np.arange(90_000, 124_999)]) * scale / tick_rate
    np.testing.assert_allclose(times["rplhighpass_b59f.hkl"], expected, rtol=0, atol=1e-9)
    # the LFP has every thirtieth sample of each stretch
    every = np.concatenate([expected[:25_001:30], expected[25_001::30]])
    np.testing.assert_allclose(times["rpllfp_6eca.hkl"], every, rtol=0, atol=2 / tick_rate)


@pytest.mark.parametrize(
    "make, settings, name, rate", [(*CASES[k][:3], r) for k, r in (("lfp", 1000), ("highpass", 3e4))]
)
def test_fields_are_those_of_pyhipp(tmp_path, make, settings, name, rate):
    raw = write_raw(tmp_path, [[0, 60_000, 0, 59_999]])
    make(raw, raw.with_name(name), dtype="float32", **settings)
    loaded = hickle.load(raw.with_name(name))
    info = loaded["analogInfo"]
    assert loaded["dirs"] == [FOLDER]
    assert loaded["numSets"] == 1
    assert list(loaded["args"].values()) == [value for value in settings.values()]
    assert (info["SampleRate"], info["Units"]) == (rate, "uV")
    assert [info[f"{side}Freq{what}"] for side in ("High", "Low") for what in ("Corner", "Order")] == [
        settings["band"][0], 8, settings["band"][1], 8,
    ]  # fmt: skip
    assert info["ProbeInfo"] == {"rpllfp_6eca.hkl": "lfp 9", "rplhighpass_b59f.hkl": "hp 9"}[name]
    assert (info["MinVal"], info["MaxVal"]) == (loaded["data"].min(), loaded["data"].max())
    assert info["NumberSamples"] == len(loaded["data"]) == 60_000 * rate / 30_000


@pytest.mark.parametrize("make, settings, name, reference", CASES.values(), ids=CASES)
def test_int16_is_float32_rounded_to_the_gain(tmp_path, make, settings, name, reference):
    raw = write_raw(tmp_path, [[0, 60_000, 0, 59_999]])
    for dtype in ("float32", "int16"):
        make(raw, tmp_path / dtype / FOLDER / name, dtype=dtype, **settings)
    exact, rounded = (hickle.load(tmp_path / dtype / FOLDER / name) for dtype in ("float32", "int16"))
    assert rounded["data"].dtype == np.int16
    assert (rounded["analogInfo"]["Gain"], rounded["analogInfo"]["NumberClipped"]) == (0.25, 0)
    np.testing.assert_array_equal(rounded["data"], np.rint(exact["data"] / 0.25))


def test_a_missing_raw_signal_leaves_no_product(tmp_path):
    product = tmp_path / FOLDER / "rpllfp_6eca.hkl"
    with pytest.raises(FormatError, match="found no file"):
        make_rpllfp(tmp_path / FOLDER / "rplraw_d41d.hkl", product, dtype="float32", **LFP)
    assert not product.parent.exists()
