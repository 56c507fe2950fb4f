"""Traps of suite2p 1.1.0, shown on the library itself, and what our user finds in their place."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_movie import FS, TAU, Recording, plain_run, plain_settings, small_movie

from hippflow.errors import ConfigError, ImagingError
from hippflow.imaging.memory import detection_memory
from hippflow.imaging.settings import build_settings, check_suite2p, registration_settings
from hippflow.imaging.suite2p import suite2p
from hippflow.steps.suite2p import PRODUCTS

MOVIE = small_movie(n_frames=200, size=(64, 64), n_cells=4, seed=3)
RIGID, HIGH = {"nonrigid": False}, {"threshold_scaling": 100}
NEEDED = {"fs": FS, "tau": TAU}


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    recording = Recording(tmp_path_factory.mktemp("trap") / "imaging01", MOVIE.frames)
    recording.register()
    return recording


def assert_empty(recording):
    n_frames = recording.load("db")["nframes"]
    for name in ("F", "Fneu", "spks"):
        assert (recording.load(name).shape, recording.load(name).dtype) == ((0, n_frames), np.float32)
    assert recording.load("stat").shape == (0,) and recording.load("iscell").shape == (0, 2)
    for name in PRODUCTS:
        assert (recording.plane / f"{name}.npy").is_file()


def plain_detection(**settings):
    """The number of regions that suite2p's detection finds in the movie as it is."""
    settings, device = plain_settings(detection=settings)["detection"], torch.device("cpu")
    diameter = np.array([12.0, 12.0])
    return len(suite2p.detection_wrapper(MOVIE.frames, diameter, TAU, FS, settings=settings, device=device)[1])


def test_shallow_merge(tmp_path):
    """suite2p replaces a whole group by what the user gives of it."""
    settings = {"torch_device": "cpu", "registration": {"nonrigid": False}}
    with pytest.raises(KeyError, match="align_by_chan2"):
        plain_run(tmp_path, MOVIE.frames, settings)
    whole = build_settings(NEEDED | settings, height=512, width=512, n_frames=200)
    assert whole["registration"] == suite2p.default_settings()["registration"] | {"nonrigid": False}


def test_misspelt_settings(registered):
    """suite2p takes no notice of a name that it does not know."""
    assert plain_detection(treshold_scaling=100)
    with pytest.raises(ConfigError, match="nearest: suite2p.detection.threshold_scaling"):
        registered.find_cells(detection={"treshold_scaling": 100})


@pytest.mark.parametrize("name", ["sparsary", "cellpose"])
def test_algorithms_that_are_not_there(registered, monkeypatch, name):
    """suite2p runs sourcery for an unknown one, and sparsery for cellpose where that cannot be imported."""
    monkeypatch.setattr("suite2p.detection.anatomical.CELLPOSE_INSTALLED", False)
    monkeypatch.setattr("suite2p.detection.anatomical.cellpose_error", "", raising=False)
    monkeypatch.setattr(logging, "raiseExceptions", False)
    assert plain_detection(algorithm=name) == plain_detection(
        algorithm="sparsery" if name == "cellpose" else "sourcery"
    )
    with pytest.raises(ConfigError, match=f"expected sparsery or sourcery, found '{name}'"):
        registered.find_cells(detection={"algorithm": name})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there(registered):
    """suite2p's default is the GPU, and it takes the CPU without a word where there is none."""
    assert suite2p.default_settings()["torch_device"] == "cuda"
    assert sys.modules["suite2p.run_s2p"]._assign_torch_device("cuda").type == "cpu"
    assert registration_settings({})["torch_device"] == "cpu"
    for stage in (registered.register, registered.find_cells):
        with pytest.raises(ConfigError, match="expected a GPU for cuda, PyTorch .* finds 0 here"):
            stage(torch_device="cuda")


def test_personal_state(tmp_path):
    """suite2p writes into the user's home when it is imported, and takes a classifier from there."""
    personal = tmp_path / ".suite2p" / "classifiers" / "classifier_user.npy"
    personal.parent.mkdir(parents=True)
    personal.touch()
    code = (
        "import hippflow.imaging.suite2p, os; from suite2p.classification import user_classfile; from suite2p import "
        "SETTINGS_FOLDER; print(user_classfile, user_classfile.exists(), SETTINGS_FOLDER, os.environ['HOME'], sep='|')"
    )
    variables = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    classifier, exists, folder, home = done.stdout.strip().split("|")
    assert (exists, home) == ("False", str(tmp_path))
    assert not classifier.startswith(home) and not folder.startswith(home)
    assert [path.name for path in personal.parents[1].iterdir()] == ["classifiers"]
    assert not suite2p.default_settings()["classification"]["use_builtin_classifier"]
    with pytest.raises(ConfigError, match="use_builtin_classifier: expected true, found false"):
        check_suite2p(NEEDED | {"classification": {"use_builtin_classifier": False}})


def test_too_few_frames(tmp_path):
    """suite2p wants 10 frames and asks for 50."""
    with pytest.raises(ValueError, match="at least 50"):
        plain_run(tmp_path / "plain", MOVIE.frames[:9], plain_settings())
    with pytest.raises(ImagingError, match="plane0.bin: expected 10 frames or more .*, found 9"):
        Recording(tmp_path / "imaging01", MOVIE.frames[:9]).register()


def test_a_movie_without_images(tmp_path):
    """suite2p ends in the middle of detection."""
    frames = np.full((200, 80, 80), 7, np.int16)
    with pytest.raises((ValueError, IndexError)):
        plain_run(tmp_path / "plain", frames, plain_settings())
    with pytest.raises(ImagingError, match=r"expected images, found 100 sampled frames each of one value \(7\)"):
        Recording(tmp_path / "imaging01", frames).register()


def test_blank_frames_are_told(tmp_path, caplog):
    """A shutter that opens late makes every pixel vary, and suite2p finds nothing."""
    frames = MOVIE.frames.copy()
    frames[:5] = 0
    Recording(tmp_path / "imaging01", frames).register()
    assert "3 of 100 sampled frames hold no image" in caplog.text


def test_no_cells_and_results_of_an_earlier_run(tmp_path, caplog):
    """suite2p ends with an error, and what it found before stays beside it."""
    recording = Recording(tmp_path / "imaging01", MOVIE.frames)
    recording.run()
    assert len(recording.load("F"))
    recording.find_cells(detection=HIGH)
    assert_empty(recording)
    assert "lower suite2p.detection.threshold_scaling (100)" in caplog.text
    images, shape = recording.load("detect_outputs"), recording.load("reg_outputs")["meanImg"].shape
    assert images["Vcorr"].shape == images["max_proj"].shape == images["meanImg_crop"].shape <= shape
    with pytest.raises(ValueError, match="no ROIs were found"):
        plain_run(tmp_path / "plain", MOVIE.frames, plain_settings(registration=RIGID, detection=HIGH))


@pytest.mark.parametrize(
    ("block", "setting"),
    [
        ({"classification": {"preclassify": 1}}, "classification.preclassify (1)"),
        ({"detection": {"npix_norm_min": 50}}, "detection.npix_norm_min"),
        ({"extraction": {"snr_threshold": 1}}, "extraction.snr_threshold (1)"),
    ],
)
def test_regions_that_are_all_dropped(registered, caplog, block, setting):
    """suite2p fails in another place for each."""
    registered.find_cells(**block)
    assert_empty(registered)
    assert f"suite2p.{setting}" in caplog.text


def test_a_crash_leaves_no_results_of_an_earlier_run(registered, monkeypatch):
    registered.find_cells()
    monkeypatch.setattr("hippflow.imaging.cells.oasis", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        registered.find_cells()
    assert {path.name for path in registered.plane.iterdir()} == {"data.bin", "reg_outputs.npy"}


def test_a_field_of_view_not_larger_than_the_blocks(tmp_path):
    """suite2p's default blocks are 128 pixels, which fails on frames of up to 128."""
    with pytest.raises(RuntimeError, match="sizes should be greater than 0"):
        plain_run(tmp_path / "plain", MOVIE.frames, plain_settings(registration={"block_size": (128, 128)}))
    recording = Recording(tmp_path / "imaging01", MOVIE.frames)
    recording.register()
    found = recording.load("reg_outputs")
    assert "yoff1" not in found
    assert np.ptp(found["yoff"] - MOVIE.shifts[:, 0]) == 0


def test_a_field_of_view_that_registration_leaves_nothing_of(tmp_path):
    """suite2p's detection dies of images of 16 pixels in an interpolation."""
    recording = Recording(tmp_path / "imaging01", MOVIE.frames[:, 20:38, 20:38])
    recording.register()
    with pytest.raises(ImagingError, match=r"expected more than 16 x 16 pixels that all frames share .* found 1\d x"):
        recording.find_cells()


def test_bins_of_detection_take_no_more_than_the_job_has():
    """suite2p makes up to 5000 bins whatever there is: 34 GB for frames of 512 x 512."""
    movie = {"height": 512, "width": 512, "n_frames": 36_000}
    assert suite2p.default_settings()["detection"]["nbins"] == 5000
    assert detection_memory(512, 512, 5000) > 30_000
    whole = build_settings({"fs": 1, "tau": 1}, **movie, memory_mb=8000)
    size = whole["detection"]["bin_size"]
    assert detection_memory(512, 512, 36_000 // size, n_frames=36_000) <= 8000


def test_registration_metrics_are_not_computed():
    """suite2p computes them by default, differently each time and in up to 15 GB."""
    assert suite2p.default_settings()["run"]["do_regmetrics"]
    assert not build_settings(NEEDED, height=512, width=512, n_frames=2000)["run"]["do_regmetrics"]


def test_two_step_registration_has_the_raw_movie(tmp_path):
    """suite2p registers once only, without a word, where it does not keep the raw movie."""
    recording = Recording(tmp_path / "imaging01", MOVIE.frames)
    recording.register(registration={"two_step_registration": True})
    settings = plain_settings(registration={"two_step_registration": True, "nonrigid": False})
    plane = plain_run(tmp_path / "plain", MOVIE.frames, settings)
    two_steps = np.load(plane / "reg_outputs.npy", allow_pickle=True).item()["refImg"]
    np.testing.assert_array_equal(recording.load("reg_outputs")["refImg"], two_steps)
    assert two_steps.dtype == np.float32  # the mean of registered frames; the first step's is of int16


def test_subpixel_shifts():
    """suite2p reads shifts as tenths of a pixel, whatever fraction they are estimated in."""
    from suite2p.registration import nonrigid

    assert nonrigid.phasecorr.__defaults__[0] == 10
    assert (
        "subpixel"
        not in Path(sys.modules["suite2p.registration.register"].__file__)
        .read_text()
        .split("nonrigid.phasecorr(", 1)[1]
        .split(")", 1)[0]
    )
    with pytest.raises(ConfigError, match="subpixel cannot be set: suite2p 1.1.0 takes the shifts for tenths"):
        check_suite2p(NEEDED | {"registration": {"subpixel": 5}})


def test_binaries_of_another_movie(tmp_path):
    """suite2p goes on with the binary file that it finds, whatever became of the recording."""
    plane = plain_run(tmp_path / "plain", MOVIE.frames, plain_settings(registration=RIGID))
    before = (plane / "data.bin").read_bytes()
    MOVIE.frames[:, ::-1].astype("<i2").tofile(plane / "data_raw.bin")
    suite2p.run_s2p(
        db={"data_path": [str(tmp_path)], "save_path0": str(tmp_path / "plain")},
        settings=plain_settings(registration=RIGID),
    )
    assert (plane / "data.bin").read_bytes() == before
    recording = Recording(tmp_path / "imaging01", MOVIE.frames)
    recording.register()
    assert recording.data.read_bytes() == before
    recording.write_movie(MOVIE.frames[:, ::-1])
    recording.register()
    assert recording.data.read_bytes() != before
