"""Run any sorter of SpikeInterface on one channel, repeatably.

What this does: hands a scaled signal to ``spikeinterface.sorters.run_sorter`` through a
binary file, without the sorter's own filter; keeps numerical code on one thread and
every random generator seeded.

What it does not: judge which sorter suits one channel. On simulated single channels
tridesclous2 was a little behind MountainSort5, spykingcircus2 far behind.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from hippflow.errors import SortingError

#: What sorters of SpikeInterface 0.105 die of on a channel where they find nothing: no
#: peak, fewer than a cluster needs, no peak of the sign they want, or no template.
NOTHING_FOUND = (
    "all_peaks.size / peaks.size",
    "Found array with 0 sample(s)",
    "k must be less than or equal to the number of training points",
    "Prototype should have a negative peak",
    "cannot access local variable 'node0'",
)


def check_installed(sorter: str) -> None:
    """Check that SpikeInterface can run a sorter here.

    Raises
    ------
    SortingError
        If not; it names the sorters that are installed.
    """
    from spikeinterface.sorters import installed_sorters

    installed = installed_sorters()
    if sorter not in installed:
        names = ", ".join(sorted(set(installed) | {"gaussian_mixture", "mountainsort5"}))
        raise SortingError(f"sorter {sorter!r} is unknown or not installed; installed here: {names}")


@contextlib.contextmanager
def one_thread(seed: int) -> Iterator[None]:
    """Run on one thread, every generator of numpy seeded; other numbers of threads round differently."""
    # only libraries that are already loaded are limited, so what the sorters use comes first
    import mountainsort5  # noqa: F401
    from threadpoolctl import threadpool_limits

    default = seed

    def seeded(seed: Any = None) -> np.random.Generator:
        return fresh(default if seed is None else seed)

    # sorters and metrics draw from generators of their own that they leave unseeded
    state, fresh = np.random.get_state(), np.random.default_rng  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        with threadpool_limits(1), mock.patch("numpy.random.default_rng", seeded):
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def run_spikeinterface(
    x: np.ndarray, sampling_rate: float, sorter: str, seed: int, given: dict[str, Any], folder: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Run a sorter of SpikeInterface.

    Parameters
    ----------
    x : ndarray of float32, (n,)
        High-pass signal, in units of its noise level.
    sampling_rate : float
        Samples per second.
    sorter : str
        Name that SpikeInterface knows.
    seed : int
        Given to sorters that take one.
    given : dict
        Parameters of the sorter that differ from its defaults.
    folder : Path
        Empty folder for the signal (4 bytes per sample) and the sorter's files.

    Returns
    -------
    samples, labels : ndarray of int64, (n_spikes,)
        Sample of each spike, ascending, and its unit, from 0.

    Raises
    ------
    SortingError
        If the sorter does not have one of the parameters.
    """
    from spikeinterface.core import read_binary
    from spikeinterface.sorters import get_default_sorter_params, run_sorter
    from spikeinterface.sorters.utils import SpikeSortingError

    # the signal is high-passed already, and there is nothing to correct motion by on one channel
    wanted = {
        "apply_preprocessing": False,
        "apply_motion_correction": False,
        "filter": False,
        "seed": seed,
        "whitening_seed": seed,
        "job_kwargs": {"n_jobs": 1, "progress_bar": False},
    }
    known = get_default_sorter_params(sorter)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise SortingError(f"unknown parameters {unknown}; known: {sorted(known)}")
    # run_sorter refuses a recording that lives in memory
    x.tofile(folder / "signal.raw")
    recording = read_binary(
        folder / "signal.raw", sampling_rate, "float32", num_channels=1, gain_to_uV=1.0, offset_to_uV=0.0
    )
    recording.set_dummy_probe_from_locations(np.zeros((1, 2)))
    recording.annotate(is_filtered=True)
    parameters = {name: value for name, value in wanted.items() if name in known} | given
    try:
        sorting = run_sorter(sorter, recording, folder=folder / "sorter", **parameters)
    except SpikeSortingError as error:
        if any(words in str(error) for words in NOTHING_FOUND):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        raise
    return _spikes(sorting)


def _spikes(sorting: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return samples and labels (from 0) of a SpikeInterface sorting, in order of time."""
    spikes = sorting.to_spike_vector()
    samples, labels = spikes["sample_index"].astype(np.int64), spikes["unit_index"].astype(np.int64)
    order = np.lexsort((labels, samples))
    return samples[order], labels[order]
