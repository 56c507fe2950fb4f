"""sorting: the spikes of one channel, sorted over all sessions of a day together."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.ephys.sorting import Sorting, sort_spikes
from hippflow.errors import FormatError, SortingError, about
from hippflow.io.products import read_product, write_product
from hippflow.io.signals import Signal, open_signal
from hippflow.names import SESSION

log = logging.getLogger(__name__)

#: What this step imports when it starts to work, which takes longer than all else (hippflow.forks).
LATE_IMPORTS = ("hippflow.ephys.compiled_sorting", "threadpoolctl")


class DaySignal:
    """A channel's high-pass signals of all sessions, end to end, read by slices.

    Attributes
    ----------
    lengths : list of int
        Samples of each session.
    sampling_rate : float
        Hz.

    Examples
    --------
    ``signal[a:b]`` reads samples a to b (exclusive) of the day as float32 in uV; ``len(signal)`` is their number.
    """

    def __init__(self, signals: list[Signal]):
        self._signals = signals
        self.lengths = [len(signal) for signal in signals]
        self.sampling_rate = signals[0].sampling_rate

    def __len__(self) -> int:
        return sum(self.lengths)

    def __getitem__(self, index: slice) -> np.ndarray:
        start, stop, step = index.indices(len(self))
        if step != 1:
            raise ValueError("a signal is read in steps of 1")
        pieces, first = [], 0
        for signal, length in zip(self._signals, self.lengths, strict=True):
            if start < first + length and stop > first:
                pieces.append(signal[max(0, start - first) : min(length, stop - first)])
            first += length
        return pieces[0] if len(pieces) == 1 else np.concatenate([np.empty(0, np.float32), *pieces])


@contextmanager
def open_day_signal(highpass: list[str]) -> Iterator[DaySignal]:
    """Open a channel's high-pass signals of all sessions for reading by slices.

    Parameters
    ----------
    highpass : list of path
        In the order in which they are concatenated.

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
        yield DaySignal(signals)


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
    with open_day_signal(highpass) as signal:
        day, start = np.empty(len(signal), np.float32), 0
        # session by session: the day twice would be twice the memory
        for length in signal.lengths:
            day[start : start + length] = signal[start : start + length]
            start += length
        return day, signal.lengths, signal.sampling_rate


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
    with open_day_signal(highpass) as signal, about(Path(firings).parent):
        lengths, sampling_rate = signal.lengths, signal.sampling_rate
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
    """Read what :func:`make_sorting` wrote: the sorting, and all fields of the file.

    Raises
    ------
    FormatError
        The file is not there, damaged, or another product.
    """
    fields = read_product(firings)
    sessions = fields.get("sessions", ()) if isinstance(fields, dict) else ()
    if not isinstance(sessions, list | tuple) or not all(SESSION.fullmatch(str(name)) for name in sessions):  # of paths
        raise FormatError(f"{firings}: expected sessions like session01, found {sessions!s:.200}; make it anew")
    try:
        samples, labels, masked = (np.asarray(fields[name], np.int64) for name in ("samples", "labels", "masked"))
        if samples.ndim != 1 or samples.shape != labels.shape or masked.ndim != 2 or masked.shape[1] != 2:
            raise ValueError(f"shapes {samples.shape}, {labels.shape} and {masked.shape}")
        return Sorting(samples, labels, masked, float(fields["noise"]), float(fields["threshold"])), fields
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(
            f"{firings}: expected a sorting with samples and labels of one length, masked, noise and threshold, found "
            f"none ({type(error).__name__}: {error!s:.100}); delete it and run again"
        ) from error
