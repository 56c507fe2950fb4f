"""Trials of a maze log against Ripple's, with triggers lost, doubled and wrong; times and movement."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippflow.behaviour.navigation import MARKER_NAMES, find_trials, frame_times, movement, trial_times, wrap
from hippflow.errors import MarkerError

NAME = "RawData_T1-400/session_1_5112018105911.txt"


@dataclass
class Session:
    """A log and what Ripple recorded of it; rows are the truth."""

    trigger: np.ndarray
    delta_time: np.ndarray
    codes: np.ndarray
    times: np.ndarray
    rows: np.ndarray

    def find(self, files=None, **options):
        files = files or [(NAME, len(self.trigger))]
        return find_trials(self.trigger, self.delta_time, files, self.codes, self.times, **options)

    def without(self, *markers):
        """The log without some markers, counted over all trials."""
        trigger = self.trigger.copy()
        trigger[self.rows.ravel()[list(markers)]] = 0
        return Session(trigger, self.delta_time, self.codes, self.times, self.rows)


def make_session(n_trials=8, seed=0, drift=300e-6, offset=17.25, pauses=()):
    """Trials with posters as in the task (a timeout repeats its poster); Ripple's clock is fast and starts earlier.

    `pauses` are pairs (trial, seconds): the log stands still in front of that trial.
    """
    rng = np.random.default_rng(seed)
    trigger, rows, codes, gone = [84, *[0] * 60], [], [], {}
    poster = int(rng.integers(1, 7))
    for trial in range(n_trials):
        gone[len(trigger)] = dict(pauses).get(trial, 0.0)
        rewarded = rng.random() < 0.8
        stretches = (45, int(rng.integers(60, 400)), int(rng.integers(30, 120)))
        trial_codes = [10 + poster, 20 + poster, (30 if rewarded else 40) + poster]
        rows.append([])
        for code, length in zip(trial_codes, stretches, strict=True):
            rows[-1].append(len(trigger))
            trigger += [code, *[0] * length]
        codes.append(trial_codes)
        poster = int(rng.integers(1, 7)) if rewarded else poster
    delta_time = np.round(rng.normal(1 / 30, 0.002, len(trigger)), 8)
    lost = np.array([gone.get(row, 0.0) for row in range(len(trigger))])
    times = offset + (1 + drift) * np.cumsum(delta_time + lost) + rng.uniform(0, 1e-3, len(trigger))
    rows = np.array(rows)
    return Session(np.array(trigger), delta_time, np.array(codes), times[rows], rows)


@pytest.fixture(scope="module")
def session():
    return make_session()


def test_the_triggers_of_a_whole_log_are_its_trials(session):
    trials = session.find()
    assert trials.rows.tolist() == session.rows.tolist()
    assert trials.rows.dtype == np.int64
    assert (trials.repairs, trials.extras, trials.pauses.tolist()) == ([], [], [0.0])
    assert trials.trigger.tolist() == session.trigger.tolist()


@pytest.mark.parametrize("n_trials", [1, 2])
def test_short_sessions_have_trials_too(n_trials):
    session = make_session(n_trials, seed=4)
    assert session.find().rows.tolist() == session.rows.tolist()


@pytest.mark.parametrize("lost", range(24))
def test_any_lost_trigger_is_put_in_where_it_was(session, lost):
    trials = session.without(lost).find()
    assert trials.rows.tolist() == session.rows.tolist()
    assert trials.trigger.tolist() == session.trigger.tolist()
    assert trials.extras == []
    assert trials.repairs == [
        {
            "device": "unity",
            "trial": lost // 3,
            "marker": ("start", "cue", "end")[lost % 3],
            "code": session.codes[lost // 3, lost % 3],
            "time": session.times[lost // 3, lost % 3],
            "row": session.rows[lost // 3, lost % 3],
        }
    ]


def test_any_two_lost_triggers_are_put_in_where_they_were(session):
    for lost in itertools.combinations(range(24), 2):
        trials = session.without(*lost).find()
        assert np.abs(trials.rows - session.rows).max() <= 1, lost
        assert [3 * entry["trial"] + MARKER_NAMES.index(entry["marker"]) for entry in trials.repairs] == list(lost)


@pytest.mark.parametrize("trial", range(8))
def test_a_lost_trial_is_put_in_and_shifts_no_other(session, trial):
    trials = session.without(3 * trial, 3 * trial + 1, 3 * trial + 2).find()
    assert np.abs(trials.rows - session.rows).max() <= 1
    assert [entry["marker"] for entry in trials.repairs] == ["start", "cue", "end"]
    assert {entry["trial"] for entry in trials.repairs} == {trial}


@pytest.mark.parametrize("marker", range(24))
@pytest.mark.parametrize("later", [1, 2, 5])
def test_a_doubled_trigger_is_explained_by_its_twin(session, marker, later):
    row, code = session.rows.flat[marker], session.codes.flat[marker]
    session = session.without()
    session.trigger[row + later] = code
    trials = session.find()
    assert np.abs(trials.rows - session.rows).max() <= later
    assert [(entry["code"], entry["reason"]) for entry in trials.extras] == [(code, "doubled")]
    assert {int(trials.rows.flat[marker]), trials.extras[0]["row"]} == {row, row + later}
    assert abs(trials.extras[0]["time"] - session.times.flat[marker]) < 0.05 * (later + 1)
    assert trials.trigger[trials.extras[0]["row"]] == 0
    assert trials.repairs == []


def test_lost_and_doubled_triggers_do_not_cancel_out(session):
    """As many codes as there should be, in an order that a count by threes takes for trials."""
    broken = session.without(7)
    broken.trigger[session.rows[0, 2] + 1] = session.codes[0, 2]
    trials = broken.find()
    assert np.abs(trials.rows - session.rows).max() <= 1
    assert ([r["trial"] for r in trials.repairs], [e["row"] for e in trials.extras]) == ([2], [session.rows[0, 2] + 1])


@pytest.mark.parametrize(
    ("row_after", "code"), [(30, None), (20, 36), (20, 11)], ids=["repeated after a second", "an end", "a start"]
)
def test_a_trigger_that_nothing_explains_is_refused_with_its_neighbours(session, row_after, code):
    broken = session.without()
    row = session.rows[3, 1] + row_after
    broken.trigger[row] = session.codes[3, 1] if code is None else code
    around = " ".join(map(str, session.codes.ravel()[8:11])) + rf" \[{broken.trigger[row]}\] {session.codes[3, 2]} "
    with pytest.raises(MarkerError, match=rf"{NAME}: trigger {broken.trigger[row]} in row {row} .*{around}"):
        broken.find()


def test_a_trigger_with_the_wrong_poster_is_refused(session):
    broken = session.without()
    row = session.rows[5, 2]
    broken.trigger[row] = 30 + (session.codes[5, 2] % 10) % 6 + 1
    with pytest.raises(MarkerError, match=rf"trigger {broken.trigger[row]} in row {row} .* is none of Ripple's"):
        broken.find()


def test_the_log_of_another_session_is_refused(session):
    other = make_session(seed=9)
    with pytest.raises(MarkerError, match=NAME):
        Session(session.trigger, session.delta_time, other.codes, other.times, session.rows).find()


def test_a_log_that_ends_before_the_last_trial_does_is_refused(session):
    n_rows = session.rows[-1, 2] - 30
    cut = Session(session.trigger[:n_rows], session.delta_time[:n_rows], session.codes, session.times, session.rows)
    with pytest.raises(MarkerError, match=rf"the end of trial 8, .*\[{session.codes[-1, 2]}\].* is the log cut off"):
        cut.find()


def test_what_follows_a_recording_that_was_cut_off_is_left_out(session):
    short = Session(session.trigger, session.delta_time, session.codes[:6], session.times[:6], session.rows[:6])
    with pytest.raises(MarkerError, match="is the recording whole"):
        short.find()
    trials = short.find(cut_off=True)
    assert trials.rows.tolist() == session.rows[:6].tolist()
    assert [entry["row"] for entry in trials.extras] == session.rows[6:].ravel().tolist()
    assert {entry["reason"] for entry in trials.extras} == {"after the recording's last whole trial"}
    assert not trials.trigger[session.rows[6:]].any()


def test_sessions_without_trials():
    none = np.zeros((0, 3))
    trials = find_trials([84, 0, 0], [0.1] * 3, [(NAME, 3)], none, none)
    assert (trials.rows.shape, trials.repairs, trials.extras) == ((0, 3), [], [])
    with pytest.raises(MarkerError, match=r"trigger 11 in row 1 .*\[11\] 21"):
        find_trials([84, 11, 21], [0.1] * 3, [(NAME, 3)], none, none)
    trials = find_trials([84, 11, 21], [0.1] * 3, [(NAME, 3)], none, none, cut_off=True)
    assert [entry["code"] for entry in trials.extras] == [11, 21]
    assert np.isnan(trials.extras[0]["time"])
    with pytest.raises(MarkerError, match=NAME):
        find_trials([84, 0, 0], [0.1] * 3, [(NAME, 3)], [[11, 21, 31]], [[1.0, 2.0, 3.0]])


def test_a_session_start_is_no_trigger_of_a_trial(session):
    doubled = session.without()
    doubled.trigger[1] = 84
    trials = doubled.find()
    assert trials.rows.tolist() == session.rows.tolist()
    assert [(entry["code"], entry["row"], entry["reason"]) for entry in trials.extras] == [(84, 1, "doubled")]
    assert trials.times[1] == 0
    missing = session.without()
    missing.trigger[0] = 0
    assert missing.find().rows.tolist() == session.rows.tolist()
    second = session.without()
    second.trigger[session.rows[4, 2] + 9] = 84
    with pytest.raises(MarkerError, match=r"trigger 84 in row \d+ .*\[84\].* starts a session inside another"):
        second.find()


@pytest.mark.parametrize("pause", [0.0, 61.5])
@pytest.mark.parametrize("lost", [None, 4, 9, 14])
def test_several_files_are_one_session(pause, lost):
    """The second file begins in front of trial 3, the fourth in front of trial 6; the third has a header only."""
    session = make_session(9, seed=2, pauses=[(3, pause), (6, 2 * pause)])
    first, second = session.rows[[3, 6], 0].tolist()
    files = [("a", first), ("b", second - first), ("c", 0), ("d", len(session.trigger) - second)]
    session.trigger[second - 20] = 0
    session.trigger[first] = session.codes[3, 0]
    trials = (session if lost is None else session.without(lost)).find(files)
    assert np.abs(trials.rows - session.rows).max() <= (0 if lost is None else 1)
    assert [3 * entry["trial"] + MARKER_NAMES.index(entry["marker"]) for entry in trials.repairs] == (
        [] if lost is None else [lost]
    )
    np.testing.assert_allclose(trials.pauses, [0, pause, 0, 2 * pause], atol=2e-3)
    took, expected = trials.times[session.rows + 1], session.times / (1 + 300e-6)
    np.testing.assert_allclose(took - took[0, 0], expected - expected[0, 0], atol=5e-3)
    if pause == 0:
        assert trials.times.tolist() == frame_times(session.trigger, session.delta_time).tolist()


def test_each_file_may_have_its_own_session_start():
    session = make_session(6, seed=2, pauses=[(3, 30.0)])
    begin = int(session.rows[3, 0]) - 10
    session.trigger[begin] = 84
    files = [("a", begin), ("b", len(session.trigger) - begin)]
    trials = session.find(files)
    assert (trials.rows.tolist(), trials.extras) == (session.rows.tolist(), [])
    assert np.flatnonzero(trials.trigger == 84).tolist() == [0, begin]


def test_files_in_the_wrong_order_are_refused():
    session = make_session(8, seed=2, pauses=[(4, 30.0)])
    begin = int(session.rows[4, 0])
    order = np.r_[begin : len(session.trigger), 0:begin]
    swapped = Session(session.trigger[order], session.delta_time[order], session.codes, session.times, session.rows)
    with pytest.raises(MarkerError, match="b: "):
        swapped.find([("a", len(order) - begin), ("b", begin)])


def test_the_session_starts_at_time_0():
    delta_time = np.array([0.5, 0.25, 0.125, 1.0])
    assert frame_times([84, 0, 11, 0], delta_time).tolist() == [-0.5, 0.0, 0.25, 0.375, 1.375]
    assert frame_times([0, 204, 11, 84], delta_time).tolist() == [-0.75, -0.25, 0.0, 0.125, 1.125]
    assert frame_times([0, 0, 11, 0], delta_time).tolist() == [-0.5, 0.0, 0.25, 0.375, 1.375]
    pyhipp = np.append([0], np.cumsum(delta_time[1:]))  # of the rows after the 84, which it drops
    np.testing.assert_allclose(frame_times([84, 0, 11, 0], delta_time)[1:], pyhipp)


def test_trial_times_begin_at_the_cue_offset():
    delta_time = np.array([0.5, 0.25, 0.125, 1.0, 2.0, 4.0, 8.0])
    rows = np.array([[0, 1, 4], [4, 5, 6]])
    table = trial_times(frame_times([84, 0, 0, 0, 0, 0, 0], delta_time), rows)
    # PyHipp: 0, then the cumulative times of the rows after the cue offset; a row more than the longest trial needs
    expected = [[0, 0.125, 1.125, 3.125, np.nan], [0, 8.0, np.nan, np.nan, np.nan]]
    np.testing.assert_array_equal(table.T, expected)
    assert trial_times(np.zeros(3), np.zeros((0, 3), int)).shape == (0, 0)


_STEPS = st.lists(st.tuples(*[st.integers(-3, 3).map(lambda k: k / 4) | st.floats(-20, 20)] * 2), max_size=30)


@given(_STEPS)
def test_movement_is_pyhipps(points):
    x, z = np.array(points, float).reshape(-1, 2).T
    direction, displacement = movement(x, z)
    for k in range(len(points)):
        dx, dz = (0.0, 0.0) if k == 0 else (x[k] - x[k - 1], z[k] - z[k - 1])
        assert displacement[k] == pytest.approx(math.sqrt(dx * dx + dz * dz), rel=1e-12, abs=1e-150)
        if displacement[k] == 0:
            assert math.isnan(direction[k])
            continue
        angle = math.degrees(math.atan2(dz, dx)) % 360
        expected = (360 - (angle - 90) % 360) % 360
        assert 0 <= direction[k] < 360
        assert abs((direction[k] - expected + 180) % 360 - 180) < 1e-9


def test_directions_are_clockwise_from_plus_z():
    x, z = np.array([0, 0, 1, 2, 2, 1, 0, 0.0]), np.array([0, 1, 2, 2, 1, 0, 0, 1.0])
    direction, displacement = movement(x, z)
    np.testing.assert_allclose(direction, [np.nan, 0, 45, 90, 180, 225, 270, 0])
    np.testing.assert_allclose(displacement, [0, 1, 2**0.5, 1, 1, 2**0.5, 1, 1])


def test_angles_are_wrapped_below_360():
    assert wrap([-0.0001, 0, 359.9999, 360, 720.5, -1e-18]).tolist() == [359.9999, 0, 359.9999, 0, 0.5, 0]
