"""Channels whose spikes are known, from a simulator that shares nothing with the demo day's.

White noise, the hash of small units, and units of random shape, sign, rate and size, whose spikes vary by 7 %; some
fire in bursts in which they get smaller, and every fourth channel drifts by 15 %. All goes through a zero-phase
band-pass. A channel comes as an array, or is written to a product minute by minute.
"""

from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfiltfilt

from hippflow.io.signals import write_signal

RATE = 30000
BAND = butter(4, [500, 7500], "bandpass", fs=RATE, output="sos")

#: Samples of a spike before and after its time.
BEFORE, AFTER = 40, 80

#: Refractory period, s.
REFRACTORY = 0.0025

#: Samples around a piece that is filtered apart.
MARGIN = 3000

#: Units of a written channel: spikes per second and peak over the noise. Their threshold crossings are 20 a second.
UNITS = ((6, 12), (4, 9), (3, 7), (2, 5.5), (1.5, 5), (0.1, 8))


def spike_shape(rng: np.random.Generator) -> np.ndarray:
    """Return a trough, a slower peak after it and a small one before, (BEFORE + AFTER,)."""
    t = np.arange(-BEFORE, AFTER) / 30
    trough = np.exp(-(t**2) / (2 * rng.uniform(0.07, 0.2) ** 2))
    after = rng.uniform(0.15, 0.7) * np.exp(-((t - rng.uniform(0.3, 0.8)) ** 2) / (2 * rng.uniform(0.12, 0.45) ** 2))
    before = rng.uniform(0, 0.35) * np.exp(-((t + rng.uniform(0.2, 0.4)) ** 2) / (2 * 0.12**2))
    return (after + before - trough).astype(np.float32)


def filtered_peak(shape: np.ndarray) -> tuple[float, int]:
    """Return the largest value of a shape in the pass band, and its place from the shape's own time."""
    filtered = np.abs(sosfiltfilt(BAND, np.pad(shape, 400)))
    return float(filtered.max()), int(filtered.argmax()) - 400 - BEFORE


def spike_times(rng: np.random.Generator, rate: float, seconds: float, bursts: float = 0.0) -> np.ndarray:
    """Return times in s, ascending; after this share of the spikes others follow within some ms."""
    intervals = REFRACTORY + rng.exponential(max(1 / rate - REFRACTORY, 1e-4), int(rate * seconds * 1.5 + 50))
    times = np.cumsum(intervals)
    followed, all_times = times[rng.random(len(times)) < bursts], [times]
    for k in range(1, 4):
        followed = followed[rng.random(len(followed)) < 0.6]
        all_times.append(followed + k * rng.uniform(0.003, 0.006, len(followed)))
    times = np.sort(np.concatenate(all_times))
    times = times[(times > 0.02) & (times < seconds - 0.02)]
    return times[np.diff(times, prepend=-1) > REFRACTORY]


def add_spikes(x: np.ndarray, samples: np.ndarray, shape: np.ndarray, sizes: np.ndarray) -> None:
    """Add a spike of this shape and size at every sample, in place."""
    for i in range(0, len(samples), 100_000):
        places = samples[i : i + 100_000, None] + np.arange(-BEFORE, AFTER)
        np.add.at(x, places, sizes[i : i + 100_000, None].astype(np.float32) * shape)


def simulate(seed: int, seconds: float) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Make a channel of one to four units.

    Returns
    -------
    signal : ndarray of float32, (n,)
        uV.
    true : dict of int to ndarray of int64
        Sample of the peak of every spike of each unit.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 8, int(seconds * RATE)).astype(np.float32)

    def add_unit(rate: float, peak: float, spread: float, bursts: float = 0.0, drift: float = 0.0) -> np.ndarray:
        times, shape = spike_times(rng, rate, seconds, bursts), spike_shape(rng)
        largest, place = filtered_peak(shape)
        sizes = rng.normal(1, spread, len(times)) * peak / largest * (-1 if rng.random() < 0.15 else 1)
        if bursts:
            sizes *= 1 - 0.35 * np.exp(-np.diff(times, prepend=-1) / 0.012)
        sizes *= 1 + drift * np.sin(2 * np.pi * (times / seconds * rng.uniform(0.3, 1) + rng.random()))
        samples = (times * RATE).astype(np.int64)
        add_spikes(x, samples, shape, sizes)
        return samples + place

    for _ in range(30):
        add_unit(rng.uniform(1, 8), rng.uniform(4, 18), 0.15)
    noise = np.median(np.abs(sosfiltfilt(BAND, x[: 30 * RATE]))) / 0.6745
    drift = 0.15 if seed % 4 == 0 else 0.0
    true = {}
    for unit in range(1, int(rng.integers(2, 6))):
        rate, bursts = np.exp(rng.uniform(np.log(0.5), np.log(12))), 0.3 if rng.random() < 0.4 else 0.0
        true[unit] = add_unit(rate, rng.uniform(3.5, 12) * noise, 0.07, bursts, drift)
    return filtered_in_pieces(x), true


def filtered_in_pieces(x: np.ndarray) -> np.ndarray:
    """Return the pass band of a signal, made minute by minute."""
    out, step = np.empty_like(x), 60 * RATE
    for start in range(0, len(x), step):
        first, stop = max(0, start - MARGIN), min(len(x), start + step)
        piece = sosfiltfilt(BAND, x[first : stop + MARGIN].astype(np.float64))
        out[start:stop] = piece[start - first : stop - first]
    return out


def write_channel(path: Path, minutes: int, seed: int) -> dict[int, np.ndarray]:
    """Write a product of UNITS and hash minute by minute; return the samples of their peaks."""
    rng = np.random.default_rng(seed)
    times = [spike_times(rng, rate, 60 * minutes, 0.3 if k == 1 else 0.0) for k, (rate, _) in enumerate(UNITS)]
    shapes = [spike_shape(rng) * (-1 if k == 3 else 1) for k in range(len(UNITS))]
    hash_units = [(rng.uniform(1, 8), rng.uniform(4, 18), spike_shape(rng)) for _ in range(20)]
    spikes = [(train * RATE).astype(np.int64) for train in times]
    spread = rng.normal(1, 0.07, 1009)
    step = 60 * RATE
    with write_signal(path, {"analogInfo": {"SampleRate": float(RATE)}}, minutes * step) as writer:
        for minute in range(minutes):
            own = np.random.default_rng([seed, minute])
            x = own.normal(0, 8, step + 2 * MARGIN).astype(np.float32)
            for rate, peak, shape in hash_units:
                samples = own.integers(BEFORE, len(x) - AFTER, own.poisson(rate * len(x) / RATE))
                add_spikes(x, samples, shape, own.normal(1, 0.15, len(samples)) * peak)
            start = minute * step - MARGIN
            for samples, shape, (_, snr) in zip(spikes, shapes, UNITS, strict=True):
                here = samples[(samples >= start + BEFORE) & (samples < start + len(x) - AFTER)]
                add_spikes(x, here - start, shape, spread[here % len(spread)] * snr * 6.2 / filtered_peak(shape)[0])
            writer.write(sosfiltfilt(BAND, x.astype(np.float64))[MARGIN:-MARGIN].astype(np.float32))
    places = [filtered_peak(shape)[1] for shape in shapes]
    return {unit + 1: samples + places[unit] for unit, samples in enumerate(spikes)}
