"""Sample indices to seconds on the recorder's clock."""

import numpy as np
import pytest

from hippflow.ephys.clock import sample_times


def test_one_stretch_from_the_clocks_start():
    times = sample_times(np.array([0, 1, 29_999, 30_000]), [[0, 60_000, 0, 59_999]], 30_000)
    assert times.dtype == np.float64
    np.testing.assert_array_equal(times, [0, 1 / 30_000, 29_999 / 30_000, 1])


def test_a_stretch_that_starts_late():
    assert sample_times([0, 10], [[0, 100, 300, 399]], 1000).tolist() == [0.3, 0.31]


def test_stretches_around_pauses():
    segments = [[0, 3, 0, 2], [3, 1, 10, 10], [4, 2, 20, 21]]
    assert sample_times([0, 1, 2, 3, 4, 5], segments, 1).tolist() == [0, 1, 2, 10, 20, 21]


def test_samples_in_any_order_and_none():
    segments = [[0, 3, 0, 2], [3, 3, 10, 12]]
    assert sample_times([5, 0, 3, 3], segments, 1).tolist() == [12, 0, 10, 10]
    assert sample_times([], segments, 1).shape == (0,)


def test_a_clock_that_was_set_back():
    assert sample_times([2, 3], [[0, 3, 100, 102], [3, 3, 0, 2]], 1).tolist() == [102, 0]


def test_ticks_further_apart_than_one():
    """A signal of 1 kHz in ticks of 30 kHz."""
    assert sample_times([0, 500, 999], [[0, 1000, 60, 30_030]], 30_000).tolist() == [0.002, 0.502, 1.001]


def test_a_clock_that_runs_a_little_fast():
    """PTP: 30000 samples took 1.0001 s."""
    np.testing.assert_allclose(
        sample_times([0, 15_000, 30_000], [[0, 30_001, 0, 1_000_100_000]], 1e9), [0, 0.50005, 1.0001]
    )


@pytest.mark.parametrize("seconds", [1, 3600, 40 * 3600])
def test_times_are_exact_to_the_tick_after_hours(seconds):
    n = seconds * 30_000
    samples = np.array([n - 3, n - 2, n - 1])
    times = sample_times(samples, [[0, n, 0, n - 1]], 30_000)
    np.testing.assert_array_equal(np.rint(times * 30_000).astype(int), samples)


def test_a_stretch_without_samples_owns_none():
    assert sample_times([0, 1, 2], [[0, 2, 0, 1], [2, 0, 50, 50], [2, 1, 90, 90]], 1).tolist() == [0, 1, 90]
