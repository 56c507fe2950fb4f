"""Map times between a device's clock and the reference (Ripple), through matched markers.

Between two markers the map is linear; before the first and after the last it goes
on with the speed of the whole session. Nothing accumulates: the map's error at any
time is that of the two markers around it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hippflow.behaviour.matching import Matching
from hippflow.errors import AlignmentError

#: At most so many markers, evenly spread, tell the speed of a clock.
_SLOPE_MARKERS = 400


@dataclass(frozen=True)
class ClockMap:
    """Times of the same markers on two clocks.

    Attributes
    ----------
    device, reference : ndarray of float64
        Shape (n,), s, both strictly increasing, n at least 2.

    Raises
    ------
    AlignmentError
        Fewer than two markers, or times that do not increase.

    Examples
    --------
    >>> clock = ClockMap(np.array([100.0, 110.0, 130.0]), np.array([0.0, 10.0, 30.006]))
    >>> clock.to_reference([105.0, 120.0])
    array([ 5.   , 20.003])
    >>> clock.to_device(clock.to_reference([90.0, 140.0]))
    array([ 90., 140.])
    """

    device: np.ndarray
    reference: np.ndarray

    def __post_init__(self) -> None:
        for name in ("device", "reference"):
            times = np.asarray(getattr(self, name), np.float64)
            object.__setattr__(self, name, times)
            if times.ndim != 1 or times.size < 2 or not (np.diff(times) > 0).all() or not np.isfinite(times).all():
                raise AlignmentError(
                    f"clock map: expected at least two marker times of the {name}, each later than the one before, "
                    f"found {times.size}: {np.array2string(times, threshold=6, edgeitems=2)}; check the markers"
                )
        if self.device.shape != self.reference.shape:
            raise AlignmentError(
                f"clock map: expected as many reference as device times, found {self.reference.size} and "
                f"{self.device.size}; match the markers first"
            )

    @cached_property
    def ratio(self) -> float:
        """Reference seconds per device second over the whole session (median of all pairs of markers)."""
        return _slope(self.device, self.reference)

    @property
    def drift_ppm(self) -> float:
        """How much faster the device's clock runs than the reference, parts per million."""
        return (1 / self.ratio - 1) * 1e6

    def to_reference(self, times: np.ndarray) -> np.ndarray:
        """Map times of the device, s, to the reference's clock; NaN stays NaN."""
        return _map(times, self.device, self.reference, self.ratio)

    def to_device(self, times: np.ndarray) -> np.ndarray:
        """Map times of the reference, s, to the device's clock; the inverse of :meth:`to_reference`."""
        return _map(times, self.reference, self.device, 1 / self.ratio)

    def residuals(self) -> np.ndarray:
        """Say how far off every marker would be mapped if it had been lost.

        Returns
        -------
        ndarray of float64
            Shape (n,), s: reference time predicted from the markers beside it (for the
            first and last: from the next one and the speed of all the others), minus
            the observed one.

        Examples
        --------
        >>> clock = ClockMap(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.01, 3.0]))
        >>> clock.residuals().round(3).tolist()
        [0.0, 0.005, -0.01, 0.015]
        """
        device, reference = self.device, self.reference
        if device.size == 2:  # the others are one marker, which has no speed: take 1
            return (np.diff(reference) - np.diff(device)) * np.array([1.0, -1.0])
        predicted = np.empty_like(reference)
        share = (device[1:-1] - device[:-2]) / (device[2:] - device[:-2])
        predicted[1:-1] = reference[:-2] + share * (reference[2:] - reference[:-2])
        predicted[0] = reference[1] - _slope(device[1:], reference[1:]) * (device[1] - device[0])
        predicted[-1] = reference[-2] + _slope(device[:-1], reference[:-1]) * (device[-1] - device[-2])
        return predicted - reference

    def outliers(self, threshold: float) -> np.ndarray:
        """Find markers whose time their neighbours contradict by more than `threshold` s.

        The worst is taken out before the others are judged, for a wrong marker spoils
        its neighbours' residuals too.

        Returns
        -------
        ndarray of int64
            Indices in increasing order.

        Examples
        --------
        >>> ClockMap(np.arange(5.0), np.array([0, 1, 2.1, 3, 4])).outliers(0.02).tolist()
        [2]
        """
        kept, found = np.arange(self.device.size), []
        while kept.size > 2:
            residuals = np.abs(ClockMap(self.device[kept], self.reference[kept]).residuals())
            worst = int(residuals.argmax())
            if residuals[worst] <= threshold:
                break
            found.append(int(kept[worst]))
            kept = np.delete(kept, worst)
        return np.array(sorted(found), np.int64)


def fit_clock(matching: Matching, device_times: np.ndarray, reference_times: np.ndarray) -> ClockMap:
    """Make the map between two clocks from matched markers.

    Parameters
    ----------
    matching : Matching
    device_times, reference_times : array of float
        The times that were matched, s.

    Returns
    -------
    ClockMap

    Raises
    ------
    AlignmentError
        Fewer than two pairs, or times that do not increase.
    """
    device, reference = matching.pairs.T
    return ClockMap(np.asarray(device_times, float)[device], np.asarray(reference_times, float)[reference])


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Return the median slope of all pairs of markers, which a jump of one clock or a wrong marker does not turn."""
    some = np.unique(np.linspace(0, x.size - 1, min(x.size, _SLOPE_MARKERS)).astype(np.int64))
    first, second = np.triu_indices(some.size, 1)
    return float(np.median((y[some[second]] - y[some[first]]) / (x[some[second]] - x[some[first]])))


def _map(times: np.ndarray, source: np.ndarray, target: np.ndarray, slope: float) -> np.ndarray:
    times = np.asarray(times, np.float64)
    mapped = np.interp(times, source, target)
    mapped = np.where(times < source[0], target[0] + slope * (times - source[0]), mapped)
    return np.where(times > source[-1], target[-1] + slope * (times - source[-1]), mapped)
