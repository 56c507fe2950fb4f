"""Sorting of one channel: against known spikes, MountainSort5 called directly, and hand computation."""

import contextlib
import io
import warnings

import numpy as np
import pytest
from scipy.signal import butter, filtfilt

from hippflow.ephys.artifacts import mask_artifacts
from hippflow.ephys.mountainsort import sort_scheme1
from hippflow.ephys.noise import noise_levels
from hippflow.ephys.scoring import match_units
from hippflow.ephys.sorting import Sorting, sort_spikes
from hippflow.errors import SignalError, SortingError

RATE = 30000
BAND = butter(4, [500 / 15000, 7500 / 15000], "bandpass")
PEAK = 30


def spike_shape(rng: np.random.Generator) -> np.ndarray:
    """A trough, a slower peak after it and a small one before; trough at index PEAK, 1 deep."""
    t = np.arange(-PEAK, 60) / 30
    after = rng.uniform(0.2, 0.6) * np.exp(-((t - rng.uniform(0.35, 0.7)) ** 2) / (2 * rng.uniform(0.15, 0.4) ** 2))
    before = rng.uniform(0, 0.35) * np.exp(-((t + 0.3) ** 2) / (2 * 0.12**2))
    return after + before - np.exp(-(t**2) / (2 * rng.uniform(0.08, 0.2) ** 2))


def add_train(x: np.ndarray, rng: np.random.Generator, rate: float, amplitude: float, jitter: float) -> np.ndarray:
    """Add spikes of a new shape; returns where the largest absolute value of each is in the pass band."""
    intervals = 0.003 + rng.exponential(1 / rate - 0.003, int(2 * rate * len(x) / RATE) + 50)
    times = (np.cumsum(intervals) * RATE).astype(int)
    times = times[times < len(x) - 200]
    shape = spike_shape(rng) * (1 if rng.random() > 0.15 else -1)
    filtered = np.abs(filtfilt(*BAND, np.pad(shape, 300)))
    scale = amplitude / filtered.max() * rng.normal(1, jitter, len(times))
    np.add.at(x, times[:, None] + np.arange(len(shape)), scale[:, None] * shape)
    return times + int(filtered.argmax()) - 300


def simulate(seed: int, n_units: int, seconds: float = 90) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """High-pass signal of a channel with white noise, 20 units too small to be sorted, and `n_units` others."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 6, int(seconds * RATE))
    for _ in range(20):
        add_train(x, rng, rng.uniform(2, 8), rng.uniform(3, 10), 0.15)
    rates, snrs = np.exp(rng.uniform(0, np.log(12), n_units)), rng.uniform(5, 12, n_units)
    truth = {u + 1: add_train(x, rng, rates[u], snrs[u] * 6, 0.07) for u in range(n_units)}
    return filtfilt(*BAND, x).astype(np.float32), truth


def direct(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """MountainSort5 scheme 1 on a scaled signal, with PyHipp's parameters in units of its standard deviation."""
    from mountainsort5 import Scheme1SortingParameters, sorting_scheme1
    from spikeinterface.core import NumpyRecording

    recording = NumpyRecording([x[:, None]], RATE)
    recording.set_dummy_probe_from_locations(np.zeros((1, 2)))
    parameters = Scheme1SortingParameters(
        detect_threshold=4 * float(np.std(x, dtype=np.float64)),
        detect_sign=0,
        detect_time_radius_msec=1.0,
        snippet_T1=25,
        snippet_T2=25,
        npca_per_channel=10,
        npca_per_subdivision=10,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        spikes = sorting_scheme1(recording, sorting_parameters=parameters).to_spike_vector()
    return spikes["sample_index"].astype(np.int64), spikes["unit_index"].astype(np.int64) + 1


def units_of(samples: np.ndarray, labels: np.ndarray) -> dict[int, np.ndarray]:
    return {int(unit): samples[labels == unit] for unit in np.unique(labels)}


@pytest.fixture(scope="module")
def channel() -> tuple[np.ndarray, dict[int, np.ndarray], Sorting]:
    x, truth = simulate(3, 2)
    return x, truth, sort_spikes(x, RATE)


def test_single_start_is_scheme1_called_directly():
    x, _ = simulate(21, 2, 60)
    x /= np.float32(noise_levels(x, np.empty((0, 2)))[1])
    samples, labels = direct(x)
    parameters = {
        "detect_threshold": 4 * float(np.std(x, dtype=np.float64)),
        "detect_sign": 0,
        "detect_time_radius_msec": 1.0,
        "snippet_T1": 25,
        "snippet_T2": 25,
        "npca_per_channel": 10,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        ours = sort_scheme1(x, RATE, parameters, n_starts=1)
    order = np.lexsort((labels, samples))
    assert np.array_equal(ours[0], samples[order])
    assert len(np.unique(labels)) > 1
    # same partition: the labels of one determine those of the other
    pairs = np.unique(np.stack([ours[1], labels[order]]), axis=1)
    assert pairs.shape[1] == len(np.unique(labels)) == len(np.unique(ours[1]))


def test_accuracy_is_at_least_that_of_scheme1_called_directly():
    # where clusters touch, either can be lucky on a channel: it takes this many to tell
    ours, theirs = [], []
    for seed in range(100, 124):
        x, truth = simulate(seed, 1 + seed % 3, 60)
        sorting = sort_spikes(x, RATE)
        ours += list(match_units(truth, units_of(sorting.samples, sorting.labels), RATE).accuracy)
        theirs += list(match_units(truth, units_of(*direct(x / x.std())), RATE).accuracy)
    assert len(ours) == 48
    assert np.mean(ours) >= np.mean(theirs)
    assert np.mean(ours) > 0.8


def test_units_are_found_and_numbered_from_the_largest(channel):
    x, truth, sorting = channel
    assert match_units(truth, units_of(sorting.samples, sorting.labels), RATE).accuracy.max() > 0.9
    assert np.array_equal(np.unique(sorting.labels), np.arange(1, sorting.n_units + 1))
    assert (np.diff(sorting.samples) >= 0).all()
    inside = (sorting.samples > 100) & (sorting.samples < len(x) - 100)
    clips = x[sorting.samples[inside, None] + np.arange(-74, 76)]
    peaks = [np.abs(clips[sorting.labels[inside] == unit].mean(axis=0)).max() for unit in np.unique(sorting.labels)]
    assert peaks == sorted(peaks, reverse=True)


def test_threshold_and_noise_are_those_of_the_signal(channel):
    x, _, sorting = channel
    assert sorting.threshold == pytest.approx(4 * x.std(dtype=np.float64), rel=1e-6)
    assert sorting.noise_mad == pytest.approx(1.4826 * np.median(np.abs(x - np.median(x))), rel=1e-4)
    # spikes lie at a unit's peak, a sample or two from their own, and reach the threshold there
    reach = np.abs(x[sorting.samples[:, None] + np.arange(-25, 26)]).max(axis=1)
    assert (reach >= sorting.threshold * 0.999).all()


def test_same_result_every_time_and_no_trace_left(channel):
    x, _, sorting = channel
    untouched = x.copy()
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.rand(3)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    again = sort_spikes(x, RATE)
    assert np.array_equal(np.random.rand(3), expected)  # noqa: NPY002
    assert np.array_equal(again.samples, sorting.samples)
    assert np.array_equal(again.labels, sorting.labels)
    assert np.array_equal(x, untouched)


def test_spikes_of_a_unit_keep_the_detection_interval(channel):
    _, _, sorting = channel
    for unit in range(1, sorting.n_units + 1):
        assert np.diff(sorting.samples[sorting.labels == unit]).min() >= 30


def test_sign_chooses_troughs_or_peaks():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, 10 * RATE).astype(np.float32)
    x[5000 + 3000 * np.arange(40)] -= 30
    x[6500 + 3000 * np.arange(30)] += 30
    count = {sign: len(sort_spikes(x, RATE, detect_sign=sign, detect_threshold=8).samples) for sign in (-1, 0, 1)}
    assert count == {-1: 40, 0: 70, 1: 30}


@pytest.mark.parametrize("n_spikes", [0, 1, 2, 3, 12])
def test_few_spikes_without_noise(n_spikes):
    x = np.zeros(2 * RATE, np.float32)
    times = 1000 + 3000 * np.arange(n_spikes)
    x[times[:, None] + np.arange(-10, 11)] = -50 * np.hanning(21)
    sorting = sort_spikes(x, RATE)
    assert sorting.samples.tolist() == times.tolist()
    assert sorting.n_units == min(1, n_spikes)
    assert sorting.noise_mad == 0


def test_constant_and_quiet_signals_have_no_spikes():
    constant = sort_spikes(np.full(RATE, 0.1, np.float32), RATE)
    assert (constant.n_units, constant.threshold) == (0, 0)
    # a square wave never exceeds its own standard deviation
    assert sort_spikes(np.tile([1.0, -1.0], RATE), RATE).samples.size == 0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(RATE - 1), "shorter than 1 s"),
        (np.zeros((2, RATE)), r"expected shape \(n,\)"),
        (np.r_[np.zeros(RATE), np.nan], "not finite"),
        (np.r_[np.zeros(RATE), -np.inf], "not finite"),
    ],
)
def test_signals_that_cannot_be_sorted(x, message):
    with pytest.raises(SignalError, match=message):
        sort_spikes(x, RATE)


def test_artifact_is_masked_with_its_neighbours_and_gives_no_spikes():
    rng = np.random.default_rng(1)
    x = rng.normal(0, 5, 400 * 2000 + 700).astype(np.float32)
    x[100 * 2000 + 50 : 100 * 2000 + 900] *= 100
    masked = x.copy()
    assert mask_artifacts(masked).tolist() == [[99 * 2000, 102 * 2000]]
    kept = np.r_[x[: 99 * 2000], x[102 * 2000 :]]
    assert (masked[99 * 2000 : 102 * 2000] == 0).all()
    assert np.array_equal(np.r_[masked[: 99 * 2000], masked[102 * 2000 :]], kept)
    sorting = sort_spikes(x, RATE)
    assert sorting.masked.tolist() == [[99 * 2000, 102 * 2000]]
    assert sorting.threshold == pytest.approx(4 * kept.std(dtype=np.float64), rel=1e-6)
    assert not ((sorting.samples > 99 * 2000) & (sorting.samples < 102 * 2000)).any()


def test_artifact_in_incomplete_last_chunk_and_first_chunk():
    rng = np.random.default_rng(2)
    x = rng.normal(0, 5, 300 * 2000 + 700)
    x[-600:] *= 50
    x[:500] *= 50
    assert mask_artifacts(x).tolist() == [[0, 4000], [299 * 2000, 300 * 2000 + 700]]
    assert mask_artifacts(np.ones(1500)).tolist() == []


def test_rare_large_spikes_are_no_artifacts():
    rng = np.random.default_rng(3)
    x, _ = simulate(60, 0, 120)
    times = rng.integers(100, len(x) - 100, 20)
    x[times] -= 80
    assert mask_artifacts(x).tolist() == []


def test_unknown_sorter_names_those_installed():
    with pytest.raises(SortingError, match=r"'kilosort99' is unknown .* installed here: .*mountainsort5"):
        sort_spikes(np.zeros(RATE), RATE, sorter="kilosort99")


def test_parameter_that_the_sorter_does_not_have():
    x = np.random.default_rng(0).normal(0, 1, 2 * RATE)
    with pytest.raises(SortingError, match="simple.*no_such_parameter"):
        sort_spikes(x, RATE, sorter="simple", sorter_parameters={"no_such_parameter": 1})
    with pytest.raises(SortingError, match="no_such_parameter"):
        sort_spikes(x, RATE, sorter_parameters={"no_such_parameter": 1})


def large_units() -> tuple[np.ndarray, dict[int, np.ndarray]]:
    rng = np.random.default_rng(8)
    x = rng.normal(0, 6, 40 * RATE)
    truth = {unit: add_train(x, rng, 6.0, amplitude, 0.05) for unit, amplitude in ((1, 120), (2, 60))}
    return filtfilt(*BAND, x).astype(np.float32), truth


def test_another_sorter():
    parameters = {"clusterer": "kmeans", "clusterer_kwargs": {"n_clusters": 2, "random_state": 0}}
    x, truth = large_units()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sorting, again = (sort_spikes(x, RATE, sorter="simple", sorter_parameters=parameters) for _ in range(2))
    assert np.isnan(sorting.threshold)
    assert sorting.n_units >= 1
    assert match_units(truth, units_of(sorting.samples, sorting.labels), RATE).accuracy.max() >= 0.9
    assert np.array_equal(again.samples, sorting.samples)
    assert np.array_equal(again.labels, sorting.labels)


def test_another_sorter_that_finds_nothing():
    x = np.random.default_rng(1).normal(0, 1, 3 * RATE)
    x = np.clip(x, -3, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sorting = sort_spikes(x, RATE, sorter="simple", sorter_parameters={"clusterer": "kmeans"})
    assert sorting.n_units == 0
