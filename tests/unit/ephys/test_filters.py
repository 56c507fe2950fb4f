"""The streamed zero-phase filter against scipy's on the whole signal."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lazy_signal import LazySignal
from scipy.signal import butter, filtfilt, lfilter, tf2zpk

from hippflow.ephys.filters import butter_bandpass, filtfilt_blocks, filtfilt_stream, read_blocks, settling_length
from hippflow.errors import ConfigError, SignalError

SPIKES = butter_bandpass(8, (500, 7500), 30000)
SPIKES_SETTLING = 979


def recording(n, seed=0):
    """A raw trace in uV: 200 uV of field potential on an offset of 500 uV, noise and spikes of -150 uV."""
    rng = np.random.default_rng(seed)
    x = 500 + 200 * np.sin(2 * np.pi * 7 * np.arange(n) / 30000 + 1) + 10 * rng.standard_normal(n)
    x[rng.integers(0, n, n // 2000)] -= 150
    return x.astype(np.float32)


def reference(b, a, x):
    """PyHipp's call on the whole signal."""
    return filtfilt(b, a, x, padtype="odd", padlen=3 * (max(len(a), len(b)) - 1))


def joined(b, a, x, **kwargs):
    return np.concatenate(list(filtfilt_blocks(b, a, x, **kwargs)))


class Counted:
    """A signal that counts how often each of its samples is read, and the longest slice."""

    def __init__(self, x):
        self.x, self.reads, self.longest = x, np.zeros(len(x), int), 0

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        assert isinstance(index, slice)
        self.reads[index] += 1
        part = self.x[index]
        self.longest = max(self.longest, len(part))
        return part


def wave_with_spikes(i):
    return 500 + 200 * np.sin(2e-3 * i) - 150 * (i % 1999 == 0)


def test_settling_length_is_that_of_the_largest_pole():
    assert settling_length(*SPIKES) == SPIKES_SETTLING
    radius = np.abs(tf2zpk(*SPIKES)[1]).max()
    assert abs(SPIKES_SETTLING - np.log(2.0**-53) / np.log(radius)) < 30
    # At 1 Hz of 1 kHz the filter remembers for 15 s.
    assert settling_length(*butter_bandpass(8, (1, 150), 1000)) == 15053


def test_response_after_settling_length_is_rounding():
    impulse = np.zeros(5000)
    impulse[0] = 1
    response = np.abs(lfilter(*SPIKES, impulse))
    assert response[SPIKES_SETTLING:].sum() <= 2.0**-53 * response.sum() < response[SPIKES_SETTLING - 1 :].sum()


@pytest.mark.parametrize(
    "n",
    [25, 26, 48, 49, 50]  # just longer than the padding
    + [978, 979, 980, 1003, 1004]  # about one settling length
    + [3 * 979 + k for k in (-1, 0, 1)]
    # A first block is given at 4 settling lengths and each next one 3 later; the end brings 24 samples of padding.
    + [4 * 979 + k for k in (-25, -24, -23, -1, 0, 1)]
    + [7 * 979 + k for k in (-25, -24, -23, -1, 0, 1, 23, 24, 25)]
    + [19999, 20000, 20001],
)
@pytest.mark.parametrize("block", [100, 1000, 2**16])
def test_filtfilt_equals_scipy_at_any_length(n, block):
    x = recording(n)
    y = joined(*SPIKES, x, block=block)
    assert y.dtype == np.float64 and y.shape == (n,)
    np.testing.assert_allclose(y, reference(*SPIKES, x), rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_filtfilt_equals_scipy_for_any_blocks_and_filter(data):
    order = data.draw(st.sampled_from([2, 4, 6, 8]), "order")
    rate = data.draw(st.sampled_from([1000.0, 2000, 30000, 40000]), "rate")
    low = data.draw(st.floats(0.03, 0.2), "low")
    high = data.draw(st.floats(0.25, 0.45), "high")
    b, a = butter_bandpass(order, (low * rate, high * rate), rate)
    settling = settling_length(b, a)
    n = data.draw(st.integers(3 * order + 1, 3 * order + 10 * settling), "n")
    block = data.draw(st.integers(max(1, n // 200), n + 1), "block")
    x = recording(n, seed=data.draw(st.integers(0, 9), "seed"))
    np.testing.assert_allclose(joined(b, a, x, block=block), reference(b, a, x), rtol=0, atol=1e-9)


def test_filtfilt_is_scipys_last_bit_where_one_pass_holds_it_all():
    x = recording(3000)
    np.testing.assert_array_equal(joined(*SPIKES, x, block=128), reference(*SPIKES, x))


@pytest.mark.parametrize(
    "b, a", [(np.ones(5) / 5, [1.0]), ([2.0, 1.0], [4.0, -1.0]), ([1.0, -1.0], [1.0, 0, 0.5, 0.1])]
)
@pytest.mark.parametrize("n", [13, 40, 200, 201])
def test_filtfilt_takes_any_stable_filter(b, a, n):
    x = recording(n)
    np.testing.assert_allclose(joined(b, a, x, block=9), reference(b, a, x), rtol=0, atol=1e-9)


def test_filtfilt_of_a_double_signal():
    x = recording(10000).astype(np.float64) + 1e-6
    np.testing.assert_allclose(joined(*SPIKES, x, block=512), reference(*SPIKES, x), rtol=0, atol=1e-9)


def test_stream_takes_blocks_of_uneven_length():
    x = recording(12000)
    parts = np.split(x, [0, 1, 3, 20, 30, 4000, 4000, 4001, 11990])
    y = np.concatenate(list(filtfilt_stream(*SPIKES, parts)))
    np.testing.assert_allclose(y, reference(*SPIKES, x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("block", [512, 4096])
def test_filtfilt_reads_each_sample_once_in_bounded_slices(block):
    x = Counted(recording(50_001))
    joined(*SPIKES, x, block=block)
    assert (x.reads == 1).all()
    assert x.longest == block


def test_filtfilt_gives_blocks_while_it_reads():
    x = Counted(recording(50_000))
    blocks = filtfilt_blocks(*SPIKES, x, block=1000)
    next(blocks)
    assert x.reads.sum() == 4000 and next(blocks).size <= 4 * SPIKES_SETTLING


def test_filtfilt_memory_does_not_grow_with_the_signal():
    peaks = []
    for seconds in (60, 240):
        tracemalloc.start()
        x = LazySignal(30000 * seconds, wave_with_spikes)
        n = sum(len(part) for part in filtfilt_blocks(*SPIKES, x))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n == 30000 * seconds
    assert peaks[1] < 1.05 * peaks[0]
    assert peaks[1] < 8e6


@pytest.mark.parametrize("n", [0, 1, 23, 24])
def test_filtfilt_refuses_a_signal_within_the_padding(n):
    with pytest.raises(SignalError, match=f"more than 24 samples .* found {n}$"):
        joined(*SPIKES, np.ones(n, np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 4095, 4096, 9999])
def test_filtfilt_names_the_first_sample_that_is_not_finite(bad, where):
    x = recording(10_000)
    x[where:] = bad
    with pytest.raises(SignalError, match=rf"^sample {where}: .* found {bad}"):
        joined(*SPIKES, x, block=4096)


def test_read_blocks_refuses_a_signal_cut_short():
    class Cut(LazySignal):
        def __len__(self):
            return self.n + 50

    with pytest.raises(SignalError, match=r"samples 200 to 300: .*\(100,\), found \(50,\)"):
        list(read_blocks(Cut(250, wave_with_spikes), 100))


def test_read_blocks_refuses_several_channels():
    with pytest.raises(SignalError, match=r"found \(100, 2\)"):
        list(read_blocks(np.zeros((300, 2)), 100))


def test_read_blocks_refuses_converter_steps():
    with pytest.raises(TypeError, match="uV, found int16"):
        list(read_blocks(np.zeros(100, np.int16)))


@pytest.mark.parametrize("order, band, rate", [(8, (500, 7500), 30000), (8, (1, 150), 1000), (2, (4, 12), 1250.0)])
def test_butter_bandpass_is_pyhipps_design(order, band, rate):
    b, a = butter_bandpass(order, band, rate)
    expected = butter(order // 2, np.array(band) / (rate / 2), "bandpass")
    np.testing.assert_array_equal(np.stack([b, a]), expected)
    assert len(a) == order + 1


@pytest.mark.parametrize("order", [7, 0, -2, 1])
def test_butter_bandpass_refuses_an_order_that_is_not_even(order):
    with pytest.raises(ConfigError, match=f"^order: .* found {order}$"):
        butter_bandpass(order, (500, 7500), 30000)


@pytest.mark.parametrize("band", [(0, 150), (-1, 150), (1, 500), (1, 501), (150, 1), (5, 5), (1,), (1, np.nan)])
def test_butter_bandpass_refuses_a_band_outside_the_rate(band):
    with pytest.raises(ConfigError, match="^band: .* 500 Hz .* 1000 Hz"):
        butter_bandpass(8, band, 1000)


@pytest.mark.parametrize("order, band, rate", [(12, (1, 150), 1000), (8, (1, 150), 30000), (2, (1e-4, 1), 30000)])
def test_filter_that_rounding_makes_unstable_is_refused_at_once(order, band, rate):
    with pytest.raises(ConfigError, match="^order, band: .* poles inside"):
        filtfilt_blocks(*butter_bandpass(order, band, rate), recording(100))
