"""A curation that appears, changes and goes away, and folders to look at units: what runs then, and what does not."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from snakemakes_records import check_dependencies, products_of

from hippflow.io.products import read_product
from hippflow.runs.inventory import take_inventory

DAY = "picasso/20181105"
CHANNEL = f"results/{DAY}/mountains/channel034"
SESSIONS = ("session01", "sessioneye")
#: What a curation of channel 34 changes on the channel, and of the whole day.
OF_CHANNEL = [f"Units of {DAY}, channel 034", *(f"Spike trains of {DAY}/{s}/array02/channel034" for s in SESSIONS)]
OF_CHANNEL += [f"Place fields of {DAY}/session01/array02/channel034"]
OF_DAY = [f"Report of {DAY}", f"Table of the channels of {DAY}"]


@pytest.fixture(scope="module")
def day(finished, tmp_path_factory):
    """A copy of the finished day whose channel 34 tests curate one after the other."""
    folder = tmp_path_factory.mktemp("curated") / "copy"
    shutil.copytree(finished.folder, folder, symlinks=True)
    copy = object.__new__(type(finished))
    copy.folder = folder
    return copy


def curate(day, **content):
    path = day.folder / CHANNEL / "curation.json"
    path.write_text(json.dumps(content))
    return path


def test_units_and_what_follows_are_made_by_the_curation_and_the_sorting_stays(day, monkeypatch):
    before = (day.folder / CHANNEL / "firings.hkl").stat().st_mtime_ns
    labels = read_product(day.folder / CHANNEL / "firings.hkl")["labels"]
    path = curate(day, merges=[[1, 2]], labels={"1": "good"})
    assert day.plan() == sorted(OF_CHANNEL + OF_DAY)
    monkeypatch.chdir(day.folder)
    open_ = {
        product.path for groups in take_inventory(products_of(), ".") for group in groups for product in group.open
    }
    assert f"{CHANNEL}/units.csv" in open_ and f"{CHANNEL}/firings.hkl" not in open_
    assert day.run("channel/20181105/034").jobs == sorted(OF_CHANNEL)
    assert (day.folder / CHANNEL / "firings.hkl").stat().st_mtime_ns == before
    units = pd.read_csv(day.folder / CHANNEL / "units.csv", index_col="unit", keep_default_na=False)
    assert 2 not in units.index
    assert units.loc[1, ["quality", "merged", "num_spikes"]].tolist() == ["good", "1 2", np.sum(labels <= 2)]
    found = 0
    for session in SESSIONS:
        folder = day.folder / f"results/{DAY}/{session}/array02/channel034"
        assert not (folder / "cell02/spiketrain_d41d.hkl").exists()
        found += len(read_product(folder / "cell01/spiketrain_d41d.hkl")["spiketimes"][0])
    assert found == np.sum(labels <= 2)
    os.utime(path)  # the same content
    assert day.plan("channel/20181105/034") == []
    curate(day, merges=[[1, 2]], labels={"1": "noise"})
    assert day.plan("channel/20181105/034") == sorted(OF_CHANNEL)
    curate(day, merges=[[1, 2]], labels={"1": "good"})


def test_the_table_of_the_day_has_the_curated_units(day):
    assert day.run(f"results/{DAY}/channels.csv").jobs == OF_DAY[1:]
    table = pd.read_csv(day.folder / f"results/{DAY}/channels.csv").query("channel == 34")
    units = pd.read_csv(day.folder / CHANNEL / "units.csv")
    assert table["units_good"].tolist() == [(units["quality"] == "good").sum()] * 2
    assert table["num_spikes"].tolist() == [units[f"num_spikes_{session}"].sum() for session in SESSIONS]


def test_what_is_made_of_a_curated_day_is_what_snakemake_recorded(day, monkeypatch):
    day.run()
    monkeypatch.chdir(day.folder)
    assert {"units", "signal_quality", "channels"} <= check_dependencies(products_of())
    assert day.plan() == []


def test_a_curation_of_units_that_are_not_there_is_refused_and_one_that_goes_away_leaves_nothing(day, finished):
    path = curate(day, labels={"77": "good"})
    run = day.run("channel/20181105/034", status=1)
    assert "curation.json: expected units of the sorting (1, 2" in run.output
    assert "found unit '77'" in run.output
    path.unlink()
    assert day.run("channel/20181105/034").jobs == sorted(OF_CHANNEL)
    for name in ("units.csv", "metrics.csv", "templates.hkl"):
        assert (day.folder / CHANNEL / name).read_bytes() == (finished.folder / CHANNEL / name).read_bytes()
    for session in SESSIONS:
        cells = f"results/{DAY}/{session}/array02/channel034/cells.csv"
        assert (day.folder / cells).read_bytes() == (finished.folder / cells).read_bytes()


def test_folders_to_look_at_units_are_made_on_request_alone(day):
    assert not any("Phy" in job or "Analyzer" in job for job in day.run("--dry-run", "--forceall").jobs)
    jobs = [f"Phy folder of {DAY}, channel 034", f"SortingAnalyzer of {DAY}, channel 034"]
    assert day.run("phy/20181105/034", "analyzer/20181105/034").jobs == jobs
    firings = read_product(day.folder / CHANNEL / "firings.hkl")
    assert np.load(day.folder / CHANNEL / "phy/spike_times.npy").ravel().tolist() == firings["samples"].tolist()
    made = json.loads((day.folder / CHANNEL / "analyzer/hippflow.json").read_text())
    assert made["units"] == np.unique(firings["labels"]).tolist()
    assert made["signals"] == [f"{DAY}/{session}/array02/channel034/rplhighpass_b59f.hkl" for session in SESSIONS]
    assert day.plan("phy/20181105/034", "analyzer/20181105/034") == []
    run = day.run("--dry-run", "phy/20181105/035", status=1)
    assert "phy/20181105/035: no channel '035' is selected on 20181105 (3 are); nearest: 34" in run.output
