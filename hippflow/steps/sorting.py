"""sorting: the spikes of one channel, sorted over all sessions of a day together."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.ephys.sorting import Sorting, sort_spikes
from hippflow.errors import SortingError
from hippflow.io.products import read_product, write_product
from hippflow.io.signals import open_signal

log = logging.getLogger(__name__)

#: What this step imports when it starts to work, which takes longer than all else (hippflow.forks).
LATE_IMPORTS = ("mountainsort5.schemes.sorting_scheme1", "threadpoolctl")


def read_day_signal(highpass: list[str]) -> tuple[np.ndarray, list[int], float]:
    """Concatenate a channel's high-pass signals of all sessions.

    Parameters
    ----------
    highpass : list of path
        In the order in which they are concatenated.

    Returns
    -------
    signal : ndarray of float32, shape (n,)
        uV.
    lengths : list of int
        Samples of each session.
    sampling_rate : float
        Hz.

    Raises
    ------
    SortingError
        The sessions have different sampling rates.
    """
    with ExitStack() as stack:
        signals = [stack.enter_context(open_signal(path)) for path in highpass]
        rates = {signal.sampling_rate for signal in signals}
        if len(rates) > 1:
            raise SortingError(
                f"expected one sampling rate in {', '.join(map(str, highpass))}, found {sorted(rates)} Hz; "
                "sessions of different rates cannot be sorted together, so select them one at a time with sessions"
            )
        lengths = [len(signal) for signal in signals]
        day = np.empty(sum(lengths), np.float32)
        start = 0
        for signal, n in zip(signals, lengths, strict=True):
            day[start : start + n] = signal[0:n]
            start += n
        return day, lengths, rates.pop()


def session_name(product: str | Path) -> str:
    """Return the session's name from the path of one of its channels' products.

    Examples
    --------
    >>> session_name("results/picasso/20181105/sessioneye/array01/channel009/rplhighpass_b59f.hkl")
    'sessioneye'
    """
    return Path(product).parts[-4]


def make_sorting(highpass: list[str], firings: str | Path, **parameters: Any) -> None:
    """Sort one channel's spikes of a day and write ``firings.hkl``.

    Parameters
    ----------
    highpass : list of path
        The channel's high-pass signals of all sessions, in order.
    firings : path
    **parameters
        Of :func:`hippflow.ephys.sorting.sort_spikes`.
    """
    signal, lengths, sampling_rate = read_day_signal(highpass)
    found = sort_spikes(signal, sampling_rate, **parameters)
    log.info(
        "%s: %d spikes of %d units, %d masked intervals", firings, found.samples.size, found.n_units, len(found.masked)
    )
    write_product(
        firings,
        {
            "samples": found.samples,
            "labels": found.labels,
            "masked": found.masked,
            "noise": found.noise_mad,
            "threshold": found.threshold,
            "samplingRate": sampling_rate,
            "sessions": [session_name(path) for path in highpass],
            "sessionLengths": np.array(lengths, np.int64),
            "parameters": {name: value for name, value in parameters.items() if name != "sorter_parameters"},
        },
    )


def read_sorting(firings: str | Path) -> tuple[Sorting, dict[str, Any]]:
    """Read what :func:`make_sorting` wrote: the sorting, and all fields of the file."""
    fields = read_product(firings)
    return Sorting(
        fields["samples"], fields["labels"], fields["masked"], float(fields["noise"]), float(fields["threshold"])
    ), fields
