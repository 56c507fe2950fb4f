"""Times on the Ripple clock, and the report, against the clocks that made them."""

import itertools
import json

import numpy as np
import pytest
from marker_sessions import make_session

from hippflow.behaviour.alignment import align_unity, match_device, reference_markers
from hippflow.behaviour.alignment_figure import alignment_figure
from hippflow.behaviour.alignment_report import build_report, trials_off
from hippflow.behaviour.clocks import ClockMap
from hippflow.behaviour.eye_messages import EyeMarkers, ReferenceTrials
from hippflow.behaviour.eye_trials import split_sessions
from hippflow.behaviour.navigation import find_trials
from hippflow.errors import AlignmentError, MarkerError


def reference_of(session):
    return reference_markers(
        session.codes[1:].reshape(-1, 3), session.times[1:].reshape(-1, 3), session_start=(84, session.times[0])
    )


def device_of(session, *, name="unity", times=None, repaired=(), start=True, **keywords):
    """The session's device; `repaired` are flat indices of trial markers that it had lost."""
    times = session.device_times if times is None else times
    mask = np.zeros(len(session.codes) - 1, bool)
    mask[list(repaired)] = True
    return match_device(
        name,
        session.codes[1:].reshape(-1, 3),
        times[1:].reshape(-1, 3),
        reference_of(session),
        repaired=mask.reshape(-1, 3),
        session_start=(84, times[0]) if start else None,
        source=f"{name}.hkl",
        **keywords,
    )


def report_of(*devices, **keywords):
    report = build_report(list(devices), **({"threshold": 0.02, "max_trials_off": 0.1} | keywords))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    return report


@pytest.mark.parametrize("ppm", [0, 300, -1000])
def test_a_good_session_passes_and_its_clock_is_reported(ppm):
    session = make_session(300, seed=30, ppm=ppm, offset=500.0, jitter=0.0005)
    report = report_of(device_of(session))
    unity = report["devices"]["unity"]
    assert (report["passed"], report["reasons"], report["trials"]) == (True, [], 300)
    assert (unity["markers"], unity["matched"]) == (901, 901)
    assert unity["missing"] == unity["repaired"] == unity["extra"] == unity["trials_off"] == []
    assert unity["drift_ppm"] == pytest.approx(ppm, abs=1)
    assert unity["clock_ratio"] == pytest.approx(1 + ppm * 1e-6, abs=1e-6)
    assert unity["offset_s"] == pytest.approx(500.0, abs=0.002)


def test_every_marker_has_its_leave_one_out_residual():
    session = make_session(6, seed=31, jitter=0.002)
    unity = report_of(device_of(session))["devices"]["unity"]
    expected = ClockMap(session.device_times, session.times).residuals()
    assert unity["residuals"]["residual_s"] == expected.tolist()
    assert unity["residuals"]["code"] == session.codes.tolist()
    assert unity["residuals"]["trial"] == [None, *np.repeat(range(6), 3).tolist()]
    assert unity["residuals"]["ripple_time"] == session.times.tolist()
    assert unity["residual_max_s"] == np.abs(expected).max()
    assert unity["residual_rms_s"] == pytest.approx(np.sqrt((expected**2).mean()))


@pytest.mark.parametrize("flat", range(18))
def test_a_repaired_marker_is_listed_and_does_not_bend_the_clock(flat):
    """The device's product puts it at the nearest frame, here 15 ms late."""
    session = make_session(6, seed=32)
    times = session.device_times.copy()
    times[flat + 1] += 0.015
    device = device_of(session, times=times, repaired=[flat])
    report = report_of(device)
    unity = report["devices"]["unity"]
    assert unity["missing"] == unity["repaired"]
    (row,) = unity["repaired"]
    assert (row["trial"], row["marker"]) == (flat // 3, ("start", "cue", "end")[flat % 3])
    assert (row["code"], row["ripple_time"]) == (session.codes[flat + 1], session.times[flat + 1])
    assert row["device_time"] == pytest.approx(session.device_times[flat + 1], abs=1e-6)
    assert (unity["matched"], report["passed"], unity["trials_off"]) == (18, True, [])
    true = np.arange(0, 100, 0.01)
    np.testing.assert_allclose(device.clock.to_reference(session.on_device(true)), true, atol=1e-6)


def test_a_device_without_the_session_start_misses_it_and_passes():
    unity = report_of(device_of(make_session(6, seed=33), start=False))["devices"]["unity"]
    assert [(row["trial"], row["marker"], row["code"]) for row in unity["missing"]] == [(None, "session start", 84)]
    assert unity["repaired"] == []


def test_a_session_start_that_ripple_lacks_is_left_out():
    session = make_session(6, seed=34)
    codes, times = session.codes[1:].reshape(-1, 3), session.times[1:].reshape(-1, 3)
    device = match_device(
        "unity", codes, session.device_times[1:].reshape(-1, 3), reference_markers(codes, times),
        repaired=np.zeros((6, 3), bool), session_start=(84, session.device_times[0]), source="u.hkl",
    )  # fmt: skip
    assert (len(device.codes), device.matching.extra.size, device.matching.missing.size) == (18, 0, 0)


@pytest.mark.parametrize(
    ("flat", "interval", "difference"),
    [(3, "start to end", -0.05), (4, "start to cue", 0.05), (5, "start to end", 0.05), (17, "start to end", 0.05)],
)
def test_a_trial_off_is_named_with_the_interval_and_the_reason(flat, interval, difference):
    """One marker 50 ms late in the second trial, or in the last one, which PyHipp never checks."""
    session = make_session(6, seed=35, ppm=-1000)
    times = session.device_times.copy()
    times[flat + 1] += 0.05
    (off,) = trials_off(device_of(session, times=times), 0.02)
    assert off["trial"] == flat // 3
    assert off["difference_s"] == pytest.approx(difference, abs=1e-3)
    whole = "longer" if difference > 0 else "shorter"
    parts = {"start to end": ("start to end", "start to cue", "cue to end"), "start to cue": (interval, "cue to end")}
    assert off["interval"] in parts[interval]
    assert off["reason"].startswith(f"{off['interval']} is ")
    assert f" ms {whole} on unity than on Ripple" in off["reason"]


def test_drift_alone_puts_no_trial_off():
    """1000 ppm of 25 s are 25 ms, which PyHipp calls a discrepancy."""
    session = make_session(30, seed=36, ppm=1000, lengths=(25.0, 40.0))
    took = session.device_times[3::3] - session.device_times[1::3] - (session.times[3::3] - session.times[1::3])
    assert (took > 0.02).all()
    assert trials_off(device_of(session), 0.02) == []


def test_too_many_trials_off_fail_the_session():
    session = make_session(20, seed=37)
    times = session.device_times.copy()
    times[[3, 15, 33]] += 0.03
    assert report_of(device_of(session, times=times), max_trials_off=0.15)["passed"]
    report = report_of(device_of(session, times=times))
    assert not report["passed"]
    assert report["reasons"] == ["unity: 3 of 20 trials are off by more than 20 ms, expected at most 10 %"]


@pytest.mark.parametrize("ppm", [1100, -1100])
def test_a_drift_that_no_clock_has_fails_the_session(ppm):
    report = report_of(device_of(make_session(100, seed=38, ppm=ppm)))
    assert report["reasons"] == [f"unity: drift of {ppm} ppm, expected at most 1000"]


def test_a_moved_marker_is_extra_and_lost_and_fails_as_not_repaired():
    session = make_session(6, seed=39)
    times = session.device_times.copy()
    times[8] += 0.4
    report = report_of(device_of(session, times=times))
    (extra,) = report["devices"]["unity"]["extra"]
    assert (extra["kind"], extra["code"]) == ("moved", session.codes[8])
    assert extra["reason"].startswith("399.9 ms after Ripple's")  # 400 ms on a clock 300 ppm fast
    assert extra["ripple_time"] == pytest.approx(session.times[8] + 0.4, abs=1e-3)
    assert report["reasons"] == ["unity: lost markers that were not repaired: 1"]


def test_a_marker_far_from_any_of_its_code_is_unexplained_and_fails():
    session = make_session(6, seed=40)
    times = session.device_times.copy()
    times[0] += 1.5  # the session start, between its true place and the first trial
    report = report_of(device_of(session, times=times))
    assert [extra["kind"] for extra in report["devices"]["unity"]["extra"]] == ["unexplained"]
    assert report["reasons"] == ["unity: extra markers that nothing on Ripple explains: 1"]


def test_extras_that_the_product_explained_are_passed_on():
    session = make_session(6, seed=41)
    explained = [{"code": 84, "device_time": float(session.device_times[0]) + 0.1, "reason": "doubled"}]
    unity = report_of(device_of(session, explained=explained))["devices"]["unity"]
    (extra,) = unity["extra"]
    assert (extra["kind"], extra["reason"], unity["markers"], unity["matched"]) == ("explained", "doubled", 20, 19)
    assert extra["ripple_time"] == pytest.approx(session.times[0] + 0.1, abs=1e-3)


def test_a_product_of_other_trials_is_refused():
    session, other = make_session(6, seed=42), make_session(7, seed=42)
    with pytest.raises(AlignmentError, match=r"u\.hkl: expected the markers of Ripple's 6 trials"):
        match_device(
            "unity", other.codes[1:].reshape(-1, 3), other.device_times[1:].reshape(-1, 3), reference_of(session),
            repaired=np.zeros((7, 3), bool), source="u.hkl",
        )  # fmt: skip


def test_markers_of_another_day_are_refused():
    session, other = make_session(6, seed=43), make_session(6, seed=44)
    session.device_times = other.device_times
    with pytest.raises(MarkerError, match=r"unity\.hkl: .*same session"):
        device_of(session)


def test_trials_without_a_cue_offset_cannot_be_aligned():
    with pytest.raises(AlignmentError, match="only navigation sessions"):
        reference_markers(np.ones((4, 2), int), np.ones((4, 2)))


def test_every_frame_of_an_hours_maze_log_is_within_1_ms_of_the_truth():
    """Frames of about 33 ms on a clock 300 ppm fast; markers at frames, with the port's jitter of 0.4 ms."""
    rng = np.random.default_rng(45)
    true = np.r_[0.0, np.cumsum(rng.uniform(0.030, 0.036, 109_000))]
    session = make_session(300, seed=45)
    rows = np.searchsorted(true, session.times)
    session.times = true[rows] + rng.uniform(-0.0004, 0.0004, len(rows))
    device_time = -3.0 + true * (1 + 300e-6)
    session.device_times = device_time[rows]
    data = np.c_[np.zeros(len(true) - 1), np.diff(device_time), rng.normal(size=(len(true) - 1, 5))]
    triggers = rows[1:].reshape(-1, 3) - 1
    aligned = align_unity(device_of(session).clock, device_time, data, triggers, [])
    assert true[-1] > 3590
    errors = np.abs(aligned["unityTime"] - true)
    assert errors.max() < 1e-3
    assert errors[-20_000:].max() < 1.5 * errors[:-20_000].max()
    np.testing.assert_array_equal(aligned["unityData"][:, 1], np.diff(aligned["unityTime"]))
    np.testing.assert_array_equal(aligned["unityData"][:, [0, 2, 3, 4, 5, 6]], data[:, [0, 2, 3, 4, 5, 6]])
    for trial, (_, cue, end) in enumerate(triggers):
        took = aligned["unityTrialTime"][: end - cue + 1, trial]
        np.testing.assert_allclose(took, true[cue + 1 : end + 2] - true[cue + 1], atol=2e-3)
        assert took[0] == 0
        assert np.isnan(aligned["unityTrialTime"][end - cue + 1 :, trial]).all()


def test_a_dubious_trial_takes_no_time_and_the_others_keep_theirs():
    time = np.arange(0.0, 21.0)
    triggers = np.array([[1, 3, 6], [8, 10, 14], [15, 16, 18]])
    data = np.c_[np.zeros(20), np.ones(20), np.zeros((20, 5))]
    aligned = align_unity(ClockMap([0.0, 20.0], [100.0, 120.0]), time, data, triggers, [1])
    expected = 100.0 + time
    expected[9:16] = 109.0
    np.testing.assert_allclose(aligned["unityTime"], expected)
    assert aligned["unityData"][9:15, 1].tolist() == [0.0] * 6
    assert aligned["unityData"][15, 1] == pytest.approx(7.0)
    assert aligned["unityTrialTime"][:5, 1].tolist() == [0.0] * 5
    np.testing.assert_allclose(aligned["unityTrialTime"][:4, 0], [0, 1, 2, 3])
    assert data[:, 1].tolist() == [1.0] * 20  # the input is left as it was


def test_the_figure_shows_every_kind_of_marker_by_its_own_shape():
    session = make_session(30, seed=46, jitter=0.001)
    times = session.device_times.copy()
    times[9] += 0.05
    times[20] += 0.4
    unity = device_of(session, times=times, repaired=[40, 41], start=False)
    report = report_of(unity, device_of(session, name="eyelink"))
    figure = alignment_figure(report, "picasso/20181105/session01")
    top, bottom = figure.axes
    drawn = {line.get_label().split(" (")[0]: line for line in top.lines if "(" in line.get_label()}
    assert set(drawn) == {"matched", "trial off", "repaired", "missing", "extra"}
    assert len({line.get_marker() for line in drawn.values()}) == 5
    assert len(drawn["repaired"].get_xdata()) == 2
    np.testing.assert_allclose(drawn["repaired"].get_xdata() * 60, session.times[[41, 42]])
    assert len(drawn["missing"].get_xdata()) == 2  # the session start, and the moved marker
    residuals = report["devices"]["unity"]["residuals"]["residual_s"]
    plotted = np.sort(np.r_[drawn["matched"].get_ydata(), drawn["trial off"].get_ydata()])
    np.testing.assert_allclose(plotted, np.sort(residuals) * 1e3)
    assert "FAIL: unity: lost markers that were not repaired: 1" in figure.get_suptitle()
    assert "drift +300" in bottom.get_title(loc="left")
    assert [line.get_label().split(" (")[0] for line in bottom.lines if "(" in line.get_label()] == ["matched"]


def frames_of(session):
    """Frame times on Ripple's clock, about 33 ms apart, with the session's markers moved to frames; and their rows."""
    steps = np.random.default_rng(50).uniform(0.031, 0.036, int(session.times[-1] / 0.031) + 60)
    frames = np.cumsum(steps)
    rows = np.searchsorted(frames, session.times)
    session.times = frames[rows]
    return frames, rows


@pytest.mark.parametrize("losses", [1, 2])
@pytest.mark.parametrize("target", [None, 2])
def test_every_loss_in_the_maze_log_is_repaired_listed_and_moves_no_frame(losses, target):
    session = make_session(6, seed=51, target=target)
    frames, rows = frames_of(session)
    codes, times = session.codes[1:].reshape(-1, 3), session.times[1:].reshape(-1, 3)
    device_frames = session.on_device(frames)
    for lost in itertools.combinations(range(19), losses):
        trigger = np.zeros(len(frames), np.int64)
        trigger[np.delete(rows, lost)] = np.delete(session.codes, lost)
        trials = find_trials(
            trigger, np.diff(device_frames, prepend=device_frames[0]), [("log", len(frames))], codes, times
        )
        repaired = np.zeros((6, 3), bool)
        repaired.flat[[index - 1 for index in lost if index > 0]] = True
        found = np.zeros((6, 3), bool)
        for repair in trials.repairs:
            found[repair["trial"], ("start", "cue", "end").index(repair["marker"])] = True
        assert (found == repaired).all()
        np.testing.assert_array_equal(trials.rows.ravel(), rows[1:])
        device = match_device(
            "unity", codes, trials.times[trials.rows + 1], reference_of(session), repaired=found,
            session_start=None if 0 in lost else (84, trials.times[rows[0] + 1]), source="unity",
        )  # fmt: skip
        report = report_of(device)["devices"]["unity"]
        assert [row["code"] for row in report["missing"]] == session.codes[list(lost)].tolist()
        assert len(report["repaired"]) == int(repaired.sum())
        assert np.abs(device.clock.to_reference(trials.times[1:]) - frames).max() < 1e-5


@pytest.mark.parametrize("losses", [1, 2])
@pytest.mark.parametrize("target", [None, 2])
def test_every_loss_in_the_eye_trackers_messages_is_repaired_listed_and_moves_no_sample(losses, target):
    """Its session start opens the session, so that it cannot be lost; messages are in whole ms."""
    session = make_session(6, seed=52, target=target, ppm=-1000)
    codes, times = session.codes[1:].reshape(-1, 3), session.times[1:].reshape(-1, 3)
    messages = np.round(session.device_times, 3)
    true = np.arange(0, session.times[-1] + 5, 0.001)
    for lost in itertools.combinations(range(1, 19), losses):
        kept = np.setdiff1d(np.arange(1, 19), lost)
        markers = EyeMarkers(session.codes[kept], messages[kept], messages[:1], np.array([84]))
        sessions, left_out = split_sessions(markers, {"session01": ReferenceTrials(codes, times)}, "day.edf")
        trials = sessions["session01"]
        assert (np.flatnonzero(trials.repaired) + 1).tolist() == list(lost)
        assert left_out == []
        np.testing.assert_allclose(trials.times.ravel(), session.device_times[1:], atol=2e-3)
        device = match_device(
            "eyelink", codes, trials.times, reference_of(session), repaired=trials.repaired,
            session_start=(84, trials.start), source="eyelink",
        )  # fmt: skip
        report = report_of(device)["devices"]["eyelink"]
        assert [row["code"] for row in report["repaired"]] == session.codes[list(lost)].tolist()
        assert report["missing"] == report["repaired"]
        assert np.abs(device.clock.to_reference(session.on_device(true)) - true).max() < 1.5e-3
