"""Mixtures of normal distributions: against scikit-learn's, scipy's densities, and clusters that are known."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from hippflow.ephys.clustering import cluster_events, offsets_to_peak, principal_components
from hippflow.ephys.mixture import RIDGE, Mixture, fit_mixture


def clusters(seed, counts, distance, d=4):
    """Normal clusters on the axes, so far from the middle; features and labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    centres = distance * np.eye(d)[: len(counts)]
    return rng.normal(0, 1, (len(labels), d)) + centres[labels], labels


def same_partition(one, other):
    return len(np.unique(np.stack([one, other]), axis=1).T) == len(np.unique(one)) == len(np.unique(other))


@pytest.mark.parametrize("counts", [[500], [400, 300], [900, 300, 100, 40]])
def test_as_many_distributions_as_clusters(counts):
    features, labels = clusters(1, counts, 12)
    mixture = fit_mixture(features, n_starts=3)
    assert len(mixture) == len(counts)
    np.testing.assert_allclose(mixture.shares, np.array(counts) / sum(counts), atol=0.01)
    assert same_partition(mixture.assign(features), labels)


def test_clusters_that_touch_are_those_of_scikit_learn():
    features, _ = clusters(2, [3000, 2000], 3.2, d=3)
    ours = fit_mixture(features, n_starts=3)
    theirs = GaussianMixture(2, random_state=0, tol=1e-8, reg_covar=RIDGE, max_iter=1000).fit(features)
    assert len(ours) == 2
    order = np.argsort(-theirs.weights_)
    np.testing.assert_allclose(ours.means, theirs.means_[order], atol=0.15)
    agree = ours.assign(features) == np.argsort(order)[theirs.predict(features)]
    assert agree.mean() > 0.99


def test_an_event_is_of_the_distribution_of_the_highest_density():
    rng = np.random.default_rng(3)
    spread = rng.normal(0, 1, (3, 4, 4))
    covariances = spread @ spread.transpose(0, 2, 1) + np.eye(4)
    mixture = Mixture(np.array([0.6, 0.3, 0.1]), rng.normal(0, 3, (3, 4)), covariances)
    features = rng.normal(0, 4, (1000, 4))
    densities = [
        np.log(share) + multivariate_normal(mean, covariance).logpdf(features)
        for share, mean, covariance in zip(mixture.shares, mixture.means, mixture.covariances, strict=True)
    ]
    np.testing.assert_array_equal(mixture.assign(features), np.argmax(densities, axis=0))


def test_a_joined_pair_has_the_mean_and_covariance_of_its_events():
    features, labels = clusters(4, [70, 30, 50], 5)
    parts = [features[labels == k] for k in range(3)]
    covariances = np.array([np.cov(part.T, bias=True) for part in parts])
    mixture = Mixture(np.array([70, 30, 50]) / 150, np.array([part.mean(axis=0) for part in parts]), covariances)
    joined = mixture.join(0, 1)
    both = features[labels < 2]
    np.testing.assert_allclose(joined.shares, [50 / 150, 100 / 150])
    np.testing.assert_allclose(joined.means[1], both.mean(axis=0))
    np.testing.assert_allclose(joined.covariances[1], np.cov(both.T, bias=True))


def test_components_are_those_of_a_singular_value_decomposition():
    clips = np.random.default_rng(5).normal(0, 1, (300, 20)) * np.arange(1, 21)
    found = principal_components(clips, 6)
    u, s, _ = np.linalg.svd(clips - clips.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(found), np.abs(u[:, :6] * s[:6]), atol=1e-9)
    assert principal_components(clips[:3], 6).shape == (3, 3)


def spikes(rng, heights, widths, n):
    t = np.arange(50) - 25
    shapes = np.array([-h * np.exp(-(t**2) / (2 * w**2)) for h, w in zip(heights, widths, strict=True)])
    labels = rng.integers(0, len(shapes), n)
    return shapes[labels] + rng.normal(0, 1, (n, 50)), labels


def test_units_of_other_shape_are_kept_apart_and_those_a_sample_apart_are_not():
    rng = np.random.default_rng(6)
    clips, labels = spikes(rng, (14, 14), (2, 5), 1500)
    found, means, shifts = cluster_events(clips, n_features=10, n_starts=2)
    assert same_partition(found, labels)
    assert means.shape == (2, 50)
    assert not shifts.any()
    one, _ = spikes(rng, (40,), (3,), 1500)
    one[::2] = np.roll(one[::2], 1, axis=1)
    found, _, _ = cluster_events(one, n_features=10, n_starts=2)
    assert set(found) == {0}


def test_a_spike_found_at_another_peak_goes_to_its_unit():
    rng = np.random.default_rng(7)
    t = np.arange(80) - 40
    biphasic = -30 * np.exp(-(t**2) / 8) + 28 * np.exp(-((t - 7) ** 2) / 12)
    other = 25 * np.exp(-(t**2) / 6)
    clips = np.concatenate([np.tile(biphasic[15:65], (60, 1)), np.tile(other[15:65], (60, 1))])
    clips = np.concatenate([clips, np.tile(biphasic[22:72], (3, 1))]) + rng.normal(0, 1, (123, 50))
    labels, means, shifts = cluster_events(clips, n_features=10, n_starts=3)
    assert labels[-3:].tolist() == [labels[0]] * 3
    assert shifts[-3:].tolist() == [-7] * 3
    assert not shifts[:-3].any()
    assert offsets_to_peak(means, 0, 25)[labels[0]] == 0


def test_the_same_seed_gives_the_same_clusters():
    clips, _ = spikes(np.random.default_rng(8), (8, 12, 20), (2, 3, 4), 9000)
    first, again = (cluster_events(clips, n_features=10, n_starts=2, seed=3) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
