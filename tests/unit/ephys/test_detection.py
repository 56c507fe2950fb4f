"""Events read block by block: against MountainSort5's own detection, numpy, and the whole signal at once."""

import contextlib
import io

import numpy as np
import pytest

from hippflow.ephys.artifacts import artifact_intervals, mask_artifacts
from hippflow.ephys.detection import find_events, streamed_noise_levels
from hippflow.ephys.noise import noise_levels, scan, standard_deviation

NOTHING = np.empty((0, 2), np.int64)
CLIP = {"threshold": 3.5, "interval": 30, "before": 25, "after": 20}


class Recorded:
    """A signal that notes how much of it is read at a time."""

    def __init__(self, x):
        self.x, self.largest = x, 0

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        piece = self.x[index]
        self.largest = max(self.largest, len(piece))
        return piece


@pytest.fixture(scope="module")
def noisy():
    rng = np.random.default_rng(1)
    x = rng.normal(0.02, 7, 601_234).astype(np.float32)
    x[::3011] *= 5
    x[[3, 24, 25, 601_213, 601_214, 601_233]] = 60  # at the ends
    x[[50_000, 50_030]] = 55, -55  # equal, just within the interval
    x[[60_000, 60_031]] = 55, 54  # just beyond it
    x[200_000:200_700] *= 90  # an artifact
    return x


@pytest.fixture(scope="module")
def masked(noisy):
    x = noisy.copy()
    return x, mask_artifacts(x)


def events_of(x, masked, sign=0, block=2**18, scan_block=2**18):
    return find_events(x, scan(x, 2000, scan_block), masked, sign=sign, block=block, **CLIP)


@pytest.mark.parametrize("sign", [-1, 0, 1])
def test_events_are_those_of_mountainsort5(noisy, masked, sign):
    from mountainsort5.core.detect_spikes import detect_spikes

    silenced, intervals = masked
    std, _ = noise_levels(silenced, intervals)
    with contextlib.redirect_stdout(io.StringIO()):
        expected, _ = detect_spikes(
            silenced[:, None],
            channel_locations=np.zeros((1, 2), np.float32),
            time_radius=CLIP["interval"],
            channel_radius=None,
            detect_threshold=CLIP["threshold"] * std,
            detect_sign=sign,
            margin_left=CLIP["before"],
            margin_right=CLIP["after"],
            verbose=False,
        )
    found = events_of(noisy, intervals, sign)
    assert len(expected) > 180
    np.testing.assert_array_equal(found.samples, expected)
    np.testing.assert_array_equal(found.clips, silenced[expected[:, None] + np.arange(-25, 20)])


@pytest.mark.parametrize("block", [37, 4001, 250_000])
def test_blocks_of_any_size_give_the_same_events(noisy, masked, block):
    x, intervals = (noisy, masked[1]) if block > 1000 else (noisy[190_000:215_000], np.array([[8000, 14000]]))
    whole, found = events_of(x, intervals), events_of(x, intervals, block=block, scan_block=block)
    assert (found.std, found.mad) == (whole.std, whole.mad)
    np.testing.assert_array_equal(found.samples, whole.samples)
    np.testing.assert_array_equal(found.clips, whole.clips)


@pytest.mark.parametrize("step", [None, 0.25, 3.0])
def test_noise_is_exactly_that_of_the_whole_signal(noisy, masked, step):
    """Also of a signal in steps, as int16 products have them: up to half of all samples are then the same."""
    x = noisy if step is None else (np.rint(noisy / step) * step).astype(np.float32)
    std, mad = noise_levels(x, masked[1])
    found = events_of(x, masked[1])
    assert found.mad == mad
    assert found.std == pytest.approx(std, rel=1e-12)
    streamed = streamed_noise_levels(x, masked[1])
    assert streamed[1] == mad
    assert streamed[0] == pytest.approx(std, rel=1e-12)


def test_the_median_of_few_values_is_numpys():
    rng = np.random.default_rng(3)
    for n in (1, 2, 3, 4, 7, 50):
        x = (rng.normal(0, 1, n) * 10.0 ** rng.integers(-3, 3, n)).astype(np.float32)
        expected = np.median(np.abs(x - np.median(x))) / 0.6744897501960817
        assert events_of(x, NOTHING).mad == pytest.approx(expected, rel=1e-6)


def test_artifacts_are_those_of_the_whole_signal(noisy, masked):
    squares = scan(noisy, 2000, 9999).squares
    assert artifact_intervals(squares, len(noisy), threshold=10, chunk=2000).tolist() == masked[1].tolist()
    assert masked[1].tolist() == [[198_000, 204_000]]


def test_a_constant_and_an_empty_rest_have_no_deviation():
    constant = np.full(10_000, 0.1, np.float32)
    assert standard_deviation(scan(constant, 2000), NOTHING) == 0
    assert standard_deviation(scan(np.arange(10_000), 2000), np.array([[0, 10_000]])) == 0


def test_what_is_read_at_a_time_does_not_grow_with_the_signal():
    rng = np.random.default_rng(0)
    largest = []
    for n in (600_000, 2_400_000):
        signal = Recorded(rng.normal(0, 1, n).astype(np.float32))
        find_events(signal, scan(signal, 2000), NOTHING, sign=0, **CLIP)
        largest.append(signal.largest)
    assert largest[0] == largest[1] < 300_000
