"""units: quality, metrics and mean waveforms of one channel's units (the waveforms as PyHipp's templates.hkl)."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.ephys.curation import Curation, apply_labels, apply_merges
from hippflow.ephys.curation_format import parse_curation
from hippflow.ephys.metrics import quality_labels, unit_metrics
from hippflow.ephys.sessions import split_by_session
from hippflow.ephys.units import mean_waveforms
from hippflow.errors import FormatError
from hippflow.io.atomic import whole_file
from hippflow.io.products import write_product
from hippflow.steps.sorting import open_day_signal, read_sorting

log = logging.getLogger(__name__)

#: What this step imports when it starts to work, which takes longer than all else (hippflow.forks).
LATE_IMPORTS = ("hippflow.ephys.compiled",)


def make_units(
    highpass: list[str],
    firings: str | Path,
    units: str | Path,
    metrics: str | Path,
    templates: str | Path,
    curation: str | Path | None = None,
    *,
    template_size: int,
    isi_ms: float,
    min_snr: float,
    min_sd_ratio: float,
    max_isi_share: float,
) -> None:
    """Measure and label the units of one channel and day, as a person has curated them.

    Parameters
    ----------
    highpass : list of path
        The signals that were sorted, in the same order.
    firings : path
        The sorting.
    units, metrics, templates : path
        ``units.csv``, ``metrics.csv`` and ``templates.hkl``.
    curation : path, optional
        ``curation.json``, see :func:`hippflow.ephys.curation_format.parse_curation`.
    template_size : int
        Samples of a mean waveform.
    isi_ms : float
        See :func:`hippflow.ephys.metrics.unit_metrics`.
    min_snr, min_sd_ratio, max_isi_share : float
        See :func:`hippflow.ephys.metrics.quality_labels`.

    Raises
    ------
    FormatError
        The curation cannot be read, or is of another sorting.
    """
    sorting, fields = read_sorting(firings)
    decisions = read_curation(curation, sorting.labels) if curation else Curation()
    sorting = apply_merges(sorting, decisions.merges)
    seed = int(fields["parameters"]["seed"])
    with open_day_signal(highpass) as signal:
        lengths = signal.lengths
        measured = unit_metrics(signal, signal.sampling_rate, sorting, isi_ms=isi_ms, seed=seed)
        waveforms = mean_waveforms(signal, sorting.samples, sorting.labels, clip_size=template_size)
    automatic = quality_labels(measured, min_snr=min_snr, min_sd_ratio=min_sd_ratio, max_isi_share=max_isi_share)
    table = apply_labels(automatic, decisions).join(measured[["snr", "firing_rate", "num_spikes"]])
    by_session = split_by_session(sorting.samples, sorting.labels, lengths)
    for name, trains in zip(fields["sessions"], by_session, strict=True):
        table[f"num_spikes_{name}"] = [len(trains.get(unit, ())) for unit in table.index]
    write_product(templates, waveforms)
    for path, frame in ((metrics, measured), (units, table)):
        with whole_file(path) as part:
            frame.to_csv(part, float_format="%.6g")
    counts = ", ".join(f"{n} {label}" for label, n in table["quality"].value_counts().items())
    log.info("%s: %s%s", units, counts or "no units", f", as {curation} has it" if curation else "")


def _of_single_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dictionary of JSON, in which a key that is there twice would hide what was said first."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError(f"a key twice among {', '.join(key for key, _ in pairs)[:100]}")
    return fields


def read_curation(path: str | Path, labels: np.ndarray) -> Curation:
    """Read what a person decided about the units of a sorting.

    Parameters
    ----------
    path : path
        ``curation.json``.
    labels : ndarray of int, (n,)
        Unit of each spike of the sorting.

    Raises
    ------
    FormatError
        The file is no JSON, or says what cannot be done.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"), object_pairs_hook=_of_single_keys)
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: expected JSON, found: {error}; correct the file, or delete it") from error
    units, counts = np.unique(labels, return_counts=True)
    try:
        return parse_curation(content, dict(zip(units.tolist(), counts.tolist(), strict=True)), str(path))
    except RecursionError as error:  # in a message that repeats the content
        raise FormatError(
            f"{path}: expected labels, merges and removed, found lists of lists; correct the file"
        ) from error
