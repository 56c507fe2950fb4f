"""The spectrum of a signal as PyHipp's FreqSpectrum."""

import hickle
import numpy as np
import pytest

from hippflow.errors import SignalError
from hippflow.io.signals import write_signal
from hippflow.steps.freqspectrum import make_freqspectrum

FOLDER = "picasso/20181105/session01/array01/channel009"
ARGS = {"loadHighPass": False, "loadRaw": False, "pointsPerWindow": 2000}


def write_lfp(folder, x):
    path = folder / FOLDER / "rpllfp_6eca.hkl"
    with write_signal(path, {"analogInfo": {"SampleRate": 1000}}, len(x)) as writer:
        writer.write(x)
    return path


def test_windows_are_averaged_as_pyhipp_does(tmp_path):
    x = np.random.default_rng(0).normal(0, 50, 10_500).astype(np.float32)
    product = tmp_path / FOLDER / "freqspectrum_9c80.hkl"
    make_freqspectrum(write_lfp(tmp_path, x), product, args=ARGS)
    loaded = hickle.load(product)
    windows = x[:10_000].reshape(5, 2000).astype(float)  # PyHipp also counts the rest, filled with zeros
    magnitude = np.abs(np.fft.fft(windows - windows.mean(axis=1, keepdims=True), 2048)[:, :1025])
    assert [len(loaded[name]) for name in ("freq", "magnitude", "magstderr")] == [1, 1, 1]
    np.testing.assert_allclose(loaded["freq"][0], np.arange(1025) * 1000 / 2048)
    np.testing.assert_allclose(loaded["magnitude"][0], magnitude.mean(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(loaded["magstderr"][0], magnitude.std(axis=0) / np.sqrt(5), rtol=1e-6, atol=1e-6)
    assert loaded["numberOfWindows"] == [5]
    assert loaded["args"] == ARGS
    assert loaded["dirs"] == [FOLDER]
    assert loaded["array_dict"] == {"picasso/20181105/session01/array01": 0}
    assert (loaded["numSets"], loaded["current_plot_type"]) == (1, None)


def test_a_sine_is_where_it_belongs(tmp_path):
    x = 10 * np.sin(2 * np.pi * 125 * np.arange(20_000) / 1000)
    product = tmp_path / FOLDER / "freqspectrum_9c80.hkl"
    make_freqspectrum(write_lfp(tmp_path, x), product, args=ARGS)
    loaded = hickle.load(product)
    assert loaded["freq"][0][loaded["magnitude"][0].argmax()] == 125.0
    np.testing.assert_allclose(loaded["magnitude"][0].max(), 10 * 2000 / 2, rtol=1e-4)


def test_a_signal_shorter_than_a_window(tmp_path):
    product = tmp_path / FOLDER / "freqspectrum_9c80.hkl"
    with pytest.raises(SignalError, match="at least one window of 2000 samples, found 1999"):
        make_freqspectrum(write_lfp(tmp_path, np.zeros(1999)), product, args=ARGS)
    assert not product.exists()
