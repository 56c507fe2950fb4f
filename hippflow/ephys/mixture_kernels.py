"""Machine code of the mixture of normal distributions: densities of many events, their sums, and k-means.

A distribution is given by its mean, the lower triangle W with W C W' = 1 of its covariance C, and the logarithm of
its density's factor. Features are columns, (d, n), so that the processor does several events at a time.
"""

import numpy as np

from hippflow.compiling import compiled

#: Events that are worked on at a time.
BLOCK = 128


@compiled
def _block_densities(features, start, stop, mean, inverse, factor, away, out):
    """Put the logarithms of one distribution's share of the density at the events start to stop into out.

    Event by event within a loop over coefficients: that the processor does several events at a time.
    """
    d = len(mean)
    n = stop - start
    for a in range(d):
        for i in range(n):
            away[a, i] = features[a, start + i] - mean[a]
    for i in range(n):
        out[i] = 0.0
    for a in range(d):
        for i in range(n):
            away[d, i] = 0.0
        for b in range(a + 1):
            weight = inverse[a, b]
            for i in range(n):
                away[d, i] += weight * away[b, i]
        for i in range(n):
            out[i] += away[d, i] * away[d, i]
    for i in range(n):
        out[i] = factor - out[i] / 2


@compiled
def log_densities(features, means, inverse, factors):
    """Return the logarithms of all distributions' densities at all events, (K, n)."""
    d, n = features.shape
    out = np.empty((len(means), n))
    away = np.empty((d + 1, BLOCK))
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        for k in range(len(means)):
            _block_densities(features, start, stop, means[k], inverse[k], factors[k], away, out[k, start:stop])
    return out


@compiled
def most_likely(features, means, inverse, factors):
    """Return the distribution of the highest density at each event."""
    d, n = features.shape
    labels = np.zeros(n, np.int64)
    away = np.empty((d + 1, BLOCK))
    density = np.empty(BLOCK)
    best = np.empty(BLOCK)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        best[:] = -np.inf
        for k in range(len(means)):
            _block_densities(features, start, stop, means[k], inverse[k], factors[k], away, density)
            for i in range(stop - start):
                if density[i] > best[i]:
                    best[i] = density[i]
                    labels[start + i] = k
    return labels


@compiled
def expect(features, means, inverse, factors):
    """Return the log likelihood, and the sums of 1, x - mean and its square of each distribution."""
    d, n = features.shape
    n_components = len(means)
    total = np.zeros(n_components)
    first = np.zeros((n_components, d))
    second = np.zeros((n_components, d, d))
    density = np.empty((n_components, BLOCK))
    block = np.empty((d + 1, BLOCK))
    away = np.empty(d)
    log_likelihood = 0.0
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        for k in range(n_components):
            _block_densities(features, start, stop, means[k], inverse[k], factors[k], block, density[k])
        for i in range(stop - start):
            highest = -np.inf
            for k in range(n_components):
                highest = max(highest, density[k, i])
            whole = 0.0
            for k in range(n_components):
                # what is e^-12 of the highest moves nothing
                density[k, i] = np.exp(density[k, i] - highest) if density[k, i] > highest - 12 else 0.0
                whole += density[k, i]
            log_likelihood += highest + np.log(whole)
            for k in range(n_components):
                share = density[k, i] / whole
                if share > 0:
                    total[k] += share
                    for a in range(d):
                        away[a] = features[a, start + i] - means[k, a]
                        first[k, a] += share * away[a]
                    for a in range(d):
                        weighted = share * away[a]
                        for b in range(d):
                            second[k, a, b] += weighted * away[b]
    return log_likelihood, total, first, second


@compiled
def log_likelihood_without(densities, joined, i, j):
    """Return the log likelihood with the densities i and j replaced by one."""
    n_components, n = densities.shape
    log_likelihood = 0.0
    for event in range(n):
        highest = joined[event]
        for k in range(n_components):
            if k != i and k != j:
                highest = max(highest, densities[k, event])
        whole = np.exp(joined[event] - highest)
        for k in range(n_components):
            if k != i and k != j:
                whole += np.exp(densities[k, event] - highest)
        log_likelihood += highest + np.log(whole)
    return log_likelihood


@compiled
def k_means(features, centres, passes):
    """Return labels from 0 after so many passes of k-means; a centre without events stays where it is."""
    n, d = features.shape
    n_centres = len(centres)
    centres = centres.copy()
    labels = np.zeros(n, np.int64)
    for turn in range(passes + 1):
        total = np.zeros(n_centres)
        sums = np.zeros((n_centres, d))
        for i in range(n):
            best = np.inf
            for k in range(n_centres):
                distance = 0.0
                for a in range(d):
                    distance += (features[i, a] - centres[k, a]) ** 2
                if distance < best:
                    best = distance
                    labels[i] = k
            total[labels[i]] += 1
            for a in range(d):
                sums[labels[i], a] += features[i, a]
        if turn < passes:
            for k in range(n_centres):
                if total[k] > 0:
                    for a in range(d):
                        centres[k, a] = sums[k, a] / total[k]
    return labels
