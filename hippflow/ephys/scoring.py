"""How well a sorting recovers spikes that are known.

What this does: matches known spike trains with sorted ones, one spike with at most one
other, and gives each known unit its accuracy.

What it does not: judge units without a known truth (:mod:`hippflow.ephys.metrics`).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd


def match_units(
    true: Mapping[int, np.ndarray],
    found: Mapping[int, np.ndarray],
    sampling_rate: float,
    tolerance_ms: float = 0.5,
) -> pd.DataFrame:
    """Find the sorted unit that recovers each known unit best.

    The accuracy of a pair is TP / (TP + FP + FN): TP spikes of the known unit have a
    partner in the sorted one no further than the tolerance, FN have none, FP are the
    sorted unit's others. Each spike has at most one partner; the number of pairs is the
    largest possible.

    Parameters
    ----------
    true, found : mapping of int to ndarray of int
        Samples of the spikes of each unit.
    sampling_rate : float
        Samples per second.
    tolerance_ms : float
        Largest distance of two spikes that match.

    Returns
    -------
    pandas.DataFrame
        One row per known unit (index ``unit``): ``num_spikes``, ``found`` (the best sorted
        unit, NA if no spike was matched), ``num_found`` (its spikes), ``matched`` (TP)
        and ``accuracy``. Two known units can share their best sorted unit.

    Examples
    --------
    >>> true = {1: np.array([300, 900, 1500]), 2: np.array([5000])}
    >>> row = match_units(true, {7: np.array([310, 905, 4000])}, 30000).loc[1]
    >>> int(row.found), int(row.matched), float(row.accuracy)
    (7, 2, 0.5)
    """
    tolerance = round(tolerance_ms * sampling_rate / 1000)
    rows = []
    for samples in true.values():
        best = (0.0, pd.NA, 0, 0)
        for unit, other in found.items():
            matched = _matches(np.sort(samples), np.sort(other), tolerance)
            union = len(samples) + len(other) - matched
            if matched and matched / union > best[0]:
                best = (matched / union, unit, len(other), matched)
        rows.append((len(samples), *best[1:], best[0]))
    index = pd.Index(list(true), name="unit", dtype="int64")
    table = pd.DataFrame(rows, index, columns=["num_spikes", "found", "num_found", "matched", "accuracy"])
    return table.astype({"num_spikes": "int64", "found": "Int64", "num_found": "int64", "matched": "int64"}).astype(
        {"accuracy": float}
    )


def _matches(a: np.ndarray, b: np.ndarray, tolerance: int) -> int:
    """Largest number of pairs of two ascending trains no further apart than `tolerance`.

    Taking the earliest partner that is left is optimal for intervals of equal length.
    """
    lists = a.tolist(), b.tolist()
    i = j = pairs = 0
    while i < len(lists[0]) and j < len(lists[1]):
        distance = lists[0][i] - lists[1][j]
        if abs(distance) <= tolerance:
            pairs += 1
        i += distance <= tolerance
        j += distance >= -tolerance
    return pairs
