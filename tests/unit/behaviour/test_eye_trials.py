"""Trials among the eye tracker's messages: sessions found by content, every lost message repaired or refused."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest

from hippflow.behaviour.eye_messages import ReferenceTrials, navigation_markers
from hippflow.behaviour.eye_trials import split_sessions
from hippflow.errors import MarkerError

#: How far a repaired time may be from the truth, s: messages are in whole ms, and Ripple's map goes through those.
TOLERANCE = 0.003

WORDS = {1: "Start Trial", 2: "Cue Offset", 3: "End Trial", 4: "Timeout"}


@dataclass
class Task:
    """A session as both devices saw it: Ripple's trials, and the eye tracker's clock, another one."""

    codes: np.ndarray
    times: np.ndarray
    offset: float
    ppm: float = 300.0

    @property
    def reference(self):
        return ReferenceTrials(self.codes, self.times)

    @property
    def eye_times(self):
        """Shape (n_trials, 3), in whole ms as the eye tracker writes them."""
        return np.round(self.offset + self.times * (1 + self.ppm * 1e-6), 3)

    @property
    def stop(self):
        return float(self.eye_times[-1, -1]) + 5

    def messages(self, lost=(), trigger=True):
        """The eye tracker's messages but for those at `lost`, counted over all markers."""
        rows = [(round(self.offset - 1.5, 3), "Trigger Version 84")] if trigger else []
        for index, (code, time) in enumerate(zip(self.codes.ravel(), self.eye_times.ravel(), strict=True)):
            if index not in lost:
                rows.append((float(time), f"{WORDS[code // 10]} {code}"))
        return rows


def make_task(n_trials, seed, offset=500.0, ppm=300.0):
    """Random targets and intervals; after a timeout the same target again."""
    rng = np.random.default_rng(seed)
    codes, times, now, target = [], [], 2.0, int(rng.integers(1, 7))
    for _ in range(n_trials):
        end = 3 if rng.random() < 0.8 else 4
        codes.append([10 + target, 20 + target, 10 * end + target])
        times.append(now + np.cumsum([0, rng.uniform(0.9, 1.1), rng.uniform(2, 8)]))
        now = times[-1][-1] + rng.uniform(1, 2)
        target = target if end == 4 else int(rng.integers(1, 7))
    return Task(np.array(codes), np.round(np.array(times) * 30_000) / 30_000, offset, ppm)


def split(messages, **tasks):
    references = {name: task.reference for name, task in tasks.items()}
    return split_sessions(navigation_markers(messages, "181105.edf"), references, "181105.edf")


def expect_repaired(found, task, lost, session="session01"):
    """Every trial is at its own time, and exactly the lost messages are listed."""
    np.testing.assert_array_equal(found.codes, task.codes)
    np.testing.assert_allclose(found.times, task.eye_times, atol=TOLERANCE)
    kept = np.setdiff1d(np.arange(task.codes.size), lost)
    np.testing.assert_array_equal(found.times.ravel()[kept], task.eye_times.ravel()[kept])
    assert np.flatnonzero(found.repaired).tolist() == sorted(lost)
    listed = [(row["session"], row["device"], row["trial"], row["marker"], row["code"]) for row in found.changes]
    names = ("start", "cue", "end")
    assert listed == [
        (session, "eyelink", k // 3, names[k % 3], task.codes.ravel()[k]) for k in sorted(lost)
    ]  # fmt: skip
    for row, k in zip(found.changes, sorted(lost), strict=True):
        assert row["time_s"] == found.times.ravel()[k]
        assert row["what"] == f"message missing: time from Ripple's marker at {task.times.ravel()[k]:.4f} s"


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("lost", range(18))
def test_every_single_lost_message_is_repaired_and_listed(lost, seed):
    task = make_task(6, seed)
    sessions, left_out = split(task.messages([lost]), session01=task)
    expect_repaired(sessions["session01"], task, [lost])
    assert left_out == []


@pytest.mark.parametrize("seed", [0, 1])
def test_every_pair_of_lost_messages_is_repaired_and_listed(seed):
    task = make_task(6, seed)
    for lost in combinations(range(18), 2):
        expect_repaired(split(task.messages(lost), session01=task)[0]["session01"], task, lost)


@pytest.mark.parametrize("trials", [(0,), (3,), (5,), (0, 1), (2, 3), (4, 5), (0, 5)])
def test_whole_lost_trials_are_repaired_and_listed(trials):
    task = make_task(8, seed=4)
    lost = [3 * trial + marker for trial in trials for marker in range(3)]
    sessions, _ = split(task.messages(lost), session01=task)
    expect_repaired(sessions["session01"], task, lost)


def test_trials_that_are_all_alike_are_never_shifted():
    """One target, equal intervals: which trial was lost at an end cannot be told; within the session it can."""
    codes = np.tile([11, 21, 31], (6, 1))
    task = Task(codes, np.arange(6)[:, None] * 10.0 + [2.0, 3.0, 8.0], 500.0)
    for trial in range(6):
        lost = [3 * trial, 3 * trial + 1, 3 * trial + 2]
        if trial in (0, 5):
            with pytest.raises(MarkerError, match=r"181105\.edf.*session01"):
                split(task.messages(lost), session01=task)
        else:
            expect_repaired(split(task.messages(lost), session01=task)[0]["session01"], task, lost)


def test_nothing_lost_changes_nothing():
    task = make_task(40, seed=7, ppm=-300)
    sessions, left_out = split(task.messages(), session01=task)
    found = sessions["session01"]
    expect_repaired(found, task, [])
    assert (found.start, found.stop, left_out) == (498.5, np.inf, [])


@pytest.mark.parametrize("index", [0, 1, 2, 8, 15, 16, 17])
def test_a_doubled_message_is_explained_and_listed(index):
    task = make_task(6, seed=3)
    messages = task.messages()
    time, text = messages[index + 1]
    messages.insert(index + 2, (time + 0.005, text))
    found = split(messages, session01=task)[0]["session01"]
    np.testing.assert_allclose(found.times, task.eye_times, atol=0.0051)
    assert not found.repaired.any()
    (row,) = found.changes
    assert (row["trial"], row["marker"], row["code"]) == (
        index // 3, ("start", "cue", "end")[index % 3], task.codes.ravel()[index]
    )  # fmt: skip
    assert row["what"].startswith("message doubled: left out, the one at ")
    assert {row["time_s"], found.times.ravel()[index]} == {time, time + 0.005}


def test_a_message_that_is_no_marker_of_ripple_is_refused():
    task = make_task(6, seed=3)
    messages = task.messages()
    code = 10 + task.codes[2, 0] % 10 % 6 + 1
    messages.append((task.stop, f"Start Trial {code}"))
    with pytest.raises(MarkerError, match=rf"181105\.edf, session01 .*found code {code} at {task.stop:.3f} s"):
        split(messages, session01=task)


def test_a_trial_that_ripple_has_only_in_part_is_left_out_and_listed():
    task = make_task(7, seed=5)
    reference = ReferenceTrials(task.codes[:6], task.times[:6], unfinished=tuple(task.codes[6, :2]))
    sessions, _ = split_sessions(navigation_markers(task.messages(), "a.edf"), {"session01": reference}, "a.edf")
    assert sessions["session01"].times.shape == (6, 3)
    listed = [(row["trial"], row["code"]) for row in sessions["session01"].changes]
    assert listed == [(None, code) for code in task.codes[6]]
    assert all("after the last whole trial" in row["what"] for row in sessions["session01"].changes)
    with pytest.raises(MarkerError, match="which is none of them"):
        split_sessions(
            navigation_markers(task.messages(), "a.edf"),
            {"session01": ReferenceTrials(task.codes[:6], task.times[:6])},
            "a.edf",
        )


def aborted(n_trials, offset, seed=90):
    """Messages of a start that came to nothing, and when they end."""
    task = make_task(max(n_trials, 1), seed, offset)
    return task.messages()[: 1 + 3 * n_trials], task.stop


@pytest.mark.parametrize("n_trials", [0, 1, 2, 5])
@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_an_aborted_start_shifts_no_session(place, n_trials):
    start, after = aborted(n_trials, 100.0) if place == "before" else ([], 100.0)
    first = make_task(6, 1, offset=after + 10)
    middle, after = aborted(n_trials, first.stop + 10) if place == "between" else ([], first.stop)
    second = make_task(5, 2, offset=after + 10)
    last = aborted(n_trials, second.stop + 10)[0] if place == "after" else []
    messages = start + first.messages([3]) + middle + second.messages([14]) + last
    sessions, left_out = split(messages, session01=first, session02=second)
    expect_repaired(sessions["session01"], first, [3], "session01")
    expect_repaired(sessions["session02"], second, [14], "session02")
    assert sessions["session01"].start == round(first.offset - 1.5, 3)
    next_trigger = middle[0][0] if place == "between" else round(second.offset - 1.5, 3)
    assert sessions["session01"].stop == next_trigger
    assert sessions["session02"].stop == (last[0][0] if last else np.inf)
    (row,) = left_out
    assert (row["session"], row["marker"], row["code"], row["time_s"]) == (
        "",
        "trigger",
        84,
        (start + middle + last)[0][0],
    )
    assert f"the {3 * n_trials} trial messages" in row["what"]


def test_an_aborted_start_with_the_sessions_own_first_trials_shifts_nothing():
    task = make_task(6, seed=2, offset=900)
    early = Task(task.codes[:2], task.times[:2], 300.0)
    sessions, left_out = split(early.messages() + task.messages(), session01=task)
    expect_repaired(sessions["session01"], task, [])
    assert [row["time_s"] for row in left_out] == [298.5]


def test_only_some_of_the_files_sessions_are_asked_for():
    first, second, third = (make_task(6, seed, offset=1000.0 * seed) for seed in (1, 2, 3))
    messages = first.messages() + second.messages([4]) + third.messages()
    sessions, left_out = split(messages, session02=second)
    expect_repaired(sessions["session02"], second, [4], "session02")
    assert len(left_out) == 2


def test_messages_before_the_first_trigger_are_left_out_and_listed():
    task = make_task(6, seed=2)
    sessions, left_out = split([(3.0, "Start Trial 11"), *task.messages()], session01=task)
    expect_repaired(sessions["session01"], task, [])
    assert [(row["code"], row["time_s"], row["what"]) for row in left_out] == [
        (11, 3.0, "left out: before the first trigger")
    ]


def test_a_session_that_is_not_in_the_file_is_refused_by_name():
    first, other = make_task(6, 1), make_task(6, 2)
    with pytest.raises(MarkerError, match=r"181105\.edf: expected the 6 trials of session02 .*found them after none"):
        split(first.messages(), session01=first, session02=other)
    with pytest.raises(MarkerError, match="of session01 after one of 0 messages"):
        split(first.messages(trigger=False), session01=first)


def test_two_recordings_of_one_session_are_refused_with_both_places():
    first, again = make_task(6, 1, offset=100.0), make_task(6, 1, offset=800.0)
    with pytest.raises(
        MarkerError, match=r"session01 .*equally well after triggers 1 \(98\.500 s\) and 2 \(798\.500 s\)"
    ):
        split(first.messages() + again.messages(), session01=first)


def test_sessions_in_another_order_than_their_stretches_are_refused():
    first, second = make_task(6, 1, offset=100.0), make_task(6, 2, offset=800.0)
    messages = first.messages() + second.messages()
    with pytest.raises(MarkerError, match="session01 and session02 one after the other, .*triggers 2 and 1"):
        split(messages, session01=second, session02=first)
    with pytest.raises(MarkerError, match="session01 and session02 one after the other, .*triggers 1 and 1"):
        split(messages, session01=first, session02=first)


def test_a_lost_trigger_is_refused():
    first, second = make_task(6, 1, offset=100.0), make_task(6, 2, offset=800.0)
    with pytest.raises(MarkerError, match=r"181105\.edf.*session0[12]"):
        split(first.messages() + second.messages(trigger=False), session01=first, session02=second)


def test_a_trigger_that_came_after_the_first_trial_is_refused():
    task = make_task(6, seed=2)
    messages = [row for row in task.messages() if row[1] != "Trigger Version 84"]
    messages.insert(2, (messages[1][0] + 0.1, "Trigger Version 84"))
    with pytest.raises(MarkerError, match="session01 .*is a trigger missing"):
        split(messages, session01=task)


def test_sessions_without_trials_in_this_format_are_refused():
    markers = navigation_markers(make_task(6, 1).messages(), "a.edf")
    for shape in ((0, 3), (6, 2), (9,)):
        with pytest.raises(MarkerError, match=r"session01: expected Ripple's trials as start, cue and end"):
            split_sessions(markers, {"session01": ReferenceTrials(np.zeros(shape), np.zeros(shape))}, "a.edf")
