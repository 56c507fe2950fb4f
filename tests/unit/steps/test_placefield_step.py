"""placefield: maps of the cells of a channel, and their table."""

from itertools import pairwise

import hickle
import numpy as np
import pandas as pd
import pytest

from hippflow.behaviour.occupancy import Grid
from hippflow.errors import ConfigError, FormatError
from hippflow.io.products import write_product
from hippflow.steps.placefield import make_placefields

SETTINGS = {
    "n_shuffles": 100,
    "shuffle_bounds": [0.1, 0.9],
    "min_obs": 5,
    "seed": 0,
    "grid_steps": 40,
    "overall_grid_size": 25,
}
COUNTS, MAPS = "vmplacecell_7ab1.hkl", "vmplacecell_a35f.hkl"
PLACE = 821

rng = np.random.default_rng(4)
#: Visits of 0.2 s to 60 bins around bin 821, by chance, in trials of 100; 1 s between the trials.
NUMBERS = np.concatenate([np.append(rng.choice(np.arange(791, 851), 100), 0) for _ in range(40)])
STARTS = 1.5 + np.concatenate(([0], np.cumsum(np.where(NUMBERS[:-1] == 0, 1.0, 0.2))))
VISITS = np.column_stack([np.append(0, STARTS), np.append(0, NUMBERS), np.zeros(len(NUMBERS) + 1)])
VISITS[:-1, 2] = np.diff(VISITS[:, 0])


def train(rate_here, rate_elsewhere, seed):
    """Spike times in ms of a unit with one rate in bin 821 and another one at all other times."""
    rates = np.where(VISITS[:, 1] == PLACE, rate_here, rate_elsewhere)
    generator = np.random.default_rng(seed)
    counts = generator.poisson(rates * VISITS[:, 2])
    return 1000 * np.sort(
        np.repeat(VISITS[:, 0], counts) + generator.random(counts.sum()) * np.repeat(VISITS[:, 2], counts)
    )


TRAINS = {"cell01": train(30, 1, 1), "cell02": train(4, 4, 2), "cell03": np.zeros(0), "cell12": np.array([500.0])}


def write_cells(channel, trains):
    rows = []
    for name, times in trains.items():
        path = f"{name}/spiketrain_d41d.hkl" if times.size else ""
        if path:
            write_product(channel / path, {"spiketimes": [times], "numSets": 1})
        rows.append({"cell": name, "unit": int(name[4:]), "num_spikes": times.size, "spiketrain": path})
    channel.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=["cell", "unit", "num_spikes", "spiketrain"]).to_csv(channel / "cells.csv", index=False)


def make(folder, trains=TRAINS, umaze=None, channel="array01/channel009", **changes):
    session = folder / "picasso" / "20181105" / "session01"
    channel = session / channel
    write_cells(channel, trains)
    fields = {"sessionTime": VISITS, "GridSteps": 40, "OverallGridSize": 25}
    write_product(session / "umaze_fd09.hkl", fields if umaze is None else umaze)
    make_placefields(
        channel / "cells.csv", session / "umaze_fd09.hkl", channel / "placefields.csv", **(SETTINGS | changes)
    )
    return channel


@pytest.fixture(scope="module")
def channel(tmp_path_factory):
    return make(tmp_path_factory.mktemp("placefield"))


@pytest.fixture
def table(channel):
    return pd.read_csv(channel / "placefields.csv", index_col="cell")


def count_by_loops(times):
    """Spikes in each bin, a visit at a time."""
    counts = np.zeros(1601, int)
    for (start, number, _), (end, *_) in pairwise(VISITS):
        counts[int(number)] += np.sum((times >= 1000 * start) & (times < 1000 * end))
    return counts[1:]


def test_there_is_a_row_for_every_cell_and_files_for_those_with_spikes(channel, table):
    assert table.index.tolist() == list(TRAINS)
    assert table.columns.tolist() == [
        "spikes", "mean_rate", "peak_rate", "peak_x", "peak_z", "spatial_information", "threshold", "significant",
    ]  # fmt: skip
    for name, times in TRAINS.items():
        found = sorted(path.name for path in (channel / name).glob("vmplacecell*"))
        assert found == ([COUNTS, MAPS] if times.size else []), name


def test_spike_counts_are_those_of_pyhipp(channel):
    fields = hickle.load(channel / "cell01" / COUNTS)
    assert (fields["placebins"].dtype, fields["placebins"].shape) == (np.int64, (1600, 1))
    np.testing.assert_array_equal(fields["placebins"][:, 0], count_by_loops(TRAINS["cell01"]))
    assert fields["args"] == {"GridSteps": 40, "OverallGridSize": 25}
    assert (fields["numSets"], fields["dirs"]) == (1, ["picasso/20181105/session01/array01/channel009/cell01"])


def test_rate_maps_are_counts_over_occupancy(channel):
    fields = hickle.load(channel / "cell01" / MAPS)
    counts = hickle.load(channel / "cell01" / COUNTS)["placebins"][:, 0]
    rates = fields["rateMap"][0]
    assert (rates.dtype, rates.shape) == (np.float64, (1600,))
    for number in range(1, 1601):
        seconds = [d for _, b, d in VISITS if b == number] if 791 <= number <= 850 else []
        expected = counts[number - 1] / sum(seconds) if len(seconds) >= 5 else np.nan
        assert rates[number - 1] == pytest.approx(expected, nan_ok=True), number
    assert list(fields["args"].items()) == [
        ("NumShuffles", 100), ("ShuffleBounds", [0.1, 0.9]), ("GridSteps", 40), ("OverallGridSize", 25), ("MinObs", 5),
    ]  # fmt: skip


def test_table_and_product_agree_on_information_and_threshold(channel, table):
    for name in ("cell01", "cell02", "cell12"):
        fields = hickle.load(channel / name / MAPS)
        values = fields["sicValues"][0]
        assert (values.dtype, values.shape) == (np.float64, (101,))
        assert fields["sicThreshold"] == np.percentile(values[1:], 95)
        assert fields["significant"] == (values[0] > fields["sicThreshold"])
        assert table.loc[name, "spatial_information"] == pytest.approx(values[0], rel=1e-5)
        assert table.loc[name, "threshold"] == pytest.approx(fields["sicThreshold"], rel=1e-5)
        assert table.loc[name, "significant"] == fields["significant"]
        assert (fields["seed"], fields["numSets"]) == (0, 1)


def test_the_tuned_cell_has_a_field_at_its_place_and_the_others_none(table):
    assert table["significant"].tolist() == [True, False, False, False]
    tuned = table.loc["cell01"]
    assert (tuned["peak_x"], tuned["peak_z"]) == pytest.approx(Grid(40, 25).centre(PLACE))
    assert tuned["peak_rate"] == pytest.approx(30, rel=0.2)
    spikes = count_by_loops(TRAINS["cell01"]).sum()
    assert tuned["spikes"] == spikes
    assert tuned["mean_rate"] == pytest.approx(spikes / (40 * 100 * 0.2), rel=1e-5)


def test_cells_without_spikes_in_navigation_have_rates_of_zero_and_no_peak(table):
    for name in ("cell03", "cell12"):
        assert table.loc[name, ["spikes", "mean_rate", "peak_rate", "spatial_information"]].tolist() == [0, 0, 0, 0]
        assert table.loc[name, ["peak_x", "peak_z"]].isna().all()


def test_the_same_every_time_and_for_a_cell_whatever_others_there_are(channel, tmp_path):
    again, alone = make(tmp_path / "again"), make(tmp_path / "alone", {"cell02": TRAINS["cell02"]})
    assert (again / "placefields.csv").read_bytes() == (channel / "placefields.csv").read_bytes()
    values = [hickle.load(folder / "cell02" / MAPS)["sicValues"][0] for folder in (channel, again, alone)]
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[0], values[2])


def test_another_seed_and_another_channel_give_other_shuffles(channel, tmp_path):
    first = hickle.load(channel / "cell02" / MAPS)["sicValues"][0]
    others = [
        make(tmp_path / "seed", {"cell02": TRAINS["cell02"]}, seed=1),
        make(tmp_path / "channel", {"cell02": TRAINS["cell02"]}, channel="array02/channel034"),
    ]
    for other in others:
        values = hickle.load(other / "cell02" / MAPS)["sicValues"][0]
        assert values[0] == first[0]
        assert (values[1:] != first[1:]).mean() > 0.9


def test_other_arguments_are_another_file(tmp_path):
    channel = make(tmp_path, n_shuffles=20)
    names = sorted(path.name for path in (channel / "cell01").glob("vmplacecell*"))
    assert len(names) == 2
    assert COUNTS in names
    assert MAPS not in names


def test_maps_of_cells_that_are_no_more_are_removed(tmp_path):
    channel = make(tmp_path)
    (channel / "cell12" / "notes.txt").write_text("mine")
    for name in ("cell02", "cell12"):
        (channel / name / "spiketrain_d41d.hkl").unlink()
    make(tmp_path, {"cell01": TRAINS["cell01"], "cell02": np.zeros(0)})
    assert pd.read_csv(channel / "placefields.csv")["cell"].tolist() == ["cell01", "cell02"]
    assert not (channel / "cell02").exists()
    assert [path.name for path in (channel / "cell12").iterdir()] == ["notes.txt"]
    assert (channel / "cell01" / MAPS).exists()


def test_a_channel_without_cells_has_a_table_with_its_columns_only(tmp_path):
    table = pd.read_csv(make(tmp_path, {}) / "placefields.csv")
    assert table.empty
    assert table.columns[0] == "cell"


def test_an_umaze_of_another_grid_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"umaze_fd09\.hkl: expected a grid of 20 steps over 25 .* found 40 over 25"):
        make(tmp_path, grid_steps=20)
    with pytest.raises(FormatError, match=r"umaze_fd09\.hkl: .* found no GridSteps, OverallGridSize; make it anew"):
        make(tmp_path, umaze={"sessionTime": VISITS})
    assert not list(tmp_path.rglob("placefields.csv"))
    assert not list(tmp_path.rglob("vmplacecell*"))


def test_inputs_that_are_missing_or_no_tables_are_refused(tmp_path):
    channel = make(tmp_path)
    umaze, table = channel.parents[1] / "umaze_fd09.hkl", channel / "placefields.csv"
    table.unlink()
    for content, found in (("", "No columns"), ("unit,quality\n1,good\n", "unit, quality")):
        (channel / "cells.csv").write_text(content)
        with pytest.raises(FormatError, match=f"(?s)cells\\.csv: .*columns cell and spiketrain.*{found}"):
            make_placefields(channel / "cells.csv", umaze, table, **SETTINGS)
    (channel / "cells.csv").unlink()
    with pytest.raises(FormatError, match="cells.csv: .* No such file"):
        make_placefields(channel / "cells.csv", umaze, table, **SETTINGS)
    write_product(channel / "cell01" / "spiketrain_d41d.hkl", {"numSets": 1})
    pd.DataFrame({"cell": ["cell01"], "spiketrain": ["cell01/spiketrain_d41d.hkl"]}).to_csv(channel / "cells.csv")
    with pytest.raises(FormatError, match=r"cell01/spiketrain_d41d\.hkl: expected spiketimes of one cell"):
        make_placefields(channel / "cells.csv", umaze, table, **SETTINGS)
    assert not table.exists()


def test_shuffle_bounds_in_the_wrong_order_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"placefield\.shuffle_bounds: .* found \[0\.9, 0\.1\]"):
        make(tmp_path, shuffle_bounds=[0.9, 0.1])
    assert not list(tmp_path.rglob("vmplacecell*"))
