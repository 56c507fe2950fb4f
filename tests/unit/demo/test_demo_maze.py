import datetime
import itertools
import json
import re

import numpy as np
import pytest

from hippflow.demo.maze_log import make_frames, write_maze_log
from hippflow.demo.maze_path import make_path
from hippflow.demo.timeline import make_session

# The maze as it is known: posters 1 to 6 at x, z, each with the direction away from its wall.
POSTERS = {
    1: ((-5, -7.55), (0, -1)),
    2: ((-7.55, 5), (-1, 0)),
    3: ((7.55, -5), (1, 0)),
    4: ((5, 7.55), (0, 1)),
    5: ((5, 2.45), (0, -1)),
    6: ((-5, -2.45), (0, 1)),
}
START = datetime.datetime(2018, 7, 2, 10, 59, 11)
ROW = re.compile(r" \d+ \d\.\d{8} -?\d+\.\d{4} -?\d+\.\d{4} \d+\.\d{4}")


def make(seconds, seed):
    session = make_session("session01", "navigation", seconds, seed)
    path = make_path(session, seed)
    return session, path, make_frames(session, path, ppm=120, seed=seed)


@pytest.fixture(scope="module", params=[(1800, 1), (1800, 2), (60, 3), (2, 4)], ids=str)
def maze(request):
    return make(*request.param)


def rows_of(path):
    lines = path.read_text().splitlines()
    return np.array([line.split() for line in lines if ROW.fullmatch(line)], float)


def test_no_frame_is_in_a_pillar_or_outside_the_arena(maze):
    session, path, frames = maze
    everywhere = np.concatenate([frames.position, path.position(np.arange(0, session.seconds, 0.005))])
    assert abs(everywhere).max() < 12.5 - 0.9
    for x, z in itertools.product((-5, 5), (-5, 5)):
        beside = np.maximum(abs(everywhere - (x, z)) - 2.5, 0)
        assert np.hypot(*beside.T).min() > 0.9  # the animal's radius


def test_a_reward_finds_the_animal_before_the_poster_that_it_looks_at(maze):
    session, path, _ = maze
    for trial in session.trials:
        place, away = (np.array(value) for value in POSTERS[trial.target])
        at_end = path.position(np.array([trial.end / 30_000]))[0] - place
        if trial.rewarded:
            assert np.hypot(*at_end) < 1.7 and at_end @ away > 1.1
            heading = np.radians(path.heading(np.array([trial.end / 30_000]))[0])
            assert np.array([np.sin(heading), np.cos(heading)]) @ -away > np.cos(np.radians(15))
        else:
            run = path.position(np.arange(trial.cue_offset, trial.end, 100) / 30_000) - place
            in_front = (run @ away > 0) & (np.hypot(*run.T) < 2.5)
            assert not in_front.any()


def test_the_animal_starts_at_the_south_looks_north_and_stands_while_the_cue_is_shown(maze):
    session, path, frames = maze
    assert frames.position[0].tolist() == [0, -10] and frames.heading[0] == 0
    for trial in session.trials:
        shown = path.position(np.linspace(trial.cue_onset, trial.cue_offset, 50) / 30_000)
        assert np.ptp(shown, axis=0).max() < 1e-9


def test_speeds_and_turns_are_those_of_an_animal():
    for seed in range(3):
        _, _, frames = make(1800, seed)
        steps, lasts = np.diff(frames.position, axis=0), np.diff(frames.times)
        speed = np.hypot(*steps.T) / lasts
        assert speed.max() < 15 and np.percentile(speed, 95) < 7.5 and 0.2 < np.mean(speed < 0.01) < 0.6
        moving = speed > 1
        direction = np.degrees(np.arctan2(*steps[moving].T))
        off = abs((direction - frames.heading[1:][moving] + 180) % 360 - 180)
        assert np.median(off) < 3 and np.percentile(off, 95) < 45
        turning = abs((np.diff(frames.heading) + 180) % 360 - 180) / lasts
        assert turning.max() < 900 and np.percentile(turning, 95) < 300


def test_all_corridors_are_visited_and_some_ways_are_not_the_shortest():
    session, path, frames = make(1800, 5)
    visited = {(round(x / 5), round(z / 5)) for x, z in frames.position}
    assert len(visited) == 21
    walked = np.array([path.position(np.linspace(t.cue_offset, t.end, 500) / 30_000) for t in session.trials])
    lengths = np.hypot(*np.diff(walked, axis=1).transpose(2, 0, 1)).sum(1)
    # no two points of the maze are farther apart than this along its corridors
    assert (lengths[[t.rewarded for t in session.trials]] > 34).sum() < 10 < (lengths > 10).sum()


def test_a_log_has_14_header_lines_and_a_row_a_frame(tmp_path, maze):
    session, _, frames = maze
    (log,) = write_maze_log(tmp_path, frames, np.ones(1 + 3 * len(session.trials), int), START)
    assert log == tmp_path / "RawData_T1-400" / "session_1_272018105911.txt"
    lines = log.read_text().splitlines()
    keys = [line.split(": ")[0] for line in lines[:14]]
    assert keys[:4] == ["Version", "Trigger", "TaskType", "PosterLocations"] and len(set(keys)) == 14
    assert all(ROW.fullmatch(line) for line in lines[14:]) and "-0.0000" not in log.read_text()
    rows = rows_of(log)
    np.testing.assert_array_equal(rows[:, 0], frames.triggers)
    np.testing.assert_array_equal(rows[:, 2:4], frames.position)
    np.testing.assert_array_equal(rows[:, 4], frames.heading)
    assert (rows[:, 4] < 360).all()


def test_the_maze_clock_is_what_the_truth_says_to_the_last_digit(tmp_path, maze):
    session, _, frames = maze
    ticks, codes = session.events
    (log,) = write_maze_log(tmp_path, frames, np.ones(codes.size, int), START)
    rows = rows_of(log)
    device = np.append(0, np.cumsum(np.rint(rows[1:, 1] * 1e8).astype(np.int64))) / 1e8
    np.testing.assert_allclose(device, frames.clock.offset + 1.00012 * frames.times, rtol=0, atol=1.1e-8)
    sent = rows[:, 0] > 0
    np.testing.assert_array_equal(rows[sent, 0], codes)
    np.testing.assert_allclose(device[sent], 1.00012 * (ticks - ticks[0]) / 30_000, rtol=0, atol=1.1e-8)
    assert sent[0] and rows[0, 0] == 84


def test_frames_come_at_30_hz_give_or_take():
    _, _, frames = make(1800, 1)
    steps = np.diff(frames.times)
    assert 1 / np.mean(steps) == pytest.approx(30, rel=0.01)
    assert 0.024 < steps.min() < 0.030 and 0.037 < steps.max() < 0.043 and steps.std() > 0.002
    assert frames.times[-1] == 1800


@pytest.mark.parametrize("header", ["text", "json", "none"])
@pytest.mark.parametrize("n_files", [1, 3, 12])
def test_headers_and_several_files_change_no_row(tmp_path, header, n_files):
    session, _, frames = make(60, 7)
    copies = np.ones(1 + 3 * len(session.trials), int)
    (whole,) = write_maze_log(tmp_path / "whole", frames, copies, START)
    logs = write_maze_log(tmp_path, frames, copies, START, header=header, n_files=n_files)
    assert [int(log.name.split("_")[1]) for log in logs] == list(range(1, n_files + 1))
    assert sorted(logs) == sorted((tmp_path / "RawData_T1-400").iterdir())
    np.testing.assert_array_equal(np.concatenate([rows_of(log) for log in logs]), rows_of(whole))
    for log in logs:
        lines = log.read_text().splitlines()
        n_header = len(lines) - len(rows_of(log))
        assert n_header == {"text": 14, "json": 1, "none": 0}[header]
        if header == "json":
            assert json.loads(lines[0])["Trigger"] == "v4"


def test_a_lost_trigger_is_0_and_a_doubled_one_is_in_the_next_row_too(tmp_path):
    session, _, frames = make(2, 8)
    copies = np.ones(1 + 3 * len(session.trials), int)
    (whole,) = write_maze_log(tmp_path / "whole", frames, copies, START)
    expected = rows_of(whole)
    at = np.flatnonzero(expected[:, 0])
    expected[at[2], 0] = 0
    expected[at[3] + 1, 0] = expected[at[3], 0]
    copies[2:4] = 0, 2
    (log,) = write_maze_log(tmp_path, frames, copies, START)
    np.testing.assert_array_equal(rows_of(log), expected)
