"""The zero-phase filter on stretches side by side, and its kernels, against scipy on the whole signal."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lazy_signal import SignalReadOnce
from scipy.signal import filtfilt, lfilter

from hippflow.ephys.filters import butter_bandpass, settling_length
from hippflow.ephys.highpass import highpass_blocks
from hippflow.ephys.lfp import lfp_blocks
from hippflow.ephys.recursion import Recursion
from hippflow.ephys.zero_phase import STRETCH, zero_phase_blocks
from hippflow.errors import SignalError

SPIKES = butter_bandpass(8, (500, 7500), 30000)
FIELD = butter_bandpass(8, (1, 150), 1000)
SETTLING = 984  # of SPIKES, 979 samples, in eights
#: 8 stretches short enough to filter many signals; those of SPIKES settle in more than one of them.
SHORT = 512


def recording(n, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    x = 500 + 200 * np.sin(2 * np.pi * 7 * np.arange(n) / 30000 + 1) + 10 * rng.standard_normal(n)
    x[rng.integers(0, n, n // 2000)] -= 150
    return x.astype(dtype)


def reference(b, a, x):
    return filtfilt(b, a, x, padtype="odd", padlen=3 * (len(a) - 1))


def joined(b, a, x, **kwargs):
    return np.concatenate(list(zero_phase_blocks(b, a, x, **kwargs)))


def assert_as_stored(y, expected, atol=1e-9):
    """Compare with doubles: half the distance of float32 neighbours is what rounding to them costs."""
    assert y.dtype == np.float32 and y.shape == expected.shape
    storing = np.spacing(np.abs(expected).astype(np.float32)).astype(float) / 2
    assert (np.abs(y - expected) - storing).max() < atol


def lengths_about(stretch):
    block = 8 * stretch
    ends = [-1, 0, 1]
    first = [block + SETTLING + k for k in ends]  # from here on stretches are side by side
    fits = [blocks * block + SETTLING - 24 + k for blocks in (1, 2, 3) for k in ends]  # a block ends with the signal
    return first + fits + [block + stretch, block + 3 * stretch + 5, 2 * block - 7, 3 * block - SETTLING]


@pytest.mark.parametrize("n", lengths_about(SHORT))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stretches_equal_scipy_at_lengths_about_their_ends(n, dtype):
    x = recording(n, dtype)
    assert_as_stored(joined(*SPIKES, x, stretch=SHORT), reference(*SPIKES, x))


@pytest.mark.parametrize("n", [8 * STRETCH + SETTLING + k for k in (-25, -24, -1, 0, 1)] + [16 * STRETCH + 961])
def test_stretches_of_the_usual_length_equal_scipy(n):
    x = recording(n)
    assert_as_stored(joined(*SPIKES, x), reference(*SPIKES, x))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_stretches_equal_scipy_for_any_filter_and_length(data):
    order = data.draw(st.sampled_from([2, 4, 6, 8]), "order")
    low, high = data.draw(st.floats(0.02, 0.2), "low"), data.draw(st.floats(0.25, 0.47), "high")
    b, a = butter_bandpass(order, (low * 1000, high * 1000), 1000)
    stretch = 8 * data.draw(st.integers(16, 128), "eights")
    n = data.draw(st.integers(3 * order + 1, 25 * stretch), "n")
    x = recording(
        n, data.draw(st.sampled_from([np.float32, np.float64]), "dtype"), data.draw(st.integers(0, 9), "seed")
    )
    assert_as_stored(joined(b, a, x, stretch=stretch, block=1000), reference(b, a, x))


def test_a_filter_that_settles_in_three_stretches_equals_scipy():
    stretch = 8 * 640  # 15053 samples of settling
    assert 2 * stretch < settling_length(*FIELD) < 3 * stretch
    for n in (8 * stretch + 15056, 16 * stretch + 15032, 20 * stretch + 3):
        x = recording(n, np.float64)
        # The rounding of scipy's own recursion at 1 Hz of 1 kHz is some 1e-5 uV.
        assert_as_stored(joined(*FIELD, x, stretch=stretch), reference(*FIELD, x), atol=3e-4)


@pytest.mark.parametrize(
    "order, band, rate", [(10, (500, 7500), 30000), (12, (3000, 9000), 30000), (2, (1, 100), 30000)]
)
def test_filters_that_go_the_plain_way_equal_scipy(order, band, rate):
    b, a = butter_bandpass(order, band, rate)
    x = recording(200_000)
    assert_as_stored(joined(b, a, x), reference(b, a, x), atol=1e-8)


def test_a_filter_with_odd_coefficients_goes_the_plain_way():
    b, a = np.array([0.2, 0.1, 0.3]), np.array([1.0, -0.5, 0.1])
    x = recording(30_000)
    assert_as_stored(joined(b, a, x, stretch=SHORT), reference(b, a, x))


def test_coefficients_need_not_be_normalised():
    b, a = SPIKES
    x = recording(30_000)
    assert_as_stored(joined(4 * b, 4 * a, x, stretch=SHORT), reference(b, a, x))


def test_a_constant_gives_nothing_and_its_negative_the_negative():
    x = np.full(30_000, 8191.75, np.float32)
    assert np.abs(joined(*SPIKES, x, stretch=SHORT)).max() < 1e-6
    x = recording(30_000)
    np.testing.assert_array_equal(joined(*SPIKES, -x, stretch=SHORT), -joined(*SPIKES, x, stretch=SHORT))


def test_results_have_the_same_bits_again_and_for_any_block():
    x = recording(300_000)
    once = np.concatenate(list(highpass_blocks(x, 30000)))
    for block in (1000, 2**16, 10**6):
        np.testing.assert_array_equal(np.concatenate(list(highpass_blocks(x, 30000, block=block))), once)
    slow = recording(900_000)
    once = np.concatenate(list(lfp_blocks(slow, 2000)))
    for block in (999, 2**16, 10**6):
        np.testing.assert_array_equal(np.concatenate(list(lfp_blocks(slow, 2000, block=block))), once)


@pytest.mark.parametrize("kind", ["read-only", "strided", "float16", "big-endian"])
def test_signals_of_other_kinds_equal_scipy(kind):
    x = recording(30_000)
    if kind == "read-only":
        x.flags.writeable = False
    else:
        x = {"strided": np.repeat(x, 2)[::2], "float16": x.astype(np.float16), "big-endian": x.astype(">f4")}[kind]
    y = joined(*SPIKES, x, stretch=SHORT)
    assert_as_stored(y, reference(*SPIKES, x.astype(np.float64)), atol=1e-4 if kind != "float16" else 1)
    slow = np.concatenate(list(lfp_blocks(x, 2000, band=(10, 150))))
    expected = np.concatenate(list(lfp_blocks(x.astype(np.float64), 2000, band=(10, 150))))
    np.testing.assert_allclose(slow, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("lane", range(9))
def test_a_sample_that_is_not_finite_is_named_in_any_stretch(bad, lane):
    n = 3 * 8 * SHORT
    for where in {0, 1, 23, 24, 25, lane * SHORT, (lane + 8) * SHORT - 1, lane * SHORT + SETTLING, n - 1 - lane}:
        x = recording(n)
        x[where] = bad
        x[where + 700 :: 900] = np.nan
        with pytest.raises(SignalError, match=rf"^sample {where}: .* found {bad};"):
            joined(*SPIKES, x, stretch=SHORT)


def test_blocks_before_a_sample_that_is_not_finite_are_given():
    x = recording(4 * 8 * SHORT)
    x[3 * 8 * SHORT] = np.nan
    blocks = zero_phase_blocks(*SPIKES, x, stretch=SHORT)
    found = np.concatenate([next(blocks), next(blocks)])
    np.testing.assert_allclose(found, reference(*SPIKES, recording(4 * 8 * SHORT))[: len(found)], rtol=1e-6, atol=1e-6)
    with pytest.raises(SignalError, match=f"^sample {3 * 8 * SHORT}: "):
        next(blocks)


@pytest.mark.parametrize("where", [0, 299, 300, 131_071, 131_072, 131_372, 399_999])
def test_lfp_names_a_sample_that_is_not_finite_wherever_it_lies(where):
    x = recording(400_000)
    x[where] = -np.inf
    with pytest.raises(SignalError, match=rf"^sample {where}: .* found -inf"):
        list(lfp_blocks(x, 30000))


def test_huge_doubles_are_no_error():
    x = np.full(3 * 8 * SHORT, 1e308)
    x[::2] *= -1
    with np.errstate(all="ignore"):
        assert len(joined(*SPIKES, x, stretch=SHORT)) == len(x)


def test_highpass_reads_each_sample_once_and_memory_does_not_grow():
    peaks = []
    for seconds in (30, 120):
        x = SignalReadOnce(30000 * seconds, lambda i: i % 1999)
        tracemalloc.start()
        n = sum(len(part) for part in highpass_blocks(x, 30000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n == x.next == len(x)
    assert peaks[1] < 1.05 * peaks[0] and peaks[1] < 10e6


@pytest.mark.parametrize("order", [2, 4, 6, 8, 10])
def test_recursion_is_scipys_lfilter(order):
    b, a = butter_bandpass(order, (500, 7500), 30000)
    x = recording(3000)
    state = np.linspace(-1, 1, order)
    expected, after = lfilter(b, a, x, zi=state)
    run = Recursion(b, a)
    y, found = run(x, state)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found, after, rtol=0, atol=1e-11)
    whole = x.astype(float)
    assert run(whole[::-1], state, out=whole[::-1])[0].base is whole
    np.testing.assert_allclose(whole[::-1], lfilter(b, a, x[::-1], zi=state)[0], rtol=0, atol=1e-11)


PREPARED = """
import numpy as np
import hippflow.ephys.compiled_filters
from hippflow.ephys import filter_kernels
from hippflow.ephys.highpass import highpass_blocks
from hippflow.ephys.lfp import lfp_blocks

kernels = [filter_kernels.filter_stretches, filter_kernels.run_scalar, filter_kernels.weigh]
before = [len(kernel.signatures) for kernel in kernels]
assert all(before)
for n in (30_000, 300_000, 30_000 * 90):
    x = np.sin(np.arange(n, dtype=np.float32))
    assert sum(map(len, highpass_blocks(x, 30000))) == n
    assert sum(map(len, lfp_blocks(x, 30000))) == n / 30
assert [len(kernel.signatures) for kernel in kernels] == before
"""


def test_forks_find_all_kernels_compiled_that_a_channel_needs():
    subprocess.run([sys.executable, "-c", PREPARED], check=True)


def test_importing_the_filters_does_not_import_numba():
    code = "import sys, hippflow.steps.rplhighpass, hippflow.steps.rpllfp; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
