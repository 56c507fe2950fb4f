"""Sessions of a day that was sorted in one piece.

What this does: keeps the books of a concatenation (where each session starts) and gives
every spike of the concatenated signal to the session it belongs to.

What it does not: read or concatenate signals, or renumber units: a unit keeps its label
in all sessions.
"""

from collections.abc import Sequence

import numpy as np

from hippflow.errors import SortingError


def session_starts(session_lengths: Sequence[int]) -> np.ndarray:
    """Return where each session starts in the concatenated signal, and where the last one ends.

    Parameters
    ----------
    session_lengths : sequence of int
        Samples of each session, in the order in which they were concatenated.

    Returns
    -------
    ndarray of int64, (number of sessions + 1,)
        First sample of each session, 0-based (PyHipp's ``start_indices.csv`` counts from
        1), and the number of samples of the day.

    Raises
    ------
    SortingError
        If a length is negative.

    Examples
    --------
    >>> session_starts([100, 0, 50]).tolist()
    [0, 100, 100, 150]
    """
    lengths = np.asarray(session_lengths, np.int64).reshape(-1)
    if (lengths < 0).any():
        raise SortingError(f"session lengths: expected numbers of samples, found {lengths.tolist()}")
    return np.concatenate(([0], np.cumsum(lengths)))


def split_by_session(
    samples: np.ndarray, labels: np.ndarray, session_lengths: Sequence[int]
) -> list[dict[int, np.ndarray]]:
    """Give every spike to its session, in samples from the session's start.

    A session holds the spikes with ``start <= sample < next start``: its first and its
    last sample belong to it.

    Parameters
    ----------
    samples : ndarray of int, (n,)
        Sample of each spike in the concatenated signal, 0-based, in any order.
    labels : ndarray of int, (n,)
        Unit of each spike.
    session_lengths : sequence of int
        Samples of each session, in the order in which they were concatenated.

    Returns
    -------
    list of dict
        For each session, unit -> samples from the session's first (ndarray of int64,
        ascending). A unit without spikes in a session is absent from its dict.

    Raises
    ------
    SortingError
        If a spike lies outside the sessions, or samples and labels differ in number.

    Examples
    --------
    >>> sessions = split_by_session(np.array([0, 99, 100, 149]), np.array([1, 1, 2, 1]), [100, 50])
    >>> [{unit: t.tolist() for unit, t in session.items()} for session in sessions]
    [{1: [0, 99]}, {1: [49], 2: [0]}]
    """
    samples, labels = np.asarray(samples, np.int64), np.asarray(labels, np.int64)
    if samples.shape != labels.shape:
        raise SortingError(f"{samples.size} spikes but {labels.size} labels")
    starts = session_starts(session_lengths)
    if samples.size and not (samples.min() >= 0 and samples.max() < starts[-1]):
        found = f"{samples.min()} to {samples.max()}"
        raise SortingError(f"sessions hold samples 0 to {starts[-1] - 1}, but the spikes are at {found}")
    order = np.argsort(samples, kind="stable")
    samples, labels = samples[order], labels[order]
    bounds = np.searchsorted(samples, starts)
    sessions = []
    for start, first, last in zip(starts, bounds[:-1], bounds[1:], strict=False):
        local, units = samples[first:last] - start, labels[first:last]
        sessions.append({int(unit): local[units == unit] for unit in np.unique(units)})
    return sessions
