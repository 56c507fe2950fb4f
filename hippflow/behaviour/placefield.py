"""Where a unit fires: spikes and rates by bin, spatial information, and what chance would give.

Chance is the same spike train, shifted in time against the path: every shift turns the train in a
circle as long as the session, so that it keeps all its spikes and their order but for one cut.
Bins are those of :mod:`hippflow.behaviour.occupancy`; times are seconds on Ripple's clock.
"""

from dataclasses import dataclass

import numpy as np

from hippflow.behaviour.occupancy import occupancy
from hippflow.errors import ConfigError

#: Percentile of the shuffles' information above which a unit's own is significant.
PERCENTILE = 95

#: Numbers that are worked on at once; more shuffles are done in turns.
_BLOCK = 2**20


@dataclass(frozen=True, eq=False)
class PlaceField:
    """Spikes of one unit over the floor.

    Attributes
    ----------
    counts : ndarray of int64, (n_bins,)
        Spikes while the animal navigated in each bin.
    rates : ndarray of float64, (n_bins,)
        Spikes a second in each bin; NaN where the animal was fewer than `min_obs` times, or no time.
    mean_rate : float
        Spikes a second over all navigation.
    information : float
        Spatial information of `rates` in bits a spike.
    shuffled : ndarray of float64, (n_shuffles,)
        The same of the shifted trains.
    threshold : float
        The 95th percentile of `shuffled`.
    """

    counts: np.ndarray
    rates: np.ndarray
    mean_rate: float
    information: float
    shuffled: np.ndarray
    threshold: float

    @property
    def significant(self) -> bool:
        """Whether the information is above the threshold."""
        return bool(self.information > self.threshold)

    @property
    def peak_bin(self) -> int:
        """Bin of the highest rate, the first of several; 0 if no bin has a rate above 0."""
        rates = np.nan_to_num(self.rates)
        return int(rates.argmax()) + 1 if (rates > 0).any() else 0


def count_spikes(trains: np.ndarray, visits: np.ndarray, n_bins: int) -> np.ndarray:
    """Count the spikes of trains in each bin.

    A visit holds the spikes from its start to before its end.

    Parameters
    ----------
    trains : ndarray of float64, (S, n)
        Spike times in s; a row is a train, in any order.
    visits : ndarray of float64, (m, 3)
        From :func:`hippflow.behaviour.occupancy.visit_table`.
    n_bins : int

    Returns
    -------
    ndarray of int64, (S, n_bins)

    Examples
    --------
    >>> visits = np.array([[0, 0, 1], [1, 2, 0.5], [1.5, 1, 1], [2.5, 0, 0]])
    >>> count_spikes(np.array([[0.5, 1.0, 1.2, 1.5, 2.5]]), visits, 3).tolist()
    [[1, 2, 0]]
    """
    trains = np.atleast_2d(trains)
    rows = np.searchsorted(visits[:, 0], trains, side="right") - 1
    numbers = np.where(rows < 0, 0, visits[rows, 1].astype(np.int64))
    numbers += np.arange(len(trains))[:, np.newaxis] * (n_bins + 1)
    counts = np.bincount(numbers.ravel(), minlength=len(trains) * (n_bins + 1))
    return counts.reshape(-1, n_bins + 1)[:, 1:]


def spatial_information(counts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Return the spatial information of maps, in bits a spike.

    It is the sum over bins of ``p * r * log2(r)``, with ``p`` the share of time in a bin and ``r``
    its rate over the mean rate of the map.

    Parameters
    ----------
    counts : ndarray of int, (..., k)
        Spikes in each bin.
    seconds : ndarray of float64, (k,)
        Time in each bin, above 0.

    Returns
    -------
    ndarray of float64, (...)
        0 for a map without spikes.

    Examples
    --------
    >>> spatial_information(np.array([[4, 0], [2, 2], [0, 0]]), np.array([1.0, 1.0])).tolist()
    [1.0, 0.0, 0.0]
    """
    total = counts.sum(axis=-1, keepdims=True)
    share = seconds / seconds.sum()
    spikes = counts / np.where(total, total, 1)  # p * r
    ratio = np.where(counts > 0, spikes / share, 1.0)
    return (spikes * np.log2(ratio)).sum(axis=-1)


def draw_shifts(
    n_shuffles: int, bounds: tuple[float, float], length: float, generator: np.random.Generator
) -> np.ndarray:
    """Draw the shifts of a circular shuffle, evenly between two shares of the session.

    Parameters
    ----------
    n_shuffles : int
    bounds : (float, float)
        Least and largest shift as a share of `length`.
    length : float
        Length of the circle in s.
    generator : numpy.random.Generator

    Returns
    -------
    ndarray of float64, (n_shuffles,)
        Seconds.

    Raises
    ------
    ConfigError
        The bounds are no two shares in order.
    """
    low, high = bounds
    if not 0 <= low < high <= 1:
        raise ConfigError(
            f"config.yaml: placefield.shuffle_bounds: expected two shares of the session, 0 <= low < high <= 1, "
            f"found {list(bounds)}"
        )
    return generator.uniform(low, high, n_shuffles) * length


def shift_train(spikes: np.ndarray, shifts: np.ndarray, length: float) -> np.ndarray:
    """Shift a train by each of `shifts`; what passes the end comes back at the start.

    Parameters
    ----------
    spikes : ndarray of float64, (n,)
        Between 0 and `length`, s.
    shifts : ndarray of float64, (S,)
        Between 0 and `length`, s.
    length : float
        Length of the circle in s.

    Returns
    -------
    ndarray of float64, (S, n)

    Examples
    --------
    >>> shift_train(np.array([1.0, 4.0]), np.array([2.0, 5.0]), 5.0).tolist()
    [[3.0, 1.0], [1.0, 4.0]]
    """
    shifted = spikes + shifts[:, np.newaxis]
    return np.where(shifted > length, shifted - length, shifted)


def place_field(
    spikes: np.ndarray,
    visits: np.ndarray,
    n_bins: int,
    *,
    n_shuffles: int,
    shuffle_bounds: tuple[float, float],
    min_obs: int,
    generator: np.random.Generator,
) -> PlaceField:
    """Map one unit's spikes onto the floor and test its spatial information.

    Parameters
    ----------
    spikes : ndarray of float64, (n,)
        Spike times in s, from 0.
    visits : ndarray of float64, (m, 3)
        From :func:`hippflow.behaviour.occupancy.visit_table`.
    n_bins : int
    n_shuffles : int
        Shifted trains to compare with, at least 1.
    shuffle_bounds : (float, float)
        Least and largest shift as a share of the session.
    min_obs : int
        Least number of visits of the bins that have a rate.
    generator : numpy.random.Generator

    Returns
    -------
    PlaceField
    """
    seconds, n_visits = occupancy(visits, n_bins)
    mapped = (n_visits >= min_obs) & (seconds > 0)
    counts = count_spikes(spikes, visits, n_bins)[0]
    rates = np.full(n_bins, np.nan)
    rates[mapped] = counts[mapped] / seconds[mapped]
    length = max(visits[-1, 0], spikes.max(initial=0.0))
    shifts = draw_shifts(n_shuffles, shuffle_bounds, length, generator)
    at_once = max(1, _BLOCK // max(spikes.size, n_bins + 1))
    shuffled = [
        spatial_information(count_spikes(shift_train(spikes, some, length), visits, n_bins)[:, mapped], seconds[mapped])
        for some in (shifts[first : first + at_once] for first in range(0, n_shuffles, at_once))
    ]
    shuffled = np.concatenate(shuffled)
    return PlaceField(
        counts=counts,
        rates=rates,
        mean_rate=float(counts.sum() / seconds.sum()),
        information=float(spatial_information(counts[mapped], seconds[mapped])),
        shuffled=shuffled,
        threshold=float(np.percentile(shuffled, PERCENTILE)),
    )
