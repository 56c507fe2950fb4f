"""docs/products.md says what is in the files of behaviour: fields, columns and bins, their types and shapes."""

import json
import re

import h5py
import numpy as np
import pandas as pd
import pytest
from products_document import (
    COMMON,
    check_columns,
    check_fields,
    check_names,
    fields_in,
    flat,
    named_files,
    part,
    rows,
    sections,
)

from hippflow.behaviour.bins import BinGrid
from hippflow.behaviour.scene import FLOOR, PILLARS, WALLS, load_scene
from hippflow.day.config import load_schema, schema_defaults
from hippflow.demo.behaviour import BehaviourOptions
from hippflow.demo.day import write_demo_day
from hippflow.demo.faults import parse_fault
from hippflow.io.products import base_fields, read_product, write_product
from hippflow.steps.aligned import make_aligned
from hippflow.steps.edfsplit import make_edfsplit
from hippflow.steps.placefield import make_placefields
from hippflow.steps.raycast import make_raycast
from hippflow.steps.rplparallel import make_rplparallel
from hippflow.steps.umaze import make_umaze
from hippflow.steps.unity import make_unity

CHANNEL = "session01/array01/channel009"

#: Section and heading of the document -> products that they describe, below the day's results.
PRODUCTS = {
    ("unity", None): ["session01/unaligned/unity_71bf.hkl", "session01/unity_71bf.hkl"],
    ("eyelink", None): [
        "session01/unaligned/eyelink_24d5.hkl",
        "session01/eyelink_24d5.hkl",
        "sessioneye/eyelink_24d5.hkl",
    ],
    ("umaze", None): ["session01/umaze_fd09.hkl"],
    ("placefield", "vmplacecell_7ab1.hkl"): [f"{CHANNEL}/cell01/vmplacecell_7ab1.hkl"],
    ("placefield", "vmplacecell_a35f.hkl"): [f"{CHANNEL}/cell01/vmplacecell_a35f.hkl"],
}
TABLES = {
    ("eyelink", "missingData.csv"): "missingData.csv",
    ("raycast", "unityfile_eyelink.csv"): "session01/unityfile_eyelink.csv",
    ("placefield", "placefields.csv"): f"{CHANNEL}/placefields.csv",
}
RULES = ("unity", "edfsplit", "aligned", "raycast", "umaze", "placefield")

#: Every device lost a marker and has one twice, so that every list in the products has an item.
FAULTS = (
    "drop:maze:session01:1:cue",
    "double:maze:session01:2:start",
    "drop:eye:session01:0:start",
    "double:eye:session01:1:end",
    "abort:eye:session01",
    "drop:eye:sessioneye:0:cue",
)


@pytest.fixture(scope="module")
def settings(pytestconfig):
    """The default configuration, and the path of the scene."""
    defaults = schema_defaults(load_schema(pytestconfig.rootpath / "schemas/config.schema.yaml"))
    raycast = dict(defaults["raycast"])
    scene = pytestconfig.rootpath / raycast.pop("scene")
    return defaults | {"raycast": raycast, "scene": scene}


@pytest.fixture(scope="module")
def results(tmp_path_factory, settings):
    """Behaviour of a day of 16 trials with timeouts and two logs of the maze; a threshold that every trial exceeds."""
    options = BehaviourOptions(n_logs=2, faults=tuple(map(parse_fault, FAULTS)))
    day = write_demo_day(tmp_path_factory.mktemp("raw"), channels=[9], seconds=120, seed=1, options=options)
    folder = tmp_path_factory.mktemp("results") / "picasso" / "20181105"
    session = folder / "session01"
    names = ("unity_71bf.hkl", "eyelink_24d5.hkl")
    unaligned, aligned = ([place / name for name in names] for place in (session / "unaligned", session))
    markers = {name: folder / name / "rplparallel_d41d.hkl" for name in ("session01", "sessioneye")}
    for name, stem in (("session01", "181105_Block1"), ("sessioneye", "181105_DST")):
        make_rplparallel(day / name / f"{stem}.nev", markers[name], unfinished_trial="error", no_markers="error")
    make_unity((day / "session01").glob("RawData*/session*"), markers["session01"], unaligned[0])
    eyes = {"session01": unaligned[1], "sessioneye": folder / "sessioneye" / names[1]}
    tracker = {"eye": settings["edfsplit"]["eye"], "screen": settings["screen"]}
    make_edfsplit(day / "181105.asc", day / "P11_5.asc", markers, eyes, folder / "missingData.csv", **tracker)
    reports = [session / name for name in ("alignment.json", "alignment.png")]
    make_aligned(*unaligned, markers["session01"], *aligned, *reports, threshold=1e-5, dubious="keep")
    casts = [session / name for name in ("unityfile_eyelink.csv", "binData.hdf", "raycast.json")]
    camera = settings["raycast"] | {"screen": settings["screen"]}
    make_raycast(*aligned, markers["session01"], settings["scene"], *casts, **camera)
    umaze = session / "umaze_fd09.hkl"
    make_umaze(aligned[0], umaze, **settings["umaze"])
    train = folder / CHANNEL / "cell01" / "spiketrain_d41d.hkl"
    times = {"spiketimes": [np.arange(0, 120_000, 40.0)]}
    train.parent.mkdir(parents=True)
    write_product(train, base_fields(train, "cell") | times)
    cells = folder / CHANNEL / "cells.csv"
    cells.write_text("cell,spiketrain\ncell01,cell01/spiketrain_d41d.hkl\ncell02,\n")
    make_placefields(cells, umaze, cells.with_name("placefields.csv"), **settings["placefield"], **settings["umaze"])
    return folder


@pytest.mark.parametrize(("section", "heading"), PRODUCTS)
def test_every_field_of_behaviour_is_documented_and_exists(results, section, heading):
    documented, found = fields_in(sections()[COMMON], part(section, heading)), set()
    for path in PRODUCTS[section, heading]:
        found |= check_fields(flat(read_product(results / path)), documented, path)
    assert not set(documented) - found, "documented, but in no file"


def test_every_key_of_the_alignment_report_is_documented_and_exists(results):
    documented = fields_in(part("aligned", "alignment.json"))
    report = json.loads((results / "session01/alignment.json").read_text())
    found = check_fields(flat(report | {"devices": {}}), documented, "alignment.json")
    for name, device in report["devices"].items():
        found |= check_fields(flat({"devices.<device>": device}), documented, f"alignment.json: {name}")
    assert found == set(documented)
    assert list(report["devices"]) == ["unity", "eyelink"]


def test_every_key_of_the_ray_casting_report_is_documented_and_exists(results):
    documented = fields_in(part("raycast", "raycast.json"))
    report = json.loads((results / "session01/raycast.json").read_text())
    assert check_fields(flat(report), documented, "raycast.json") == set(documented)


def test_every_dataset_of_the_bins_is_documented_and_exists(results):
    table = rows(part("raycast", "binData.hdf"), "Dataset")
    documented = {name: (kinds, shape) for name, kinds, shape, *_ in table}
    with h5py.File(results / "session01/binData.hdf") as file:
        datasets = [(name, node[()]) for name, node in file.items()]
        assert check_fields(datasets, documented, "binData.hdf") == set(documented)


@pytest.mark.parametrize(("section", "heading"), TABLES)
def test_every_column_of_behaviour_is_documented_and_exists(results, section, heading):
    documented = rows(part(section, heading), "Column")
    without_header = documented[0][0] == "0"
    path = results / TABLES[section, heading]
    table = pd.read_csv(path, dtype=str, keep_default_na=False, header=None if without_header else 0)
    check_columns(table.rename(columns=str), documented, path.name)


@pytest.mark.parametrize("field", ["unityData", "sumCost"])
def test_every_column_of_the_maze_logs_arrays_is_documented(results, field):
    (values,) = read_product(results / "session01/unity_71bf.hkl")[field]
    documented = [name for name, *_ in rows(part("unity", field), "Column")]
    assert documented == [str(column) for column in range(values.shape[1])]


def same(one, other):
    """Tell whether two values are equal, NaN and all."""
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=True)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize(("section", "name"), [("unity", "unity_71bf.hkl"), ("eyelink", "eyelink_24d5.hkl")])
def test_the_document_lists_what_the_alignment_changes(results, section, name):
    before, after = (read_product(results / "session01" / folder / name) for folder in ("unaligned", ""))
    sentence = re.search(r"The aligned file differs in (.*?),\sand\sin\snothing\selse\.", part(section), re.DOTALL)[1]
    changed = {name for name in after if name not in before or not same(before[name], after[name])}
    assert changed == set(re.findall(r"`(\w+)`", sentence))
    assert set(before) <= set(after)
    if section == "unity":
        (log,), (aligned_log,) = before["unityData"], after["unityData"]
        assert [not same(*columns) for columns in zip(log.T, aligned_log.T, strict=True)] == [
            f"column {column}" in sentence for column in range(7)
        ]


def test_the_document_says_which_bins_lie_where(settings):
    data = json.loads(settings["scene"].read_text())
    bins = BinGrid(load_scene(data, "scene").grid, settings["raycast"]["bins_per_side"])
    pillars = [f"{pillar['name']} pillar" for pillar in data["bins"]["pillars"]]
    surfaces, _ = bins.places(np.arange(1, bins.n_bins + 1))
    names = ["cue", "hint", "floor", "ceiling", *["outer walls"] * (PILLARS - WALLS), *np.repeat(pillars, 4).tolist()]
    assert names[FLOOR] == "floor"
    found = {}
    for number, surface in enumerate(surfaces.tolist(), 1):
        found.setdefault(names[surface], []).append(number)
    expected = []
    for name, numbers in found.items():
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        expected.append([str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}", name])
    assert [row[:2] for row in rows(part("raycast", "binData.hdf"), "Bins")] == expected


def test_files_of_behaviour_are_in_the_table_of_names(results):
    assert check_names(results) >= set(named_files(RULES))
