"""Metrics of units: against SpikeInterface's own functions called one by one, and against numpy."""

import numpy as np
import pytest
from spikeinterface.core import NumpyRecording, NumpySorting, create_sorting_analyzer
from spikeinterface.metrics.quality import misc_metrics
from spikeinterface.metrics.quality.pca_metrics import simplified_silhouette_score

from hippflow.ephys.metrics import COLUMNS, unit_metrics
from hippflow.ephys.metrics_analyzer import make_analyzer, quietly
from hippflow.ephys.sorting import Sorting

RATE = 30_000
SECONDS = 120


def spike(depth, width):
    """A trough with a slower peak after it, 75 samples from 1 ms before the trough on."""
    t = np.arange(-30, 45)
    return -depth * np.exp(-((t / width) ** 2)) + 0.35 * depth * np.exp(-(((t - 14) / (2 * width)) ** 2))


@pytest.fixture(scope="module")
def day():
    """Noise of 5 uV with two units of 80 and 45 uV, the first of which fires in bursts."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 5, SECONDS * RATE).astype(np.float32)
    grid = rng.permutation(np.arange(1, SECONDS * RATE // 600 - 1)) * 600
    trains = {1: np.sort(grid[:1500]), 2: np.sort(grid[1500:2300])}
    trains[1] = np.sort(np.concatenate([trains[1], trains[1][:40] + 45]))
    for unit, shape in ((1, spike(80, 5)), (2, spike(45, 7))):
        for sample in trains[unit]:
            x[sample - 30 : sample + 45] += shape.astype(np.float32)
    samples = np.concatenate(list(trains.values()))
    labels = np.repeat(list(trains), [len(train) for train in trains.values()])
    order = np.argsort(samples, kind="stable")
    return x, Sorting(samples[order], labels[order], np.empty((0, 2), np.int64), 5.0, 20.0)


@pytest.fixture(scope="module")
def measured(day):
    return unit_metrics(day[0], RATE, day[1])


@pytest.fixture(scope="module")
def theirs(day):
    """An analyzer of all spikes that SpikeInterface makes by itself."""
    x, sorting = day
    recording = NumpyRecording([x[:, None]], RATE)
    recording.set_dummy_probe_from_locations(np.zeros((1, 2)))
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    units = NumpySorting.from_samples_and_labels([sorting.samples], [sorting.labels], RATE)
    analyzer = create_sorting_analyzer(units, recording, sparse=False, seed=0)
    analyzer.compute("random_spikes", method="all")
    analyzer.compute({"waveforms": {"ms_before": 1.0, "ms_after": 1.5}, "templates": {}, "spike_amplitudes": {}})
    return analyzer


def test_metrics_of_spikes_are_spikeinterfaces(measured, theirs):
    contamination, violations = misc_metrics.compute_refrac_period_violations(
        theirs, refractory_period_ms=2.0, censored_period_ms=1.0
    )
    assert measured["rp_violations"].to_dict() == violations
    assert violations[1] >= 40 > violations[2]
    sliding = misc_metrics.compute_sliding_rp_violations(theirs, exclude_ref_period_below_ms=1.0)
    spread = misc_metrics.compute_amplitude_cv_metrics(theirs)
    cutoff, ratio = misc_metrics.compute_noise_cutoffs(theirs)
    expected = {
        "rp_contamination": contamination,
        "sliding_rp_violation": sliding,
        "amplitude_cv_median": spread.amplitude_cv_median,
        "amplitude_cv_range": spread.amplitude_cv_range,
        "noise_cutoff": cutoff,
        "noise_ratio": ratio,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(measured[name], [values[1], values[2]], rtol=1e-6, err_msg=name)
        assert np.isfinite(measured[name]).all(), name


def test_the_firing_range_is_that_of_bins_of_5_s(measured, day):
    for unit in (1, 2):
        train = day[1].samples[day[1].labels == unit]
        rates = np.histogram(train, np.arange(0, SECONDS * RATE + 1, 5 * RATE))[0] / 5
        assert measured["firing_range"][unit] == pytest.approx(np.percentile(rates, 95) - np.percentile(rates, 5))


def test_the_silhouette_is_that_of_the_components(measured, day):
    with quietly(0):
        analyzer = make_analyzer(*day[:1], RATE, day[1], 0)
    components, units = analyzer.get_extension("principal_components").get_some_projections()
    flat, labels = components.reshape(len(components), -1), np.array([1, 2])[units]
    for unit in (1, 2):
        assert measured["silhouette"][unit] == pytest.approx(simplified_silhouette_score(flat, labels, unit))
    assert (measured["silhouette"] > 0.4).all()


@pytest.mark.parametrize("unit", [1, 2])
def test_metrics_of_waveforms_are_spikeinterfaces(measured, theirs, unit):
    waveform = theirs.get_extension("templates").get_unit_template(unit)[:, 0]
    theirs.compute("template_metrics")
    table = theirs.get_extension("template_metrics").get_data()
    for name in COLUMNS[COLUMNS.index("peak_to_trough_duration") :]:
        np.testing.assert_allclose(measured[name][unit], table[name][unit], rtol=1e-4, err_msg=name)
    # by hand: the trough to the peak after it, and the slope between them
    trough, peak = waveform.argmin(), waveform.argmax()
    assert measured["peak_to_trough_duration"][unit] == pytest.approx((peak - trough) / RATE, abs=1 / RATE)
    ratio = waveform.max() / -waveform.min()
    assert measured["main_peak_to_trough_ratio"][unit] == pytest.approx(ratio, rel=0.02)
    assert measured["repolarization_slope"][unit] > 0 > measured["recovery_slope"][unit]


def test_half_widths_are_those_of_the_shape(measured):
    """Half of exp(-(t / w)^2) is at 0.83 w; the peak's foot moves it a little."""
    widths = measured["trough_half_width"] * RATE
    assert widths[1] == pytest.approx(2 * 0.83 * 5, abs=1)
    assert widths[2] == pytest.approx(2 * 0.83 * 7, abs=1.5)


def test_units_keep_their_numbers_where_others_are_missing(day, measured):
    x, sorting = day
    moved = Sorting(sorting.samples, np.where(sorting.labels == 2, 4, 1), sorting.masked, 5.0, 20.0)
    found = unit_metrics(x, RATE, moved)
    assert found.index.tolist() == [1, 4]
    np.testing.assert_array_equal(found.to_numpy(), measured.to_numpy())
