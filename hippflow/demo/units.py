"""The neurons of the demo day: their shapes, and when they fire.

Writes nothing. A unit keeps its shape in all sessions. Its signal-to-noise ratio
is the peak of its undisturbed spike after the 500-7500 Hz band-pass, divided by
the noise level after the same band-pass (:func:`hippflow.demo.signal.noise_level`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfiltfilt

from hippflow.demo.timeline import TICKS_PER_SECOND, generator

#: Samples of a template, and the one where its peak is.
TEMPLATE_SAMPLES, PEAK_INDEX = 64, 20

#: What a spike sorter sees: the band in which SNR is defined, as the field filters it.
SPIKE_BAND = butter(4, (500, 7500), "bandpass", fs=TICKS_PER_SECOND, output="sos")

#: Standard deviation of a unit's amplitude, as a share of it.
AMPLITUDE_JITTER = 0.07

#: Chance that a spike of the leader is followed by one of its refractory neighbour.
FOLLOW_PROBABILITY = 0.15


@dataclass(frozen=True, eq=False)
class Unit:
    """One neuron.

    Attributes
    ----------
    channel, label : int
        Electrode number, and number of the unit on it, from 1.
    snr : float
        Peak over noise level, both in the 500-7500 Hz band.
    polarity : int
        -1 or 1: sign of the peak.
    rate : float
        Spikes per second, before bursts.
    refractory : int
        Shortest interval between two of its spikes, in samples.
    shape : ndarray, (TEMPLATE_SAMPLES,)
        Template whose band-passed peak is 1; its own peak is at `PEAK_INDEX`.
    sessions : tuple of str
        Sessions in which it fires.
    follows : int or None
        Label of the unit on the same channel after whose spikes it sometimes
        fires within 1 to 2 ms.
    """

    channel: int
    label: int
    snr: float
    polarity: int
    rate: float
    refractory: int
    shape: np.ndarray
    sessions: tuple[str, ...]
    follows: int | None = None


def band_passed(signal: np.ndarray) -> np.ndarray:
    """Return `signal` (n,) in the band in which SNR is defined; zero phase."""
    return sosfiltfilt(SPIKE_BAND, signal)


def spike_shape(rng: np.random.Generator, polarity: int = -1) -> np.ndarray:
    """Draw a spike: a sharp main phase, a slower opposite one after it and a small one before.

    Returns
    -------
    ndarray, (TEMPLATE_SAMPLES,)
        Its band-passed peak is 1 high.

    Examples
    --------
    >>> shape = spike_shape(np.random.default_rng(1))
    >>> int(shape.argmin()) == PEAK_INDEX, bool(shape[0] == 0)
    (True, True)
    """
    t = (np.arange(TEMPLATE_SAMPLES) - PEAK_INDEX) / (TICKS_PER_SECOND / 1000)
    # the peak belongs at time 0: start and end are only faded out
    fade = np.minimum(1, np.minimum(np.arange(TEMPLATE_SAMPLES), np.arange(TEMPLATE_SAMPLES)[::-1]) / 8)
    while True:
        after, before = rng.uniform(0.2, 0.5), rng.uniform(0.0, 0.15)
        main = np.exp(-((t / rng.uniform(0.08, 0.16)) ** 2) / 2)
        slow = after * np.exp(-(((t - rng.uniform(0.35, 0.6)) / rng.uniform(0.15, 0.3)) ** 2) / 2)
        early = before * np.exp(-(((t + rng.uniform(0.25, 0.4)) / 0.1) ** 2) / 2)
        shape = polarity * (main - slow - early) * fade
        filtered = band_passed(np.pad(shape, 1000))[1000:-1000]
        # a filter that moved the peak would make "the spike's time" ambiguous
        if abs(shape).argmax() == abs(filtered).argmax() == PEAK_INDEX:
            return shape / abs(filtered).max()


def _roles(n_channels: int, rng: np.random.Generator) -> list[str]:
    """Deal out what a day must show among the channels, and leave the rest to chance."""
    if n_channels == 1:
        return ["absent"]
    roles = ["empty"] * max(1, n_channels // 8) + ["absent", "follow", "positive"]
    roles += ["follow"] * (n_channels // 8) + ["any"] * n_channels
    return [roles[i] for i in rng.permutation(n_channels)]


def _channel_units(channel: int, role: str, sessions: Sequence[str], seed: int) -> tuple[Unit, ...]:
    rng = generator(seed, "units", channel)
    drawn = int(rng.choice([1, 2, 3], p=[0.45, 0.35, 0.2]))
    n_units = {"empty": 0, "absent": 2, "follow": max(2, drawn), "positive": 1, "any": drawn}[role]
    # a spread of sizes, largest first, so that most neighbours can be told apart
    snr = np.linspace(rng.uniform(7.5, 12), rng.uniform(4.5, 5.5), 3)[:n_units] if n_units > 1 else [rng.uniform(5, 11)]
    units = []
    for label in range(1, n_units + 1):
        positive = role == "positive" or (role == "any" and rng.random() < 0.08)
        units.append(
            Unit(
                channel=channel,
                label=label,
                snr=float(snr[label - 1]),
                polarity=1 if positive else -1,
                rate=float(rng.uniform(6, 12) if role == "absent" else rng.uniform(2, 15)),
                refractory=int(rng.uniform(2.1, 3.0) * TICKS_PER_SECOND / 1000),
                shape=spike_shape(rng, 1 if positive else -1),
                # the first label is the one missing, since that is what shifts naive numbering
                sessions=tuple(sessions[:1] if role == "absent" and label == 1 else sessions),
                follows=1 if role == "follow" and label == 2 else None,
            )
        )
    return tuple(units)


def plan_units(channels: Sequence[int], sessions: Sequence[str], seed: int) -> dict[int, tuple[Unit, ...]]:
    """Say which units each channel sees.

    Of two or more channels at least one is empty, and one has a unit that fires
    in the first session only; of three or more, one has refractory neighbours;
    of four or more, one has a positive unit.

    Examples
    --------
    >>> plan = plan_units([9, 31, 34, 56], ["session01", "sessioneye"], seed=1)
    >>> sorted(len(units) for units in plan.values())[0]
    0
    """
    roles = _roles(len(channels), generator(seed, "roles"))
    return {c: _channel_units(c, role, sessions, seed) for c, role in zip(channels, roles, strict=True)}


def _own_spikes(unit: Unit, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the unit's spikes from a renewal process with a refractory period and bursts."""
    pause = TICKS_PER_SECOND / unit.rate - unit.refractory
    times = [np.zeros(1)]
    while times[-1][-1] < n_samples:
        gaps = rng.exponential(pause, 1000)
        burst = rng.random(1000) < 0.08
        gaps[burst] = rng.exponential(0.002 * TICKS_PER_SECOND, burst.sum())
        times.append(times[-1][-1] + np.cumsum(gaps + unit.refractory + 1))
    return np.concatenate(times).astype(np.int64)


def _whole_spikes(samples: np.ndarray, n_samples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Leave out spikes whose template does not fit in, and draw amplitudes, which recover with time, for the others."""
    samples = samples[(samples >= PEAK_INDEX) & (samples < n_samples - TEMPLATE_SAMPLES)]
    gaps = np.diff(samples, prepend=-TICKS_PER_SECOND)
    recovered = 1 - 0.3 * np.exp(-gaps / (0.008 * TICKS_PER_SECOND))
    amplitudes = recovered * rng.normal(1, AMPLITUDE_JITTER, samples.size)
    return samples, amplitudes.astype(np.float32)


def spike_trains(
    units: Sequence[Unit], session: str, n_samples: int, seed: int
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Draw when the units of a channel fire in a session.

    Returns
    -------
    dict of int to (ndarray, ndarray)
        Per label: samples of the peaks, int64 (n,), ascending; and amplitudes as
        shares of the template, float32 (n,). An amplitude recovers with the time
        since the unit's last spike, so that bursts shrink.

    Examples
    --------
    >>> units = plan_units([9], ["session01"], seed=1)[9]
    >>> samples, amplitudes = spike_trains(units, "session01", 300_000, seed=1)[1]
    >>> bool(np.diff(samples).min() >= units[0].refractory), samples.shape == amplitudes.shape
    (True, True)
    """
    trains: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for unit in units:
        rng = generator(seed, "spikes", session, unit.channel, unit.label)
        samples = _own_spikes(unit, n_samples, rng) if session in unit.sessions else np.zeros(0, np.int64)
        if unit.follows is not None:
            leader = trains[unit.follows][0]
            # only after lone spikes of the leader: then followers keep their own refractory period
            lone = leader[1:][np.diff(leader) > unit.refractory + 0.001 * TICKS_PER_SECOND]
            followed = lone[rng.random(lone.size) < FOLLOW_PROBABILITY]
            extra = followed + rng.integers(30, 61, followed.size)
            beside = np.searchsorted(extra, samples + unit.refractory) > np.searchsorted(
                extra, samples - unit.refractory
            )
            samples = np.union1d(samples[~beside], extra)
        trains[unit.label] = _whole_spikes(samples, n_samples, rng)
    return trains


@dataclass(frozen=True)
class PlaceField:
    """Where the place-tuned unit fires in the maze.

    Attributes
    ----------
    channel, label : int
        The unit.
    x, z : float
        Centre of the field, in units of the maze.
    width : float
        Standard deviation of the Gaussian, in the same units.
    peak_rate, base_rate : float
        Spikes per second: at the centre, `base_rate` + `peak_rate`.
    sessions : tuple of str
        Sessions in which it is tuned, those in the maze; in others it fires as any unit.
    """

    channel: int
    label: int
    x: float
    z: float
    width: float
    peak_rate: float
    base_rate: float
    sessions: tuple[str, ...]

    def rate(self, position: np.ndarray) -> np.ndarray:
        """Return the rate in spikes per second at places (n, 2), (n,), before the refractory period.

        Examples
        --------
        >>> field = PlaceField(9, 1, x=0, z=10, width=2, peak_rate=20, base_rate=0.5, sessions=("session01",))
        >>> field.rate(np.array([(0, 10), (0, 8), (0, -10)])).round(2).tolist()
        [20.5, 12.63, 0.5]
        """
        squared = ((position - (self.x, self.z)) ** 2).sum(-1)
        return self.base_rate + self.peak_rate * np.exp(-squared / (2 * self.width**2))


def tunable_unit(plan: Mapping[int, Sequence[Unit]], sessions: Sequence[str]) -> Unit:
    """Return the unit that is to be place-tuned: the largest that fires in all sessions and follows and leads none.

    Examples
    --------
    >>> sessions = ["session01", "sessioneye"]
    >>> unit = tunable_unit(plan_units([9, 31, 34, 56], sessions, seed=1), sessions)
    >>> unit.follows is None and unit.sessions == tuple(sessions)
    True
    """
    units = [unit for units in plan.values() for unit in units]
    tied = {(unit.channel, label) for unit in units if unit.follows for label in (unit.label, unit.follows)}
    free = [unit for unit in units if unit.sessions == tuple(sessions) and (unit.channel, unit.label) not in tied]
    return max(free, key=lambda unit: unit.snr)


def place_train(
    unit: Unit, field: PlaceField, session: str, n_samples: int, seed: int, position: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw when the place-tuned unit fires in a session in the maze: a Poisson process with a refractory period.

    Parameters
    ----------
    position : callable
        Gives places (n, 2) of seconds (n,).

    Returns
    -------
    (ndarray, ndarray)
        As :func:`spike_trains`.
    """
    rng = generator(seed, "place spikes", session, unit.channel, unit.label)
    highest = field.base_rate + field.peak_rate
    candidates = np.sort(rng.integers(0, n_samples, rng.poisson(highest * n_samples / TICKS_PER_SECOND)))
    fires = rng.random(candidates.size) * highest < field.rate(position(candidates / TICKS_PER_SECOND))
    samples: list[int] = []
    for sample in candidates[fires].tolist():
        if not samples or sample - samples[-1] > unit.refractory:
            samples.append(sample)
    return _whole_spikes(np.array(samples, np.int64), n_samples, rng)
