"""Rays in the Double Tee: worked out by hand, by a plain slab test, and by Embree."""

import json
from pathlib import Path

import numpy as np
import pytest
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh

from hippflow.behaviour.raycasting import Caster
from hippflow.behaviour.scene import load_scene

DATA = json.loads((Path(__file__).parents[3] / "resources" / "double_tee.json").read_text())
SCENE = load_scene(DATA, "double_tee.json")
OPEN = load_scene({key: value for key, value in DATA.items() if key != "room"}, "double_tee.json")
CASTER = Caster(SCENE)
N = 1_000_000


def plain_slabs(origins, directions):
    """Nearest box of each ray by the textbook test, one box after the other, with divisions and no shortcuts."""
    best, depth = np.full(origins.shape[1], -1), np.full(origins.shape[1], np.inf)
    for member in range(SCENE.n_objects):
        first = (SCENE.lower[member][:, None] - origins) / directions
        second = (SCENE.upper[member][:, None] - origins) / directions
        entry, leave = np.minimum(first, second).max(0), np.maximum(first, second).min(0)
        hit = (entry <= leave) & (entry > 0) & (entry < depth)
        best[hit], depth[hit] = member, entry[hit]
    return best, depth


def random_rays(n, seed, low=(-12.6, 0.02, -12.2), high=(12.2, 4.9, 12.5), clear=0.0):
    """Start anywhere in `low` to `high`, but `clear` of all solids, and go anywhere."""
    rng = np.random.default_rng(seed)
    origins = rng.uniform(low, high, (n + n // 2, 3)).T
    free = np.ones(origins.shape[1], bool)
    for lower, upper in zip(SCENE.lower[2:], SCENE.upper[2:], strict=True):
        free &= ~((origins > lower[:, None] - clear) & (origins < upper[:, None] + clear)).all(0)
    origins = np.ascontiguousarray(origins[:, free][:, :n])
    directions = rng.normal(size=origins.shape)
    return origins, directions / np.linalg.norm(directions, axis=0)


def eye_rays(n, seed):
    """Start at eye height where an animal can be, and go through a camera that looks 12 degrees down."""
    origins, _ = random_rays(n, seed, low=(-11.8, 1.85, -11.4), high=(11.3, 1.85, 11.7), clear=0.3)
    rng = np.random.default_rng(seed + 1)
    heading, pitch = rng.uniform(0, 2 * np.pi, origins.shape[1]), np.deg2rad(12)
    right = rng.uniform(-1, 1, origins.shape[1]) * np.tan(np.pi / 6) * 16 / 9
    up = rng.uniform(-1, 1, origins.shape[1]) * np.tan(np.pi / 6)
    ahead = up * np.sin(pitch) + np.cos(pitch)
    return origins, np.stack(
        [
            right * np.cos(heading) + ahead * np.sin(heading),
            up * np.cos(pitch) - np.sin(pitch),
            ahead * np.cos(heading) - right * np.sin(heading),
        ]
    )


@pytest.mark.parametrize(
    ("origin", "direction", "name", "point"),
    [
        # The six sides of the room, from its middle.
        ((0, 1.85, 0), (0, -1, 0), "Ground", (0, 0, 0)),
        ((0, 1.85, 0), (0, 1, 0), "Ceiling", (0, 4.93, 0)),
        ((0, 1.85, 0), (-1, 0, 0), "wall_03", (-12.67, 1.85, 0)),
        ((0, 1.85, 0), (1, 0, 0), "wall_16", (12.23, 1.85, 0)),
        ((0, 1.85, 0), (0, 0, 1), "wall_10", (0, 1.85, 12.58)),
        ((0, 1.85, 0), (0, 0, -1), "wall_21", (0, 1.85, -12.32)),
        # Either side of where two panels meet, at z = 0.13 and x = -0.22.
        ((0, 1.85, 0.1301), (1, 0, 0), "wall_15", (12.23, 1.85, 0.1301)),
        ((0, 1.85, 0.1299), (1, 0, 0), "wall_16", (12.23, 1.85, 0.1299)),
        ((-0.2199, 1.85, 0), (0, 0, 1), "wall_10", (-0.2199, 1.85, 12.58)),
        ((-0.2201, 1.85, 0), (0, 0, 1), "wall_09", (-0.2201, 1.85, 12.58)),
        # Both walls of a corner of the room: 1.02 of 2 units to the one and to the other.
        ((10.23, 2, 10.58), (2, 0, 1.99), "wall_13", (12.23, 2, 12.57)),
        ((10.23, 2, 10.58), (1.99, 0, 2), "wall_12", (12.22, 2, 12.58)),
        # Down to the floor and up to the ceiling at a slope.
        ((0, 1.85, 0), (0, -0.5, 1), "Ground", (0, 0, 3.7)),
        ((0, 1.93, -10), (0.25, 1, 1), "Ceiling", (0.75, 4.93, -7)),
        # The faces of the pillars beside their posters (|x| or |z| = 2.45 and 7.55).
        ((0, 1.85, 5), (1, 0, 0), "m_wall_3", (2.45, 1.85, 5)),
        ((0, 1.85, 5), (-1, 0, 0), "m_wall_8", (-2.45, 1.85, 5)),
        ((0, 1.85, -5), (1, 0, 0), "m_wall_5", (2.45, 1.85, -5)),
        ((0, 1.85, -5), (-1, 0, 0), "m_wall_6", (-2.45, 1.85, -5)),
        ((10, 1.85, 5), (-1, 0, 0), "m_wall_24", (7.55, 1.85, 5)),
        ((-10, 1.85, -5), (1, 0, 0), "m_wall_21", (-7.55, 1.85, -5)),
        ((5, 1.85, 0), (0, 0, -1), "m_wall_26", (5, 1.85, -2.45)),
        ((-5, 1.85, 0), (0, 0, 1), "m_wall_7", (-5, 1.85, 2.45)),
        ((5, 1.85, -10), (0, 0, 1), "m_wall_1", (5, 1.85, -7.55)),
        ((-5, 1.85, 10), (0, 0, -1), "m_wall_12", (-5, 1.85, 7.55)),
        # All posters, in their middle.
        ((-5, 1.5, -10), (0, 0, 1), "CatPoster", (-5, 1.5, -7.605)),
        ((-10, 1.5, 4.975), (1, 0, 0), "CamelPoster", (-7.555, 1.5, 4.975)),
        ((10, 1.5, -4.96), (-1, 0, 0), "RabitPoster", (7.555, 1.5, -4.96)),
        ((5.168, 1.5, 10), (0, 0, -1), "DonkeyPoster", (5.168, 1.5, 7.555)),
        ((5.021, 1.5, 0), (0, 0, 1), "CrocodilePoster", (5.021, 1.5, 2.395)),
        ((-4.99, 1.5, 0), (0, 0, -1), "PigPoster", (-4.99, 1.5, -2.445)),
        # Just inside and just outside the edges of a poster: x from 3.90109 to 6.14091, y from 0.8 to 2.2.
        ((6.1408, 1.5, 0), (0, 0, 1), "CrocodilePoster", (6.1408, 1.5, 2.395)),
        ((6.1410, 1.5, 0), (0, 0, 1), "m_wall_4", (6.1410, 1.5, 2.45)),
        ((3.9010, 1.5, 0), (0, 0, 1), "m_wall_4", (3.9010, 1.5, 2.45)),
        ((3.9012, 1.5, 0), (0, 0, 1), "CrocodilePoster", (3.9012, 1.5, 2.395)),
        ((5, 2.1999, 0), (0, 0, 1), "CrocodilePoster", (5, 2.1999, 2.395)),
        ((5, 2.2001, 0), (0, 0, 1), "m_wall_4", (5, 2.2001, 2.45)),
        ((5, 0.7999, 0), (0, 0, 1), "m_wall_4", (5, 0.7999, 2.45)),
        # Past a poster's edge, at a slope, to the wall 0.055 behind it: x = 6.12 at the poster's plane, 6.175 behind.
        ((3.725, 1.5, 0), (1, 0, 1), "CrocodilePoster", (6.12, 1.5, 2.395)),
        ((3.755, 1.5, 0), (1, 0, 1), "m_wall_4", (6.205, 1.5, 2.45)),
        # Between a poster and its wall a ray that comes along the wall hits neither, and leaves the pillar behind.
        ((0, 1.5, 2.42), (1, 0, 0), "wall_15", (12.23, 1.5, 2.42)),
        # From there, away from the wall, it hits the poster from behind: a box of no thickness has two outsides.
        ((5, 1.5, 2.42), (0, 0, -1), "CrocodilePoster", (5, 1.5, 2.395)),
        # The notch of a pillar's corner (2.45 to 2.5 in x and z): into it along x, onto the other panel's end.
        ((0, 1.85, 2.48), (1, 0, 0), "m_wall_4", (2.5, 1.85, 2.48)),
        ((2.48, 1.85, 0), (0, 0, 1), "m_wall_3", (2.48, 1.85, 2.5)),
        # ... and through it, past both panels, to the next pillar.
        ((2.43, 1.85, 2.49), (1, 0, -1), "m_wall_26", (7.37, 1.85, -2.45)),
        # Past a pillar: just above its walls, which end at 2.965, and beside it.
        ((0, 2.9651, 5), (1, 0, 0), "wall_15", (12.23, 2.9651, 5)),
        ((0, 2.9649, 5), (1, 0, 0), "m_wall_3", (2.45, 2.9649, 5)),
        ((0, 1.85, 7.5501), (1, 0, 0), "wall_14", (12.23, 1.85, 7.5501)),
        ((0, 1.85, 2.4499), (1, 0, 0), "wall_15", (12.23, 1.85, 2.4499)),
        # Behind a pillar: the Camel and the Rabit on the far side of one are hidden by its near side.
        ((0, 1.5, 4.975), (-1, 0, 0), "m_wall_8", (-2.45, 1.5, 4.975)),
        ((0, 1.5, -4.96), (1, 0, 0), "m_wall_5", (2.45, 1.5, -4.96)),
        # A pillar has no lid: from above one looks into it, onto the inner side of a panel, and onto the floor.
        ((5, 4, 5), (0, -1, 0), "Ground", (5, 0, 5)),
        ((5, 1, 5), (1, 0, 0), "m_wall_24", (7.45, 1, 5)),
        # What is around the start is not hit: from inside a panel one sees what is outside.
        ((3, 1, 2.5), (0, 0, -1), "m_wall_26", (3, 1, -2.45)),
    ],
)
def test_rays_worked_out_by_hand(origin, direction, name, point):
    ray = np.array(origin, float)[:, None], np.array(direction, float)[:, None]
    for objects, depth in (CASTER.cast(*ray), Caster(OPEN).cast(*ray)):
        assert SCENE.names[objects[0]] == name
        np.testing.assert_allclose(ray[0][:, 0] + depth[0] * ray[1][:, 0], point, rtol=0, atol=1e-12)


def test_rays_of_nan_hit_nothing():
    origins, directions = np.zeros((3, 4)), np.ones((3, 4))
    origins[1] = 1.85
    origins[0, 1] = directions[2, 2] = np.nan
    objects, depth = CASTER.cast(origins, directions)
    assert (objects[[1, 2]] == -1).all() and np.isinf(depth[[1, 2]]).all()
    assert (objects[[0, 3]] == SCENE.names.index("Ceiling")).all()


def test_rays_from_outside_the_maze_hit_its_outer_walls_and_may_miss():
    origins = np.array([[-20.0, 1, 0], [-20, 1, 0], [0, 10, 0]]).T
    objects, depth = CASTER.cast(origins, np.array([[1.0, 0, 0], [-1, 0, 0], [0, -1, 0]]).T)
    assert [SCENE.names[k] if k >= 0 else None for k in objects] == ["wall_03", None, "Ceiling"]
    np.testing.assert_allclose(depth, [20 - 12.77, np.inf, 10 - 4.93], rtol=1e-12)


def test_no_ray_is_not_an_error():
    objects, depth = CASTER.cast(np.zeros((3, 0)), np.zeros((3, 0)))
    assert objects.shape == depth.shape == (0,)


@pytest.mark.parametrize("rays", [random_rays, eye_rays])
def test_a_million_rays_hit_what_the_plain_slab_test_says(rays):
    origins, directions = rays(N, seed=3)
    expected, far = plain_slabs(origins, directions)
    assert origins.shape[1] == N and (expected >= 0).all()
    objects, depth = CASTER.cast(origins, directions)
    np.testing.assert_array_equal(objects, expected)
    np.testing.assert_allclose(depth, far, rtol=1e-12)
    seen = np.bincount(expected, minlength=SCENE.n_objects)
    assert (seen > 0).all() or rays is eye_rays


def test_rays_from_in_and_around_the_maze_hit_what_the_plain_slab_test_says():
    origins, directions = random_rays(100_000, seed=5, low=(-25, -2, -25), high=(25, 8, 25))
    expected, _ = plain_slabs(origins, directions)
    assert 0.2 < (expected >= 0).mean() < 0.9
    for caster in (CASTER, Caster(OPEN)):
        np.testing.assert_array_equal(caster.cast(origins, directions)[0], expected)


def triangles():
    """Twelve triangles for a box, two for a rectangle; float32, and which object each belongs to."""
    faces, owners = [], []
    for member in range(SCENE.n_objects):
        for axis in range(3):
            for plane in sorted({SCENE.lower[member, axis], SCENE.upper[member, axis]}):
                corners = np.empty((4, 3))
                corners[:, axis] = plane
                others = [(axis + 1) % 3, (axis + 2) % 3]
                for column in others:
                    edges = SCENE.lower[member, column], SCENE.upper[member, column]
                    corners[:, column] = np.take(edges, [0, 1, 1, 0] if column == others[0] else [0, 0, 1, 1])
                if np.ptp(corners, axis=0)[others].all():
                    faces += [corners[[0, 1, 2]], corners[[0, 2, 3]]]
                    owners += [member, member]
    return np.array(faces, np.float32), np.array(owners)


def near_an_edge(objects, points, within):
    """Tell which points lie on their object within this distance of where two of its faces meet."""
    to_planes = np.minimum(abs(points.T - SCENE.lower[objects]), abs(points.T - SCENE.upper[objects]))
    return np.sort(to_planes, axis=1)[:, 1] < within


def near_another(objects, points, within):
    """Tell which points lie within this distance of an object that is not theirs."""
    near = np.zeros(len(objects), bool)
    for member in range(SCENE.n_objects):
        lower, upper = SCENE.lower[member][:, None] - within, SCENE.upper[member][:, None] + within
        near |= ((points > lower) & (points < upper)).all(0) & (objects != member)
    return near


@pytest.mark.parametrize("rays", [random_rays, eye_rays])
def test_a_million_rays_hit_what_embree_says(rays):
    origins, directions = rays(N, seed=7)
    objects, depth = CASTER.cast(origins, directions)
    faces, owners = triangles()
    device = rtcore_scene.EmbreeScene()
    mesh = TriangleMesh(device, faces)
    found = device.run(origins.T.astype(np.float32), directions.T.astype(np.float32), output=True)
    assert mesh is not None and (found["primID"] >= 0).all()
    expected = owners[found["primID"]]
    doubtful = np.zeros(N, bool)
    for named, far in ((objects, depth), (expected, found["tfar"])):
        points = origins + far * directions
        doubtful |= near_an_edge(named, points, 1e-4) | near_another(named, points, 1e-4)
    print(f"{doubtful.sum()} of {N} rays within 1e-4 of an edge, {(objects != expected).sum()} of them differ")
    assert doubtful.sum() < 1e-3 * N
    np.testing.assert_array_equal(objects[~doubtful], expected[~doubtful])
    assert np.abs((depth - found["tfar"]) * np.linalg.norm(directions, axis=0))[~doubtful].max() < 1e-3
    assert set(np.unique(objects)) == set(range(SCENE.n_objects)) or rays is eye_rays
