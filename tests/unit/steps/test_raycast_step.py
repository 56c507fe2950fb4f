"""A small session whose frames, gaze and markers are chosen by hand, cast from aligned products to files."""

import csv
import json
import re
from math import radians, tan
from pathlib import Path

import h5py
import numpy as np
import pytest

from hippflow.behaviour.bins import BinGrid
from hippflow.behaviour.camera import fan_offsets
from hippflow.behaviour.scene import load_scene
from hippflow.errors import AlignmentError, ConfigError, FormatError, MarkerError
from hippflow.io.products import read_product, write_product
from hippflow.io.text_table import digits
from hippflow.steps import raycast, raycast_inputs
from hippflow.steps.raycast import make_raycast

SCENE_FILE = Path(__file__).parents[3] / "resources" / "double_tee.json"
SCENE = load_scene(json.loads(SCENE_FILE.read_text()), "double_tee.json")
NAN = np.nan

#: Two trials of 30 ms; frames every 4 ms from 90 to 198, and one at each marker. Samples every ms from 80 to 219.
MARKERS = np.array([[100, 110, 130], [150, 160, 180]]) / 1000
CODES = np.array([[11, 21, 31], [13, 23, 43]], np.uint16)
FRAMES = np.union1d(np.arange(90, 200, 4), (MARKERS * 1000).astype(int)) / 1000
TIMES = np.arange(80, 220) / 1000


def session(folder, *, gaze=None, times=TIMES, frames=FRAMES, codes=CODES, markers=MARKERS, clock="ripple"):
    """Write the three products; the animal stands at (0, 0) and turns by a degree a frame."""
    rows = np.searchsorted(FRAMES, MARKERS)
    data = np.zeros((len(frames), 7))
    data[:, 4] = np.arange(len(frames)) - 5
    if gaze is None:
        gaze = np.full((len(times), 2), [960, 540], np.float32)
    files = {name: folder / f"{name}.hkl" for name in ("unity", "eyelink", "rplparallel")}
    unity = {"unityData": [data], "unityTime": [np.r_[0.0, frames]], "unityTriggers": [rows], "clock": clock}
    write_product(files["unity"], unity)
    eyes = {"timestamps": times, "eye_pos": gaze, "trial_codes": codes, "samplingRate": 1000, "clock": clock}
    write_product(files["eyelink"], eyes | {"trial_timestamps": markers - TIMES[0]})
    write_product(files["rplparallel"], {"markers": CODES, "timeStamps": markers})
    return files


def make(folder, files, **parameters):
    outputs = {"csv": folder / "o.csv", "binned": folder / "o.hdf", "report": folder / "o.json"}
    make_raycast(**files, scene=SCENE_FILE, **outputs, **parameters)
    with h5py.File(outputs["binned"]) as hdf:
        binned = hdf["data"]
        assert (list(hdf), binned.dtype, binned.chunks, binned.maxshape) == (["data"], "f8", (1000, 2), (None, 2))
        rows = binned[()]
    text = outputs["csv"].read_bytes().decode("ascii")
    assert text.endswith("\n") and "\r" not in text and " " not in text.replace("Sample Ignored", "")
    return list(csv.reader(text.splitlines())), rows, json.loads(outputs["report"].read_text())


def test_the_table_starts_and_ends_with_the_trials_and_has_every_sample_between(tmp_path):
    table, binned, report = make(tmp_path, session(tmp_path), cue=None, hint=None)
    assert [row[1] for row in table] == [str(ms) for ms in range(100, 181)]
    assert {len(row) for row in table} == {18} and {row[0] for row in table} == {"SAMPLE_TYPE"}
    assert binned[:, 0].tolist() == list(range(100, 181))
    counts = [report[key] for key in ("samples", "before_first_trial", "written", "after_last_trial", "bin_rows")]
    assert counts == [140, 20, 81, 39, 81]


def test_rows_are_those_of_a_ray_worked_out_by_hand(tmp_path):
    """From the origin, gaze 12 deg down: the floor at 1.85 / tan(12 deg) along the heading of the frame."""
    table, binned, _ = make(tmp_path, session(tmp_path), cue=None, hint=None)
    far = 1.85 / tan(radians(12))
    for row, (time, number) in zip(table, binned, strict=True):
        marker = np.isclose(MARKERS, time / 1000).any()
        frame = np.searchsorted(FRAMES, time / 1000 - 1e-9) - (not marker)
        heading = (frame - 5) % 360
        x, z = far * np.sin(radians(heading)), far * np.cos(radians(heading))
        if row[2] != "Ground":  # a pillar is in the way
            assert row[2] == "m_wall_3" and z > 2.5 and x < far
            continue
        assert row[3:8] == ["960", "540", "0", "0.5", "0"] and float(row[8]) == heading
        np.testing.assert_allclose([float(v) for v in row[9:12]], [x, 0, z], rtol=0, atol=6e-7)
        assert row[12:15] == ["0", "0", "0"]
        np.testing.assert_allclose([float(v) for v in row[15:17]], [x, z], rtol=0, atol=6e-7)
        assert number == 3 + np.floor((x + 12.72) / 0.625) + 40 * np.floor((z + 12.37) / 0.625)
    assert {row[2] for row in table} <= {"Ground", "m_wall_3"} and table[0][8] == "358"


def test_the_last_sample_of_a_frame_has_an_f_and_that_at_a_marker_its_code(tmp_path):
    table, _, _ = make(tmp_path, session(tmp_path))
    flags = {int(row[1]): row[17] for row in table}
    codes = {int(t): str(c) for t, c in zip((MARKERS * 1000).round().ravel(), CODES.ravel(), strict=True)}
    assert {ms: flag.lstrip("F") for ms, flag in flags.items() if flag.lstrip("F")} == codes
    frames = (FRAMES * 1000).round().astype(int)
    last = {ms for ms in range(100, 181) if ms in frames and ms not in codes}  # a frame holds until the next, included
    last |= {ms - 1 for ms in codes} & set(range(100, 181))
    last |= {180}
    assert {ms for ms, flag in flags.items() if flag.startswith("F")} == last


def test_the_code_of_a_marker_between_two_samples_is_at_the_later_one(tmp_path):
    times = TIMES + 0.0004
    table, _, _ = make(tmp_path, session(tmp_path, times=times))
    assert [row[1] for row in table if row[17].strip("F")] == ["100", "110", "130", "150", "160", "180"]
    assert table[0][1] == "100" and table[-1][1] == "180"


def test_a_code_whose_sample_is_in_a_pause_of_the_eye_tracker_is_at_the_next_sample(tmp_path):
    times = TIMES[(TIMES < 0.1095) | (TIMES > 0.1405)]
    table, _, _ = make(tmp_path, session(tmp_path, times=times))
    assert {row[1]: row[17].lstrip("F") for row in table}["141"] == "2131"


def test_what_is_shown_hides_the_maze_in_its_part_of_the_trial(tmp_path):
    table, binned, report = make(tmp_path, session(tmp_path), hint=[900, 500, 1000, 600])
    names = {int(row[1]): row[2] for row in table}
    cue = [*range(100, 110), *range(150, 160)]
    hint = [*range(110, 130), *range(160, 180)]
    assert [ms for ms, name in names.items() if name == "CueImage"] == cue
    assert [ms for ms, name in names.items() if name == "HintImage"] == hint
    assert binned[binned[:, 1] == 1, 0].tolist() == cue and binned[binned[:, 1] == 2, 0].tolist() == hint
    assert (report["objects"]["CueImage"], report["objects"]["HintImage"]) == (20, 40)
    assert table[0][15:17] == ["0", "0"]
    assert report["objects"]["Ground"] + report["objects"]["m_wall_3"] == 21


def test_samples_that_cannot_be_cast_are_ignored_and_counted(tmp_path):
    gaze = np.full((len(TIMES), 2), [960, 540], np.float32)
    gaze[25:28], gaze[30], gaze[31, 1] = NAN, (-5, 540), 1080.5
    gaze[32] = (NAN, 540)
    table, binned, report = make(tmp_path, session(tmp_path, gaze=gaze))
    ignored = {row[1]: row for row in table if row[2] == "Sample Ignored"}
    assert list(ignored) == ["105", "106", "107", "110", "111", "112"]
    assert ignored["105"][3:9] == ["NaN", "NaN", "0", "0.5", "0", "359"] and ignored["105"][9:] == [""] * 8 + [""]
    assert ignored["110"][3:5] == ["-5", "540"] and ignored["110"][9:17] == [""] * 8 and ignored["110"][17] == "21"
    assert ignored["111"][3:5] == ["960", "1080.5"] and ignored["112"][3:5] == ["NaN", "540"]
    assert report["ignored"] == {"no_gaze": 3, "off_screen": 3, "trial_off": 0, "nothing_hit": 0}
    assert report["written"] == 81 == sum(report["objects"].values()) + 6
    assert not np.isin(binned[:, 0], [int(ms) for ms in ignored]).any()


def test_samples_of_a_trial_that_got_no_time_are_ignored(tmp_path):
    """The alignment gives no time to the frames of a trial that lasts another time in the log than on Ripple."""
    rows = np.searchsorted(FRAMES, MARKERS)
    frames = FRAMES.copy()
    frames[rows[0, 0] : rows[0, 2] + 1] = frames[rows[0, 0]]
    table, _, report = make(tmp_path, session(tmp_path, frames=frames), cue=None, hint=None)
    assert [int(row[1]) for row in table if row[2] == "Sample Ignored"] == list(range(100, 130))
    assert (report["trials_off"], report["ignored"]["trial_off"]) == ([0], 30)


def test_the_bins_of_a_fan_are_those_of_its_rays_one_by_one(tmp_path):
    rng = np.random.default_rng(4)
    gaze = rng.uniform((0, 0), (1920, 1080), (len(TIMES), 2)).astype(np.float32)
    files = session(tmp_path, gaze=gaze)
    table, binned, report = make(tmp_path, files, radius=60, cue=None, hint=None)
    fan = fan_offsets(60, 220)
    assert report["rays_per_sample"] == fan.shape[1] == 249
    expected = {}
    for step in range(fan.shape[1]):
        # Each ray of the fan as the gaze of a session of its own, on a screen that is large enough for it.
        moved = gaze.astype(np.float64) + fan[:, step]
        poses = [(0.0, 0.0, float(row[8])) for row in table]
        for ms, number in single_rays(moved[20:101], poses):
            expected.setdefault(ms, set()).add(number)
    found = {ms: set(binned[binned[:, 0] == ms, 1].astype(int).tolist()) for ms in range(100, 181)}
    assert found == expected
    assert len(binned) == sum(map(len, expected.values()))  # no bin twice


def single_rays(pixels, poses):
    """Bins of single rays by formulas of their own: ms and number."""
    bins = BinGrid(SCENE.grid, 40)
    for ms, (gx, gy), (x, z, heading) in zip(range(100, 181), pixels, poses, strict=True):
        right, up = (gx - 960) / 540 * tan(radians(30)), (540 - gy) / 540 * tan(radians(30))
        turn = np.exp(-1j * radians(heading))  # of z + i x seen from above: clockwise
        ahead = up * np.sin(radians(12)) + np.cos(radians(12))
        level = complex(right, ahead) * turn
        direction = np.array([level.real, up * np.cos(radians(12)) - np.sin(radians(12)), level.imag])
        origin = np.array([x, 1.85, z]) + 0.3 * direction
        with np.errstate(divide="ignore"):
            first, second = (SCENE.lower - origin) / direction, (SCENE.upper - origin) / direction
        entry, leave = np.minimum(first, second).max(1), np.maximum(first, second).min(1)
        depth = np.where((entry <= leave) & (entry > 0), entry, np.inf)
        member = int(depth.argmin())
        point = origin + depth[member] * direction
        yield ms, int(bins.numbers(SCENE.surface[[member]], point[:, None])[0])


def test_files_do_not_depend_on_how_many_samples_are_read_at_once(tmp_path, monkeypatch):
    rng = np.random.default_rng(6)
    gaze = rng.uniform((-100, 0), (1920, 1080), (len(TIMES), 2)).astype(np.float32)
    contents = []
    for number, at_once in enumerate((1 << 15, 7, 1)):
        monkeypatch.setattr(raycast_inputs, "SAMPLES", at_once)
        monkeypatch.setattr(raycast, "RAYS", 50 * at_once)
        folder = tmp_path / str(number)
        folder.mkdir()
        _, binned, _ = make(folder, session(folder, gaze=gaze), radius=20)
        contents.append([(folder / "o.csv").read_bytes(), binned.tobytes(), (folder / "o.json").read_bytes()])
    assert contents[0] == contents[1] == contents[2]


def test_the_same_session_makes_the_same_bytes(tmp_path):
    files, names = session(tmp_path), ("o.csv", "o.hdf", "o.json")
    make(tmp_path, files)
    first = [(tmp_path / name).read_bytes() for name in names]
    make(tmp_path, files)
    assert [(tmp_path / name).read_bytes() for name in names] == first


def test_numbers_are_written_rounded_and_without_needless_zeros():
    rng = np.random.default_rng(8)
    chosen = [0, -0.0, 1, -1, 0.5, 100, 1e-7, -4e-7, 12.23, -4.9623566, 99.9999999, 1e9, NAN]
    values = np.concatenate([rng.normal(0, 10.0**power, 2000) for power in (-7, -3, 0, 2, 5)] + [chosen])
    written = [bytes(row[row > 0]).decode() for row in digits(values, 6)]
    texts = ["0", "0", "1", "-1", "0.5", "100", "0", "0", "12.23", "-4.962357", "100", "1000000000", ""]
    assert written[-len(chosen) :] == texts
    for value, text in zip(values[:-1].tolist(), written[:-1], strict=True):
        assert re.fullmatch(r"-?(0|[1-9]\d*)(\.\d{0,5}[1-9])?", text) and text != "-0", text
        assert float(text) == pytest.approx(value, rel=0, abs=5.0001e-7)


@pytest.mark.parametrize("which", ["unity", "eyelink"])
def test_an_unaligned_product_is_refused(tmp_path, which):
    files = session(tmp_path)
    fields = read_product(files[which])
    del fields["clock"]
    write_product(files[which], fields)
    with pytest.raises(AlignmentError, match=rf"{which}.hkl: expected an aligned product"):
        make(tmp_path, files)
    assert not list(tmp_path.glob("*o.*"))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"codes": CODES[::-1].copy()}, AlignmentError, "eyelink.hkl: expected the trial codes of Ripple's"),
        ({"markers": MARKERS + 3}, AlignmentError, "unity.hkl: expected its markers at Ripple's, found them 3 s apart"),
        ({"frames": FRAMES[:10]}, AlignmentError, "unity.hkl: expected 2 trials"),
        ({"times": TIMES[[*range(50), 51, 50, *range(52, 140)]]}, FormatError, "eyelink.hkl: expected times that incr"),
        ({"times": TIMES + 1}, AlignmentError, "eyelink.hkl: expected samples from the first trial at 0.100 s"),
        ({"times": TIMES - 1}, AlignmentError, "eyelink.hkl: expected samples from the first trial at 0.100 s"),
        ({"times": TIMES[:0]}, AlignmentError, "eyelink.hkl: expected samples from the first trial at 0.100 s"),
        ({"gaze": np.zeros((5, 2))}, FormatError, r"eyelink.hkl: expected arrays timestamps \(n,\) and eye_pos"),
    ],
)
def test_inputs_that_do_not_go_together_are_refused_and_leave_nothing(tmp_path, change, error, message):
    files = session(tmp_path, **change)
    with pytest.raises(error, match=message):
        make(tmp_path, files)
    assert not [path.name for path in tmp_path.iterdir() if path.suffix != ".hkl"]


def test_times_that_go_back_between_two_reads_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(raycast_inputs, "SAMPLES", 70)
    times = np.r_[TIMES[:70], TIMES[69:139]]
    with pytest.raises(FormatError, match="expected times that increase, found others near"):
        make(tmp_path, session(tmp_path, times=times))


def test_a_session_without_trials_is_refused(tmp_path):
    files = session(tmp_path)
    write_product(files["rplparallel"], {"markers": np.zeros((0, 3), np.uint16), "timeStamps": np.zeros((0, 3))})
    with pytest.raises(MarkerError, match="rplparallel.hkl: expected trials of three markers"):
        make(tmp_path, files)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "expected a scene file, found none"), ("{", "expected a scene in JSON"), ("{}", "expected scene.format")],
)
def test_a_scene_file_that_is_none_is_refused(tmp_path, monkeypatch, content, message):
    scene = tmp_path / "maze.json"
    if content is not None:
        scene.write_text(content)
    monkeypatch.setattr(f"{__name__}.SCENE_FILE", scene)
    with pytest.raises(FormatError, match=rf"maze.json: {message}"):
        make(tmp_path, session(tmp_path))


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"radius": -1}, "radius"),
        ({"density": 0}, "density"),
        ({"screen": [1920, 0]}, "screen"),
        ({"vertical_fov": 180}, "vertical_fov"),
        ({"cue": [600, 0, 500, 10]}, "cue"),
        ({"hint": [600, 0, 700]}, "hint"),
        ({"bins_per_side": 0}, "bins_per_side"),
    ],
)
def test_a_parameter_that_cannot_be_right_is_refused_by_name(tmp_path, parameters, name):
    with pytest.raises(ConfigError, match=rf"^raycast\.{name}: expected"):
        make(tmp_path, session(tmp_path), **parameters)
