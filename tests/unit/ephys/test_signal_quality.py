"""Quality of signals: against numpy and scipy on whole arrays, and against what was planted."""

import tracemalloc

import numpy as np
import pytest
from lazy_signal import LazySignal, SignalReadOnce
from scipy.stats import median_abs_deviation

from hippflow.ephys import quality
from hippflow.ephys.problems import signal_problems
from hippflow.ephys.quality import highpass_quality, lfp_quality, line_ratios, raw_quality, strongest_tone
from hippflow.ephys.runs import ConstantRuns
from hippflow.ephys.spectrum import amplitude_spectrum

RATE = 30_000


def stretches_one_by_one(x, saturation, flat):
    """Saturated and flat runs of a signal as one would find them by hand."""
    finite = x[np.isfinite(x)]
    found = {"saturated": [], "flat": []}
    start = 0
    while start < len(x):
        stop = start + 1
        while stop < len(x) and x[stop] == x[start]:
            stop += 1
        extreme = finite.min() != finite.max() and x[start] in (finite.min(), finite.max())
        if np.isfinite(x[start]) and stop - start >= (saturation if extreme else flat):
            found["saturated" if extreme else "flat"].append((start, stop - start))
        start = stop
    return found["saturated"], found["flat"]


@pytest.mark.parametrize("seed", range(150))
def test_stretches_are_those_that_one_finds_sample_by_sample(seed):
    rng = np.random.default_rng(seed)
    x = np.repeat(rng.integers(-2, 3, 30).astype(float), rng.integers(1, 6, 30))
    if seed % 3 == 0:
        x[rng.integers(0, len(x), 3)] = [np.nan, np.inf, -np.inf]
    if seed % 10 == 1:
        x[:] = 1.0
    most = 2 if seed % 2 else 100
    runs, start = ConstantRuns(3, 4, most), 0
    while start < len(x):
        part = x[start : start + rng.integers(1, 9)]
        finite = np.isfinite(part)
        runs.update(part, None if finite.all() else finite)
        start += len(part)
    for found, expected in zip(runs.finish(), stretches_one_by_one(x, 3, 4), strict=True):
        assert found.listed == expected[:most]
        assert (found.count, found.num_samples) == (len(expected), sum(n for _, n in expected))


def converter(n, seed=0):
    """Noise of 12 uV on an offset of 40 uV, in steps of 0.25 uV as a converter gives it."""
    noise = np.random.default_rng(seed).normal(40, 12, n)
    return (np.rint(noise / 0.25) * 0.25).astype(np.float32)


def test_raw_levels_are_those_of_numpy(monkeypatch):
    x = converter(50_000)
    monkeypatch.setattr(quality, "BLOCK", 777)
    found = raw_quality(SignalReadOnce(len(x), lambda i: x[i]), saturation_samples=10, flat_samples=30)
    assert found["num_samples"] == 50_000
    np.testing.assert_allclose(found["offset"], x.mean(dtype=float), rtol=1e-9)
    np.testing.assert_allclose(found["rms"], x.std(dtype=float), rtol=1e-9)
    assert (found["minimum"], found["maximum"]) == (x.min(), x.max())
    assert (found["saturated"].count, found["flat"].count) == (0, 0)


def test_clipping_and_a_lost_wire_are_found_where_they_are():
    x = converter(100_000)
    x[5_000:5_040] = 8191.75
    x[70_000:70_012] = -8191.75
    x[80_000:80_005] = 8191.75
    x[20_000:20_500] = 3.0
    found = raw_quality(x, saturation_samples=10, flat_samples=30)
    assert found["saturated"].listed == [(5_000, 40), (70_000, 12)]
    assert found["saturated"].num_samples == 52
    assert found["flat"].listed == [(20_000, 500)]


def test_what_is_not_finite_is_counted_and_left_out():
    x = converter(10_000)
    x[[3, 500, 9_000]] = np.nan, np.inf, -np.inf
    kept = x[np.isfinite(x)]
    raw = raw_quality(x, saturation_samples=10, flat_samples=30)
    high = highpass_quality(x - 40, RATE, artifact_threshold=1e6)
    assert raw["num_not_finite"] == high["num_not_finite"] == lfp_quality(x)["num_not_finite"] == 3
    np.testing.assert_allclose([raw["offset"], raw["rms"]], [kept.mean(dtype=float), kept.std(dtype=float)], rtol=1e-6)
    np.testing.assert_allclose(lfp_quality(x)["rms"], kept.std(dtype=float), rtol=1e-6)
    nothing = raw_quality(np.full(50, np.nan), saturation_samples=10, flat_samples=30)
    assert nothing["num_not_finite"] == 50
    assert np.isnan([nothing["offset"], nothing["rms"], nothing["maximum"]]).all()


@pytest.mark.parametrize("scale", [1e-3, 1, 6.5, 400])
def test_the_noise_level_is_that_of_scipy(scale):
    rng = np.random.default_rng(1)
    x = (scale * rng.normal(0, 1, 400_000)).astype(np.float32)
    x[rng.integers(0, len(x), 4_000)] -= 30 * scale
    found = highpass_quality(x, RATE, artifact_threshold=100)
    np.testing.assert_allclose(found["noise"], median_abs_deviation(x, scale="normal"), rtol=2e-3)
    np.testing.assert_allclose(found["rms"], x.std(dtype=float), rtol=1e-6)


def test_a_silent_channel_has_no_noise_and_no_artifacts():
    found = highpass_quality(np.zeros(RATE, np.float32), RATE, artifact_threshold=50)
    assert (found["noise"], found["rms"], found["num_artifacts"]) == (0, 0, 0)


def test_artifacts_are_counted_once_each_also_across_blocks(monkeypatch):
    monkeypatch.setattr(quality, "BLOCK", 1000)
    x = np.random.default_rng(2).normal(0, 5, 60_000).astype(np.float32)
    for start in (990, 5_000, 5_025, 30_000, 30_031):  # 1 ms is 30 samples
        x[start : start + 20 if start == 990 else start + 1] = 1000
    found = highpass_quality(x, RATE, artifact_threshold=50)
    np.testing.assert_allclose(found["artifact_level"], 50 * found["noise"])
    assert found["num_artifacts"] == 4


def test_line_noise_is_told_from_the_lfp_beside_it():
    seconds = np.arange(200_000) / 1000
    rng = np.random.default_rng(3)
    clean = rng.normal(0, 20, len(seconds))
    hum = 30 * np.sin(2 * np.pi * 60 * seconds) + 10 * np.sin(2 * np.pi * 120 * seconds)
    ratios = {}
    for name, x in (("clean", clean), ("hum", clean + hum)):
        spectrum = amplitude_spectrum(x, 1000, 2000)
        ratios[name] = line_ratios(spectrum.freq, spectrum.magnitude, 60, 150)
        assert [frequency for frequency, _ in ratios[name]] == [60, 120]
        beside = (np.abs(spectrum.freq - 60) >= 3) & (np.abs(spectrum.freq - 60) <= 10)
        at = spectrum.magnitude[np.abs(spectrum.freq - 60) <= 1].max()
        assert ratios[name][0][1] == pytest.approx(at / np.median(spectrum.magnitude[beside]))
    assert all(0.8 < ratio < 1.3 for _, ratio in ratios["clean"])
    assert ratios["hum"][0][1] > ratios["hum"][1][1] > 3


def test_a_coarse_spectrum_has_no_ratio_where_there_are_no_neighbours():
    freq = np.arange(6) * 100.0
    ((frequency, ratio),) = line_ratios(freq, np.ones(6), 50, 60)
    assert frequency == 50
    assert np.isnan(ratio)


def test_a_tone_in_the_spike_band_is_named():
    seconds = np.arange(300_000) / RATE
    x = np.random.default_rng(4).normal(0, 6, len(seconds)) + 3 * np.sin(2 * np.pi * 2_400 * seconds)
    spectrum = amplitude_spectrum(x, RATE, 3000)
    frequency, ratio = strongest_tone(spectrum.freq, spectrum.magnitude, (500, 7500))
    assert abs(frequency - 2_400) < 10
    assert ratio > 10
    assert np.isnan(strongest_tone(spectrum.freq, 0 * spectrum.magnitude, (500, 7500))).all()


def test_memory_does_not_grow_with_the_recording():
    def peak(n):
        signal = LazySignal(n, lambda i: (i * 7919 % 1001 - 500) * 0.25)
        tracemalloc.start()
        raw_quality(signal, saturation_samples=10, flat_samples=30)
        highpass_quality(signal, RATE, artifact_threshold=50)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(4_000_000) < 1.1 * peak(1_000_000)


GOOD = {
    "raw_not_finite": 0,
    "lfp_not_finite": 0,
    "highpass_not_finite": 0,
    "raw_offset": -20.0,
    "highpass_noise": 7.0,
    "flat_share": 0.0,
    "flat_seconds": 0.0,
    "saturated_share": 0.0,
    "saturated_seconds": 0.0,
    "line_harmonics": [{"frequency": 50.0, "ratio": 4.0}, {"frequency": 100.0, "ratio": None}],
    "tone_frequency": 3000.0,
    "tone_ratio": 1.2,
    "artifacts_per_minute": 0.5,
}
LIMITS = {"max_offset_uv": 500, "min_noise_uv": 1, "max_noise_uv": 30, "max_line_ratio": 10, "max_tone_ratio": 10}
LIMITS |= {"max_saturated_share": 0.001, "max_flat_share": 0.001, "max_artifacts_per_minute": 10}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"raw_offset": -612.0}, ["offset of -612 uV, more than 500 (quality.max_offset_uv)"]),
        ({"highpass_noise": 0.25}, ["noise of 0.25 uV, less than 1 (quality.min_noise_uv)"]),
        ({"highpass_noise": 44.4}, ["noise of 44.4 uV, more than 30 (quality.max_noise_uv)"]),
        ({"highpass_noise": None, "raw_offset": None, "tone_ratio": None, "tone_frequency": None}, []),
        (
            {"line_harmonics": [{"frequency": 150.0, "ratio": 12.0}]},
            ["150 Hz is 12 times its neighbours, more than 10 (quality.max_line_ratio)"],
        ),
        ({"tone_ratio": 11.0}, ["a tone of 3000 Hz, 11 times its neighbours, more than 10 (quality.max_tone_ratio)"]),
        (
            {"saturated_share": 0.25, "saturated_seconds": 3.0},
            ["saturated for 3 s, a share of 0.25, more than 0.001 (quality.max_saturated_share)"],
        ),
        ({"artifacts_per_minute": 60.0}, ["60 artifacts a minute, more than 10 (quality.max_artifacts_per_minute)"]),
        ({"lfp_not_finite": 4}, ["4 samples of the lfp signal are not finite"]),
    ],
)
def test_problems_are_said_with_both_numbers_and_the_setting(change, said):
    assert signal_problems(GOOD | change, **LIMITS) == said
