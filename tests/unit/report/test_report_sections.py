"""Sections of a report against made days: what they say, and the numbers that they hand to the page's script."""

import hashlib
import json
import shutil
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from made_days import DAY, RATE, SESSIONS, TRIALS, make_day

from hippflow.io.products import read_product
from hippflow.report import alignment, behaviour, costs, imaging, overview, provenance, signals, units
from hippflow.report.packing import pack, unpack

CHANNELS = {9: 1, 34: 2, 120: 4}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_day(tmp_path_factory.mktemp("day"), CHANNELS)


@pytest.fixture
def copy(made, tmp_path):
    """The same day, whose products a test may change."""
    shutil.copytree(made.folder, tmp_path / "results" / DAY)
    config = made.config | {"results": str(tmp_path / "results")}
    return type(made)(tmp_path / "results" / DAY, made.catalog, config, made.spikes)


@pytest.fixture(scope="module")
def of_units(made):
    return units.section(made.material())


def samples_of(path):
    with h5py.File(path) as file:
        return file["data"]['"data"'][:]


@pytest.mark.parametrize("values", [np.random.default_rng(1).normal(0, 50, 1000), [3.0, 3.0], [], [np.nan, 1, -1e6]])
def test_packed_numbers_come_back_within_a_step(values):
    values = np.asarray(values, float)
    found = unpack(pack(values))
    assert np.array_equal(np.isnan(found), np.isnan(values))
    known = values[np.isfinite(values)]
    step = np.ptp(known) / 65534 if known.size else 0
    assert np.allclose(found[np.isfinite(values)], known, rtol=1e-9, atol=0.51 * step)


def test_the_overview_counts_what_was_recorded_and_made(made):
    found = overview.section(made.material())
    text = " ".join(found.html.split())
    assert not found.problems
    assert "<dt>channels on 3 arrays</dt><dd>3</dd>" in text
    assert "<dt>recorded in 2 sessions</dt><dd>1:00</dd>" in text
    assert "<dt>good units, and 3 multi-unit</dt><dd>6</dd>" in text
    assert "<dt>trials, 75 % rewarded</dt><dd>4</dd>" in text
    assert '<th scope="row">session01</th><td>navigation</td><td class="number">0:40</td>' in text
    # of each of 2 x 3 channels: raw, LFP, high-pass, 2 spectra, quality, cells; 3 place fields, 4 x 3 of sorting;
    # of sessions: 2 markers, 2 of the maze and 3 of the eyes (before and after), 2 of the alignment, occupancy, 3 of
    # gaze; of the day: missingData.csv and channels.csv
    assert "<p>72 of 72 products are there.</p>" in text


def test_a_missing_product_is_named_with_the_end_of_its_log(copy):
    (copy.folder / "mountains/channel034/firings.hkl").unlink()
    log = copy.folder.parents[1] / f"logs/sorting/{DAY}/channel034.log"
    log.parent.mkdir(parents=True)
    log.write_text("10:00:00 reading\n10:00:01 SortingError: it is <all> noise\n")
    found = overview.section(copy.material())
    assert found.problems == [f"1 of {len(copy.material().expected)} products are missing; failed: sorting ({DAY})"]
    assert "1 of 3 products missing: SortingError: it is &lt;all&gt; noise" in found.html
    assert "10:00:00 reading" in found.html and "channel 034: firings.hkl" in found.html


def test_one_error_on_many_channels_is_one_line(copy):
    for number, place in ((9, "array01/channel009"), (34, "array02/channel034")):
        (copy.folder / "session01" / place / "rpllfp_6eca.hkl").unlink()
        log = copy.folder.parents[1] / f"logs/rpllfp/{DAY}/session01/{place}.log"
        log.parent.mkdir(parents=True)
        log.write_text(f"10:00:00 SignalError: channel{number:03d} is too short\n")
    html = overview.section(copy.material()).html
    assert html.count("missing: SignalError: channel") == 1 and "2 of 3 products missing" in html


def test_residuals_are_those_of_the_alignment_in_ms(made):
    found = alignment.section(made.material())
    assert not found.problems and "passed" in found.html
    device = found.data["session01"]["eyelink"]
    assert unpack(device["ms"]) == pytest.approx([1.0, -3.0], abs=1e-4)
    assert unpack(device["time"]) == pytest.approx([0.5, 1.0], abs=1e-4)


def test_an_alignment_that_did_not_pass_is_a_problem_with_its_reasons(copy):
    path = copy.folder / "session01/alignment.json"
    report = json.loads(path.read_text())
    report |= {"passed": False, "reasons": ["unity: drift of 2000 ppm, expected at most 1000"]}
    lost = {"trial": 2, "marker": "cue", "code": 21, "ripple_time": 17.0, "device_time": 17.1}
    report["devices"]["unity"] |= {"missing": [lost, lost | {"trial": 3}], "repaired": [lost]}
    path.write_text(json.dumps(report))
    found = alignment.section(copy.material())
    assert found.problems == [
        "session01: the alignment did not pass: unity: drift of 2000 ppm, expected at most 1000",
        "session01: 1 lost marker of the maze repaired",
        "session01: 1 marker of the maze lost",
    ]
    assert "did not pass" in found.html and "cue (code 21)" in found.html


def test_a_line_in_a_spectrum_is_not_lost():
    frequencies = np.linspace(0, 500, 1025)
    magnitudes = np.ones(1025)
    magnitudes[np.argmin(abs(frequencies - 50))] = 77.0
    grid = np.geomspace(1, 150, 160)
    shown = signals._rebin(frequencies, magnitudes, grid)
    assert shown.max() == 77 and abs(grid[shown.argmax()] - 50) < 1
    assert np.all(shown >= 1)  # where no frequency is nearest, too


def test_shown_signals_are_the_middle_of_the_session(made):
    channel = signals.section(made.material()).data["channels"]["34"]["sessions"]["session01"]
    whole = samples_of(made.folder / "session01/array02/channel034/rpllfp_6eca.hkl")
    assert channel["lfp"]["start"] == pytest.approx(19)
    assert np.allclose(unpack(channel["lfp"]["uv"]), whole[19000:21000], atol=0.01)
    assert channel["highpass"]["uv"]["n"] == round(0.05 * RATE)


def test_what_is_wrong_with_channels_stands_on_top_counted_by_kind(copy):
    for number, noise in ((9, 41.5), (34, 52.0)):
        path = next(copy.folder.glob(f"session01/array*/channel{number:03d}/quality.json"))
        sentence = f"noise of {noise} uV, more than 30 (quality.max_noise_uv)"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"highpass_noise": noise, "problems": [sentence]}))
    found = signals.section(copy.material())
    assert found.problems == ["2 channels: noisy (009 and 034)"]
    channel = found.data["channels"]["34"]["sessions"]["session01"]
    assert channel["values"]["highpass_noise"] == 52 and channel["problems"][0].startswith("noise of 52.0 uV")


def test_without_their_quality_channels_show_what_other_products_know(copy):
    for path in copy.folder.glob("session*/array*/channel*/quality.json"):
        path.unlink()
    found = signals.section(copy.material())
    assert found.data["channels"]["9"]["sessions"]["session01"]["values"]["highpass_noise"] == 6.0
    assert "signal_quality (3 of 3, session01)" in found.html


def test_waveforms_are_the_templates(made, of_units):
    shapes = read_product(made.folder / "mountains/channel009/templates.hkl")[0]
    for unit in range(1, 6):
        found = of_units.data["units"][f"009/{unit}"]
        assert np.allclose(unpack(found["waveform"]), shapes[::2, unit - 1], atol=0.01)
        assert found["ms"] == pytest.approx(
            [-74 / 30, 74 / 30], rel=1e-5
        )  # the spike's own sample is at index 74 of 150


def test_intervals_are_counted_within_sessions(made, of_units):
    bound = round(SESSIONS["session01"] * RATE)
    samples, labels = made.spikes[34].T
    for unit in (1, 5):
        expected = [0] * 50
        for inside in (samples < bound, samples >= bound):
            train = samples[inside & (labels == unit)].tolist()
            for before, after in pairwise(train):
                ms = (after - before) / RATE * 1000
                if ms < 50:
                    expected[int(ms)] += 1
        assert of_units.data["units"][f"034/{unit}"]["intervals"] == expected


def test_amplitudes_are_the_signal_at_the_spikes(made, of_units):
    whole = np.concatenate(
        [samples_of(made.folder / name / "array01/channel009/rplhighpass_b59f.hkl") for name in SESSIONS]
    )
    samples, labels = made.spikes[9].T
    all_of_it = of_units.data["units"]["009/5"]["amplitude"]
    train = samples[labels == 5]
    assert np.allclose(unpack(all_of_it["uv"]), whole[train], atol=0.01)
    assert np.allclose(unpack(all_of_it["s"]), train / RATE, atol=0.001)
    assert of_units.data["units"]["009/1"]["amplitude"]["uv"]["n"] == 250  # of 400


def test_rates_count_every_spike(of_units):
    for unit, n in enumerate([400, 300, 200, 100, 5], start=1):
        found = of_units.data["units"][f"009/{unit}"]
        width = sum(SESSIONS.values()) / found["rate"]["n"]
        assert unpack(found["rate"]).sum() * width == pytest.approx(n, rel=1e-3)


def test_units_that_a_person_joined_are_drawn_as_one_and_marked(copy):
    folder = copy.folder / "mountains/channel009"
    for name in ("units", "metrics"):
        table = pd.read_csv(folder / f"{name}.csv")
        table = table[table["unit"] != 4]
        if name == "units":
            table["automatic_quality"] = table["quality"]
            table["curated"] = table["unit"] == 2
            table["merged"] = np.where(table["unit"] == 2, "2 4", "")
        table.to_csv(folder / f"{name}.csv", index=False)
    found = units.section(copy.material())
    joined = found.data["units"]["009/2"]
    assert joined["note"] == "curated, automatically good; merged from 2 and 4"
    assert found.data["units"]["034/2"]["note"] == "" and "009/4" not in found.data["units"]
    width = sum(SESSIONS.values()) / joined["rate"]["n"]
    assert unpack(joined["rate"]).sum() * width == pytest.approx(300 + 100, rel=1e-3)
    assert found.html.count("✎<") == 1
    assert joined["metrics"]["amplitude_median"] == -50.5 and "merged" not in joined["metrics"]


def test_the_table_has_a_row_for_every_unit_of_every_quality(of_units):
    assert of_units.html.count("data-unit=") == 15
    assert of_units.html.count('data-quality="noise"') == 6
    assert "</span> good</span> 6" in of_units.html


def test_trials_are_told_with_outcome_and_route(made):
    found = behaviour.section(made.material())
    drawn = found.data["sessions"]["session01"]
    assert drawn["trials"]["outcome"] == ["reward" if end == 30 else "timeout" for *_, end in TRIALS]
    assert drawn["trials"]["end"] == [trial[2] for trial in TRIALS]
    assert "<dt>of 4 trials rewarded</dt><dd>75 %</dd>" in found.html
    assert "<dt>median trial</dt><dd>6.0 s</dd>" in found.html  # of 5, 6, 6 and 8 s
    assert "<dt>of the trials on a shortest route</dt><dd>25 %</dd>" in found.html


def test_the_way_is_that_of_the_maze_log(made):
    way = behaviour.section(made.material()).data["sessions"]["session01"]["way"]
    time = unpack(way["time"])
    assert np.allclose(unpack(way["x"]), 10 * np.sin(time / 5), atol=0.01)
    assert np.allclose(unpack(way["z"]), 10 * np.cos(time / 5), atol=0.01)


def test_gaze_counts_every_hit_in_the_maze_and_ranks_objects(made):
    found = behaviour.section(made.material())
    drawn = found.data["sessions"]["session01"]
    assert unpack(drawn["floor"]["density"]).sum() == pytest.approx(90, abs=0.1)  # 10 of 100 are on the cue's image
    assert unpack(drawn["screen"]["density"]).sum() == pytest.approx(100, abs=0.1)
    ranks = [found.html.index(name) for name in (">CatPoster<", ">Ground<", ">CueImage<")]
    assert ranks == sorted(ranks) and "60.0 %" in found.html


def test_significant_place_fields_come_first_the_more_informative_the_earlier_and_noise_last(made):
    found = behaviour.section(made.material())
    keys = [part.split('"')[0] for part in found.html.split('data-key="session01|')[1:]]
    assert keys[0] == "009/2" and len(keys) == 12  # of channel 9 alone the second; the fifth units have no map
    rest = [(key[4:] != "4", int(key[4:]) / 10 + int(key[:3]) / 1000) for key in keys[1:]]  # the fourth are noise
    assert rest == sorted(rest, reverse=True) and {unit for unit, _ in rest} == {True, False}
    rates = read_product(made.folder / "session01/array01/channel009/cell02/vmplacecell_a35f.hkl")["rateMap"][0]
    shown = unpack(found.data["sessions"]["session01"]["maps"]["009/2"]["rates"])
    assert np.allclose(shown, rates, atol=0.001, equal_nan=True)


def test_days_without_a_modality_have_no_section_of_it(made):
    assert imaging.section(made.material()) is None
    assert costs.section(made.material()) is None  # nothing was run


def test_sections_say_what_is_missing_and_do_not_fail(copy):
    shutil.rmtree(copy.folder / "session01")
    shutil.rmtree(copy.folder / "mountains")
    material = copy.material()
    for section in (alignment, signals, units, behaviour):
        assert "issing" in section.section(material).html
    assert alignment.section(material).problems == ["session01: its devices were not aligned"]
    assert units.section(material).problems == ["3 channels without sorted units"]


def test_times_are_added_up_by_rule_without_the_reports_own(copy):
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    rows = {
        f"rpllfp/{DAY}/session01/array01/channel009": "100.0\t-\t300\t-\t-\t-\t-\t-\t90\t90.0\n",
        f"rpllfp/{DAY}/session01/array02/channel034": "50.0\t-\t400\t-\t-\t-\t-\t-\t-\t-\n",
        f"edfsplit_2/{DAY}": "10.0\t-\t100\t-\t-\t-\t-\t-\t50\t5.0\n",
        f"report/{DAY}": "7777\t-\t9999\t-\t-\t-\t-\t-\t50\t7777\n",
        "rpllfp/picasso/20181106/session01/array01/channel009": "8888\t-\t300\t-\t-\t-\t-\t-\t90\t8888\n",
    }
    for name, row in rows.items():
        path = copy.folder.parents[1] / f"benchmarks/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(header + row)
    html = " ".join(costs.section(copy.material()).html.split())
    assert '<th scope="row">rpllfp</th><td>local field potentials</td><td class="number">2</td>' in html
    assert '<td class="number" data-value="150.0">2:30</td>' in html
    assert '<td class="number" data-value="90.0">1:30</td>' in html
    assert '<th scope="row">edfsplit</th>' in html and "7777" not in html and "8888" not in html
    assert '<th scope="row">All</th><td></td><td class="number">3</td><td class="number">2:40</td>' in html


@pytest.mark.parametrize("n_bytes", [0, 5, 16 << 20, (16 << 20) + 1, 20_000_003])
def test_a_checksum_is_of_every_byte_or_of_sixteen_blocks(tmp_path, n_bytes):
    content = np.random.default_rng(3).bytes(n_bytes)
    path = tmp_path / "a.ns5"
    path.write_bytes(content)
    if n_bytes <= 16 << 20:
        assert provenance.checksum(path) == (hashlib.sha256(content).hexdigest(), True)
        return
    starts = [(n_bytes - (1 << 20)) * k // 15 for k in range(16)]
    blocks = b"".join(content[start : start + (1 << 20)] for start in starts)
    assert starts[0] == 0 and starts[-1] + (1 << 20) == n_bytes
    assert provenance.checksum(path) == (hashlib.sha256(str(n_bytes).encode() + blocks).hexdigest(), False)


def test_settings_that_were_changed_and_files_are_listed(made, tmp_path):
    raw = tmp_path / f"data/{DAY}/session01/a.nev"
    raw.parent.mkdir(parents=True)
    raw.write_bytes(b"BREVENTS")
    shutil.copytree(Path(__file__).parents[3] / "schemas", tmp_path / "schemas")
    html = provenance.section(made.material(folder=tmp_path)).html
    assert "<dt>suite2p.fs</dt><dd><code>2</code></dd>" in html and "<dt>umaze.min_obs</dt>" not in html
    assert f"{DAY}/session01/a.nev" in html and hashlib.sha256(b"BREVENTS").hexdigest() in html
    assert html.count("not here") == 6 - 1  # two .nev, two .ns5, a maze log, an .edf
