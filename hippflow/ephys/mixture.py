"""Clusters of events as a mixture of normal distributions, fitted and counted by itself.

What this does: describes features by normal distributions of any covariance (expectation
maximization), starts with more of them than there are units, joins two wherever that describes
the events better for its number of parameters (Schwarz's criterion), and says of every event
which one it is from.

What it does not: detect events or make features (:mod:`hippflow.ephys.detection`). It draws
from one seeded generator, adds in one order on one thread, and keeps nothing after it.
"""

from dataclasses import dataclass

import numpy as np

from hippflow.ephys.mixture_kernels import expect, k_means, log_densities, log_likelihood_without, most_likely

#: Variance added to each feature of a cluster, in squared noise levels: clusters of a handful
#: of events must not look tighter than the noise allows.
RIDGE = 0.3

#: Share of Schwarz's penalty that a parameter costs. Chosen on other recordings than the accuracy was measured on:
#: with less, units are cut up, with more, small units join large ones.
PENALTY = 0.7

#: Fewest events that a distribution is started with, in units of the number of features.
LEAST_EVENTS = 2.0

#: Pairs, from the nearest, that are looked at before a pair is joined or none.
N_CANDIDATES = 6

#: Passes of expectation maximization: at the start, after joining two, and at the end.
PASSES = (12, 4, 6)


@dataclass(frozen=True)
class Mixture:
    """A mixture of K normal distributions of d features.

    Attributes
    ----------
    shares : ndarray of float64, (K,)
    means : ndarray of float64, (K, d)
    covariances : ndarray of float64, (K, d, d)
    """

    shares: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def __len__(self) -> int:
        return len(self.shares)

    def whitened(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what kernels need: lower triangles W with W C W' = 1, and the logarithms of the densities' factors."""
        d = self.means.shape[1]
        factors = np.linalg.cholesky(self.covariances)
        inverse = np.linalg.solve(factors, np.broadcast_to(np.eye(d), factors.shape))
        log_determinants = np.log(np.einsum("kii->ki", factors)).sum(axis=1)
        return inverse, np.log(self.shares) - log_determinants - d / 2 * np.log(2 * np.pi)

    def assign(self, features: np.ndarray) -> np.ndarray:
        """Return the distribution, from 0, that each event is most likely from; int64 (n,)."""
        inverse, factors = self.whitened()
        return most_likely(_columns(features), self.means, inverse, factors)

    def join(self, i: int, j: int) -> "Mixture":
        """Return the mixture with the distributions i and j replaced by one of their mean and covariance, put last."""
        share = self.shares[i] + self.shares[j]
        a, b = self.shares[i] / share, self.shares[j] / share
        apart = self.means[i] - self.means[j]
        covariance = a * self.covariances[i] + b * self.covariances[j] + a * b * np.outer(apart, apart)
        mean = a * self.means[i] + b * self.means[j]
        others = [k for k in range(len(self)) if k not in (i, j)]
        return Mixture(
            np.append(self.shares[others], share),
            np.concatenate([self.means[others], mean[None]]),
            np.concatenate([self.covariances[others], covariance[None]]),
        )


def fit_mixture(
    features: np.ndarray,
    *,
    n_components: int = 10,
    n_starts: int = 1,
    penalty: float = PENALTY,
    seed: int = 0,
) -> Mixture:
    """Fit a mixture whose number of distributions the events decide.

    Parameters
    ----------
    features : ndarray of float, (n, d)
        Features of the events, in noise levels.
    n_components : int
        Most distributions.
    n_starts : int
        How often to fit, from other first guesses; the fit of the best criterion is kept.
    penalty : float
        Cost of a parameter, as a share of Schwarz's.
    seed : int

    Returns
    -------
    Mixture

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = np.concatenate([rng.normal(0, 1, (300, 2)), rng.normal(6, 1, (200, 2))])
    >>> fit_mixture(features).shares.round(1).tolist()
    [0.6, 0.4]
    """
    features = np.ascontiguousarray(features, np.float64)
    rng = np.random.default_rng(seed)
    fits = [_fit_once(features, n_components, penalty, rng) for _ in range(n_starts)]
    # min keeps the first of equal ones
    return min(fits, key=lambda fit: fit[0])[1]


def _fit_once(
    features: np.ndarray, n_components: int, penalty: float, rng: np.random.Generator
) -> tuple[float, Mixture]:
    """Fit from one first guess; return the criterion and the mixture, distributions ordered by their share."""
    n, d = features.shape
    cost = penalty * np.log(n) * (1 + d + d * (d + 1) / 2)
    labels = _first_guess(features, max(1, min(n_components, int(n / (LEAST_EVENTS * d)))), rng)
    columns = _columns(features)
    mixture, log_likelihood = _maximize(columns, _mixture_of(features, labels), PASSES[0])
    best = cost * len(mixture) - 2 * log_likelihood
    while len(mixture) > 1:
        joined, log_likelihood = _maximize(columns, _nearest_join(columns, mixture), PASSES[1])
        criterion = cost * len(joined) - 2 * log_likelihood
        if criterion >= best:
            break
        mixture, best = joined, criterion
    mixture, log_likelihood = _maximize(columns, mixture, PASSES[2])
    order = np.argsort(-mixture.shares, kind="stable")
    mixture = Mixture(mixture.shares[order], mixture.means[order], mixture.covariances[order])
    return cost * len(mixture) - 2 * log_likelihood, mixture


def _first_guess(features: np.ndarray, n_components: int, rng: np.random.Generator) -> np.ndarray:
    """Return clusters of k-means, of events that lie far apart (k-means++), as labels from 0."""
    chosen = [int(rng.integers(len(features)))]
    distances = np.full(len(features), np.inf)
    for _ in range(n_components - 1):
        np.minimum(distances, np.square(features - features[chosen[-1]]).sum(axis=1), out=distances)
        total = np.cumsum(distances)
        if not total[-1] > 0:
            break
        chosen.append(int(np.searchsorted(total, rng.random() * total[-1], side="right").clip(max=len(features) - 1)))
    return k_means(features, features[chosen], 8)


def _mixture_of(features: np.ndarray, labels: np.ndarray) -> Mixture:
    """Return the distributions of clusters; those of too few events are joined with the nearest."""
    n, d = features.shape
    counts = np.bincount(labels)
    means = np.array([features[labels == k].mean(axis=0) if counts[k] else np.zeros(d) for k in range(len(counts))])
    while np.count_nonzero(counts) > 1:
        small = int(np.argmin(np.where(counts, counts, n + 1)))
        if counts[small] >= LEAST_EVENTS * d:
            break
        away = np.square(means - means[small]).sum(axis=1)
        away[small] = np.inf
        other = int(np.argmin(np.where(counts, away, np.inf)))
        labels = np.where(labels == small, other, labels)
        counts = np.bincount(labels, minlength=len(counts))
        means[other] = features[labels == other].mean(axis=0)
    kept = np.flatnonzero(counts)
    away = [features[labels == k] - means[k] for k in kept]
    covariances = np.array([part.T @ part / len(part) for part in away]) + RIDGE * np.eye(d)
    return Mixture(counts[kept] / n, means[kept], covariances)


def _columns(features: np.ndarray) -> np.ndarray:
    """Return features as kernels read them, (d, n)."""
    return np.ascontiguousarray(np.asarray(features, np.float64).T)


def _maximize(columns: np.ndarray, mixture: Mixture, passes: int) -> tuple[Mixture, float]:
    """Run so many passes of expectation maximization; return the mixture and its log likelihood."""
    d = len(columns)
    for _ in range(passes):
        inverse, factors = mixture.whitened()
        _, total, first, second = expect(columns, mixture.means, inverse, factors)
        # a distribution that has lost its events goes
        kept = total > d + 2
        if not kept.any():
            break
        total, first, second = total[kept], first[kept], second[kept]
        # sums are about the old means
        shift = first / total[:, None]
        covariances = second / total[:, None, None]
        covariances -= shift[:, :, None] * shift[:, None, :]
        means = mixture.means[kept] + shift
        covariances += RIDGE * np.eye(d)
        mixture = Mixture(total / total.sum(), means, covariances)
    inverse, factors = mixture.whitened()
    return mixture, expect(columns, mixture.means, inverse, factors)[0]


def _nearest_join(columns: np.ndarray, mixture: Mixture) -> Mixture:
    """Return the mixture with that pair joined, of the nearest ones, which costs least likelihood."""
    i, j = np.triu_indices(len(mixture), 1)
    covariances, sizes = mixture.covariances, np.linalg.slogdet(mixture.covariances)[1]
    between, apart = (covariances[i] + covariances[j]) / 2, mixture.means[i] - mixture.means[j]
    # Bhattacharyya's distance
    distances = np.einsum("pa,pa->p", apart, np.linalg.solve(between, apart[:, :, None])[:, :, 0]) / 8
    distances += (np.linalg.slogdet(between)[1] - (sizes[i] + sizes[j]) / 2) / 2
    nearest = np.argsort(distances, kind="stable")[:N_CANDIDATES]
    densities = log_densities(columns, mixture.means, *mixture.whitened())
    results = []
    for a, b in zip(i[nearest], j[nearest], strict=True):
        joined = mixture.join(a, b)
        inverse, factors = joined.whitened()
        last = log_densities(columns, joined.means[-1:], inverse[-1:], factors[-1:])
        results.append((log_likelihood_without(densities, last[0], a, b), joined))
    return max(results, key=lambda result: result[0])[1]
