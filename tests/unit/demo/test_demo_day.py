import hashlib
import tracemalloc

import neo.rawio
import numpy as np
import pytest

from hippflow.demo.day import EXERCISE_CHANNELS, write_demo_day
from hippflow.demo.truth import load_truth
from hippflow.demo.units import PEAK_INDEX, band_passed
from hippflow.errors import ConfigError

FILES = {"session01": "181105_Block1", "sessioneye": "181105_DST"}


def read_session(day_dir, session):
    reader = neo.rawio.BlackrockRawIO(str(day_dir / session / FILES[session]), nsx_to_load=5)
    reader.parse_header()
    return reader


def raw_channels(day_dir, session):
    """Read the raw channels with neo, int16 (n, channels)."""
    return read_session(day_dir, session).get_analogsignal_chunk(0, 0, stream_index=0)[:, 4:]


def digests(folder):
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.*")}


@pytest.mark.parametrize("session", FILES)
def test_neo_reads_the_day_that_the_truth_tells(small_day, session):
    reader, truth = read_session(small_day, session), load_truth(small_day)
    channels = reader.header["signal_channels"]
    assert channels["name"].tolist() == [f"analog {i}" for i in (1, 2, 3, 4)] + [f"raw {c}" for c in (9, 34, 56, 120)]
    assert channels["units"].tolist() == ["mV"] * 4 + ["uV"] * 4
    assert channels["gain"].tolist() == [5000 / 32767] * 4 + [0.25] * 4
    notes = reader.raw_annotations["blocks"][0]["segments"][0]["signals"][0]["__array_annotations__"]
    assert (notes["physical_connector"][4:] + 1).tolist() == [channel.array for channel in truth.channels.values()]
    assert reader.get_signal_size(0, 0, 0) == truth.sessions[session].n_samples
    names = reader.header["event_channels"]["name"].tolist()
    ticks, _, labels = reader.get_event_timestamps(0, 0, names.index("digital_input_port"))
    np.testing.assert_array_equal(ticks, truth.sessions[session].raw_ticks)
    np.testing.assert_array_equal(labels.astype(int), truth.sessions[session].raw_codes)


def test_neo_finds_the_trials_where_the_truth_has_them(default_day):
    truth = load_truth(default_day)
    for session in truth.sessions.values():
        codes, ticks = session.raw_codes, session.raw_ticks
        assert len(session.trial_codes) >= 4
        np.testing.assert_array_equal(codes[codes > 0][1:].reshape(-1, 3), session.trial_codes)
        np.testing.assert_array_equal(ticks[codes > 0][1:].reshape(-1, 3), session.trial_ticks)
    assert truth.sessions["session01"].seconds == 60 and truth.sessions["sessioneye"].seconds == 30


def test_equal_seeds_give_equal_files(small_day, tmp_path):
    options = {"channels": [120, 56, 34, 9], "seconds": 3}
    same = write_demo_day(tmp_path / "same", **options)
    other = write_demo_day(tmp_path / "other", **options, seed=1)
    assert digests(same) == digests(small_day)
    assert len(digests(same)) == 9 and not set(digests(same).values()) & set(digests(other).values())


def test_default_day_has_one_empty_channel_and_one_unit_of_one_session(default_day):
    truth = load_truth(default_day)
    assert tuple(truth.channels) == EXERCISE_CHANNELS
    assert [channel.array for channel in truth.channels.values()] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert sum(not channel.units for channel in truth.channels.values()) == 1
    silent = [(unit, label) for (_, label), unit in truth.units.items() if unit.spikes["sessioneye"].size == 0]
    assert len(silent) == 1 and silent[0][1] == 1 and silent[0][0].sessions == ("session01",)
    assert silent[0][0].spikes["session01"].size > 200
    for unit in truth.units.values():
        assert all(np.diff(spikes).min(initial=10**6) >= unit.refractory >= 45 for spikes in unit.spikes.values())
        assert 4.5 <= unit.snr <= 12 and np.sign(unit.template[PEAK_INDEX]) == unit.polarity
    assert any(unit.follows for unit in truth.units.values()) and any(u.polarity > 0 for u in truth.units.values())


@pytest.mark.parametrize("session", FILES)
def test_spikes_have_the_stated_place_shape_and_snr(default_day, session):
    truth, raw = load_truth(default_day), raw_channels(default_day, session)
    n_checked = 0
    for column, (_, channel) in zip(raw.T, truth.channels.items(), strict=True):
        filtered = band_passed(column * 0.25)
        spikes = [unit.spikes[session] for unit in channel.units.values()]
        quiet = np.ones(filtered.size, bool)
        for peak in np.concatenate([np.zeros(0, int), *spikes]):
            quiet[max(0, peak - 40) : peak + 60] = False
        noise = np.median(abs(filtered[quiet])) / 0.6745
        assert noise == pytest.approx(channel.noise_uv, rel=0.03)
        for unit in channel.units.values():
            others = np.sort(np.concatenate([s for s in spikes if s is not unit.spikes[session]] or [np.zeros(0, int)]))
            at = unit.spikes[session]
            # spikes that no other unit overlaps, and which no burst has shrunk
            lone = np.searchsorted(others, at + 90) == np.searchsorted(others, at - 90)
            at = at[lone & (np.diff(at, prepend=-3000) > 1500)]
            if at.size < 30:
                continue
            mean = filtered[at[:, None] + np.arange(-PEAK_INDEX, 64 - PEAK_INDEX)].mean(0)
            expected = band_passed(np.pad(unit.template.astype(float), 500))[500:-500]
            assert abs(mean).argmax() == PEAK_INDEX
            assert abs(mean - expected).max() < 5 * noise / np.sqrt(at.size) + 0.03 * abs(expected).max()
            assert unit.polarity * mean[PEAK_INDEX] / noise == pytest.approx(unit.snr, rel=0.08)
            n_checked += 1
    assert n_checked >= 10


def test_shapes_are_the_same_in_a_longer_day(default_day, tmp_path):
    short = load_truth(write_demo_day(tmp_path, seconds=2))
    for key, unit in load_truth(default_day).units.items():
        np.testing.assert_array_equal(unit.template, short.units[key].template)


def test_memory_does_not_grow_with_the_session(tmp_path):
    peaks = []
    for seconds in (20, 60):
        tracemalloc.start()
        # the truth about gaze does grow
        write_demo_day(tmp_path / str(seconds), channels=4, seconds=seconds, behaviour=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_combined_packets_are_all_in_the_file(tmp_path):
    day_dir = write_demo_day(tmp_path, channels=[9], seconds=3, combined_every=4)
    truth = load_truth(day_dir).sessions["session01"]
    packets = np.frombuffer(
        (day_dir / "session01" / "181105_Block1.nev").read_bytes()[-108 * truth.raw_codes.size :], "u1"
    )
    packets = packets.reshape(-1, 108)
    assert np.unique(packets[:, 6], return_counts=True)[1].tolist() == [
        truth.raw_codes.size * 3 // 4 + 1,
        truth.raw_codes.size // 4,
    ]
    np.testing.assert_array_equal(packets[:, 8:10].copy().view("<u2")[:, 0], truth.raw_codes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": [9, 9]}, r"channels: expected different numbers in 1..128"),
        ({"channels": 0}, "channels:"),
        ({"channels": [129]}, "channels:"),
        ({"seconds": 1}, "at least 2 s; got 1"),
        ({"subject": "../x"}, "subject: expected letters only"),
        ({"day": "2018"}, "day: expected a date"),
    ],
)
def test_requests_that_make_no_sense_are_refused(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        write_demo_day(tmp_path, **options)
    assert not list(tmp_path.iterdir())
