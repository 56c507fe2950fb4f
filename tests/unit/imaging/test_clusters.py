"""Clusters of ROIs: what the covariance is of, which ROIs take part, and in what order they come."""

import re

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from hippflow.errors import ConfigError, ImagingError
from hippflow.imaging.clusters import accepted_rois, activity, cluster_rois, zscore

GROUPS = np.repeat([0, 1, 2, 3], [5, 14, 9, 7])


def recording(seed=1, frames=600):
    """F, Fneu, spks of 35 ROIs of four groups; brightness differs tenfold, and all share their neuropil."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((4, frames))
    own = rng.standard_normal((len(GROUPS), frames))
    brightness = rng.uniform(50, 500, (len(GROUPS), 1))
    neuropil = 200 + 40 * rng.standard_normal(frames)
    spks = common[GROUPS] + 0.7 * own
    F = brightness * (4 + spks) + 0.7 * neuropil
    return tuple(array.astype(np.float32) for array in (F, np.tile(neuropil, (len(GROUPS), 1)), spks))


@pytest.fixture(scope="module")
def signals():
    return recording()


@pytest.fixture(scope="module")
def clusters(signals):
    return cluster_rois(activity(*signals), np.ones(len(GROUPS), bool), clusters=4)


def test_groups_that_are_active_together_are_the_clusters_and_the_largest_is_number_one(clusters):
    assert adjusted_rand_score(GROUPS[clusters.roi], clusters.cluster) == 1
    assert np.bincount(clusters.cluster).tolist() == [0, 14, 9, 7, 5]
    assert (np.diff(clusters.cluster) >= 0).all()
    assert sorted(clusters.roi) == list(range(35))


def test_the_covariance_is_that_of_the_sorted_corrected_scaled_traces(signals, clusters):
    F, Fneu, _ = signals
    expected = np.corrcoef(F.astype(float) - 0.7 * Fneu.astype(float))[np.ix_(clusters.roi, clusters.roi)]
    np.testing.assert_allclose(clusters.covariance, expected, atol=1e-9)


def test_within_a_cluster_the_roi_that_covaries_most_with_it_is_first(signals, clusters):
    matrix = np.corrcoef(signals[0].astype(float) - 0.7 * signals[1].astype(float))
    for number in range(1, 5):
        rois = clusters.roi[clusters.cluster == number]
        means = np.array([np.mean([matrix[roi, other] for other in rois]) for roi in rois])
        assert (np.diff(means) <= 0).all()
        np.testing.assert_allclose(clusters.mean_covariance[clusters.cluster == number], means)


def test_of_clusters_of_the_same_size_the_one_with_the_lowest_roi_is_first():
    t = np.linspace(0, 50, 500)
    slow, fast = np.sin(t), np.sin(7 * t)
    noise = 0.1 * np.random.default_rng(2).standard_normal((6, 500))
    for seed in range(5):
        mixed = zscore(np.array([fast, slow, slow, fast, fast, slow]) + noise)
        found = cluster_rois(mixed, np.ones(6, bool), clusters=2, seed=seed)
        assert sorted(found.roi[:3]) == [0, 3, 4]


def test_equal_rois_stay_in_the_order_of_their_numbers():
    t = np.linspace(0, 50, 500)
    found = cluster_rois(np.array([np.cos(t)] + [np.sin(t)] * 3), np.ones(4, bool), clusters=2)
    assert found.roi.tolist() == [1, 2, 3, 0]


def test_an_roi_that_was_not_chosen_has_no_part(signals):
    chosen = np.arange(35) % 3 > 0
    found = cluster_rois(activity(*signals), chosen, clusters=3)
    assert sorted(found.roi) == np.flatnonzero(chosen).tolist()
    assert found.dropped.size == 0


@pytest.mark.parametrize("kind", ["zscore", "dff", "raw", "spks"])
def test_rois_without_changing_finite_activity_are_dropped_and_listed(kind, signals):
    F, Fneu, spks = (array.copy() for array in signals)
    F[3], Fneu[3], spks[3] = 1234.567, 0.1, 0  # in float64 these do not average to exactly themselves
    F[20, 5] = spks[20, 5] = np.nan
    found = cluster_rois(activity(F, Fneu, spks, kind), np.arange(35) != 7, clusters=4)
    assert found.dropped.tolist() == [3, 20]
    assert len(found.roi) == 32
    assert np.isfinite(found.covariance).all()


def test_the_same_input_gives_the_same_bytes_and_another_order_the_same_clusters(signals, clusters):
    again = cluster_rois(activity(*signals), np.ones(35, bool), clusters=4)
    assert again.covariance.tobytes() == clusters.covariance.tobytes()
    assert again.roi.tobytes() == clusters.roi.tobytes()
    shuffle = np.random.default_rng(0).permutation(35)
    shuffled = cluster_rois(activity(*(array[shuffle] for array in signals)), np.ones(35, bool), clusters=4)
    assert shuffle[shuffled.roi].tolist() == clusters.roi.tolist()


def test_ten_starts_find_the_same_clusters_from_any_seed():
    found = [cluster_rois(activity(*recording(3)), np.ones(35, bool), clusters=4, seed=seed) for seed in range(4)]
    assert all(result.cluster.tolist() == found[0].cluster.tolist() for result in found)


@pytest.mark.parametrize(
    ("n", "chosen", "constant", "figures", "advice"),
    [
        (0, 0, 0, "found 0: suite2p detected 0, of which 0 are accepted, of which 0", "threshold_scaling"),
        (3, 3, 0, "found 3: suite2p detected 3, of which 3 are accepted, of which 0", "threshold_scaling"),
        (9, 2, 0, "found 2: suite2p detected 9, of which 2 are accepted, of which 0", "min_probability"),
        (9, 6, 3, "found 3: suite2p detected 9, of which 6 are accepted, of which 3", "kmeans.traces"),
    ],
)
def test_fewer_rois_than_clusters_are_refused_with_the_counts(n, chosen, constant, figures, advice):
    F = np.random.default_rng(0).standard_normal((n, 50))
    F[:constant] = 1
    with pytest.raises(ImagingError, match=rf"expected at least 4 ROIs .*{re.escape(figures)}.*{advice}"):
        cluster_rois(activity(F, np.zeros((n, 50)), F), np.arange(n) < chosen, clusters=4)


def test_a_plane_without_rois_or_frames_is_refused_as_any_other():
    empty = np.zeros((0, 0))
    with pytest.raises(ImagingError, match="found 0: suite2p detected 0"):
        cluster_rois(activity(empty, empty, empty), np.zeros(0, bool), clusters=1)


def test_fewer_kinds_of_rois_than_clusters_are_refused():
    t = np.linspace(0, 50, 500)
    with pytest.raises(ImagingError, match=r"found only 2 different kinds of ROI among 6; lower kmeans\.clusters to 2"):
        cluster_rois(np.array([np.sin(t), np.cos(t)] * 3), np.ones(6, bool), clusters=3)


def test_one_cluster_of_one_roi_is_allowed():
    found = cluster_rois(np.array([[1.0, 3.0]]), np.ones(1, bool), clusters=1)
    assert found.covariance.tolist() == [[2.0]]


def test_raw_and_deconvolved_activity_are_taken_as_they_are(signals):
    np.testing.assert_array_equal(activity(*signals, "raw"), signals[0])
    np.testing.assert_array_equal(activity(*signals, "spks"), signals[2])


def test_neuropil_is_taken_off_with_the_given_coefficient(signals):
    F, Fneu, spks = signals
    expected = F.astype(float) - 0.5 * Fneu
    expected = (expected - expected.mean(1)[:, None]) / expected.std(1, ddof=1)[:, None]
    np.testing.assert_allclose(activity(F, Fneu, spks, neuropil_coefficient=0.5), expected, atol=1e-6)


def test_relative_fluorescence_is_of_a_baseline_that_follows_bleaching():
    bleaching = np.linspace(400, 200, 2000)
    event = np.zeros(2000)
    event[[500, 501, 1500, 1501]] = 0.5
    F = (bleaching * (1 + event))[np.newaxis]
    found = activity(F, np.zeros_like(F), F, "dff", baseline_window=40, baseline_sigma=1)[0]
    np.testing.assert_allclose(found[[500, 1500]], 0.5, atol=0.03)
    assert np.abs(found[600:1400]).max() < 0.02


def test_the_baseline_is_suite2ps_maximin():
    F = 100 + 20 * np.random.default_rng(6).random((1, 80))
    weights = np.exp(-(np.arange(-6, 7) ** 2) / (2 * 2.0**2))
    smooth = np.convolve(np.pad(F[0], 6, "edge"), weights / weights.sum(), "valid")
    for window in (8, 9):  # suite2p makes an even window one frame longer
        near = [slice(max(0, i - 4), i + 5) for i in range(80)]
        lowest = np.array([smooth[part].min() for part in near])
        baseline = np.array([lowest[part].max() for part in near])
        found = activity(F, np.zeros_like(F), F, "dff", baseline_window=window, baseline_sigma=2)[0]
        np.testing.assert_allclose(found, F[0] / baseline - 1)


def test_an_roi_whose_baseline_is_not_above_zero_has_no_relative_fluorescence(signals):
    F, Fneu, spks = signals
    Fneu = Fneu.copy()
    Fneu[4] = 100 * F[4]
    assert np.flatnonzero(np.isnan(activity(F, Fneu, spks, "dff")).any(axis=1)).tolist() == [4]


def test_unknown_traces_are_refused_by_name(signals):
    with pytest.raises(ConfigError, match=r"kmeans\.traces: expected one of zscore, dff, raw, spks, found 'dfof'"):
        activity(*signals, "dfof")


def test_accepted_is_suite2ps_label_unless_a_probability_is_given():
    iscell = np.array([[1, 0.5], [0, 0.9], [1, 0.1]], np.float32)
    assert accepted_rois(iscell).tolist() == [True, False, True]
    assert accepted_rois(iscell, 0.5).tolist() == [True, True, False]
    assert accepted_rois(iscell, 0.0).tolist() == [True, True, True]
