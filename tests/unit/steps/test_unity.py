"""The unity product: PyHipp's fields from a maze log and Ripple's markers."""

import itertools
import json
import logging
import math
import time

import hickle
import networkx as nx
import numpy as np
import pytest

from hippflow.errors import FormatError, MarkerError
from hippflow.io.products import base_fields, read_product, write_product
from hippflow.names import product_name
from hippflow.steps.unity import ARGS, make_unity

HEADERS = {
    "key-value": "".join(f"Setting{k}: {k}\n" for k in range(14)),
    "json": json.dumps({"version": 4, "posters": [1, None, {"a": True}]}) + "\n",
    "none": "",
}
#: Eleven frames: the session's start, a trial to poster 6 (at (-5, 0)), one to poster 5 that runs out of time.
ROWS = [
    (84, 0.5, 0.0, 0.0, 0.0),
    (16, 0.25, 0.0, 0.0, 0.0),
    (0, 0.25, 0.0, 0.0, 10.0),
    (26, 0.5, 0.0, 0.0, -90.0),
    (0, 0.25, -3.0, 0.0, -90.0),
    (36, 0.25, -5.0, 0.0, 360.0),
    (15, 1.0, -5.0, 0.0, 90.0),
    (25, 0.5, -5.0, 0.0, 90.0),
    (0, 0.5, -2.0, 4.0, 90.0),
    (45, 0.5, -2.0, 4.0, 90.0),
    (0, 0.5, -2.0, 4.0, 90.0),
]
CODES = np.array([[16, 26, 36], [15, 25, 45]], np.uint16)
#: Ripple's clock started 100 s before the log's session did; the first trial ends 10 ms late there.
TIMES = 100 + np.array([[0.25, 1.0, 1.51], [2.5, 3.0, 4.0]])


def write_log(folder, rows=ROWS, header="", name="session_1_5112018105911.txt"):
    path = folder / "raw" / "session01" / "RawData_T1-400" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + "".join(" {} {:.8f} {:.4f} {:.4f} {:.4f}\n".format(*row) for row in rows))
    return path


def write_markers(folder, codes=CODES, times=TIMES, **fields):
    path = folder / "results" / "picasso" / "20181105" / "session01" / "rplparallel_d41d.hkl"
    fields = {"markers": codes, "timeStamps": times, "markerFormat": "84", "unfinishedTrial": []} | fields
    write_product(path, base_fields(path, "session") | fields)
    return path


def make(folder, logs=None, markers=None, **config):
    markers = markers or write_markers(folder)
    unity = markers.parent / "unaligned" / "unity_71bf.hkl"
    make_unity(logs or [write_log(folder)], markers, unity, **config)
    return hickle.load(unity)


def test_the_name_is_pyhipps():
    assert product_name("unity", ARGS) == "unity_71bf.hkl"


@pytest.mark.parametrize("kind", HEADERS)
def test_fields_of_a_small_session_by_hand(tmp_path, kind):
    fields = make(tmp_path, [write_log(tmp_path, header=HEADERS[kind])])
    nan = np.nan
    expected = {
        "unityData": (
            np.float64,
            [
                [84, 0.5, 0, 0, 0, nan, 0],
                [16, 0.25, 0, 0, 0, nan, 0],
                [0, 0.25, 0, 0, 10, nan, 0],
                [26, 0.5, 0, 0, 270, nan, 0],
                [0, 0.25, -3, 0, 270, 270, 3],
                [36, 0.25, -5, 0, 0, 270, 2],
                [15, 1.0, -5, 0, 90, nan, 0],
                [25, 0.5, -5, 0, 90, nan, 0],
                [0, 0.5, -2, 4, 90, 360 - math.degrees(math.atan2(4, 3)) + 90 - 360, 5],
                [45, 0.5, -2, 4, 90, nan, 0],
                [0, 0.5, -2, 4, 90, nan, 0],
            ],
        ),
        "unityTriggers": (np.int64, [[1, 3, 5], [6, 7, 9]]),
        "unityTime": (np.float64, [-0.5, 0, 0.25, 0.5, 1.0, 1.25, 1.5, 2.5, 3.0, 3.5, 4.0, 4.5]),
        "unityTrialTime": (np.float64, [[0, 0], [0.25, 0.5], [0.5, 1.0], [nan, nan]]),
        "sumCost": (np.float64, [[5, 5, 0, 6, 30, 1], [10, 5, -5, 5, 40, 0]]),
        "timePerformance": (float, 0.5),
        "routePerformance": (float, 0.5),
        "trialRouteRatio": (np.float64, [1, 0.5]),
        "durationDiff": (np.float64, [-10, 0]),
        "timeStamps": (np.float64, TIMES),
    }
    for name, (dtype, values) in expected.items():
        assert isinstance(fields[name], list), name
        assert len(fields[name]) == 1, name
        assert np.asarray(fields[name][0]).dtype == dtype, name
        np.testing.assert_allclose(fields[name][0], values, rtol=1e-12, atol=1e-9, err_msg=name)
    assert (fields["setidx"], fields["numSets"]) == ([0, 0], 1)
    assert (fields["args"], fields["dirs"]) == (ARGS, ["picasso/20181105/session01"])
    assert (fields["repairs"], fields["extras"], fields["filePauses"].tolist()) == ([], [], [0.0])
    assert (fields["files"], fields["fileRows"].tolist()) == (["session_1_5112018105911.txt"], [11])
    assert fields["header"] == (
        {f"Setting{k}": str(k) for k in range(14)} if kind == "key-value" else json.loads(HEADERS[kind] or "{}")
    )


def test_a_trial_that_begins_at_its_goal_has_no_ratio(tmp_path):
    rows = [(code, dt, -5, 0, heading) for code, dt, _, _, heading in ROWS]
    fields = make(tmp_path, [write_log(tmp_path, rows)])
    np.testing.assert_array_equal(fields["trialRouteRatio"][0], [np.nan, 0])
    assert fields["sumCost"][0][:, :3].tolist() == [[0, 0, 0], [10, 0, -10]]


def test_reversals_are_judged_with_the_configured_limit(tmp_path):
    rows = list(ROWS)
    rows[4:6] = [(0, 0.05, 5.0, 0.0, 0.0)] * 3 + [(0, 0.05, 0.0, 0.0, 0.0), (36, 0.3, -5.0, 0.0, 0.0)]
    log = write_log(tmp_path, rows)
    assert [make(tmp_path, [log], reversal_frames=n)["sumCost"][0][0].tolist() for n in (3, 2)] == [
        [5, 15, 10, 6, 30, 1],
        [5, 15, 10, 6, 30, 0],
    ]


def long_session(seed=0, n_trials=40):
    """A random walk with frames of 1/30 s; Ripple's clock is 200 ppm fast."""
    rng = np.random.default_rng(seed)
    trigger, codes = [84, *[0] * 50], []
    for _ in range(n_trials):
        poster, end = int(rng.integers(1, 7)), int(rng.choice([30, 30, 30, 40]))
        codes.append([10 + poster, 20 + poster, end + poster])
        for code, length in zip(codes[-1], (40, rng.integers(50, 500), rng.integers(30, 90)), strict=True):
            trigger += [code, *[0] * length]
    n_rows = len(trigger)
    position = 12 * np.sin(np.cumsum(rng.normal(0, 0.03, (2, n_rows)), axis=1))
    rows = list(zip(trigger, rng.normal(1 / 30, 0.002, n_rows), *position, rng.uniform(-180, 180, n_rows), strict=True))
    codes = np.array(codes, np.uint16)
    moments = np.cumsum([float(f"{row[1]:.8f}") for row in rows])
    triggers = np.flatnonzero(trigger)[1:].reshape(-1, 3)
    return rows, codes, 5.5 + 1.0002 * moments[triggers], triggers


def pyhipp(path, times):
    """PyHipp's Unity by its published formulas, on a log with 14 header lines; its rows lack the first one."""
    data = np.loadtxt(path, skiprows=15)
    code = data[:, 0].astype(int)
    rows = np.column_stack(
        [
            np.flatnonzero((code > 10) & (code < 20)),
            np.flatnonzero((code > 20) & (code < 30)),
            np.flatnonzero(code > 30),
        ]
    )
    unity_time = np.append(0, np.cumsum(data[:, 1]))
    vertices = [(x, z) for z in (10, 5, 0, -5, -10) for x in (-10, -5, 0, 5, 10) if z % 10 == 0 or x % 10 == 0]
    posters = [(-5, -7.55), (-7.55, 5), (7.55, -5), (5, 7.55), (5, 2.45), (-5, -2.45)]
    graph = nx.Graph()
    for a, b in itertools.combinations(range(21), 2):
        if math.dist(vertices[a], vertices[b]) == 5:
            graph.add_edge(a, b, weight=5)

    def nearest(point):
        return min(range(21), key=lambda v: math.dist(point, vertices[v]))

    costs, trial_time = [], np.full((max(rows[:, 2] - rows[:, 1]) + 2, len(rows)), np.nan)
    for trial, (_, cue, end) in enumerate(rows):
        own = np.append(0, np.cumsum(data[cue + 1 : end + 1, 1]))
        trial_time[: len(own), trial] = own
        path = [nearest(point) for point in data[cue : end + 1, 2:4]]
        target = code[end] % 10
        ideal, _ = nx.bidirectional_dijkstra(graph, nearest(posters[target - 1]), path[0])
        actual = 5 * sum(a != b for a, b in itertools.pairwise(path))
        costs.append([ideal, actual, actual - ideal, target, code[end] - target])
    durations = unity_time[rows[:, 2] + 1] - unity_time[rows[:, 0] + 1]
    return {
        "unityData": data,
        "unityTriggers": rows,
        "unityTime": unity_time,
        "unityTrialTime": trial_time,
        "sumCost": np.array(costs),
        "timePerformance": ((code > 30) & (code < 40)).sum() / len(rows),
        "durationDiff": 1000 * (durations - (times[:, 2] - times[:, 0])),
    }


def test_the_values_are_pyhipps_but_for_the_row_that_it_drops(tmp_path):
    rows, codes, times, _ = long_session()
    log = write_log(tmp_path, rows, HEADERS["key-value"])
    fields, expected = make(tmp_path, [log], write_markers(tmp_path, codes, times)), pyhipp(log, times)
    data = expected["unityData"]
    np.testing.assert_array_equal(fields["unityData"][0][1:, :4], data[:, :4])
    np.testing.assert_allclose(fields["unityData"][0][1:, 4], data[:, 4] % 360)
    np.testing.assert_allclose(fields["unityData"][0][2:, 6], np.hypot(*np.diff(data[:, 2:4], axis=0).T))
    np.testing.assert_array_equal(fields["unityTriggers"][0], expected["unityTriggers"] + 1)
    np.testing.assert_allclose(fields["unityTime"][0][1:], expected["unityTime"], atol=1e-9)
    for name in ("unityTrialTime", "timePerformance", "durationDiff"):
        np.testing.assert_allclose(fields[name][0], expected[name], atol=1e-7, err_msg=name)
    np.testing.assert_array_equal(fields["sumCost"][0][:, :5], expected["sumCost"])
    assert fields["routePerformance"][0] == fields["sumCost"][0][:, 5].mean()
    ideal, actual = expected["sumCost"][:, :2].T
    ratios = [a / i if i else np.nan for a, i in zip(actual, ideal, strict=True)]
    np.testing.assert_array_equal(fields["trialRouteRatio"][0], ratios)


def test_repairs_and_extras_are_listed_and_said(tmp_path, caplog):
    rows, codes, times, triggers = long_session()
    rows[triggers[7, 2]] = (0, *rows[triggers[7, 2]][1:])
    rows[triggers[20, 0] + 1] = (int(codes[20, 0]), *rows[triggers[20, 0] + 1][1:])
    with caplog.at_level(logging.WARNING):
        fields = make(tmp_path, [write_log(tmp_path, rows)], write_markers(tmp_path, codes, times))
    end = {"device": "unity", "trial": 7, "marker": "end", "code": codes[7, 2], "row": triggers[7, 2]}
    assert fields["repairs"] == [end | {"time": times[7, 2]}]
    extra = fields["extras"][0]
    assert (len(fields["extras"]), extra["code"], extra["reason"]) == (1, codes[20, 0], "doubled")
    kept = fields["unityTriggers"][0]
    assert {int(kept[20, 0]), extra["row"]} == {triggers[20, 0], triggers[20, 0] + 1}
    kept[20, 0] = triggers[20, 0]
    assert kept.tolist() == triggers.tolist()
    assert fields["unityData"][0][fields["unityTriggers"][0][7, 2], 0] == codes[7, 2]
    assert f"put in the lost {{'trial': 7, 'marker': 'end', 'code': {codes[7, 2]}" in caplog.text
    assert "left out the extra {'code'" in caplog.text
    assert (
        read_product(tmp_path / "results/picasso/20181105/session01/unaligned/unity_71bf.hkl")["repairs"]
        == (fields["repairs"])
    )


def test_several_files_are_sets_of_one_session(tmp_path):
    rows, codes, times, triggers = long_session()
    one = make(tmp_path, [write_log(tmp_path, rows)], write_markers(tmp_path, codes, times))
    cut = triggers[12, 0] - 5
    parts = [
        write_log(tmp_path, rows[cut:], HEADERS["json"], "session_10_1.txt"),
        write_log(tmp_path, rows[:cut], HEADERS["key-value"], "session_9_1.txt"),
    ]
    two = make(tmp_path, parts, write_markers(tmp_path, codes, times))
    assert (two["numSets"], two["files"]) == (2, ["session_9_1.txt", "session_10_1.txt"])
    for name in ("unityData", "unityTriggers", "unityTime", "sumCost"):
        np.testing.assert_array_equal(two[name][0], one[name][0], err_msg=name)
    times[12:] += 25.0
    three = make(tmp_path, parts, write_markers(tmp_path, codes, times))
    np.testing.assert_allclose(three["filePauses"], [0, 25 / 1.0002], atol=1e-3)
    step = np.diff(three["unityTime"][0]) - np.diff(one["unityTime"][0])
    np.testing.assert_allclose(np.flatnonzero(step > 1), [cut])


def test_a_session_without_trials(tmp_path):
    rows = [(84, 0.5, 0, 0, 0), (0, 0.25, 0, 1, 0)]
    markers = write_markers(tmp_path, np.zeros((0, 3), np.uint16), np.zeros((0, 3)))
    fields = make(tmp_path, [write_log(tmp_path, rows)], markers)
    assert fields["unityTriggers"][0].shape == (0, 3)
    assert fields["sumCost"][0].shape == (0, 6)
    assert np.isnan(fields["timePerformance"][0])
    assert fields["setidx"] == []


@pytest.mark.parametrize(
    ("rows", "codes", "error", "message"),
    [
        ([], CODES, FormatError, r"session_1_\d+\.txt: expected rows of a session, found a header only"),
        ([*ROWS, (99, 0.1, 0, 0, 0)], CODES, FormatError, r"session_1_\d+\.txt, line 13: expected a trigger"),
        (
            [*ROWS[:6], *ROWS[6:7] * 2, *ROWS[7:]],
            CODES[:1],
            MarkerError,
            r"session_1_\d+\.txt: expected the session's 3 reference",
        ),
        (ROWS, CODES.ravel(), MarkerError, r"rplparallel_d41d\.hkl: expected trials of three markers"),
        (ROWS, CODES % 10, MarkerError, r"rplparallel_d41d\.hkl: expected trials of three markers"),
        (ROWS, CODES + np.array([0, 0, 1]), MarkerError, r"rplparallel_d41d\.hkl: expected trials"),
        (ROWS, CODES[:, [0, 2, 1]], MarkerError, r"rplparallel_d41d\.hkl: expected trials"),
    ],
)
def test_wrong_input_leaves_no_product(tmp_path, rows, codes, error, message):
    times = TIMES[: len(codes)] if codes.ndim == 2 else TIMES.ravel()
    markers = write_markers(tmp_path, codes, times)
    with pytest.raises(error, match=message):
        make(tmp_path, [write_log(tmp_path, rows, "Version: 4\n")], markers)
    assert not (markers.parent / "unaligned").exists()


def test_an_hour_is_made_in_seconds(tmp_path):
    rows, codes, times, _ = long_session(n_trials=280)
    log = write_log(tmp_path, rows, HEADERS["key-value"])
    assert 90_000 < len(rows) < 130_000
    markers = write_markers(tmp_path, codes, times)
    start = time.process_time()
    make(tmp_path, [log], markers)
    assert time.process_time() - start < 10
