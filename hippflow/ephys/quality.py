"""Quality of one channel's signals: levels, noise, line noise, and where the converter or the wire gave up.

What this does: measures the raw signal, the LFP, the high-pass signal and their spectra block
by block, so that memory does not grow with the recording; raw is read once, the high-pass
signal twice. What is not finite is counted and left out of all else.

What it does not: read products, repair a signal, or decide what is too much
(:mod:`hippflow.ephys.problems`). What sorting masked is in its own product.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.ndimage import median_filter

from hippflow.ephys.filters import SignalLike
from hippflow.ephys.noise import MAD_OF_NORMAL
from hippflow.ephys.runs import ConstantRuns

#: Samples read at a time.
BLOCK = 2**18

#: Bits of a float32 that a bin of the histogram of absolute values ignores: its bins are 0.1 % wide.
COARSE = 13

#: Excursions closer than so many seconds are one artifact.
JOIN_S = 0.001

#: Hz around the line frequency that count as the line, and between which its neighbours are.
LINE_HZ, NEIGHBOURS_HZ = 1.0, (3.0, 10.0)

#: Bins of the high-pass spectrum that a tone is compared to.
TONE_BINS = 51


class Moments:
    """Mean, standard deviation and extremes of a signal that comes in blocks."""

    def __init__(self) -> None:
        self.n, self.mean, self._squares = 0, 0.0, 0.0
        self.low, self.high = np.inf, -np.inf

    def update(self, part: np.ndarray) -> None:
        """Take the next finite samples, shape (n,)."""
        if not part.size:
            return
        deviation = part.astype(np.float64)
        mean = float(deviation.mean())
        deviation -= mean
        total, step = self.n + part.size, mean - self.mean
        # Chan, Golub and LeVeque (1983): no large sums that are subtracted from each other
        self._squares += float(deviation @ deviation) + step**2 * self.n * part.size / total
        self.mean += step * part.size / total
        self.n = total
        self.low, self.high = min(self.low, float(part.min())), max(self.high, float(part.max()))

    @property
    def std(self) -> float:
        """Population standard deviation; NaN without samples."""
        return float(np.sqrt(self._squares / self.n)) if self.n else float("nan")


def raw_quality(x: SignalLike, *, saturation_samples: int, flat_samples: int, most: int = 100) -> dict[str, Any]:
    """Measure a raw signal in one pass.

    Parameters
    ----------
    x : SignalLike
        Raw signal, uV.
    saturation_samples : int
        So many equal samples in a row, or more, at the largest or the smallest value of the signal are
        saturated: noise touches an extreme, and does not stay there.
    flat_samples : int
        So many equal samples in a row, or more, anywhere else are flat. A signal of one value is flat.
    most : int
        Stretches that are listed at most; all are counted.

    Returns
    -------
    dict
        ``num_samples``, ``num_not_finite``, ``offset``, ``rms`` (without the offset), ``minimum``, ``maximum`` in uV;
        ``saturated`` and ``flat``, each a :class:`hippflow.ephys.runs.Stretches`.

    Examples
    --------
    >>> x = np.array([0, 5, 5, 5, 1, -1, 2, 2, 2, 2, 0.0])
    >>> found = raw_quality(x, saturation_samples=3, flat_samples=4)
    >>> found["saturated"].listed, found["flat"].listed, found["maximum"]
    ([(1, 3)], [(6, 4)], 5.0)
    """
    moments, runs, not_finite = Moments(), ConstantRuns(saturation_samples, flat_samples, most), 0
    for _, part, finite in _blocks(x):
        runs.update(part, finite)
        kept = part if finite is None else part[finite]
        not_finite += part.size - kept.size
        moments.update(kept)
    saturated, flat = runs.finish()
    return {
        "num_samples": len(x),
        "num_not_finite": not_finite,
        "offset": moments.mean if moments.n else float("nan"),
        "rms": moments.std,
        "minimum": moments.low if moments.n else float("nan"),
        "maximum": moments.high if moments.n else float("nan"),
        "saturated": saturated,
        "flat": flat,
    }


def highpass_quality(x: SignalLike, sampling_rate: float, *, artifact_threshold: float) -> dict[str, Any]:
    """Measure a high-pass signal: a pass for the noise, one for what is far above it.

    Parameters
    ----------
    x : SignalLike
        High-pass signal, whose median is 0, uV.
    sampling_rate : float
        Samples per second.
    artifact_threshold : float
        In standard deviations of the noise; spikes reach 40 and more.

    Returns
    -------
    dict
        ``num_not_finite``; ``noise`` (median of the absolute values / 0.6745, within 0.1 %) and ``rms`` in uV;
        ``artifact_level`` in uV; ``num_artifacts``, excursions beyond it, closer than 1 ms counting as one.

    Examples
    --------
    >>> x = np.tile([1.0, -1.0], 1000)
    >>> x[[500, 510, 1500]] = 100
    >>> found = highpass_quality(x, 30000, artifact_threshold=20)
    >>> round(found["noise"], 2), found["num_artifacts"]
    (1.48, 2)
    """
    moments, not_finite = Moments(), 0
    counts = np.zeros(1 << (31 - COARSE), np.int64)
    for _, part, finite in _blocks(x):
        kept = part if finite is None else part[finite]
        not_finite += part.size - kept.size
        moments.update(kept)
        bits = np.abs(kept.astype(np.float32)).view(np.uint32) >> np.uint32(COARSE)
        found = np.bincount(bits)
        counts[: len(found)] += found
    noise = _median(counts) / MAD_OF_NORMAL
    level = artifact_threshold * noise
    artifacts = _count_excursions(x, level, JOIN_S * sampling_rate) if noise > 0 else 0
    return {
        "num_not_finite": not_finite,
        "noise": noise,
        "rms": moments.std,
        "artifact_level": level,
        "num_artifacts": artifacts,
    }


def lfp_quality(x: SignalLike) -> dict[str, Any]:
    """Measure an LFP: ``num_not_finite``, and ``rms`` in uV, without a constant.

    Examples
    --------
    >>> lfp_quality(np.array([3.0, -3.0, 3.0, -3.0]))
    {'num_not_finite': 0, 'rms': 3.0}
    """
    moments, not_finite = Moments(), 0
    for _, part, finite in _blocks(x):
        kept = part if finite is None else part[finite]
        not_finite += part.size - kept.size
        moments.update(kept)
    return {"num_not_finite": not_finite, "rms": moments.std}


def line_ratios(
    freq: np.ndarray, magnitude: np.ndarray, line_frequency: float, highest: float
) -> list[tuple[float, float]]:
    """Compare the line frequency and its harmonics with the frequencies beside them.

    Parameters
    ----------
    freq, magnitude : ndarray of float, (n,)
        Amplitude spectrum of the LFP, Hz and any unit.
    line_frequency : float
        Hz.
    highest : float
        Harmonics above are filtered out, Hz.

    Returns
    -------
    list of (float, float)
        Frequency, and the largest amplitude within 1 Hz of it over the median of those that are 3 to 10 Hz away (or
        1.5, and 3 to 10 bins, where the spectrum is coarser): 1 without line noise; NaN where neighbours are missing.

    Examples
    --------
    >>> freq = np.arange(0, 500, 0.5)
    >>> magnitude = np.where(np.isin(freq, (50, 150)), 8.0, 2.0)
    >>> line_ratios(freq, magnitude, 50, 160)
    [(50.0, 4.0), (100.0, 1.0), (150.0, 4.0)]
    """
    step = float(freq[1] - freq[0])
    reach = max(LINE_HZ, 1.5 * step)
    start, stop = (max(hertz, bins * step) for hertz, bins in zip(NEIGHBOURS_HZ, (3, 10), strict=True))
    found = []
    for frequency in np.arange(1, int(highest / line_frequency) + 1) * float(line_frequency):
        away = np.abs(freq - frequency)
        line, beside = magnitude[away <= reach], magnitude[(away >= start) & (away <= stop) & (freq > 0)]
        level = float(np.median(beside)) if len(beside) >= 4 and len(line) else 0.0
        found.append((float(frequency), float(line.max()) / level if level > 0 else float("nan")))
    return found


def strongest_tone(freq: np.ndarray, magnitude: np.ndarray, band: tuple[float, float]) -> tuple[float, float]:
    """Find the frequency of a band that stands out most from those around it: a switching supply, a monitor.

    Parameters
    ----------
    freq, magnitude : ndarray of float, (n,)
        Amplitude spectrum of the high-pass signal, Hz and any unit.
    band : (float, float)
        Hz; outside the filter leaves nothing to compare.

    Returns
    -------
    (float, float)
        Frequency in Hz, and its amplitude over the median of the 51 around it; NaN, both, where there is nothing.

    Examples
    --------
    >>> magnitude = np.full(1000, 2.0)
    >>> magnitude[300] = 30
    >>> strongest_tone(np.arange(1000) * 10.0, magnitude, (500, 7500))
    (3000.0, 15.0)
    """
    inside = (freq >= band[0]) & (freq <= band[1])
    freq, magnitude = freq[inside], magnitude[inside]
    if len(freq) < TONE_BINS:
        return float("nan"), float("nan")
    around = median_filter(magnitude, TONE_BINS, mode="nearest")
    ratio = np.divide(magnitude, around, out=np.zeros(len(freq)), where=around > 0)
    if not ratio.any():
        return float("nan"), float("nan")
    return float(freq[ratio.argmax()]), float(ratio.max())


def _blocks(x: SignalLike) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    """Yield blocks of a signal with the index of their first sample, and where they are finite if not everywhere."""
    for start in range(0, len(x), BLOCK):
        part = np.asarray(x[start : min(start + BLOCK, len(x))])
        # the sum carries what is not finite and needs no copy
        with np.errstate(invalid="ignore"):
            total = part.sum(dtype=np.float64)
        finite = None if np.isfinite(total) else np.isfinite(part)
        yield start, part, finite


def _median(counts: np.ndarray) -> float:
    """Return the median of absolute values from their histogram over the leading bits of a float32."""
    total = int(counts.sum())
    if not total:
        return float("nan")
    passed = np.cumsum(counts)
    k = int(np.searchsorted(passed, total / 2))
    low, high = np.array([k << COARSE, (k + 1) << COARSE], np.uint32).view(np.float32).tolist()
    if k == 0:  # zeros, but for what no recording resolves
        return 0.0
    return low + (high - low) * (total / 2 - (int(passed[k]) - int(counts[k]))) / int(counts[k])


def _count_excursions(x: SignalLike, level: float, join: float) -> int:
    """Count stretches of samples beyond a level; those closer than `join` samples are one."""
    n, last = 0, -np.inf
    for start, part, _ in _blocks(x):
        beyond = np.flatnonzero(np.abs(part) > level) + start
        if beyond.size:
            n += int(np.count_nonzero(np.diff(beyond, prepend=last) > join))
            last = int(beyond[-1])
    return n
