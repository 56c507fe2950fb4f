"""Rate maps, spatial information and shuffles against loops and against units of known tuning."""

import math

import numpy as np
import pytest

from hippflow.behaviour.occupancy import Grid, visit_table
from hippflow.behaviour.placefield import (
    PlaceField,
    count_spikes,
    draw_shifts,
    place_field,
    shift_train,
    spatial_information,
)
from hippflow.errors import ConfigError

GRID = Grid(40, 25)
SETTINGS = {"n_shuffles": 100, "shuffle_bounds": (0.1, 0.9), "min_obs": 5}


def wander(rng, n):
    """Walk smoothly along one axis and turn back at the walls."""
    steps = np.convolve(rng.normal(size=n + 59), np.ones(60) / 60, "valid")
    return np.abs((np.cumsum(steps) + rng.uniform(-12, 12) - 12.4) % 49.6 - 24.8) - 12.4


@pytest.fixture(scope="module")
def session():
    """Twenty minutes at 30 Hz: positions, times of the rows, visits of 60 trials of 19 s."""
    rng = np.random.default_rng(20181105)
    n = 36_000
    x, z = wander(rng, n), wander(rng, n)
    times = 4 + np.arange(n + 1) / 30
    starts = np.arange(60) * 600
    triggers = np.column_stack([starts, starts + 29, starts + 599])
    return x, z, times, visit_table(GRID.bins(x, z), triggers, times)


def fire(rng, rates, times):
    """Spikes of a Poisson unit with a rate for each row, which lasts until the next."""
    counts = rng.poisson(rates[:-1] * np.diff(times[1:]))
    return np.sort(np.repeat(times[1:-1], counts) + rng.uniform(0, 1 / 30, counts.sum()))


def field_of(spikes, session, seed=0, **settings):
    return place_field(spikes, session[3], 1600, generator=np.random.default_rng(seed), **(SETTINGS | settings))


@pytest.mark.parametrize("centre", [(-7.1, 3.3), (0.2, -9.0), (8.8, 8.8)])
def test_a_tuned_unit_is_significant_and_its_peak_is_within_a_bin_of_the_centre(session, centre):
    x, z, times, _ = session
    distance = (x - centre[0]) ** 2 + (z - centre[1]) ** 2
    spikes = fire(np.random.default_rng(7), 1 + 60 * np.exp(-distance / (2 * 0.8**2)), times)
    field = field_of(spikes, session)
    assert field.significant
    assert field.information > field.shuffled.max()
    peak = GRID.centre(field.peak_bin)
    assert abs(peak[0] - centre[0]) <= 1.5 * 0.625
    assert abs(peak[1] - centre[1]) <= 1.5 * 0.625
    assert np.nanmax(field.rates) == pytest.approx(61, rel=0.5)


def test_an_untuned_unit_is_not_significant(session):
    spikes = fire(np.random.default_rng(8), np.full(36_000, 5.0), session[2])
    field = field_of(spikes, session)
    assert not field.significant
    assert field.mean_rate == pytest.approx(5, rel=0.05)


def test_one_untuned_unit_in_twenty_is_significant_by_chance(session):
    rng = np.random.default_rng(9)
    trains = [fire(rng, np.full(36_000, 0.5), session[2]) for _ in range(100)]
    significant = sum(field_of(train, session, seed).significant for seed, train in enumerate(trains))
    assert 1 <= significant <= 12  # 5 are expected; outside in one of 130 draws


def small_session():
    """Bin 1 for 2 s in 2 visits, bin 2 for 1 s in 3, bin 3 for 1 s in one, bin 4 never."""
    rows = [(0, 0), (1, 1), (2, 2), (2.5, 1), (3.5, 2), (3.75, 0), (5, 2), (5.25, 3), (6.25, 0)]
    durations = np.diff([time for time, _ in rows], append=rows[-1][0])
    return np.column_stack([np.array(rows, float), durations])


SPIKES = np.array([0.5, 1.0, 1.5, 2.0, 2.1, 2.2, 3.0, 4.0, 5.1, 5.3, 6.0, 7.0])


def count_by_loops(spikes, visits, n_bins):
    counts = [0] * n_bins
    for spike in spikes:
        for start, number, duration in visits:
            if number and start <= spike < start + duration:
                counts[int(number) - 1] += 1
    return counts


def information_by_loops(counts, seconds):
    time, spikes = math.fsum(seconds), sum(counts)
    total = 0.0
    for count, duration in zip(counts, seconds, strict=True):
        share, relative = duration / time, (count / duration) / (spikes / time) if spikes else 0
        total += share * relative * math.log2(relative) if relative else 0
    return total


def map_of(spikes, min_obs=1, n_shuffles=20, seed=3):
    return place_field(
        spikes,
        small_session(),
        4,
        n_shuffles=n_shuffles,
        shuffle_bounds=(0.2, 0.7),
        min_obs=min_obs,
        generator=np.random.default_rng(seed),
    )


def test_counts_and_rates_are_those_made_by_hand():
    field = map_of(SPIKES)
    assert field.counts.tolist() == [3, 4, 2, 0]
    assert field.counts.tolist() == count_by_loops(SPIKES, small_session(), 4)
    assert field.counts.dtype == np.int64
    assert field.rates[:3].tolist() == [1.5, 4.0, 2.0]
    assert np.isnan(field.rates[3])
    assert field.mean_rate == 9 / 4
    assert field.peak_bin == 2


def test_bins_with_few_visits_have_no_rate_and_no_part_in_the_information():
    field = map_of(SPIKES, min_obs=2)
    assert field.rates[:2].tolist() == [1.5, 4.0]
    assert np.isnan(field.rates[2:]).all()
    assert field.information == pytest.approx(information_by_loops([3, 4], [2, 1]))
    assert np.isnan(map_of(SPIKES, min_obs=4).rates).all()
    assert map_of(SPIKES, min_obs=4).information == 0
    assert map_of(SPIKES, min_obs=4).peak_bin == 0


def test_information_is_that_of_the_formula():
    rng = np.random.default_rng(5)
    seconds = rng.uniform(0.1, 5, 30)
    counts = rng.poisson(seconds * rng.choice([0, 1, 8], 30), (40, 30))
    counts[7] = 0
    expected = [information_by_loops(row.tolist(), seconds.tolist()) for row in counts]
    np.testing.assert_allclose(spatial_information(counts, seconds), expected, rtol=0, atol=1e-12)
    assert spatial_information(counts, seconds)[7] == 0


def test_a_unit_that_fires_in_an_eighth_of_the_time_has_three_bits():
    assert spatial_information(np.array([17, 0, 0]), np.array([1.0, 4.0, 3.0])) == pytest.approx(3)


@pytest.mark.parametrize("length", [7.0, 10.0])
def test_shuffles_are_those_of_a_loop_over_shifts_and_spikes(length):
    """The circle ends with the last trial (6.25 s) or the last spike."""
    spikes = np.append(SPIKES[:-1], length)
    field = map_of(spikes, min_obs=2)
    shifts = np.random.default_rng(3).uniform(0.2, 0.7, 20) * length
    expected = []
    for shift in shifts:
        shifted = [(spike + shift) if spike + shift <= length else spike + shift - length for spike in spikes]
        expected.append(information_by_loops(count_by_loops(shifted, small_session(), 4)[:2], [2, 1]))
    assert len(set(expected)) >= 5
    np.testing.assert_allclose(field.shuffled, expected, rtol=0, atol=1e-12)
    position = 0.95 * 19
    low, high = sorted(expected)[int(position) : int(position) + 2]
    assert field.threshold == pytest.approx(low + (position - int(position)) * (high - low))
    assert field.significant == (field.information > field.threshold)


def test_a_circle_is_as_long_as_the_trials_if_spikes_end_earlier():
    field = map_of(np.array([1.1, 1.2, 2.2]), n_shuffles=1)
    shift = np.random.default_rng(3).uniform(0.2, 0.7) * 6.25
    shifted = [(spike + shift) % 6.25 for spike in (1.1, 1.2, 2.2)]
    counts = count_by_loops(shifted, small_session(), 4)
    assert field.shuffled[0] == pytest.approx(information_by_loops(counts[:3], [2, 1, 1]))


def test_shifts_keep_every_spike_and_every_interval_but_the_cut():
    rng = np.random.default_rng(6)
    length = 100.0
    spikes = np.sort(rng.uniform(0, length, 400))
    shifts = draw_shifts(50, (0.1, 0.9), length, rng)
    trains = shift_train(spikes, shifts, length)
    assert trains.shape == (50, 400)
    assert trains.min() >= 0
    assert trains.max() <= length
    around = np.diff(spikes, append=spikes[0] + length)
    for train in trains:
        train = np.sort(train)
        intervals = np.diff(train, append=train[0] + length)
        np.testing.assert_allclose(np.sort(intervals), np.sort(around), rtol=0, atol=1e-9)
    everywhere = np.array([[0, 1, length + 1], [length + 1, 0, 0]])
    assert count_spikes(trains, everywhere, 1).tolist() == [[400]] * 50


def test_shifts_lie_evenly_within_their_bounds():
    shifts = draw_shifts(10_000, (0.1, 0.9), 50.0, np.random.default_rng(1))
    counts, _ = np.histogram(shifts, np.linspace(5, 45, 11))
    assert counts.sum() == 10_000
    assert counts.min() > 850


@pytest.mark.parametrize("bounds", [(0.9, 0.1), (-0.1, 0.5), (0.5, 1.1), (0.5, 0.5)])
def test_bounds_that_are_no_shares_in_order_are_refused(bounds):
    with pytest.raises(ConfigError, match=r"placefield\.shuffle_bounds: expected two shares .* found \["):
        draw_shifts(10, bounds, 50.0, np.random.default_rng(1))


def test_a_cell_without_spikes_has_no_field():
    field = map_of(np.zeros(0))
    assert field.counts.tolist() == [0, 0, 0, 0]
    assert field.rates[:3].tolist() == [0, 0, 0]
    assert (field.mean_rate, field.information, field.threshold) == (0, 0, 0)
    assert (field.significant, field.peak_bin) == (False, 0)


def test_spikes_outside_navigation_count_nowhere():
    counts = count_spikes(np.array([[-1.0, 0.0, 0.99, 3.75, 4.9, 6.25, 99.0]]), small_session(), 4)
    assert counts.tolist() == [[0, 0, 0, 0]]


def test_shuffles_that_are_done_in_turns_are_the_same(monkeypatch, session):
    spikes = fire(np.random.default_rng(2), np.full(36_000, 1.0), session[2])
    at_once = field_of(spikes, session, n_shuffles=23)
    monkeypatch.setattr("hippflow.behaviour.placefield._BLOCK", 5 * max(spikes.size, 1601))
    np.testing.assert_array_equal(field_of(spikes, session, n_shuffles=23).shuffled, at_once.shuffled)


def test_the_same_seed_gives_the_same_shuffles_and_another_seed_others(session):
    spikes = fire(np.random.default_rng(2), np.full(36_000, 1.0), session[2])
    first, again, other = (field_of(spikes, session, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.shuffled, again.shuffled)
    assert (first.shuffled != other.shuffled).all()
    assert first.information == other.information


def test_a_unit_at_the_threshold_is_not_significant():
    field = map_of(SPIKES)
    same = PlaceField(field.counts, field.rates, 1.0, field.threshold, field.shuffled, field.threshold)
    assert not same.significant
