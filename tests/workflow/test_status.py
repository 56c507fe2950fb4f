"""hippflow status: against Snakemake's records and its dry run, and what it says."""

import json
import os
import re
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode

import pytest
from snakemakes_records import check_dependencies, products_of

from hippflow.runs.inventory import take_inventory
from hippflow.runs.planned import planned_jobs

DAY = "picasso/20181105"


@pytest.fixture
def copy(finished, workflow, monkeypatch):
    """A copy of the finished day whose products a test may change; it is the current folder."""
    for name in ("results", ".snakemake", "data"):
        shutil.copytree(finished.folder / name, workflow.folder / name, copy_function=shutil.copy2)
    monkeypatch.chdir(workflow.folder)
    return workflow


def status(*arguments, folder=None, code=0):
    command = [sys.executable, "-m", "hippflow", "status", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_every_product_is_made_of_what_snakemake_recorded(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    kinds = check_dependencies(products_of())
    assert kinds >= {"rplsplit", "freqspectrum", "sorting", "edfsplit", "aligned", "raycast", "placefield"}


def test_a_finished_day_is_all_there(finished):
    report = json.loads(status("--json", folder=finished.folder))
    assert all(group["there"] == group["expected"] for group in report["groups"])
    paths = [path for path in (finished.folder / "results/picasso").rglob("*") if path.is_file()]
    inside = re.compile(r"/cell\d\d/")  # cells are as many as the sorting found; cells.csv stands for them
    assert sum(group["expected"] for group in report["groups"]) == sum(not inside.search(str(p)) for p in paths)
    assert re.search(
        r"^1 day: all \d+ products are there. The last run succeeded.", status(folder=finished.folder), re.M
    )


def change_nothing(folder):
    return ()


def delete_raw(folder):
    (folder / f"results/{DAY}/session01/array02/channel034/rplraw_d41d.hkl").unlink()
    return ()


def touch_nev(folder):
    (path,) = (folder / f"data/{DAY}/session01").glob("*.nev")
    os.utime(path)  # the same content: nothing is to be made
    return ()


def touch_recording(folder):
    (path,) = (folder / f"data/{DAY}/session01").glob("*.ns5")
    os.utime(path)
    return ()


def delete_units(folder):
    (folder / f"results/{DAY}/mountains/channel009/units.csv").unlink()
    return ()


def other_settings(folder):
    return ("placefield={n_shuffles: 50}", "units={min_snr: 5}")


def other_names(folder):
    return ("rpllfp={order: 4}", "umaze={min_obs: 2}")


def fewer_channels(folder):
    return ("channels=9",)


def another_maze_log(folder):
    (log,) = (folder / f"data/{DAY}/session01").glob("RawData*/session*")
    log.rename(log.with_name("session_7_new.txt"))
    return ()


@pytest.mark.parametrize(
    "change",
    [
        change_nothing,
        delete_raw,
        touch_nev,
        touch_recording,
        delete_units,
        other_settings,
        other_names,
        fewer_channels,
        another_maze_log,
    ],
)
def test_what_is_open_is_what_a_dry_run_would_make(copy, change):
    settings = change(copy.folder)
    products = products_of(settings=settings)
    known = {product.path for day in products.catalog.days for product in products.of_day(day)}
    found = {p.path for groups in take_inventory(products, ".") for group in groups for p in group.open}
    options = ["--config", *settings] if settings else []
    jobs = planned_jobs([sys.executable, "-m", "snakemake", "-c2", *options])
    jobs = [job for job in jobs if known & set(job.outputs)]
    assert found <= {path for job in jobs for path in job.outputs}
    assert all(found & set(job.outputs) for job in jobs)
    assert bool(found) == (change not in (change_nothing, touch_nev, fewer_channels))


def test_every_command_makes_what_it_is_printed_for(copy):
    (copy.folder / f"results/{DAY}/session01/array02/channel034/cells.csv").unlink()
    (copy.folder / f"results/{DAY}/session01/raycast.json").unlink()
    report = json.loads(status("--json"))
    commands = {group["rule"]: group["command"] for group in report["groups"] if group["command"]}
    assert set(commands) == {"spiketrain", "placefield", "raycast", "report"}
    assert commands["spiketrain"].endswith(" channel/20181105/034")
    assert commands["raycast"].endswith(f" results/{DAY}/session01/raycast.json")
    targets = report["commands"][DAY].split()[report["commands"][DAY].split().index("snakemake") + 1 :]
    copy.run(*[word for word in targets if "/" in word])
    assert json.loads(status("--json"))["commands"] == {}


def test_the_table_says_how_many_are_there_and_why_not(copy):
    (copy.folder / f"results/{DAY}/session01/array02/channel034/cells.csv").unlink()
    text = status("20181105", "--config", "channels=[9, 34, 120]")
    assert re.search(rf"^{DAY}/session01 .* 2 of 3 .* 2 of 3 .*$", text, re.MULTILINE)
    assert f"{DAY}/session01: spiketrain: 1 missing of 3\n    1 x it was never made, or deleted" in text
    assert "cells.csv, which it is made from, is missing" in text
    assert "channel/20181105/034 --config 'channels=[9, 34, 120]'" in text


def test_an_unfinished_product_is_told_from_a_missing_one(copy):
    path = f"results/{DAY}/session01/rplparallel_d41d.hkl"
    record = copy.folder / ".snakemake/metadata" / urlsafe_b64encode(path.encode()).decode()
    shutil.copy(record, copy.folder / ".snakemake/incomplete" / record.name)
    report = json.loads(status("--json"))
    assert [group["unfinished"] for group in report["groups"] if "unfinished" in group] == [[path]]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["20181106"], "20181106: no such day is selected; nearest: 20181105"),
        (["--config", "rpllfp"], "--config: expected KEY=VALUE, found 'rpllfp'"),
        (["--config", "rpllfp={ordr: 4}"], "config.yaml: rpllfp.ordr: unknown key; nearest valid key: rpllfp.order"),
        (["--configfile", "none.yaml"], "none.yaml: expected a configuration in YAML, found"),
        (["--directory", "/"], "expected the workflow (Snakefile, config.yaml, schemas/), found none"),
    ],
)
def test_a_wrong_question_is_one_line(finished, arguments, message):
    answer = status(*arguments, folder=finished.folder, code=1)
    assert message in answer
    assert answer.count("\n") == 1


def test_a_reader_who_has_seen_enough_is_no_error(finished):
    command = f"{sys.executable} -m hippflow status --json | head -c 10"
    done = subprocess.run(["bash", "-c", command], cwd=finished.folder, capture_output=True, text=True)
    assert (len(done.stdout), done.stderr) == (10, "")
