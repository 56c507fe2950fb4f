"""Codes among the eye tracker's messages, and the trials of the fixation task."""

import numpy as np
import pytest

from hippflow.behaviour.eye_messages import ReferenceTrials, fixation_markers, navigation_markers
from hippflow.behaviour.eye_trials import fixation_trials
from hippflow.errors import MarkerError

#: How far a repaired time may be from the truth, s: messages are in whole ms, and Ripple's map goes through those.
TOLERANCE = 0.003


@pytest.mark.parametrize("text", ["Start Trial", "Start Trial 21", "Cue Offset 27", "End Trial 3", "Timeout 4x"])
def test_a_damaged_message_is_refused(text):
    with pytest.raises(MarkerError, match=rf"a\.edf: expected the message .*found '{text}' at 1\.500 s"):
        navigation_markers([(1.5, text)], "a.edf")


def test_other_messages_are_no_markers():
    texts = [
        "!MODE RECORD CR 1000 2 1 L",
        "Trigger Version",
        "Restart Trial 11",
        "1  0  0  0  0  0  0  0",
        "Timeouts 41",
    ]
    found = navigation_markers([(1.0, text) for text in texts], "a.edf")
    assert (found.codes.size, found.triggers.size) == (0, 0)


def bits(code):
    return "  ".join(f"{code:08b}")


def make_fixation(n_trials, seed=0, offset=70.0):
    """Codes (n,) and Ripple's times of the fixation task, and the eye tracker's."""
    rng = np.random.default_rng(seed)
    codes = np.array([[128, 6 if rng.random() < 0.7 else 7, 32] for _ in range(n_trials)])
    times = np.cumsum(rng.uniform(0.4, 2.5, codes.size)).reshape(codes.shape)
    return codes, times, np.round(offset + times * (1 - 2e-4), 3)


def fixation(codes, eye_times, reference, lost=()):
    messages = [
        (float(time), bits(code))
        for k, (code, time) in enumerate(zip(codes.ravel(), eye_times.ravel(), strict=True))
        if k not in lost
    ]
    return fixation_trials(fixation_markers(messages, "P11_5.edf"), reference, "P11_5.edf", "sessioneye")


@pytest.mark.parametrize("lost", [*[(k,) for k in range(18)], (0, 1), (15, 16, 17), (2, 5)])
def test_lost_messages_of_the_fixation_task_are_repaired_and_listed(lost):
    codes, times, eye_times = make_fixation(6)
    found = fixation(codes, eye_times, ReferenceTrials(codes.ravel(), times.ravel()), lost)
    np.testing.assert_array_equal(found.codes, codes)
    np.testing.assert_allclose(found.times, eye_times, atol=TOLERANCE)
    assert np.flatnonzero(found.repaired).tolist() == list(lost)
    names = {128: "start", 6: "reward", 7: "failed", 32: "end"}
    assert [(row["session"], row["trial"], row["marker"]) for row in found.changes] == [
        ("sessioneye", k // 3, names[codes.ravel()[k]]) for k in lost
    ]


def test_fixation_trials_are_repaired_from_markers_of_another_format():
    codes, times, eye_times = make_fixation(6)
    ripple = np.array([[11, 21, 31 if row[1] == 6 else 41] for row in codes])
    found = fixation(codes, eye_times, ReferenceTrials(ripple, times), lost=[0, 10])
    np.testing.assert_array_equal(found.codes, codes)
    np.testing.assert_allclose(found.times, eye_times, atol=TOLERANCE)
    assert len(found.changes) == 2
    with pytest.raises(MarkerError, match=r"P11_5\.edf, sessioneye: expected Ripple's markers .*shape \(6, 2\)"):
        fixation(codes, eye_times, ReferenceTrials(ripple[:, :2], times[:, :2]))


def test_without_ripple_fixation_trials_are_as_written():
    """The last trial has all three times, too, which PyHipp mixes up."""
    codes, _, eye_times = make_fixation(5)
    found = fixation(codes, eye_times, None)
    np.testing.assert_array_equal(found.times, eye_times)
    assert found.changes == ()
    found = fixation(codes, eye_times, None, lost=[4])
    assert np.argwhere(np.isnan(found.times)).tolist() == [[1, 1]]
    assert [(row["trial"], row["marker"]) for row in found.changes] == [(1, "reward or failed")]
    for lost in ([0], [3]):
        with pytest.raises(MarkerError, match=r"P11_5\.edf, sessioneye: expected fixation trials"):
            fixation(codes, eye_times, None, lost)


def test_without_ripple_a_doubled_message_is_left_out():
    codes, _, eye_times = make_fixation(5)
    flat, at = np.insert(codes.ravel(), 4, codes[1, 0]), np.insert(eye_times.ravel(), 4, eye_times[1, 0] + 0.005)
    found = fixation(flat, at, None)
    np.testing.assert_array_equal(found.times, eye_times)
    assert [(row["trial"], row["marker"], row["what"][:7]) for row in found.changes] == [(1, "start", "message")]


def test_fixation_messages_that_cannot_be_are_refused():
    with pytest.raises(MarkerError, match=r"P11_5\.edf: expected messages of the fixation task .*\(5\) at 2\.000 s"):
        fixation_markers([(2.0, bits(5))], "P11_5.edf")
    with pytest.raises(
        MarkerError, match=r"P11_5\.edf, sessioneye: expected messages of the fixation task .*found none"
    ):
        fixation_trials(fixation_markers([(2.0, "hello")], "P11_5.edf"), None, "P11_5.edf", "sessioneye")
    assert fixation_markers([(1.0, bits(0)), (2.0, bits(32))], "P11_5.edf").codes.tolist() == [32]
