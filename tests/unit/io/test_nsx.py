"""Continuous recordings: every sample against neo, and every way in which a file can be damaged."""

import dataclasses
import struct
import tracemalloc

import neo.rawio
import numpy as np
import pytest

from hippflow.demo import ripple
from hippflow.demo.ripple import DataBlock
from hippflow.errors import FormatError
from hippflow.io import nsx
from hippflow.io.nsx import NsxFile
from hippflow.io.nsx_header import read_nsx_header

CHANNELS = [ripple.analog_channel(1), ripple.raw_channel(9), ripple.raw_channel(97)]
SAMPLES = np.random.default_rng(1).integers(-32768, 32768, (3000, 3)).astype(np.int16)
SPECS = ["2.2", "2.3", "3.0", "3.0-ptp"]
HEADER = 314 + 66 * len(CHANNELS)


def write(folder, blocks, spec="2.2", channels=CHANNELS, **options):
    path = folder / "rec.ns5"
    ripple.write_nsx(path, channels, blocks, spec=spec, **options)
    return path


def open_with_neo(path):
    reader = neo.rawio.BlackrockRawIO(str(path.with_suffix("")), nsx_to_load=5, load_nev=False)
    reader.parse_header()
    return reader


def read_all(path):
    file = NsxFile(path)
    return [file.read(block, 0, block.n_samples) for block in file.blocks]


def ticks_of(path):
    return [(block.n_samples, block.first_tick, block.last_tick) for block in NsxFile(path).blocks]


@pytest.mark.parametrize("spec", SPECS)
def test_every_sample_is_that_of_neo(tmp_path, spec):
    path = write(tmp_path, [SAMPLES[:1000], SAMPLES[1000:]], spec)
    (read,) = read_all(path)
    assert read.dtype == np.int16
    np.testing.assert_array_equal(read, SAMPLES)
    np.testing.assert_array_equal(read, open_with_neo(path).get_analogsignal_chunk(0, 0, stream_index=0))


@pytest.mark.parametrize("spec", ["2.2", "2.3", "3.0"])
def test_headers_are_those_of_neo(tmp_path, spec):
    path = write(tmp_path, [SAMPLES], spec)
    header = read_nsx_header(path)
    theirs = open_with_neo(path).header["signal_channels"]
    assert [channel.label for channel in header.channels] == theirs["name"].tolist() == ["analog 1", "raw 9", "raw 97"]
    assert [channel.units for channel in header.channels] == theirs["units"].tolist() == ["mV", "uV", "uV"]
    assert [channel.gain for channel in header.channels] == theirs["gain"].tolist()
    assert [channel.offset for channel in header.channels] == theirs["offset"].tolist()
    assert [str(channel.electrode_id) for channel in header.channels] == theirs["id"].tolist()
    assert {header.sampling_rate} == set(theirs["sampling_rate"].tolist())
    assert (header.spec, header.tick_rate, header.n_bytes) == (spec, 30_000, HEADER)


def test_a_channel_header(tmp_path):
    channel = read_nsx_header(write(tmp_path, [SAMPLES])).channels[2]
    assert dataclasses.asdict(channel) == {
        "electrode_id": 97,
        "label": "raw 97",
        "connector": 3,
        "pin": 1,
        "units": "uV",
        "gain": 0.25,
        "offset": 0.0,
        "high_corner": 0.3,
        "high_order": 1,
        "high_type": 1,
        "low_corner": 7500.0,
        "low_order": 3,
        "low_type": 1,
    }


def test_a_scale_that_is_not_centred(tmp_path):
    path = write(tmp_path, [SAMPLES])
    data = bytearray(path.read_bytes())
    struct.pack_into("<4h", data, 314 + 66 + 22, 0, 1000, -250, 250)  # 0..1000 bits are -250..250 uV
    path.write_bytes(data)
    channel = read_nsx_header(path).channels[1]
    assert (channel.gain, channel.offset) == (0.5, -250.0)
    theirs = open_with_neo(path).header["signal_channels"][1]
    assert (theirs["gain"], theirs["offset"]) == (0.5, -250.0)


def test_a_micro_sign_in_latin_1_and_a_label_of_full_length(tmp_path):
    path = write(tmp_path, [SAMPLES])
    data = bytearray(path.read_bytes())
    data[314 + 4 : 314 + 20] = b"abcdefghijklmnop"
    data[314 + 30 : 314 + 33] = b"\xb5V\0"
    path.write_bytes(data)
    channel = read_nsx_header(path).channels[0]
    assert (channel.label, channel.units) == ("abcdefghijklmnop", "µV")


@pytest.mark.parametrize("period, rate", [(1, 30_000.0), (30, 1000.0), (15, 2000.0)])
def test_sampling_rates(tmp_path, period, rate):
    path = write(tmp_path, [SAMPLES], period=period)
    assert read_nsx_header(path).sampling_rate == rate
    assert ticks_of(path) == [(3000, 0, 2999 * period)]
    assert open_with_neo(path).get_signal_sampling_rate() == rate


def test_the_headers_are_read_and_nothing_else(tmp_path):
    path = write(tmp_path, [SAMPLES])
    path.write_bytes(path.read_bytes()[:HEADER])
    assert [channel.label for channel in read_nsx_header(path).channels] == ["analog 1", "raw 9", "raw 97"]


@pytest.mark.parametrize("spec", SPECS)
def test_parts_of_a_block(tmp_path, spec):
    file = NsxFile(write(tmp_path, [SAMPLES], spec))
    (block,) = file.blocks
    for start, stop in ((0, 1), (2999, 3000), (1000, 1128), (5, 5), (0, 3000)):
        np.testing.assert_array_equal(file.read(block, start, stop), SAMPLES[start:stop])


@pytest.mark.parametrize("spec", SPECS)
def test_blocks_after_pauses(tmp_path, spec):
    clock = ripple.clock_hz(spec) // 30  # ticks in 1000 samples, for ns rounded
    second, third = 3 * clock, 10 * clock
    parts = [SAMPLES[:700], DataBlock(second), SAMPLES[700:701], DataBlock(third), SAMPLES[701:]]
    path = write(tmp_path, parts, spec, timestamp=11)
    read = read_all(path)
    assert [len(block) for block in read] == [700, 1, 2299]
    np.testing.assert_array_equal(np.concatenate(read), SAMPLES)
    scale = ripple.clock_hz(spec) / 30_000
    expected = [(700, 11, 11 + int(699 * scale)), (1, second, second), (2299, third, third + int(2298 * scale))]
    assert ticks_of(path) == expected


@pytest.mark.parametrize("spec", ["2.2", "2.3"])
def test_blocks_are_the_segments_of_neo(tmp_path, spec):
    path = write(tmp_path, [SAMPLES[:700], DataBlock(9000), SAMPLES[700:]], spec)
    reader = open_with_neo(path)
    assert reader.segment_count(0) == 2
    for segment, block in enumerate(read_all(path)):
        np.testing.assert_array_equal(block, reader.get_analogsignal_chunk(0, segment, stream_index=0))


@pytest.mark.parametrize("spec", ["2.2", "2.3", "3.0"])
def test_blocks_without_a_pause_between_are_one_stretch(tmp_path, spec):
    parts = [SAMPLES[:700], DataBlock(700), SAMPLES[700:701], DataBlock(701), SAMPLES[701:2000]]
    path = write(tmp_path, [*parts, DataBlock(2001), SAMPLES[2000:]], spec)
    assert ticks_of(path) == [(2000, 0, 1999), (1000, 2001, 3000)]
    file = NsxFile(path)
    for start, stop in ((0, 2000), (699, 702), (700, 701), (701, 1999), (650, 750), (3, 3)):
        np.testing.assert_array_equal(file.read(file.blocks[0], start, stop), SAMPLES[start:stop])
    np.testing.assert_array_equal(file.read(file.blocks[1], 0, 1000), SAMPLES[2000:])


def test_a_block_that_begins_within_half_a_sample_adjoins(tmp_path):
    # 1 kHz of a 30 kHz clock: samples are 30 ticks apart
    path = write(tmp_path, [SAMPLES[:100], DataBlock(3015), SAMPLES[100:]], period=30)
    assert ticks_of(path) == [(3000, 0, 3015 + 2899 * 30)]
    path = write(tmp_path, [SAMPLES[:100], DataBlock(3016), SAMPLES[100:]], period=30)
    assert [n for n, *_ in ticks_of(path)] == [100, 2900]


def test_a_clock_reset_begins_a_stretch(tmp_path):
    path = write(tmp_path, [SAMPLES[:700], DataBlock(0), SAMPLES[700:]], timestamp=500)
    assert ticks_of(path) == [(700, 500, 1199), (2300, 0, 2299)]


def test_time_stamps_of_8_bytes(tmp_path):
    path = write(tmp_path, [SAMPLES], "3.0", timestamp=2**40)
    assert ticks_of(path) == [(3000, 2**40, 2**40 + 2999)]


def set_ptp_ticks(path, ticks):
    data = bytearray(path.read_bytes())
    stride = 13 + 2 * len(CHANNELS)
    for k, tick in enumerate(ticks):
        struct.pack_into("<Q", data, HEADER + k * stride + 1, int(tick))
    path.write_bytes(data)


def test_ptp_jitter_within_half_a_period_is_no_gap(tmp_path):
    path = write(tmp_path, [SAMPLES], "3.0-ptp")
    period = 1e9 / 30_000
    ticks = np.arange(3000) * period
    ticks[1::2] += 0.49 * period  # steps of 1.49 and 0.51 periods
    set_ptp_ticks(path, ticks)
    assert ticks_of(path) == [(3000, 0, int(ticks[-1]))]


@pytest.mark.parametrize("at", [1, 1500, 2999])
def test_ptp_gap_of_one_lost_sample(tmp_path, at):
    path = write(tmp_path, [SAMPLES], "3.0-ptp")
    ticks = np.arange(3000, dtype=np.int64) * 100_000 // 3
    ticks[at:] += 33_333
    set_ptp_ticks(path, ticks)
    assert ticks_of(path) == [(at, 0, ticks[at - 1]), (3000 - at, ticks[at], ticks[-1])]
    np.testing.assert_array_equal(np.concatenate(read_all(path)), SAMPLES)


def test_ptp_clock_that_runs_backwards_begins_a_stretch(tmp_path):
    path = write(tmp_path, [SAMPLES], "3.0-ptp")
    ticks = np.arange(3000, dtype=np.int64) * 100_000 // 3 + 10**9
    ticks[2000:] -= 10**9
    set_ptp_ticks(path, ticks)
    assert [block[:2] for block in ticks_of(path)] == [(2000, 10**9), (1000, ticks[2000])]


def test_ptp_stretches_across_the_pieces_in_which_ticks_are_read(tmp_path):
    # the time stamps are read 2**18 at a time: gaps at that border, before and after it
    n = 2**18 + 10
    samples = np.arange(n, dtype=np.int64).astype(np.int16)[:, None]
    borders = [2**18 - 1, 2**18, 2**18 + 1]
    parts = [samples[: borders[0]]]
    for k, (begin, end) in enumerate(zip(borders, [*borders[1:], n], strict=True)):
        parts += [DataBlock(10**11 + k * 10**9), samples[begin:end]]
    path = write(tmp_path, parts, "3.0-ptp", channels=[ripple.raw_channel(9)])
    assert [block[0] for block in ticks_of(path)] == [2**18 - 1, 1, 1, 9]


def test_one_sample_is_a_recording(tmp_path):
    for spec in SPECS:
        path = write(tmp_path, [SAMPLES[:1]], spec, timestamp=5)
        assert ticks_of(path) == [(1, 5, 5)]
        np.testing.assert_array_equal(read_all(path)[0], SAMPLES[:1])


@pytest.mark.parametrize("spec", SPECS)
def test_a_file_of_headers_alone(tmp_path, spec):
    path = write(tmp_path, [SAMPLES], spec)
    path.write_bytes(path.read_bytes()[:HEADER])
    with pytest.raises(FormatError, match=r"rec\.ns5: headers but no samples"):
        _ = NsxFile(path).blocks


@pytest.mark.parametrize("length", [9, 100, 313])
def test_a_file_cut_off_within_the_basic_header(tmp_path, length):
    path = write(tmp_path, [SAMPLES])
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(FormatError, match=rf"{length} bytes, too short for a header of 314"):
        NsxFile(path)


def test_a_file_cut_off_within_the_channel_headers(tmp_path):
    path = write(tmp_path, [SAMPLES])
    path.write_bytes(path.read_bytes()[: HEADER - 1])
    with pytest.raises(FormatError, match=f"the file says {HEADER} and has {HEADER - 1}"):
        NsxFile(path)


@pytest.mark.parametrize("spec, head", [("2.2", 9), ("2.3", 9), ("3.0", 13)])
def test_a_file_cut_off_within_a_block_header(tmp_path, spec, head):
    path = write(tmp_path, [SAMPLES[:10], DataBlock(500), SAMPLES[10:]], spec)
    position = HEADER + head + 10 * 6
    path.write_bytes(path.read_bytes()[: position + head - 1])
    expected = f"found {head - 1} bytes of a block's {head}-byte header at byte {position}; the file is cut off"
    with pytest.raises(FormatError, match=expected):
        _ = NsxFile(path).blocks


@pytest.mark.parametrize("spec", ["2.2", "2.3", "3.0"])
@pytest.mark.parametrize("cut, n", [(1, 2999), (6, 2999), (7, 2998), (3000 * 6, 0)])
def test_a_file_cut_off_within_the_samples(tmp_path, spec, cut, n):
    path = write(tmp_path, [SAMPLES], spec, timestamp=40)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(FormatError, match=f"found {n} of the 3000 samples of the block at tick 40; the file is cut"):
        _ = NsxFile(path).blocks


@pytest.mark.parametrize("cut", [1, 6, 18])
def test_a_ptp_file_cut_off_within_a_packet(tmp_path, cut):
    path = write(tmp_path, [SAMPLES], "3.0-ptp")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(FormatError, match=f"found 2999 packets of 19 bytes and {19 - cut} bytes more; the file is cut"):
        _ = NsxFile(path).blocks


@pytest.mark.parametrize("spec", ["2.2", "3.0"])
def test_a_block_of_no_samples(tmp_path, spec):
    """What a recorder leaves behind that crashed: it writes a block's length when the block ends."""
    path = write(tmp_path, [SAMPLES], spec)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, HEADER + (9 if spec == "2.2" else 13) - 4, 0)
    path.write_bytes(data)
    with pytest.raises(FormatError, match=rf"a block of 0 samples at byte {HEADER} \(the recorder writes the number"):
        _ = NsxFile(path).blocks


@pytest.mark.parametrize("spec", ["2.2", "2.3", "3.0"])
def test_garbage_after_the_data(tmp_path, spec):
    path = write(tmp_path, [SAMPLES], spec)
    position = path.stat().st_size
    with open(path, "ab") as file:
        file.write(b"\xee" * 100)
    with pytest.raises(FormatError, match=rf"data block \(byte 1\) at byte {position}, found byte 238; .* is damaged"):
        _ = NsxFile(path).blocks


def test_garbage_among_ptp_packets(tmp_path):
    path = write(tmp_path, [SAMPLES], "3.0-ptp")
    data = bytearray(path.read_bytes())
    data[HEADER + 19 * 1000] = 7
    path.write_bytes(data)
    with pytest.raises(FormatError, match="packets of one sample mixed with others"):
        _ = NsxFile(path).blocks


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    file = NsxFile(write(tmp_path, [SAMPLES]))
    (block,) = file.blocks
    file.path.write_bytes(file.path.read_bytes()[:-600])
    with pytest.raises(FormatError, match="it changed while it was read"):
        file.read(block, 2000, 3000)


def test_specification_2_1_has_no_scale_and_is_refused(tmp_path):
    path = write(tmp_path, [SAMPLES], "2.1")
    with pytest.raises(FormatError, match=r"NSx spec 2\.1 \(NEURALSG\) has no labels, units or scaling"):
        NsxFile(path)


@pytest.mark.parametrize("content", [b"", b"NEUCDFLT" + bytes(400), b"NEURALEV" + bytes(400)])
def test_what_is_no_nsx(tmp_path, content):
    path = tmp_path / "rec.ns5"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"rec\.ns5: expected an NSx file .*, found " + repr(content[:8])):
        NsxFile(path)


@pytest.mark.parametrize(
    "offset, change, message",
    [
        (8, struct.pack("<BB", 2, 4), r"NSx spec 2\.4 found; specs 2\.2, 2\.3 and 3\.0 are read"),
        (10, struct.pack("<I", HEADER + 1), f"the file says {HEADER + 1}"),
        (10, struct.pack("<I", 2**32 - 1), "the file says 4294967295"),
        (310, struct.pack("<I", 4), "66 x 4 channels"),
        (286, struct.pack("<I", 0), "period 0 and 30000 ticks/s cannot be right"),
        (290, struct.pack("<I", 0), "period 1 and 0 ticks/s cannot be right"),
        (314 + 66, b"XX", r"expected 'CC' at the header of channel 2, found b'XX'"),
        (314 + 66 + 22, struct.pack("<hh", 5, 5), "channel 'raw 9' has an empty digital range"),
    ],
)
def test_a_header_that_cannot_be_right(tmp_path, offset, change, message):
    path = write(tmp_path, [SAMPLES])
    data = bytearray(path.read_bytes())
    data[offset : offset + len(change)] = change
    path.write_bytes(data)
    with pytest.raises(FormatError, match=message):
        NsxFile(path)


def test_a_damaged_header_length_does_not_read_the_whole_file(tmp_path):
    path = tmp_path / "a.ns5"
    ripple.write_nsx(path, [ripple.raw_channel(1)], [np.zeros((3_000_000, 1), np.int16)])
    content = bytearray(path.read_bytes())
    content[10:14] = (5_000_000).to_bytes(4, "little")
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(FormatError, match="the file says 5000000"):
        read_nsx_header(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


def test_where_the_samples_of_a_stretch_end():
    block = nsx.DataBlock(((100, 10), (500, 5)), 15, 8, 0, 14)
    assert [block.byte_after(n) for n in (0, 1, 10, 11, 15)] == [100, 108, 180, 508, 540]
