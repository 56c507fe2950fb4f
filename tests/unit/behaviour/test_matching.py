"""Markers of a device against Ripple's: by code and time, so that a lost one shifts nothing."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marker_sessions import make_session

from hippflow.behaviour.matching import match_markers
from hippflow.errors import MarkerError

#: All single losses and all pairs on six trials with a session start.
LOSSES = [(index,) for index in range(19)] + list(itertools.combinations(range(19), 2))


def assert_true_pairs(match, kept, n_reference):
    """`kept` are the reference indices of the device's markers, in order."""
    assert match.pairs.tolist() == [[device, reference] for device, reference in enumerate(kept)]
    assert match.missing.tolist() == sorted(set(range(n_reference)) - set(kept.tolist()))
    assert match.extra.tolist() == []
    assert {array.dtype for array in (match.pairs, match.missing, match.extra)} == {np.dtype(np.int64)}


@pytest.mark.parametrize("target", [None, 1])
@pytest.mark.parametrize(("ppm", "jitter"), [(0, 0.001), (300, 0.003), (-1000, 0.02)])
def test_every_loss_of_one_or_two_markers_is_found_exactly(target, ppm, jitter):
    session = make_session(6, seed=1, ppm=ppm, jitter=jitter, target=target)
    for lost in LOSSES:
        codes, times, kept = session.without(lost)
        assert_true_pairs(match_markers(codes, times, session.codes, session.times), kept, 19)


@pytest.mark.parametrize("lost", [(0, 1, 2), (15, 16, 17), (6, 7, 8), (0, 1, 2, 15, 16, 17), (3, 4, 5, 6, 7, 8)])
@pytest.mark.parametrize("target", [None, 4])
def test_whole_trials_lost_without_a_session_start(lost, target):
    session = make_session(6, seed=2, jitter=0.005, target=target, start=False)
    codes, times, kept = session.without(lost)
    assert_true_pairs(match_markers(codes, times, session.codes, session.times), kept, 18)


@pytest.mark.parametrize("ppm", [0, 300, 1000, -1000])
@pytest.mark.parametrize("offset", [0.0, -40000.0, 86400.25])
def test_an_hour_of_300_trials_with_any_offset_and_drift(ppm, offset):
    session = make_session(300, seed=3, ppm=ppm, offset=offset, jitter=0.05)
    lost = np.random.default_rng(4).choice(901, 40, replace=False)
    codes, times, kept = session.without(lost)
    begun = time.perf_counter()
    assert_true_pairs(match_markers(codes, times, session.codes, session.times), kept, 901)
    assert time.perf_counter() - begun < 1.0


def test_the_same_target_all_day_and_half_of_the_markers_lost():
    session = make_session(300, seed=5, ppm=-1000, jitter=0.02, target=2)
    codes, times, kept = session.without(np.arange(100, 550))
    assert_true_pairs(match_markers(codes, times, session.codes, session.times), kept, 901)


@pytest.mark.parametrize("index", range(19))
@pytest.mark.parametrize("delay", [0.001, 0.02, 0.4, 0.9])
def test_a_doubled_marker_is_the_extra_one(index, delay):
    session = make_session(6, seed=6, jitter=0.001, target=3)
    codes = np.insert(session.codes, index + 1, session.codes[index])
    times = np.insert(session.device_times, index + 1, session.device_times[index] + delay)
    match = match_markers(codes, times, session.codes, session.times)
    assert match.missing.tolist() == []
    assert match.pairs[:, 1].tolist() == list(range(19))
    if delay > 0.01:
        assert match.extra.tolist() == [index + 1]
    else:  # either of two copies 1 ms apart, when times jitter by as much
        assert match.extra.tolist() in ([index], [index + 1])


def test_a_marker_at_a_wrong_time_is_extra_and_its_own_is_missing():
    session = make_session(6, seed=7)
    times = session.device_times.copy()
    times[8] += 0.5
    match = match_markers(session.codes, times, session.codes, session.times)
    assert (match.missing.tolist(), match.extra.tolist()) == ([8], [8])


def test_a_wrong_code_is_never_paired():
    session = make_session(6, seed=8)
    codes = session.codes.copy()
    codes[5] = {11: 12}.get(codes[5], 11)
    match = match_markers(codes, session.device_times, session.codes, session.times)
    assert (match.missing.tolist(), match.extra.tolist()) == ([5], [5])


@pytest.mark.parametrize("jump", [0.3, -0.9])
def test_a_clock_that_jumps_in_the_middle_keeps_all_its_markers(jump):
    """A game engine does not count all the time of a very late frame."""
    session = make_session(30, seed=9, jitter=0.005)
    times = session.device_times + np.where(np.arange(91) >= 41, jump, 0)
    match = match_markers(session.codes, times, session.codes, session.times)
    assert match.pairs.tolist() == [[k, k] for k in range(91)]


def test_trials_that_are_all_alike_are_told_apart_by_the_session_start():
    session = make_session(6, seed=10, target=1, lengths=(6.0, 6.0))
    session.codes[3::3] = 31
    codes, times, kept = session.without([1, 2, 3])
    assert_true_pairs(match_markers(codes, times, session.codes, session.times), kept, 19)


@pytest.mark.parametrize("lost", [[0, 1, 2], [15, 16, 17], [0, 17]])
def test_a_first_or_last_trial_lost_among_trials_all_alike_is_refused(lost):
    session = make_session(6, seed=11, target=1, lengths=(6.0, 6.0), start=False, jitter=0.001)
    session.codes[2::3] = 31
    codes, times, _ = session.without(lost)
    if lost == [0, 17]:  # only the true way has a place for the markers of both ends
        assert match_markers(codes, times, session.codes, session.times).missing.tolist() == lost
    else:
        with pytest.raises(MarkerError, match=r"two ways .* about equally good .* restore the lost markers"):
            match_markers(codes, times, session.codes, session.times)


@pytest.mark.parametrize(("spread", "noise", "ppm", "n_trials"), [(0.02, 0.0005, 300, 20), (0.002, 0.0, -1000, 7)])
def test_small_differences_decide_when_the_clocks_agree_better(spread, noise, ppm, n_trials):
    """Trials of one target, all 8 s long within `spread`; the first is lost. Drift is up to 8 ms a trial."""
    session = make_session(n_trials, seed=12, target=1, ppm=ppm, start=False)
    session.codes[2::3] = 31
    rng = np.random.default_rng(0)
    starts = 5.0 + 8.0 * np.arange(n_trials) + rng.uniform(-spread, spread, n_trials)
    session.times = (starts[:, None] + [0.0, 1.0, 7.0] + rng.uniform(-spread, spread, (n_trials, 3))).ravel()
    session.device_times = session.on_device(session.times) + rng.uniform(-noise, noise, 3 * n_trials)
    codes, times, kept = session.without([0, 1, 2])
    assert_true_pairs(match_markers(codes, times, session.codes, session.times), kept, 3 * n_trials)


def test_very_short_trials_all_alike_are_refused_too():
    """One every 0.9 s: two explanations lie within one look around the line."""
    reference = 5 + np.arange(30) * 0.3
    codes = np.tile([11, 21, 31], 10)
    with pytest.raises(MarkerError, match="two ways"):
        match_markers(codes[3:], 100 + reference[3:], codes, reference)


def test_markers_of_another_session_are_refused():
    one, other = make_session(30, seed=13), make_session(30, seed=14)
    with pytest.raises(MarkerError, match=r"day\.edf: .*of which \d+ agree .*same session"):
        match_markers(other.codes, other.device_times, one.codes, one.times, device="day.edf")


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_markers_are_refused(count):
    session = make_session(6, seed=15)
    with pytest.raises(MarkerError, match="agree in code and time"):
        match_markers(session.codes[:count], session.device_times[:count], session.codes, session.times)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_times_that_are_not_in_order_are_refused(bad):
    session = make_session(6, seed=16)
    times = session.device_times.copy()
    times[7] = bad
    with pytest.raises(MarkerError, match=r"maze\.txt: expected finite marker times in order"):
        match_markers(session.codes, times, session.codes, session.times, device="maze.txt")


def test_a_time_too_few_is_refused():
    session = make_session(6, seed=17)
    with pytest.raises(MarkerError, match="one time for every code"):
        match_markers(session.codes, session.device_times[:-1], session.codes, session.times)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_trials=st.integers(6, 40),
    ppm=st.floats(-1000, 1000),
    offset=st.floats(-1e5, 1e5),
    jitter=st.sampled_from([0.0, 0.002, 0.02, 0.05]),
    target=st.sampled_from([None, 5]),
    data=st.data(),
)
def test_no_loss_and_no_doubling_ever_shifts_a_marker(seed, n_trials, ppm, offset, jitter, target, data):
    """Up to a sixth of the markers lost, some doubled: every pair is a true one, and all that is left is found."""
    session = make_session(n_trials, seed=seed, ppm=ppm, offset=offset, jitter=jitter, target=target)
    n = len(session.codes)
    lost = data.draw(st.lists(st.integers(0, n - 1), max_size=n // 6, unique=True))
    codes, times, kept = session.without(lost)
    doubled = data.draw(st.lists(st.integers(0, len(kept) - 1), max_size=3, unique=True))
    codes, kept = np.r_[codes, codes[doubled]], np.r_[kept, kept[doubled]]
    times = np.r_[times, times[doubled] + 0.3]
    order = np.argsort(times, kind="stable")
    codes, times, kept = codes[order], times[order], kept[order]
    match = match_markers(codes, times, session.codes, session.times)
    assert (kept[match.pairs[:, 0]] == match.pairs[:, 1]).all()
    assert match.missing.tolist() == sorted(lost)
    assert len(match.extra) == len(doubled)
