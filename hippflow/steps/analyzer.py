"""analyzer: the day of one channel as a SpikeInterface SortingAnalyzer in a folder, for its viewers and curation.

The signal is not copied: the analyzer refers to the samples in the high-pass signals' files,
by paths relative to its own.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from hippflow.ephys.metrics_analyzer import compute_metrics, make_analyzer, quietly
from hippflow.ephys.sorting import Sorting
from hippflow.errors import FormatError, SortingError
from hippflow.io.products import open_hickle, value_node
from hippflow.io.signals import open_signal
from hippflow.steps.sorting import read_day_signal, read_sorting

log = logging.getLogger(__name__)

#: What this step imports when it starts to work, which takes longer than all else (hippflow.forks).
LATE_IMPORTS = ("hippflow.ephys.compiled", "spikeinterface.postprocessing")

#: What the folder is made of; written last.
REPORT = "hippflow.json"

#: Interval that detection cannot give and bin of the presence ratio, as in ``metrics.csv``.
CENSORED_MS, PRESENCE_BIN_S = 1.0, 60.0

#: Where SpikeInterface's viewer keeps a curation.
GUI_CURATION = "spikeinterface_gui/curation_data.json"


@contextmanager
def whole_folder(folder: Path, is_curated: Callable[[Path], bool]) -> Iterator[Path]:
    """Give a temporary folder that takes the place of `folder` if the block ends without an error.

    Parameters
    ----------
    folder : Path
    is_curated : callable
        Whether a folder holds decisions of a person; such a one is kept beside the new one, as ``phy-1``, ``phy-2``.
    """
    part = folder.with_name(f".{folder.name}.part")  # Snakemake runs one job for a folder at a time
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        if folder.exists() and is_curated(folder):
            numbers = (k for k in range(1, 1000) if not folder.with_name(f"{folder.name}-{k}").exists())
            kept = folder.with_name(f"{folder.name}-{next(numbers)}")
            os.replace(folder, kept)
            log.warning("%s: what was curated there is kept as %s", folder, kept)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def make_sorting_analyzer(highpass: list[str], firings: str | Path, report: str | Path, *, isi_ms: float) -> None:
    """Write the folder of a SortingAnalyzer of all of a channel's units.

    Parameters
    ----------
    highpass : list of path
        The signals that were sorted, in the same order.
    firings : path
        The sorting, as the sorter found it: a curation is of these units.
    report : path
        ``analyzer/hippflow.json``, written last into the folder.
    isi_ms : float
        See :func:`hippflow.ephys.metrics.unit_metrics`.

    Raises
    ------
    SortingError
        There are no units.
    """
    folder = Path(report).parent
    signal, sampling_rate, sorting, seed = read_for_viewers(highpass, firings)
    with whole_folder(folder, lambda old: (old / GUI_CURATION).exists()) as part, quietly(seed):
        recording = day_recording(highpass)
        analyzer = make_analyzer(signal, sampling_rate, sorting, seed, recording=recording, folder=part.absolute())
        measure(analyzer, isi_ms, len(signal) / sampling_rate)
        others = {"unit_locations": {"method": "center_of_mass"}, "correlograms": {}}
        analyzer.compute(others, n_jobs=1, progress_bar=False)
        _forget_times(part)
        write_report(part / REPORT, highpass, sorting)
    log.info("%s: %d units", folder, sorting.n_units)


def _forget_times(folder: Path) -> None:
    """Take out how long each extension took: the same input makes the same bytes."""
    for path in folder.glob("extensions/*/run*_*.json"):
        fields = json.loads(path.read_text())
        path.write_text(json.dumps({name: 0.0 if type(value) is float else value for name, value in fields.items()}))


def read_for_viewers(highpass: list[str], firings: str | Path) -> tuple[np.ndarray, float, Sorting, int]:
    """Return signal, sampling rate, sorting and seed of a channel's day that has units.

    Raises
    ------
    SortingError
        It has none.
    """
    sorting, fields = read_sorting(firings)
    if not sorting.n_units:
        raise SortingError(f"{firings}: expected units to look at, found none; there is nothing to curate")
    signal, _, sampling_rate = read_day_signal(highpass)
    return signal, sampling_rate, sorting, int(fields["parameters"]["seed"])


def day_recording(highpass: list[str]) -> Any:
    """Return a recording of SpikeInterface that reads the samples of high-pass signals where they lie.

    Parameters
    ----------
    highpass : list of path

    Returns
    -------
    spikeinterface.BaseRecording
        One channel, one segment: the signals one after the other.
    """
    from spikeinterface.core import concatenate_recordings, read_binary

    parts = []
    for path in highpass:
        with open_signal(path) as signal:
            n, rate, gain = len(signal), signal.sampling_rate, float(signal.info.get("Gain", 1.0))
        with open_hickle(path) as file:
            dataset = value_node(next(node for name, node in file["data"].items() if name.strip("'\"") == "data"))
            offset, dtype = dataset.id.get_offset(), dataset.dtype
        if offset is None:
            raise FormatError(f"{path}: expected samples in one piece, found them in chunks; delete it and run again")
        recording = read_binary(
            Path(path).absolute(), rate, dtype, num_channels=1, file_offset=offset, gain_to_uV=gain, offset_to_uV=0.0
        )
        parts.append(recording.frame_slice(start_frame=0, end_frame=n))  # what follows in the file is no signal
    return concatenate_recordings(parts)


def measure(analyzer: Any, isi_ms: float, seconds: float) -> None:
    """Compute the metrics of ``metrics.csv`` for an analyzer's viewer, and how similar its waveforms are."""
    from spikeinterface.postprocessing import template_similarity

    compute_metrics(analyzer, isi_ms=isi_ms, censored_ms=CENSORED_MS, presence_bin_s=min(PRESENCE_BIN_S, seconds / 10))
    # for the few units of a channel numpy is there at once; numba first compiles for 10 s
    plain = template_similarity._compute_similarity_matrix_numpy
    with mock.patch.object(template_similarity, "_compute_similarity_matrix", plain):
        analyzer.compute("template_similarity")


def write_report(path: Path, highpass: list[str], sorting: Sorting) -> None:
    """Write what a folder was made of."""
    import spikeinterface

    units, counts = np.unique(sorting.labels, return_counts=True)
    fields = {
        "signals": ["/".join(Path(name).parts[-6:]) for name in highpass],
        "units": units.tolist(),
        "num_spikes": counts.tolist(),
        "spikeinterface": spikeinterface.__version__,
    }
    path.write_text(json.dumps(fields, indent=1) + "\n")
