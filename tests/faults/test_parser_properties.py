"""Properties of the parsers of recordings over any valid input: what is written is read back, as others read it."""

import datetime
import logging
import os
import tempfile
import warnings
from pathlib import Path

import neo.rawio
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hippflow.demo import ripple
from hippflow.demo.eye_file import EyeBlock, write_eye_file
from hippflow.demo.gaze import Gaze
from hippflow.demo.ripple import PARALLEL, SMA1, DataBlock, Digital
from hippflow.demo.timeline import Clock
from hippflow.io.eyelink import read_eye_file
from hippflow.io.nev import read_digital_events, read_start_time, recording_start
from hippflow.io.npy import read_npy
from hippflow.io.nsx import NsxFile
from hippflow.io.tiff import TiffMovie

LONG = os.environ.get("HIPPFLOW_LONG_FAULTS") == "1"
many = settings(
    max_examples=2000 if LONG else 25, deadline=None, derandomize=not LONG, suppress_health_check=list(HealthCheck)
)
SPECS = ("2.1", "2.2", "2.3", "3.0", "3.0-ptp")
EPOCH = 1_541_415_551_000_000_000
logging.getLogger("neo").setLevel(logging.CRITICAL)


@pytest.fixture(scope="module")
def folder():
    """A folder of files that replace each other, in memory where there is one."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as path:
        yield Path(path)


_NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=15)


@st.composite
def _channels(draw):
    n = draw(st.integers(1, 6))
    return [
        ripple.Channel(
            id=k + 1,
            label=draw(_NAMES),
            front_end=draw(st.integers(0, 9)),
            pin=draw(st.integers(1, 255)),
            units=draw(st.sampled_from(["uV", "mV", "V"])),
            max_digital=draw(st.integers(1, 32767)),
            max_analog=draw(st.integers(1, 32767)),
            highpass=(draw(st.integers(0, 10**6)), 1, 1),
            lowpass=(draw(st.integers(1, 10**8)), 3, 1),
        )
        for k in range(n)
    ]


@many
@given(
    spec=st.sampled_from(SPECS[1:]),
    channels=_channels(),
    period=st.sampled_from([1, 2, 15, 30, 300]),
    lengths=st.lists(st.integers(2, 40), min_size=1, max_size=4),
    pauses=st.lists(st.integers(2, 3000), min_size=4, max_size=4),
    first=st.integers(0, 10**6),
    seed=st.integers(0, 2**16),
)
def test_a_recording_of_any_channels_and_pauses_is_read_back(
    folder, spec, channels, period, lengths, pauses, first, seed
):
    path = folder / "rec.ns5"
    samples = np.random.default_rng(seed).integers(-(2**15), 2**15, (sum(lengths), len(channels)), np.int16)
    tick = 1_000_000_000 / 30_000 * period if spec == "3.0-ptp" else period  # of one sample
    blocks, starts, done, at = [], [], 0, EPOCH + first if spec == "3.0-ptp" else first
    for length, pause in zip(lengths, pauses, strict=False):
        starts.append(at)
        blocks += [DataBlock(at)] * bool(done) + [samples[done : done + length]]
        done += length
        at += round((length + pause) * tick)
    ripple.write_nsx(path, channels, blocks, spec, timestamp=starts[0], period=period)

    file = NsxFile(path)
    assert [(block.first_tick, block.n_samples) for block in file.blocks] == list(zip(starts, lengths, strict=True))
    read = np.concatenate([file.read(block, 0, block.n_samples) for block in file.blocks])
    np.testing.assert_array_equal(read, samples)
    assert file.header.sampling_rate == 30_000 / period
    for found, written in zip(file.header.channels, channels, strict=True):
        assert (found.label, found.units, found.pin) == (written.label, written.units, written.pin)
        assert found.gain == pytest.approx(written.max_analog / written.max_digital, rel=1e-12)
        assert found.offset == pytest.approx(0, abs=1e-9)
        assert (found.high_corner, found.low_corner) == (written.highpass[0] / 1000, written.lowpass[0] / 1000)

    reader = neo.rawio.BlackrockRawIO(str(folder / "rec"), nsx_to_load=5, load_nev=False, gap_tolerance_ms=0.0)
    reader.parse_header()
    theirs = [reader.get_analogsignal_chunk(0, k, stream_index=0) for k in range(reader.segment_count(0))]
    np.testing.assert_array_equal(np.concatenate(theirs), samples)


@many
@given(
    spec=st.sampled_from(SPECS),
    gaps=st.lists(st.integers(0, 10**5), min_size=1, max_size=20),
    codes=st.lists(st.integers(0, 2**16 - 1), min_size=20, max_size=20),
    combined=st.lists(st.booleans(), min_size=20, max_size=20),
    packet_bytes=st.integers(12, 60).map(lambda half: 2 * half),
    start=st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2090, 1, 1)),
)
def test_markers_of_any_times_and_codes_are_read_back(folder, spec, gaps, codes, combined, packet_bytes, start):
    path, base = folder / "rec.nev", EPOCH if spec == "3.0-ptp" else 0
    ticks = (base + np.cumsum(gaps)).tolist()
    events = [
        Digital(tick, code, PARALLEL | SMA1 * both)
        for tick, code, both in zip(ticks, codes, combined, strict=False)
    ]  # fmt: skip
    ripple.write_nev(path, events, spec, [ripple.raw_channel(9)], packet_bytes, start)

    found = read_digital_events(path)
    assert found.ticks.tolist() == [tick - recording_start(path) for tick in ticks]
    assert recording_start(path) == (ticks[0] if base else 0)
    words = found.codes.astype(int) + 256 * found.high_byte
    assert words.tolist() == codes[: len(ticks)]
    if not base:
        assert read_start_time(path) == start.replace(microsecond=start.microsecond // 1000 * 1000, tzinfo=datetime.UTC)

    if spec == "3.0-ptp":  # neo counts such times from the first sample, and there is none
        return
    ripple.write_nsx(folder / "rec.ns5", [ripple.raw_channel(9)], [np.zeros((30, 1), np.int16)], spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the combined packets, which it leaves out
        reader = neo.rawio.BlackrockRawIO(str(folder / "rec"), nsx_to_load=5)
        reader.parse_header()
    port = reader.header["event_channels"]["name"].tolist().index("digital_input_port")
    theirs = reader.get_event_timestamps(0, 0, port)
    pairs = list(zip(theirs[0].tolist(), theirs[2].astype(int).tolist(), strict=True))
    ours = list(zip(found.ticks.tolist(), words.tolist(), strict=True))
    assert [pair for pair, both in zip(ours, combined, strict=False) if not both] == pairs or pairs == ours


@many
@given(
    frames=arrays.arrays(
        st.sampled_from(["u1", "i1", "<u2", "<i2", "<i4"]),
        st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 40)),
    ),
    rows=st.integers(1, 40),
    compression=st.sampled_from([None, "zlib", "lzma"]),
    tile=st.sampled_from([None, None, (16, 16), (16, 48)]),
    bigtiff=st.booleans(),
    byteorder=st.sampled_from("<>"),
)
def test_a_movie_of_any_size_and_storage_is_that_of_tifffile(
    folder, frames, rows, compression, tile, bigtiff, byteorder
):
    path = folder / "movie.tif"
    how = {"tile": tile} if tile else {"rowsperstrip": rows}
    with tifffile.TiffWriter(path, bigtiff=bigtiff, byteorder=byteorder) as file:
        for frame in frames:
            file.write(frame, photometric="minisblack", metadata=None, compression=compression, **how)
    movie = TiffMovie([path])
    read = np.concatenate([block.copy() for _, block in movie.blocks(block_bytes=3000)])[:, 0]
    assert read.dtype == frames.dtype.newbyteorder("=")
    np.testing.assert_array_equal(read, frames)
    np.testing.assert_array_equal(read, tifffile.imread(path, key=range(len(frames))).reshape(frames.shape))


_PLACES = st.integers(-20_000, 20_000).map(lambda tenths: tenths / 10)


@many
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    first=st.integers(1, 10**7),
    pause=st.integers(1, 5000),
    places=st.lists(st.tuples(_PLACES, _PLACES) | st.none(), min_size=90, max_size=90),
    texts=st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30), max_size=4),
)
def test_an_eye_recording_of_any_blocks_and_blinks_is_read_back(folder, lengths, first, pause, places, texts):
    assume(any(place for place in places[: sum(lengths)]))
    path, blocks, times, done, at = folder / "181105.asc", [], [], 0, first
    none = np.zeros((0, 2), np.int64)
    rows = [place or (np.nan, np.nan) for place in places[: sum(lengths)]]
    for length in lengths:
        pixels = np.array(rows[done : done + length], np.float32)
        blocks.append(EyeBlock(Gaze(Clock(0, 0), at, pixels, none, none, none), [(at, text) for text in texts]))
        times += range(at, at + length)
        done, at = done + length, at + length + pause
    write_eye_file(path, blocks, datetime.datetime(2018, 11, 5, 10, 59, 11))

    found = read_eye_file(path)
    np.testing.assert_array_equal(found.times, np.array(times) / 1000)
    np.testing.assert_array_equal(found.gaze, np.array(rows, np.float32))
    assert (found.sampling_rate, found.eye) == (1000.0, "left")
    own = [text for _, text in found.messages if text in texts]
    assert [text for text in own if text in texts] == texts * len(lengths)


@many
@given(
    array=arrays.arrays(
        arrays.scalar_dtypes().filter(lambda dtype: dtype.kind in "biufcSU"),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    ),
    fortran=st.booleans(),
)
def test_an_array_of_any_type_and_shape_is_read_back(folder, array, fortran):
    path = folder / "F.npy"
    np.save(path, np.asfortranarray(array) if fortran else array)
    for mapped in (False, True):
        read = read_npy(path, mapped=mapped)
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)
