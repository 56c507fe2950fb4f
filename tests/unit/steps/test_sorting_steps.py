"""sorting, units and spiketrain: on the demo day against its truth, and on spikes put by hand at the edges."""

import inspect
import json
from pathlib import Path

import hickle
import numpy as np
import pandas as pd
import pytest
import yaml

from hippflow.ephys.metrics import COLUMNS
from hippflow.ephys.sorting import sort_spikes
from hippflow.errors import FormatError, SortingError
from hippflow.io.products import read_product, write_product
from hippflow.io.signals import write_signal
from hippflow.steps.sorting import make_sorting, read_day_signal, read_sorting, session_name
from hippflow.steps.spiketrain import make_spiketrains
from hippflow.steps.units import make_units

CONFIG = yaml.safe_load((Path(__file__).parents[3] / "config.yaml").read_text())
SESSIONS = ("session01", "sessioneye")
LENGTHS = [240_000, 120_000]
FILES = ("firings.hkl", "units.csv", "metrics.csv", "templates.hkl")
DECISIONS = ["quality", "automatic_quality", "curated", "merged"]
CELL_COLUMNS = ["cell", "unit", "quality", "num_spikes", "firing_rate", "spiketrain"]


def run_all(results, folder, out):
    """Run the three steps on the high-pass signals of a channel, into a tree of their own."""
    highpass = [str(results / session / folder / "rplhighpass_b59f.hkl") for session in SESSIONS]
    firings, units, metrics, templates = (out / "mountains" / folder[-10:] / name for name in FILES)
    make_sorting(highpass, firings, **CONFIG["sorting"])
    make_units(highpass, firings, units, metrics, templates, **CONFIG["units"])
    for session, signal in zip(SESSIONS, highpass, strict=True):
        make_spiketrains(firings, units, signal, out / session / folder / "cells.csv", selection="all")
    return out


@pytest.fixture(scope="module")
def day(short_day_results, tmp_path_factory):
    out = tmp_path_factory.mktemp("sorted") / "picasso" / "20181105"
    for folder in ("array01/channel009", "array02/channel034"):
        run_all(short_day_results, folder, out)
    return out


def trains_of(day, session, folder="array02/channel034"):
    """Samples of the spikes in a session, by cell."""
    paths = sorted((day / session / folder).glob("cell*/spiketrain_d41d.hkl"))
    return {path.parent.name: np.rint(hickle.load(path)["spiketimes"][0] * 30).astype(int) for path in paths}


def test_the_sorting_of_a_day(day):
    firings = hickle.load(day / "mountains/channel034/firings.hkl")
    assert firings["sessions"] == list(SESSIONS)
    assert firings["sessionLengths"].tolist() == LENGTHS
    assert firings["samplingRate"] == 30_000
    assert (firings["samples"].dtype, firings["labels"].dtype) == (np.int64, np.int64)
    assert firings["samples"].shape == firings["labels"].shape
    assert (np.diff(firings["samples"]) >= 0).all()
    assert set(firings["labels"].tolist()) == set(range(1, firings["labels"].max() + 1))
    assert firings["masked"].shape == (0, 2)
    expected = {name: value for name, value in CONFIG["sorting"].items() if name != "sorter_parameters"}
    assert firings["parameters"] == expected


def test_units_are_those_of_the_truth(day, short_day_truth):
    """The large unit of the first session, and the smaller one of both."""
    truth = short_day_truth.channels[34].units
    sorting, _ = read_sorting(day / "mountains/channel034/firings.hkl")
    for unit in truth.values():
        spikes = np.concatenate([unit.spikes["session01"], LENGTHS[0] + unit.spikes["sessioneye"]])
        near = np.abs(sorting.samples[:, None] - spikes).min(axis=1) <= 15
        label = np.bincount(sorting.labels[near]).argmax()
        own = sorting.samples[sorting.labels == label]
        assert (np.abs(own[:, None] - spikes).min(axis=0) <= 15).mean() > 0.9
        assert (np.abs(own[:, None] - spikes).min(axis=1) <= 15).mean() > 0.9


def test_tables_of_units(day):
    folder = day / "mountains/channel034"
    units, metrics = (pd.read_csv(folder / name, index_col="unit") for name in ("units.csv", "metrics.csv"))
    counts = ["num_spikes_session01", "num_spikes_sessioneye"]
    assert units.columns.tolist() == [*DECISIONS, "snr", "firing_rate", "num_spikes", *counts]
    assert (units["quality"] == units["automatic_quality"]).all()
    assert not units["curated"].any() and units["merged"].isna().all()
    assert metrics.columns.tolist() == list(COLUMNS)
    assert units.index.tolist() == metrics.index.tolist() == list(range(1, len(units) + 1))
    assert set(units["quality"]) <= {"good", "multi-unit", "noise"}
    labels = hickle.load(folder / "firings.hkl")["labels"]
    assert units["num_spikes"].tolist() == np.bincount(labels)[1:].tolist()
    assert (units[counts].sum(axis=1) == units["num_spikes"]).all()
    np.testing.assert_allclose(units["firing_rate"], units["num_spikes"] / 12, rtol=1e-5)
    assert (units["snr"] > 3).all()


def test_templates_are_the_mean_waveforms(day, short_day_results):
    templates = hickle.load(day / "mountains/channel034/templates.hkl")
    firings = hickle.load(day / "mountains/channel034/firings.hkl")
    paths = [short_day_results / session / "array02/channel034/rplhighpass_b59f.hkl" for session in SESSIONS]
    x = np.concatenate([hickle.load(path)["data"] for path in paths])
    assert (templates.dtype, templates.shape) == (np.float32, (1, 150, firings["labels"].max()))
    for unit in range(1, templates.shape[2] + 1):
        samples = firings["samples"][firings["labels"] == unit]
        samples = samples[(samples >= 74) & (samples < len(x) - 75)]
        expected = np.mean([x[sample - 74 : sample + 76] for sample in samples], axis=0)
        np.testing.assert_allclose(templates[0, :, unit - 1], expected, atol=1e-3)


def test_every_spike_is_in_one_cell_of_its_session(day):
    firings = hickle.load(day / "mountains/channel034/firings.hkl")
    found = []
    for session, start in zip(SESSIONS, (0, LENGTHS[0]), strict=True):
        for cell, samples in trains_of(day, session).items():
            found += [(start + int(sample), int(cell[4:])) for sample in samples]
    assert sorted(found) == sorted(zip(firings["samples"].tolist(), firings["labels"].tolist(), strict=True))


def test_a_channel_of_noise_has_no_good_unit(day, short_day_truth):
    assert short_day_truth.channels[9].units == {}
    units = pd.read_csv(day / "mountains/channel009/units.csv", index_col="unit")
    assert (units["quality"] == "noise").all()


def test_a_silent_channel_has_valid_empty_tables(tmp_path):
    for session, n in zip(SESSIONS, (45_000, 30_000), strict=True):
        add_highpass(tmp_path, session, n)
    day = run_all(tmp_path, "array01/channel009", tmp_path / "out")
    write = day / "mountains/channel009"
    assert sorted(path.name for path in write.iterdir()) == sorted(FILES)
    firings = hickle.load(write / "firings.hkl")
    assert firings["sessionLengths"].tolist() == [45_000, 30_000]
    assert (firings["samples"].shape, firings["labels"].shape) == ((0,), (0,))
    assert (firings["samples"].dtype, firings["labels"].dtype) == (np.int64, np.int64)
    units, metrics = (pd.read_csv(write / name, index_col="unit") for name in ("units.csv", "metrics.csv"))
    assert (len(units), len(metrics), metrics.columns.tolist()) == (0, 0, list(COLUMNS))
    assert units.columns.tolist()[-2:] == ["num_spikes_session01", "num_spikes_sessioneye"]
    for templates in (hickle.load(write / "templates.hkl"), read_product(write / "templates.hkl")):
        assert (templates.shape, templates.dtype) == ((1, 150, 0), np.float32)
    for session in SESSIONS:
        folder = day / session / "array01/channel009"
        assert [path.name for path in folder.iterdir()] == ["cells.csv"]
        assert pd.read_csv(folder / "cells.csv").columns.tolist() == CELL_COLUMNS
        assert pd.read_csv(folder / "cells.csv").empty


def test_the_same_every_time(day, short_day_results, tmp_path):
    again = run_all(short_day_results, "array02/channel034", tmp_path / "picasso" / "20181105")
    for name in ("units.csv", "metrics.csv"):
        path = Path("mountains/channel034") / name
        assert (again / path).read_bytes() == (day / path).read_bytes()
    ours, theirs = (hickle.load(root / "mountains/channel034/firings.hkl") for root in (again, day))
    for name in ("samples", "labels", "noise", "threshold"):
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_parameters_of_the_step_are_those_of_the_sorting():
    known = inspect.signature(sort_spikes).parameters
    assert set(CONFIG["sorting"]) <= set(known)


# Spikes put by hand


def add_highpass(root, session, n_samples, rate=30_000.0, segments=None, value=0.0):
    path = root / session / "array01" / "channel009" / "rplhighpass_b59f.hkl"
    info = {"SampleRate": rate, "TickRate": 30_000, "BitGain": 0.25}
    info["Segments"] = np.array([[0, n_samples, 0, n_samples - 1]] if segments is None else segments)
    with write_signal(path, {"analogInfo": info}, n_samples) as writer:
        writer.write(np.full(n_samples, value))
    return str(path)


def test_a_curation_is_honoured_from_units_to_cells(day, short_day_results, tmp_path):
    """Unit 2 joins unit 1 by a file as spikeinterface-gui writes it, and both are called multi-unit."""
    firings = day / "mountains/channel034/firings.hkl"
    labels = hickle.load(firings)["labels"]
    found = np.unique(labels).tolist()
    content = {"format_version": "2", "unit_ids": found, "merges": [{"unit_ids": [1, 2]}], "removed": found[2:]}
    content["manual_labels"] = [{"unit_id": 2, "labels": {"quality": ["MUA"]}}]
    curation, units, metrics, templates = (tmp_path / name for name in ("curation.json", *FILES[1:]))
    curation.write_text(json.dumps(content))
    highpass = [str(short_day_results / session / "array02/channel034/rplhighpass_b59f.hkl") for session in SESSIONS]
    make_units(highpass, firings, units, metrics, templates, curation, **CONFIG["units"])
    table = pd.read_csv(units, index_col="unit", keep_default_na=False)
    assert table.index.tolist() == pd.read_csv(metrics)["unit"].tolist() == [1, *found[2:]]
    assert table.loc[1, ["quality", "curated", "merged"]].tolist() == ["multi-unit", True, "1 2"]
    assert (table.loc[found[2:], "quality"] == "noise").all() and table["curated"].all()
    assert table.loc[1, "num_spikes"] == (labels <= 2).sum()
    before, after = hickle.load(day / "mountains/channel034/templates.hkl"), hickle.load(templates)
    counts = np.bincount(labels)[1:3]
    np.testing.assert_allclose(after[0, :, 0], before[0, :, :2] @ counts / counts.sum(), atol=1e-3)
    cells = tmp_path / "cells.csv"
    make_spiketrains(firings, units, highpass[1], cells, selection="all")
    trains = [hickle.load(day / f"sessioneye/array02/channel034/cell0{unit}/spiketrain_d41d.hkl")["spiketimes"][0]
              for unit in (1, 2) if (day / f"sessioneye/array02/channel034/cell0{unit}").exists()]  # fmt: skip
    joined = hickle.load(tmp_path / "cell01/spiketrain_d41d.hkl")["spiketimes"][0]
    np.testing.assert_array_equal(joined, np.sort(np.concatenate(trains)))
    assert pd.read_csv(cells)["quality"][0] == "multi-unit"
    assert not (tmp_path / "cell02").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [("{labels: good}", "expected JSON, found"), ('{"merges": [[1, 99]]}', "units of the sorting .* found unit 99")],
)
def test_a_curation_that_cannot_be_meant_is_refused_before_anything_is_read(day, tmp_path, text, message):
    (tmp_path / "curation.json").write_text(text)
    firings, curation = day / "mountains/channel034/firings.hkl", tmp_path / "curation.json"
    with pytest.raises(FormatError, match=f"curation.json: .*{message}"):
        make_units(["missing"], firings, *(tmp_path / name for name in FILES[1:]), curation, **CONFIG["units"])
    assert [path.name for path in tmp_path.iterdir()] == ["curation.json"]


def add_sorting(root, spikes, lengths, qualities, sessions=SESSIONS):
    """Write firings and units of {unit: samples of the day}."""
    folder = root / "mountains" / "channel009"
    samples = np.concatenate([np.zeros(0, np.int64), *(np.array(train, np.int64) for train in spikes.values())])
    labels = np.repeat(np.array(list(spikes), np.int64), [len(train) for train in spikes.values()])
    order = np.argsort(samples, kind="stable")
    fields = {"samples": samples[order], "labels": labels[order], "masked": np.zeros((0, 2), np.int64)}
    fields |= {"noise": 7.0, "threshold": 28.0, "sessions": list(sessions), "sessionLengths": np.array(lengths)}
    write_product(folder / "firings.hkl", fields)
    table = pd.DataFrame({"quality": qualities}, index=pd.Index(spikes, name="unit"))
    table.to_csv(folder / "units.csv")
    return folder / "firings.hkl", folder / "units.csv"


def spiketrains(root, spikes, lengths=(3000, 6000), qualities=None, selection="all", **options):
    """Make the cells of both sessions and return their tables and trains."""
    firings, units = add_sorting(root, spikes, lengths, qualities or ["good"] * len(spikes))
    found = {}
    for session, n in zip(SESSIONS, lengths, strict=True):
        highpass = add_highpass(root, session, n, **options)
        cells = Path(highpass).with_name("cells.csv")
        make_spiketrains(firings, units, highpass, cells, selection=selection)
        trains = trains_of(root, session, "array01/channel009")
        found[session] = pd.read_csv(cells, keep_default_na=False), {k: v.tolist() for k, v in trains.items()}
    return found


def test_cells_keep_the_number_of_their_unit_in_all_sessions(tmp_path):
    found = spiketrains(tmp_path, {1: [10, 20], 2: [3010, 3020, 3030], 3: [5, 4000]})
    table, trains = found["session01"]
    assert trains == {"cell01": [10, 20], "cell03": [5]}
    assert table.columns.tolist() == CELL_COLUMNS
    assert table["cell"].tolist() == ["cell01", "cell02", "cell03"]
    assert table["unit"].tolist() == [1, 2, 3]
    assert table["num_spikes"].tolist() == [2, 0, 1]
    np.testing.assert_allclose(table["firing_rate"], [20, 0, 10])
    assert table["spiketrain"].tolist() == ["cell01/spiketrain_d41d.hkl", "", "cell03/spiketrain_d41d.hkl"]
    table, trains = found["sessioneye"]
    assert trains == {"cell02": [10, 20, 30], "cell03": [1000]}
    assert table["num_spikes"].tolist() == [0, 3, 1]
    np.testing.assert_allclose(table["firing_rate"], [0, 15, 5])


def test_the_first_and_the_last_spike_of_every_session_are_kept(tmp_path):
    found = spiketrains(tmp_path, {1: [0, 2999, 3000, 8999]})
    assert found["session01"][1] == {"cell01": [0, 2999]}
    assert found["sessioneye"][1] == {"cell01": [0, 5999]}


@pytest.mark.parametrize(
    "spikes, session", [([100, 200], "sessioneye"), ([3100, 8999], "session01"), ([8999], "session01")]
)
def test_a_session_without_spikes_gets_none_of_the_other(tmp_path, spikes, session):
    found = spiketrains(tmp_path, {1: spikes})
    table, trains = found[session]
    assert trains == {}
    assert table["num_spikes"].tolist() == [0]
    (other,) = set(SESSIONS) - {session}
    assert len(found[other][1]["cell01"]) == len(spikes)


def test_a_spike_train_has_the_fields_of_pyhipp_and_a_table(tmp_path):
    spiketrains(tmp_path / "picasso" / "20181105", {1: [0, 10, 31]})
    folder = tmp_path / "picasso/20181105/session01/array01/channel009/cell01"
    loaded = hickle.load(folder / "spiketrain_d41d.hkl")
    (milliseconds,) = loaded["spiketimes"]
    assert milliseconds.dtype == np.float64
    np.testing.assert_allclose(milliseconds, [0, 10 / 30, 31 / 30])
    assert loaded["dirs"] == ["picasso/20181105/session01/array01/channel009/cell01"]
    assert (loaded["numSets"], loaded["args"]) == (1, {})
    assert (folder / "spiketrain.csv").read_text() == "0.000000,0.333333,1.033333\n"


def test_spike_times_are_on_the_clock_of_the_recorder(tmp_path):
    """A pause of a second after 1000 samples, of a recording that began 300 ticks late."""
    segments = [[0, 1000, 300, 1299], [1000, 2000, 31_300, 33_299]]
    firings, units = add_sorting(tmp_path, {1: [0, 999, 1000, 2999]}, [3000], ["good"], ["session01"])
    highpass = add_highpass(tmp_path, "session01", 3000, segments=segments)
    make_spiketrains(firings, units, highpass, Path(highpass).with_name("cells.csv"), selection="all")
    loaded = hickle.load(Path(highpass).parent / "cell01" / "spiketrain_d41d.hkl")
    np.testing.assert_allclose(loaded["spiketimes"][0] * 30, [300, 1299, 31_300, 33_299])


@pytest.mark.parametrize(
    "selection, cells", [("all", ["cell01", "cell02", "cell03"]), ("no-noise", ["cell01", "cell03"])]
)
def test_units_that_become_cells(tmp_path, selection, cells):
    qualities = ["good", "noise", "multi-unit"]
    table, trains = spiketrains(tmp_path, {1: [1], 2: [2], 3: [3]}, qualities=qualities, selection=selection)[
        "session01"
    ]
    assert table["cell"].tolist() == list(trains) == cells
    assert set(table["quality"]) == {"good", "multi-unit"} | ({"noise"} if selection == "all" else set())


def test_cells_of_an_earlier_sorting_are_removed(tmp_path):
    spiketrains(tmp_path, {unit: [unit, 3000 + unit] for unit in range(1, 13)})
    channel = tmp_path / "session01/array01/channel009"
    (channel / "cell11" / "notes.txt").write_text("ours")
    (channel / "cells_of_2019").mkdir()
    (channel / "cell1").mkdir()
    _, trains = spiketrains(tmp_path, {1: [7], 2: [3007]})["session01"]
    assert trains == {"cell01": [7]}
    assert sorted(path.name for path in channel.iterdir()) == [
        "cell01", "cell1", "cell11", "cells.csv", "cells_of_2019", "rplhighpass_b59f.hkl",
    ]  # fmt: skip
    # what others put into a folder stays
    assert [path.name for path in (channel / "cell11").iterdir()] == ["notes.txt"]
    assert sorted(path.name for path in (channel / "cell01").iterdir()) == ["spiketrain.csv", "spiketrain_d41d.hkl"]


def test_more_than_99_units(tmp_path):
    spikes = {unit: [unit] for unit in range(1, 102)}
    table, trains = spiketrains(tmp_path, spikes)["session01"]
    assert trains["cell101"] == [101]
    assert table["cell"].tolist()[-3:] == ["cell99", "cell100", "cell101"]
    assert spiketrains(tmp_path, {1: [5]})["session01"][1] == {"cell01": [5]}


def test_no_units(tmp_path):
    for table, trains in spiketrains(tmp_path, {}).values():
        assert (len(table), table.columns.tolist(), trains) == (0, CELL_COLUMNS, {})


def test_the_signal_of_a_day_is_its_sessions_in_order(tmp_path):
    paths = [
        add_highpass(tmp_path, session, n, value=v) for session, n, v in (("session01", 5, 1), ("sessioneye", 3, 2))
    ]
    signal, lengths, rate = read_day_signal(paths)
    assert signal.dtype == np.float32
    assert (signal.tolist(), lengths, rate) == ([1, 1, 1, 1, 1, 2, 2, 2], [5, 3], 30_000)
    assert [session_name(path) for path in paths] == list(SESSIONS)


def test_sessions_of_different_rates_cannot_be_sorted_together(tmp_path):
    paths = [
        add_highpass(tmp_path, session, 10, rate) for session, rate in (("session01", 30_000.0), ("session02", 2e4))
    ]
    with pytest.raises(
        SortingError, match=r"expected one sampling rate in .*session01.*, found \[20000\.0, 30000\.0\] Hz"
    ):
        read_day_signal(paths)
