"""suite2p's settings: checked against the installed library, refused by name, resolved for a field of view."""

import subprocess
import sys
import timeit

import pytest

from hippflow.errors import ConfigError
from hippflow.imaging.memory import SUITE2P, count_bins, detection_memory, fit_bins, registration_memory
from hippflow.imaging.offered import GROUPS, NOT_OFFERED, SETTINGS
from hippflow.imaging.settings import (
    build_settings,
    cell_settings,
    check_suite2p,
    registration_settings,
    resolve_registration,
    stage_memory,
)
from hippflow.imaging.suite2p import suite2p

SIZE = {"height": 512, "width": 512}
MOVIE = SIZE | {"n_frames": 3000}
NEEDED = {"fs": 15, "tau": 1.25}


def library_settings(block=None, prefix=""):
    """Every setting of the installed library by its whole name, with what it says of it."""
    from suite2p.parameters import SETTINGS as INSTALLED

    found = {}
    for key, value in (INSTALLED if block is None else block).items():
        if "description" in value:
            found[prefix + key] = value
        else:
            found |= library_settings(value, f"{prefix}{key}.")
    return found


def refusal(block, **complete):
    with pytest.raises(ConfigError) as error:
        check_suite2p(block, **complete)
    return str(error.value)


def test_every_setting_of_the_installed_suite2p_is_offered_or_refused_with_a_reason():
    refused = {
        name for name in library_settings() if any(name == no or name.startswith(f"{no}.") for no in NOT_OFFERED)
    }
    assert not refused & set(SETTINGS)
    assert refused | set(SETTINGS) == set(library_settings())
    assert set(NOT_OFFERED) - {"version"} <= {
        part for name in refused for part in (name, name.rpartition(".")[0], name.split(".")[0])
    }


def test_types_and_ranges_are_those_of_the_installed_suite2p_or_narrower():
    for name, installed in library_settings().items():
        if name not in SETTINGS:
            continue
        ours, kind = SETTINGS[name], installed["type"]
        if name == "registration.bidiphase":  # a float that suite2p uses as an index
            assert (ours.kind, kind) == (int, float)
        else:
            assert ours.pair if kind in (list, tuple) else ours.kind is kind, name
        assert ours.optional == (installed["default"] is None), name
        if installed["min"] not in (None, float("-inf")):
            assert ours.least is not None and ours.least >= installed["min"], name
        if installed["max"] not in (None, float("inf")):
            assert ours.most is not None and ours.most <= installed["max"], name


def test_suite2ps_own_defaults_are_allowed_and_those_that_memory_counts_with_are_right():
    differing = ("torch_device", "classification.use_builtin_classifier", "registration.bidiphase")
    for name, installed in library_settings().items():
        if name in SETTINGS and name not in differing:
            *groups, key = name.split(".")
            block = {key: installed["default"]}
            for group in reversed(groups):
                block = {group: block}
            check_suite2p(NEEDED | block)
    assert {name: library_settings()[name]["default"] for name in SUITE2P} == SUITE2P


def test_a_misspelt_name_is_refused_with_the_nearest():
    assert "suite2p.detection.treshold_scaling" in refusal(NEEDED | {"detection": {"treshold_scaling": 1}})
    assert "nearest: suite2p.detection.threshold_scaling" in refusal(NEEDED | {"detection": {"treshold_scaling": 1}})
    assert "nearest: suite2p.detection.threshold_scaling" in refusal(NEEDED | {"detecton": {"threshold_scaling": 1}})
    assert "nearest: suite2p.detection.threshold_scaling" in refusal(NEEDED | {"threshold_scaling": 1})
    assert "nearest: suite2p.extraction." in refusal(NEEDED | {"extracton": {}})


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"detection": {"threshold_scaling": "1"}}, "expected a number from 0, found '1'"),
        ({"detection": {"threshold_scaling": True}}, "expected a number from 0, found True"),
        ({"detection": {"threshold_scaling": float("nan")}}, "expected a number from 0, found nan"),
        ({"detection": {"nbins": 10.5}}, "expected a whole number from 1, found 10.5"),
        ({"detection": {"nbins": None}}, "expected a whole number from 1, found None"),
        ({"detection": {"bin_size": 0}}, "expected a whole number from 1 to 500, or null, found 0"),
        ({"registration": {"nonrigid": 1}}, "expected true or false, found 1"),
        ({"registration": {"block_size": 64}}, "expected [height, width], each a whole number from 16, found 64"),
        ({"registration": {"block_size": [64, 64, 64]}}, "expected [height, width]"),
        ({"registration": [64, 64]}, "expected a block of settings, found [64, 64]"),
        ({"diameter": [12, "x"]}, "expected [height, width], each a number from 1"),
        ({"dcnv_preprocess": {"baseline": "minimax"}}, "expected maximin or prctile or constant, found 'minimax'"),
        ({"run": {"do_registration": 2}}, "expected a whole number from 0 to 1, found 2"),
        ({"torch_device": "gpu"}, "expected cpu, cuda or cuda:N, found 'gpu'"),
        ({"tau": 0}, "expected a number from 0.01 to 10, found 0"),
    ],
)
def test_a_value_that_cannot_be_is_refused(block, message):
    assert message in refusal(NEEDED | block)


@pytest.mark.parametrize(
    "name",
    [
        "io.delete_bin",
        "run.multiplane_parallel",
        "run.do_regmetrics",
        "run.do_detection",
        "registration.subpixel",
        "registration.align_by_chan2",
        "classification.classifier_path",
        "detection.cellpose_settings.cellpose_model",
    ],
)
def test_what_is_not_offered_is_refused_with_the_reason(name):
    *groups, block = name.split(".")
    block = {block: 1}
    for group in reversed(groups):
        block = {group: block}
    message = refusal(NEEDED | block)
    assert message.startswith(f"suite2p.{name} cannot be set: ")


def test_fs_and_tau_are_required_and_explained():
    assert "suite2p.fs is not set: give frames per second of one plane" in refusal({"fs": None, "tau": 1})
    assert "suite2p.tau is not set: give the indicator's decay in seconds" in refusal({"fs": 15})
    check_suite2p({"fs": None, "tau": None, "detection": {}, "registration": None}, complete=False)
    assert "treshold" in refusal({"detection": {"treshold_scaling": 1}}, complete=False)


def test_a_check_is_quick_and_imports_nothing_heavy():
    block = NEEDED | {"detection": {"threshold_scaling": 0.8, "sparsery_settings": {"highpass_neuropil": 16}}}
    assert min(timeit.repeat(lambda: check_suite2p(block), number=1, repeat=20)) < 0.002
    code = (
        "import sys; from hippflow.imaging.settings import *; check_suite2p({'fs': 2, 'tau': 1}); "
        "stage_memory({'fs': 2, 'tau': 1}, height=512, width=512, n_frames=3000); import hippflow.steps.suite2p, "
        "hippflow.steps.registration; print({'torch', 'suite2p', 'scipy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_blocks_are_merged_at_every_depth_over_suite2ps_defaults():
    block = {
        "registration": {"nonrigid": False},
        "detection": {"sparsery_settings": {"highpass_neuropil": 16}},
        "classification": {"preclassify": 0.1},
    }
    built, expected = build_settings(NEEDED | block, **MOVIE), suite2p.default_settings()
    expected |= {"fs": 15.0, "tau": 1.25, "torch_device": "cpu"}
    expected["run"]["do_regmetrics"] = False
    expected["registration"]["nonrigid"] = False
    expected["detection"]["sparsery_settings"]["highpass_neuropil"] = 16
    expected["classification"] |= {"use_builtin_classifier": True, "preclassify": 0.1}
    assert built == expected


def test_only_settings_of_registration_register_again():
    def views(**block):
        return registration_settings(NEEDED | block), cell_settings(NEEDED | block)

    registration, cells = views()
    assert views(detection={"threshold_scaling": 2.0})[0] == registration
    assert views(extraction={"neuropil_coefficient": 0.5}, fs=30, diameter=[9, 9])[0] == registration
    assert views(detection={"threshold_scaling": 2.0})[1] != cells
    for change in ({"registration": {"maxregshift": 0.2}}, {"run": {"do_registration": 0}}, {"torch_device": "cuda"}):
        assert views(**change)[0] != registration
        assert views(**change)[1] != cells
    assert views(tau=2)[1] == views(tau=2.0)[1]


def test_registration_reads_no_setting_outside_its_view():
    """suite2p's wrapper is given one group, so that is all that it can read."""
    import inspect

    parameters = inspect.signature(suite2p.registration_wrapper).parameters
    assert "settings" in parameters and not {"fs", "tau", "diameter"} & set(parameters)
    group = resolve_registration({}, **SIZE)
    assert set(group) == set(suite2p.default_settings()["registration"])


@pytest.mark.parametrize(
    ("height", "width", "nonrigid", "block_size"),
    [
        (512, 512, True, (128, 128)),
        (129, 512, True, (128, 128)),
        (128, 512, True, (64, 128)),
        (128, 128, True, (64, 64)),
        (64, 512, False, (128, 128)),
    ],
)
def test_blocks_of_nonrigid_registration_are_smaller_than_the_frame(height, width, nonrigid, block_size):
    group = resolve_registration({}, height=height, width=width)
    assert (group["nonrigid"], group["block_size"]) == (nonrigid, block_size)


def test_blocks_that_the_user_gives_must_fit():
    block = {"registration": {"block_size": [128, 128]}}
    assert resolve_registration(block, height=130, width=130)["block_size"] == (128, 128)
    with pytest.raises(ConfigError, match="frames are 128 x 200, block_size is \\[128, 128\\]"):
        resolve_registration(block, height=128, width=200)
    with pytest.raises(ConfigError, match="frames are 64 x 64, block_size is not set"):
        resolve_registration({"registration": {"nonrigid": True}}, height=64, width=64)
    block["registration"]["nonrigid"] = False
    assert resolve_registration(block, height=128, width=200)["nonrigid"] is False


def test_a_shift_of_less_than_a_pixel_is_refused():
    with pytest.raises(ConfigError, match=r"found 0\.002 of 200 pixels"):
        resolve_registration({"registration": {"maxregshift": 0.002}}, height=200, width=300)


def test_bins_are_counted_as_suite2p_counts_them():
    """Its own function makes them of empty frames of one pixel."""
    import numpy as np
    from suite2p.detection.detect import bin_movie

    for n_frames, block in [(3000, {}), (3000, {"detection.nbins": 100}), (1234, {"detection.bin_size": 7})]:
        size, n_bins = count_bins({"fs": 15.0, "tau": 1.25} | block, n_frames)
        nbins = block.get("detection.nbins", 5000)
        made = bin_movie(np.zeros((n_frames, 1, 1), np.int16), size, [0, 1], [0, 1], nbins=nbins)
        assert 0.9 * n_bins <= len(made) <= n_bins


def test_bins_are_made_longer_where_memory_is_short():
    flat = {"fs": 1.0, "tau": 1.0}
    assert fit_bins(flat, 512, 512, 4000, None) is None
    assert fit_bins(flat, 512, 512, 4000, 100_000) is None
    for memory in (5000, 8000, 16000):
        size = fit_bins(flat, 512, 512, 4000, memory)
        _, n_bins = count_bins(flat | {"detection.bin_size": size}, 4000)
        assert detection_memory(512, 512, n_bins, n_frames=4000) <= memory
        _, one_more = count_bins(flat | {"detection.bin_size": size - 1}, 4000)
        assert detection_memory(512, 512, one_more, n_frames=4000) >= memory
        whole = build_settings({"fs": 1, "tau": 1}, **SIZE, n_frames=4000, memory_mb=memory)
        assert whole["detection"]["bin_size"] == size
    with pytest.raises(ConfigError, match="takes 765 MB at least, 750 MB are allowed"):
        fit_bins(flat, 512, 512, 4000, 750)


@pytest.mark.parametrize(
    ("flat", "n_frames", "message"),
    [
        ({"fs": 30.0, "tau": 1.5}, 300, "found 6 of 45"),
        ({"fs": 100.0, "tau": 8.0}, 100_000, "at most 500 frames, found 125 of 800"),
        ({"fs": 2.0, "tau": 1.5, "detection.nbins": 100}, 300, None),
        ({"fs": 2.0, "tau": 1.5, "detection.nbins": 99}, 300, "nbins: expected 100 or more"),
    ],
)
def test_bins_that_suite2p_cannot_make_are_refused(flat, n_frames, message):
    if message is None:
        assert fit_bins(flat, 64, 64, n_frames, None) is None
    else:
        with pytest.raises(ConfigError, match=message):
            fit_bins(flat, 64, 64, n_frames, None)


def test_memory_grows_with_what_it_depends_on():
    assert registration_memory(512, 512, 200) > registration_memory(512, 512, 100) > registration_memory(256, 256, 100)
    assert registration_memory(130, 130) - 700 > 1.5 * (registration_memory(130, 130, nonrigid=False) - 700)
    registration, cells = stage_memory({"fs": 2, "tau": 1.5}, **MOVIE)
    assert registration == registration_memory(512, 512)
    assert cells == detection_memory(512, 512, 1000, n_frames=3000)
    assert stage_memory({"fs": 2, "tau": 1.5}, **MOVIE, memory_mb=5000)[1] <= 5000 < cells


def test_groups_are_those_of_suite2p():
    assert {name.split(".")[0] for name in GROUPS} | {"io"} == {
        name for name, value in suite2p.default_settings().items() if isinstance(value, dict)
    }
