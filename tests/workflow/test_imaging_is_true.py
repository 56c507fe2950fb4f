"""A two-photon recording of two planes through the workflow: against its truth, and what reruns make."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from sklearn.metrics import adjusted_rand_score
from snakemakes_records import check_dependencies, products_of

from hippflow.demo.imaging import write_demo_imaging
from hippflow.demo.imaging_truth import load_imaging_truth, score_cells

RECORDING = "zebrafish/20220104/imaging01"
#: Nothing of the demo or of the settings was chosen on this seed.
SEED = 20261120
SETTINGS = {"suite2p": {"fs": 2, "tau": 1.8}, "movie": {"planes": 2}}
PLANES = (0, 1)


def configure(folder, **blocks):
    """Write settings beside those that every run here needs; JSON is YAML."""
    settings = {name: SETTINGS.get(name, {}) | blocks.get(name, {}) for name in {**SETTINGS, **blocks}}
    (folder / "settings.yaml").write_text(json.dumps(settings))
    return ("--configfile", "settings.yaml")


def of(name, planes=PLANES):
    return [f"{name} of {RECORDING}, plane {plane}" for plane in planes]


MOVIE, GIFS = [f"Movie of {RECORDING}"], [f"Animated projections of {RECORDING}"]
MOTION, CELLS, CLUSTERS, FIGURES = (of(name) for name in ("Motion", "Cells", "Clusters", "Figure"))


def with_report(jobs):
    """Some jobs in order, with the report of the day that follows from them."""
    return sorted([*jobs, "Report of zebrafish/20220104"])


@pytest.fixture(scope="module")
def imaged(new_workflow):
    """Two planes of 900 frames, processed to the end. Tests leave its products as they are."""
    workflow = new_workflow()
    write_demo_imaging(workflow.folder / "data", planes=2, seed=SEED)
    workflow.first_run = workflow.run(*configure(workflow.folder))
    workflow.recording = workflow.folder / "results" / RECORDING
    return workflow


@pytest.fixture
def copy(imaged, workflow):
    """A copy whose products a test may change."""
    for name in ("results", ".snakemake", "data"):
        shutil.copytree(imaged.folder / name, workflow.folder / name, copy_function=shutil.copy2)
    return workflow


def test_the_first_run_makes_everything_once(imaged):
    assert imaged.first_run.jobs == with_report(MOVIE + GIFS + MOTION + CELLS + CLUSTERS + FIGURES)
    assert imaged.plan(*configure(imaged.folder)) == []


def test_every_product_is_made_of_what_snakemake_recorded(imaged, monkeypatch):
    monkeypatch.chdir(imaged.folder)
    configure(imaged.folder)
    kinds = {"movie", "registration", "suite2p", "kmeans", "figure5", "projections", "report"}
    assert check_dependencies(products_of("settings.yaml")) == kinds


@pytest.mark.parametrize("plane", PLANES)
def test_cells_and_clusters_are_the_true_ones(imaged, plane):
    truth = load_imaging_truth(imaged.folder / "data/zebrafish/20220104").planes[plane]
    folder = imaged.recording / f"suite2p/plane{plane}"
    stat, iscell = np.load(folder / "stat.npy", allow_pickle=True), np.load(folder / "iscell.npy")
    score = score_cells(truth, np.array([roi["med"] for roi in stat]), iscell[:, 0] == 1)
    assert score.recall >= 0.9
    assert score.precision >= 0.9
    clusters = pd.read_csv(imaged.recording / f"kmeans/plane{plane}/clusters.csv").set_index("roi").cluster
    cells, rois = score.matches.T
    assert set(rois) <= set(clusters.index)
    assert adjusted_rand_score(truth.groups[cells], clusters[rois]) >= 0.95
    traces = np.load(folder / "F.npy") - 0.7 * np.load(folder / "Fneu.npy")
    fits = [np.corrcoef(traces[roi], truth.dff[cell])[0, 1] for cell, roi in score.matches]
    assert np.median(fits) > 0.85


@pytest.mark.parametrize("plane", PLANES)
def test_motion_is_the_true_one(imaged, plane):
    truth = load_imaging_truth(imaged.folder / "data/zebrafish/20220104").planes[plane]
    found = np.load(imaged.recording / f"suite2p/plane{plane}/reg_outputs.npy", allow_pickle=True).item()
    shifts = np.stack([found["yoff"], found["xoff"]], axis=1).astype(float)
    error = shifts - truth.motion
    assert np.sqrt(np.mean((error - np.median(error, axis=0)) ** 2)) < 0.6


def test_movie_and_projections_are_those_of_the_files(imaged):
    files = sorted((imaged.folder / "data" / RECORDING).glob("*.tif"))
    frames = np.concatenate([tifffile.imread(path) for path in files])
    for plane in PLANES:
        mine = frames[plane::2]
        binary = np.fromfile(imaged.recording / f"movie/plane{plane}.bin", np.int16).reshape(mine.shape)
        np.testing.assert_array_equal(binary, mine)
        with np.load(imaged.recording / f"movie/plane{plane}.npz") as stored:
            np.testing.assert_array_equal(stored["maximum"], mine.max(axis=0))
            np.testing.assert_allclose(stored["standard_deviation"], mine.std(axis=0), rtol=1e-9)


@pytest.mark.parametrize(
    "blocks, jobs",
    [
        ({"suite2p": {"detection": {"threshold_scaling": 1.5}}}, CELLS + CLUSTERS + FIGURES),
        ({"suite2p": {"tau": 1.5}}, CELLS + CLUSTERS + FIGURES),
        ({"suite2p": {"registration": {"smooth_sigma": 2.0}}}, MOTION + CELLS + CLUSTERS + FIGURES),
        ({"kmeans": {"clusters": 3}}, CLUSTERS + FIGURES),
        ({"projections": {"axis": "time"}}, GIFS),
        ({"movie": {"missing_files": "allow"}}, []),
    ],
)
def test_a_changed_setting_makes_what_depends_on_it(imaged, blocks, jobs):
    assert imaged.plan(*configure(imaged.folder, **blocks)) == with_report(jobs)


def test_a_setting_of_days_with_sessions_makes_nothing_anew(imaged):
    assert imaged.plan(*configure(imaged.folder, rpllfp={"order": 4})) == []


@pytest.mark.parametrize(
    "product, jobs",
    [
        ("projections/maximum.gif", GIFS),
        ("kmeans/plane1/figure5.pdf", of("Figure", [1])),
        ("suite2p/plane0/spks.npy", of("Cells", [0]) + of("Clusters", [0]) + of("Figure", [0])),
    ],
)
def test_a_deleted_product_is_made_again_and_what_depends_on_it(copy, product, jobs):
    (copy.folder / "results" / RECORDING / product).unlink()
    assert copy.plan(*configure(copy.folder)) == with_report(jobs)


def test_a_changed_file_makes_the_recording_anew(copy):
    next((copy.folder / "data" / RECORDING).glob("*.tif")).touch()
    assert copy.plan(*configure(copy.folder)) == with_report(MOVIE + GIFS + MOTION + CELLS + CLUSTERS + FIGURES)


def test_one_plane_or_one_day_is_a_target(workflow, imaged):
    (workflow.folder / "data").symlink_to(imaged.folder / "data")
    settings = configure(workflow.folder)
    chain = [jobs[1] for jobs in (MOTION, CELLS, CLUSTERS, FIGURES)]
    assert workflow.plan(f"results/{RECORDING}/kmeans/plane1/figure5.png", *settings) == sorted(MOVIE + chain)
    assert workflow.plan("day/20220104", *settings) == imaged.first_run.jobs


def test_a_curated_label_makes_the_clusters_anew(copy):
    path = copy.folder / "results" / RECORDING / "suite2p/plane0/iscell.npy"
    labels = np.load(path)
    labels[np.flatnonzero(labels[:, 0])[0], 0] = 0
    np.save(path, labels)
    assert copy.plan(*configure(copy.folder)) == with_report(of("Clusters", [0]) + of("Figure", [0]))


def test_a_movie_without_cells_is_said_so_and_no_traceback(copy):
    settings = configure(copy.folder, suite2p={"detection": {"threshold_scaling": 50}})
    run = copy.run(f"results/{RECORDING}/kmeans/plane0/clusters.csv", *settings, status=1)
    assert "ImagingError" in run.output and "Traceback" not in run.output
    folder = copy.folder / "results" / RECORDING / "suite2p/plane0"
    assert np.load(folder / "F.npy").shape == (0, 900)
    assert not (copy.folder / "results" / RECORDING / "kmeans/plane0/clusters.csv").exists()


def test_a_damaged_file_is_named_and_nothing_is_written(workflow, imaged):
    shutil.copytree(imaged.folder / "data", workflow.folder / "data")
    last = sorted((workflow.folder / "data" / RECORDING).glob("*.tif"))[-1]
    last.write_bytes(last.read_bytes()[:-1000])
    run = workflow.run(*configure(workflow.folder), status=1)
    assert f"{last.name}: " in run.output and "FormatError" in run.output
    assert not list((workflow.folder / "results" / RECORDING).rglob("*.*"))
