"""Signals of one channel: written block by block, read by slices, as PyHipp's objects."""

import h5py
import hickle
import numpy as np
import pytest

from hippflow.errors import FormatError
from hippflow.io.products import read_product, write_product
from hippflow.io.signals import open_signal, write_signal

INFO = {"SampleRate": 30000.0, "Units": "uV", "ProbeInfo": "raw 9", "Segments": np.array([[0, 5, 0, 4]]), "TickRate": 1}
FIELDS = {"args": {}, "dirs": ["picasso/20181105/session01/array01/channel009"], "numSets": 1}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rplraw_d41d.hkl"


def write(path, blocks, n_samples=None, dtype="float32", gain=1.0, info=INFO):
    n = sum(len(block) for block in blocks) if n_samples is None else n_samples
    with write_signal(path, FIELDS | {"analogInfo": info}, n, dtype, gain) as writer:
        for block in blocks:
            writer.write(block)


def whole(path):
    with open_signal(path) as signal:
        return signal[0 : len(signal)]


def test_hickle_loads_a_float32_signal_with_all_its_fields(path):
    blocks = [np.array([1.5, -2.25]), np.array([7.0, 0.1, 3.0])]
    write(path, blocks)
    loaded = hickle.load(path)
    assert list(loaded) == ["data", "args", "dirs", "numSets", "analogInfo"]
    assert loaded["data"].dtype == np.float32
    np.testing.assert_array_equal(loaded["data"], np.concatenate(blocks).astype(np.float32))
    info = loaded["analogInfo"]
    assert (info["MinVal"], info["MaxVal"], info["NumberSamples"]) == (-2.25, 7.0, 5)
    assert {key: info[key] for key in ("SampleRate", "Units", "ProbeInfo", "TickRate")} == {
        "SampleRate": 30000.0,
        "Units": "uV",
        "ProbeInfo": "raw 9",
        "TickRate": 1,
    }
    np.testing.assert_array_equal(info["Segments"], INFO["Segments"])
    assert {key: loaded[key] for key in FIELDS} == FIELDS
    np.testing.assert_array_equal(read_product(path)["data"], loaded["data"])


def test_hickle_loads_an_int16_signal_with_its_gain(path):
    write(path, [np.array([0.25, -1.0]), np.array([2.13])], dtype="int16", gain=0.25)
    loaded = hickle.load(path)
    assert loaded["data"].dtype == np.int16
    assert loaded["data"].tolist() == [1, -4, 9]
    info = loaded["analogInfo"]
    assert (info["Gain"], info["NumberClipped"], info["MinVal"], info["MaxVal"]) == (0.25, 0, -1.0, 2.25)


def test_samples_lie_contiguous_and_uncompressed(path):
    write(path, [np.zeros(1000)])
    with h5py.File(path) as file:
        dataset = file['data/"data"']
        assert (dataset.chunks, dataset.compression) == (None, None)
        assert dataset.id.get_offset() + 4000 <= path.stat().st_size


def test_samples_begin_where_the_system_begins_a_piece_of_a_file(path):
    write(path, [np.zeros(40_000, np.float32)])
    with h5py.File(path) as file:
        assert file['data/"data"'].id.get_offset() % 65536 == 0


def test_int16_and_float32_load_the_same(path, tmp_path):
    bits = np.random.default_rng(0).integers(-32768, 32768, 1000)
    microvolts = bits * 0.25
    other = tmp_path / "int16.hkl"
    write(path, [microvolts])
    write(other, [microvolts], dtype="int16", gain=0.25)
    for read in (whole(path), whole(other)):
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, microvolts)


def test_int16_clips_and_counts(path):
    ends = np.array([8191.75, 8192.0, 8191.9, 1e9, -8192.0, -8192.12, -8192.25, 5.0])
    write(path, [ends, np.array([np.inf])], dtype="int16", gain=0.25)
    loaded = hickle.load(path)
    assert loaded["data"].tolist() == [32767, 32767, 32767, 32767, -32768, -32768, -32768, 20, 32767]
    # beyond half a bit of the ends: 8192, 8191.9, 1e9, -8192.25 and inf
    assert loaded["analogInfo"]["NumberClipped"] == 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gain", [0.25, 0.195, 1e-3])
def test_int16_rounds_as_numpy_does(path, dtype, gain):
    halves = np.arange(-40_000, 40_000) * gain / 2
    x = np.concatenate([halves, 3000 * np.random.default_rng(0).standard_normal(50_000), [1e30, -np.inf]]).astype(dtype)
    write(path, [x[:70_000], x[70_000:]], dtype="int16", gain=gain)
    steps = np.rint(x.astype(float) / gain)
    loaded = hickle.load(path)
    np.testing.assert_array_equal(loaded["data"], np.clip(steps, -32768, 32767).astype(np.int16))
    assert loaded["analogInfo"]["NumberClipped"] == np.count_nonzero((steps < -32768) | (steps > 32767)) > 1


def test_stored_samples_are_written_as_they_are(path):
    bits = np.array([-32768, 0, 32767], np.int16)
    with write_signal(path, FIELDS | {"analogInfo": INFO}, 3, "int16", 0.195) as writer:
        writer.write_stored(bits)
    assert hickle.load(path)["data"].tolist() == bits.tolist()
    np.testing.assert_allclose(whole(path), bits * 0.195, rtol=1e-6)


def test_blocks_need_not_be_contiguous_nor_hold_anything(path):
    grid = np.arange(20.0).reshape(5, 4)
    write(path, [grid[:, 1], np.array([]), grid[::2, 3]])
    assert whole(path).tolist() == [1, 5, 9, 13, 17, 3, 11, 19]


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_a_signal_of_no_samples(path, dtype):
    write(path, [], dtype=dtype, info={"SampleRate": 1000})
    loaded = hickle.load(path)
    assert (loaded["data"].shape, loaded["data"].dtype) == ((0,), np.dtype(dtype))
    assert (loaded["analogInfo"]["MinVal"], loaded["analogInfo"]["MaxVal"]) == (0.0, 0.0)
    with open_signal(path) as signal:
        assert len(signal) == 0
        assert signal[0:10].size == 0


@pytest.mark.parametrize("announced, match", [(4, "5 of the announced|more than the announced 4"), (6, "5 of the")])
def test_another_number_of_samples_than_announced(path, announced, match):
    with pytest.raises(ValueError, match=match):
        write(path, [np.zeros(3), np.zeros(2)], n_samples=announced)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_half_way_leaves_no_file(path, error):
    with pytest.raises(error), write_signal(path, FIELDS | {"analogInfo": INFO}, 10) as writer:
        writer.write(np.zeros(5))
        raise error
    assert list(path.parent.iterdir()) == []


def test_an_error_half_way_leaves_the_file_that_was_there(path):
    write(path, [np.ones(3)])
    with pytest.raises(ValueError):
        write(path, [np.zeros(2)], n_samples=3)
    assert whole(path).tolist() == [1, 1, 1]


def test_no_file_descriptor_stays_open(path):
    with pytest.raises(ValueError):
        write(path, [np.zeros(2)], n_samples=3)
    with write_signal(path, FIELDS | {"analogInfo": INFO}, 1) as writer:
        writer.write(np.zeros(1))
    with pytest.raises(OSError, match="Bad file descriptor"):
        writer.close()


def test_slices_are_those_of_an_array(path):
    x = np.arange(100, dtype=np.float32)
    write(path, [x])
    with open_signal(path) as signal:
        assert (len(signal), signal.sampling_rate, signal.path) == (100, 30000.0, path)
        for part in (slice(0, 100), slice(10, 20), slice(None), slice(-5, None), slice(90, 200), slice(20, 10)):
            np.testing.assert_array_equal(signal[part], x[part])
        with pytest.raises(ValueError, match="in steps of 1"):
            signal[::2]


def test_stretches_are_signals_of_their_own(path):
    x = np.arange(100, dtype=np.float32)
    segments = np.array([[0, 30, 5, 34], [30, 70, 1000, 1069]])
    write(path, [x], info=INFO | {"Segments": segments, "TickRate": 2000})
    with open_signal(path) as signal:
        assert signal.tick_rate == 2000.0
        np.testing.assert_array_equal(signal.segments, segments)
        first, second = signal.stretches()
        assert (len(first), len(second)) == (30, 70)
        np.testing.assert_array_equal(first[0:1000], x[:30])
        np.testing.assert_array_equal(second[-3:], x[-3:])
        np.testing.assert_array_equal(second[5:10], x[35:40])


def test_a_file_of_pyhipp_is_one_stretch_that_starts_with_the_clock(path):
    fields = {"data": np.arange(4, dtype=np.float32), "analogInfo": {"SampleRate": 1000}, "numSets": 1}
    write_product(path, fields)
    with open_signal(path) as signal:
        assert signal.segments.tolist() == [[0, 4, 0, 3]]
        assert signal.tick_rate == 1000.0
        assert signal[0:4].tolist() == [0, 1, 2, 3]


def test_a_missing_signal(path):
    with pytest.raises(FormatError, match="found no file"), open_signal(path):
        pass


@pytest.mark.parametrize("fields", [{"markers": np.zeros(3)}, {"data": np.zeros(3)}, np.zeros(3)])
def test_a_product_that_is_no_signal(path, fields):
    write_product(path, fields)
    with pytest.raises(FormatError, match="expected a signal with 'data' and 'analogInfo'"), open_signal(path):
        pass
