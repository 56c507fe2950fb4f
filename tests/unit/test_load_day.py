"""The public reading of finished days: beside what h5py, numpy and pandas find in the files."""

import copy
import json
import subprocess
import sys
import tracemalloc

import h5py
import hickle
import numpy as np
import pandas as pd
import pytest

import hippflow
from hippflow.demo.finished import write_finished_day, write_finished_imaging
from hippflow.errors import ConfigError, FormatError
from hippflow.names import argument_hash

CHANNEL = "session01/array01/channel009"
RNG = np.random.default_rng(0)

#: A recording of 30 kHz that paused: 400 samples from tick 0, then 600 from tick 30000.
SEGMENTS = np.array([[0, 400, 0, 399], [400, 600, 30000, 30599]])
BITS = RNG.integers(-3000, 3000, 1000).astype(np.int16)
MAP_ARGS = {"NumShuffles": 20, "ShuffleBounds": [0.1, 0.9], "GridSteps": 4, "OverallGridSize": 25, "MinObs": 1}
SETTINGS = {
    "umaze": {"grid_steps": 4, "overall_grid_size": 25, "min_obs": 1},
    "placefield": {"n_shuffles": 20, "shuffle_bounds": [0.1, 0.9]},
}
RATES = np.where(np.arange(16) % 3, np.arange(16.0), np.nan)

MAZE = np.column_stack([np.zeros(5), np.full(5, 0.03), RNG.random((5, 2)), [0, 90, 180, 270, 359], np.zeros((5, 2))])
MAZE_TIMES = 0.2 + 0.03 * np.arange(6)
EYE = {"timestamps": 0.5 + np.arange(4) / 1000, "eye_pos": RNG.random((4, 2)), "calib_eye_pos": np.zeros((0, 2))}
EYE |= {"fix_times": np.array([[0.5, 0.502, 0.002]]), "calib_fix_times": np.zeros((0, 3))}
CALIBRATION = {"timestamps": 650 + np.arange(3) / 1000, "eye_pos": np.zeros((0, 2)), "calib_eye_pos": np.ones((3, 2))}
CALIBRATION |= {"fix_times": np.zeros((0, 3)), "calib_fix_times": np.array([[650.0, 650.5, 0.5], [651.0, 651.1, 0.1]])}
GAZE = """\
SAMPLE_TYPE,501,Ground,960,540,0.1,0.5,-9.9,90,1,0,2,0,0,0,1,2,
SAMPLE_TYPE,502,Sample Ignored,NaN,NaN,0.1,0.5,-9.8,91,,,,,,,,,F15
"""


def store(path, fields):
    """Write fields as PyHipp does, with hickle alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hickle.dump(fields, str(path), mode="w")


def write_tables(day):
    channel, sorting = day / CHANNEL, day / "mountains/channel009"
    sorting.mkdir(parents=True)
    (channel / "cells.csv").write_text(
        "cell,unit,quality,num_spikes,firing_rate,spiketrain\n"
        "cell01,1,good,3,1,cell01/spiketrain_d41d.hkl\ncell02,2,noise,0,0,\n"
    )
    (channel / "placefields.csv").write_text("cell,peak_x,significant\ncell01,0.5,True\ncell02,,False\n")
    (sorting / "units.csv").write_text("unit,quality,snr,num_spikes\n1,good,9.5,3\n2,noise,4,1\n")
    (sorting / "metrics.csv").write_text("unit,snr,num_spikes,l_ratio\n2,4,1,0.5\n1,9.5,3,\n")
    (day / "session01/unityfile_eyelink.csv").write_text(GAZE)
    (day / "session01/alignment.json").write_text('{"passed": true, "trials": 1}')
    (day / "session01/raycast.json").write_text('{"objects": {"Ground": 1}}')


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished day whose products are hickle's own, but for the LFP and the trial."""
    day = write_finished_day(tmp_path_factory.mktemp("results"))
    channel = day / CHANNEL
    info = {"SampleRate": 30000.0, "TickRate": 30000}
    store(channel / "rplraw_d41d.hkl", {"data": BITS, "analogInfo": info | {"Gain": 0.25, "Segments": SEGMENTS}})
    store(channel / "rplhighpass_b59f.hkl", {"data": BITS.astype(np.float32), "analogInfo": {"SampleRate": 30000.0}})
    store(channel / "cell01/spiketrain_d41d.hkl", {"spiketimes": [np.array([10.0, 20.5, 2999.0])]})
    store(channel / "cell01/vmplacecell_7ab1.hkl", {"args": {"GridSteps": 4}, "placebins": np.zeros((16, 1))})
    mapped = channel / f"cell01/vmplacecell_{argument_hash(MAP_ARGS)}.hkl"
    store(mapped, {"args": MAP_ARGS, "rateMap": [RATES]})
    for name, high in (("freqspectrum_9c80.hkl", False), ("freqspectrum_660e.hkl", True)):
        spectrum = {"freq": [np.arange(3.0)], "magnitude": [np.arange(3.0) + 10 * high]}
        store(channel / name, {"args": {"loadHighPass": high}} | spectrum)
    store(day / "session01/unity_71bf.hkl", {"unityData": [MAZE], "unityTime": [MAZE_TIMES]})
    store(day / "session01/eyelink_24d5.hkl", EYE)
    store(day / "session01/umaze_fd09.hkl", {"GridSteps": 40, "horGridBound": np.linspace(-12.5, 12.5, 41)})
    store(day / "sessioneye/eyelink_24d5.hkl", CALIBRATION)
    fixation = {"rawMarkers": np.array([128, 0, 6, 32]), "rawTicks": np.array([3, 4, 5, 6]), "tickRate": 30000}
    fixation |= {"markers": np.array([128, 6, 32]), "timeStamps": np.array([3, 5, 6]) / 30000}
    store(day / "sessioneye/rplparallel_d41d.hkl", fixation | {"markerFormat": "fixation"})
    write_tables(day)
    store(day / "mountains/channel009/firings.hkl", {"samples": np.array([300, 615]), "labels": np.array([1, 1])})
    store(day / "mountains/channel009/templates.hkl", np.arange(6, dtype=np.float32).reshape(1, 3, 2))
    return day


@pytest.fixture
def day(folder):
    return hippflow.load_day(folder)


@pytest.fixture
def channel(day):
    return day["session01"].channels[9]


def test_a_day_has_its_levels_by_name(day, folder):
    assert (day.subject, day.date, day.folder) == ("picasso", "20181105", folder)
    assert list(day) == list(day.sessions) == ["session01", "sessioneye"]
    assert "session01" in day and "session02" not in day
    assert (day.recordings, day.channels) == ({}, [9])
    assert day["session01"].channels[9].array == 1
    assert day["sessioneye"].channels == {}


def test_other_folders_are_no_channels(tmp_path):
    day = hippflow.load_day(write_finished_day(tmp_path))
    for name in ("channel009_old", "channels", "channel12"):
        (day.folder / "session01/array01" / name).mkdir()
    (day.folder / "session01/array02/channel1024").mkdir(parents=True)
    assert list(day["session01"].channels) == day.channels == [9, 1024]


def test_a_signal_is_what_h5py_finds(channel, folder):
    with h5py.File(folder / CHANNEL / "rpllfp_6eca.hkl") as file:
        stored = file['data/"data"'][()]
    lfp = channel.lfp
    assert (len(lfp), lfp.sampling_rate) == (3000, 1000)
    for part in (slice(None), slice(10, 20), slice(-5, None), slice(20, 10), slice(2990, 4000)):
        np.testing.assert_array_equal(lfp[part], stored[part])
    np.testing.assert_array_equal(lfp.times(10, 20), np.arange(10, 20) / 1000)
    np.testing.assert_array_equal(channel.highpass[5:9], BITS[5:9])


def test_bits_are_microvolts_and_pauses_are_jumps_in_time(channel):
    raw = channel.raw
    assert raw[:].dtype == np.float32
    np.testing.assert_array_equal(raw[:], BITS * 0.25)
    np.testing.assert_array_equal(raw.segments, SEGMENTS)
    ticks = np.concatenate([np.arange(400), 30000 + np.arange(600)])
    np.testing.assert_array_equal(raw.times(), ticks / 30000)
    np.testing.assert_array_equal(raw.at([999, 0, 400]), BITS[[999, 0, 400]] * 0.25)


@pytest.mark.parametrize(
    "interval", [(0, 2), (0.01, 1.01), (399 / 30000, 1), (0.5, 0.9), (-1, 0), (1.005, 1.005), (3, 9)]
)
def test_an_interval_has_the_samples_from_its_start_to_before_its_end(channel, interval):
    ticks = np.concatenate([np.arange(400), 30000 + np.arange(600)])
    chosen = (ticks / 30000 >= interval[0]) & (ticks / 30000 < interval[1])
    times, values = channel.raw.between(*interval)
    np.testing.assert_array_equal(times, ticks[chosen] / 30000)
    np.testing.assert_array_equal(values, BITS[chosen] * 0.25)


def test_a_signal_says_how_it_is_read(channel):
    with pytest.raises(TypeError, match=r"a signal is read by slices, as in signal\[0:30000\], found 5"):
        channel.raw[5]
    with pytest.raises(ValueError, match="steps of 1"):
        channel.raw[::2]


def test_units_and_their_spikes_are_those_of_the_files(day, channel, folder):
    assert channel.cells.to_dict("list")["unit"] == [1, 2]
    assert {unit: train.tolist() for unit, train in channel.spike_times.items()} == {1: [0.01, 0.0205, 2.999], 2: []}
    assert channel.place_fields["significant"].tolist() == [True, False]
    units, metrics = (pd.read_csv(folder / f"mountains/channel009/{name}.csv") for name in ("units", "metrics"))
    expected = units.join(metrics.set_index("unit")["l_ratio"], on="unit")
    expected.insert(0, "channel", 9)
    pd.testing.assert_frame_equal(day.units, expected)
    assert day.sorting(9)["samples"].tolist() == [300, 615]
    assert day.templates(9).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_a_map_has_z_in_rows_and_x_in_columns_from_below(channel):
    found = channel.rate_map(1)
    for bin_number, rate in enumerate(RATES):  # bins count along x first
        np.testing.assert_equal(found[bin_number // 4, bin_number % 4], rate)


def test_a_spectrum_is_that_of_its_signal(channel):
    assert [values.tolist() for values in channel.spectrum("lfp")] == [[0, 1, 2], [0, 1, 2]]
    assert [values.tolist() for values in channel.spectrum("highpass")] == [[0, 1, 2], [10, 11, 12]]


def test_position_and_eye_data_are_those_of_the_devices(day):
    session = day["session01"]
    expected = {"time": MAZE_TIMES[1:], "x": MAZE[:, 2], "z": MAZE[:, 3], "heading": MAZE[:, 4]}
    pd.testing.assert_frame_equal(session.position, pd.DataFrame(expected))
    np.testing.assert_array_equal(session.eye_position[["x", "y"]], EYE["eye_pos"])
    np.testing.assert_array_equal(session.eye_position["time"], EYE["timestamps"])
    assert session.fixations.to_dict("list") == {"start": [0.5], "end": [0.502], "duration": [0.002]}
    assert len(session.occupancy["horGridBound"]) == 41
    assert (session.alignment, session.raycast) == ({"passed": True, "trials": 1}, {"objects": {"Ground": 1}})


def test_the_fixation_session_has_its_own_eye_data_and_markers_without_trials(day):
    session = day["sessioneye"]
    np.testing.assert_array_equal(session.eye_position["x"], [1, 1, 1])
    assert session.fixations["start"].tolist() == [650, 651]
    expected = {"time": [3 / 30000, 5 / 30000, 6 / 30000], "code": [128, 6, 32]}
    assert session.markers.to_dict("list") == expected
    with pytest.raises(
        FormatError, match=r"sessioneye: its markers \(fixation\) are of no navigation.* take \.markers"
    ):
        _ = session.trials


def test_gaze_says_where_the_animal_was_and_what_it_looked_at(day):
    first, second = day["session01"].gaze.to_dict("records")
    expected = {"time": 0.501, "object": "Ground", "gaze_x": 960, "gaze_y": 540, "x": 0.1, "z": -9.9, "heading": 90}
    assert first == expected | {"hit_x": 1, "hit_y": 0, "hit_z": 2}
    assert (second["time"], second["object"], second["z"]) == (0.502, "Sample Ignored", -9.8)
    assert np.isnan([second[name] for name in ("gaze_x", "gaze_y", "hit_x", "hit_y", "hit_z")]).all()


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([[11, 21, 31], [16, 26, 46]], {"cue": [1, 4], "target": [1, 6], "outcome": ["reward", "timeout"]}),
        ([[1, 2, 3], [1, 2, 4]], {"cue": [1, 4], "target": [0, 0], "outcome": ["reward", "timeout"]}),
        ([[1, 4], [1, 3]], {"target": [0, 0], "outcome": ["timeout", "reward"]}),
        (np.zeros((0, 3)), {"start": [], "cue": [], "end": [], "target": [], "outcome": []}),
    ],
)
def test_trials_of_every_format_have_the_same_columns(tmp_path, codes, expected):
    path = tmp_path / "picasso/20181105/session01/rplparallel_d41d.hkl"
    codes = np.array(codes, np.uint16)
    times = np.arange(codes.size).reshape(codes.shape).astype(float)
    store(path, {"markers": codes, "timeStamps": times, "markerFormat": "any"})
    trials = hippflow.load_day(path.parents[1])["session01"].trials
    assert list(trials) == ["start", "cue", "end", "target", "outcome"]
    for name, values in expected.items():
        assert trials[name].tolist() == values
    assert trials["start"].tolist() == times[:, :1].ravel().tolist()
    assert trials["end"].tolist() == times[:, -1:].ravel().tolist()
    assert trials["start"].dtype == float and trials["target"].dtype == int
    assert codes.shape[-1] != 2 or trials["cue"].isna().all()


def test_a_session_without_eye_data_has_everything_else(tmp_path):
    session = hippflow.load_day(write_finished_day(tmp_path))["session01"]
    assert (len(session.trials), len(session.markers), list(session.channels)) == (1, 3, [9])
    for name in ("eyelink", "eye_position", "fixations", "gaze", "position", "occupancy", "alignment"):
        with pytest.raises(FormatError, match=r"session01: expected .*, found no such file; hippflow status says why"):
            getattr(session, name)


def test_an_unfinished_day_says_what_is_missing_when_it_is_asked_for(tmp_path):
    day = hippflow.load_day(write_finished_day(tmp_path))
    channel = day["session01"].channels[9]
    assert list(day.units) == ["channel", "unit", "quality"] and day.units.empty
    for ask, name in (
        (lambda: channel.raw, "rplraw_d41d.hkl"),
        (lambda: channel.highpass, r"rplhighpass_\?\?\?\?\.hkl"),
        (lambda: channel.cells, "cells.csv"),
        (lambda: channel.spike_times, "cells.csv"),
        (lambda: channel.rate_map(1), "one map of unit 1, found 0"),
        (lambda: channel.spectrum(), "one spectrum of the lfp signal, found 0"),
        (lambda: day.sorting(9), "firings.hkl"),
    ):
        with pytest.raises(FormatError, match=f"channel009: expected {name}.*hippflow status says"):
            ask()


def test_a_slip_of_the_pen_is_answered_with_what_there_is(day, channel):
    with pytest.raises(FormatError, match="20181105: expected session01 or sessioneye, found 'sesion01'; is session01"):
        day["sesion01"]
    with pytest.raises(FormatError, match="expected session01 or sessioneye, found 'x'"):
        day.sessions["x"]
    with pytest.raises(FormatError, match="expected nothing, found 'imaging01'"):
        day.recordings["imaging01"]
    with pytest.raises(FormatError, match="session01, channels: expected 9, found 10"):
        day["session01"].channels[10]
    with pytest.raises(FormatError, match="channel009, units: expected 1 or 2, found 3"):
        channel.spike_times[3]
    assert day.sessions.get("session07") is None


def test_a_wrong_folder_is_answered_with_the_days_around_it(folder):
    for wrong, found in ((folder.parent, "another folder"), (folder.parent / "20181106", "nothing")):
        with pytest.raises(
            FormatError, match=rf"{wrong}: expected the folder of a day.*, found {found}; days.*20181105"
        ):
            hippflow.load_day(wrong)
    with pytest.raises(FormatError, match=rf"found another folder; give {folder}"):
        hippflow.load_day(folder / "session01")
    with pytest.raises(FormatError, match="found nothing; run the workflow"):
        hippflow.load_day("no/such/20181105")


def test_a_day_is_found_from_within_the_results(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for path in (".", "../20181105", str(folder)):
        day = hippflow.load_day(path)
        assert (day.subject, day.date) == ("picasso", "20181105")
        assert len(day["session01"].trials) == 1


def test_of_products_of_several_settings_the_configuration_names_one(tmp_path):
    folder = write_finished_day(tmp_path)
    args = {"ResampleRate": 500, "LFPOrder": 8, "LowPassFrequency": [1, 150]}
    other = folder / CHANNEL / f"rpllfp_{argument_hash(args)}.hkl"
    store(other, {"data": np.zeros(7, np.float32), "analogInfo": {"SampleRate": 500}})
    with pytest.raises(FormatError, match=rf"expected one rpllfp, found .*{other.name}.*load_day\(folder, config="):
        _ = hippflow.load_day(folder)["session01"].channels[9].lfp
    (tmp_path / "config.yaml").write_text("rpllfp: {resample_rate: 500}\n")
    for config, length in ((tmp_path / "config.yaml", 7), ({"rpllfp": {"order": 8}}, 3000)):
        assert len(hippflow.load_day(folder, config)["session01"].channels[9].lfp) == length
    other.unlink()
    with pytest.raises(FormatError, match=rf"expected {other.name}, found rpllfp_6eca.hkl, made with other settings"):
        _ = hippflow.load_day(folder, tmp_path / "config.yaml")["session01"].channels[9].lfp


def test_of_maps_of_several_settings_the_configuration_names_one(tmp_path):
    folder = write_finished_day(tmp_path)
    cell = folder / CHANNEL / "cell01"
    for args, rate in ((MAP_ARGS, 1.0), (MAP_ARGS | {"MinObs": 2}, 2.0)):
        product = cell / f"vmplacecell_{argument_hash(args)}.hkl"
        store(product, {"args": args, "rateMap": [np.full(16, rate)]})
    with pytest.raises(FormatError, match=r"expected one map of unit 1, found 2; made with different settings"):
        hippflow.load_day(folder)["session01"].channels[9].rate_map(1)
    for min_obs in (1, 2):
        settings = SETTINGS | {"umaze": SETTINGS["umaze"] | {"min_obs": min_obs}}
        found = hippflow.load_day(folder, settings)["session01"].channels[9].rate_map(1)
        np.testing.assert_array_equal(found, np.full((4, 4), float(min_obs)))


def test_a_configuration_that_the_workflow_would_refuse_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="nearest valid key: umaze.min_obs"):
        hippflow.load_day(folder, {"umaze": {"min_ob": 1}})
    with pytest.raises(ConfigError, match="give the config.yaml that the day was made with"):
        hippflow.load_day(folder, tmp_path / "none.yaml")


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    folder = write_finished_day(tmp_path)
    day = hippflow.load_day(folder)
    (folder / "session02").mkdir()
    for path in folder.rglob("*.hkl"):
        path.write_text("neither")
    session = day["session01"]
    assert list(day) == ["session01", "session02"]
    assert (repr(session.channels[9]), day.channels) == (repr(day.sessions["session01"].channels[9]), [9])
    for ask in (lambda: session.trials, lambda: session.markers, lambda: session.channels[9].lfp):
        with pytest.raises(FormatError, match=r"expected a hickle \(HDF5\) file, found something else"):
            ask()


def test_a_product_is_read_once(folder, day):
    assert day["session01"].trials is day["session01"].trials
    assert day.units is day.units


def test_a_part_of_an_hour_is_read_in_the_memory_of_that_part(tmp_path):
    folder = write_finished_day(tmp_path)
    path = folder / CHANNEL / "rplraw_d41d.hkl"
    n = 3600 * 30000
    store(path, {"data": np.zeros(1, np.float32), "analogInfo": {"SampleRate": 30000.0}})
    with h5py.File(path, "r+") as file:
        attributes = dict(file['data/"data"'].attrs)
        del file['data/"data"']
        data = file.create_dataset('data/"data"', (n,), "f4")
        data.attrs.update(attributes)
        data[54_000_000:54_000_003] = [1, 2, 3]
    tracemalloc.start()
    raw = hippflow.load_day(folder)["session01"].channels[9].raw
    times, values = raw.between(1800, 1800 + 1e-4)
    late = raw[-30000:]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(raw), values.tolist(), len(late)) == (n, [1, 2, 3], 30000)
    np.testing.assert_allclose(times, 1800 + np.arange(3) / 30000, rtol=1e-15)
    assert peak < 2e6  # the whole signal has 432e6 bytes


def test_a_day_can_be_sent_to_another_process(day, channel):
    assert (len(day["session01"].trials), len(channel.spike_times), len(channel.raw)) == (1, 2, 1000)
    sent = copy.deepcopy(day)  # takes it apart as pickle does
    assert sent == day and hash(sent) == hash(day)
    np.testing.assert_array_equal(sent["session01"].channels[9].raw[5:9], BITS[5:9] * 0.25)
    with pytest.raises(FormatError, match="units: expected 1 or 2, found 3"):
        sent["session01"].channels[9].spike_times[3]


def test_who_imports_the_package_alone_does_not_wait_for_pandas():
    code = "import sys, hippflow; assert not {'pandas', 'numpy', 'h5py'} & sys.modules.keys(); hippflow.load_day"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'load_days'"):
        _ = hippflow.load_days


@pytest.fixture(scope="module")
def imaging(tmp_path_factory):
    return write_finished_imaging(tmp_path_factory.mktemp("imaging"))


def test_a_plane_is_what_numpy_finds(imaging):
    recording = hippflow.load_day(imaging)["imaging01"]
    (plane,) = recording.planes
    files = imaging / "imaging01/suite2p/plane0"
    for name in ("F", "Fneu", "spks"):
        assert isinstance(getattr(plane, name), np.memmap)
        np.testing.assert_array_equal(getattr(plane, name), np.load(files / f"{name}.npy"))
    stat = np.load(files / "stat.npy", allow_pickle=True)
    for found, expected in zip(plane.rois, stat, strict=True):
        assert found.keys() == expected.keys()
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])
    assert (plane.is_cell.tolist(), plane.cell_probability.tolist()) == ([True, True, False], [0.9, 0.75, 0.25])
    assert (plane.sampling_rate, plane.settings["tau"]) == (2, 1.8)
    np.testing.assert_array_equal(plane.times, np.arange(60) / 2)
    np.testing.assert_array_equal(plane.mean_image, np.arange(24 * 32).reshape(24, 32))
    np.testing.assert_array_equal(plane.covariance, np.load(imaging / "imaging01/kmeans/plane0/covariance.npy"))
    assert plane.clusters["roi"].tolist() == [1, 0]
    assert recording.movie == json.loads((imaging / "imaging01/movie/movie.json").read_text())


def test_frames_and_projections_are_images_of_the_movie(imaging):
    plane = hippflow.load_day(imaging).recordings["imaging01"].planes[0]
    assert isinstance(plane.frames, np.memmap) and plane.frames.shape == (60, 24, 32)
    np.testing.assert_array_equal(plane.frames[7:9].mean(axis=(1, 2)), [7, 8])
    with np.load(imaging / "imaging01/movie/plane0.npz") as arrays:
        for name in ("first", "maximum", "mean", "standard_deviation"):
            np.testing.assert_array_equal(plane.projection(name), arrays[name])
    with pytest.raises(FormatError, match="expected first, maximum, mean, standard_deviation, found 'median'"):
        plane.projection("median")


def test_a_plane_without_rois_has_no_rows(tmp_path):
    folder = write_finished_imaging(tmp_path)
    files = folder / "imaging01/suite2p/plane0"
    for name, shape in (("F", (0, 60)), ("Fneu", (0, 60)), ("spks", (0, 60)), ("iscell", (0, 2))):
        np.save(files / f"{name}.npy", np.zeros(shape, np.float32))
    np.save(files / "stat.npy", np.zeros(0, object))
    (plane,) = hippflow.load_day(folder)["imaging01"].planes
    assert (len(plane.rois), len(plane.F), len(plane.F[plane.is_cell])) == (0, 0, 0)
    assert (plane.F.dtype, plane.is_cell.dtype, plane.cell_probability.shape) == (np.float32, bool, (0,))


def test_a_movie_of_another_size_is_refused(tmp_path):
    folder = write_finished_imaging(tmp_path)
    with (folder / "imaging01/suite2p/plane0/data.bin").open("ab") as file:
        file.write(b"\0\0")
    with pytest.raises(FormatError, match=r"data\.bin: expected \(60, 24, 32\) int16 .*, found another size"):
        _ = hippflow.load_day(folder)["imaging01"].planes[0].frames


def test_a_table_or_report_that_is_damaged_is_an_error_that_names_it(tmp_path):
    folder = write_finished_day(tmp_path)
    (folder / CHANNEL / "cells.csv").write_bytes(b"")
    (folder / "session01/alignment.json").write_text("{")
    session = hippflow.load_day(folder)["session01"]
    with pytest.raises(FormatError, match=r"cells\.csv: expected a table with the columns"):
        _ = session.channels[9].cells
    with pytest.raises(FormatError, match=r"alignment\.json: expected JSON, cannot read it"):
        _ = session.alignment
