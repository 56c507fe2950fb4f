"""Spike sorting of one channel: from a day's high-pass signal to labelled spike times.

What this does: masks artifacts as MountainLab does, detects events as MountainSort does and clusters
them as a mixture of normal distributions, reading the signal block by block; or runs MountainSort5
scheme 1 or any sorter that SpikeInterface can run, which hold the signal. The parameters are those of
PyHipp's ``sort.sh``. All run on one thread and from a fixed seed; units are numbered in a defined order.

What it does not: filter, read or write products, judge units (:mod:`hippflow.ephys.metrics`)
or cut the day into sessions (:mod:`hippflow.ephys.sessions`).
"""

import contextlib
import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.compiling import compiled
from hippflow.ephys.artifacts import artifact_intervals, mask_artifacts
from hippflow.ephys.clustering import cluster_events, offsets_to_peak
from hippflow.ephys.detection import find_events
from hippflow.ephys.noise import noise_levels, scan, standard_deviation
from hippflow.ephys.sorters import check_installed, one_thread, run_spikeinterface
from hippflow.ephys.units import mean_waveforms
from hippflow.errors import SignalError, SortingError
from hippflow.progress import track

#: The sorter that streams the signal; mountainsort5 and those of SpikeInterface hold it.
STREAMING = "gaussian_mixture"

#: Shortest signal that is sorted, in seconds: less says nothing about the noise.
MIN_SECONDS = 1.0

#: Noise in uV below which a channel is dead: what is left are the filter's rounding errors, or jumps between rails.
MIN_NOISE = 1e-3

#: The rate at which PyHipp's clip of 50 samples was chosen, Hz.
CLIP_RATE = 30000.0


@dataclass(frozen=True)
class Sorting:
    """Spikes of one channel.

    Attributes
    ----------
    samples : ndarray of int64, (n,)
        Sample of each spike, 0-based, in order.
    labels : ndarray of int64, (n,)
        Unit of each spike, 1..K without a gap. Unit 1 has the largest mean
        waveform (its largest absolute value), unit K the smallest.
    masked : ndarray of int64, (m, 2)
        Intervals [start, stop) that were masked as artifacts, in samples.
    noise_mad : float
        Noise level, uV: the median absolute deviation of the unmasked signal over
        0.6745, which is the standard deviation if the noise is normal.
    threshold : float
        Detection threshold, uV; NaN if the sorter chose its own.
    """

    samples: np.ndarray
    labels: np.ndarray
    masked: np.ndarray
    noise_mad: float
    threshold: float

    @property
    def n_units(self) -> int:
        """Number of units."""
        return int(self.labels.max()) if self.labels.size else 0


def sort_spikes(
    signal: Any,
    sampling_rate: float,
    *,
    sorter: str = STREAMING,
    detect_threshold: float = 4.0,
    detect_sign: int = 0,
    detect_interval_ms: float = 1.0,
    n_features: int = 10,
    clip_size: int = 50,
    n_starts: int = 5,
    artifact_threshold: float = 10.0,
    artifact_chunk: int = 2000,
    seed: int = 0,
    sorter_parameters: Mapping[str, Any] | None = None,
) -> Sorting:
    """Sort the spikes of one channel.

    By default events are detected as MountainSort4 did for PyHipp, described by their principal components
    and clustered as a mixture of normal distributions; the signal is read twice by slices, and what is in
    memory are the events: 1 kB each.

    MountainSort5 scheme 1 gets the signal divided by its median absolute deviation, taken over all of it:
    SpikeInterface's whitening would draw random chunks, and large units would pull it. In these units
    PyHipp's threshold, a multiple of the standard deviation, is ``detect_threshold * std / mad``. Where the
    median is 0 (simulated spikes without noise) the signal is divided by the standard deviation instead.
    Its peak memory is the signal plus 9 bytes per sample (two float32 copies and a mask), and about 4 kB per
    spike and start, which isosplit6 0.1.4 never gives back: sort each channel in a process of its own.

    MountainSort4 also deleted spikes that follow one of their unit within the detection
    interval; aligning to peaks can bring two detections that close, so it is done here too.

    Parameters
    ----------
    signal : ndarray of float, or sliceable, (n,)
        High-pass signal, uV. Not changed.
    sampling_rate : float
        Samples per second.
    sorter : str
        "gaussian_mixture", "mountainsort5", or another that SpikeInterface can run here:
        "tridesclous2", "spykingcircus2", "simple", ... Such a sorter gets the masked, scaled
        signal, skips its own filter, and keeps its own detection: the arguments
        `detect_threshold` to `n_starts` are for the first two alone.
    detect_threshold : float
        In standard deviations of the unmasked signal, as in PyHipp.
    detect_sign : int
        -1: troughs, 1: peaks, 0: both.
    detect_interval_ms : float
        Of two events closer than this only the larger is a spike.
    n_features : int
        Principal components that are clustered.
    clip_size : int
        Samples at 30 kHz around a spike that are clustered; scaled to other rates.
    n_starts : int
        How often to cluster; the best result is kept. MountainSort5 with 1 is plain scheme 1
        (:func:`hippflow.ephys.mountainsort.sort_scheme1`).
    artifact_threshold, artifact_chunk : float, int
        See :func:`hippflow.ephys.artifacts.mask_artifacts`.
    seed : int
        Of every random draw. The global generator of numpy is left as it was.
    sorter_parameters : mapping, optional
        Further parameters of the sorter, which win over those above. "gaussian_mixture" has none.

    Returns
    -------
    Sorting
        Without spikes for a silent, constant or dead signal (noise of less than 0.001 uV), or if none was found.

    Raises
    ------
    SignalError
        If the signal is not one-dimensional, shorter than a second, or not finite.
    SortingError
        If the sorter is unknown or not installed, or fails.

    Examples
    --------
    >>> silent = sort_spikes(np.zeros(30000, np.float32), 30000)
    >>> silent.n_units, silent.samples.tolist()
    (0, [])
    """
    _check(signal, sampling_rate)
    if sorter == STREAMING:
        if sorter_parameters:
            raise SortingError(f"sorter {sorter!r} has no further parameters, found {sorted(sorter_parameters)}")
        return _sort_streaming(
            signal,
            sampling_rate,
            detect_threshold=detect_threshold,
            detect_sign=detect_sign,
            detect_interval_ms=detect_interval_ms,
            n_features=n_features,
            clip_size=clip_size,
            n_starts=n_starts,
            artifact_threshold=artifact_threshold,
            artifact_chunk=artifact_chunk,
            seed=seed,
        )
    x = np.array(signal[0 : len(signal)], dtype=np.float32)
    # min and max carry a NaN and need no copy
    _check_finite(x.min() - x.max())
    masked = mask_artifacts(x, threshold=artifact_threshold, chunk=artifact_chunk)
    std, mad = noise_levels(x, masked)
    own = sorter == "mountainsort5"
    if not own:
        check_installed(sorter)
    samples, labels = np.empty(0, np.int64), np.empty(0, np.int64)
    if std > 0 and not 0 < mad < MIN_NOISE:
        with one_thread(seed), contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
            scale = mad if mad > 0 else std
            half_clip = _half_clip(clip_size, sampling_rate)
            given = dict(sorter_parameters or {})
            x /= np.float32(scale)
            try:
                if own:
                    from hippflow.ephys.mountainsort import sort_scheme1

                    parameters = {
                        "detect_threshold": detect_threshold * std / scale,
                        "detect_sign": detect_sign,
                        "detect_time_radius_msec": detect_interval_ms,
                        "snippet_T1": half_clip,
                        "snippet_T2": half_clip,
                        "npca_per_channel": n_features,
                        "npca_per_subdivision": n_features,
                    }
                    samples, labels = sort_scheme1(x, sampling_rate, parameters | given, n_starts=n_starts, seed=seed)
                else:
                    samples, labels = run_spikeinterface(x, sampling_rate, sorter, seed, given, Path(folder))
            except Exception as error:
                # a sorter raises whatever it likes: what helps is its name and its own words
                raise SortingError(f"sorter {sorter!r} failed: {type(error).__name__}: {error}") from error
        keep = _refractory(samples, labels, round(detect_interval_ms * sampling_rate / 1000)) if own else slice(None)
        samples, labels = samples[keep], _by_amplitude(x, samples[keep], labels[keep])
    return Sorting(samples, labels, masked, mad, detect_threshold * std if own else float("nan"))


def _sort_streaming(
    signal: Any,
    sampling_rate: float,
    *,
    detect_threshold: float,
    detect_sign: int,
    detect_interval_ms: float,
    n_features: int,
    clip_size: int,
    n_starts: int,
    artifact_threshold: float,
    artifact_chunk: int,
    seed: int,
) -> Sorting:
    """Detect events and cluster them, see :func:`sort_spikes`."""
    from threadpoolctl import threadpool_limits

    found = scan(signal, artifact_chunk)
    _check_finite(found.squares.sum())
    masked = artifact_intervals(found.squares, len(signal), threshold=artifact_threshold, chunk=artifact_chunk)
    if not standard_deviation(found, masked) > 0:
        nothing = np.empty(0, np.int64)
        return Sorting(nothing, nothing, masked, 0.0, 0.0)
    half_clip = _half_clip(clip_size, sampling_rate)
    interval = int(np.ceil(detect_interval_ms / 1000 * sampling_rate))
    events = find_events(
        signal,
        found,
        masked,
        threshold=detect_threshold,
        sign=detect_sign,
        interval=interval,
        before=half_clip,
        after=half_clip,
        progress=lambda blocks, n: track(blocks, n, "detecting", "blocks"),
    )
    samples, labels = np.empty(0, np.int64), np.empty(0, np.int64)
    if len(events.samples) and not 0 < events.mad < MIN_NOISE:
        clips = events.clips
        clips /= np.float32(events.mad if events.mad > 0 else events.std)
        with threadpool_limits(1):
            labels, means, shifts = cluster_events(clips, n_features=n_features, n_starts=n_starts, seed=seed)
        peaks = np.abs(means).max(axis=1)
        samples = events.samples + shifts + offsets_to_peak(means, detect_sign, half_clip)[labels]
        order = np.lexsort((labels, samples))
        order = order[(samples[order] >= half_clip) & (samples[order] < len(signal) - half_clip)]
        order = order[_refractory(samples[order], labels[order], round(detect_interval_ms * sampling_rate / 1000))]
        samples, labels = samples[order], _by_peak(labels[order], peaks)
    return Sorting(samples, labels, masked, events.mad, detect_threshold * events.std)


def _half_clip(clip_size: int, sampling_rate: float) -> int:
    """Return the samples of a clip on either side of its event."""
    return max(1, round(clip_size / 2 * sampling_rate / CLIP_RATE))


def _check(signal: Any, sampling_rate: float) -> None:
    if isinstance(signal, np.ndarray) and signal.ndim != 1:
        raise SignalError(f"one channel is sorted at a time: expected shape (n,), found {signal.shape}")
    if not sampling_rate > 0:
        raise SignalError(f"sampling rate: expected samples per second, found {sampling_rate}")
    if len(signal) < MIN_SECONDS * sampling_rate:
        raise SignalError(f"signal of {len(signal)} samples is shorter than {MIN_SECONDS:g} s at {sampling_rate:g} Hz")


def _check_finite(value: float) -> None:
    """Check what is not finite if a sample is not."""
    if not np.isfinite(value):
        raise SignalError("signal has values that are not finite: repair or leave out the channel")


def _refractory(samples: np.ndarray, labels: np.ndarray, interval: int) -> np.ndarray:
    """Return which spikes (n,) do not follow a kept one of their unit by less than `interval` samples."""
    return _apart(samples, labels, interval, np.full(labels.max(initial=-1) + 1, -interval))


@compiled
def _apart(samples, labels, interval, last):
    """Return whether each spike is no nearer than the interval to its unit's last one that is kept."""
    keep = np.empty(len(samples), np.bool_)
    for i in range(len(samples)):
        keep[i] = samples[i] - last[labels[i]] >= interval
        if keep[i]:
            last[labels[i]] = samples[i]
    return keep


def _by_amplitude(x: np.ndarray, samples: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Give units the numbers 1..K from the largest mean waveform down; equal ones by their first spike."""
    units, labels = np.unique(labels, return_inverse=True)
    if not units.size:
        return np.empty(0, np.int64)
    return _by_peak(labels, np.abs(mean_waveforms(x, samples, labels + 1)[0]).max(axis=0))


def _by_peak(labels: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Give units, from 0, the numbers 1..K from the largest peak down; equal ones by their first spike."""
    units, first, labels = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(units), np.int64)
    rank[np.lexsort((first, -peaks[units]))] = np.arange(1, len(units) + 1)
    return rank[labels]
