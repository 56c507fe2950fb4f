"""The scene file of the Double Tee, and scene files that cannot be."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from hippflow.behaviour.raycasting import Caster
from hippflow.behaviour.scene import load_scene
from hippflow.errors import FormatError

FILE = Path(__file__).parents[3] / "resources" / "double_tee.json"
DATA = json.loads(FILE.read_text())
SCENE = load_scene(DATA, FILE.name)


def box(name):
    index = SCENE.names.index(name)
    return SCENE.lower[index].tolist(), SCENE.upper[index].tolist()


def test_the_double_tee_has_the_objects_that_virtualmaze_names():
    pillars = [1, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 21, 24, 25, 26, 29]
    posters = ["CatPoster", "CamelPoster", "RabitPoster", "DonkeyPoster", "CrocodilePoster", "PigPoster"]
    expected = ["Ground", "Ceiling", *(f"wall_{k:02d}" for k in range(1, 25)), *(f"m_wall_{k}" for k in pillars)]
    assert sorted(SCENE.names) == sorted([*expected, *posters, "CueImage", "HintImage"])
    assert SCENE.names[-2:] == ("CueImage", "HintImage")
    assert SCENE.n_objects == 48


@pytest.mark.parametrize(
    ("first", "lower", "upper", "step"),
    [
        (1, (-12.77, 0, -14.87), (-12.67, 5, -9.87), (0, 0, 5)),
        (7, (-15.22, 0, 12.58), (-10.22, 5, 12.68), (5, 0, 0)),
        (13, (12.23, 0, 10.13), (12.33, 5, 15.13), (0, 0, -5)),
        (19, (9.78, 0, -12.42), (14.78, 5, -12.32), (-5, 0, 0)),
    ],
)
def test_six_panels_stand_in_a_row_on_every_side(first, lower, upper, step):
    for k in range(6):
        low, high = box(f"wall_{first + k:02d}")
        np.testing.assert_allclose(low, np.add(lower, np.multiply(k, step)), rtol=0, atol=1e-12)
        np.testing.assert_allclose(high, np.add(upper, np.multiply(k, step)), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("panels", "x", "z"),
    [
        (("m_wall_5", "m_wall_26", "m_wall_25", "m_wall_1"), 5, -5),
        (("m_wall_21", "m_wall_29", "m_wall_6", "m_wall_10"), -5, -5),
        (("m_wall_3", "m_wall_15", "m_wall_24", "m_wall_4"), 5, 5),
        (("m_wall_20", "m_wall_12", "m_wall_8", "m_wall_7"), -5, 5),
    ],
)
def test_four_thin_panels_stand_around_every_pillar(panels, x, z):
    centres = ((x - 2.5, z), (x, z + 2.5), (x + 2.5, z), (x, z - 2.5))
    for panel, centre, along_z in zip(panels, centres, (True, False, True, False), strict=True):
        half = (0.05, 2.5) if along_z else (2.5, 0.05)
        low, high = box(panel)
        assert (low[1], high[1]) == (-0.145, 2.965)
        assert (low[0], high[0]) == (centre[0] - half[0], centre[0] + half[0])
        assert (low[2], high[2]) == (centre[1] - half[1], centre[1] + half[1])


@pytest.mark.parametrize(
    ("name", "centre", "normal"),
    [
        ("CatPoster", (-5, 1.5, -7.605), (2, -1)),
        ("CamelPoster", (-7.555, 1.5, 4.975), (0, -1)),
        ("RabitPoster", (7.555, 1.5, -4.962357), (0, 1)),
        ("DonkeyPoster", (5.168, 1.5, 7.555), (2, 1)),
        ("CrocodilePoster", (5.021, 1.5, 2.395), (2, -1)),
        ("PigPoster", (-4.99, 1.5, -2.445), (2, 1)),
    ],
)
def test_posters_hang_before_the_pillars_and_face_outwards(name, centre, normal):
    low, high = np.array(box(name))
    half = np.array([1.11991, 0.7, 1.11991])
    half[normal[0]] = 0
    np.testing.assert_allclose((low + high) / 2, centre, rtol=0, atol=1e-9)
    np.testing.assert_allclose((high - low) / 2, half, rtol=0, atol=1e-8)
    wall = SCENE.names.index(next(item["hangs_on"] for item in DATA["objects"] if item["name"] == name))
    front = (SCENE.upper if normal[1] > 0 else SCENE.lower)[wall, normal[0]]
    assert 0.004 < (low[normal[0]] - front) * normal[1] < 0.06
    assert SCENE.surface[SCENE.names.index(name)] == SCENE.surface[wall]


@pytest.mark.parametrize(
    ("name", "offset"),
    [  # of a point 0.1, 0.2, 0.3 from the object's position
        ("Ground", (0.1, 0.3)),
        ("Ceiling", (0.1, -0.3)),
        ("wall_02", (0.3, 0.2)),  # yaw 0
        ("wall_08", (0.1, 0.2)),  # yaw 90
        ("wall_14", (-0.3, 0.2)),  # yaw 180
        ("wall_20", (-0.1, 0.2)),  # yaw -90
        ("m_wall_25", (0.3, 0.2)),  # yaw 0, though it faces +x and m_wall_5, of the same yaw, -x
        ("m_wall_5", (0.3, 0.2)),
        ("m_wall_4", (-0.1, 0.2)),  # yaw -90
        ("CatPoster", (0.1, 0.2)),  # faces -z, the viewer +z: right is +x
        ("CamelPoster", (-0.3, 0.2)),  # faces -x, the viewer +x: right is -z
        ("RabitPoster", (0.3, 0.2)),
        ("DonkeyPoster", (-0.1, 0.2)),
    ],
)
def test_offsets_follow_the_rule_of_virtualmaze(name, offset):
    index = np.array([SCENE.names.index(name)])
    points = SCENE.position[index].T + np.array([[0.1], [0.2], [0.3]])
    np.testing.assert_allclose(SCENE.offsets(index, points)[:, 0], offset, rtol=0, atol=1e-12)


def test_the_position_of_a_poster_is_on_its_wall_not_in_front_of_it():
    assert SCENE.position[SCENE.names.index("RabitPoster")].tolist() == [7.55, 1.5, -4.9623566]
    assert SCENE.position[SCENE.names.index("m_wall_25")].tolist() == [7.5, 1.41, -5.0]


def changed(**changes):
    data = copy.deepcopy(DATA)
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = data
        for key in parents:
            node = node[int(key)] if key.isdigit() else node[key]
        if value is None:
            del node[last]
        else:
            node[int(last) if last.isdigit() else last] = value
    return data


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "2"}, r"scene\.format to be one of hippflow scene 1, found '2'"),
        ({"objects": {}}, r"objects to be a list"),
        ({"objects__3__name": "wall_01"}, r"objects\[3\]\.name to be a name of its own"),
        ({"objects__3__name": "a,b"}, r"without commas, found 'a,b'"),
        ({"objects__3__name": "CueImage"}, "a name of its own"),
        ({"objects__3__name": None}, "found None"),
        ({"objects__3__kind": "door"}, "object 'wall_02'.kind to be one of floor, ceiling, wall, pillar, poster"),
        ({"objects__3__yaw": 45}, "object 'wall_02'.yaw to be a multiple of 90, found 45"),
        ({"objects__3__yaw": "0"}, "object 'wall_02'.yaw to be a number, found '0'"),
        ({"objects__3__centre": [1, 2]}, "object 'wall_02'.centre to be 3 numbers"),
        ({"objects__3__centre": [1, 2, float("nan")]}, "object 'wall_02'.centre to be 3 numbers"),
        ({"objects__3__size": [0.1, -5, 5]}, "3 numbers of at least 0"),
        ({"objects__3__size": [0, 5, 5]}, "object 'wall_02'.size to be positive"),
        ({"objects__3__side": "left"}, "object 'wall_02'.side to be one of -x"),
        ({"objects__26__pillar": "pink"}, "object 'm_wall_1'.pillar to be one of green, blue, red, yellow"),
        ({"objects__45__hangs_on": "wall_99"}, "hangs_on to be one of"),
        ({"objects__0__kind": "ceiling"}, "a list with one floor, found '0 of them'"),
        ({"bins": None}, "bins to be an object with keys, found None"),
        ({"bins__width": 0}, "bins.width to be a number of at least 1e-06, found 0"),
        ({"bins__pillars__2__height": True}, r"bins.pillars\[2\].height to be a number"),
        ({"room__upper": [-20, 5, 5]}, r"room.upper to be above"),
        ({"room__lower": [1, 2]}, r"room.lower to be 3 numbers"),
    ],
)
def test_a_scene_that_cannot_be_is_refused_by_name(changes, message):
    with pytest.raises(FormatError, match=message) as error:
        load_scene(changed(**changes), "maze.json")
    assert str(error.value).startswith("maze.json: expected")


def test_a_file_that_holds_no_scene_is_refused():
    with pytest.raises(FormatError, match="the scene to be an object with keys"):
        load_scene([], "maze.json")


@pytest.mark.parametrize(("index", "face"), [(0, "lower y"), (1, "upper y"), (4, "lower x"), (10, "upper z")])
def test_a_room_with_a_hole_is_refused(index, face):
    data = copy.deepcopy(DATA)
    data["objects"][index]["centre"][1] += 0.5
    message = "found a hole" if index > 1 else f"the room's {face} face at"
    with pytest.raises(FormatError, match=message) as error:
        Caster(load_scene(data, "maze.json"))
    assert face in str(error.value)
