"""The aligned products of a made-up session against the clocks that made it."""

import json
import logging

import hickle
import numpy as np
import pytest

from hippflow.errors import AlignmentError, ConfigError, FormatError, MarkerError
from hippflow.io.products import read_product, write_product
from hippflow.steps.aligned import make_aligned

#: Clocks: seconds on the device = offset + seconds on Ripple * speed.
UNITY_OFFSET, UNITY_SPEED = -1.25, 1 + 300e-6
EYE_OFFSET, EYE_SPEED = 5400.5, 1 - 150e-6
TARGETS = [3, 3, 1, 6, 6, 2]


class Day:
    """Six trials on Ripple, 30 frames a second of maze log and 1000 samples a second of eye data."""

    def __init__(self, folder):
        rng = np.random.default_rng(7)
        self.session = folder / "picasso" / "20181105" / "session01"
        self.frames = np.cumsum(rng.uniform(0.031, 0.035, 2400))  # Ripple's time of every row's end
        start_rows = 150 + 370 * np.arange(6) + rng.integers(0, 20, 6)
        self.rows = start_rows[:, None] + np.array([0, 30, 300]) + rng.integers(0, 10, (6, 3))
        self.codes = np.array([[10 + x, 20 + x, 30 + x] for x in TARGETS])
        self.codes[1, 2] = 43
        self.times = self.frames[self.rows]
        self.unity_time = UNITY_OFFSET + UNITY_SPEED * np.r_[self.frames[0] - 0.033, self.frames]
        data = np.c_[np.zeros(2400), np.diff(self.unity_time), rng.normal(size=(2400, 5))]
        data[60, 0] = 84
        data[self.rows, 0] = self.codes
        self.start = self.frames[60]
        self.eye_times = np.round(EYE_OFFSET, 3) + np.arange(80_000) / 1000
        self.samples = np.searchsorted(self.eye_times, EYE_OFFSET + EYE_SPEED * self.times)
        fixations = self.eye_times[[5000, 20_000, 40_000]][:, None] + [0, 0.35]
        self.rplparallel = {
            "markers": self.codes.astype(np.uint16), "timeStamps": self.times, "markerFormat": "84",
            "sessionStartTime": self.start, "rawMarkers": np.array([84, 0], np.uint16),
        }  # fmt: skip
        self.unity = {
            "dirs": ["wrong"], "unityData": [data], "unityTriggers": [self.rows], "unityTime": [self.unity_time],
            "unityTrialTime": [np.zeros((2, 6))], "sumCost": [rng.normal(size=(6, 6))], "repairs": [], "extras": [],
        }  # fmt: skip
        self.eye = {
            "dirs": ["wrong"], "timestamps": self.eye_times, "eye_pos": rng.normal(size=(80_000, 2)),
            "trial_timestamps": self.samples / 1000, "trial_codes": self.codes, "samplingRate": 1000,
            "fix_times": np.c_[fixations, np.full(3, 0.35)], "trial_times": self.eye_times[self.samples],
            "trial_repaired": np.zeros((6, 3), bool), "timeouts": self.eye_times[self.samples[1:2, 2]],
            "session_start": [EYE_OFFSET + EYE_SPEED * self.start], "session_start_index": [0.0],
            "expTime": [EYE_OFFSET - 100.0],
        }  # fmt: skip

    @property
    def outputs(self):
        names = ("unity_71bf.hkl", "eyelink_24d5.hkl", "alignment.json", "alignment.png")
        return [self.session / name for name in names]

    def make(self, **options):
        inputs = [self.session / "unaligned" / name for name in ("unity_71bf.hkl", "eyelink_24d5.hkl")]
        inputs.append(self.session / "rplparallel_d41d.hkl")
        for path, fields in zip(inputs, (self.unity, self.eye, self.rplparallel), strict=True):
            write_product(path, fields)
        before = [path.read_bytes() for path in inputs]
        make_aligned(*inputs, *self.outputs, **options)
        assert [path.read_bytes() for path in inputs] == before
        return read_product(self.outputs[0]), read_product(self.outputs[1]), json.loads(self.outputs[2].read_text())


@pytest.fixture
def day(tmp_path):
    return Day(tmp_path)


def test_all_times_are_on_the_ripple_clock(day):
    unity, eye, report = day.make()
    true_eye = (day.eye_times - EYE_OFFSET) / EYE_SPEED
    assert np.abs(unity["unityTime"][0][1:] - day.frames).max() < 1e-6
    assert np.abs(eye["timestamps"] - true_eye).max() < 1e-3
    true_fixations = (day.eye["fix_times"][:, :2] - EYE_OFFSET) / EYE_SPEED
    np.testing.assert_allclose(eye["fix_times"][:, :2], true_fixations, atol=1e-3)
    np.testing.assert_allclose(eye["trial_times"], day.times, atol=1e-3)
    np.testing.assert_allclose(eye["timeouts"], [day.times[1, 2]], atol=1e-3)
    assert eye["session_start"] == pytest.approx([day.start], abs=1e-6)
    assert eye["expTime"] == pytest.approx([-100 / EYE_SPEED], abs=5e-3)
    np.testing.assert_allclose(eye["fix_times"][:, 2], np.diff(eye["fix_times"][:, :2])[:, 0], atol=1e-12)
    assert (report["passed"], report["session"]) == (True, "picasso/20181105/session01")
    assert report["devices"]["unity"]["drift_ppm"] == pytest.approx(300, abs=0.1)
    assert report["devices"]["eyelink"]["drift_ppm"] == pytest.approx(-150, abs=20)  # whole ms in 80 s


def test_what_is_no_time_is_kept_and_pyhipp_finds_its_fields(day):
    unity, eye, _ = day.make()
    for name in ("unityTriggers", "sumCost"):
        np.testing.assert_array_equal(unity[name][0], day.unity[name][0])
    for name in ("eye_pos", "trial_timestamps", "trial_codes", "session_start_index"):
        np.testing.assert_array_equal(eye[name], day.eye[name])
    for fields in (unity, eye):
        assert fields["dirs"] == ["picasso/20181105/session01"]
        assert fields["clock"] == "ripple"
    loaded = hickle.load(day.outputs[0])
    time, rows = loaded["unityTime"][0], day.rows
    assert (time.dtype, time.shape, loaded["unityData"][0].shape) == (np.float64, (2401,), (2400, 7))
    np.testing.assert_array_equal(loaded["unityData"][0][:, 1], np.diff(time))
    for trial in range(6):
        cue, end = rows[trial, 1:]
        points = loaded["unityTrialTime"][0][: end - cue + 1, trial]
        np.testing.assert_allclose(points, day.frames[cue : end + 1] - day.frames[cue], atol=1e-6)


@pytest.mark.parametrize("kept", [0, 1], ids=["maze", "eye"])
def test_a_device_alone_is_aligned_as_beside_the_other(day, kept):
    day.make()
    products, report = [path.read_bytes() for path in day.outputs[:2]], json.loads(day.outputs[2].read_text())
    for path in day.outputs:
        path.unlink()
    names = ("unity_71bf.hkl", "eyelink_24d5.hkl")
    inputs = [day.session / "unaligned" / name if i == kept else None for i, name in enumerate(names)]
    outputs = [path if i == kept else None for i, path in enumerate(day.outputs[:2])]
    make_aligned(*inputs, day.session / "rplparallel_d41d.hkl", *outputs, *day.outputs[2:])
    assert day.outputs[kept].read_bytes() == products[kept]
    assert not day.outputs[1 - kept].exists()
    name = ("unity", "eyelink")[kept]
    assert json.loads(day.outputs[2].read_text())["devices"] == {name: report["devices"][name]}


def test_repaired_and_extra_markers_of_the_products_are_reported(day):
    """The cue offset of the third trial was lost in the log and put a frame late; a 13 was written twice."""
    row = int(day.rows[2, 1])
    day.unity["unityData"][0][[row, row + 1], 0] = [0, 21]
    day.unity["unityTriggers"][0] = day.rows.copy()
    day.unity["unityTriggers"][0][2, 1] = row + 1
    day.unity["repairs"] = [{"device": "unity", "trial": 2, "marker": "cue", "code": 21, "time": 1.0, "row": row + 1}]
    double = int(day.rows[0, 0]) + 1
    day.unity["extras"] = [{"device": "unity", "code": 13, "row": double, "reason": "doubled", "time": 1.0}]
    unity, _, report = day.make()
    device = report["devices"]["unity"]
    (repair,), (extra,) = device["repaired"], device["extra"]
    assert (repair["trial"], repair["marker"], repair["code"]) == (2, "cue", 21)
    assert repair["ripple_time"] == day.times[2, 1]
    assert (extra["code"], extra["reason"]) == (13, "doubled")
    assert extra["ripple_time"] == pytest.approx(day.frames[double], abs=1e-6)
    assert (device["markers"], device["matched"], report["passed"]) == (19, 18, True)
    assert np.abs(unity["unityTime"][0][1:] - day.frames).max() < 1e-6


def test_repaired_and_extra_messages_of_the_eye_tracker_are_reported(day):
    day.eye["trial_repaired"][5] = True
    day.eye["trial_times"][5] += 0.01
    time = float(day.eye["trial_times"][2, 0]) + 0.2
    day.eye["extras"] = [{"code": 11, "time_s": time, "what": "message doubled", "trial": 2, "marker": "start"}]
    _, eye, report = day.make()
    device = report["devices"]["eyelink"]
    assert [(row["trial"], row["marker"], row["code"]) for row in device["repaired"]] == [
        (5, "start", 12), (5, "cue", 22), (5, "end", 32),
    ]  # fmt: skip
    assert [(row["code"], row["reason"], row["device_time"]) for row in device["extra"]] == [
        (11, "message doubled", time)
    ]
    assert (device["markers"], device["matched"], report["passed"]) == (17, 16, True)
    assert np.abs(eye["timestamps"] - (day.eye_times - EYE_OFFSET) / EYE_SPEED).max() < 2e-3


@pytest.mark.parametrize("dubious", ["empty", "keep"])
def test_a_trial_off_gets_no_time_or_keeps_it(day, dubious, caplog):
    """A frame of the fourth trial of which the log counts 80 ms too few."""
    caplog.set_level(logging.INFO)
    day.unity["unityTime"][0][day.rows[3, 1] + 50 :] -= 0.08
    unity, _, report = day.make(dubious=dubious)
    (off,) = report["devices"]["unity"]["trials_off"]
    assert off["trial"] == 3
    assert off["difference_s"] == pytest.approx(-0.08, abs=0.002)
    start, _, end = day.rows[3]
    took = np.ptp(unity["unityTime"][0][start + 1 : end + 2])
    assert took == (0.0 if dubious == "empty" else pytest.approx(day.times[3, 2] - day.times[3, 0], abs=1e-6))
    assert np.nanmax(unity["unityTrialTime"][0][:, 4]) == pytest.approx(day.times[4, 2] - day.times[4, 1], abs=1e-6)
    assert (report["passed"], report["dubious_trials"]) == (False, dubious)
    assert report["reasons"] == ["unity: 1 of 6 trials are off by more than 20 ms, expected at most 10 %"]
    assert "the alignment fails: unity: 1 of 6 trials" in caplog.text
    assert "eyelink: drift -1" in caplog.text


def test_a_session_without_a_session_start_is_aligned_too(day):
    day.rplparallel["markerFormat"] = "D"
    unity, _, report = day.make()
    assert np.abs(unity["unityTime"][0][1:] - day.frames).max() < 1e-6
    assert report["devices"]["unity"]["missing"] == report["devices"]["unity"]["extra"] == []


def test_the_session_start_is_part_of_the_clock_map(day):
    """The log's clock jumps 50 ms between the session start and the first trial."""
    day.unity["unityTime"][0][100:] -= 0.05
    unity, _, _ = day.make()
    errors = np.abs(unity["unityTime"][0][1:] - day.frames)
    assert max(errors[60], errors[day.rows[0, 0]]) < 1e-6
    assert errors[:60].max() < 1e-3


def test_the_eye_trackers_session_start_is_a_marker_too(day):
    _, _, report = day.make()
    assert report["devices"]["eyelink"]["matched"] == 19
    assert report["devices"]["eyelink"]["missing"] == []


def test_the_figure_is_a_picture(day):
    day.make()
    assert day.outputs[3].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("device", ["unity", "eye"])
def test_an_aligned_product_is_not_aligned_again(day, device):
    getattr(day, device)["clock"] = "ripple"
    with pytest.raises(FormatError, match=r"unaligned/.*found an aligned product"):
        day.make()
    assert not any(path.exists() for path in day.outputs)


@pytest.mark.parametrize(
    ("product", "field"), [("unity", "unityTime"), ("eye", "fix_times"), ("rplparallel", "markers")]
)
def test_a_product_without_a_field_is_refused(day, product, field):
    del getattr(day, product)[field]
    with pytest.raises(FormatError, match=f"found no {field}; make it anew"):
        day.make()
    assert not any(path.exists() for path in day.outputs)


def test_the_eye_data_of_another_session_are_refused(day):
    day.eye["trial_codes"] = day.codes[::-1]
    with pytest.raises(MarkerError, match=r"eyelink_24d5\.hkl: .*same session"):
        day.make()
    assert not any(path.exists() for path in day.outputs)


def test_fewer_trials_than_ripple_has_are_refused(day):
    day.unity["unityTriggers"] = [day.rows[:5]]
    with pytest.raises(AlignmentError, match=r"unity_71bf\.hkl: expected the markers of Ripple's 6 trials"):
        day.make()


def test_an_unknown_treatment_of_dubious_trials_is_refused(day):
    with pytest.raises(ConfigError, match="found 'drop'"):
        day.make(dubious="drop")
