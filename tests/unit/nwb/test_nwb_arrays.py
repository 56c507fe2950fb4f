"""An NWB file has the arrays of the products, each on the day's clock."""

from datetime import UTC

import numpy as np
import pytest
from nwb_day import OBJECTS, OFFSETS, SEGMENTS, SETTINGS, START, sample_times, write_day
from pynwb import NWBHDF5IO

from hippflow.io.products import read_product, write_product
from hippflow.nwb.sources import nwb_name
from hippflow.steps.nwb import make_nwb


def made_file(results, dtype="float32", **changes):
    day = write_day(results, dtype)
    day.path = day.folder / nwb_name("picasso/20181105")
    make_nwb(day.sources, day.path, settings=SETTINGS | changes)
    return day


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    return made_file(tmp_path_factory.mktemp("nwb") / "results")


@pytest.fixture(scope="module")
def file(day):
    with NWBHDF5IO(day.path, "r") as io:
        yield io.read()


def times_of(series):
    if series.timestamps is not None:
        return series.timestamps[:]  # also of another series that it shares them with
    return series.starting_time + np.arange(len(series.data)) / series.rate


def test_sessions_are_where_their_nev_say(file):
    table = file.intervals["sessions"].to_dataframe()
    names = ["session01", "sessioneye", "session02", "imaging01"]
    assert table["session"].tolist() == names
    assert table["start_time"].tolist()[:3] == [OFFSETS[name] for name in names[:3]]
    assert (table["clock_offset"] == table["start_time"]).all()
    # 120 frames at 2.5 Hz, 10 s after the last sample of session02, which lasts 2.5 s
    assert table["start_time"].iloc[3] == pytest.approx(OFFSETS["session02"] + 2.5 + 10)
    assert table["stop_time"].iloc[3] - table["start_time"].iloc[3] == pytest.approx(48)
    assert table["start_source"].tolist() == ["header of the nev"] * 3 + ["not known: laid after the one before"]
    assert file.session_start_time.isoformat() == "2018-11-05T09:59:11+08:00"
    assert file.session_start_time == START.replace(tzinfo=UTC)


@pytest.mark.parametrize("session", SEGMENTS)
@pytest.mark.parametrize("kind", ["lfp", "raw"])
def test_every_sample_is_there_at_its_time(day, file, session, kind):
    where = file.processing["ecephys"]["LFP"].electrical_series if kind == "lfp" else file.acquisition
    series = where[f"{kind}_{session}"]
    numbers = [number for name, number in getattr(day, kind) if name == session]
    assert series.electrodes.table["channel"][series.electrodes.data[:]].tolist() == numbers
    assert series.data.dtype == np.float32 and series.conversion == 1e-6
    for column, number in enumerate(numbers):
        assert np.array_equal(series.data[:, column], getattr(day, kind)[session, number])
    every = sample_times(session) + OFFSETS[session]
    assert np.allclose(times_of(series)[:: 1 if kind == "lfp" else 30], every, rtol=0, atol=1e-9)
    assert (series.timestamps is None) == (session != "session02")
    assert series.data.compression == "gzip" and series.data.chunks[0] <= 16384


def test_electrodes_are_on_their_arrays(file):
    table = file.electrodes.to_dataframe()
    assert table.index.tolist() == table["channel"].tolist() == [9, 34]
    assert table["group_name"].tolist() == ["array01", "array02"] and table["location"].tolist() == [
        "hippocampus",
        "V1",
    ]
    assert {group.device.name for group in table["group"]} == {"Ripple"}


def test_units_have_the_spikes_of_all_sessions(day, file):
    table = file.units.to_dataframe()
    assert list(zip(table["channel"], table["unit"], strict=True)) == [(9, 1), (9, 2), (34, 1)]
    order = sorted(OFFSETS, key=OFFSETS.get)
    for _, row in table.iterrows():
        sessions = [name for name in order if (name, row["channel"], row["unit"]) in day.trains]
        trains = [day.trains[name, row["channel"], row["unit"]] + OFFSETS[name] for name in sessions]
        assert np.allclose(row["spike_times"], np.concatenate(trains), rtol=0, atol=1e-9)
        expected = [
            [a / 30000 + OFFSETS[name], b / 30000 + OFFSETS[name] + 0.001]
            for name in sessions
            for _, _, a, b in SEGMENTS[name]
        ]
        assert np.allclose(row["obs_intervals"], expected, rtol=0, atol=1e-9)
        shape = getattr(day, f"templates{row['channel']}")[:, row["unit"] - 1]
        assert np.allclose(row["waveform_mean"], shape * 1e-6, rtol=1e-6, atol=0)
        assert row["electrodes"]["channel"].tolist() == [row["channel"]]
    assert table["quality"].tolist() == ["good", "noise", "good"] and table["snr"].tolist() == [7.25, 4.5, 7.25]
    assert table["num_spikes_session01"].tolist() == [7, 14, 7]
    assert np.array_equal(table["new_metric"], [0.125, np.nan, 0.125], equal_nan=True)
    assert file.units.resolution == 1 / 30000 and file.units.waveform_rate == 30000
    assert "new_metric of units.csv or metrics.csv" in file.units["new_metric"].description


def test_trials_are_those_of_the_markers(day, file):
    table = file.trials.to_dataframe()
    first, second = (day.markers[name][1] + OFFSETS[name] for name in ("session01", "session02"))
    assert np.allclose(table["start_time"], [*first[:, 0], second[0, 0]])
    assert np.allclose(table["stop_time"], [*first[:, 2], second[0, 1]])
    assert np.allclose(table["cue_offset_time"], [*first[:, 1], np.nan], equal_nan=True)
    assert table["target"].tolist() == [5, 2, 1] and table["outcome"].tolist() == ["reward", "timeout", "reward"]
    assert table["session"].tolist() == ["session01", "session01", "session02"]
    for name, (codes, times) in day.markers.items():
        series = file.acquisition[f"markers_{name}"]
        assert series.data[:].tolist() == codes.ravel().tolist()
        assert np.allclose(times_of(series), times.ravel() + OFFSETS[name], rtol=0, atol=1 / 30000)


def test_place_and_heading_are_those_of_the_maze(day, file):
    place = file.processing["behavior"]["Position"]["position_session01"]
    heading = file.processing["behavior"]["CompassDirection"]["heading_session01"]
    assert np.array_equal(place.data[:], day.frames[:, 2:4]) and np.array_equal(heading.data[:], day.frames[:, 4])
    for series in (place, heading):
        assert np.allclose(times_of(series), day.frame_times[1:] + OFFSETS["session01"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("session", ["session01", "sessioneye"])
def test_eyes_are_on_ripples_clock(day, file, session):
    times, place, _, _ = day.eyes[session]
    series = file.processing["behavior"]["EyeTracking"][f"eye_{session}"]
    assert np.array_equal(series.data[:], place, equal_nan=True) and series.unit == "pixels"
    assert np.allclose(times_of(series), times + OFFSETS[session], rtol=0, atol=1e-7)


def test_fixations_and_saccades_of_both_kinds_of_sessions_are_there(day, file):
    table = file.intervals["fixations"].to_dataframe()
    names = ["session01", "sessioneye"]
    expected = np.concatenate([day.eyes[name][2] + OFFSETS[name] for name in names])
    assert np.allclose(table[["start_time", "stop_time"]], expected, rtol=0, atol=1e-7)
    assert table["session"].tolist() == [name for name in names for _ in range(3)]
    saccades = file.processing["behavior"]["saccades"].to_dataframe()
    assert saccades["duration"].tolist() == [0.025, 0.04] * 2


def test_gaze_is_what_was_looked_at_and_where(day, file):
    module = file.processing["behavior"]
    names = module["gaze_objects"]["object"][:].tolist()
    target, hit = module["gaze_target_session01"], module["gaze_hit_session01"]
    assert names == sorted(OBJECTS)
    assert [names[row] if row >= 0 else "Sample Ignored" for row in target.data[:]] == day.objects.tolist()
    assert np.array_equal(hit.data[:], day.hits, equal_nan=True)
    for series in (target, hit):  # the samples' own times, not those in whole ms
        assert np.allclose(times_of(series), day.gaze_times + OFFSETS["session01"], rtol=0, atol=1e-12)


def test_planes_have_their_rois_traces_and_images(day, file):
    ophys = file.processing["ophys"]
    start = file.intervals["sessions"]["start_time"][3]
    for number, plane in enumerate(day.planes):
        name = f"imaging01_plane{number}"
        for image, values in plane.images.items():
            assert np.array_equal(ophys[f"images_{name}"][image].data[:], values)
        if not plane.rois:
            assert name not in ophys["ImageSegmentation"].plane_segmentations
            continue
        rois = ophys["ImageSegmentation"][name]
        for k, roi in enumerate(plane.rois):
            found = rois["pixel_mask"][k]
            for field, key in (("x", "xpix"), ("y", "ypix"), ("weight", "lam")):
                assert np.array_equal(found[field], roi[key])
        assert rois["is_cell"][:].tolist() == (plane.label[:, 0] == 1).tolist()
        assert np.array_equal(rois["cell_probability"][:], plane.label[:, 1])
        assert rois["cluster"][:].tolist() == plane.clusters.tolist()
        assert (rois.imaging_plane.indicator, rois.imaging_plane.excitation_lambda) == ("GCaMP6s", 920)
        for container, trace in (("Fluorescence", "F"), ("Neuropil", "Fneu"), ("Deconvolved", "spks")):
            series = ophys[container][name]
            assert np.array_equal(series.data[:], plane.traces[trace].T)
            assert (series.rate, series.starting_time) == (2.5, start)
            assert series.rois.data[:].tolist() == list(range(len(plane.rois)))


def test_bits_stay_bits(tmp_path):
    day = made_file(tmp_path / "results", dtype="int16")
    with NWBHDF5IO(day.path, "r") as io:
        file = io.read()
        for series in (file.processing["ecephys"]["LFP"]["lfp_session01"], file.acquisition["raw_session01"]):
            values = getattr(day, series.name.split("_")[0])["session01", 34]
            assert series.data.dtype == np.int16
            assert np.allclose(series.data[:, 1] * series.conversion, values * 1e-6, rtol=1e-9)


def test_without_starts_sessions_are_laid_one_after_the_other(tmp_path):
    day = made_file(tmp_path / "results", clock="consecutive", modalities=["ephys"])
    with NWBHDF5IO(day.path, "r") as io:
        file = io.read()
        table = file.intervals["sessions"].to_dataframe()
        assert file.session_start_time.isoformat() == "2018-11-05T00:00:00+08:00"
    assert table["session"].tolist()[:3] == ["session01", "session02", "sessioneye"]
    ends = table["stop_time"].to_numpy()
    assert np.allclose(table["start_time"].to_numpy(), [0, *(ends[:-1] + 10)])


def test_a_tracker_that_goes_on_after_the_recording_does_not_lengthen_its_session(tmp_path):
    day = write_day(tmp_path / "results")
    path = day.folder / "session01/eyelink_24d5.hkl"
    fields = read_product(path)
    late = np.array([[0.1, 0.3, 0.2], [200.0, 201.0, 1.0]])
    times = np.append(fields["timestamps"][:-1], 300.0)
    write_product(path, fields | {"timestamps": times, "fix_times": late})
    del day.sources["gaze"], day.sources["unity"]
    make_nwb(day.sources, day.folder / "a.nwb", settings=SETTINGS | {"modalities": ["behaviour"]})
    with NWBHDF5IO(day.folder / "a.nwb", "r") as io:
        file = io.read()
        assert file.intervals["sessions"]["stop_time"][0] == pytest.approx(3.01)  # the end of the LFP
        starts = file.intervals["fixations"]["start_time"][:]
        assert (np.diff(starts) >= 0).all() and starts[-1] == 200.0
        assert file.intervals["fixations"]["session"][-1] == "session01"
