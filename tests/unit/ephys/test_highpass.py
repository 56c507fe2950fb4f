"""The high-pass signal against PyHipp's scipy calls on the whole signal."""

import tracemalloc

import numpy as np
import pytest
from lazy_signal import LazySignal
from scipy.signal import butter, filtfilt

from hippflow.ephys.highpass import highpass_blocks
from hippflow.errors import ConfigError, SignalError


def recording(n, rate=30000, seed=0):
    """A raw trace in uV: 200 uV of field potential on an offset of 500 uV, noise and spikes of -150 uV."""
    rng = np.random.default_rng(seed)
    x = 500 + 200 * np.sin(2 * np.pi * 7 * np.arange(n) / rate + 1) + 10 * rng.standard_normal(n)
    x[rng.integers(0, n, n // 2000)] -= 150
    return x.astype(np.float32)


def pyhipp(x, rate=30000, order=8, band=(500, 7500)):
    """What rplhighpass.py computes, before it is stored as float32."""
    b, a = butter(order // 2, np.array(band) / (rate / 2), "bandpass")
    return filtfilt(b, a, x, padtype="odd", padlen=3 * order)


def joined(x, rate=30000, **kwargs):
    return np.concatenate(list(highpass_blocks(x, rate, **kwargs)))


def assert_as_stored(y, expected):
    """Compare float32 values with the double reference.

    The doubles agree within 1e-9 uV, which the tests of the filter show. What can differ here is only which
    of two float32 neighbours a value that lies between them is rounded to, and that in few places.
    """
    stored = expected.astype(np.float32)
    assert y.dtype == np.float32 and y.shape == stored.shape
    np.testing.assert_array_max_ulp(y[np.abs(stored) > 1e-2], stored[np.abs(stored) > 1e-2], maxulp=1)
    np.testing.assert_allclose(y.astype(float), stored.astype(float), rtol=2**-23, atol=1e-9)
    assert np.mean(y != stored) < 1e-2


@pytest.mark.parametrize("n", [25, 979, 1024, 65535, 65536, 65537, 66515, 131072, 200_003])
def test_highpass_equals_pyhipp(n):
    x = recording(n)
    assert_as_stored(joined(x), pyhipp(x))


def test_highpass_error_before_storing_is_below_5e_6_uv():
    x = recording(1_000_000)
    expected = pyhipp(x)
    # Half the distance between neighbouring float32 values is what storing costs, here and in PyHipp.
    storing = np.spacing(np.abs(expected).astype(np.float32)).astype(float) / 2
    assert (np.abs(joined(x).astype(float) - expected) - storing).max() < 5e-6
    assert np.abs(expected).max() > 50


@pytest.mark.parametrize("block", [1000, 4096, 30000, 2**18])
def test_highpass_does_not_depend_on_the_block(block):
    x = recording(100_001)
    assert_as_stored(joined(x, block=block), pyhipp(x))


@pytest.mark.parametrize(
    "rate, order, band", [(30000, 4, (300, 6000)), (40000, 6, (250, 10000)), (24414.0625, 8, (500, 7500))]
)
def test_highpass_of_other_settings(rate, order, band):
    x = recording(50_000, rate)
    assert_as_stored(joined(x, rate, order=order, band=band, block=8000), pyhipp(x, rate, order, band))


def test_highpass_keeps_spikes_and_drops_field_and_offset():
    y = joined(recording(300_000))
    assert abs(y.mean()) < 1e-2
    assert y.min() < -50


def test_highpass_takes_a_memory_map(tmp_path):
    x = recording(100_000)
    x.tofile(tmp_path / "raw.bin")
    np.testing.assert_array_equal(joined(np.memmap(tmp_path / "raw.bin", np.float32, "r")), joined(x))


def test_highpass_memory_does_not_grow_with_the_signal():
    peaks = []
    for seconds in (60, 240):
        tracemalloc.start()
        x = LazySignal(30000 * seconds, lambda i: i % 1999)
        n = sum(len(part) for part in highpass_blocks(x, 30000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n == 30000 * seconds
    assert peaks[1] < 1.05 * peaks[0]


def test_highpass_refuses_settings_at_once():
    with pytest.raises(ConfigError, match="^order"):
        highpass_blocks(recording(100), 30000, order=5)
    with pytest.raises(ConfigError, match="^band"):
        highpass_blocks(recording(100), 10000)


def test_highpass_refuses_short_and_broken_signals():
    with pytest.raises(SignalError, match="more than 24 .* found 24"):
        joined(recording(24))
    x = recording(100_000)
    x[77_777] = np.nan
    with pytest.raises(SignalError, match="^sample 77777: "):
        joined(x)
