"""Quality of sorted units: metrics, and the labels good, multi-unit and noise.

What this does: measures units with SpikeInterface's metrics of spikes, isolation and mean
waveforms, made repeatable (:mod:`hippflow.ephys.metrics_analyzer`), and labels them.

What it does not: sort, drop units, or write tables.
"""

from typing import Any

import numpy as np
import pandas as pd

from hippflow.ephys.metrics_analyzer import compute_metrics, make_analyzer, quietly
from hippflow.ephys.sorting import Sorting
from hippflow.errors import SignalError

#: Columns of the table of metrics, in order.
COLUMNS = (
    "num_spikes",
    "firing_rate",
    "presence_ratio",
    "snr",
    "isi_violations_ratio",
    "isi_violations_count",
    "isi_share",
    "rp_contamination",
    "rp_violations",
    "sliding_rp_violation",
    "sd_ratio",
    "amplitude_median",
    "amplitude_cutoff",
    "noise_cutoff",
    "noise_ratio",
    "amplitude_cv_median",
    "amplitude_cv_range",
    "firing_range",
    "isolation_distance",
    "l_ratio",
    "d_prime",
    "nn_hit_rate",
    "nn_miss_rate",
    "silhouette",
    "peak_to_trough_duration",
    "main_to_next_extremum_duration",
    "trough_half_width",
    "peak_half_width",
    "repolarization_slope",
    "recovery_slope",
    "num_positive_peaks",
    "num_negative_peaks",
    "peak_before_to_trough_ratio",
    "peak_after_to_trough_ratio",
    "main_peak_to_trough_ratio",
    "waveform_baseline_flatness",
)

#: Columns that hold whole numbers.
COUNTS = ("num_spikes", "isi_violations_count", "rp_violations", "num_positive_peaks", "num_negative_peaks")


def unit_metrics(
    x: Any,
    sampling_rate: float,
    sorting: Sorting,
    *,
    isi_ms: float = 2.0,
    censored_ms: float = 1.0,
    presence_bin_s: float = 60.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure the units of one channel.

    Definitions are those of SpikeInterface's ``quality_metrics`` and ``template_metrics``;
    amplitudes are the signal at a spike's sample, with its sign.

    Parameters
    ----------
    x : ndarray of float, or sliceable, (n,)
        High-pass signal that was sorted, uV; it is read block by block. Not changed.
    sampling_rate : float
        Samples per second.
    sorting : Sorting
        Its spikes. Masked intervals count as recorded but silent, and not as noise.
    isi_ms : float
        Shorter intervals violate the refractory period.
    censored_ms : float
        Intervals that the detection cannot give.
    presence_bin_s : float
        Bin of the presence ratio; a tenth of the signal where it holds fewer than ten.
    seed : int
        Of the choice of clips.

    Returns
    -------
    pandas.DataFrame
        One row per unit with spikes (index ``unit``, ascending), columns :data:`COLUMNS`, of which:

        ``snr``
            Largest absolute value of the mean waveform over the noise level
            (median absolute deviation / 0.6745).
        ``isi_violations_ratio``, ``isi_violations_count``
            Estimated share of contaminating spikes, and intervals below `isi_ms`.
        ``isi_share``
            Intervals below `isi_ms`, as a share of all intervals.
        ``rp_contamination``, ``rp_violations``
            The estimate of Llobet et al. 2022 with the same two periods.
        ``sliding_rp_violation``
            Smallest contamination that can be excluded at 90 %, over refractory periods from `censored_ms`.
        ``sd_ratio``
            Standard deviation of the amplitudes over that of the signal without the unit:
            1 for a whole unit, less for one that the threshold cut.
        ``amplitude_cutoff``
            Estimated share of spikes below the threshold; NaN below 500 spikes.
        ``noise_cutoff``, ``noise_ratio``
            How many spikes there are near the threshold, compared with the largest ones and with the most common.
        ``isolation_distance``, ``l_ratio``, ``d_prime``, ``nn_hit_rate``, ``nn_miss_rate``, ``silhouette``
            Isolation from the other units; NaN for a single one, or one with too few spikes.
        ``peak_to_trough_duration`` and all that follow
            Of the mean waveform, in s, uV/s and ratios; NaN where it has no such peak.

    Raises
    ------
    SignalError
        If a spike lies outside the signal.

    Examples
    --------
    >>> nothing = np.empty(0, np.int64)
    >>> silent = Sorting(nothing, nothing, np.empty((0, 2), np.int64), 1.0, 4.0)
    >>> unit_metrics(np.zeros(30000), 30000, silent).shape
    (0, 36)
    """
    if not sorting.n_units:
        empty = pd.DataFrame(index=pd.Index([], name="unit", dtype="int64"), columns=list(COLUMNS), dtype=float)
        return empty.astype(dict.fromkeys(COUNTS, "int64"))
    if sorting.samples[0] < 0 or sorting.samples[-1] >= len(x):
        raise SignalError(f"spikes up to sample {sorting.samples[-1]}, but the signal has {len(x)}")
    presence_bin_s = min(presence_bin_s, len(x) / sampling_rate / 10)
    with quietly(seed):
        analyzer = make_analyzer(x, sampling_rate, sorting, seed)
        compute_metrics(analyzer, isi_ms=isi_ms, censored_ms=censored_ms, presence_bin_s=presence_bin_s)
        tables = [analyzer.get_extension(name).get_data() for name in ("quality_metrics", "template_metrics")]
    table = pd.concat(tables, axis=1)
    table.index = pd.Index(table.index.astype("int64"), name="unit")
    table["isi_share"] = [
        _isi_share(sorting.samples[sorting.labels == unit], isi_ms * sampling_rate / 1000) for unit in table.index
    ]
    table = table.reindex(columns=list(COLUMNS)).astype(float)
    return table.astype(dict.fromkeys(COUNTS, "int64"))


def quality_labels(
    metrics: pd.DataFrame,
    *,
    min_snr: float = 4.5,
    min_sd_ratio: float = 0.5,
    max_isi_share: float = 0.005,
) -> pd.Series:
    """Label units as good, multi-unit or noise; none is dropped.

    Noise is a unit that is too small, or whose amplitudes vary less than the noise does
    because the detection threshold cut them; it cannot have cut those of a unit of twice
    the least SNR. Of the others, one with too many short intervals is several neurons.

    Parameters
    ----------
    metrics : pandas.DataFrame
        From :func:`unit_metrics`.
    min_snr : float
        Noise is below it.
    min_sd_ratio : float
        Noise is below it too, at an SNR of less than ``2 * min_snr``.
    max_isi_share : float
        Multi-unit is above. What counts as short was chosen in :func:`unit_metrics`.

    Returns
    -------
    pandas.Series of str
        "good", "multi-unit" or "noise"; index of `metrics`, name ``quality``. A metric
        that is NaN does not speak against a unit.

    Examples
    --------
    >>> rows = [(8, 1, 0), (8, 1, 0.01), (8, 0.3, 0), (4, 1, 0), (30, 0.3, 0)]
    >>> quality_labels(pd.DataFrame(rows, columns=["snr", "sd_ratio", "isi_share"])).tolist()
    ['good', 'multi-unit', 'noise', 'noise', 'good']
    """
    near_threshold = metrics["snr"] < 2 * min_snr
    noise = (metrics["snr"] < min_snr) | (near_threshold & (metrics["sd_ratio"] < min_sd_ratio))
    several = metrics["isi_share"] > max_isi_share
    labels = np.where(noise, "noise", np.where(several, "multi-unit", "good"))
    return pd.Series(labels, index=metrics.index, name="quality", dtype="str")


def _isi_share(samples: np.ndarray, shortest: float) -> float:
    """Share of the intervals of an ascending train that are shorter than `shortest` samples."""
    intervals = np.diff(samples)
    return float(np.mean(intervals < shortest)) if intervals.size else float("nan")
