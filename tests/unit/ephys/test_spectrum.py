"""The amplitude spectrum against PyHipp's calls on the whole signal."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lazy_signal import SignalReadOnce

from hippflow.ephys.spectrum import amplitude_spectrum
from hippflow.errors import ConfigError, SignalError


def recording(n, seed=0):
    """A field potential in uV at 1 kHz: 200 uV at 7 Hz, an offset of 500 uV, noise."""
    rng = np.random.default_rng(seed)
    x = 500 + 200 * np.sin(2 * np.pi * 7 * np.arange(n) / 1000 + 1) + 10 * rng.standard_normal(n)
    return x.astype(np.float32)


def pyhipp(x, points_per_window, padded=True):
    """What freqspectrum.py computes; without `padded`, for the complete windows only."""
    x = x.astype(float)
    over = len(x) % points_per_window
    if padded and over:
        x = np.pad(x, (0, points_per_window - over))
    elif over:
        x = x[:-over]
    windows = x.reshape(-1, points_per_window)
    windows = windows - windows.mean(axis=1, keepdims=True)
    nfft = 2 ** int(np.ceil(np.log2(points_per_window)))
    magnitude = np.abs(np.fft.rfft(windows, nfft, axis=1))
    return magnitude.mean(axis=0), magnitude.std(axis=0) / np.sqrt(len(windows))


def assert_equal(spectrum, expected):
    np.testing.assert_allclose(spectrum.magnitude, expected[0], rtol=1e-10, atol=1e-7)
    np.testing.assert_allclose(spectrum.magstderr, expected[1], rtol=1e-8, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(points=st.integers(2, 5000), n_windows=st.integers(1, 60), over=st.floats(0, 0.999))
def test_spectrum_equals_pyhipp_on_complete_windows(points, n_windows, over):
    x = recording(points * n_windows + int(over * points))
    spectrum = amplitude_spectrum(x, 1000, points)
    assert spectrum.n_windows == n_windows
    assert_equal(spectrum, pyhipp(x, points, padded=False))


@pytest.mark.parametrize("points, nfft", [(2000, 2048), (3000, 4096), (2048, 2048), (2049, 4096), (70_000, 131_072)])
def test_spectrum_at_the_sizes_of_pyhipp(points, nfft):
    x = recording(200_000)
    spectrum = amplitude_spectrum(x, 30000, points)
    np.testing.assert_allclose(spectrum.freq, np.linspace(0, 15000, nfft // 2 + 1))
    assert len(spectrum.freq) == len(spectrum.magnitude) == len(spectrum.magstderr)
    assert spectrum.n_windows == 200_000 // points
    assert_equal(spectrum, pyhipp(x, points, padded=False))


def test_only_pyhipps_padded_window_differs():
    whole = recording(20_000)
    assert_equal(amplitude_spectrum(whole, 1000, 2000), pyhipp(whole, 2000))
    cut = whole[:19_000]
    spectrum = amplitude_spectrum(cut, 1000, 2000)
    assert spectrum.n_windows == 9
    # The step from 500 uV to the zeros of the padding is what PyHipp has at low frequencies.
    assert pyhipp(cut, 2000)[0][1] > 5 * spectrum.magnitude[1]
    assert_equal(spectrum, pyhipp(cut[:18_000], 2000))


def test_spectrum_of_a_sine_is_half_its_amplitude_times_the_samples():
    seconds = np.arange(2048 * 5) / 1024
    spectrum = amplitude_spectrum(30 * np.sin(2 * np.pi * 64 * seconds) + 500, 1024, 2048)
    at = np.flatnonzero(spectrum.freq == 64)
    np.testing.assert_allclose(spectrum.magnitude[at], 30 * 2048 / 2, rtol=1e-12)
    np.testing.assert_allclose(np.delete(spectrum.magnitude, at), 0, atol=1e-6)
    np.testing.assert_allclose(spectrum.magstderr, 0, atol=1e-6)


def test_spectrum_of_equal_windows_has_no_error_however_large():
    window = 1e9 * np.random.default_rng(0).standard_normal(1024)
    spectrum = amplitude_spectrum(np.tile(window, 1000), 1000, 1024)
    assert (spectrum.magstderr <= 1e-12 * spectrum.magnitude.max()).all()


def test_spectrum_memory_does_not_grow_and_samples_are_read_once():
    peaks = []
    for seconds in (60, 240):
        x = SignalReadOnce(30000 * seconds, lambda i: np.sin(2e-3 * i))
        tracemalloc.start()
        amplitude_spectrum(x, 30000, 3000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]


def test_spectrum_cannot_be_changed():
    spectrum = amplitude_spectrum(recording(100), 1000, 50)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spectrum.n_windows = 3


@pytest.mark.parametrize("n", [0, 1, 1999])
def test_spectrum_refuses_a_signal_shorter_than_a_window(n):
    with pytest.raises(SignalError, match=f"window of 2000 samples, found {n}$"):
        amplitude_spectrum(np.ones(n, np.float32), 1000, 2000)


@pytest.mark.parametrize("points", [1, 0, -5])
def test_spectrum_refuses_a_window_without_extent(points):
    with pytest.raises(ConfigError, match=f"^points_per_window: .* found {points}$"):
        amplitude_spectrum(recording(100), 1000, points)


def test_spectrum_names_a_sample_that_is_not_finite():
    x = recording(100_000)
    x[70_001] = np.nan
    with pytest.raises(SignalError, match="^sample 70001: "):
        amplitude_spectrum(x, 1000, 2000)
