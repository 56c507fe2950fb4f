"""Recordings that are damaged, empty or dead: what is wrong is said, and everything else is made."""

import csv
import dataclasses
import json
import os
import re
import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest

from hippflow.day.channels import raw_channels
from hippflow.demo import ripple
from hippflow.demo.day import write_demo_day
from hippflow.demo.ripple_nsx import system_time
from hippflow.ephys.mountainsort import without_twins
from hippflow.errors import CatalogError, SignalError
from hippflow.io.nev import read_nev_header
from hippflow.io.nsx_header import read_nsx_header
from hippflow.io.products import read_product
from hippflow.io.signals import open_signal, write_signal
from hippflow.steps.rplhighpass import make_rplhighpass

#: What each channel of the day is like: one is as it should be.
WHOLE, FLAT, AT_THE_RAIL, BETWEEN_RAILS = 9, 34, 56, 72
RAIL = 32764


@pytest.fixture(scope="module")
def dead_channels(new_workflow):
    """A finished day of a whole channel, a flat one, one at the rail, and one that jumps between the rails."""
    workflow = new_workflow()
    channels = (WHOLE, FLAT, AT_THE_RAIL, BETWEEN_RAILS)
    write_demo_day(workflow.folder / "data", channels=channels, seconds=8, seed=5, behaviour=False)
    for path in sorted((workflow.folder / "data").rglob("*.ns5")):
        header = read_nsx_header(path)
        labels = [channel.label for channel in header.channels]
        shape = (-1, len(labels))
        samples = np.memmap(path, np.int16, "r+", offset=header.n_bytes + 9).reshape(shape)
        samples[:, labels.index(f"raw {FLAT}")] = 0
        samples[:, labels.index(f"raw {AT_THE_RAIL}")] = RAIL
        jumps = np.where(np.arange(len(samples)) // 15_000 % 2, RAIL, -RAIL)
        samples[:, labels.index(f"raw {BETWEEN_RAILS}")] = jumps
        samples.flush()
    workflow.first_run = workflow.run()
    return workflow


def units(workflow, channel):
    with open(workflow.product(f"mountains/channel{channel:03d}/units.csv")) as file:
        return list(csv.DictReader(file))


def problems(workflow, channel):
    array = (channel - 1) // 32 + 1
    found = workflow.product(f"session01/array{array:02d}/channel{channel:03d}/quality.json")
    return " ".join(json.loads(found.read_text())["problems"])


@pytest.mark.parametrize("channel", [FLAT, AT_THE_RAIL, BETWEEN_RAILS])
def test_a_dead_channel_has_products_and_no_units(dead_channels, channel):
    assert units(dead_channels, channel) == []
    firings = read_product(dead_channels.product(f"mountains/channel{channel:03d}/firings.hkl"))
    assert firings["samples"].size == 0
    assert firings["sessionLengths"].tolist() == [8 * 30_000, 4 * 30_000]
    assert len(units(dead_channels, WHOLE)) >= 1


def test_dead_channels_are_flagged_where_people_look(dead_channels):
    assert "flat for 8 s" in problems(dead_channels, FLAT)
    assert "flat for 8 s" in problems(dead_channels, AT_THE_RAIL)
    assert "offset of 8.19e+03 uV" in problems(dead_channels, AT_THE_RAIL)
    assert "saturated for 8 s" in problems(dead_channels, BETWEEN_RAILS)
    assert problems(dead_channels, WHOLE) == ""
    with open(dead_channels.product("channels.csv")) as file:
        counted = {int(row["channel"]): int(row["num_problems"]) > 0 for row in csv.DictReader(file)}
    assert counted == {WHOLE: False, FLAT: True, AT_THE_RAIL: True, BETWEEN_RAILS: True}
    report = re.sub("<[^>]+>", "", dead_channels.product("report.html").read_text())
    assert "2 channels: flat (034 and 056)" in report
    assert re.search(r"channel.{0,12}: saturated.{0,4}072", report)


#: In a process of its own: what never ends can only be ended from outside.
SORT = """
import sys
import numpy as np
from hippflow.ephys.sorting import sort_spikes
np.save(sys.argv[1], sort_spikes(np.load(sys.argv[1]), 30_000, sorter=sys.argv[2]).samples)
"""


@pytest.mark.parametrize("sorter", ["gaussian_mixture", "mountainsort5"])
def test_jumps_that_are_all_the_same_are_sorted_to_an_end(tmp_path, sorter):
    """As int16 products have them: exactly nothing between. isosplit6 alone would never end, and fill its output."""
    step = np.round(8000 * np.exp(-np.arange(60) / 12) * np.cos(np.arange(60) / 4))
    signal = np.zeros(360_000, np.float32)
    starts = range(15_000, 350_000, 15_000)
    for k, start in enumerate(starts):
        signal[start : start + 60] = step * (-1) ** k
    path = tmp_path / "jumps.npy"
    np.save(path, signal)
    command = [sys.executable, "-c", SORT, str(path), sorter]
    subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)
    assert 0 < np.load(path).size <= len(starts)


def test_points_that_differ_are_clustered_as_they_are():
    points = np.random.default_rng(3).normal(size=(500, 10)).astype(np.float32)
    distinct, which = without_twins(points)
    assert distinct is points
    assert which.tolist() == list(range(500))
    twins, which = without_twins(np.concatenate([points, points[::-1]]))
    np.testing.assert_array_equal(twins, points)
    np.testing.assert_array_equal(which, np.r_[0:500, 499:-1:-1])


def spoil_line(path, column, value, separator=None):
    """Change one number in the 51st row of a maze log or an eye recording."""
    lines = path.read_text().split("\n")
    row = [k for k, line in enumerate(lines) if line.strip()[:1].isdigit()][50]
    parts = lines[row].split(separator)
    parts[column] = value
    lines[row] = (separator or " ").join(parts)
    path.write_text("\n".join(lines))


def spoil_start(path):
    """Make the events those of a recording a day later."""
    data = bytearray(path.read_bytes())
    data[28:44] = system_time(read_nev_header(path).started + timedelta(days=1))
    path.write_bytes(data)


#: Days by their last figure, files of them, how each is spoilt, and the error of the job that reads it.
SPOILT = [
    (2, "*_Block1.nev", lambda path: path.write_bytes(b""), "rplparallel", "expected a NEV file"),
    (3, "*_Block1.ns5", lambda path: write_samples(path, 1), "rpllfp", "rplraw_d41d.hkl: signal too short to filter"),
    (3, "session_*.txt", lambda path: path.write_bytes(b""), "unity", "expected a maze log, found an empty file"),
    (4, "*_Block1.ns5", lambda path: write_samples(path, 0), "rplsplit", "expected whole data blocks"),
    (4, "18*.asc", lambda path: path.write_bytes(b""), "edfsplit", "expected an EyeLink file, found an empty one"),
    (5, "session_*.txt", lambda path: spoil_line(path, 2, "nan"), "unity", "expected finite numbers"),
    (6, "18*.asc", lambda path: spoil_line(path, 1, "inf", "\t"), "edfsplit", "finite numbers"),
    (6, "session_*.txt", lambda path: spoil_line(path, 2, "1e999"), "unity", "expected finite numbers"),
    (7, "*_Block1.nev", spoil_start, "rplparallel", "expected the events of the recording beside it, that began at"),
]


def write_samples(path, number):
    """A recording of channel 9 alone, with so many samples."""
    start = read_nsx_header(path).started
    path.unlink()
    ripple.write_nsx(path, [ripple.raw_channel(9)], [np.zeros((number, 1), np.int16)] if number else [], start=start)


@pytest.fixture(scope="module")
def spoilt_days(new_workflow):
    """Seven days of one channel, of which the first is whole, processed in one run."""
    workflow = new_workflow()
    workflow.spoilt = {}
    for number in range(1, 8):
        write_demo_day(workflow.folder / "data", channels=[9], seconds=8, seed=5, day=f"2018110{number}")
    for number, pattern, spoil, rule, _ in SPOILT:
        (path,) = (workflow.folder / f"data/picasso/2018110{number}").rglob(pattern)
        spoil(path)
        workflow.spoilt[number, rule] = path.relative_to(workflow.folder)
    workflow.first_run = workflow.run(status=1)
    return workflow


@pytest.mark.parametrize("number, rule, message", [(number, rule, message) for number, _, _, rule, message in SPOILT])
def test_a_spoilt_file_is_named_by_the_job_that_reads_it(spoilt_days, number, rule, message):
    logs = list((spoilt_days.folder / f"results/logs/{rule}/picasso").rglob(f"2018110{number}*"))
    text = "\n".join(path.read_text() for log in logs for path in ([log] if log.is_file() else log.rglob("*.log")))
    (error,) = {line for line in text.splitlines() if "Error: " in line and line[2] == ":"}
    assert message in error
    assert f"2018110{number}" in error
    if rule != "rpllfp":  # that reads a product
        assert str(spoilt_days.spoilt[number, rule]) in error
    assert error[9:80] in spoilt_days.first_run.output


def test_spoilt_files_are_told_without_a_traceback_and_no_step_leaves_an_empty_product(spoilt_days):
    assert "Traceback" not in spoilt_days.first_run.output
    results = spoilt_days.folder / "results/picasso"
    assert [path for path in results.rglob("*") if path.is_file() and path.stat().st_size == 0] == []
    assert list(results.rglob("*.part")) == []
    for missing in (
        "20181102/session01/rplparallel_d41d.hkl",
        "20181107/session01/rplparallel_d41d.hkl",
        "20181103/session01/array01/channel009/rpllfp_6eca.hkl",
        "20181103/mountains/channel009/firings.hkl",
        "20181104/session01/array01/channel009/rplraw_d41d.hkl",
        "20181104/missingData.csv",
        "20181105/session01/unaligned/unity_71bf.hkl",
    ):
        assert not (results / missing).exists()


def test_what_does_not_need_the_spoilt_file_is_made(spoilt_days):
    results = spoilt_days.folder / "results/picasso"
    assert (results / "20181101/report.html").exists()
    whole = {path.name for path in (results / "20181101/mountains/channel009").iterdir()}
    for number in (2, 5, 6, 7):  # behaviour and markers are not what units are made of
        made = results / f"2018110{number}/mountains/channel009"
        assert {path.name for path in made.iterdir()} == whole
    assert (results / "20181103/sessioneye/array01/channel009/rplhighpass_b59f.hkl").exists()
    assert (results / "20181105/sessioneye/eyelink_24d5.hkl").exists()


def test_channels_that_differ_between_sessions_are_sorted_where_they_are(new_workflow):
    """Session 1 has channels 9 and 34, the fixation session 9 and 120."""
    workflow = new_workflow()
    day = write_demo_day(workflow.folder / "data", channels=(9, 34, 120), seconds=4, seed=5, behaviour=False)
    for session, left_out in (("session01", "raw 120"), ("sessioneye", "raw 34")):
        (path,) = (day / session).glob("*.ns5")
        header = read_nsx_header(path)
        labels = [channel.label for channel in header.channels]
        samples = np.fromfile(path, np.int16, offset=header.n_bytes + 9).reshape(-1, len(labels))
        kept = [k for k, label in enumerate(labels) if label.startswith("raw") and label != left_out]
        channels = [ripple.raw_channel(int(labels[k].removeprefix("raw "))) for k in kept]
        path.unlink()
        ripple.write_nsx(path, channels, [np.ascontiguousarray(samples[:, kept])])
    workflow.run()
    lengths = {
        channel: (firings["sessions"], firings["sessionLengths"].tolist())
        for channel in (9, 34, 120)
        for firings in [read_product(workflow.product(f"mountains/channel{channel:03d}/firings.hkl"))]
    }
    assert lengths == {
        9: (["session01", "sessioneye"], [120_000, 60_000]),
        34: (["session01"], [120_000]),
        120: (["sessioneye"], [60_000]),
    }
    assert not workflow.product("sessioneye/array02/channel034").exists()
    assert not workflow.product("session01/array04/channel120").exists()
    with open(workflow.product("channels.csv")) as file:
        rows = {(row["session"], int(row["channel"])) for row in csv.DictReader(file)}
    assert rows == {("session01", 9), ("session01", 34), ("sessioneye", 9), ("sessioneye", 120)}


def test_a_signal_that_is_not_finite_stops_its_channel_alone(dead_channels, tmp_path):
    """As a product from elsewhere may be: our own are of integers."""
    source = dead_channels.product("session01/array01/channel009/rplraw_d41d.hkl")
    fields = {name: value for name, value in read_product(source).items() if name != "data"}
    for value in (np.nan, np.inf):
        raw = tmp_path / f"{value}/array02/channel034/rplraw_d41d.hkl"
        with open_signal(source) as signal:
            samples = signal[:]
        samples[1000] = value
        with write_signal(raw, fields, len(samples), "float32", 0.25) as writer:
            writer.write(samples)
        product = raw.with_name("rplhighpass_b59f.hkl")
        with pytest.raises(SignalError, match="rplraw_d41d.hkl: .*1000"):
            make_rplhighpass(raw, product, order=8, band=[500, 7500], dtype="float32")
        assert os.listdir(raw.parent) == ["rplraw_d41d.hkl"]


def test_channels_with_numbers_that_no_folder_has_room_for_are_refused(tmp_path):
    for channel, words in (
        (dataclasses.replace(ripple.raw_channel(1), label="raw 1000"), "found channel 1000 on front-end 1"),
        (dataclasses.replace(ripple.raw_channel(1), front_end=120), "found channel 1 on front-end 121"),
    ):
        path = tmp_path / "a.ns5"
        ripple.write_nsx(path, [channel], [])
        with pytest.raises(CatalogError, match=f"a.ns5: expected channels up to 999 .* {words}"):
            raw_channels(read_nsx_header(path), r"raw (\d+)", 0)
        path.unlink()
