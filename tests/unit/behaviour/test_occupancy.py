"""Bins, visits and occupancy against loops over the rows, written from the definitions."""

import math

import numpy as np
import pytest

from hippflow.behaviour.occupancy import (
    Grid,
    check_trials,
    navigated_bins,
    occupancy,
    sort_visits,
    trial_durations,
    visit_table,
)
from hippflow.errors import FormatError, MarkerError

N_BINS = 9


def random_log(seed):
    """Bins, triggers, times and frame durations of a log with trials of 1 to 30 rows; it ends with a trial's end."""
    rng = np.random.default_rng(seed)
    triggers, row = [], 0
    for _ in range(12):
        start = row + int(rng.integers(0, 4))
        cue_offset = start + int(rng.integers(0, 4))
        end = cue_offset + int(rng.integers(1, 31))
        triggers.append((start, cue_offset, end))
        row = end + 1
    deltas = rng.uniform(0.01, 0.05, row)
    flat = triggers[4]
    deltas[flat[1] + 1 : flat[2] + 1] = 0
    bins = np.repeat(rng.integers(0, N_BINS + 1, row), rng.integers(1, 5, row))[:row]
    return bins, np.array(triggers), 3 + np.concatenate(([0], np.cumsum(deltas))), deltas


def visits_by_loops(bins, triggers, times):
    rows = [[0.0, 0]]
    for _, cue_offset, end in triggers:
        begin, finish = times[cue_offset + 1], times[end + 1]
        current = bins[cue_offset + 1] if finish > begin else 0
        rows.append([begin, current])
        for row in range(cue_offset + 2, end):
            if finish > begin and bins[row] != current:
                current = bins[row]
                rows.append([times[row + 1], current])
        rows.append([finish, 0])
    following = [row[0] for row in rows[1:]] + [rows[-1][0]]
    return np.array([[start, number, after - start] for (start, number), after in zip(rows, following, strict=True)])


@pytest.mark.parametrize("seed", range(5))
def test_visits_are_those_of_a_loop_over_the_rows(seed):
    bins, triggers, times, _ = random_log(seed)
    table = visit_table(bins, triggers, times)
    assert table.dtype == np.float64
    np.testing.assert_array_equal(table, visits_by_loops(bins, triggers, times))


def test_a_trial_without_duration_has_no_bin():
    bins, triggers, times, _ = random_log(0)
    table = visit_table(bins, triggers, times)
    begin = times[triggers[4, 1] + 1]
    assert table[table[:, 0] == begin, 1:].tolist()[0] == [0, 0]


def test_a_bin_that_is_entered_with_the_last_row_is_no_visit():
    times = np.arange(6.0)
    assert visit_table(np.array([7, 7, 7, 7, 8]), np.array([[0, 0, 4]]), times)[1:, 1].tolist() == [7, 0]
    assert visit_table(np.array([7, 7, 7, 8, 8]), np.array([[0, 0, 4]]), times)[1:, 1].tolist() == [7, 8, 0]


@pytest.mark.parametrize("seed", range(5))
def test_visits_fill_every_trial_without_gaps(seed):
    bins, triggers, times, _ = random_log(seed)
    table = visit_table(bins, triggers, times)
    np.testing.assert_allclose(table[:-1, 0] + table[:-1, 2], table[1:, 0], rtol=0, atol=1e-12)
    for _, cue_offset, end in triggers:
        begin, finish = times[cue_offset + 1], times[end + 1]
        inside = (table[:, 0] >= begin) & (table[:, 0] < finish)
        assert table[inside, 2].sum() == pytest.approx(finish - begin, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_durations_of_a_trial_are_those_of_a_loop_over_its_frames(seed):
    bins, triggers, _, deltas = random_log(seed)
    expected = np.zeros((N_BINS, len(triggers)))
    for trial, (_, cue_offset, end) in enumerate(triggers):
        for row in range(cue_offset + 1, end + 1):
            if bins[row] and row + 1 < len(deltas):
                expected[bins[row] - 1, trial] += deltas[row + 1]
    durations = trial_durations(bins, triggers, deltas, N_BINS)
    assert durations.shape == (N_BINS, len(triggers))
    np.testing.assert_allclose(durations, expected, rtol=0, atol=1e-12)


def test_rows_outside_navigation_have_no_bin():
    bins, triggers, _, _ = random_log(1)
    bins, triggers = np.concatenate([bins, [3, 3]]), triggers[1:]
    expected = np.zeros(len(bins), int)
    for _, cue_offset, end in triggers:
        for row in range(cue_offset + 1, end + 1):
            expected[row] = bins[row]
    np.testing.assert_array_equal(navigated_bins(bins, triggers), expected)
    assert expected[-2:].tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_sorted_visits_and_occupancy_are_those_of_a_loop_over_the_visits(seed):
    bins, triggers, times, _ = random_log(seed)
    table = visit_table(bins, triggers, times)
    order, info = sort_visits(table)
    seconds, counts = occupancy(table, N_BINS)
    assert order.tolist() == sorted(range(len(table)), key=lambda row: (table[row, 1], row))
    visited = sorted({int(number) for number in table[:, 1]} - {0})
    assert info[:, 0].tolist() == visited
    for number, first, last, less in info.astype(int):
        rows = [row for row in range(len(table)) if table[row, 1] == number]
        assert order[first : last + 1].tolist() == rows
        assert less == last - first
        assert counts[number - 1] == len(rows)
        assert seconds[number - 1] == pytest.approx(math.fsum(table[row, 2] for row in rows))
    others = [number for number in range(1, N_BINS + 1) if number not in visited]
    assert not seconds[[number - 1 for number in others]].any()
    assert not counts[[number - 1 for number in others]].any()


@pytest.mark.parametrize(("steps", "size"), [(40, 25), (1, 25), (7, 25), (49, 10.3), (100, 0.7)])
def test_every_bin_holds_its_own_centre(steps, size):
    """Edges made by adding up steps are one too many for some numbers of steps."""
    grid = Grid(steps, size)
    assert len(grid.edges) == steps + 1
    assert (grid.edges[0], grid.edges[-1]) == (-size / 2, size / 2)
    numbers = np.arange(1, steps**2 + 1)
    x, z = np.array([grid.centre(int(number)) for number in numbers]).T
    np.testing.assert_array_equal(grid.bins(x, z), numbers)


def test_bins_count_along_x_then_along_z():
    grid = Grid(40, 25)
    places = np.random.default_rng(3).uniform(-12.5, 12.5, (500, 2))
    expected = [1 + math.floor((x + 12.5) / 0.625) + 40 * math.floor((z + 12.5) / 0.625) for x, z in places]
    assert grid.bins(places[:, 0], places[:, 1]).tolist() == expected


def test_the_border_belongs_to_the_arena_and_the_outside_to_no_bin():
    grid = Grid(40, 25)
    x = [12.5, -12.5, 12.5, 12.51, -12.51, 0, 0, np.nan, 0]
    z = [-12.5, 12.5, 12.5, 0, 0, 12.51, -12.51, 0, np.inf]
    assert grid.bins(x, z).tolist() == [40, 1561, 1600, 0, 0, 0, 0, 0, 0]


def test_a_session_without_trials_is_refused():
    with pytest.raises(MarkerError, match=r"unity\.hkl: expected trials in unityTriggers, found none"):
        check_trials(np.zeros((0, 3), int), np.arange(6.0), 5, source="unity.hkl")


@pytest.mark.parametrize(
    ("triggers", "message"),
    [
        ([[0, 1]], r"three rows a trial .* shape \(1, 2\)"),
        ([[0, 1, 2], [2, 3, 4]], r"trial 2 in rows 3 to 4 .* found \[2, 3, 4\]"),
        ([[0, 2, 2]], r"trial 1 .* found \[0, 2, 2\]"),
        ([[1, 0, 2]], r"trial 1 .* found \[1, 0, 2\]"),
        ([[0, 1, 5]], r"trial 1 in rows 0 to 4 of the log"),
    ],
)
def test_triggers_that_cannot_be_are_refused(triggers, message):
    with pytest.raises(FormatError, match=message):
        check_trials(np.array(triggers), np.arange(6.0), 5, source="unity.hkl")


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0, 1, 2, 3, 4], r"expected 6 times .* shape \(5,\)"),
        ([0, 1, 2, 1.5, 4, 5], "found 2.000000 s before 1.500000 s at row 2"),
        ([0, 1, np.nan, 3, 4, 5], "found 1.000000 s before nan s at row 1"),
        ([0, 1, 2, 3, 4, np.inf], "found 4.000000 s before inf s at row 4"),
    ],
)
def test_times_that_cannot_be_are_refused(times, message):
    with pytest.raises(FormatError, match=message):
        check_trials(np.array([[0, 1, 4]]), np.array(times, float), 5, source="unity.hkl")


def test_times_that_stand_still_are_allowed():
    check_trials(np.array([[0, 1, 4]]), np.array([0.0, 1, 1, 1, 1, 2]), 5, source="unity.hkl")
