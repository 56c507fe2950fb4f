"""Folders for Phy and SpikeInterface, read with numpy and SpikeInterface alone, and hippflow curation of Phy's."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import spikeinterface
import yaml

from hippflow import cli
from hippflow.ephys.curation_format import parse_curation
from hippflow.errors import SortingError
from hippflow.io.products import read_product, write_product
from hippflow.io.signals import write_signal
from hippflow.steps.analyzer import make_sorting_analyzer
from hippflow.steps.phy import make_phy
from hippflow.steps.sorting import make_sorting
from hippflow.steps.units import make_units

REPOSITORY = Path(__file__).parents[3]
CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
CHANNEL = "mountains/channel034"


@pytest.fixture(scope="module")
def day(short_day_results, tmp_path_factory):
    """Channel 34 of the short day with its sorting, units, and both folders."""
    day = tmp_path_factory.mktemp("results") / "picasso" / "20181105"
    for session in ("session01", "sessioneye"):
        shutil.copytree(short_day_results / session / "array02/channel034", day / session / "array02/channel034")
    highpass = signals_of(day)
    files = [day / CHANNEL / name for name in ("firings.hkl", "units.csv", "metrics.csv", "templates.hkl")]
    make_sorting(highpass, files[0], **CONFIG["sorting"])
    make_units(highpass, *files, **CONFIG["units"])
    make_phy(highpass, files[0], day / CHANNEL / "phy/hippflow.json", isi_ms=2.0)
    make_sorting_analyzer(highpass, files[0], day / CHANNEL / "analyzer/hippflow.json", isi_ms=2.0)
    return day


@pytest.fixture
def phy(day, tmp_path):
    """A copy of Phy's folder and of the sorting, which a test may curate."""
    folder = tmp_path / "results/picasso/20181105" / CHANNEL
    shutil.copytree(day / CHANNEL / "phy", folder / "phy")
    shutil.copy(day / CHANNEL / "firings.hkl", folder)
    return folder / "phy"


def signals_of(day):
    return [str(day / session / "array02/channel034/rplhighpass_b59f.hkl") for session in ("session01", "sessioneye")]


def whole_signal(day):
    return np.concatenate([read_product(path)["data"] for path in signals_of(day)])


def test_the_phy_folder_has_the_spikes_of_the_sorting(day):
    folder, firings = day / CHANNEL / "phy", read_product(day / CHANNEL / "firings.hkl")
    times, templates, clusters = (
        np.load(folder / f"spike_{name}.npy").ravel() for name in ("times", "templates", "clusters")
    )
    assert times.tolist() == firings["samples"].tolist()
    assert (clusters + 1).tolist() == (templates + 1).tolist() == firings["labels"].tolist()
    table = pd.read_csv(folder / "cluster_si_unit_ids.tsv", sep="\t")
    assert table["si_unit_id"].tolist() == (table["cluster_id"] + 1).tolist() == np.unique(firings["labels"]).tolist()
    assert not list(folder.parent.glob(".*"))


def test_the_phy_folder_has_the_signal_and_its_waveforms(day):
    folder, x = day / CHANNEL / "phy", whole_signal(day)
    settings = {}
    exec((folder / "params.py").read_text(), settings)
    assert (settings["dat_path"], settings["n_channels_dat"]) == ("recording.dat", 1)
    assert (settings["dtype"], settings["sample_rate"], settings["hp_filtered"]) == ("float32", 30_000, True)
    np.testing.assert_array_equal(np.fromfile(folder / "recording.dat", np.float32), x)
    firings, templates = read_product(day / CHANNEL / "firings.hkl"), np.load(folder / "templates.npy")
    for unit in np.unique(firings["labels"]):
        own = firings["samples"][firings["labels"] == unit]
        own = own[(own >= 30) & (own < len(x) - 45)]
        mean = np.mean([x[sample - 30 : sample + 45] for sample in own], axis=0)
        np.testing.assert_allclose(templates[unit - 1, :, 0], mean, atol=1e-3)
    np.testing.assert_allclose(np.load(folder / "amplitudes.npy").ravel(), x[firings["samples"]], rtol=1e-6)


def test_metrics_are_those_of_the_table(day):
    metrics = pd.read_csv(day / CHANNEL / "metrics.csv", index_col="unit")
    analyzer = spikeinterface.load(day / CHANNEL / "analyzer")
    quality = analyzer.get_extension("quality_metrics").get_data()
    for name in ("snr", "isi_violations_ratio", "sd_ratio", "presence_ratio", "nn_hit_rate"):
        np.testing.assert_allclose(quality[name], metrics[name], rtol=1e-4)
        phy = pd.read_csv(day / CHANNEL / f"phy/cluster_{name}.tsv", sep="\t")
        np.testing.assert_allclose(phy[name], metrics[name], rtol=1e-4)


def test_the_analyzer_is_loaded_where_it_is_moved_to(day, tmp_path):
    """Its signal is not copied: it is found where it lies relative to the analyzer."""
    shutil.copytree(day, tmp_path / "20181105")
    moved = tmp_path / "20181105" / CHANNEL / "analyzer"
    analyzer, x = spikeinterface.load(moved), whole_signal(day)
    firings = read_product(day / CHANNEL / "firings.hkl")
    assert analyzer.unit_ids.tolist() == np.unique(firings["labels"]).tolist()
    for unit in analyzer.unit_ids:
        own = firings["samples"][firings["labels"] == unit]
        assert analyzer.sorting.get_unit_spike_train(unit).tolist() == own.tolist()
        own = own[(own >= 30) & (own < len(x) - 45)]
        mean = np.mean([x[sample - 30 : sample + 45] for sample in own], axis=0)
        np.testing.assert_allclose(analyzer.get_extension("templates").get_unit_template(unit)[:, 0], mean, atol=1e-3)
    assert analyzer.recording.get_num_samples() == len(x)
    np.testing.assert_array_equal(analyzer.recording.get_traces().ravel(), x)
    assert not any(b"/tmp" in path.read_bytes() for path in moved.rglob("*.json"))


def test_int16_signals_have_their_scale(tmp_path):
    paths, rng = [], np.random.default_rng(0)
    spikes = np.arange(500, 29_000, 300)
    for session in ("session01", "sessioneye"):
        path = tmp_path / session / "array01/channel009/rplhighpass_b59f.hkl"
        info = {"SampleRate": 30_000.0, "TickRate": 30_000, "BitGain": 0.25}
        x = rng.normal(0, 5, 30_000)
        x[spikes[:, None] + np.arange(-10, 11)] -= 90 * np.hanning(21)
        with write_signal(path, {"analogInfo": info}, len(x), "int16", 0.25) as writer:
            writer.write(x)
        paths.append(str(path))
    folder = tmp_path / "mountains/channel009"
    make_sorting(paths, folder / "firings.hkl", **CONFIG["sorting"])
    make_sorting_analyzer(paths, folder / "firings.hkl", folder / "analyzer/hippflow.json", isi_ms=2.0)
    recording = spikeinterface.load(folder / "analyzer").recording
    expected = np.concatenate([read_product(path)["data"] for path in paths]) * 0.25
    np.testing.assert_array_equal(recording.get_traces(return_in_uV=True).ravel(), expected)


def test_the_same_day_makes_the_same_bytes(day, tmp_path):
    shutil.copytree(day, tmp_path / "picasso/20181105")
    folder = tmp_path / "picasso/20181105" / CHANNEL
    make_sorting_analyzer(
        signals_of(tmp_path / "picasso/20181105"), folder / "firings.hkl", folder / "analyzer/hippflow.json", isi_ms=2.0
    )
    files = [path.relative_to(day) for path in (day / CHANNEL / "analyzer").rglob("*") if path.is_file()]
    assert len(files) > 30
    for path in files:
        assert (tmp_path / "picasso/20181105" / path).read_bytes() == (day / path).read_bytes(), path


def test_a_channel_without_units_is_refused(day, tmp_path):
    empty = read_product(day / CHANNEL / "firings.hkl") | {"samples": np.zeros(0, int), "labels": np.zeros(0, int)}
    write_product(tmp_path / "firings.hkl", empty)
    for make in (make_phy, make_sorting_analyzer):
        with pytest.raises(SortingError, match="firings.hkl: expected units to look at, found none"):
            make(["missing"], tmp_path / "firings.hkl", tmp_path / "phy/hippflow.json", isi_ms=2.0)


def test_a_curated_folder_is_kept_when_it_is_made_anew(day, phy):
    groups = phy / "cluster_group.tsv"
    groups.write_text(groups.read_text().replace("unsorted", "good", 1))
    make_phy(signals_of(day), phy.parent / "firings.hkl", phy / "hippflow.json", isi_ms=2.0)
    assert "good" in (phy.parent / "phy-1/cluster_group.tsv").read_text()
    assert "good" not in groups.read_text()
    make_phy(signals_of(day), phy.parent / "firings.hkl", phy / "hippflow.json", isi_ms=2.0)
    assert sorted(path.name for path in phy.parent.iterdir()) == ["firings.hkl", "phy", "phy-1"]


# hippflow curation


def curation(phy, monkeypatch, *options):
    results = phy.parents[4]
    command = ["hippflow", "curation", "20181105", "34", "--directory", str(REPOSITORY)]
    monkeypatch.setattr(sys, "argv", [*command, *options, "--config", f"results={results}"])
    monkeypatch.chdir(REPOSITORY)
    cli.main()
    return json.loads((phy.parent / "curation.json").read_text())


def label(phy, **groups):
    """What Phy leaves when it saves: labels of those clusters alone that have one."""
    rows = "".join(f"{name[1:]}\t{group}\n" for name, group in groups.items())
    (phy / "cluster_group.tsv").write_text("cluster_id\tgroup\n" + rows)


def test_what_was_merged_and_labelled_in_phy_becomes_the_curation(phy, monkeypatch, capsys):
    labels = read_product(phy.parent / "firings.hkl")["labels"].tolist()
    units = {unit: labels.count(unit) for unit in labels}
    clusters = np.load(phy / "spike_clusters.npy").ravel()
    clusters[clusters < 2] = 17
    np.save(phy / "spike_clusters.npy", clusters.astype(np.int32))
    label(phy, c0="noise", c17="mua")
    content = curation(phy, monkeypatch)
    found = parse_curation(content, units, "curation.json")
    assert (found.merges, found.labels, found.removed) == (((1, 2),), {1: "multi-unit", 2: "multi-unit"}, ())
    assert "2 labelled units, 1 merges" in (said := capsys.readouterr().out)
    assert "channel/20181105/034 --directory" in said
    label(phy, c17="good")
    with pytest.raises(SystemExit, match="expected no curation, or the same, found another one; say --replace"):
        curation(phy, monkeypatch)
    assert parse_curation(curation(phy, monkeypatch, "--replace"), units, "").labels == {1: "good", 2: "good"}


def test_a_split_or_another_sorting_is_refused(phy, monkeypatch):
    clusters = np.load(phy / "spike_clusters.npy").ravel()
    own = np.flatnonzero(clusters == 0)
    changed = clusters.copy()
    changed[own[::2]], changed[own[1::2]] = 20, 21
    np.save(phy / "spike_clusters.npy", changed)
    with pytest.raises(SystemExit, match=r"found a split of unit 1 \(its spikes are in clusters 20, 21\)"):
        curation(phy, monkeypatch)
    np.save(phy / "spike_clusters.npy", clusters)
    np.save(phy / "spike_times.npy", np.load(phy / "spike_times.npy") + 1)
    with pytest.raises(SystemExit, match="the channel was sorted again"):
        curation(phy, monkeypatch)
    assert not (phy.parent / "curation.json").exists()


def test_files_and_folders_that_are_not_there_are_named(phy, monkeypatch):
    for text, found in (
        ("cluster\tgroup\n", "found: the columns cluster, group"),
        ("cluster_id\tgroup\nfirst\tgood\n", "found: invalid literal .* 'first'"),
        ("", "found: No columns"),
    ):
        (phy / "cluster_group.tsv").write_text(text)
        with pytest.raises(SystemExit, match=f"cluster_group.tsv: expected a table of Phy's .* and group, {found}"):
            curation(phy, monkeypatch)
    shutil.rmtree(phy)
    with pytest.raises(SystemExit, match=r"spike_times.npy: expected a file of Phy's, found none; .* phy/DATE/CHANNEL"):
        curation(phy, monkeypatch)
    (phy.parent / "firings.hkl").unlink()
    with pytest.raises(SystemExit, match="20181105, channel 34: expected one sorting in .*, found none"):
        curation(phy, monkeypatch)
