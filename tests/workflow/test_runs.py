"""Whole runs beside the usual one: int16 products, twice the same bytes, a script alone, a damaged session."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from hippflow.io.products import read_product
from hippflow.io.signals import open_signal

DAY = "picasso/20181105"
CHANNEL = "array02/channel034"


@pytest.fixture
def with_data(workflow, finished):
    os.symlink(finished.folder / "data", workflow.folder / "data")
    return workflow


def test_two_runs_make_the_same_bytes(with_data, finished):
    with_data.run("channel/20181105/034", "day/20181105")
    products = sorted(path for path in (finished.folder / "results/picasso").rglob("*") if path.is_file())
    products.remove(finished.product("report.html"))  # it has how long every job took
    assert len(products) > 30
    for path in products:
        twin = with_data.folder / path.relative_to(finished.folder)
        assert twin.read_bytes() == path.read_bytes(), path


def test_int16_products_are_the_float32_ones_to_half_a_bit(with_data, finished):
    with_data.run("--config", "products={dtype: int16}", "channels=34", "sessions=session01")
    for name, step in (("rplraw_d41d.hkl", 0), ("rplhighpass_b59f.hkl", 0.125), ("rpllfp_6eca.hkl", 0.125)):
        path = f"session01/{CHANNEL}/{name}"
        with open_signal(with_data.product(path)) as small, open_signal(finished.product(path)) as full:
            saved = finished.product(path).stat().st_size - with_data.product(path).stat().st_size
            assert saved == pytest.approx(2 * len(full), abs=4096)
            assert small.info["NumberClipped"] == 0
            # rounding halves the step at most; float32 of the filtered value adds its own
            np.testing.assert_allclose(small[:], full[:], rtol=1e-6, atol=step)


def test_a_killed_run_goes_on_to_the_same_bytes(with_data, finished):
    """Everything is killed at once, as when a machine goes down."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    run = subprocess.Popen(
        command,
        cwd=with_data.folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in run.stderr:
        if line.startswith("Job ") and "Spike sorting" in line:
            break
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    made = {path.relative_to(with_data.folder) for path in with_data.folder.glob("results/picasso/**/*.hkl")}
    assert made
    for path in made:  # a product that is there is whole
        if path.name.startswith("rpl") or path.name == "firings.hkl":
            assert (with_data.folder / path).read_bytes() == (finished.folder / path).read_bytes(), path
    with_data.run()  # nothing is unlocked or cleaned up by hand
    for path in (finished.folder / "results/picasso").rglob("*"):
        if path.is_file() and path.name != "report.html":  # that has how long every job took
            twin = with_data.folder / path.relative_to(finished.folder)
            assert twin.read_bytes() == path.read_bytes(), path
    assert with_data.plan() == []


def test_a_job_that_reads_the_workflow_again_finds_the_plan_of_its_run(with_data):
    """As jobs on other nodes do; without the plan they say so."""
    with_data.run(f"results/{DAY}/session01/{CHANNEL}/rplraw_d41d.hkl")
    plan = next((with_data.folder / ".snakemake/hippflow").glob("plan-*.json"))
    target = f"rpllfp:session={DAY}/session01,channel={CHANNEL}"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--mode", "remote", "--nolock", "--force"]
    command += ["--target-jobs", target, "--allowed-rules", "rpllfp"]
    environment = {key: value for key, value in os.environ.items() if key != "HIPPFLOW_PLAN"}
    lost = subprocess.run(command, cwd=with_data.folder, env=environment, capture_output=True, text=True)
    assert lost.returncode == 1
    assert "expected the run's plan in the file that HIPPFLOW_PLAN names" in lost.stdout + lost.stderr
    environment["HIPPFLOW_PLAN"] = str(plan)
    found = subprocess.run(command, cwd=with_data.folder, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert with_data.product(f"session01/{CHANNEL}/rpllfp_6eca.hkl").exists()


def test_a_script_runs_alone(finished, tmp_path):
    nev = finished.folder / f"data/{DAY}/session01/181105_Block1.nev"
    product = tmp_path / DAY / "session01" / "rplparallel_d41d.hkl"
    arguments = [
        f"input.nev={nev}",
        f"output.markers={product}",
        "params.unfinished_trial=error",
        "params.no_markers=error",
    ]
    command = [sys.executable, finished.folder / "scripts/rplparallel.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert product.read_bytes() == finished.product("session01/rplparallel_d41d.hkl").read_bytes()


def test_a_damaged_session_is_named_and_the_others_are_finished(workflow, finished):
    shutil.copytree(finished.folder / "data", workflow.folder / "data")
    recording = workflow.folder / f"data/{DAY}/sessioneye/181105_DST.ns5"
    os.truncate(recording, recording.stat().st_size - 1000)
    run = workflow.run("--config", "channels=34", status=1)
    assert f"data/{DAY}/sessioneye/181105_DST.ns5: expected whole data blocks, found" in run.output
    assert "Traceback" not in run.output
    log = (workflow.folder / f"results/logs/rplsplit/{DAY}/sessioneye.log").read_text()
    assert "expected whole data blocks" in log
    assert "Traceback" in log
    assert not list((workflow.folder / f"results/{DAY}/sessioneye").rglob("*raw*"))
    for name in ("rpllfp_6eca.hkl", "freqspectrum_660e.hkl"):
        twin = finished.product(f"session01/{CHANNEL}/{name}")
        assert workflow.product(f"session01/{CHANNEL}/{name}").read_bytes() == twin.read_bytes()
    # the day's units need both sessions: none are made of one alone
    assert not workflow.product("mountains/channel034/firings.hkl").exists()


def test_lost_markers_are_an_error_that_shows_the_codes(workflow, finished):
    shutil.copytree(finished.folder / "data", workflow.folder / "data")
    nev = workflow.folder / f"data/{DAY}/session01/181105_Block1.nev"
    sent = read_product(finished.product("session01/rplparallel_d41d.hkl"))["rawMarkers"]
    lost = int(np.flatnonzero((sent > 20) & (sent < 30))[1])
    header = int.from_bytes(nev.read_bytes()[12:16], "little")
    packets = nev.read_bytes()[header:]
    start = header + lost * 108
    nev.write_bytes(nev.read_bytes()[:start] + nev.read_bytes()[start + 108 :])
    run = workflow.run(f"results/{DAY}/session01/rplparallel_d41d.hkl", status=1)
    assert len(packets) % 108 == 0
    assert f"{nev.relative_to(workflow.folder)}: marker " in run.output
    assert "a marker is missing or extra" in run.output
    assert not workflow.product("session01/rplparallel_d41d.hkl").exists()
