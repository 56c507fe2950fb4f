"""Registration and cells as two stages, beside a plain run of suite2p on the same binary file."""

import ast
import ctypes
import inspect
import json
import logging
import os
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from small_movie import Recording, plain_run, plain_settings, small_movie

from hippflow.errors import ConfigError, FormatError
from hippflow.imaging import cells, registration
from hippflow.imaging.suite2p import suite2p, tune
from hippflow.steps.registration import MovieFile
from hippflow.steps.suite2p import PRODUCTS

MOVIE = small_movie()

#: Settings away from the defaults in every stage, as we and as suite2p's users give them.
CHANGED = {
    "registration": {"two_step_registration": True, "batch_size": 150, "nimg_init": 200, "maxregshift": 0.2},
    "detection": {
        "algorithm": "sourcery",
        "threshold_scaling": 0.6,
        "highpass_time": 50,
        "sourcery_settings": {"connected": True, "smooth_masks": True, "max_iterations": 3},
    },
    "diameter": [8.0, 8.0],
    "extraction": {"snr_threshold": 0.35, "neuropil_coefficient": 0.6, "batch_size": 70},
    "classification": {"preclassify": 0.05},
    "dcnv_preprocess": {"baseline": "prctile"},
}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    recording = Recording(tmp_path_factory.mktemp("small") / "imaging01", MOVIE.frames)
    recording.run()
    return recording


@pytest.fixture(scope="module", params=[{}, CHANGED], ids=["defaults", "changed"])
def both(request, recording, tmp_path_factory):
    """Our recording and the plane's folder of a plain run with the same settings."""
    if request.param:
        recording = Recording(tmp_path_factory.mktemp("changed") / "imaging01", MOVIE.frames)
        recording.run(**request.param)
    changed = dict(request.param)
    changed["classification"] = {"use_builtin_classifier": True} | changed.get("classification", {})
    changed["registration"] = {"block_size": (64, 64)} | changed.get("registration", {})
    return recording, plain_run(tmp_path_factory.mktemp("plain"), MOVIE.frames, plain_settings(**changed))


def read(path):
    found = np.load(path, allow_pickle=True)
    return found.item() if found.ndim == 0 else found


def assert_same(ours, theirs, where=""):
    """Equal in value and type, at every depth."""
    assert type(ours) is type(theirs), where
    if isinstance(ours, dict):
        assert set(ours) == set(theirs), where
        for key in ours:
            assert_same(ours[key], theirs[key], f"{where}.{key}")
    elif isinstance(ours, np.ndarray) and ours.dtype == object:
        assert ours.shape == theirs.shape, where
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            assert_same(*pair, f"{where}[{number}]")
    elif isinstance(ours, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), where
        np.testing.assert_array_equal(ours, theirs, where)
    else:
        assert ours == theirs, where


def test_every_result_is_bit_for_bit_that_of_a_plain_run(both):
    recording, plane = both
    assert recording.data.read_bytes() == (plane / "data.bin").read_bytes()
    for name in ("F", "Fneu", "spks", "iscell", "stat", "reg_outputs", "detect_outputs"):
        assert_same(recording.load(name), read(plane / f"{name}.npy"), name)
    assert len(recording.load("F")) >= 8


def test_ops_and_settings_have_what_a_plain_runs_have_but_times(both):
    recording, plane = both
    ours, theirs = recording.load("ops"), read(plane / "ops.npy")
    assert set(theirs) - set(ours) == {"date_proc", "plane_times", "raw_file"}
    assert set(ours) <= set(theirs)
    whole = read(plane / "settings.npy")
    whole["run"]["do_regmetrics"] = False
    assert recording.load("settings") == whole


def test_shifts_are_the_true_ones(recording):
    found = recording.load("reg_outputs")
    for name, axis in (("yoff", 0), ("xoff", 1)):
        off = found[name] - MOVIE.shifts[:, axis]
        assert np.ptp(off) == 0 and abs(off[0]) <= 2


def test_cells_are_where_they_are(recording):
    found = recording.load("reg_outputs")
    offset = [(MOVIE.shifts[:, axis] - found[name])[0] for name, axis in (("yoff", 0), ("xoff", 1))]
    centres = MOVIE.centres - offset
    regions = np.array([region["med"] for region in recording.load("stat")])
    distances = np.hypot(*(regions[:, None] - centres[None]).transpose(2, 0, 1))
    assert (distances.min(axis=0) < 3).mean() >= 0.9
    assert (distances.min(axis=1) < 3).mean() >= 0.9
    assert recording.load("F").shape == recording.load("spks").shape == (len(regions), len(MOVIE.frames))


def test_the_input_is_not_altered_and_cannot_be(recording):
    assert recording.movie.read_bytes() == MOVIE.frames.tobytes()
    with MovieFile(recording.movie, MOVIE.frames.shape) as movie, pytest.raises(OSError):
        movie[0:1] = MOVIE.frames[:1]


def gui_function(name, **names):
    """A function of suite2p's GUI, whose module cannot be imported without Qt."""
    path = Path(find_spec("suite2p").submodule_search_locations[0]) / "gui" / "io.py"
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    names |= {"np": np, "os": os}
    exec(compile(tree, str(path), "exec"), names)
    return names[name]


def test_the_gui_loads_the_folder(recording, capsys):
    stat, ops, F, Fneu, spks, iscell, probability, *_ = gui_function("load_files")(str(recording.plane / "stat.npy"))
    assert "ERROR" not in capsys.readouterr().out
    assert len(stat) == len(F) == len(Fneu) == len(spks) == len(iscell) == len(probability)
    assert ops["reg_file"] == str(recording.data) and Path(ops["reg_file"]).is_file()
    assert (ops["Ly"], ops["Lx"], ops["nframes"]) == (96, 96, 300)
    shape = (ops["yrange"][1] - ops["yrange"][0], ops["xrange"][1] - ops["xrange"][0])
    assert ops["meanImg"].shape == ops["meanImgE"].shape == (96, 96)
    assert ops["Vcorr"].shape == ops["max_proj"].shape == shape
    assert int(ops["tau"] * ops["fs"] / 2) == 3 and len(ops["diameter"]) == 2
    assert {"ypix", "xpix", "lam", "med", "radius", "overlap", "snr", "npix_norm", "skew"} <= set(stat[0])


def test_the_combined_view_takes_a_plane_without_cells(recording, tmp_path):
    from suite2p.io import combined

    both = Recording(tmp_path / "imaging02", MOVIE.frames)
    for name, found in recording.products().items():
        (both.plane / name).write_bytes(found)
    other = both.folder / "suite2p" / "plane1"
    other.mkdir()
    for name in ("data.bin", "reg_outputs.npy"):
        (other / name).write_bytes((both.plane / name).read_bytes())
    both.plane, both.data = other, other / "data.bin"
    both.find_cells(detection={"threshold_scaling": 100})
    assert both.load("db")["iplane"] == 1
    stat, db, _, F, *_ = combined(str(both.folder / "suite2p"), save=False)
    assert len(stat) == len(F) == len(recording.load("F"))
    assert db["Vcorr"].max() == recording.load("ops")["Vcorr"].max()


def test_products_are_the_same_bytes_in_another_process_without_a_home(recording, tmp_path):
    """No home can be made below a file; a fresh process has other addresses and another order of sets."""
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("glibc only")
    first = recording.products()
    (tmp_path / "file").touch()
    home = tmp_path / "file" / "home"
    code = f"""
    import ctypes, numpy as np
    import hippflow.imaging.suite2p

    class Info(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd a b c d e".split()]

    def is_mapped():
        array, libc = np.empty(100_000_000, np.uint8), ctypes.CDLL(None)
        libc.mallinfo2.restype = Info
        return libc.mallinfo2().hblkhd >= array.nbytes

    before = is_mapped()
    from hippflow.steps.registration import register_plane
    from hippflow.steps.suite2p import find_cells
    folder, report = "{recording.folder}/suite2p/plane0/", "{recording.report}"
    data, outputs = folder + "data.bin", folder + "reg_outputs.npy"
    register_plane("{recording.movie}", report, data, outputs, settings={{}}, threads=2)
    find_cells(data, outputs, report, folder, settings={{"fs": 5, "tau": 1.2}}, threads=2)
    print(before, is_mapped())
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("XDG", "HOME"))}
    variables |= {"HOME": str(home), "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # glibc maps a large array from the system by default; a job takes it from memory that it keeps
    assert (done.stdout, done.stderr) == ("True False\n", "")
    second = recording.products()
    assert set(second) == {"data.bin", "reg_outputs.npy", *(f"{name}.npy" for name in PRODUCTS)}
    assert {name for name in first if first[name] != second.get(name)} == set()


def test_a_registration_that_is_switched_off_leaves_the_movie(tmp_path):
    """suite2p with keep_movie_raw and without registration works on a file of zeros."""
    recording = Recording(tmp_path / "imaging01", MOVIE.frames)
    recording.run(run={"do_registration": 0})
    assert recording.data.read_bytes() == recording.movie.read_bytes()
    found = recording.load("reg_outputs")
    assert (found["yrange"], found["xrange"]) == ([0, 96], [0, 96])
    assert not found["badframes"].any() and not found["yoff"].any() and len(found["xoff"]) == 300
    np.testing.assert_allclose(found["meanImg"], MOVIE.frames.mean(axis=0), rtol=1e-6)
    settings = plain_settings()
    settings["run"]["do_registration"] = 0
    with pytest.raises(ValueError, match="no ROIs were found"):
        plain_run(tmp_path / "plain", MOVIE.frames, settings)
    assert not np.fromfile(tmp_path / "plain/suite2p/plane0/data.bin", np.int16).any()


@pytest.mark.parametrize("stage", ["register", "find_cells"])
def test_a_stage_that_is_stopped_leaves_nothing(recording, tmp_path, monkeypatch, stage):
    other = Recording(tmp_path / "imaging01", MOVIE.frames)
    for name, found in recording.products().items():
        (other.plane / name).write_bytes(found)
    science = {"register": (registration, "suite2p"), "find_cells": (cells, "oasis")}[stage]

    def stop(*_, **__):
        raise KeyboardInterrupt

    if stage == "register":
        monkeypatch.setattr(MovieFile, "__setitem__", stop)
    else:
        monkeypatch.setattr(*science, stop)
    with pytest.raises(KeyboardInterrupt):
        getattr(other, stage)()
    left = {path.name for path in other.plane.iterdir()}
    made_by_cells = {f"{name}.npy" for name in PRODUCTS}
    assert left == (made_by_cells if stage == "register" else {"data.bin", "reg_outputs.npy"})


def test_suite2ps_messages_go_to_our_log_and_not_to_the_terminal(recording, caplog, capfd):
    with caplog.at_level(logging.DEBUG, "hippflow"):
        recording.find_cells()
    messages = [record.getMessage() for record in caplog.records]
    assert any(message.startswith("suite2p: Binned movie of size") for message in messages)
    assert not any("Sparse" in message for message in messages)
    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert loud[-1] == f"{recording.plane}: 12 regions, 11 of them taken for cells"
    assert capfd.readouterr() == ("", "")


def test_a_job_has_the_threads_it_asks_for():
    import numba
    import torch

    for threads in (2, 1):
        tune(threads)
        assert torch.get_num_threads() == threads
        assert numba.get_num_threads() == min(threads, numba.config.NUMBA_NUM_THREADS)


def test_a_movie_file_reads_like_a_memory_map(tmp_path):
    frames = MOVIE.frames[:20]
    frames.tofile(tmp_path / "a.bin")
    with MovieFile(tmp_path / "a.bin", frames.shape) as movie:
        for index in (3, -0, slice(2, 7), slice(15, 99), slice(7, 7), slice(1, 19, 4), np.array([0, 5, 19])):
            np.testing.assert_array_equal(movie[index], frames[index])
    with MovieFile(tmp_path / "a.bin", (40, *frames.shape[1:])) as movie, pytest.raises(FormatError, match="40 frames"):
        movie[15:25]


def test_a_movie_of_another_size_than_the_report_says_is_refused(recording, tmp_path):
    other = Recording(tmp_path / "imaging01", MOVIE.frames[:50])
    other.report.write_text(json.dumps({"n_frames": 51, "height": 96, "width": 96}))
    with pytest.raises(FormatError, match="plane0.bin: expected 51 frames of 96 x 96 pixels"):
        other.register()


def test_wrong_settings_are_refused_before_anything_is_removed(recording):
    before = recording.products()
    with pytest.raises(ConfigError, match="nearest: suite2p.registration.nonrigid"):
        recording.register(registration={"nonrigd": True})
    with pytest.raises(ConfigError, match="suite2p.fs is not set"):
        recording.find_cells(fs=None)
    assert recording.products() == before


def test_library_functions_have_the_parameters_that_are_passed_by_name():
    for function, names in (
        (suite2p.registration_wrapper, {"f_raw", "settings", "device"}),
        (suite2p.detection_wrapper, {"yrange", "xrange", "badframes", "preclassify", "classifier_path"}),
    ):
        assert names <= set(inspect.signature(function).parameters)
