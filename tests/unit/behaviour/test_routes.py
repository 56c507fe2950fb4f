"""Routes through the maze: costs against a search on a drawing of it, judgements by hand."""

import math
import time
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippflow.behaviour.routes import DOUBLE_TEE, is_shortest, route_costs, route_ratios

#: The maze from above, +z up: vertices and corridors, and the posters (digits) next to theirs.
PLAN = """
o-o-o-o-o
|   | 4 |
o2  o   o
|   | 5 |
o-o-o-o-o
| 6 |   |
o   o  3o
| 1 |   |
o-o-o-o-o
""".strip().split("\n")
#: Vertex of each poster, by the drawing.
GOALS = {1: 17, 2: 5, 3: 15, 4: 3, 5: 11, 6: 9}


def drawn_vertices():
    """Characters of the drawing at which vertices are, in reading order."""
    return [(row, column) for row, line in enumerate(PLAN) for column, mark in enumerate(line) if mark == "o"]


def search(start, goal):
    """Cost of the shortest way on the drawing, by breadth first."""
    nodes = drawn_vertices()
    queue, cost = deque([nodes[start]]), {nodes[start]: 0}
    while queue:
        row, column = queue.popleft()
        for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            if 0 <= row + 2 * down < 9 and 0 <= column + 2 * right < 9:
                between = PLAN[row + down][column + right]
                after = (row + 2 * down, column + 2 * right)
                if between in "-|" and after not in cost:
                    cost[after] = cost[row, column] + 5
                    queue.append(after)
    return cost[nodes[goal]]


def nearest_by_hand(x, z):
    distances = [math.dist((x, z), vertex) for vertex in DOUBLE_TEE.vertices]
    return distances.index(min(distances))


def test_vertices_are_numbered_as_in_the_drawing():
    assert len(DOUBLE_TEE.vertices) == 21
    for (x, z), (row, column) in zip(DOUBLE_TEE.vertices, drawn_vertices(), strict=True):
        assert (x, z) == (-10 + 2.5 * column, 10 - 2.5 * row)


def test_posters_belong_to_the_vertices_next_to_them():
    assert DOUBLE_TEE.nearest(DOUBLE_TEE.posters).tolist() == list(GOALS.values())


def test_shortest_costs_are_those_of_a_search_on_the_drawing():
    expected = [[search(vertex, goal) for goal in GOALS.values()] for vertex in range(21)]
    assert DOUBLE_TEE.shortest().tolist() == expected
    assert expected[0] == [25, 5, 35, 15, 25, 15]  # from the corner at -x, +z, counted by hand


@given(st.lists(st.tuples(*[st.floats(-15, 15)] * 2), min_size=1, max_size=30))
def test_the_nearest_vertex_is_the_one_at_the_least_distance(points):
    for (x, z), vertex in zip(points, DOUBLE_TEE.nearest(points).tolist(), strict=True):
        least = math.dist((x, z), DOUBLE_TEE.vertices[nearest_by_hand(x, z)])
        assert math.dist((x, z), DOUBLE_TEE.vertices[vertex]) == pytest.approx(least, abs=1e-9)


def frames_of(*stays):
    return np.concatenate([[vertex] * n for vertex, n in stays])


#: Stays from vertex 10, the middle, to poster 6 at vertex 9 (cost 5), with what the two ancestors make of them.
REVERSALS = [
    ("straight", [(10, 3), (9, 4)], True),
    ("one short reversal", [(10, 3), (11, 165), (10, 3), (9, 4)], True),
    ("one long reversal", [(10, 3), (11, 166), (10, 3), (9, 4)], False),
    ("a short, then a long one", [(10, 3), (11, 9), (10, 3), (6, 166), (10, 3), (9, 4)], False),
    ("a long, then a short one", [(10, 3), (6, 166), (10, 3), (11, 9), (10, 3), (9, 4)], False),
    ("two short ones", [(10, 3), (11, 165), (10, 3), (6, 165), (10, 3), (9, 4)], True),
    ("one vertex twice, together long", [(10, 3), (11, 83), (10, 3), (11, 83), (10, 3), (9, 4)], False),
    ("a way round without reversals", [(10, 3), (6, 3), (2, 3), (1, 3), (0, 3), (5, 3), (8, 3), (9, 4)], False),
    ("an overshoot", [(10, 3), (9, 40), (8, 4)], True),
    ("an overshoot of two vertices", [(10, 3), (9, 40), (8, 4), (5, 4)], False),
]


@pytest.mark.parametrize(("stays", "counts"), [case[1:] for case in REVERSALS], ids=[case[0] for case in REVERSALS])
def test_reversals_are_judged_on_all_of_them(stays, counts):
    frames = frames_of(*stays)
    assert is_shortest(frames, 5.0, 9, rewarded=True, reversal_frames=165) is counts
    assert is_shortest(frames, 5.0, 9, rewarded=False, reversal_frames=165) is False


def test_pyhipp_would_take_a_route_with_one_short_reversal_of_two():
    """What PyHipp does on the same frames: any short reversal before the first long one is enough."""
    frames = frames_of(*REVERSALS[3][1])
    assert pyhipp_summary(frames, poster=6, code=36)[5] == 1
    assert not is_shortest(frames, 5.0, 9, rewarded=True, reversal_frames=165)


def pyhipp_summary(frames, poster, code, limit=165):
    """PyHipp's published row of sumCost, frame by frame."""
    route = [frames[0]]
    for vertex in frames[1:]:
        if vertex != route[-1]:
            route.append(vertex)
    ideal, taken = search(int(frames[0]), GOALS[poster]), 5 * (len(route) - 1)
    flag = 0
    if taken - ideal <= 0:
        flag = 1
    elif code - poster == 30:
        for before, turned, after in zip(route, route[1:], route[2:], strict=False):
            if before == after:
                if list(frames).count(turned) > limit:
                    break
                flag = 1
    return [ideal, taken, taken - ideal, poster, code - poster, 0 if code - poster == 40 else flag]


def umaze_flag(frames, ideal, taken, goal, end, limit=165):
    """MATLAB's rule for the last column, frame by frame."""
    if end == 40 or taken <= ideal:
        return int(end == 30)
    route = [vertex for k, vertex in enumerate(frames) if k == 0 or frames[k - 1] != vertex]
    turned = [route[k] for k in range(1, len(route) - 1) if route[k - 1] == route[k + 1]]
    overshot = route[-1] != goal and route[-2] == goal
    return int(overshot or (bool(turned) and max(map(frames.count, turned)) <= limit))


def walk(rng, n_frames):
    """A random walk along the corridors, 0.3 units a frame."""
    position, goal, path = np.array([0.0, 0.0]), np.array([0.0, 0.0]), []
    for _ in range(n_frames):
        if np.abs(goal - position).sum() < 0.3:
            position = goal
            ways = [v for v in np.array(DOUBLE_TEE.vertices) if np.isclose(np.abs(v - goal).sum(), 5)]
            goal = ways[rng.integers(len(ways))]
        position = position + 0.3 * np.sign(goal - position)
        path.append(position)
    return np.array(path)


@pytest.mark.parametrize("seed", range(20))
def test_costs_are_pyhipps_frame_by_frame(seed):
    rng = np.random.default_rng(seed)
    positions = walk(rng, 600)
    cuts = np.sort(rng.choice(600, 9, replace=False)).reshape(3, 3)
    codes = 10 * rng.choice([3, 4], 3) + rng.integers(1, 7, 3)
    costs = route_costs(positions, cuts, codes, reversal_frames=165)
    for (_, cue, end), code, row in zip(cuts, codes, costs, strict=True):
        frames = [nearest_by_hand(*point) for point in positions[cue : end + 1]]
        expected = pyhipp_summary(frames, int(code % 10), int(code))
        assert row[:5].tolist() == expected[:5]
        assert row[5] == umaze_flag(frames, *expected[:2], GOALS[code % 10], code - code % 10)


def test_summaries_by_hand():
    """From the middle to poster 6 straight; the same without a reward; from the goal of poster 5 away and back."""
    positions = np.zeros((12, 2))
    positions[2:6] = [[0, 0], [-1, 0], [-4, 0.5], [-5, 0]]
    positions[6:9] = positions[3:6]
    positions[9:12] = [[5, 0], [0, 0], [5, 0.3]]
    rows = np.array([[0, 2, 5], [5, 6, 8], [8, 9, 11]])
    costs = route_costs(positions, rows, [36, 46, 35], reversal_frames=1)
    assert costs.tolist() == [[5, 5, 0, 6, 30, 1], [5, 5, 0, 6, 40, 0], [0, 10, 10, 5, 30, 1]]
    assert (costs.dtype, costs.shape) == (np.float64, (3, 6))
    np.testing.assert_array_equal(route_ratios(costs), [1, 1, np.nan])
    assert route_costs(positions, rows[2:], [35], reversal_frames=0)[0, 5] == 0


def test_a_session_without_trials_has_no_costs():
    costs = route_costs(np.zeros((4, 2)), np.zeros((0, 3), int), [], reversal_frames=165)
    assert (costs.shape, route_ratios(costs).shape) == ((0, 6), (0,))


def test_a_trial_of_an_hour_takes_no_longer_than_its_frames():
    rng = np.random.default_rng(3)
    positions = np.repeat(np.array(DOUBLE_TEE.vertices)[rng.choice([9, 10, 11], 54_000)], 2, axis=0)
    start = time.process_time()
    route_costs(positions, np.array([[0, 0, 107_999]]), [31], reversal_frames=165)
    assert time.process_time() - start < 2
