"""Bin numbers against the published numbering, written out here as loops and as its formulas."""

import json
from math import floor
from pathlib import Path

import numpy as np
import pytest

from hippflow.behaviour.bins import BinGrid
from hippflow.behaviour.scene import load_scene
from hippflow.errors import ConfigError

DATA = json.loads((Path(__file__).parents[3] / "resources" / "double_tee.json").read_text())
SCENE = load_scene(DATA, "double_tee.json")
BINS = BinGrid(SCENE.grid, 40)

#: Centre of each pillar, and number and outer plane of each of its panels: faces -x, +z, +x, -z.
PILLARS = [
    ((5, -5), ("m_wall_5", "m_wall_26", "m_wall_25", "m_wall_1")),  # green
    ((-5, -5), ("m_wall_21", "m_wall_29", "m_wall_6", "m_wall_10")),  # blue
    ((5, 5), ("m_wall_3", "m_wall_15", "m_wall_24", "m_wall_4")),  # red
    ((-5, 5), ("m_wall_20", "m_wall_12", "m_wall_8", "m_wall_7")),  # yellow
]


def bins_of(names, points):
    objects = np.array([SCENE.names.index(name) for name in names])
    return BINS.numbers(SCENE.surface[objects], np.array(points, float).T)


def around(x, z, half, k, size):
    """Where column k of the faces -x, +z, +x, -z of a square is, on the faces' own planes."""
    step = (k + 0.5) * size
    west, north = (x - half, z - half + step), (x - half + step, z + half)
    east, south = (x + half, z + half - step), (x + half - step, z - half)
    return [west, north, east, south]


def published():
    """Every bin but cue and hint, in the order of its number: names that it can be hit on, and its middle."""
    for y, name in ((0.0, "Ground"), (4.93, "Ceiling")):
        for iz in range(40):
            for ix in range(40):
                yield name, (-12.72 + (ix + 0.5) * 0.625, y, -12.37 + (iz + 0.5) * 0.625)
    sides = ("wall_03", "wall_09", "wall_15", "wall_21")
    for iy in range(8):
        for side in range(4):
            for k in range(40):
                x, z = around(-0.22, 0.13, 12.5, k, 0.625)[side]
                yield sides[side], (x, (iy + 0.5) * 0.625, z)
    for centre, panels in PILLARS:
        for iy in range(5):
            for side in range(4):
                for k in range(8):
                    x, z = around(*centre, 2.5, k, 0.625)[side]
                    yield panels[side], (x, -0.09 + (iy + 0.5) * 0.6, z)


def test_all_5122_bins_lie_where_the_published_numbering_has_them_and_back():
    names, centres = zip(*published(), strict=True)
    numbers = np.arange(3, 5123)
    assert BINS.n_bins == 5122 == len(names) + 2
    np.testing.assert_array_equal(bins_of(names, centres), numbers)
    surfaces, middles = BINS.places(numbers)
    np.testing.assert_array_equal(surfaces, SCENE.surface[[SCENE.names.index(name) for name in names]])
    np.testing.assert_allclose(middles.T, centres, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(BINS.numbers(surfaces, middles), numbers)


def test_cue_and_hint_are_bins_1_and_2_and_at_no_place():
    assert bins_of(["CueImage", "HintImage"], [[1, 2, 3], [np.nan] * 3]).tolist() == [1, 2]
    surfaces, middles = BINS.places(np.array([1, 2]))
    assert surfaces.tolist() == SCENE.surface[-2:].tolist() and np.isnan(middles).all()


@pytest.mark.parametrize(
    ("name", "point", "number"),
    [
        ("Ground", (-12.6, 0, -12.3), 3),
        ("Ground", (0, 0, 0), 3 + 20 + 40 * 19),
        ("Ground", (12.2, 0, 12.5), 1602),
        ("Ceiling", (-12.6, 4.93, -12.3), 1603),
        ("Ceiling", (12.2, 4.93, 12.5), 3202),
        ("wall_01", (-12.67, 0.1, -12.3), 3203),
        ("wall_07", (-12.6, 0.1, 12.58), 3203 + 40),
        ("wall_13", (12.23, 0.1, 12.5), 3203 + 80),
        ("wall_19", (12.2, 0.1, -12.32), 3203 + 120),
        ("wall_24", (-12.6, 4.9, -12.32), 4482),
        ("m_wall_5", (2.45, 0.3, -7.4), 4483),
        ("m_wall_5", (2.45, 0.6, -7.4), 4483 + 32),  # the first level ends at -0.09 + 0.6
        ("m_wall_7", (-7.4, 2.9, 2.45), 5122),
        ("m_wall_7", (-7.4, 2.96, 2.45), 5122),  # above the bins, which end at 2.91
        ("m_wall_4", (2.5, 1.85, 2.48), 4483 + 320 + 32 * 3 + 8 * 3 + 7),  # a panel's end, in the notch
        # Posters are the wall that they hang on: Cat on blue -z, Camel on yellow -x, Pig on blue +z.
        ("CatPoster", (-5.1, 1.5, -7.605), 4483 + 160 + 32 * 2 + 8 * 3 + 4),
        ("CamelPoster", (-7.555, 1.5, 4.9), 4483 + 480 + 32 * 2 + 3),
        ("PigPoster", (-4.9, 1.5, -2.445), 4483 + 160 + 32 * 2 + 8 + 4),
    ],
)
def test_bins_worked_out_by_hand(name, point, number):
    assert bins_of([name], [point]).tolist() == [number]


def test_points_of_the_floor_follow_the_published_formula():
    rng = np.random.default_rng(2)
    x, z = rng.uniform(-12.67, 12.23, 5000), rng.uniform(-12.32, 12.58, 5000)
    expected = [3 + floor((a + 12.72) / 0.625) + 40 * floor((b + 12.37) / 0.625) for a, b in zip(x, z, strict=True)]
    found = bins_of(["Ground"] * 5000, np.stack([x, 0 * x, z], axis=1))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("per_side", "n_bins"),
    [
        (1, 2 + 1 + 1 + 4 + 4 * 4),
        (20, 2 + 400 + 400 + 4 * 20 * 4 + 4 * 4 * 4 * 3),  # 1.25 wide: levels of 3/3 on pillars
        (80, 2 + 6400 + 6400 + 4 * 80 * 16 + 4 * 4 * 16 * 10),
        (33, 2 + 1089 + 1089 + 4 * 33 * 7 + 4 * 4 * 7 * 4),  # 0.758 wide: 6.6, 6.6 and 3.96 of them
    ],
)
def test_any_number_of_bins_is_inverted_exactly(per_side, n_bins):
    bins = BinGrid(SCENE.grid, per_side)
    assert bins.n_bins == n_bins
    numbers = np.arange(1, n_bins + 1)
    surfaces, middles = bins.places(numbers)
    np.testing.assert_array_equal(bins.numbers(surfaces, middles), numbers)
    assert np.unique(np.vstack([surfaces, np.nan_to_num(middles)]), axis=1).shape[1] == n_bins


@pytest.mark.parametrize("number", [0, 5123, -1])
def test_a_number_that_is_no_bin_is_refused(number):
    with pytest.raises(ValueError, match="expected bins from 1 to 5122"):
        BINS.places(np.array([3, number]))


@pytest.mark.parametrize("per_side", [0, -1, 1.5, "40", True])
def test_a_number_of_bins_that_cannot_be_is_refused(per_side):
    with pytest.raises(ConfigError, match=r"raycast.bins_per_side: expected a positive whole number"):
        BinGrid(SCENE.grid, per_side)
