import itertools

import numpy as np
import pytest

from hippflow.demo.signal import ANALOG_GAIN, RAW_GAIN, ChannelNoise, SessionSignal, noise_level
from hippflow.demo.timeline import make_session
from hippflow.demo.units import PEAK_INDEX, band_passed

SESSION = make_session("session01", "navigation", seconds=4.5, seed=1)
NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.float32))


def signal_of(spikes, templates=None, seed=1):
    return SessionSignal(
        SESSION, spikes, templates or {channel: np.zeros((0, 64), np.float32) for channel in spikes}, seed
    )


def test_samples_do_not_depend_on_how_they_are_read():
    whole = signal_of({9: NOTHING, 31: NOTHING}).read(0, 135_000)
    assert whole.shape == (135_000, 6) and whole.dtype == np.int16
    other = signal_of({31: NOTHING, 9: NOTHING})
    borders = [0, 1, 29_999, 30_000, 45_678, 90_001, 135_000, 140_000]
    pieces = [other.read(a, b) for a, b in itertools.pairwise(borders)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole[:, [0, 1, 2, 3, 5, 4]])
    np.testing.assert_array_equal(other.read(60_000, 60_100), whole[60_000:60_100, [0, 1, 2, 3, 5, 4]])


def test_a_spike_is_whole_wherever_it_lies():
    template = np.round(np.linspace(-400, 400, 64)).astype(np.float32)[None]
    peaks = np.array([PEAK_INDEX, 29_990, 59_999, 60_015, 90_000 + PEAK_INDEX, 134_000])
    train = (peaks, np.zeros(peaks.size, np.uint8), np.ones(peaks.size, np.float32))
    with_spikes = signal_of({9: train}, {9: template}).read(0, 135_000)
    without = signal_of({9: NOTHING}).read(0, 135_000)
    expected = np.zeros(135_000)
    for peak in peaks:
        expected[peak - PEAK_INDEX : peak - PEAK_INDEX + 64] += template[0]
    difference = RAW_GAIN * (with_spikes[:, 4].astype(int) - without[:, 4])
    assert abs(difference - expected).max() <= RAW_GAIN
    np.testing.assert_array_equal(with_spikes[:, :4], without[:, :4])


def test_noise_has_the_level_and_spectrum_of_a_recording():
    signal = signal_of({9: NOTHING, 31: NOTHING}).read(0, 120_000)[:, 4:] * RAW_GAIN
    for column, channel in zip(signal.T, (9, 31), strict=True):
        filtered = band_passed(column)
        level = np.median(abs(filtered)) / 0.6745
        assert level == pytest.approx(noise_level(1, channel), rel=0.03) and 5.5 < level < 8
        assert abs(np.diff(filtered[29_000:31_000])).max() < 8 * level  # no step where two seconds meet
        power = abs(np.fft.rfft(column)) ** 2  # bins of 0.25 Hz
        theta, beta, gamma = (power[4 * low : 4 * high].mean() for low, high in ((7, 9), (20, 30), (60, 90)))
        assert theta > 5 * beta > 5 * 2 * gamma
        assert power[200] > 20 * np.median(power[180:220])
        assert 30 < column.std() < 100
    assert 0.4 < np.corrcoef(signal.T)[0, 1] < 0.95


def test_lfp_and_hash_go_on_from_one_second_to_the_next():
    noise = ChannelNoise(seed=1, channel=9)
    noise.white = np.float32(0)
    signal = np.concatenate([noise.second("session01", i, np.zeros(1001)) for i in range(300)])
    milliseconds = signal.reshape(-1, 30).mean(1)
    jumps = abs(np.diff(milliseconds))
    assert jumps[999::1000].mean() == pytest.approx(jumps.mean(), rel=0.2)
    steepness = np.diff(signal, append=signal[-1]).reshape(300, 30_000) ** 2  # of the hash: the LFP is slow
    assert steepness[:, :40].mean() == pytest.approx(steepness.mean(), rel=0.25)
    assert steepness[:, -40:].mean() == pytest.approx(steepness.mean(), rel=0.25)


def test_the_photodiode_sees_the_cues():
    millivolt = signal_of({}).read(0, 135_000) * ANALOG_GAIN
    for trial in SESSION.trials:
        assert millivolt[trial.cue_onset : trial.cue_offset, 2].min() > 1100
        assert millivolt[trial.cue_offset : trial.end, 2].max() < 100
    assert millivolt[:, :2].min() > 900 and millivolt[:, :2].max() < 4100 and millivolt[:, :2].std() > 100


def test_seeds_and_sessions_differ():
    first = signal_of({9: NOTHING}).read(0, 1000)[:, 4].astype(float)
    other_seed = signal_of({9: NOTHING}, seed=2).read(0, 1000)[:, 4]
    eye = SessionSignal(make_session("sessioneye", "fixation", 2, 1), {9: NOTHING}, {9: np.zeros((0, 64))}, 1)
    assert not np.array_equal(first, other_seed) and not np.array_equal(first, eye.read(0, 1000)[:, 4])
