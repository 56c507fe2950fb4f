"""NWB files as others read them: the inspector, pynapple; and their bytes."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pynapple
import pytest
from nwb_day import OFFSETS, SETTINGS, write_day
from nwbinspector import Importance, inspect_nwbfile
from pynwb import NWBHDF5IO, validate

from hippflow.steps.nwb import make_nwb

#: What is reported of a file without people and places: suggestions.
BARE = {
    "clock": "consecutive",
    "experimenter": [], "institution": None, "lab": None, "experiment_description": None, "keywords": [],
    "subject": {"species": "Macaca fascicularis", "sex": "M", "date_of_birth": "2010-05-01"},
}  # fmt: skip


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    day = write_day(tmp_path_factory.mktemp("nwb") / "results")
    day.path = day.folder / "picasso_20181105.nwb"
    make_nwb(day.sources, day.path, settings=SETTINGS)
    return day


@pytest.mark.parametrize("changes", [{}, BARE], ids=["full", "bare"])
def test_the_inspector_finds_nothing_that_is_wrong(day, tmp_path, changes):
    path = day.path
    if changes:
        path = tmp_path / "picasso/20181105/picasso_20181105.nwb"
        path.parent.mkdir(parents=True)
        for entry in day.folder.iterdir():
            (path.parent / entry.name).symlink_to(entry)
        path.unlink(missing_ok=True)
        sources = {
            kind: [p.replace(str(day.folder), str(path.parent)) for p in paths] for kind, paths in day.sources.items()
        }
        make_nwb(sources, path, settings=SETTINGS | changes)
    found = list(inspect_nwbfile(nwbfile_path=path))
    serious = [m for m in found if m.importance.value > Importance.BEST_PRACTICE_SUGGESTION.value]
    assert serious == []
    if changes == BARE:  # it is awake
        assert {"check_experimenter_exists", "check_institution"} <= {m.check_function_name for m in found}


def test_the_schema_of_nwb_is_kept(day):
    assert validate(path=day.path) == []


def test_pynapple_reads_what_it_knows(day):
    data = pynapple.load_file(day.path)
    units = data["units"]
    assert list(units["channel"]) == [9, 9, 34] and list(units["quality"]) == ["good", "noise", "good"]
    first = units[0].restrict(data["sessions"][0])
    assert np.allclose(first.times(), day.trains["session01", 9, 1] + OFFSETS["session01"], rtol=0, atol=1e-6)
    lfp = data["lfp_session01"].restrict(data["trials"])
    values, times = day.lfp["session01", 9], 0.01 + np.arange(3000) / 1000
    trials = (times >= 0.5) & (times <= 1.1) | (times >= 1.5) & (times <= 2.6)
    assert np.array_equal(lfp.values[:, 0], values[trials])  # pynapple takes what is stored, here µV
    assert data["position_session01"].shape == (90, 2) and data["eye_sessioneye"].shape == (1800, 2)
    assert np.array_equal(data["Fluorescence/imaging01_plane0"].values, day.planes[0].traces["F"].T)


WRITE = """
import json, sys
from hippflow.steps.nwb import make_nwb
make_nwb(json.loads(sys.argv[1]), sys.argv[2], settings=json.loads(sys.argv[3]))
"""


def test_the_same_products_make_the_same_bytes_in_another_process(day):
    before = day.path.read_bytes()
    command = [sys.executable, "-c", WRITE, json.dumps(day.sources), str(day.path), json.dumps(SETTINGS)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "7", "TZ": "America/New_York"})
    assert day.path.read_bytes() == before


def test_two_days_have_no_identifier_in_common(day, tmp_path):
    found = []
    for date in ("20181105", "20181106"):
        folder = tmp_path / "picasso" / date
        shutil.copytree(day.folder / "session01", folder / "session01", ignore=shutil.ignore_patterns("array*"))
        paths = [folder / "session01" / name for name in ("rplparallel_d41d.hkl", "unity_71bf.hkl", "eyelink_24d5.hkl")]
        sources = {kind: [str(path)] for kind, path in zip(("markers", "unity", "eyelink"), paths, strict=True)}
        make_nwb(sources, folder / "a.nwb", settings=SETTINGS)
        with NWBHDF5IO(folder / "a.nwb", "r") as io:
            found.append([thing.object_id for thing in io.read().all_children()])
    assert len(set(found[0])) == len(found[0]) > 25
    assert not set(found[0]) & set(found[1])
