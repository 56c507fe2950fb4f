"""What the electrodes and the analog inputs saw of the demo day.

Writes nothing: gives int16 samples, as the recorder stores them, of any stretch
of a session. Each second of each channel has a random stream of its own, so the
samples depend neither on the order nor on the size of the pieces that are asked
for, and memory does not grow with the session (only the spike times, which are
drawn beforehand, do: about 20 bytes per spike).

A raw channel is the sum of white noise (9.5 uV, give or take 15 %), hash of 30 units
too small to be sorted, LFP (1/f with a theta rhythm at 8 Hz, partly common to all
channels, about 55 uV rms), 50 Hz hum of 2 to 5 uV, and the spikes of its units. In
the 500-7500 Hz band the noise level (MAD / 0.6745) is then about 6 to 8 uV.
"""

from collections.abc import Mapping
from functools import cache, cached_property

import numpy as np
from scipy.special import ndtri

from hippflow.demo.timeline import TICKS_PER_SECOND, Session, generator
from hippflow.demo.units import PEAK_INDEX, TEMPLATE_SAMPLES, band_passed, spike_shape

#: Microvolt per bit of a raw channel; millivolt per bit of an analog channel.
RAW_GAIN, ANALOG_GAIN = 0.25, 5000 / 32767

#: The analog inputs: joystick x and y, photodiode on the cue, nothing connected.
N_ANALOG = 4

LFP_RATE = 1000
LFP_STEP = TICKS_PER_SECOND // LFP_RATE
N_HASH_UNITS = 30

# Frequencies of a two-second piece of LFP, and how large each is: 1/f, nothing above 150 Hz
# (linear interpolation to 30 kHz would show it in the spike band), and a bump at theta.
_FREQUENCIES = np.arange(1, 301) / 2
_PINK = 1 / np.maximum(_FREQUENCIES, 1) * np.exp(-((_FREQUENCIES / 100) ** 4))
_THETA = np.exp(-(((_FREQUENCIES - 8) / 0.7) ** 2) / 2)


def _spectrum(rms_pink: float, rms_theta: float) -> np.ndarray:
    """Scale the LFP's spectrum such that its two parts have these rms, in uV."""
    pink, theta = (part * rms / np.sqrt(2 * (part**2).sum()) for part, rms in ((_PINK, rms_pink), (_THETA, rms_theta)))
    return np.hypot(pink, theta) * 2 * LFP_RATE / np.sqrt(2)


_COMMON_LFP, _OWN_LFP = _spectrum(35, 28), _spectrum(25, 15)

# Cross-fade of two-second pieces: the power stays the same, the ends stay 0.
_RISE = np.sin(np.linspace(0, np.pi / 2, LFP_RATE + 1))
_FALL = _RISE[::-1]


@cache
def _normal_quantiles() -> np.ndarray:
    quantiles = ndtri((np.arange(2**16) + 0.5) / 2**16)
    return (quantiles / quantiles.std()).astype(np.float32)


def _white(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw white normal noise of unit variance, float32 (n,); `n` is a multiple of 4.

    Looking 16 random bits up among the quantiles takes about a quarter of the time of
    ``standard_normal``. It ends at 4.3 standard deviations; the sums of samples
    that a filter makes of it have longer tails again.
    """
    return _normal_quantiles().take(rng.bit_generator.random_raw(n // 4).astype("<u8", copy=False).view("<u2"))


def _lfp_piece(rng: np.random.Generator, spectrum: np.ndarray) -> np.ndarray:
    """Draw two seconds of LFP at 1 kHz, uV, (2000,), which are periodic."""
    parts = rng.standard_normal((2, spectrum.size))
    coefficients = np.zeros(LFP_RATE + 1, complex)
    coefficients[1 : spectrum.size + 1] = (parts[0] + 1j * parts[1]) * spectrum
    return np.fft.irfft(coefficients, 2 * LFP_RATE)


def _cross_fade(earlier: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Return the second that two pieces share and the first sample of the next, uV, (1001,)."""
    return np.append(earlier[LFP_RATE:], 0) * _FALL + now[: LFP_RATE + 1] * _RISE


def _interpolate(coarse: np.ndarray) -> np.ndarray:
    """Interpolate 1 kHz samples (1001,) linearly to one second at 30 kHz, (30000,)."""
    coarse = coarse.astype(np.float32)
    fraction = np.arange(LFP_STEP, dtype=np.float32) / LFP_STEP
    return (coarse[:-1, None] + np.diff(coarse)[:, None] * fraction).ravel()


def _add_spikes(signal: np.ndarray, starts: np.ndarray, waveforms: np.ndarray) -> None:
    """Add waveforms (n, TEMPLATE_SAMPLES) to a second of signal; parts outside it are left out."""
    padded = np.zeros(signal.size + 2 * TEMPLATE_SAMPLES, np.float32)
    where = starts[:, None] + np.arange(TEMPLATE_SAMPLES, 2 * TEMPLATE_SAMPLES)
    np.add.at(padded, where.ravel(), waveforms.ravel())
    signal += padded[TEMPLATE_SAMPLES:-TEMPLATE_SAMPLES]


@cache
def _hash_library() -> np.ndarray:
    """Shapes from which every channel's hash takes some; to draw new ones per channel takes seconds."""
    rng = generator(0, "hash library")
    return np.array([spike_shape(rng) for _ in range(4 * N_HASH_UNITS)])


class ChannelNoise:
    """Everything on a raw channel but its own units; the same neighbourhood in all sessions.

    Examples
    --------
    >>> noise = ChannelNoise(seed=1, channel=9)
    >>> second = noise.second("session01", 0, np.zeros(LFP_RATE + 1))
    >>> second.shape, second.dtype.name
    ((30000,), 'float32')
    """

    def __init__(self, seed: int, channel: int):
        self.seed, self.channel = seed, channel
        rng = generator(seed, "noise", channel)
        self.white = np.float32(rng.uniform(0.85, 1.15) * 9.5)
        sizes = 5 + 10 * rng.random((N_HASH_UNITS, 1)) ** 2
        self.hash_shapes = (sizes * rng.choice(_hash_library(), N_HASH_UNITS, replace=False)).astype(np.float32)
        self.hash_chances = np.cumsum(rng.uniform(2, 12, N_HASH_UNITS))
        hum = np.sin(2 * np.pi * (np.arange(LFP_RATE + 1) * 50 / LFP_RATE + rng.random()))
        self.hum = rng.uniform(2, 5) * hum
        self._kept: tuple = (None,)

    def _begin(self, session: str, piece: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray, np.ndarray]:
        """Draw what lasts longer than a second: starts and waveforms of the hash, and a piece of LFP."""
        rng = generator(self.seed, "second", session, self.channel, piece)
        n_spikes = rng.poisson(self.hash_chances[-1])
        which = np.searchsorted(self.hash_chances, rng.random(n_spikes) * self.hash_chances[-1])
        starts = rng.integers(0, TICKS_PER_SECOND, n_spikes)
        return rng, starts, self.hash_shapes[which], _lfp_piece(rng, _OWN_LFP)

    def second(self, session: str, index: int, common_lfp: np.ndarray) -> np.ndarray:
        """Return second `index` of the session, uV, float32 (30000,)."""
        # a second is made of the pieces that began with it and one second before;
        # who reads on finds the earlier one kept
        if self._kept[0] != (session, index):
            self._keep(session, index, *self._begin(session, index)[1:])
        _, earlier_starts, earlier_waveforms, earlier_lfp = self._kept
        rng, starts, waveforms, lfp = self._begin(session, index + 1)
        self._keep(session, index + 1, starts, waveforms, lfp)
        signal = _white(rng, TICKS_PER_SECOND)
        signal *= self.white
        signal += _interpolate(_cross_fade(earlier_lfp, lfp) + common_lfp + self.hum)
        starts = np.concatenate([earlier_starts, starts])
        _add_spikes(signal, starts, np.concatenate([earlier_waveforms, waveforms]))
        return signal

    def _keep(self, session: str, piece: int, starts: np.ndarray, waveforms: np.ndarray, lfp: np.ndarray) -> None:
        running = starts > TICKS_PER_SECOND - TEMPLATE_SAMPLES
        self._kept = (session, piece), starts[running] - TICKS_PER_SECOND, waveforms[running], lfp


def noise_level(seed: int, channel: int, seconds: int = 4) -> float:
    """Measure MAD / 0.6745 of a channel's noise, hash included, in the 500-7500 Hz band, in uV.

    The stretch measured belongs to no session; the level is the same in all.

    Examples
    --------
    >>> 5 < noise_level(seed=1, channel=9) < 9
    True
    """
    noise = ChannelNoise(seed, channel)
    silence = np.zeros(LFP_RATE + 1)
    filtered = band_passed(np.concatenate([noise.second("noise level", i, silence) for i in range(seconds)]))
    return float(np.median(abs(filtered - np.median(filtered))) / 0.6745)


class SessionSignal:
    """All channels of one session, as the recorder digitised them.

    Parameters
    ----------
    session : Session
    spikes : mapping of int to (ndarray, ndarray, ndarray)
        Per raw channel, in the order of the file: samples of the spikes' peaks,
        int64 (n,), ascending; rows of the templates they have, (n,); amplitudes,
        float32 (n,).
    templates : mapping of int to ndarray
        Per raw channel the templates of its units, uV, float32 (units, TEMPLATE_SAMPLES).
    seed : int

    Examples
    --------
    >>> from hippflow.demo.timeline import make_session
    >>> session = make_session("session01", "navigation", seconds=2, seed=1)
    >>> signal = SessionSignal(session, spikes={}, templates={}, seed=1)
    >>> signal.read(29_990, 30_010).shape
    (20, 4)
    """

    def __init__(
        self,
        session: Session,
        spikes: Mapping[int, tuple[np.ndarray, np.ndarray, np.ndarray]],
        templates: Mapping[int, np.ndarray],
        seed: int,
    ):
        self.session, self.spikes, self.templates, self.seed = session, spikes, templates, seed
        self.noises = {channel: ChannelNoise(seed, channel) for channel in spikes}
        self._cached: tuple[int, np.ndarray] | None = None

    @cached_property
    def _joystick(self) -> np.ndarray:
        """Amplitude, frequency and phase of the sines that make up each axis, (3, 2, 6)."""
        rng = generator(self.seed, "joystick", self.session.name)
        return np.array([rng.uniform(300, 900, (2, 6)), rng.uniform(0.05, 0.8, (2, 6)), rng.random((2, 6))])

    def _analog_second(self, index: int) -> np.ndarray:
        """Return the analog channels in mV, float32 (4, 30000)."""
        seconds = index + np.arange(LFP_RATE + 1) / LFP_RATE
        size, frequency, phase = self._joystick[..., None]
        axes = (size * np.sin(2 * np.pi * (frequency * seconds + phase))).sum(1)
        rng = generator(self.seed, "analog", self.session.name, index)
        signal = 2 * _white(rng, N_ANALOG * TICKS_PER_SECOND).reshape(N_ANALOG, -1)
        for row, axis in enumerate(np.clip(axes, -1500, 1500)):
            signal[row] += 2500 + _interpolate(axis)
        first = index * TICKS_PER_SECOND
        for trial in self.session.trials:
            signal[2, max(0, trial.cue_onset - first) : max(0, trial.cue_offset - first)] += 1200
        return signal

    def _second(self, index: int) -> np.ndarray:
        """Return second `index` of all channels, analog ones first, int16 (30000, channels)."""
        if self._cached and self._cached[0] == index:
            return self._cached[1]
        name, first = self.session.name, index * TICKS_PER_SECOND
        pieces = (generator(self.seed, "common lfp", name, piece) for piece in (index, index + 1))
        common = _cross_fade(*(_lfp_piece(rng, _COMMON_LFP) for rng in pieces))
        digital = np.empty((N_ANALOG + len(self.noises), TICKS_PER_SECOND), np.int16)
        digital[:N_ANALOG] = np.rint(self._analog_second(index) / ANALOG_GAIN)
        for row, (channel, noise) in enumerate(self.noises.items(), start=N_ANALOG):
            signal = noise.second(name, index, common)
            peaks, which, amplitudes = self.spikes[channel]
            # every spike of which some part lies in this second
            near = slice(*np.searchsorted(peaks, (first - TEMPLATE_SAMPLES, first + TICKS_PER_SECOND + PEAK_INDEX)))
            if near.start < near.stop:
                waveforms = self.templates[channel][which[near]] * amplitudes[near, None]
                _add_spikes(signal, peaks[near] - PEAK_INDEX - first, waveforms)
            signal *= 1 / RAW_GAIN
            digital[row] = np.rint(signal, out=signal)
        samples = np.empty(digital.shape[::-1], np.int16)
        for i in range(0, TICKS_PER_SECOND, 128):  # a transposition that stays in the cache
            samples[i : i + 128] = digital[:, i : i + 128].T
        self._cached = index, samples
        return samples

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples `start` to `stop` of all channels, analog ones first, int16 (n, channels)."""
        stop = min(stop, self.session.n_samples)
        pieces = []
        for index in range(start // TICKS_PER_SECOND, -(-stop // TICKS_PER_SECOND)):
            first = index * TICKS_PER_SECOND
            pieces.append(self._second(index)[max(0, start - first) : stop - first])
        return np.concatenate(pieces) if len(pieces) != 1 else pieces[0]
