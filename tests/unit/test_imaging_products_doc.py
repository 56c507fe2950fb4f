"""docs/products.md says what is in the files of imaging: arrays, fields and columns, their types and shapes."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from products_document import DOCUMENT, check_columns, check_fields, fields_in, flat, named_files, part, rows, sections

from hippflow.demo.imaging import write_demo_imaging
from hippflow.imaging.clusters import TRACES
from hippflow.imaging.offered import SETTINGS
from hippflow.steps.figure5 import make_figure5
from hippflow.steps.kmeans import make_clusters
from hippflow.steps.movie import make_movie
from hippflow.steps.projections import make_projections
from hippflow.steps.registration import register_plane
from hippflow.steps.suite2p import find_cells

RULES = ("movie", "registration", "suite2p", "kmeans", "figure5", "projections")
SUITE2P = {"fs": 2, "tau": 1.8}

#: Settings of every plane of the recording: with each, other fields are there.
PLANES = (
    {},
    {"registration": {"nonrigid": False}, "detection": {"bin_size": 3}},
    {"run": {"do_registration": 0}, "detection": {"threshold_scaling": 50}},
)
NONRIGID, RIGID, STILL = range(3)

#: Files of suite2p that are dictionaries.
DICTIONARIES = ("reg_outputs", "detect_outputs", "settings", "db")
#: What a plane has besides.
ARRAYS = ("F", "Fneu", "spks", "iscell")


class Recording:
    """The products of a recording: what the workflow makes, by its path below it."""

    def __init__(self, folder: Path):
        self.folder = folder

    def of_plane(self, plane, name):
        return self.folder / "suite2p" / f"plane{plane}" / name

    def load(self, plane, name):
        return np.load(self.of_plane(plane, f"{name}.npy"), allow_pickle=True)

    def fields(self, plane, name):
        return self.load(plane, name).item()

    def report(self):
        return json.loads((self.folder / "movie/movie.json").read_text())

    def frames(self, path):
        """Read a binary as the document says: frames of int16 and nothing else."""
        report = self.report()
        return np.fromfile(path, "<i2").reshape(report["n_frames"], report["height"], report["width"])


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Three planes of 160 frames of 72 x 80 pixels in two files."""
    return write_demo_imaging(tmp_path_factory.mktemp("raw"), planes=3, frames=160, size=(72, 80), files=2, seed=3)


@pytest.fixture(scope="module")
def recording(raw, tmp_path_factory):
    """All products of the planes; the last is not registered and has no cells, the figure is of the second alone."""
    made = Recording(tmp_path_factory.mktemp("results") / "zebrafish/20220104/imaging01")
    movie = made.folder / "movie"
    binaries, projections = ([movie / f"plane{k}.{kind}" for k in range(len(PLANES))] for kind in ("bin", "npz"))
    make_movie(sorted(raw.glob("*.tif")), binaries, projections, movie / "movie.json", planes=3)
    gifs = [made.folder / "projections" / f"{name}.gif" for name in ("maximum", "standard_deviation")]
    make_projections(projections, *gifs, axis="auto", max_pixels=384, frame_ms=100)
    for plane, (settings, binary) in enumerate(zip(PLANES, binaries, strict=True)):
        registered = [made.of_plane(plane, name) for name in ("data.bin", "reg_outputs.npy")]
        register_plane(binary, movie / "movie.json", *registered, settings=SUITE2P | settings)
        find_cells(*registered, movie / "movie.json", registered[0].parent, settings=SUITE2P | settings)
    for plane in (NONRIGID, RIGID):
        found = {name: made.of_plane(plane, f"{name}.npy") for name in ("F", "Fneu", "spks", "stat", "settings")}
        folder = made.folder / "kmeans" / f"plane{plane}"
        result = {"table": folder / "clusters.csv", "covariance": folder / "covariance.npy"}
        choice = {"clusters": 3, "cells": "accepted", "min_probability": None, "n_init": 10, "seed": 0}
        make_clusters(**found, iscell=made.of_plane(plane, "iscell.npy"), **result, traces="zscore", **choice)
    pictures = {kind: folder / f"figure5.{kind}" for kind in ("png", "pdf")}
    first = {"movie": projections[RIGID], "registration": made.of_plane(RIGID, "reg_outputs.npy")}
    make_figure5(**first, **found, **result, **pictures, fs=2, traces="zscore")
    return made


def files_in(*texts):
    """Return type and shape of every array in the tables of files."""
    return {name: (kind, shape) for text in texts for name, kind, shape, *_ in rows(text, "File")}


def others(text):
    """Return the fields that a section names as suite2p's own."""
    (names,) = re.findall(r"suite2p's own besides[^:]*: ([^.]*)\.", text)
    return set(re.findall(r"`(\w+)`", names))


@pytest.mark.parametrize("plane", [NONRIGID, RIGID, STILL])
def test_every_array_of_a_plane_has_its_documented_type_and_shape(recording, plane):
    documented = files_in(*map(part, ("movie", "registration", "suite2p")))
    binaries = {
        "planeN.bin": recording.folder / f"movie/plane{plane}.bin",
        "data.bin": recording.of_plane(plane, "data.bin"),
    }
    found = {name: recording.frames(path) for name, path in binaries.items()}
    found |= {f"{name}.npy": recording.load(plane, name) for name in ARRAYS}
    assert check_fields(found.items(), documented, f"plane {plane}") == set(documented)
    assert (len(found["F.npy"]) == 0) == (plane == STILL)


def test_frames_are_those_of_the_files(recording, raw):
    frames = np.concatenate([tifffile.imread(path) for path in sorted(raw.glob("*.tif"))])
    for plane in range(3):
        np.testing.assert_array_equal(recording.frames(recording.folder / f"movie/plane{plane}.bin"), frames[plane::3])


def test_every_projection_of_the_movie_is_documented_and_exists(recording):
    documented = fields_in(part("movie", "planeN.npz"))
    for path in (recording.folder / "movie").glob("*.npz"):
        with np.load(path) as stored:
            assert check_fields(stored.items(), documented, path.name) == set(documented)
            assert len(stored["window_start"]) == 48


def test_every_key_of_the_movies_report_is_documented_and_exists(recording):
    documented = fields_in(part("movie", "movie.json"))
    assert check_fields(flat(recording.report()), documented, "movie.json") == set(documented)


@pytest.mark.parametrize(("largest", "scale"), [(32767, 1), (32768, 2)])
def test_values_are_halved_from_the_one_that_the_document_names(tmp_path, largest, scale):
    frames = np.random.default_rng(0).integers(0, 999, (12, 8, 8)).astype(np.uint16)
    frames[3, 4, 5] = largest
    tifffile.imwrite(tmp_path / "a.tif", frames, photometric="minisblack", metadata=None)
    made = [tmp_path / name for name in ("plane0.bin", "plane0.npz", "movie.json")]
    make_movie([tmp_path / "a.tif"], made[:1], made[1:2], made[2])
    assert json.loads(made[2].read_text())["scale"] == scale
    with np.load(made[1]) as stored:
        assert (stored["scale"], len(stored["window_start"])) == (scale, len(frames))
    np.testing.assert_array_equal(np.fromfile(made[0], "<i2").reshape(frames.shape), frames // scale)


def test_every_field_of_a_registration_is_documented_and_exists_where_it_says(recording):
    text = part("registration", "reg_outputs.npy")
    documented, own = fields_in(text), others(text)
    sentence = text.partition("\n| Field")[0]
    of_blocks, without = (set(re.findall(r"`(\w+)`", half)) for half in sentence.split("without any, only"))
    expected = {
        NONRIGID: set(documented) | own,
        RIGID: (set(documented) | own) - of_blocks,
        STILL: without,
    }
    for plane, names in expected.items():
        found = recording.fields(plane, "reg_outputs")
        assert set(found) == names
        check_fields([field for field in found.items() if field[0] not in own], documented, f"plane {plane}")


def test_shifts_and_ranges_mean_what_the_document_says(recording):
    found = recording.fields(RIGID, "reg_outputs")
    before = recording.frames(recording.folder / f"movie/plane{RIGID}.bin")
    after = recording.frames(recording.of_plane(RIGID, "data.bin"))
    assert len(np.unique(found["yoff"])) > 2
    for ends, length, moved in (("yrange", before.shape[1], "yoff"), ("xrange", before.shape[2], "xoff")):
        first, end = found[ends]
        inside = np.arange(first, end) + found[moved][~found["badframes"], np.newaxis]
        assert inside.min() >= 0
        assert inside.max() < length
    (top, bottom), (left, right) = found["yrange"], found["xrange"]
    for t in np.flatnonzero(~found["badframes"]):
        y, x = found["yoff"][t], found["xoff"][t]
        source = before[t, top + y : bottom + y, left + x : right + x]
        np.testing.assert_array_equal(after[t, top:bottom, left:right], source)
    np.testing.assert_allclose(found["meanImg"], after.mean(axis=0), rtol=1e-5)
    assert (found["meanImgE"].min(), found["meanImgE"].max()) == (0, 1)
    still = recording.folder / f"movie/plane{STILL}.bin"
    assert still.read_bytes() == recording.of_plane(STILL, "data.bin").read_bytes()


@pytest.mark.parametrize("plane", [NONRIGID, RIGID])
def test_every_field_of_a_region_is_documented_and_exists(recording, plane):
    text = part("suite2p", "stat.npy")
    documented, own = fields_in(text), others(text)
    for number, roi in enumerate(recording.load(plane, "stat")):
        found = {name: value for name, value in roi.items() if name not in own}
        assert check_fields(flat(found), documented, f"ROI {number}") == set(documented)
        assert set(roi) == set(documented) | own


def test_fluorescence_and_labels_mean_what_the_document_says(recording):
    frames = recording.frames(recording.of_plane(NONRIGID, "data.bin")).astype(float)
    corrected = recording.load(NONRIGID, "F") - 0.7 * recording.load(NONRIGID, "Fneu")
    for roi, trace, other in zip(
        recording.load(NONRIGID, "stat"), recording.load(NONRIGID, "F"), corrected, strict=True
    ):
        weight = roi["lam"] * ~roi["overlap"]
        mean = frames[:, roi["ypix"], roi["xpix"]] @ weight / weight.sum()
        np.testing.assert_allclose(trace, mean, rtol=1e-4)
        assert roi["std"] == pytest.approx(other.std(), rel=1e-4)
        assert roi["snr"] == pytest.approx(1 - 0.5 * np.diff(other).var() / other.var(), abs=1e-4)
    label, probability = recording.load(NONRIGID, "iscell").T
    np.testing.assert_array_equal(label, probability > 0.5)


def test_every_field_of_the_detection_is_documented_and_exists(recording):
    text = part("suite2p", "detect_outputs.npy")
    documented, own = fields_in(text), others(text)
    for plane in range(3):
        found, ranges = recording.fields(plane, "detect_outputs"), recording.fields(plane, "reg_outputs")
        images = {name: value for name, value in found.items() if name not in own}
        names = check_fields(images.items(), documented, f"plane {plane}")
        assert set(found) <= set(documented) | own
        assert names == set(documented) if plane != STILL else names >= {"meanImg_crop", "max_proj", "Vcorr"}
        crop = tuple(int(end) - int(start) for start, end in (ranges["yrange"], ranges["xrange"]))
        assert found["Vcorr"].shape == crop


@pytest.mark.parametrize("name", ["settings", "db"])
def test_fields_of_settings_and_of_db_are_as_documented(recording, name):
    documented = fields_in(part("suite2p", f"{name}.npy"))
    for plane in range(3):
        found = [field for field in flat(recording.fields(plane, name)) if field[0] in documented]
        assert check_fields(found, documented, f"{name}.npy") == set(documented)
    assert recording.fields(NONRIGID, "settings")["registration"]["block_size"] == (64, 64)
    assert recording.fields(RIGID, "settings")["detection"]["bin_size"] == 3
    assert recording.fields(RIGID, "db")["reg_file"] == str(recording.of_plane(RIGID, "data.bin").resolve())


def test_ops_has_all_fields_of_the_four_dictionaries_and_no_others(recording):
    text = part("suite2p", "ops.npy")
    assert set(re.findall(r"`(\w+)\.npy`", text)) == set(DICTIONARIES)
    for plane in range(3):
        parts = [recording.fields(plane, name) for name in ("db", "settings", "reg_outputs", "detect_outputs")]
        ops = recording.fields(plane, "ops")
        assert set(ops) == set().union(*parts)
        last = {name: value for fields in parts for name, value in fields.items()}
        for name, value in last.items():
            assert repr(ops[name]) == repr(value), name


@pytest.mark.parametrize("plane", [NONRIGID, RIGID])
def test_clusters_and_their_matrix_are_as_documented(recording, plane):
    folder = recording.folder / "kmeans" / f"plane{plane}"
    documented = rows(part("kmeans", "clusters.csv"), "Column")
    path = folder / "clusters.csv"
    check_columns(pd.read_csv(path, dtype=str, keep_default_na=False), documented, path.name)
    table, matrix = pd.read_csv(path), np.load(folder / "covariance.npy")
    check_fields([("covariance.npy", matrix)], files_in(part("kmeans", "covariance.npy")), path.name)
    assert matrix.shape == (len(table), len(table))
    np.testing.assert_allclose(np.diag(matrix), 1)
    traces = recording.load(plane, "F") - 0.7 * recording.load(plane, "Fneu")
    np.testing.assert_allclose(matrix, np.corrcoef(traces[table["roi"]]), atol=1e-5)
    sizes = table["cluster"].value_counts()
    assert sizes[1] == sizes.max()
    sorted_rows = table.sort_values(["cluster", "mean_covariance"], ascending=[True, False])
    assert list(sorted_rows["order"]) == list(range(len(table)))
    regions = recording.load(plane, "stat")[table["roi"]]
    assert [roi["med"] for roi in regions] == table[["y", "x"]].to_numpy().tolist()


def test_kinds_of_traces_in_the_document_are_those_that_there_are():
    assert tuple(name for name, *_ in rows(part("kmeans"), "traces")) == TRACES


def test_the_figure_has_the_documented_size(recording):
    width, height = map(int, re.search(r"\((\d+) x (\d+) px\)", part("figure5")).groups())
    for path in recording.folder.glob("kmeans/*/figure5.png"):
        with Image.open(path) as image:
            assert image.size == (width, height)


def test_the_animations_are_as_documented(recording, tmp_path):
    greys, most = (
        int(re.search(pattern, part("projections"))[1]) for pattern in (r"(\d+) greys", r"up to (\d+) windows")
    )
    planes = sorted((recording.folder / "movie").glob("*.npz"))
    maximum, deviation = tmp_path / "maximum.gif", tmp_path / "deviation.gif"
    make_projections(planes, maximum, deviation, axis="time", max_pixels=384, frame_ms=100)
    for path, n_frames in ((recording.folder / "projections/maximum.gif", 3), (deviation, most)):
        with Image.open(path) as image:
            assert image.n_frames == n_frames
            assert max(image.size) <= 384
            shades = set()
            for frame in range(n_frames):
                image.seek(frame)
                shades |= set(np.unique(image.convert("L")))
        assert len(shades) == greys


def test_files_of_imaging_are_in_the_table_of_names(recording):
    documented, found = named_files(RULES), set()
    for path in (path for path in recording.folder.rglob("*") if path.is_file()):
        name = re.sub(r"^plane\d+\.", "planeN.", path.name)
        level, _, arguments = documented[name]
        in_plane = any(re.fullmatch(r"plane\d+", folder) for folder in path.relative_to(recording.folder).parts)
        assert (level, arguments) == ("plane" if in_plane else "recording", "no hash"), path
        found.add(name)
    assert found == set(documented)


def test_every_step_of_the_workflow_has_its_logs_in_the_table(pytestconfig):
    jobs = {
        name
        for _, names in rows(sections()["Logs and benchmarks"], "File")
        for name in re.findall(r"^\w+|(?<=, )\w+$|(?<=, )\w+(?=,)", names)
    }
    steps = {path.stem for path in (pytestconfig.rootpath / "scripts").glob("*.py")} - {"adapter"}
    assert steps <= jobs


def test_settings_that_the_usage_names_are_offered():
    text = (DOCUMENT.parent / "usage.md").read_text()
    imaging = text.partition("\n## Two-photon imaging\n")[2].partition("\n## ")[0]
    named = {name for cell, *_ in rows(imaging, "setting") for name in re.findall(r"[a-z_]\w*(?:\.\w+)+", cell)}
    settings = {name.removeprefix("suite2p.") for name in named if not name.startswith("kmeans.")}
    assert len(settings) > 10
    assert settings <= set(SETTINGS)
