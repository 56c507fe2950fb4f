import datetime
import struct

import neo.rawio
import numpy as np
import pytest

from hippflow.demo import ripple
from hippflow.demo.ripple import Comment, DataBlock, Digital, Spike

CHANNELS = [ripple.analog_channel(1), ripple.raw_channel(9), ripple.raw_channel(97)]
RNG = np.random.default_rng(1)
SAMPLES = RNG.integers(-32768, 32768, (3000, 3)).astype(np.int16)
START = datetime.datetime(2018, 11, 5, 10, 59, 11, 250_000)


def write_pair(folder, spec, blocks, events=None, timestamp=0):
    if events is None:
        ticks = np.arange(100, 2900, 37) * ripple.clock_hz(spec) // 30_000
        events = ripple.marker_events(ticks, np.arange(ticks.size) * 997 % 65536)
    ripple.write_nsx(folder / "rec.ns5", CHANNELS, blocks, spec=spec, timestamp=timestamp, start=START)
    ripple.write_nev(folder / "rec.nev", events, spec=spec, channels=CHANNELS, start=START)
    return events


def read_pair(folder, **options):
    reader = neo.rawio.BlackrockRawIO(str(folder / "rec"), nsx_to_load=5, **options)
    reader.parse_header()
    return reader


def digital_events(reader):
    names = reader.header["event_channels"]["name"].tolist()
    ticks, _, labels = reader.get_event_timestamps(0, 0, names.index("digital_input_port"))
    return ticks.tolist(), labels.astype(int).tolist()


@pytest.mark.parametrize("spec", ripple.SPECS)
def test_neo_reads_back_samples_and_events(tmp_path, spec):
    events = write_pair(tmp_path, spec, [SAMPLES[:1000], SAMPLES[1000:1001], SAMPLES[1001:]])
    reader = read_pair(tmp_path)
    read = reader.get_analogsignal_chunk(0, 0, stream_index=0)
    n_seen = len(SAMPLES) - (spec == "2.1")  # neo leaves the last sample of a 2.1 file out
    np.testing.assert_array_equal(read, SAMPLES[:n_seen])
    assert digital_events(reader) == ([e.timestamp for e in events], [e.parallel for e in events])
    assert reader.raw_annotations["blocks"][0]["rec_datetime"] == START


@pytest.mark.parametrize("spec", ["2.2", "2.3", "3.0"])
def test_neo_reads_back_the_channel_headers(tmp_path, spec):
    write_pair(tmp_path, spec, [SAMPLES])
    reader = read_pair(tmp_path)
    channels = reader.header["signal_channels"]
    assert channels["name"].tolist() == ["analog 1", "raw 9", "raw 97"]
    assert channels["id"].tolist() == ["10241", "9", "97"]
    assert channels["units"].tolist() == ["mV", "uV", "uV"]
    assert channels["gain"].tolist() == [5000 / 32767, 0.25, 0.25]
    assert channels["offset"].tolist() == [0, 0, 0]
    assert set(channels["sampling_rate"]) == {30000.0}
    if spec != "3.0":
        notes = reader.raw_annotations["blocks"][0]["segments"][0]["signals"][0]["__array_annotations__"]
        assert notes["physical_connector"].tolist() == [0, 0, 3]
        assert notes["connector_pin"].tolist() == [1, 9, 1]
        assert notes["hi_freq_corner"].tolist() == [300] * 3 and notes["lo_freq_corner"].tolist() == [7_500_000] * 3
        assert notes["hi_freq_order"].tolist() == [1] * 3 and notes["lo_freq_order"].tolist() == [3] * 3


@pytest.mark.parametrize("spec", ["2.2", "2.3", "3.0"])
def test_neo_sees_a_pause_as_a_second_segment(tmp_path, spec):
    events = ripple.marker_events([10, 40, 60_000], [84, 0, 11])
    write_pair(tmp_path, spec, [SAMPLES[:500], SAMPLES[500:1000], DataBlock(60_000), SAMPLES[1000:]], events)
    # neo matches events and segments of a paused recording well for 2.3 only
    reader = read_pair(tmp_path, load_nev=spec == "2.3")
    assert reader.segment_count(0) == 2
    np.testing.assert_array_equal(reader.get_analogsignal_chunk(0, 0, stream_index=0), SAMPLES[:1000])
    np.testing.assert_array_equal(reader.get_analogsignal_chunk(0, 1, stream_index=0), SAMPLES[1000:])
    assert reader.get_signal_t_start(0, 1, 0) == 2.0


def test_neo_sees_a_ptp_pause_in_the_times(tmp_path):
    write_pair(tmp_path, "3.0-ptp", [SAMPLES[:1000], DataBlock(2_000_000_000), SAMPLES[1000:]], timestamp=500)
    reader = read_pair(tmp_path, gap_tolerance_ms=1.0)
    assert [reader.get_signal_size(0, segment, 0) for segment in (0, 1)] == [1000, 2000]
    assert reader.get_signal_t_start(0, 0, 0) == 5e-7 and reader.get_signal_t_start(0, 1, 0) == 2.0
    np.testing.assert_array_equal(reader.get_analogsignal_chunk(0, 1, stream_index=0), SAMPLES[1000:])


def test_neo_reads_back_spikes_and_comments(tmp_path):
    waveform = np.arange(50, dtype=np.int16) - 25
    events = [Digital(5, 84), Spike(20, 9, 1, waveform), Comment(30, "pause"), Spike(40, 9, 1, -waveform)]
    write_pair(tmp_path, "2.3", [SAMPLES], events)
    reader = read_pair(tmp_path)
    assert reader.header["spike_channels"]["name"].tolist() == ["ch9#1"]
    assert reader.header["spike_channels"]["wf_gain"].tolist() == [0.25]
    assert reader.get_spike_timestamps(0, 0, 0).tolist() == [20, 40]
    np.testing.assert_array_equal(reader.get_spike_raw_waveforms(0, 0, 0)[:, 0], [waveform, -waveform])
    comments = reader.header["event_channels"]["name"].tolist().index("comments")
    assert reader.get_event_timestamps(0, 0, comments)[2].tolist() == ["pause"]


def test_neo_misses_combined_packets_of_spec_22_only(tmp_path):
    events = ripple.marker_events(range(100, 700, 100), [84, 0, 11, 0, 21, 0], combined_every=3)
    write_pair(tmp_path, "2.2", [SAMPLES], events)
    assert digital_events(read_pair(tmp_path))[1] == [84, 0, 0, 21]
    write_pair(tmp_path, "2.3", [SAMPLES], events)
    with pytest.warns(RuntimeWarning, match="Unknown event codes"):
        assert digital_events(read_pair(tmp_path))[1] == [84, 0, 11, 0, 21, 0]


def test_bytes_of_a_small_22_recording(tmp_path):
    write_pair(
        tmp_path, "2.2", [SAMPLES[:2]], [Digital(2**32 + 7, 300, reason=3, sma=(1, 2, 3, 4))], timestamp=2**32 + 9
    )
    nsx, nev = ((tmp_path / f"rec.{end}").read_bytes() for end in ("ns5", "nev"))
    assert nsx[:14] == b"NEURALCD\x02\x02" + struct.pack("<I", 314 + 66 * 3)
    assert struct.unpack_from("<II8HI", nsx, 286) == (1, 30000, 2018, 11, 1, 5, 10, 59, 11, 250, 3)
    assert nsx[314 + 66 :][:20] == b"CC\x09\x00raw 9".ljust(20, b"\0")
    assert nsx[314 + 66 * 3 :] == struct.pack("<BII", 1, 9, 2) + SAMPLES[:2].astype("<i2").tobytes()
    assert nev[:12] == b"NEURALEV\x02\x02\x01\x00"
    assert struct.unpack_from("<IIII", nev, 12) == (336 + 32 * 10, 108, 30000, 30000)
    assert nev[-108:] == struct.pack("<IHBBH4H", 7, 0, 3, 0, 300, 1, 2, 3, 4).ljust(108, b"\0")


def test_sampling_interval_of_slower_files(tmp_path):
    ripple.write_nsx(tmp_path / "rec.ns2", CHANNELS, [SAMPLES], period=30)
    reader = neo.rawio.BlackrockRawIO(str(tmp_path / "rec"), nsx_to_load=2)
    reader.parse_header()
    assert reader.get_signal_sampling_rate(0) == 1000


def test_what_a_specification_cannot_hold_is_refused_and_leaves_no_file(tmp_path):
    path = tmp_path / "rec.ns5"
    with pytest.raises(ValueError, match=r"2\.1 knows no second data block"):
        ripple.write_nsx(path, CHANNELS, [SAMPLES, DataBlock(1)], spec="2.1")
    with pytest.raises(ValueError, match=r"int16 \(n, 3\), not float64 \(3000, 3\)"):
        ripple.write_nsx(path, CHANNELS, [SAMPLES.astype(float)])
    with pytest.raises(ValueError, match=r"unknown specification '2\.4'"):
        ripple.write_nsx(path, CHANNELS, [SAMPLES], spec="2.4")
    with pytest.raises(ValueError, match=r"2\.2 knows no comments"):
        ripple.write_nev(tmp_path / "rec.nev", [Comment(1, "x")])
    with pytest.raises(ValueError, match="Spike needs 208 bytes, a packet has 108"):
        ripple.write_nev(tmp_path / "rec.nev", [Spike(1, 9, 0, np.zeros(100))])
    assert list(tmp_path.iterdir()) == []
