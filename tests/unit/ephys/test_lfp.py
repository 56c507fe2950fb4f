"""The LFP against PyHipp's scipy calls on the whole signal."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lazy_signal import SignalReadOnce
from scipy.signal import butter, filtfilt, resample_poly

from hippflow.ephys.lfp import decimate_blocks, decimation_ratio, lfp_blocks, lfp_length
from hippflow.errors import ConfigError, SignalError

#: The tolerance towards PyHipp, uV. Its float32 sums are what spends it: on an offset of 500 uV they
#: are wrong by 1.5e-3 uV at single samples, and by 7e-4 uV after the band-pass.
TOLERANCE = 1e-3


def recording(n, rate=30000, seed=0):
    """A raw trace in uV: 200 uV of field potential on an offset of 500 uV, noise and spikes of -150 uV."""
    rng = np.random.default_rng(seed)
    x = 500 + 200 * np.sin(2 * np.pi * 7 * np.arange(n) / rate + 1) + 10 * rng.standard_normal(n)
    x[rng.integers(0, n, n // 2000)] -= 150
    return x.astype(np.float32)


def pyhipp(x, rate=30000, resample_rate=1000, order=8, band=(1, 150)):
    """What rpllfp.py computes, before it is stored as float32."""
    slow = resample_poly(x, resample_rate, rate)
    b, a = butter(order // 2, np.array(band) / (resample_rate / 2), "bandpass")
    return filtfilt(b, a, slow, padtype="odd", padlen=3 * order)


def joined(x, rate=30000, **kwargs):
    return np.concatenate(list(lfp_blocks(x, rate, **kwargs)))


def slow_wave(i):
    return 500 + 200 * np.sin(2e-3 * i)


@settings(max_examples=60, deadline=None)
@given(ratio=st.integers(1, 40), n=st.integers(0, 20_000), block=st.integers(100, 30_000))
def test_decimation_equals_scipy(ratio, n, block):
    x = recording(n).astype(float) if n else np.empty(0)
    parts = list(decimate_blocks(x, ratio, block=block))
    y = np.concatenate([np.empty(0), *parts])
    expected = resample_poly(x, 1, ratio) if n else x
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("n", [1, 29, 30, 31, 300, 301, 329, 330, 600, 601, 65536, 65537, 131_071, 300_000])
@pytest.mark.parametrize("block", [37, 1000, 2**16, 2**20])
def test_decimation_by_30_at_any_length(n, block):
    x = recording(n)
    y = np.concatenate(list(decimate_blocks(x, 30, block=max(block, n // 500))))
    np.testing.assert_allclose(y, resample_poly(x.astype(float), 1, 30), rtol=0, atol=1e-10)


def test_decimation_is_more_exact_than_scipys_of_float32():
    x = recording(300_000)
    exact = resample_poly(x.astype(float), 1, 30)
    ours = np.concatenate(list(decimate_blocks(x, 30)))
    assert np.abs(ours - exact).max() < 1e-10
    assert np.abs(resample_poly(x, 1, 30) - exact).max() > 1e-4


@pytest.mark.parametrize("n", [24 * 30 + 1, 24 * 30 + 31, 30_000, 65536, 450_017])
def test_lfp_equals_pyhipp(n):
    x = recording(n)
    y = joined(x)
    assert y.dtype == np.float32 and y.shape == (lfp_length(n, 30000, 1000),)
    np.testing.assert_allclose(y, pyhipp(x), rtol=0, atol=TOLERANCE)


def test_lfp_of_many_settling_times_equals_pyhipp():
    # 15053 samples of settling, so that blocks end after 60, 105 and 150 s.
    x = recording(30000 * 160 + 11)
    y = joined(x)
    np.testing.assert_allclose(y, pyhipp(x), rtol=0, atol=TOLERANCE)
    # Towards scipy in double precision only the rounding of the filter's recursion is left.
    np.testing.assert_allclose(y, pyhipp(x.astype(float)), rtol=0, atol=3e-4)


@pytest.mark.parametrize("n", [15053 * k + d for k in (4, 7) for d in (-25, -24, -1, 0, 1)])
def test_lfp_length_about_a_block_of_the_bandpass(n):
    x = recording(2 * n, rate=2000)
    np.testing.assert_allclose(joined(x, 2000), pyhipp(x, 2000), rtol=0, atol=TOLERANCE)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(24 * 5 + 1, 60_000), block=st.integers(200, 70_000), low=st.floats(4, 30))
def test_lfp_does_not_depend_on_the_block(n, block, low):
    x = recording(n, rate=5000)
    y = joined(x, 5000, band=(low, 150), block=block)
    np.testing.assert_allclose(y, pyhipp(x.astype(float), 5000, band=(low, 150)), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "rate, resample_rate, order, band",
    [(30000, 500, 8, (1, 150)), (40000, 1000, 4, (1, 300)), (30000, 2000, 6, (4, 300)), (1000, 1000, 8, (1, 150))],
)
def test_lfp_of_other_settings(rate, resample_rate, order, band):
    x = recording(8 * rate, rate)
    y = joined(x, rate, resample_rate=resample_rate, order=order, band=band)
    # In double precision: the float32 sums of scipy are wrong by more than 1e-3 uV at a ratio of 60.
    expected = pyhipp(x.astype(float), rate, resample_rate, order, band)
    np.testing.assert_allclose(y, expected, rtol=0, atol=3e-4)


def test_lfp_of_rates_that_are_doubles():
    x = recording(30_000)
    np.testing.assert_array_equal(joined(x, 30000.0, resample_rate=1000.0), joined(x))
    assert decimation_ratio(24414.0625, 24414.0625 / 25) == 25


@pytest.mark.parametrize("n, expected", [(7_860_000, 262_000), (1, 1), (30, 1), (31, 2), (0, 0)])
def test_lfp_length(n, expected):
    assert lfp_length(n, 30000, 1000) == lfp_length(n, 30000) == expected


@pytest.mark.parametrize("rate, resample_rate", [(30000, 700), (30000, 40000), (1000, 30000), (30000, 0), (0, 1000)])
def test_lfp_refuses_rates_that_are_not_multiples(rate, resample_rate):
    match = f"sampling rate {rate} Hz, resample rate {resample_rate} Hz"
    with pytest.raises(SignalError, match=match):
        lfp_length(1000, rate, resample_rate)
    with pytest.raises(SignalError, match=match):
        lfp_blocks(recording(1000), rate, resample_rate=resample_rate)


def test_lfp_refuses_settings_at_once():
    with pytest.raises(ConfigError, match="^order"):
        lfp_blocks(recording(100), 30000, order=3)
    with pytest.raises(ConfigError, match="^band: .* 500 Hz"):
        lfp_blocks(recording(100), 30000, band=(1, 600))
    with pytest.raises(ConfigError, match="^order, band"):
        lfp_blocks(recording(100), 30000, order=12)


def test_lfp_refuses_short_and_broken_signals():
    with pytest.raises(SignalError, match="more than 24 samples at the rate of the filter, found 24"):
        joined(recording(24 * 30))
    x = recording(400_000)
    x[300_001] = np.inf
    with pytest.raises(SignalError, match="^sample 300001: "):
        joined(x)


def test_lfp_reads_each_sample_once_and_memory_does_not_grow():
    peaks = []
    for seconds in (120, 360):
        x = SignalReadOnce(30000 * seconds, slow_wave)
        tracemalloc.start()
        n = sum(len(part) for part in lfp_blocks(x, 30000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n == 1000 * seconds and x.next == len(x)
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 8e6
