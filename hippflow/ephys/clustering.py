"""Events of one channel to units: features, clusters, and where each unit's spikes are.

What this does: describes clips by their principal components, fits a mixture of normal distributions
(:mod:`hippflow.ephys.mixture`) to them or, of many events, to some drawn at random, gives every event to the
distribution that it is most likely from, and puts a unit's spikes at its peak.

What it does not: detect events (:mod:`hippflow.ephys.detection`) or number units.
"""

import numpy as np

from hippflow.compiling import compiled
from hippflow.ephys.mixture import fit_mixture

#: Most events that distributions are fitted to. A unit of which fewer than some twenty are among them is not found.
N_FITTED = 20_000

#: Most events that are fitted in all starts together, for the time that takes; one start there always is.
N_STARTED = 20_000

#: Distributions at the start: so many, and another for every so many events, among which there can be rarer units.
N_COMPONENTS, EVENTS_A_COMPONENT = 10, 2500

#: Clusters are one unit if their mean clips differ by less than this share of the larger one's power, ...
SAME_SHAPE = 0.02

#: ... at the best of the shifts by so many samples: a spike's largest sample may be either side of its peak.
JITTER = 3

#: Samples by which an event may have been found at another peak of its unit's spike.
OTHER_PEAK = 10

#: An event is taken for one found at another peak if that leaves less than this share of its power unexplained.
UNEXPLAINED = 0.25

#: Clips that are in memory in double precision at a time.
BATCH = 4096


def cluster_events(
    clips: np.ndarray, *, n_features: int, n_starts: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find which events are of one unit.

    Parameters
    ----------
    clips : ndarray of float32, (n, clip)
        In noise levels.
    n_features : int
        Principal components to cluster.
    n_starts : int
        How often to fit; the best result is kept. Fewer where there are many events.
    seed : int
        Of the events that are fitted and of the first guesses.

    Returns
    -------
    labels : ndarray of int64, (n,)
        From 0 without a gap.
    means : ndarray of float64, (units, clip)
        Mean clip of each.
    shifts : ndarray of int64, (n,)
        Samples after each event at which its unit's events are.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> clips = rng.normal(0, 1, (500, 20))
    >>> clips[:200, 9] += 12
    >>> clips[200:, 9] -= 12
    >>> labels, means, _ = cluster_events(clips, n_features=3, n_starts=1)
    >>> np.bincount(labels).tolist(), means[:, 9].round().tolist()
    ([300, 200], [-12.0, 12.0])
    """
    rng = np.random.default_rng(seed)
    features = principal_components(clips, n_features)
    n = len(features)
    fitted = features if n <= N_FITTED else features[np.sort(rng.choice(n, N_FITTED, replace=False))]
    labels = fit_mixture(
        fitted,
        n_components=N_COMPONENTS + len(fitted) // EVENTS_A_COMPONENT,
        n_starts=max(1, min(n_starts, N_STARTED // len(fitted))),
        seed=seed,
    ).assign(features)
    labels = _join_same_shapes(clips, labels)
    means = _mean_clips(clips, labels)
    labels, shifts = _move_to_unit(clips, means, labels)
    return labels, means, shifts


def _mean_clips(clips: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.array([clips[labels == unit].mean(axis=0, dtype=np.float64) for unit in range(labels.max() + 1)])


def _join_same_shapes(clips: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Join clusters whose mean clips are the same; return labels from 0 without a gap."""
    # a distribution that is nowhere the likeliest is no cluster
    labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    means = _mean_clips(clips, labels)
    units = np.arange(len(means))
    if clips.shape[1] > 4 * JITTER:
        for i in range(len(means)):
            for j in range(i + 1, len(means)):
                if _difference(means[i], means[j]) < SAME_SHAPE:
                    units[units == units[j]] = units[i]
    return np.unique(units[labels], return_inverse=True)[1].astype(np.int64)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the power of the difference of two mean clips at the best shift, as a share of that of the larger one."""
    size, middle = len(one), slice(JITTER, len(one) - JITTER)
    differences = []
    for shift in range(-JITTER, JITTER + 1):
        shifted = other[JITTER + shift : size - JITTER + shift]
        power = max(np.square(one[middle]).sum(), np.square(shifted).sum())
        differences.append(np.square(one[middle] - shifted).sum() / power if power > 0 else 0.0)
    return float(min(differences))


def _move_to_unit(clips: np.ndarray, means: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give events that were found at another peak of a unit's spike to that unit; return labels and shifts."""
    if clips.shape[1] <= 4 * OTHER_PEAK:
        return labels, np.zeros(len(labels), np.int64)
    return _match(clips, means, labels, OTHER_PEAK, UNEXPLAINED)


@compiled
def _match(clips, means, labels, reach, unexplained):
    """Labels and shifts: of events that their unit's mean leaves unexplained and another explains when shifted."""
    n, size = clips.shape
    found, shifts = labels.copy(), np.zeros(n, np.int64)
    for i in range(n):
        power = own = 0.0
        for t in range(reach, size - reach):
            power += clips[i, t] ** 2
            own += (clips[i, t] - means[labels[i], t]) ** 2
        if own <= unexplained * power:
            continue
        # must be far better than what the distributions say, and explain nearly all
        best = unexplained * min(power, own)
        for unit in range(len(means)):
            for shift in range(-reach, reach + 1):
                left = 0.0
                for t in range(reach, size - reach):
                    left += (clips[i, t] - means[unit, t - shift]) ** 2
                    if left >= best:
                        break
                if left < best:
                    best = left
                    found[i], shifts[i] = unit, shift
    return found, shifts


def principal_components(clips: np.ndarray, n_features: int) -> np.ndarray:
    """Return the first principal components of clips.

    Parameters
    ----------
    clips : ndarray of float, (n, clip)
    n_features : int
        Fewer are returned if there are fewer clips or samples.

    Returns
    -------
    ndarray of float64, (n, components)
        About the mean. Of each component the largest coefficient is positive.

    Examples
    --------
    >>> principal_components(np.array([[0.0, 1], [0, 3], [0, 8]]), 1)[:, 0].tolist()
    [-3.0, -1.0, 4.0]
    """
    n, size = clips.shape
    mean = clips.mean(axis=0, dtype=np.float64)
    products = np.zeros((size, size))
    for start in range(0, n, BATCH):
        away = clips[start : start + BATCH] - mean
        products += away.T @ away
    _, vectors = np.linalg.eigh(products)
    vectors = vectors[:, ::-1][:, : min(n_features, n, size)]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    features = np.empty((n, vectors.shape[1]))
    for start in range(0, n, BATCH):
        features[start : start + BATCH] = (clips[start : start + BATCH] - mean) @ vectors
    return features


def offsets_to_peak(means: np.ndarray, sign: int, before: int) -> np.ndarray:
    """Return how many samples after a unit's events its peak is.

    Parameters
    ----------
    means : ndarray of float, (units, clip)
        Mean clips.
    sign : int
        -1: the trough is the peak, 1: the peak, 0: the larger one.
    before : int
        Index of an event's own sample.

    Returns
    -------
    ndarray of int64, (units,)

    Examples
    --------
    >>> offsets_to_peak(np.array([[0.0, 3, 1, -4], [0, 3, 1, -2]]), 0, 1).tolist()
    [2, 0]
    """
    heights = np.abs(means) if sign == 0 else means * sign
    return heights.argmax(axis=1).astype(np.int64) - before
