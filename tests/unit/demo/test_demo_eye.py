import datetime

import numpy as np
import pytest

from hippflow.demo.behaviour import BehaviourOptions, eye_messages, make_behaviour, session_starts, write_behaviour
from hippflow.demo.eye_file import EyeBlock, write_eye_file
from hippflow.demo.faults import Fault
from hippflow.demo.gaze import make_gaze, project
from hippflow.demo.timeline import Clock, make_session, make_timeline

BITS = {"start": "1  0  0  0  0  0  0  0", "end": "0  0  1  0  0  0  0  0"}
TASK = ("Trigger", "Start", "Cue", "End", "Timeout", "0  ", "1  ")
REWARD, FAILED = "0  0  0  0  0  1  1  0", "0  0  0  0  0  1  1  1"


def read_asc(path):
    """Blocks of a file: samples (ms, x, y), messages (ms, text), spans of events by name, and the order of lines."""
    blocks, messages = [], []
    for line in path.read_text(encoding="ascii").splitlines():
        fields = line.split()
        if line.startswith("MSG"):
            messages.append((int(fields[1]), line.split(" ", 1)[1]))
        elif line.startswith("START"):
            blocks.append({"start": int(fields[1]), "samples": [], "events": [], "messages": messages})
        elif line.startswith("END"):
            blocks[-1]["end"] = int(fields[1])
            messages = []
        elif fields and fields[0] in ("EFIX", "ESACC", "EBLINK"):
            assert fields[1] == "L" and int(fields[4]) == int(fields[3]) - int(fields[2]) + 1
            # it stands after its last sample, before the next one
            assert blocks[-1]["samples"][-1][0] == int(fields[3])
            blocks[-1]["events"].append((fields[0], int(fields[2]), int(fields[3]), fields[5:]))
        elif fields and fields[0].isdecimal():
            x, y = (float("nan") if value == "." else float(value) for value in fields[1:3])
            blocks[-1]["samples"].append((int(fields[0]), x, y))
            assert len(fields) == 5
    for block in blocks:
        block["samples"] = np.array(block["samples"])
        block["task"] = [message for message in block["messages"] if message[1].startswith(TASK)]
    return blocks


def spans(block, name):
    return np.array([event[1:3] for event in block["events"] if event[0] == name]).reshape(-1, 2)


def write_day(folder, seconds=60, n_navigation=1, seed=1, faults=()):
    timeline = make_timeline("picasso", "20181105", seconds, seed, n_navigation)
    starts = session_starts(timeline)
    behaviour = make_behaviour(timeline, starts, BehaviourOptions(faults=tuple(faults)))
    write_behaviour(behaviour, folder, starts)
    return behaviour


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """A day of two navigation sessions: its folder and what happened."""
    folder = tmp_path_factory.mktemp("eye")
    return folder, write_day(folder, n_navigation=2)


def test_a_file_has_a_block_a_session_and_every_sample_of_the_truth(day):
    folder, behaviour = day
    blocks = read_asc(folder / "181105.asc") + read_asc(folder / "P11_5.asc")
    assert list(behaviour.gazes) == ["session01", "session02", "sessioneye"]
    for block, (name, gaze) in zip(blocks, behaviour.gazes.items(), strict=True):
        samples = block["samples"]
        assert (block["start"], block["end"]) == (gaze.first, gaze.first + len(gaze.pixels) - 1)
        np.testing.assert_array_equal(samples[:, 0], np.arange(block["start"], block["end"] + 1))
        np.testing.assert_array_equal(samples[:, 1:].astype(np.float32), gaze.pixels)
        ppm = -270 if name == "sessioneye" else -300
        np.testing.assert_allclose(
            samples[:, 0] / 1000, gaze.clock.offset + (1 + ppm * 1e-6) * gaze.times, rtol=0, atol=1e-9
        )
        seconds = 30 if name == "sessioneye" else 60
        assert gaze.times[0] == pytest.approx(-1.5, abs=0.001) and gaze.times[-1] == pytest.approx(
            seconds + 1, abs=0.001
        )


def test_messages_come_when_the_clock_map_says_to_half_a_millisecond(day):
    folder, behaviour = day
    for block, session in zip(read_asc(folder / "181105.asc"), behaviour.timeline.sessions[:2], strict=True):
        ticks, codes = session.events
        words = {1: "Start Trial", 2: "Cue Offset", 3: "End Trial", 4: "Timeout", 8: "Trigger Version"}
        assert [text for _, text in block["task"]] == [f"{words[code // 10]} {code}" for code in codes.tolist()]
        times = np.array([time for time, _ in block["task"]])
        exact = behaviour.gazes[session.name].clock.offset + (1 - 300e-6) * ticks / 30_000
        assert abs(times / 1000 - exact).max() <= 0.0005 + 1e-9
        assert block["messages"][0] == (block["start"], "RECCFG CR 1000 2 1 L")


def test_the_tracker_clock_runs_on_between_navigation_sessions(day):
    _, behaviour = day
    first, second, fixation = (gaze.clock for gaze in behaviour.gazes.values())
    assert second.offset - first.offset == pytest.approx(360 * (1 - 300e-6), abs=1e-9)
    assert first.ppm == second.ppm == -300 and fixation.ppm == -270
    assert abs(fixation.offset - first.offset) > 1


def test_a_fixation_session_sends_eight_bits_three_times_a_trial(day):
    folder, behaviour = day
    (block,) = read_asc(folder / "P11_5.asc")
    session = behaviour.timeline.sessions[-1]
    expected = [
        text for trial in session.trials for text in (BITS["start"], REWARD if trial.rewarded else FAILED, BITS["end"])
    ]
    assert [text for _, text in block["task"]] == expected and len(expected) >= 12
    times = np.array([time for time, _ in block["task"]])
    ticks = np.array([trial.ticks for trial in session.trials]).ravel()
    exact = behaviour.gazes["sessioneye"].clock.offset + (1 - 270e-6) * ticks / 30_000
    assert abs(times / 1000 - exact).max() <= 0.0005 + 1e-9


def test_fixations_and_saccades_take_turns_and_blinks_are_the_missing_samples(day):
    folder, behaviour = day
    for block, gaze in zip(read_asc(folder / "181105.asc"), list(behaviour.gazes.values())[:2], strict=True):
        fixations, saccades, blinks = (spans(block, name) for name in ("EFIX", "ESACC", "EBLINK"))
        for found, true in ((fixations, gaze.fixations), (saccades, gaze.saccades), (blinks, gaze.blinks)):
            np.testing.assert_array_equal(found, true)
        assert fixations[0, 0] == block["start"] and fixations[-1, 1] == block["end"]
        np.testing.assert_array_equal(fixations[:-1, 1] + 1, saccades[:, 0])
        np.testing.assert_array_equal(saccades[:, 1] + 1, fixations[1:, 0])
        missing = np.zeros(len(block["samples"]), bool)
        for begin, end in blinks - block["start"]:
            missing[begin : end + 1] = True
            assert 80 <= end - begin <= 240
        np.testing.assert_array_equal(np.isnan(block["samples"][:, 1]), missing)
        np.testing.assert_array_equal(np.isnan(block["samples"][:, 2]), missing)
        assert 5 < len(blinks) < 40 and 2 < len(fixations) / 62.5 < 5
        inside = [np.any((saccades[:, 0] < b) & (e < saccades[:, 1])) for b, e in blinks]
        assert all(inside)


def test_the_numbers_of_events_are_those_of_their_samples(day):
    folder, _ = day
    (block,) = read_asc(folder / "P11_5.asc")
    for name, begin, end, values in block["events"]:
        seen = block["samples"][begin - block["start"] : end - block["start"] + 1, 1:]
        if name == "EFIX":
            np.testing.assert_allclose(np.array(values[:2], float), seen.mean(0), rtol=0, atol=0.051)
            assert seen.std(0).max() < 8
        elif name == "ESACC":
            np.testing.assert_array_equal(np.array(values[:4], float), [*seen[0], *seen[-1]])
            assert float(values[4]) == pytest.approx(np.hypot(*(seen[-1] - seen[0])) / 30, abs=0.006)


def test_gaze_is_on_the_cue_while_it_is_shown_and_now_and_then_off_the_screen():
    timeline = make_timeline("picasso", "20181105", 900, 3)
    behaviour = make_behaviour(timeline, session_starts(timeline))
    session, gaze = timeline.sessions[0], behaviour.gazes["session01"]
    begins, ends = (gaze.clock.to_ripple(column / 1000) for column in gaze.fixations.T)
    places = np.array([gaze.pixels[b - gaze.first : e - gaze.first + 1].mean(0) for b, e in gaze.fixations])
    off = (places < 0).any(1) | (places > (1920, 1080)).any(1)
    assert 0.03 < off.mean() < 0.07
    n_cue = 0
    # a blink puts off a fixation by up to 0.24 s
    for trial in session.trials:
        at_cue = (begins > trial.cue_onset / 30_000 + 0.25) & (ends < trial.cue_offset / 30_000)
        assert (abs(places[at_cue] - (960, 540)) < 250).all()
        n_cue += at_cue.sum()
    assert n_cue > 50
    assert places[~off].std(0).min() > 150


def test_a_projected_point_lies_on_the_ray_of_its_pixel():
    rng = np.random.default_rng(1)
    position, heading = rng.uniform(-10, 10, (500, 2)), rng.uniform(0, 360, 500)
    points = np.column_stack([rng.uniform(-12, 12, 500), rng.uniform(0, 4.9, 500), rng.uniform(-12, 12, 500)])
    pixels = project(points, position, heading)
    ahead = np.isfinite(pixels[:, 0])
    assert 100 < ahead.sum() < 400
    for (gx, gy), point, (x, z), w in zip(
        pixels[ahead], points[ahead], position[ahead], np.radians(heading[ahead]), strict=True
    ):
        # the ray of a pixel: 60 degrees high, 16:9, pitched 12 degrees down, turned by the heading
        a = (2 * gx / 1920 - 1) * np.tan(np.pi / 6) * 16 / 9
        b = (1 - 2 * gy / 1080) * np.tan(np.pi / 6)
        p = np.radians(12)
        q = b * np.sin(p) + np.cos(p)
        ray = np.array([a * np.cos(w) + q * np.sin(w), b * np.cos(p) - np.sin(p), -a * np.sin(w) + q * np.cos(w)])
        there = point - (x, 1.85, z)
        cosine = ray @ there / np.linalg.norm(ray) / np.linalg.norm(there)
        assert cosine == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("row", [1, 2, 3, 10, -1])
def test_a_lost_message_is_gone_and_a_doubled_one_comes_again_5_ms_later(row):
    session = make_session("session01", "navigation", 60, 1)
    clock = Clock(500, -300)
    row %= 1 + 3 * len(session.trials)
    where = ("eye", "session01", (row - 1) // 3, ("start", "cue", "end")[(row - 1) % 3])
    whole = eye_messages(session, clock, [])
    assert eye_messages(session, clock, [Fault("drop", *where)]) == whole[:row] + whole[row + 1 :]
    doubled = eye_messages(session, clock, [Fault("double", *where)])
    assert doubled[: row + 1] + doubled[row + 2 :] == whole
    time, text = whole[row]
    assert doubled[row + 1][1] == text and 4 <= doubled[row + 1][0] - time <= 6


def test_an_aborted_start_is_a_block_of_its_own_before_the_session(tmp_path):
    behaviour = write_day(tmp_path, n_navigation=2, faults=[Fault("abort", "eye", "session02")])
    whole = write_day(tmp_path / "whole", n_navigation=2)
    first, aborted, second = read_asc(tmp_path / "181105.asc")
    np.testing.assert_equal([first, second], read_asc(tmp_path / "whole/181105.asc"))
    target = behaviour.timeline.sessions[1].trials[0].target
    texts = [text for _, text in aborted["task"]]
    assert texts[0] == "Trigger Version 84" and texts[1].startswith("Start Trial 1") and len(texts) == 3
    assert texts[1][-1] == texts[2][-1] != str(target)
    assert first["end"] < aborted["start"] < aborted["task"][0][0] < aborted["end"] < second["start"]
    np.testing.assert_array_equal(np.diff(aborted["samples"][:, 0]), 1)
    assert list(whole.aborted) == [] and list(behaviour.aborted) == ["session02"]


def test_pieces_in_which_a_file_is_written_do_not_show(tmp_path, monkeypatch):
    session = make_session("sessioneye", "fixation", 30, 2)
    gaze = make_gaze(session, None, Clock(300, -270), seed=2)
    block = EyeBlock(gaze, eye_messages(session, gaze.clock, []))
    start = datetime.datetime(2018, 11, 5, 12)
    write_eye_file(tmp_path / "a.asc", [block], start)
    for piece in (1, 977, int(gaze.fixations[3, 0]) - gaze.first):
        monkeypatch.setattr("hippflow.demo.eye_file._PIECE", piece)
        write_eye_file(tmp_path / "b" / "a.asc", [block], start)
        assert (tmp_path / "b" / "a.asc").read_bytes() == (tmp_path / "a.asc").read_bytes()
