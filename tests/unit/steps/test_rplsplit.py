"""Raw signals of channels: every sample against neo, pauses bridged or left out, all or nothing on disk."""

import dataclasses
import tracemalloc

import hickle
import neo.rawio
import numpy as np
import pytest

from hippflow.demo import ripple
from hippflow.demo.ripple import Comment, DataBlock, Digital
from hippflow.ephys import demultiplexing
from hippflow.ephys.clock import sample_times
from hippflow.errors import CatalogError, FormatError, GapError
from hippflow.io.signals import SignalWriter, open_signal
from hippflow.steps.rplsplit import make_rplraw

CHANNELS = [ripple.analog_channel(1), *map(ripple.raw_channel, (9, 34, 120)), ripple.analog_channel(2)]
FOLDERS = {9: "array01/channel009", 34: "array02/channel034", 120: "array04/channel120"}
SAMPLES = np.random.default_rng(1).integers(-32768, 32768, (3000, 5)).astype(np.int16)
COLUMN = {9: 1, 34: 2, 120: 3}


def record(folder, blocks, spec="2.2", channels=CHANNELS, events=(), **options):
    ripple.write_nsx(folder / "rec.ns5", channels, blocks, spec=spec, **options)
    ripple.write_nev(folder / "rec.nev", events, spec=spec)
    return folder / "rec.ns5"


def products(folder, numbers=tuple(FOLDERS)):
    return [str(folder / "results/picasso/20181105/session01" / FOLDERS[n] / "rplraw_d41d.hkl") for n in numbers]


def split(nsx, paths, **options):
    settings = {
        "nev": nsx.with_suffix(".nev"),
        "raw_label": r"raw (\d+)",
        "first_connector": 0,
        "on_gap": "error",
        "dtype": "float32",
    }
    make_rplraw(nsx, paths, **settings | options)


def written(folder):
    return [path for path in (folder / "results").rglob("*") if path.is_file()]


def signal_of(path):
    with open_signal(path) as signal:
        return signal[0 : len(signal)]


@pytest.mark.parametrize("spec", ["2.2", "2.3", "3.0", "3.0-ptp"])
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_every_sample_of_every_channel_is_that_of_neo(tmp_path, spec, dtype, monkeypatch):
    monkeypatch.setattr(demultiplexing, "BLOCK_BYTES", 7000)  # some blocks, the last of which is not full
    nsx = record(tmp_path, [SAMPLES], spec)
    split(nsx, products(tmp_path), dtype=dtype)
    reader = neo.rawio.BlackrockRawIO(str(tmp_path / "rec"), nsx_to_load=5, load_nev=False)
    reader.parse_header()
    for number, path in zip(FOLDERS, products(tmp_path), strict=True):
        chunk = reader.get_analogsignal_chunk(0, 0, stream_index=0, channel_names=[f"raw {number}"])
        loaded = hickle.load(path)
        if dtype == "int16":
            assert loaded["data"].dtype == np.int16
            np.testing.assert_array_equal(loaded["data"], chunk[:, 0])
            assert (loaded["analogInfo"]["Gain"], loaded["analogInfo"]["NumberClipped"]) == (0.25, 0)
        else:
            assert loaded["data"].dtype == np.float32
            theirs = reader.rescale_signal_raw_to_float(chunk, "float32", 0, channel_names=[f"raw {number}"])
            np.testing.assert_array_equal(loaded["data"], theirs[:, 0])


def test_float32_and_int16_load_the_same(tmp_path):
    nsx = record(tmp_path, [SAMPLES])
    for dtype in ("float32", "int16"):
        split(nsx, products(tmp_path / dtype), dtype=dtype)
    for a, b in zip(products(tmp_path / "float32"), products(tmp_path / "int16"), strict=True):
        np.testing.assert_array_equal(signal_of(a), signal_of(b))


def test_fields_are_those_of_pyhipp(tmp_path):
    nsx = record(tmp_path, [SAMPLES])
    split(nsx, products(tmp_path))
    loaded = hickle.load(products(tmp_path)[2])
    assert loaded["dirs"] == ["picasso/20181105/session01/array04/channel120"]
    assert (loaded["numSets"], loaded["args"], loaded["setidx"], loaded["current_idx"]) == (1, {}, [], None)
    info = loaded["analogInfo"]
    x = SAMPLES[:, 3] * 0.25
    assert {name: info[name] for name in info if name not in ("Segments", "Filled")} == {
        "SampleRate": 30000.0,
        "Units": "uV",
        "HighFreqCorner": 0.3,
        "HighFreqOrder": 1,
        "HighFilterType": "Butterworth",
        "LowFreqCorner": 7500.0,
        "LowFreqOrder": 3,
        "LowFilterType": "Butterworth",
        "ProbeInfo": "raw 120",
        "BitGain": 0.25,
        "TickRate": 30000,
        "MinVal": x.min(),
        "MaxVal": x.max(),
        "NumberSamples": 3000,
    }
    assert info["Segments"].tolist() == [[0, 3000, 0, 2999]]
    assert info["Filled"].shape == (0, 2)


def test_only_the_channels_that_were_asked_for_in_any_order(tmp_path):
    nsx = record(tmp_path, [SAMPLES])
    paths = products(tmp_path, (120, 9))
    split(nsx, paths)
    assert sorted(map(str, written(tmp_path))) == sorted(paths)
    for path, number in zip(paths, (120, 9), strict=True):
        np.testing.assert_array_equal(signal_of(path), SAMPLES[:, COLUMN[number]] * 0.25)


def test_analog_inputs_are_never_taken(tmp_path):
    """Not even if they have a raw channel's label: their unit is mV."""
    joystick = dataclasses.replace(ripple.analog_channel(1), label="raw 7")
    nsx = record(tmp_path, [SAMPLES[:, :2]], channels=[joystick, ripple.raw_channel(9)])
    path = str(tmp_path / "results/picasso/20181105/session01/array01/channel007/rplraw_d41d.hkl")
    with pytest.raises(CatalogError, match=r"expected the channel of array01/channel007, found array01/channel009"):
        split(nsx, [path])
    with pytest.raises(CatalogError, match=r"expected channels in uV labelled 'analog \(\\\\d\+\)'"):
        split(nsx, [path], raw_label=r"analog (\d+)")
    assert not (tmp_path / "results").exists()


def test_a_channel_that_is_not_there(tmp_path):
    nsx = record(tmp_path, [SAMPLES])
    # PyHipp takes raw 34 where raw 3 is asked for
    paths = [path.replace("array02/channel034", "array01/channel003") for path in products(tmp_path)]
    with pytest.raises(CatalogError, match=r"rec\.ns5: expected the channel of array01/channel003, found array01/"):
        split(nsx, paths)
    assert not (tmp_path / "results").exists()


def test_labels_and_front_ends_of_blackrock(tmp_path):
    channels = [
        ripple.Channel(1, "chan1", 1, 1, "uV", 32764, 8191),
        ripple.Channel(33, "chan33", 2, 1, "uV", 1000, 250),
        ripple.Channel(129, "ainp1", 1, 1, "mV", 32767, 5000),
    ]
    nsx = record(tmp_path, [SAMPLES[:, :3]], "2.3", channels=channels)
    session = tmp_path / "results/picasso/20181105/session01"
    paths = [str(session / f"{folder}/rplraw_d41d.hkl") for folder in ("array01/channel001", "array02/channel033")]
    split(nsx, paths, raw_label=r"chan(\d+)", first_connector=1)
    for k, path in enumerate(paths):
        np.testing.assert_array_equal(signal_of(path), SAMPLES[:, k] * 0.25)
    with pytest.raises(CatalogError, match="expected the channel of array01/channel001, found array02/channel001"):
        split(nsx, paths, raw_label=r"chan(\d+)", first_connector=0)


def test_a_scale_that_is_not_centred(tmp_path):
    """0 to 1000 bits are -250 to 250 uV: an int16 product then holds what the float32 one does, rounded to its gain."""
    nsx = record(tmp_path, [SAMPLES % 1000])
    data = bytearray(nsx.read_bytes())
    data[314 + 66 + 22 : 314 + 66 + 30] = np.array([0, 1000, -250, 250], "<i2").tobytes()
    nsx.write_bytes(data)
    expected = (SAMPLES[:, 1] % 1000) * 0.5 - 250
    for dtype in ("float32", "int16"):
        split(nsx, products(tmp_path / dtype, [9]), dtype=dtype)
        np.testing.assert_array_equal(signal_of(products(tmp_path / dtype, [9])[0]), expected)


PAUSED = [SAMPLES[:1000], DataBlock(1003), SAMPLES[1000:1001], DataBlock(2000), SAMPLES[1001:]]


def test_a_pause_is_an_error_unless_told_otherwise(tmp_path):
    nsx = record(tmp_path, PAUSED)
    expected = r"found 3 stretches \(from 0\.033 s to 0\.033 s, 0\.033 s to 0\.067 s\)\. Set rplsplit\.on_gap to fill"
    with pytest.raises(GapError, match=expected):
        split(nsx, products(tmp_path))
    assert not (tmp_path / "results").exists()


def test_many_pauses_are_not_all_listed(tmp_path):
    blocks = [part for k in range(9) for part in (DataBlock(1000 * k), SAMPLES[:10])]
    nsx = record(tmp_path, blocks[1:])
    with pytest.raises(GapError, match=r"found 9 stretches .* and 3 more"):
        split(nsx, products(tmp_path))


@pytest.mark.parametrize("dtype", ["float32", "int16"])
@pytest.mark.parametrize("read_bytes", [16 << 20, 128 * 10])
def test_pauses_filled_by_straight_lines(tmp_path, dtype, read_bytes, monkeypatch):
    monkeypatch.setattr(demultiplexing, "BLOCK_BYTES", read_bytes)
    nsx = record(tmp_path, PAUSED)
    split(nsx, products(tmp_path), on_gap="fill", dtype=dtype)
    for number, path in zip(FOLDERS, products(tmp_path), strict=True):
        bits = SAMPLES[:, COLUMN[number]].astype(float)
        # 3 ticks are missing from 1000 on, and 996 from 1004 on
        ticks = np.concatenate([np.arange(1000), [1003], np.arange(2000, 3999)])
        expected = np.rint(np.interp(np.arange(3999), ticks, bits)) * 0.25
        assert np.abs(signal_of(path) - expected).max() <= 0.25  # a half may be rounded either way
        np.testing.assert_array_equal(signal_of(path)[ticks], bits * 0.25)
        info = hickle.load(path)["analogInfo"]
        assert info["Segments"].tolist() == [[0, 3999, 0, 3998]]
        assert info["Filled"].tolist() == [[1000, 3], [1004, 996]]
        assert info["NumberSamples"] == 3999


def test_a_filled_line_by_hand(tmp_path):
    low, high = np.full((2, 5), -8, np.int16), np.full((2, 5), 12, np.int16)
    nsx = record(tmp_path, [low, DataBlock(6), high])
    split(nsx, products(tmp_path), on_gap="fill", dtype="int16")
    for path in products(tmp_path):
        assert hickle.load(path)["data"].tolist() == [-8, -8, -4, 0, 4, 8, 12, 12]


@pytest.mark.parametrize("second", [1000 + 1000 + 3001, 3_000_000])
def test_more_pauses_than_recording_are_not_filled(tmp_path, second):
    """One bit of a time stamp would be hours of straight lines, in the signal of every channel."""
    nsx = record(tmp_path, [SAMPLES[:1000], DataBlock(2000), SAMPLES[1000:2000], DataBlock(second), SAMPLES[2000:]])
    with pytest.raises(GapError, match=r"rec\.ns5: expected pauses that are shorter than the recording .* in 0\.100 s"):
        split(nsx, products(tmp_path), on_gap="fill")
    assert not (tmp_path / "results").exists()
    longest = record(tmp_path / "longest", [SAMPLES[:1000], DataBlock(4000), SAMPLES[1000:]])
    split(longest, products(tmp_path / "longest"), on_gap="fill")
    assert len(signal_of(products(tmp_path / "longest")[0])) == 6000


@pytest.mark.parametrize("dtype", ["float32", "int16"])
@pytest.mark.parametrize("spec", ["2.2", "3.0-ptp"])
def test_pauses_left_out(tmp_path, dtype, spec):
    scale = ripple.clock_hz(spec) // 30_000
    paused = [DataBlock(part.timestamp * scale) if isinstance(part, DataBlock) else part for part in PAUSED]
    nsx = record(tmp_path, paused, spec)
    split(nsx, products(tmp_path), on_gap="segment", dtype=dtype)
    for number, path in zip(FOLDERS, products(tmp_path), strict=True):
        np.testing.assert_array_equal(signal_of(path), SAMPLES[:, COLUMN[number]] * 0.25)
        info = hickle.load(path)["analogInfo"]
        assert info["Segments"][:, :2].tolist() == [[0, 1000], [1000, 1], [1001, 1999]]
        assert info["Filled"].shape == (0, 2)
        with open_signal(path) as signal:
            assert [len(stretch) for stretch in signal.stretches()] == [1000, 1, 1999]
            times = sample_times(np.arange(3000), signal.segments, signal.tick_rate)
        ticks = np.concatenate([np.arange(1000), [1003], np.arange(2000, 3999)])
        np.testing.assert_allclose(times, ticks / 30_000, atol=1e-6)


def test_blocks_without_a_pause_are_one_recording(tmp_path):
    nsx = record(tmp_path, [SAMPLES[:1000], DataBlock(1000), SAMPLES[1000:]])
    split(nsx, products(tmp_path))
    for number, path in zip(FOLDERS, products(tmp_path), strict=True):
        np.testing.assert_array_equal(signal_of(path), SAMPLES[:, COLUMN[number]] * 0.25)
        assert hickle.load(path)["analogInfo"]["Segments"].tolist() == [[0, 3000, 0, 2999]]


@pytest.mark.parametrize("spec, second", [("2.2", 0), ("2.2", 999), ("3.0", 500), ("3.0-ptp", 33_306_666)])
def test_a_clock_that_was_set_back_cannot_be_filled(tmp_path, spec, second):
    """The last of these is a PTP time stamp after the one before it, but by less than half a sample."""
    nsx = record(tmp_path, [SAMPLES[:1000], DataBlock(second), SAMPLES[1000:]], spec)
    for on_gap, message in (("error", "found 2 stretches"), ("fill", "the clock was set back during the recording")):
        with pytest.raises(GapError, match=message):
            split(nsx, products(tmp_path), on_gap=on_gap)
    assert not (tmp_path / "results").exists()
    split(nsx, products(tmp_path), on_gap="segment")
    for number, path in zip(FOLDERS, products(tmp_path), strict=True):
        np.testing.assert_array_equal(signal_of(path), SAMPLES[:, COLUMN[number]] * 0.25)
        assert hickle.load(path)["analogInfo"]["Segments"][1, :3].tolist() == [1000, 2000, second]


def test_times_count_from_the_start_of_the_nev(tmp_path):
    """An epoch clock, as of spec 3.0, has its 0 at the first packet of the nev."""
    epoch = 1_541_415_551_000_000_000
    events = [Comment(epoch, "start"), Digital(epoch + 7_000_000, 84)]
    nsx = record(tmp_path, [SAMPLES], "3.0-ptp", events=events, timestamp=epoch + 5_000_000)
    split(nsx, products(tmp_path))
    info = hickle.load(products(tmp_path)[0])["analogInfo"]
    assert info["Segments"].tolist() == [[0, 3000, 5_000_000, 5_000_000 + 2999 * 100_000 // 3]]
    assert info["TickRate"] == 1_000_000_000


def test_a_recording_without_a_nev_and_one_that_starts_late(tmp_path):
    nsx = record(tmp_path, [SAMPLES], timestamp=77)
    split(nsx, products(tmp_path), nev=None)
    assert hickle.load(products(tmp_path)[0])["analogInfo"]["Segments"].tolist() == [[0, 3000, 77, 3076]]


@pytest.mark.parametrize("on_gap", ["error", "fill", "segment"])
@pytest.mark.parametrize("cut", [1, 5000, 3000 * 10])
def test_a_recording_that_was_cut_off_leaves_nothing(tmp_path, cut, on_gap):
    nsx = record(tmp_path, [SAMPLES])
    nsx.write_bytes(nsx.read_bytes()[:-cut])
    with pytest.raises(FormatError, match="the file is cut off"):
        split(nsx, products(tmp_path), on_gap=on_gap)
    assert not (tmp_path / "results").exists()


def test_a_nev_that_was_cut_off_leaves_nothing(tmp_path):
    nsx = record(tmp_path, [SAMPLES], events=[Digital(1, 84)])
    nev = nsx.with_suffix(".nev")
    nev.write_bytes(nev.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"rec\.nev: expected whole packets"):
        split(nsx, products(tmp_path))
    assert not (tmp_path / "results").exists()


def test_a_pass_that_is_stopped_half_way_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(demultiplexing, "BLOCK_BYTES", 1280)
    nsx = record(tmp_path, [SAMPLES])
    calls, write = [], SignalWriter.write_pieces

    def stop_in_the_second_batch(self, *pieces):
        calls.append(len(written(tmp_path)))
        if len(calls) == 5:
            raise KeyboardInterrupt
        write(self, *pieces)

    monkeypatch.setattr(SignalWriter, "write_pieces", stop_in_the_second_batch)
    with pytest.raises(KeyboardInterrupt):
        split(nsx, products(tmp_path))
    assert calls == [3] * 5  # the three temporary files
    assert written(tmp_path) == []


def test_memory_does_not_grow_with_the_recording(tmp_path, monkeypatch):
    monkeypatch.setattr(demultiplexing, "BLOCK_BYTES", 1 << 18)
    channels = [ripple.raw_channel(number) for number in range(1, 9)]
    second = np.zeros((30_000, 8), np.int16)
    peaks = {}
    for seconds in (10, 40):
        folder = tmp_path / str(seconds)
        folder.mkdir()
        nsx = record(folder, [second] * seconds, channels=channels)
        session = folder / "results/picasso/20181105/session01/array01"
        paths = [str(session / f"channel{number:03d}/rplraw_d41d.hkl") for number in range(1, 9)]
        tracemalloc.start()
        split(nsx, paths, dtype="int16")
        peaks[seconds] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert hickle.load(paths[0])["analogInfo"]["NumberSamples"] == seconds * 30_000
    assert peaks[40] < 1.05 * peaks[10]
    assert peaks[40] < 10 << 20
