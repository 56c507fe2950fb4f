"""Waveforms, metrics and quality labels of units: against hand computation and simulated units."""

import numpy as np
import pandas as pd
import pytest

from hippflow.ephys.metrics import COLUMNS, quality_labels, unit_metrics
from hippflow.ephys.sorting import Sorting
from hippflow.ephys.units import mean_waveforms
from hippflow.errors import SignalError

RATE = 30000
SHAPE = -np.hanning(31)


def sorting_of(trains: dict[int, np.ndarray], masked=()) -> Sorting:
    samples = np.concatenate(list(trains.values())).astype(np.int64)
    labels = np.concatenate([np.full(len(train), unit) for unit, train in trains.items()])
    order = np.argsort(samples, kind="stable")
    return Sorting(samples[order], labels[order], np.array(masked, np.int64).reshape(-1, 2), 5.0, 20.0)


@pytest.fixture(scope="module")
def day() -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Noise of 5 uV; unit 1 is 60 uV deep, unit 2 twice as slow, 40 uV high and absent from the second half."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 5, 200 * RATE).astype(np.float32)
    grid = rng.permutation(np.arange(1, 3999)) * 1500
    trains = {1: np.sort(grid[:1200]), 2: np.sort(grid[1200:][grid[1200:] < len(x) / 2][:600])}
    x[trains[1][:, None] + np.arange(-15, 16)] += 60 * SHAPE.astype(np.float32)
    x[trains[2][:, None] + np.arange(-30, 31)] += 40 * np.hanning(61).astype(np.float32)
    return x, trains


def test_mean_waveform_is_the_mean_around_index_74():
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, 5000).astype(np.float32)
    samples, labels = np.array([500, 900, 1300, 4000]), np.array([1, 3, 1, 3])
    waveforms = mean_waveforms(x, samples, labels)
    assert waveforms.shape == (1, 150, 3)
    assert waveforms.dtype == np.float32
    np.testing.assert_allclose(waveforms[0, :, 0], (x[426:576] + x[1226:1376]) / 2, rtol=1e-6)
    np.testing.assert_allclose(waveforms[0, 74, 2], (x[900] + x[4000]) / 2, rtol=1e-6)
    assert (waveforms[0, :, 1] == 0).all()


def test_mean_waveform_leaves_out_spikes_at_the_ends():
    x = np.arange(300, dtype=np.float32)
    # the first and last sample whose clip is whole, and their neighbours
    waveforms = mean_waveforms(x, np.array([73, 74, 224, 225]), np.ones(4, int))
    np.testing.assert_allclose(waveforms[0, :, 0], (x[:150] + x[150:]) / 2)
    assert mean_waveforms(x, np.array([10]), np.array([2])).tolist() == np.zeros((1, 150, 2)).tolist()
    assert mean_waveforms(x, np.array([], int), np.array([], int)).shape == (1, 150, 0)


def test_mean_waveform_of_many_spikes():
    x = np.random.default_rng(2).normal(0, 1, 40000)
    samples = np.arange(100, 39000, 3)
    expected = np.mean([x[s - 2 : s + 3] for s in samples], axis=0)
    np.testing.assert_allclose(mean_waveforms(x, samples, np.ones_like(samples), 5)[0, :, 0], expected, rtol=1e-4)


def test_metrics_of_two_units(day):
    x, trains = day
    metrics = unit_metrics(x, RATE, sorting_of(trains))
    assert list(metrics.columns) == list(COLUMNS)
    assert metrics.index.tolist() == [1, 2]
    assert metrics.index.name == "unit"
    assert metrics.num_spikes.tolist() == [1200, 600]
    np.testing.assert_allclose(metrics.firing_rate, [6, 3])
    # bins of a tenth: unit 2 is in five of ten
    np.testing.assert_allclose(metrics.presence_ratio, [1, 0.5])
    mad = np.median(np.abs(x - np.median(x))) / 0.6745
    np.testing.assert_allclose(metrics.snr, [60 / mad, 40 / mad], rtol=0.02)
    np.testing.assert_allclose(metrics.amplitude_median, [-60, 40], atol=0.5)
    # amplitudes vary by the noise only
    noise = [np.std(x[train]) for train in trains.values()]
    others = [np.std(np.delete(x, (trains[unit][:, None] + np.arange(-45, 46)).ravel())) for unit in (1, 2)]
    np.testing.assert_allclose(metrics.sd_ratio, np.divide(noise, others), rtol=0.1)
    assert metrics.isi_violations_count.tolist() == [0, 0]
    assert (metrics.d_prime > 5).all()
    assert (metrics.isolation_distance > 100).all()
    assert (metrics.nn_hit_rate > 0.99).all()
    assert quality_labels(metrics).tolist() == ["good", "good"]


def test_metrics_are_the_same_every_time_whatever_the_generator(day):
    x, trains = day
    first = unit_metrics(x, RATE, sorting_of(trains))
    np.random.seed(99)  # noqa: NPY002
    pd.testing.assert_frame_equal(unit_metrics(x, RATE, sorting_of(trains)), first)


def test_short_intervals_are_counted(day):
    x, trains = day
    # 12 spikes follow another of the unit by 1.5 ms
    train = np.sort(np.r_[trains[1], trains[1][:12] + 45])
    metrics = unit_metrics(x, RATE, sorting_of({1: train}))
    assert metrics.isi_violations_count.tolist() == [12]
    np.testing.assert_allclose(metrics.isi_share, 12 / (len(train) - 1))
    # Hill et al. 2011: 12 violations in 2 * 1200 * (2 - 1) ms, relative to the unit's rate
    expected = 12 * 200 / (2 * len(train) ** 2 * 0.001)
    np.testing.assert_allclose(metrics.isi_violations_ratio, expected, rtol=0.01)
    assert quality_labels(metrics).tolist() == ["multi-unit"]


def test_a_cluster_cut_out_of_the_noise_is_noise():
    x = np.random.default_rng(4).normal(0, 5, 100 * RATE).astype(np.float32)
    peaks = np.flatnonzero(x < -18)
    peaks = peaks[np.diff(peaks, prepend=-1000) > 100]
    metrics = unit_metrics(x, RATE, sorting_of({1: peaks}))
    assert len(peaks) > 100
    assert metrics.sd_ratio[1] < 0.5
    assert quality_labels(metrics).tolist() == ["noise"]


def test_masked_stretches_do_not_count_as_noise(day):
    x, trains = day
    loud = x.copy()
    loud[: 40 * RATE] = 0
    silenced = {unit: train[train > 41 * RATE] for unit, train in trains.items()}
    metrics = unit_metrics(loud, RATE, sorting_of(silenced, [[0, 40 * RATE]]))
    kept = loud[40 * RATE :]
    mad = np.median(np.abs(kept - np.median(kept))) / 0.6745
    np.testing.assert_allclose(metrics.snr, [60 / mad, 40 / mad], rtol=0.02)


def test_no_unit_one_unit_one_spike():
    x = np.random.default_rng(5).normal(0, 5, 20 * RATE)
    nothing = unit_metrics(x, RATE, sorting_of({1: np.array([])}))
    assert nothing.shape == (0, len(COLUMNS))
    assert quality_labels(nothing).tolist() == []
    lonely = unit_metrics(x, RATE, sorting_of({1: np.array([3000])}))
    assert lonely.num_spikes.tolist() == [1]
    assert lonely[["isolation_distance", "l_ratio", "d_prime", "nn_hit_rate", "isi_share"]].isna().all(axis=None)
    assert (lonely.dtypes == nothing.dtypes).all()
    pair = unit_metrics(x, RATE, sorting_of({1: np.array([3000]), 2: np.array([9000, 30000])}))
    assert pair.num_spikes.tolist() == [1, 2]


def test_spike_outside_the_signal():
    with pytest.raises(SignalError, match="sample 30000, but the signal has 30000"):
        unit_metrics(np.zeros(RATE), RATE, sorting_of({1: np.array([5, 30000])}))


def test_quality_rules_and_their_thresholds():
    metrics = pd.DataFrame(
        {
            "snr": [8, 4.4, 8, 8, 4.4, np.nan],
            "sd_ratio": [1, 1, 0.49, 1, 1, np.nan],
            "isi_share": [0.005, 0, 0, 0.0051, 0.1, np.nan],
        },
        index=pd.Index(range(1, 7), name="unit"),
    )
    expected = ["good", "noise", "noise", "multi-unit", "noise", "good"]
    labels = quality_labels(metrics)
    assert labels.tolist() == expected
    assert labels.index.equals(metrics.index)
    loose = quality_labels(metrics, min_snr=0, min_sd_ratio=0, max_isi_share=1)
    assert loose.tolist() == ["good"] * 6
