"""Behaviour on the demo day: products against the true clocks, path and gaze, also where devices lost markers."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from hippflow.demo.behaviour import BehaviourOptions
from hippflow.demo.day import write_demo_day
from hippflow.demo.faults import parse_fault
from hippflow.demo.truth import load_truth
from hippflow.io.products import read_product

DAY = "picasso/20181105"
REPORT = f"results/{DAY}/session01/alignment.json"
FAULTS = ("drop:eye:session01:0:start", "drop:eye:session01:-1:end", "drop:maze:session01:1:cue")
FAULTS += ("double:eye:session01:1:end", "abort:eye:session01")


@pytest.fixture(scope="module")
def faulty(new_workflow):
    """A day whose devices lost and doubled markers, to the alignment."""
    workflow = new_workflow()
    options = BehaviourOptions(faults=tuple(map(parse_fault, FAULTS)))
    write_demo_day(workflow.folder / "data", channels=[9], seconds=30, options=options)
    workflow.run(REPORT)
    return workflow


@pytest.fixture(params=["finished", "faulty"])
def day(request):
    """A day with its truth, its products of session01 and its alignment report."""
    workflow = request.getfixturevalue(request.param)
    truth = load_truth(workflow.folder / "data" / DAY).behaviour
    products = {
        name: read_product(workflow.product(f"session01/{name}")) for name in ("unity_71bf.hkl", "eyelink_24d5.hkl")
    }
    return workflow, truth, *products.values(), json.loads((workflow.folder / REPORT).read_text())


def test_every_frame_is_on_the_ripple_clock(day):
    _, truth, unity, _, _ = day
    frames = truth.maze["session01"]
    np.testing.assert_allclose(unity["unityTime"][0][1:], frames.times, atol=1e-3)
    np.testing.assert_allclose(unity["unityData"][0][:, 2:4], frames.position, atol=1e-4)
    rows = unity["unityTriggers"][0]
    np.testing.assert_array_equal(
        frames.triggers[rows] // 10, np.tile([1, 2, 3], (len(rows), 1)) + (frames.triggers[rows] >= 40)
    )


def test_every_sample_is_on_the_ripple_clock(day):
    _, truth, _, eyelink, _ = day
    gaze = truth.eye["session01"]
    n = len(eyelink["timestamps"])
    assert n > 0.9 * len(gaze.times)
    np.testing.assert_allclose(eyelink["timestamps"], gaze.times[-n:], atol=1e-3)
    pixels = np.where((gaze.pixels < 0) | (gaze.pixels > [1920, 1080]), np.nan, gaze.pixels)[-n:]
    np.testing.assert_allclose(eyelink["eye_pos"], pixels, atol=1e-3)


def test_the_report_knows_the_clocks(day):
    *_, report = day
    assert report["passed"], report["reasons"]
    drifts = {name: device["drift_ppm"] for name, device in report["devices"].items()}
    assert drifts["unity"] == pytest.approx(120, abs=60)
    assert drifts["eyelink"] == pytest.approx(-300, abs=60)
    assert max(device["residual_max_s"] for device in report["devices"].values()) < 2e-3


def test_what_devices_lost_is_listed(faulty):
    report = json.loads((faulty.folder / REPORT).read_text())
    lost = {name: [(row["trial"], row["marker"]) for row in d["repaired"]] for name, d in report["devices"].items()}
    last = report["trials"] - 1
    assert lost == {"unity": [(1, "cue")], "eyelink": [(0, "start"), (last, "end")]}
    assert len(report["devices"]["eyelink"]["extra"]) >= 1
    table = pd.read_csv(faulty.product("missingData.csv"))
    listed = {(row.trial, row.marker) for row in table.itertuples()}
    assert listed >= {(0, "start"), (last, "end")}


def test_gaze_is_cast_for_every_sample_from_the_first_trial_on(finished):
    report = json.loads(finished.product("session01/raycast.json").read_text())
    samples = len(read_product(finished.product("session01/eyelink_24d5.hkl"))["timestamps"])
    assert report["before_first_trial"] + report["written"] + report["after_last_trial"] == samples
    table = pd.read_csv(finished.product("session01/unityfile_eyelink.csv"), header=None)
    assert table.shape == (report["written"], 18)
    assert sum(report["objects"].values()) + sum(report["ignored"].values()) == len(table)


def test_a_marker_that_ripple_lost_is_refused_by_name(workflow):
    options = BehaviourOptions(faults=(parse_fault("drop:ripple:session01:1:cue"),))
    write_demo_day(workflow.folder / "data", channels=[9], seconds=30, options=options)
    run = workflow.run(REPORT, status=1)
    assert "181105_Block1.nev: marker " in run.output
    assert not (workflow.folder / REPORT).exists()


@pytest.mark.parametrize(
    "lost, there, gone",
    [
        ("*.asc", ["unity_71bf.hkl", "umaze_fd09.hkl"], ["eyelink_24d5.hkl", "binData.hdf"]),
        ("session01/RawData*", ["eyelink_24d5.hkl"], ["unity_71bf.hkl", "umaze_fd09.hkl", "binData.hdf"]),
    ],
    ids=["no eye data", "no maze log"],
)
def test_what_one_device_recorded_is_aligned_without_the_other(workflow, finished, lost, there, gone):
    shutil.copytree(finished.folder / "data", workflow.folder / "data", copy_function=os.link)
    for path in workflow.folder.glob(f"data/picasso/20181105/{lost}"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    products = [f"results/picasso/20181105/session01/{name}" for name in there]
    planned = "\n".join(workflow.plan())
    assert ("Place fields" in planned, "looked at" in planned) == ("umaze_fd09.hkl" in there, False)
    workflow.run(*products, REPORT, "--config", "umaze={min_obs: 5}")
    for product in products:
        assert (workflow.folder / product).read_bytes() == (finished.folder / product).read_bytes()
    for name in gone:
        refused = workflow.run(f"results/picasso/20181105/session01/{name}", "--dry-run", status=1)
        assert name in refused.output and "Missing" in refused.output
