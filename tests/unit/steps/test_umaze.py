"""umaze: every field of PyHipp's Umaze, from a maze log on Ripple's clock."""

import logging

import hickle
import numpy as np
import pytest

from hippflow.errors import FormatError, MarkerError
from hippflow.io.products import read_product, write_product
from hippflow.steps.umaze import make_umaze

ARGS = {"grid_steps": 40, "overall_grid_size": 25, "min_obs": 5}
N_TRIALS = 30

#: Field -> type, shape and dtype of PyHipp's; n visits, k bins, m of them often visited.
FIELDS = {
    "GridSteps": (int,),
    "OverallGridSize": (int,),
    "oGS2": (float,),
    "gridSize": (float,),
    "horGridBound": ("f8", (41,)),
    "vertGridBound": ("f8", (41,)),
    "gpEdges": ("i8", (1601,)),
    "gridPosition": ("i8", ("F",)),
    "gpDurations": ("f8", (1600, N_TRIALS)),
    "setIndex": ("i8", (2, 1)),
    "processTrials": (tuple, "i8", (10,)),
    "sessionTime": ("f8", ("n", 3)),
    "sortedGPindices": ("i8", ("n",)),
    "sortedGPindinfo": ("f8", ("k", 4)),
    "sGPi_minobs": (tuple, "i8", ("m",)),
    "sTPu": ("f8", ("m",)),
    "nsTPu": (int,),
    "ou_i": ("f8", ("m", 1)),
    "P_i": ("f8", ("m", 1)),
    "gp2ind": ("i8", ("k",)),
    "unityTriggers": (list, "i8", (N_TRIALS, 3)),
    "unityTrialTime": (list, "f8", (181, N_TRIALS)),
    "unityData": ("f8", ("F", 7)),
    "unityTime": ("f8", ("F+1",)),
    "matrix": ("f8", (40, 40)),
}


def maze_log(scale=1.0, n_trials=N_TRIALS):
    """A maze log of trials of 8 s around circles; its last row is the end of the last trial."""
    n = 240 * n_trials
    rng = np.random.default_rng(12)
    deltas = rng.uniform(0.03, 0.037, n)
    angle = np.arange(n) / 40
    radius = 8 + 4.4 * np.sin(np.arange(n) / 571)
    data = np.zeros((n, 7))
    data[:, 1], data[:, 2], data[:, 3] = deltas, scale * radius * np.cos(angle), scale * radius * np.sin(angle)
    starts = 240 * np.arange(n_trials)
    triggers = np.column_stack([starts + 10, starts + 59, starts + 239])
    trial_times = np.array([np.concatenate(([0], np.cumsum(deltas[c + 1 : e + 1]))) for _, c, e in triggers]).T
    cost = np.zeros((n_trials, 6))
    cost[::3, 5] = 1
    return {
        "unityData": [data],
        "unityTriggers": [triggers],
        "unityTrialTime": [trial_times],
        "unityTime": [2.5 + np.concatenate(([0], np.cumsum(deltas)))],
        "sumCost": [cost],
    }


def make(folder, fields, **changes):
    session = folder / "picasso" / "20181105" / "session01"
    write_product(session / "unity_71bf.hkl", fields)
    make_umaze(session / "unity_71bf.hkl", session / "umaze_fd09.hkl", **(ARGS | changes))
    return read_product(session / "umaze_fd09.hkl")


@pytest.fixture(scope="module")
def umaze(tmp_path_factory):
    return make(tmp_path_factory.mktemp("umaze"), maze_log())


def test_fields_types_and_shapes_are_those_of_pyhipp(umaze):
    sizes = {"F": 7200, "F+1": 7201, "n": len(umaze["sessionTime"])}
    sizes |= {"k": len(umaze["gp2ind"]), "m": umaze["nsTPu"]}
    assert 20 < sizes["m"] < sizes["k"]
    base = {"args", "dirs", "setidx", "plotopts", "current_idx"}
    assert set(umaze) == set(FIELDS) | base
    assert umaze["dirs"] == ["picasso/20181105/session01"]
    assert umaze["args"] == {"GridSteps": 40, "OverallGridSize": 25, "MinObs": 5}
    for name, (*kinds, last) in FIELDS.items():
        value = umaze[name]
        if not kinds:
            assert type(value) is last, name
            continue
        if isinstance(kinds[0], type):
            assert type(value) is kinds[0], name
            assert len(value) == 1, name
            value = value[0]
        assert value.dtype == kinds[-1], name
        assert value.shape == tuple(sizes.get(size, size) for size in last), name


def test_hickle_alone_reads_the_same(umaze, tmp_path):
    make(tmp_path, maze_log())
    fields = hickle.load(tmp_path / "picasso" / "20181105" / "session01" / "umaze_fd09.hkl")
    np.testing.assert_array_equal(fields["sessionTime"], umaze["sessionTime"])
    np.testing.assert_array_equal(fields["processTrials"][0], np.arange(0, N_TRIALS, 3))


def test_values_agree_with_loops_over_the_visits(umaze):
    """The definitions of the fact sheet, a bin at a time."""
    visits, info = umaze["sessionTime"], umaze["sortedGPindinfo"]
    rows = {int(b): [r for r in range(len(visits)) if visits[r, 1] == b] for b in visits[:, 1] if b > 0}
    assert umaze["gp2ind"].tolist() == info[:, 0].tolist() == sorted(rows)
    assert info[:, 3].tolist() == [len(rows[b]) - 1 for b in sorted(rows)]
    often = [b for b in sorted(rows) if len(rows[b]) >= 5]
    assert umaze["sTPu"].tolist() == often
    assert info[umaze["sGPi_minobs"][0], 0].tolist() == often
    seconds = {b: sum(visits[r, 2] for r in rows[b]) for b in rows}
    np.testing.assert_allclose(umaze["ou_i"][:, 0], [seconds[b] for b in often], rtol=1e-12)
    np.testing.assert_allclose(umaze["P_i"][:, 0], [seconds[b] / sum(map(seconds.get, often)) for b in often])
    for b in range(1, 1601):
        along, across = divmod(b - 1, 40)
        assert umaze["matrix"][39 - along, across] == pytest.approx(seconds.get(b, 0), abs=1e-12)


def test_time_in_the_bins_is_the_time_of_the_trials(umaze):
    fields = maze_log()
    times, triggers = fields["unityTime"][0], fields["unityTriggers"][0]
    whole = (times[triggers[:, 2] + 1] - times[triggers[:, 1] + 1]).sum()
    assert umaze["matrix"].sum() == pytest.approx(whole, rel=1e-12)
    assert umaze["sessionTime"][0].tolist() == [0, 0, times[60]]
    assert umaze["sessionTime"][1, 0] == times[60]
    assert umaze["sessionTime"][-1].tolist() == [times[-1], 0, 0]


def test_positions_and_durations_follow_the_frames(umaze):
    fields = maze_log()
    data, triggers = fields["unityData"][0], fields["unityTriggers"][0]
    column = np.floor((data[:, 2] + 12.5) / 0.625).astype(int)
    row = np.floor((data[:, 3] + 12.5) / 0.625).astype(int)
    expected, durations = np.zeros(len(data), int), np.zeros((1600, N_TRIALS))
    for trial, (_, cue_offset, end) in enumerate(triggers):
        for frame in range(cue_offset + 1, end + 1):
            expected[frame] = 1 + column[frame] + 40 * row[frame]
            durations[expected[frame] - 1, trial] += data[frame + 1, 1] if frame + 1 < len(data) else 0
    np.testing.assert_array_equal(umaze["gridPosition"], expected)
    np.testing.assert_allclose(umaze["gpDurations"], durations, rtol=0, atol=1e-12)


def test_copies_and_constants(umaze):
    fields = maze_log()
    for name in ("unityTriggers", "unityTrialTime"):
        np.testing.assert_array_equal(umaze[name][0], fields[name][0])
    for name in ("unityData", "unityTime"):
        np.testing.assert_array_equal(umaze[name], fields[name][0])
    assert umaze["processTrials"][0].tolist() == list(range(0, N_TRIALS, 3))
    assert umaze["setIndex"].tolist() == [[0], [N_TRIALS]]
    assert umaze["horGridBound"].tolist() == [-12.5 + 0.625 * k for k in range(41)]
    assert umaze["gpEdges"].tolist() == list(range(1601))
    assert (umaze["oGS2"], umaze["gridSize"]) == (12.5, 0.625)


def test_the_last_bin_can_be_visited(tmp_path):
    fields = maze_log(n_trials=1)
    fields["unityData"][0][:, 2:4] = 12.4
    umaze = make(tmp_path, fields, min_obs=1)
    assert umaze["gp2ind"].tolist() == umaze["sTPu"].tolist() == [1600]
    assert umaze["P_i"].tolist() == [[1]]


def test_another_grid_has_fields_of_its_size(tmp_path):
    umaze = make(tmp_path, maze_log(), grid_steps=7, min_obs=2)
    assert umaze["matrix"].shape == (7, 7)
    assert umaze["gpDurations"].shape == (49, N_TRIALS)
    assert len(umaze["horGridBound"]) == 8
    assert umaze["args"] == {"GridSteps": 7, "OverallGridSize": 25, "MinObs": 2}


def test_too_few_visits_leave_empty_fields_and_a_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        umaze = make(tmp_path, maze_log(n_trials=1), min_obs=100)
    assert "no bin was visited 100 times (umaze.min_obs)" in caplog.text
    assert (umaze["nsTPu"], umaze["ou_i"].shape, umaze["P_i"].shape) == (0, (0, 1), (0, 1))


def test_positions_outside_the_arena_are_in_no_bin_and_said(tmp_path, caplog):
    fields = maze_log(scale=1.2)
    with caplog.at_level(logging.WARNING):
        umaze = make(tmp_path, fields)
    data = fields["unityData"][0]
    outside = (np.abs(data[:, 2:4]) > 12.5).any(axis=1)
    navigating = np.concatenate([np.arange(c + 1, e + 1) for _, c, e in fields["unityTriggers"][0]])
    assert f"{outside[navigating].sum()} of {navigating.size} rows of navigation are outside the arena" in caplog.text
    np.testing.assert_array_equal(umaze["gridPosition"][navigating] == 0, outside[navigating])


def test_a_path_that_is_never_in_the_arena_is_refused(tmp_path):
    fields = maze_log()
    fields["unityData"][0][:, 2] += 100
    with pytest.raises(
        FormatError, match=r"unity_71bf\.hkl: .* within 12.5 maze units .* 5400 of 5400 rows are outside"
    ):
        make(tmp_path, fields)
    assert not list(tmp_path.rglob("umaze*"))


def test_a_session_without_trials_is_refused_and_leaves_no_product(tmp_path):
    fields = maze_log() | {"unityTriggers": [np.zeros((0, 3), int)]}
    with pytest.raises(MarkerError, match=r"unity_71bf\.hkl: expected trials in unityTriggers, found none"):
        make(tmp_path, fields)
    assert not list(tmp_path.rglob("umaze*"))


def test_a_product_of_another_kind_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"fields of a unity product, found no unityTime, sumCost; make it anew"):
        make(tmp_path, {name: maze_log()[name] for name in ("unityData", "unityTriggers", "unityTrialTime")})
