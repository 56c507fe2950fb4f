"""Digital events: against neo where it is right, against what was written where it is not."""

import struct

import neo.rawio
import numpy as np
import pytest

from hippflow.demo import ripple
from hippflow.demo.ripple import PARALLEL, SERIAL, SMA1, Comment, Digital, Spike
from hippflow.errors import FormatError
from hippflow.io.nev import read_digital_events, read_nev_header, recording_start

CHANNELS = [ripple.raw_channel(9)]
SPECS = ["2.1", "2.2", "2.3", "3.0"]
#: 2018-11-05 10:59:11 in ns since 1970.
EPOCH = 1_541_415_551_000_000_000


def write(folder, events, spec="2.2", **options):
    path = folder / "rec.nev"
    ripple.write_nev(path, events, spec=spec, channels=CHANNELS, **options)
    return path


def read_with_neo(folder, spec):
    """Ticks and codes as neo sees them; it wants a recording beside the events."""
    ripple.write_nsx(folder / "rec.ns5", CHANNELS, [np.zeros((30_000, 1), np.int16)], spec=spec)
    reader = neo.rawio.BlackrockRawIO(str(folder / "rec"), nsx_to_load=5)
    reader.parse_header()
    channel = reader.header["event_channels"]["name"].tolist().index("digital_input_port")
    ticks, _, labels = reader.get_event_timestamps(0, 0, channel)
    return ticks.tolist(), labels.astype(int).tolist()


def events_of(path):
    events = read_digital_events(path)
    return events.ticks.tolist(), events.codes.tolist()


@pytest.mark.parametrize("spec", SPECS)
def test_codes_and_ticks_are_those_of_neo(tmp_path, spec):
    rng = np.random.default_rng(3)
    ticks = np.sort(rng.choice(30_000, 200, replace=False))
    codes = rng.integers(0, 2**16, 200)
    path = write(tmp_path, ripple.marker_events(ticks, codes), spec)
    assert events_of(path) == (ticks.tolist(), codes.tolist())
    assert events_of(path) == read_with_neo(tmp_path, spec)
    events = read_digital_events(path)
    assert (events.codes.dtype, events.ticks.dtype) == (np.uint16, np.int64)
    assert (events.tick_rate, events.sampling_rate, events.high_byte) == (30_000, 30_000, 0)


@pytest.mark.parametrize("spec", SPECS)
def test_words_that_came_with_sma_are_kept(tmp_path, spec):
    ticks, codes = [100, 130, 500, 530], [84, 0, 11, 0]
    path = write(tmp_path, ripple.marker_events(ticks, codes, combined_every=2), spec)
    assert events_of(path) == (ticks, codes)
    if spec == "2.2":  # neo leaves out packets of two reasons, of this specification
        assert read_with_neo(tmp_path, spec) == ([100, 500], [84, 11])


@pytest.mark.filterwarnings("ignore:Unknown event codes found")  # neo, of SMA packets
@pytest.mark.parametrize("spec", SPECS)
def test_sma_and_serial_packets_are_no_words(tmp_path, spec):
    events = [
        Digital(10, 84),
        Digital(20, 7, reason=SMA1, sma=(1, 0, 0, 0)),
        Digital(30, 65, reason=PARALLEL | SERIAL),
        Digital(40, 66, reason=SERIAL),
        Digital(50, 11),
    ]
    path = write(tmp_path, events, spec)
    assert events_of(path) == ([10, 50], [84, 11])
    assert events_of(path) == read_with_neo(tmp_path, spec)


@pytest.mark.parametrize("spec", ["2.3", "3.0"])
def test_comments_are_no_words(tmp_path, spec):
    path = write(tmp_path, [Digital(10, 84), Comment(15, "Picasso drinks"), Digital(20, 0)], spec)
    assert events_of(path) == ([10, 20], [84, 0])
    assert events_of(path) == read_with_neo(tmp_path, spec)


def test_spikes_are_no_words_and_may_be_late(tmp_path):
    spikes = [Spike(12, 9, 1, np.arange(40, dtype=np.int16)), Spike(5, 9, 1, np.arange(40, dtype=np.int16))]
    path = write(tmp_path, [Digital(10, 84), *spikes, Digital(20, 0)])
    assert events_of(path) == ([10, 20], [84, 0])


def test_a_constant_high_byte_is_taken_off(tmp_path):
    path = write(tmp_path, ripple.marker_events([1, 2, 3], [0xFF54, 0xFF00, 0xFF0B]))
    events = read_digital_events(path)
    assert (events.codes.tolist(), events.high_byte) == ([0x54, 0, 0x0B], 0xFF)


def test_a_high_byte_that_varies_is_kept(tmp_path):
    path = write(tmp_path, ripple.marker_events([1, 2, 3], [0xFF54, 0x0000, 0xFF0B]))
    events = read_digital_events(path)
    assert (events.codes.tolist(), events.high_byte) == ([0xFF54, 0, 0xFF0B], 0)


@pytest.mark.parametrize("spec", SPECS)
def test_no_events(tmp_path, spec):
    path = write(tmp_path, [], spec)
    events = read_digital_events(path)
    assert (events.codes.tolist(), events.ticks.tolist(), events.high_byte) == ([], [], 0)
    assert (events.codes.dtype, events.ticks.dtype) == (np.uint16, np.int64)
    assert recording_start(path) == 0


def test_two_events_at_one_tick_are_kept_in_their_order(tmp_path):
    path = write(tmp_path, [Digital(7, 84), Digital(7, 0)])
    assert events_of(path) == ([7, 7], [84, 0])


@pytest.mark.parametrize("spec", SPECS)
def test_a_clock_that_runs_backwards_is_an_error(tmp_path, spec):
    path = write(tmp_path, ripple.marker_events([100, 130, 90], [84, 0, 11]), spec)
    with pytest.raises(FormatError, match=r"rec\.nev: digital event 3 is at tick 90, before event 2 at tick 130"):
        read_digital_events(path)


def test_an_epoch_clock_starts_at_the_first_packet(tmp_path):
    events = [Comment(EPOCH, "start"), Digital(EPOCH + 5_000_000, 84), Digital(EPOCH + 6_000_000, 0)]
    path = write(tmp_path, events, "3.0-ptp")
    assert recording_start(path) == EPOCH
    assert events_of(path) == ([5_000_000, 6_000_000], [84, 0])
    assert read_digital_events(path).tick_rate == 1_000_000_000


def test_a_ptp_clock_that_counts_from_the_start_stays(tmp_path):
    path = write(tmp_path, [Digital(5_000_000, 84)], "3.0-ptp")
    assert recording_start(path) == 0
    assert events_of(path) == ([5_000_000], [84])


def test_rates_are_those_of_the_header(tmp_path):
    path = write(tmp_path, [Digital(8, 84)])
    data = bytearray(path.read_bytes())
    struct.pack_into("<II", data, 20, 10_000, 20_000)
    path.write_bytes(data)
    events = read_digital_events(path)
    assert (events.tick_rate, events.sampling_rate, events.ticks.tolist()) == (10_000, 20_000, [8])


@pytest.mark.parametrize("packet_bytes", [20, 104, 108])
def test_packets_of_any_length(tmp_path, packet_bytes):
    path = write(tmp_path, ripple.marker_events([1, 2, 3], [84, 0, 11]), packet_bytes=packet_bytes)
    assert read_nev_header(path).packet_bytes == packet_bytes
    assert events_of(path) == ([1, 2, 3], [84, 0, 11])


@pytest.mark.parametrize("cut", [1, 50, 107])
def test_a_file_cut_off_within_a_packet(tmp_path, cut):
    path = write(tmp_path, ripple.marker_events([1, 2], [84, 0]))
    path.write_bytes(path.read_bytes()[:-cut])
    for read in (read_digital_events, recording_start):
        with pytest.raises(FormatError, match=r"rec\.nev: expected whole packets of 108 bytes .* is cut off"):
            read(path)


def test_a_file_cut_off_within_its_headers(tmp_path):
    path = write(tmp_path, [Digital(1, 84)])
    whole = path.read_bytes()
    path.write_bytes(whole[:340])  # in the extended headers
    with pytest.raises(FormatError, match="is cut off"):
        read_digital_events(path)
    path.write_bytes(whole[:200])
    with pytest.raises(FormatError, match="200 bytes, too short for a header of 336"):
        read_digital_events(path)


@pytest.mark.parametrize("content", [b"", b"NEURALCD" + bytes(400), b"<html>not found</html>"])
def test_what_is_no_nev(tmp_path, content):
    path = tmp_path / "rec.nev"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"rec\.nev: expected a NEV file .*, found " + repr(content[:8])):
        read_digital_events(path)


def test_a_specification_that_is_not_read(tmp_path):
    path = write(tmp_path, [Digital(1, 84)])
    data = bytearray(path.read_bytes())
    data[8:10] = bytes([2, 0])
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"NEV spec 2\.0 found; specs 2\.1, 2\.2, 2\.3 and 3\.0 are read"):
        read_digital_events(path)


@pytest.mark.parametrize(
    "spec, offset, value",
    [("2.2", 12, 100), ("2.2", 16, 9), ("3.0", 16, 13), ("2.2", 20, 0), ("2.2", 24, 0)],
    ids=["header length", "packet length", "packet length of 3.0", "tick rate", "sampling rate"],
)
def test_a_header_that_cannot_be_right(tmp_path, spec, offset, value):
    path = write(tmp_path, [], spec)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, offset, value)
    path.write_bytes(data)
    with pytest.raises(FormatError, match="cannot be right; the file is damaged"):
        read_digital_events(path)
