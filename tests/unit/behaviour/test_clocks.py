"""The map between two clocks against the affine clocks that made the markers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marker_sessions import make_session

from hippflow.behaviour.clocks import ClockMap, fit_clock
from hippflow.behaviour.matching import match_markers
from hippflow.errors import AlignmentError


def clock_of(session, lost=()):
    codes, times, _ = session.without(list(lost))
    return fit_clock(match_markers(codes, times, session.codes, session.times), times, session.times)


@pytest.mark.parametrize("ppm", [0, 300, -1000])
def test_an_hour_of_300_trials_maps_within_1_ms_without_growth(ppm):
    """Every millisecond of the day, 40 markers lost, markers in whole ms as EyeLink has them."""
    session = make_session(300, seed=20, ppm=ppm)
    session.device_times = np.round(session.device_times, 3)
    clock = clock_of(session, np.random.default_rng(1).choice(901, 40, replace=False))
    true = np.arange(0.0, session.times[-1] + 30, 0.001)
    errors = np.abs(clock.to_reference(session.on_device(true)) - true)
    assert errors.max() < 1e-3
    tenths = np.array_split(errors, 10)
    assert tenths[-1].max() < 1.5 * max(tenth.max() for tenth in tenths[:-1])
    assert abs(clock.drift_ppm - ppm) < 1.0


@pytest.mark.parametrize("ppm", [0, 300, -1000])
def test_exact_markers_give_the_exact_clock_everywhere(ppm):
    session = make_session(6, seed=21, ppm=ppm, offset=1000.0)
    clock = clock_of(session)
    true = np.linspace(-100, session.times[-1] + 100, 1000)
    np.testing.assert_allclose(clock.to_reference(session.on_device(true)), true, atol=1e-8)
    np.testing.assert_allclose(clock.to_device(true), session.on_device(true), atol=1e-8)
    assert clock.drift_ppm == pytest.approx(ppm, abs=1e-3)
    assert clock.ratio == pytest.approx(1 / (1 + ppm * 1e-6), abs=1e-9)


def test_between_markers_the_map_is_the_line_through_both():
    clock = ClockMap([10.0, 20.0, 40.0], [0.0, 11.0, 30.0])
    assert clock.to_reference([10, 15, 20, 30, 40]).tolist() == [0.0, 5.5, 11.0, 20.5, 30.0]
    assert clock.ratio == 1.0  # the middle one of 1.1, 1.0 and 0.95
    assert clock.to_reference([5, 45]).tolist() == [-5.0, 35.0]


def test_no_time_stays_no_time_and_shapes_are_kept():
    clock = ClockMap([0.0, 1.0], [5.0, 6.0])
    mapped = clock.to_reference([[np.nan, 0.25], [2.0, -1.0]])
    np.testing.assert_array_equal(mapped, [[np.nan, 5.25], [7.0, 4.0]])


@settings(max_examples=100, deadline=None)
@given(
    gaps=st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.99, 1.01)), min_size=1, max_size=50),
    offset=st.floats(-1e5, 1e5),
    shares=st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=20),
)
def test_there_and_back_is_the_same_time(gaps, offset, shares):
    device = np.cumsum([offset] + [gap for gap, _ in gaps])
    clock = ClockMap(device, np.cumsum([0.0] + [gap * ratio for gap, ratio in gaps]))
    times = device[0] + np.array(shares) * (device[-1] - device[0])
    np.testing.assert_allclose(clock.to_device(clock.to_reference(times)), times, atol=1e-7)


def test_the_residual_is_the_error_a_marker_would_have_if_it_had_been_lost():
    session = make_session(30, seed=22, jitter=0.004)
    residuals = clock_of(session).residuals()
    for lost in range(91):
        without = clock_of(session, [lost])
        predicted = without.to_reference(session.device_times[lost])
        assert predicted - session.times[lost] == pytest.approx(residuals[lost], abs=1e-9), lost
    assert 0 < np.abs(residuals).max() < 0.012


@pytest.mark.parametrize(("index", "sign"), [(0, 1), (1, 1), (17, -1), (90, -1)])
def test_one_wrong_marker_is_the_only_outlier(index, sign):
    session = make_session(30, seed=23, jitter=0.001)
    times = session.device_times.copy()
    times[index] += sign * 0.1
    clock = ClockMap(times, session.times)
    assert clock.outliers(0.02).tolist() == [index]
    assert clock.residuals()[index] == pytest.approx(sign * 0.1, abs=0.005)
    assert clock.outliers(0.2).tolist() == []


def test_all_wrong_markers_are_found_and_no_other():
    session = make_session(30, seed=24, jitter=0.001)
    times = session.device_times.copy()
    times[[0, 17, 40, 60]] += [0.05, 0.1, -0.07, -0.2]
    assert ClockMap(times, session.times).outliers(0.02).tolist() == [0, 17, 40, 60]


def test_two_markers_are_a_clock():
    clock = ClockMap([0.0, 10.0], [100.0, 110.002])
    assert clock.residuals() == pytest.approx([0.002, -0.002])
    assert clock.drift_ppm == pytest.approx(-199.96, abs=0.01)


@pytest.mark.parametrize(
    ("device", "reference"),
    [([1.0], [1.0]), ([], []), ([0, 1, 1], [0, 1, 2]), ([0, 1, 2], [0, 2, 1]), ([0, np.nan], [0, 1])],
)
def test_times_that_are_no_clock_are_refused(device, reference):
    with pytest.raises(AlignmentError, match="each later than the one before"):
        ClockMap(np.array(device, float), np.array(reference, float))


def test_unequal_numbers_of_markers_are_refused():
    with pytest.raises(AlignmentError, match="as many reference as device times"):
        ClockMap(np.arange(3.0), np.arange(4.0))
