"""kmeans and figure5: from suite2p's files to the table, the matrix and the figure."""

import io
import logging
import sys
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from hippflow.errors import ConfigError, FormatError, ImagingError, SignalError
from hippflow.steps.figure5 import make_figure5
from hippflow.steps.kmeans import COLUMNS, make_clusters

N, FRAMES, SIZE = 24, 300, 60
GROUPS = np.arange(N) % 3
ARGS = {"clusters": 3, "traces": "zscore", "cells": "accepted", "min_probability": None, "n_init": 10, "seed": 0}
NAMES = ("F", "Fneu", "spks", "stat", "iscell", "settings")


def suite2p_files(folder):
    """suite2p's files of a plane of 24 ROIs in three groups; ROIs 21 to 23 are no cells."""
    rng = np.random.default_rng(4)
    spks = rng.standard_normal((3, FRAMES))[GROUPS] + 0.5 * rng.standard_normal((N, FRAMES))
    neuropil = np.tile(90 + 9 * rng.standard_normal(FRAMES), (N, 1))
    F = rng.uniform(40, 400, (N, 1)) * (5 + spks) + 0.6 * neuropil
    stat = []
    for i in range(N):
        y, x = np.mgrid[:5, : 5 + i % 2]
        top, left = 2 + 12 * (i // 5), 2 + 11 * (i % 5)
        pixels = {"ypix": y.ravel() + top, "xpix": x.ravel() + left, "lam": np.ones(y.size, np.float32)}
        stat.append(pixels | {"med": [top + 2, left + 2]})
    probability = np.linspace(0.95, 0.3, N)
    settings = {
        "fs": 2.0,
        "extraction": {"neuropil_coefficient": 0.6},
        "dcnv_preprocess": {"win_baseline": 60.0, "sig_baseline": 10.0},
    }
    arrays = {
        "F": F.astype(np.float32),
        "Fneu": neuropil.astype(np.float32),
        "spks": spks.astype(np.float32),
        "stat": np.array(stat, dtype=object),
        "iscell": np.column_stack([np.arange(N) < 21, probability]).astype(np.float32),
        "settings": np.array(settings, dtype=object),
        "reg_outputs": np.array({"yoff": np.array([2, 0]), "xoff": np.array([-3, 0])}, dtype=object),
    }
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    images = {name: rng.integers(100, 900, (SIZE, SIZE)) for name in ("first", "mean")}
    np.savez_compressed(folder / "plane0.npz", **images)
    return folder


@pytest.fixture
def files(tmp_path):
    return suite2p_files(tmp_path / "suite2p")


def cluster(files, out="out", **changes):
    folder = files.parent / out
    inputs = [files / f"{name}.npy" for name in NAMES]
    make_clusters(*inputs, folder / "clusters.csv", folder / "covariance.npy", **(ARGS | changes))
    return pd.read_csv(folder / "clusters.csv"), np.load(folder / "covariance.npy")


def draw(files, out="out", **changes):
    folder = files.parent / out
    inputs = [files / f"{name}.npy" for name in ("reg_outputs", "stat", "F", "Fneu", "spks", "settings")]
    products = [folder / name for name in ("clusters.csv", "covariance.npy", "figure5.png", "figure5.pdf")]
    make_figure5(files / "plane0.npz", *inputs, *products, **({"fs": 2.0, "traces": "zscore"} | changes))
    return [path.read_bytes() for path in products[2:]]


def replace(files, name, change):
    array = np.load(files / f"{name}.npy", allow_pickle=True)
    np.save(files / f"{name}.npy", change(array))


def test_the_table_says_which_roi_each_row_of_the_matrix_is(files):
    table, matrix = cluster(files)
    F, Fneu = (np.load(files / f"{name}.npy").astype(float) for name in ("F", "Fneu"))
    assert tuple(table.columns) == COLUMNS
    assert table["order"].tolist() == list(range(21))
    expected = np.corrcoef(F - 0.6 * Fneu)[np.ix_(table["roi"], table["roi"])]  # 0.6: suite2p's own settings
    np.testing.assert_allclose(matrix, expected, atol=1e-9)
    assert adjusted_rand_score(GROUPS[table["roi"]], table["cluster"]) == 1


def test_the_table_has_suite2ps_centre_size_label_and_probability_of_each_roi(files):
    table, _ = cluster(files, cells="all")
    iscell = np.load(files / "iscell.npy")
    rows = table.set_index("roi").sort_index()
    np.testing.assert_allclose(rows["probability"], iscell[:, 1], rtol=1e-5)
    assert rows["iscell"].tolist() == [1] * 21 + [0] * 3
    assert rows.loc[7, ["y", "x", "n_pixels"]].tolist() == [16, 26, 30]
    assert rows.loc[8, ["y", "x", "n_pixels"]].tolist() == [16, 37, 25]


@pytest.mark.parametrize(
    ("changes", "n"),
    [
        ({}, 21),
        ({"min_probability": 0.3}, 24),
        ({"min_probability": 0.9}, 2),
        ({"cells": "all", "min_probability": 0.9}, 24),
    ],
)
def test_which_rois_take_part_follows_label_or_probability(files, changes, n):
    assert len(cluster(files, **({"clusters": 2} | changes))[0]) == n


def test_a_label_changed_by_hand_counts_until_a_probability_is_set(files):
    replace(files, "iscell", lambda iscell: np.column_stack([np.arange(N) != 5, iscell[:, 1]]))
    assert 5 not in cluster(files)[0]["roi"].to_numpy() and len(cluster(files)[0]) == 23
    assert 5 in cluster(files, min_probability=0.5)[0]["roi"].to_numpy()


def test_settings_may_be_suite2ps_ops(files):
    table, matrix = cluster(files)
    settings = np.load(files / "settings.npy", allow_pickle=True).item()
    np.save(files / "settings.npy", settings | {"Ly": 60, "date_proc": "today"})
    again, same = cluster(files, out="again")
    pd.testing.assert_frame_equal(table, again)
    np.testing.assert_array_equal(matrix, same)


def test_a_constant_roi_is_left_out_and_named_in_the_log(files, caplog):
    for name in ("F", "Fneu"):
        replace(files, name, lambda array: np.where(np.arange(N)[:, None] == 4, np.float32(0.3), array))
    with caplog.at_level(logging.INFO):
        table, _ = cluster(files)
    assert 4 not in table["roi"].to_numpy() and len(table) == 20
    assert "are in no cluster: 4" in caplog.text
    assert "20 of 24 ROIs in clusters of 7, 7, 6" in caplog.text


def test_two_runs_write_the_same_bytes(files):
    for out in ("one", "two"):
        cluster(files, out=out)
    for name in ("clusters.csv", "covariance.npy"):
        assert (files.parent / "one" / name).read_bytes() == (files.parent / "two" / name).read_bytes()


def test_too_few_rois_name_the_plane_and_leave_no_product(files):
    with pytest.raises(ImagingError, match=r"suite2p: expected at least 3 ROIs .* detected 24, of which 1 are accept"):
        cluster(files, min_probability=0.94)
    assert not (files.parent / "out").exists()


@pytest.mark.parametrize("shape", [(0, 0), (0, 300), (0,)])
def test_a_plane_without_rois_is_an_error_that_says_so(files, shape):
    for name in ("F", "Fneu", "spks"):
        np.save(files / f"{name}.npy", np.zeros(shape, np.float32))
    np.save(files / "stat.npy", np.array([], dtype=object))
    np.save(files / "iscell.npy", np.zeros((0, 2)))
    with pytest.raises(ImagingError, match=r"found 0: suite2p detected 0, .*threshold_scaling"):
        cluster(files)


def test_unknown_cells_are_refused(files):
    with pytest.raises(ConfigError, match=r"kmeans\.cells: expected accepted or all, found 'some'"):
        cluster(files, cells="some")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("Fneu", lambda array: array[:, :-1], r"one shape .*F \(24, 300\), Fneu.npy \(24, 299\)"),
        ("iscell", lambda array: array[:-1], "of one run of suite2p, found ROIs: F.npy 24, stat.npy 24, iscell.npy 23"),
        ("iscell", lambda array: array[:, 0], r"iscell\.npy: expected a label and a probability .* found \(24,\)"),
        ("stat", lambda array: np.arange(24), r"stat\.npy: expected a \.npy file of objects, .*numbers \(int64"),
        ("stat", lambda array: array.reshape(4, 6), r"stat\.npy: expected suite2p's list of ROIs"),
        ("settings", lambda array: np.array({"fs": 2}, dtype=object), r"settings\.npy: .*no usable 'dcnv_preproc"),
        ("settings", lambda array: np.arange(3), r"settings\.npy: expected a \.npy file of objects, .*numbers \(int64"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(files, name, change, message):
    replace(files, name, change)
    with pytest.raises(FormatError, match=message.replace("F \\(", r"F\.npy \(")):
        cluster(files)


@pytest.mark.parametrize("name", ["F", "stat"])
def test_a_cut_off_file_is_refused_by_name(files, name):
    path = files / f"{name}.npy"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FormatError, match=rf"{name}\.npy: expected a \.npy file of .*, cannot read it"):
        cluster(files)


def test_a_pickle_is_not_read_where_an_array_belongs(files):
    np.save(files / "iscell.npy", np.array([{}], dtype=object))
    with pytest.raises(FormatError, match=r"iscell\.npy: expected a \.npy file of numbers, .*holds objects"):
        cluster(files)


def test_the_figure_shows_the_plane_in_the_registered_movies_coordinates(files):
    table, matrix = cluster(files)
    with mock.patch("hippflow.steps.figure5.cluster_figure", side_effect=RuntimeError) as drawing:
        with pytest.raises(RuntimeError):
            draw(files, fs=4.0, title="fish1")
        first, mean, masks, numbers, shown, traces = drawing.call_args.args
    raw = np.load(files / "plane0.npz")
    np.testing.assert_array_equal(first[:-2, 3:], raw["first"][2:, :-3])  # moved by yoff 2 and xoff -3
    np.testing.assert_array_equal(mean, raw["mean"])  # no registered one here
    np.testing.assert_array_equal(shown, matrix)
    assert numbers.tolist() == table["cluster"].tolist()
    stat = np.load(files / "stat.npy", allow_pickle=True)
    assert [mask[0][0] for mask in masks] == [stat[roi]["ypix"][0] for roi in table["roi"]]
    np.testing.assert_allclose(traces @ traces.T / (FRAMES - 1), matrix, atol=1e-9)
    assert drawing.call_args.kwargs == {"fs": 4.0, "kind": "zscore", "title": "fish1"}


def test_the_registered_mean_is_shown_where_there_is_one_and_no_offset_moves_nothing(files):
    cluster(files)
    registered = np.random.default_rng(0).random((SIZE, SIZE))
    np.save(files / "reg_outputs.npy", {"meanImg": registered, "yrange": [0, SIZE]})
    with mock.patch("hippflow.steps.figure5.cluster_figure", side_effect=RuntimeError) as drawing:
        with pytest.raises(RuntimeError):
            draw(files)
        first, mean, *_ = drawing.call_args.args
    np.testing.assert_array_equal(mean, registered)
    np.testing.assert_array_equal(first, np.load(files / "plane0.npz")["first"])


def test_the_figure_needs_no_screen_and_no_pyplot(files, monkeypatch):
    cluster(files)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    png, pdf = draw(files, title="fish1/20240611/imaging01, plane 0")
    with Image.open(io.BytesIO(png)) as image:
        assert image.size == (2125, 1606)
    assert pdf.startswith(b"%PDF-1.4") and pdf.rstrip().endswith(b"%%EOF")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda out, files: np.save(out / "covariance.npy", np.eye(4)), r"a row for each row .* found 21 for \(4, 4\)"),
        (lambda out, files: (out / "clusters.csv").write_text("a,b\n"), r"clusters\.csv: expected the clusters of"),
        (lambda out, files: (out / "clusters.csv").write_bytes(b""), r"clusters\.csv: expected the clusters of"),
        (lambda out, files: replace(files, "stat", lambda array: array[:20]), "F.npy 24, stat.npy 20"),
        (
            lambda out, files: np.savez(files / "plane0.npz", first=np.ones((30, 60)), mean=np.ones((30, 60))),
            r"found \(30, 60\) and ROIs up to \(54, 51\)",
        ),
        (
            lambda out, files: (files / "plane0.npz").write_bytes(b"PK\x03\x04 no zip"),
            r"plane0\.npz: expected the proj",
        ),
        (lambda out, files: (files / "reg_outputs.npy").write_bytes(b""), r"reg_outputs\.npy: expected a \.npy file"),
    ],
)
def test_a_figure_of_files_that_do_not_fit_is_refused(files, spoil, message):
    cluster(files)
    spoil(files.parent / "out", files)
    with pytest.raises(FormatError, match=message):
        draw(files)
    assert not (files.parent / "out" / "figure5.png").exists()


def test_a_table_of_another_run_is_refused(files):
    table, _ = cluster(files)
    table.assign(roi=table["roi"] + 10).to_csv(files.parent / "out" / "clusters.csv", index=False)
    with pytest.raises(FormatError, match=r"expected ROIs below 24, found 30"):
        draw(files)


@pytest.mark.parametrize("fs", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(files, fs):
    with pytest.raises(SignalError, match=r"suite2p\.fs"):
        draw(files, fs=fs)
