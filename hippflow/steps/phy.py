"""phy: the day of one channel as a folder that Phy's template-gui opens, with a copy of the signal."""

import logging
from pathlib import Path

import pandas as pd

from hippflow.ephys.curation_format import UNSORTED
from hippflow.ephys.metrics_analyzer import make_analyzer, quietly
from hippflow.io.npy import read_npy
from hippflow.steps.analyzer import REPORT, measure, read_for_viewers, whole_folder, write_report

log = logging.getLogger(__name__)

#: What this step imports when it starts to work, which takes longer than all else (hippflow.forks).
LATE_IMPORTS = ("hippflow.ephys.compiled", "spikeinterface.exporters")

#: Where Phy keeps the labels of clusters.
GROUPS = "cluster_group.tsv"


def make_phy(highpass: list[str], firings: str | Path, report: str | Path, *, isi_ms: float) -> None:
    """Write Phy's folder of all of a channel's units; cluster k - 1 is unit k.

    Parameters
    ----------
    highpass : list of path
        The signals that were sorted, in the same order.
    firings : path
        The sorting, as the sorter found it: a curation is of these units.
    report : path
        ``phy/hippflow.json``, written last into the folder.
    isi_ms : float
        See :func:`hippflow.ephys.metrics.unit_metrics`.

    Raises
    ------
    SortingError
        There are no units.
    """
    from spikeinterface.exporters import export_to_phy

    folder = Path(report).parent
    signal, sampling_rate, sorting, seed = read_for_viewers(highpass, firings)
    with whole_folder(folder, is_curated) as part, quietly(seed):
        analyzer = make_analyzer(signal, sampling_rate, sorting, seed)
        measure(analyzer, isi_ms, len(signal) / sampling_rate)
        # SpikeInterface collects garbage after every chunk, which takes as long as a minute of signal
        jobs = {"n_jobs": 1, "progress_bar": False, "chunk_duration": "300s"}
        export_to_phy(analyzer, part, use_relative_path=True, verbose=False, **jobs)
        write_report(part / REPORT, highpass, sorting)
    log.info("%s: %d units", folder, sorting.n_units)


def is_curated(folder: Path) -> bool:
    """Return whether clusters of a Phy folder were merged, split or labelled since it was made."""
    names = ("spike_templates.npy", "spike_clusters.npy", GROUPS)
    if not all((folder / name).exists() for name in names):  # Snakemake makes an empty folder first
        return False
    templates, clusters = (read_npy(folder / name).ravel() for name in names[:2])
    groups = pd.read_csv(folder / GROUPS, sep="\t")["group"]
    return bool((templates != clusters).any() or (groups != UNSORTED).any())
