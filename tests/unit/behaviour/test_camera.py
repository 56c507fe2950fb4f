"""From pixels and poses to rays and targets, against angles worked out by hand."""

import json
from math import cos, radians, sin, tan
from pathlib import Path

import numpy as np
import pytest

from hippflow.behaviour.camera import Camera, Gaze, ScreenImage, Timeline, fan_offsets, pose_table
from hippflow.behaviour.scene import load_scene

SCENE = load_scene(
    json.loads((Path(__file__).parents[3] / "resources" / "double_tee.json").read_text()), "double_tee.json"
)
CUE, HINT = ScreenImage(586, 353, 1334, 727), ScreenImage(773, 0, 1147, 187)
CAMERA = Camera()
GAZE = Gaze(SCENE, CAMERA, CUE, HINT)


def ray(pixel, x=0.0, z=0.0, heading=0.0, camera=CAMERA):
    origins, directions = camera.rays(np.array([pixel], float).T, pose_table([x], [z], [heading]))
    return origins[:, 0], directions[:, 0]


def look(pixel, x=0.0, z=0.0, heading=0.0, shown=2):
    pixels, poses = np.array([pixel], float).T, pose_table([x], [z], [heading])
    objects, points = GAZE.targets(pixels, poses, np.array([shown]))
    positions, offsets = GAZE.placement(objects, points, pixels, poses)
    return GAZE.names[objects[0]], points[:, 0], positions[:, 0], offsets[:, 0]


@pytest.mark.parametrize(
    ("heading", "forward"), [(0, (0, 1)), (90, (1, 0)), (180, (0, -1)), (270, (-1, 0)), (-90, (-1, 0)), (450, (1, 0))]
)
def test_the_middle_of_the_screen_looks_12_degrees_down_along_the_heading(heading, forward):
    origin, direction = ray((960, 540), 3, 4, heading)
    down, ahead = sin(radians(12)), cos(radians(12))
    np.testing.assert_allclose(direction, [forward[0] * ahead, -down, forward[1] * ahead], rtol=0, atol=1e-15)
    expected = [3 + 0.3 * forward[0] * ahead, 1.85 - 0.3 * down, 4 + 0.3 * forward[1] * ahead]
    np.testing.assert_allclose(origin, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("pixel", "elevation"), [((960, 0), 30 - 12), ((960, 1080), -30 - 12), ((960, 540), -12)])
def test_the_screen_is_60_degrees_high(pixel, elevation):
    _, direction = ray(pixel)
    assert np.degrees(np.arctan2(direction[1], direction[2])) == pytest.approx(elevation, abs=1e-12)


@pytest.mark.parametrize(("gx", "azimuth"), [(0, -45.7465), (1920, 45.7465), (960, 0)])
def test_the_screen_is_91_49_degrees_wide(gx, azimuth):
    _, direction = ray((gx, 540), camera=Camera(pitch=0))
    assert np.degrees(np.arctan2(direction[0], direction[2])) == pytest.approx(azimuth, abs=1e-4)


def test_left_on_the_screen_is_west_for_who_looks_north():
    assert ray((0, 540))[1][0] < 0 and ray((0, 540), heading=180)[1][0] > 0
    assert ray((0, 540), heading=90)[1][2] > 0


@pytest.mark.parametrize(
    ("pixel", "there"),
    [
        ((0, 0), True),
        ((1920, 1080), True),
        ((-0.01, 540), False),
        ((1920.01, 540), False),
        ((960, -0.01), False),
        ((960, 1080.01), False),
        ((np.nan, 540), False),
        ((960, np.nan), False),
        ((1e8, 1e8), False),
    ],
)
def test_the_edges_of_the_screen_are_on_it(pixel, there):
    assert CAMERA.on_screen(np.array([pixel]).T).tolist() == [there]


def test_gaze_at_the_floor():
    name, point, position, offset = look((960, 540), 0, 0, 0)
    distance = 1.85 / tan(radians(12))
    assert name == "Ground"
    np.testing.assert_allclose(point, [0, 0, distance], rtol=0, atol=1e-12)
    np.testing.assert_allclose([*position, *offset], [0, 0, 0, 0, distance], rtol=0, atol=1e-12)


def test_gaze_at_a_poster_has_the_offset_from_the_poster():
    """The pixel is that of a chosen point on the Cat, seen from (-5, -10) along +z."""
    target = np.array([-5.4, 1.9, -7.605])
    eye = np.array([-5.0, 1.85, -10.0])
    toward = target - eye
    up = toward[1] * cos(radians(12)) + toward[2] * sin(radians(12))
    ahead = toward[2] * cos(radians(12)) - toward[1] * sin(radians(12))
    pixel = (960 + 540 * toward[0] / ahead / tan(radians(30)), 540 - 540 * up / ahead / tan(radians(30)))
    name, point, position, offset = look(pixel, -5, -10, 0)
    assert name == "CatPoster"
    np.testing.assert_allclose(point, target, rtol=0, atol=1e-12)
    np.testing.assert_allclose([*position, *offset], [-5, 1.5, -7.6, -0.4, 0.4], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("pixel", "shown", "name"),
    [
        ((960, 540), 0, "CueImage"),
        ((586, 353), 0, "CueImage"),
        ((1334, 727), 0, "CueImage"),
        ((585.9, 540), 0, "m_wall_8"),
        ((960, 727.1), 0, "Ground"),
        ((960, 100), 0, "wall_10"),
        ((960, 540), 1, "Ground"),
        ((960, 100), 1, "HintImage"),
        ((960, 187.1), 1, "wall_10"),
        ((960, 540), 2, "Ground"),
        ((960, 100), 2, "wall_10"),
    ],
)
def test_images_hide_the_maze_where_and_while_they_are_shown(pixel, shown, name):
    assert look(pixel, shown=shown)[0] == name


def test_the_cue_floats_half_a_unit_before_the_camera():
    name, point, position, offset = look((1334, 353), 1, 2, 90, shown=0)
    ahead, down = 0.5 * cos(radians(12)), 0.5 * sin(radians(12))
    assert name == "CueImage"
    np.testing.assert_allclose(position, [1 + ahead, 1.85 - down, 2], rtol=0, atol=1e-12)
    size = 2 * 0.5 * tan(radians(30)) / 1080
    np.testing.assert_allclose(offset, [374 * size, 187 * size], rtol=1e-12)
    np.testing.assert_allclose(offset, [0.2, 0.1], rtol=2e-3)  # half of the image's 0.4 x 0.2 units
    up = np.array([sin(radians(12)), cos(radians(12)), 0])
    np.testing.assert_allclose(point, position + offset[0] * np.array([0, 0, -1]) + offset[1] * up, rtol=0, atol=1e-12)


def test_nothing_hides_the_maze_where_no_image_is_configured():
    bare = Gaze(SCENE, CAMERA, None, None)
    objects, _ = bare.targets(np.full((2, 2), [[960.0], [540.0]]), pose_table([0, 0], [0, 0], [0, 0]), np.array([0, 1]))
    assert [bare.names[k] for k in objects] == ["Ground", "Ground"]


@pytest.mark.parametrize(("radius", "n_rays"), [(0, 1), (1, 2), (20, 28), (50, 173), (100, 692)])
def test_a_fan_has_as_many_rays_as_virtualmaze_casts(radius, n_rays):
    fan = fan_offsets(radius, 220)
    distance = np.hypot(*fan)
    assert fan.shape == (2, n_rays) and fan[:, 0].tolist() == [0, 0]
    if radius:
        np.testing.assert_allclose(distance, radius * np.sqrt(np.arange(n_rays) / (n_rays - 1)), rtol=1e-12)
        turned = np.arctan2(fan[1], fan[0])[-1] - 0.618 * 2 * np.pi * (n_rays - 1)
        assert turned / (2 * np.pi) == pytest.approx(round(turned / (2 * np.pi)), abs=1e-9)


#: Two trials; a frame every 0.4 s from 10 on, and one more at each marker.
MARKERS = np.array([10.0, 11.0, 14.0, 20.0, 21.0, 23.0])
FRAMES = np.union1d(np.arange(25, 75) * 0.4, MARKERS)
LINE = Timeline(MARKERS, FRAMES, np.searchsorted(FRAMES, MARKERS))


@pytest.mark.parametrize(
    ("time", "frame"),
    [
        (10.0, 10.0),  # a marker's own frame
        (10.3, 10.0),
        (10.4, 10.0),  # a frame holds until the next is drawn, that instant included
        (10.4000005, 10.0),  # which rounding does not change
        (10.40001, 10.4),
        (10.999, 10.8),
        (11.0, 11.0),  # a later marker's own frame
        (11.0 - 1e-8, 11.0),
        (17.1, 16.8),  # between trials
        (23.3, 23.2),
        (50.0, FRAMES[-1]),  # after the last frame
    ],
)
def test_a_sample_has_the_pose_of_the_frame_on_the_screen(time, frame):
    assert FRAMES[LINE.frame_rows(np.array([time]))[0]] == pytest.approx(frame, abs=1e-12)


@pytest.mark.parametrize(
    ("time", "shown", "trial"),
    [
        (9.9, 2, -1),
        (10, 0, 0),
        (10.99, 0, 0),
        (11, 1, 0),
        (13.9, 1, 0),
        (14, 2, -1),
        (19, 2, -1),
        (20, 0, 1),
        (23, 2, -1),
    ],
)
def test_cue_then_hint_are_shown_in_a_trial_and_nothing_between_trials(time, shown, trial):
    assert LINE.shown(np.array([time])).tolist() == [shown]
    assert LINE.trials(np.array([time])).tolist() == [trial]
