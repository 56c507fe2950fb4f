"""Giving the spikes of a concatenated day back to its sessions."""

import numpy as np
import pytest

from hippflow.ephys.sessions import session_starts, split_by_session
from hippflow.errors import SortingError


def as_lists(sessions):
    return [{unit: samples.tolist() for unit, samples in session.items()} for session in sessions]


def test_starts_count_from_zero():
    assert session_starts([10, 5, 7]).tolist() == [0, 10, 15, 22]
    assert session_starts([]).tolist() == [0]


def test_first_and_last_spike_of_each_session_are_kept():
    # PyHipp lost the last spike before each border
    samples = np.array([0, 9, 10, 14, 15, 21])
    assert as_lists(split_by_session(samples, np.ones(6, int), [10, 5, 7])) == [{1: [0, 9]}, {1: [0, 4]}, {1: [0, 6]}]


def test_units_keep_their_labels():
    # PyHipp called unit 3 of the second session cell01
    sessions = split_by_session(np.array([1, 2, 12]), np.array([1, 3, 3]), [10, 10])
    assert as_lists(sessions) == [{1: [1], 3: [2]}, {3: [2]}]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([], [{}, {}, {}]),
        ([12], [{}, {1: [2]}, {}]),
        ([3, 4], [{1: [3, 4]}, {}, {}]),
        ([29], [{}, {}, {1: [9]}]),
    ],
)
def test_sessions_without_spikes(samples, expected):
    assert as_lists(split_by_session(np.array(samples, int), np.ones(len(samples), int), [10, 10, 10])) == expected


def test_empty_session_takes_nothing():
    assert as_lists(split_by_session(np.array([9, 10]), np.array([1, 1]), [10, 0, 5])) == [{1: [9]}, {}, {1: [0]}]


def test_every_spike_goes_to_exactly_one_session():
    rng = np.random.default_rng(0)
    lengths = [1000, 3, 0, 5000, 200]
    samples, labels = rng.integers(0, sum(lengths), 3000), rng.integers(1, 6, 3000)
    sessions = split_by_session(samples, labels, lengths)
    starts = np.cumsum([0, *lengths])
    back = sorted((t + start, unit) for s, start in zip(sessions, starts, strict=False) for unit in s for t in s[unit])
    assert back == sorted(zip(samples.tolist(), labels.tolist(), strict=True))
    for session, length in zip(sessions, lengths, strict=True):
        for local in session.values():
            assert (np.diff(local) >= 0).all()
            assert local.dtype == np.int64
            assert local[0] >= 0
            assert local[-1] < length


def test_spikes_that_belong_nowhere():
    with pytest.raises(SortingError, match="samples 0 to 19, but the spikes are at 5 to 20"):
        split_by_session(np.array([5, 20]), np.array([1, 1]), [10, 10])
    with pytest.raises(SortingError, match="at -1 to 5"):
        split_by_session(np.array([-1, 5]), np.array([1, 1]), [10, 10])
    with pytest.raises(SortingError, match="2 spikes but 1 labels"):
        split_by_session(np.array([1, 5]), np.array([1]), [10, 10])
    with pytest.raises(SortingError, match="session lengths"):
        session_starts([5, -1])
