import numpy as np
import pytest

from hippflow.demo.units import PEAK_INDEX, band_passed, plan_units, spike_trains

SESSIONS = ("session01", "sessioneye")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("channels", [(1, 2), (9, 31, 34, 56, 72, 93, 119, 120), tuple(range(1, 125))])
def test_a_plan_has_what_a_day_must_show(channels, seed):
    plan = plan_units(channels, SESSIONS, seed)
    assert list(plan) == list(channels)
    units = [unit for of_channel in plan.values() for unit in of_channel]
    assert sum(not of_channel for of_channel in plan.values()) == max(1, len(channels) // 8)
    assert max(map(len, plan.values())) <= 3
    assert [unit.label for unit in units if unit.sessions != SESSIONS] == [1]
    assert all(4.5 <= unit.snr <= 12 for unit in units)
    if len(channels) >= 4:
        assert any(unit.follows for unit in units) and {unit.polarity for unit in units} == {-1, 1}


def test_one_channel_alone_is_not_empty():
    assert len(plan_units([9], SESSIONS, seed=1)[9]) == 2


def test_shapes_are_spikes_whose_band_passed_peak_is_one():
    shapes = [unit.shape for units in plan_units(range(1, 33), SESSIONS, seed=1).values() for unit in units]
    for shape in shapes:
        filtered = band_passed(np.pad(shape, 500))[500:-500]
        assert abs(shape).argmax() == abs(filtered).argmax() == PEAK_INDEX
        assert abs(filtered).max() == pytest.approx(1, abs=1e-3)
        assert shape.min() < 0 < shape.max() and shape[0] == shape[-1] == 0
    likeness = np.corrcoef(shapes)
    assert likeness[np.triu_indices_from(likeness, 1)].max() < 0.9999


def test_trains_keep_their_rate_and_refractory_period():
    n_samples = 30_000 * 600
    for units in plan_units(range(1, 33), SESSIONS, seed=2).values():
        trains = spike_trains(units, "session01", n_samples, seed=2)
        for unit in units:
            samples, amplitudes = trains[unit.label]
            gaps = np.diff(samples)
            assert gaps.min() >= unit.refractory >= 45
            assert samples[0] >= PEAK_INDEX and samples[-1] < n_samples - 64
            if not unit.follows:
                assert samples.size / 600 == pytest.approx(unit.rate, rel=0.25)
            after_pause = amplitudes[1:][gaps > 3000]
            assert after_pause.mean() == pytest.approx(1, abs=0.01) and after_pause.std() == pytest.approx(
                0.07, abs=0.01
            )
            assert amplitudes[1:][gaps < 150].mean() < 0.9


def test_a_refractory_neighbour_follows_its_leader():
    plan = plan_units(range(1, 33), SESSIONS, seed=2)
    followers = [unit for units in plan.values() for unit in units if unit.follows]
    assert followers
    for unit in followers:
        trains = spike_trains(plan[unit.channel], "session01", 30_000 * 600, seed=2)
        leader, follower = trains[unit.follows][0], trains[unit.label][0]
        lags = follower[np.searchsorted(follower, leader).clip(max=follower.size - 1)] - leader
        assert 0.1 < np.mean((lags >= 30) & (lags <= 60)) < 0.25


def test_the_silent_unit_is_silent_in_one_session_only():
    plan = plan_units(range(1, 9), SESSIONS, seed=4)
    (unit,) = (unit for units in plan.values() for unit in units if unit.sessions != SESSIONS)
    sizes = [spike_trains(plan[unit.channel], name, 900_000, seed=4)[unit.label][0].size for name in SESSIONS]
    assert sizes[0] > 100 and sizes[1] == 0
