"""A SpikeInterface SortingAnalyzer of one channel's units, and what of its metrics one channel supports.

What this does: pairs a signal with its sorting, with the noise over the whole signal instead of
random chunks of it, and computes the extensions that metrics, Phy and SpikeInterface's viewers read.

What it does not: judge units, or read and write products; drift, synchrony and all that
compares channels need a probe.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.ephys.detection import streamed_noise_levels
from hippflow.ephys.sorters import one_thread
from hippflow.ephys.sorting import Sorting

#: Spikes per unit whose clips give the template and the principal components.
CLIPS_PER_UNIT = 2000

#: Principal components in which isolation is measured.
COMPONENTS = 5

#: Quality metrics of every unit, and those that compare units, by SpikeInterface's names.
OF_UNITS = (
    "num_spikes",
    "firing_rate",
    "presence_ratio",
    "snr",
    "isi_violation",
    "rp_violation",
    "sliding_rp_violation",
    "sd_ratio",
    "amplitude_median",
    "amplitude_cutoff",
    "noise_cutoff",
    "amplitude_cv",
    "firing_range",
)
BETWEEN_UNITS = ("mahalanobis", "d_prime", "nearest_neighbor", "silhouette")

#: Metrics of the mean waveform, by SpikeInterface's names.
OF_TEMPLATES = (
    "peak_to_trough_duration",
    "main_to_next_extremum_duration",
    "half_width",
    "repolarization_slope",
    "recovery_slope",
    "number_of_peaks",
    "waveform_ratios",
    "waveform_baseline_flatness",
)


@contextlib.contextmanager
def quietly(seed: int) -> Iterator[None]:
    """Run SpikeInterface on one thread and from a seed, without its warnings of every NaN in a table."""
    quiet = contextlib.redirect_stderr(io.StringIO())
    with warnings.catch_warnings(), np.errstate(all="ignore"), quiet, one_thread(seed):
        warnings.simplefilter("ignore")
        yield


def make_analyzer(
    x: Any,
    sampling_rate: float,
    sorting: Sorting,
    seed: int,
    *,
    recording: Any = None,
    folder: Path | None = None,
) -> Any:
    """Return a SortingAnalyzer with the extensions that metrics read; call it in :func:`quietly`.

    Parameters
    ----------
    x : ndarray of float32, or sliceable, (n,)
        High-pass signal that was sorted, uV; it is read block by block.
    sampling_rate : float
        Samples per second.
    sorting : Sorting
        With a spike at least; its labels may have gaps.
    seed : int
        Of the choice of clips.
    recording : spikeinterface.BaseRecording, optional
        The same signal from files, for an analyzer that outlives `x`.
    folder : Path, optional
        Where the analyzer is kept (binary_folder); in memory without it.

    Returns
    -------
    spikeinterface.SortingAnalyzer
        Units have the numbers of `sorting`.
    """
    from spikeinterface.core import NumpySorting, create_sorting_analyzer

    from hippflow.ephys.streamed_recording import StreamedRecording

    if recording is None:
        recording = StreamedRecording(x, sampling_rate)
    recording.set_dummy_probe_from_locations(np.zeros((1, 2)))
    recording.annotate(is_filtered=True)
    # SpikeInterface takes what it finds here, and random chunks, unseeded, where it finds nothing
    std, mad = streamed_noise_levels(x, sorting.masked)
    recording.set_property("noise_level_std_scaled", [std])
    recording.set_property("noise_level_mad_scaled", [mad or std])
    units = NumpySorting.from_samples_and_labels(
        [sorting.samples], [sorting.labels], sampling_rate, unit_ids=np.unique(sorting.labels)
    )
    kept = {"format": "binary_folder", "folder": folder} if folder else {"format": "memory"}
    analyzer = create_sorting_analyzer(units, recording, sparse=False, return_in_uV=True, seed=seed, **kept)
    analyzer.compute(
        {
            "random_spikes": {"max_spikes_per_unit": CLIPS_PER_UNIT, "seed": seed},
            "waveforms": {"ms_before": 1.0, "ms_after": 1.5},
            "templates": {},
            "noise_levels": {},
            "spike_amplitudes": {},
            **({"principal_components": {"n_components": COMPONENTS}} if len(units.unit_ids) > 1 else {}),
        },
        n_jobs=1,
        chunk_duration="10s",
        progress_bar=False,
    )
    return analyzer


def compute_metrics(analyzer: Any, *, isi_ms: float, censored_ms: float, presence_bin_s: float) -> None:
    """Compute the extensions ``quality_metrics`` and ``template_metrics``; call it in :func:`quietly`.

    Parameters
    ----------
    analyzer : spikeinterface.SortingAnalyzer
        From :func:`make_analyzer`.
    isi_ms : float
        Refractory period.
    censored_ms : float
        Intervals that the detection cannot give: no method takes their absence for a sign of a single neuron.
    presence_bin_s : float
        Bin of the presence ratio.
    """
    censored_ms = min(censored_ms, isi_ms / 2)
    parameters = {
        "presence_ratio": {"bin_duration_s": presence_bin_s},
        "isi_violation": {"isi_threshold_ms": isi_ms, "min_isi_ms": censored_ms},
        "rp_violation": {"refractory_period_ms": isi_ms, "censored_period_ms": censored_ms},
        "sliding_rp_violation": {"exclude_ref_period_below_ms": max(0.5, censored_ms)},
        "nearest_neighbor": {"max_spikes": CLIPS_PER_UNIT, "n_neighbors": 5},
    }
    names = [*OF_UNITS, *(BETWEEN_UNITS if len(analyzer.unit_ids) > 1 else ())]
    one = {"n_jobs": 1, "progress_bar": False}
    analyzer.compute(
        "quality_metrics",
        metric_names=names,
        metric_params={name: values for name, values in parameters.items() if name in names},
        **one,
    )
    analyzer.compute("template_metrics", metric_names=list(OF_TEMPLATES), **one)
