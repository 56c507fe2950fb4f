"""Matching of sorted with known spikes: against hand computation, exhaustive search and SpikeInterface."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from hippflow.ephys.scoring import match_units


def test_by_hand():
    true = {1: np.array([100, 200, 300, 400]), 2: np.array([1000])}
    # 15 samples are 0.5 ms; 416 is one too far
    found = {5: np.array([85, 215, 301, 416, 900]), 6: np.array([100])}
    table = match_units(true, found, 30000)
    assert table.loc[1, ["num_spikes", "found", "num_found", "matched"]].tolist() == [4, 5, 5, 3]
    assert table.accuracy[1] == pytest.approx(3 / 6)
    assert table.accuracy[2] == 0
    assert table.found.isna().tolist() == [False, True]


def test_a_spike_is_matched_once():
    table = match_units({1: np.array([100])}, {1: np.array([95, 100, 105])}, 30000)
    assert (table.matched[1], table.accuracy[1]) == (1, pytest.approx(1 / 3))


def test_the_best_unit_wins_and_may_be_shared():
    true = {1: np.arange(10) * 1000, 2: np.arange(10) * 1000 + 500}
    found = {1: np.sort(np.r_[true[1], true[2]]), 2: true[1][:4]}
    table = match_units(true, found, 30000)
    assert table.found.tolist() == [1, 1]
    assert table.accuracy.tolist() == [0.5, 0.5]


def test_nothing_found_and_nothing_true():
    table = match_units({1: np.array([5])}, {}, 30000)
    assert (len(table), table.accuracy[1]) == (1, 0)
    assert len(match_units({}, {1: np.array([5])}, 30000)) == 0


@pytest.mark.parametrize("seed", range(20))
def test_number_of_pairs_is_the_largest_possible(seed):
    rng = np.random.default_rng(seed)
    a, b = (np.sort(rng.choice(300, 40, replace=False)) for _ in range(2))
    near = csr_array(np.abs(a[:, None] - b) <= 4)
    pairs = int((maximum_bipartite_matching(near, perm_type="column") >= 0).sum())
    table = match_units({1: a}, {1: b}, 30000, tolerance_ms=4 / 30)
    assert table.matched[1] == pairs
    assert table.accuracy[1] == pytest.approx(pairs / (80 - pairs))


def test_against_spikeinterface():
    from spikeinterface.comparison import compare_sorter_to_ground_truth
    from spikeinterface.core import NumpySorting

    rng = np.random.default_rng(0)
    true = {unit: np.cumsum(rng.integers(100, 3000, 300)) for unit in (1, 2)}
    found = {1: np.sort(true[2][:200] + rng.integers(-20, 21, 200)), 2: true[1][50:] + 3}
    comparison = compare_sorter_to_ground_truth(
        *(NumpySorting.from_unit_dict(trains, 30000) for trains in (true, found)), delta_time=0.5, match_score=0.1
    )
    theirs = comparison.get_performance().accuracy.astype(float)
    np.testing.assert_allclose(match_units(true, found, 30000).accuracy, theirs.to_numpy(), atol=0.01)
