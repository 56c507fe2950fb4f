"""Zero-phase Butterworth filters over signals of any length, in bounded memory.

What this does: gives what :func:`scipy.signal.filtfilt` gives on the whole signal,
edges included, one block after another; every sample is read once.

What it does not: choose corners or rates (:mod:`hippflow.ephys.highpass` and
:mod:`hippflow.ephys.lfp` do), store anything, or improve on the transfer-function
(``ba``) form that PyHipp uses, whose rounding limits how close two correct
computations of the same filter come.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from scipy.signal import butter, lfilter, lfilter_zi

from hippflow.ephys.recursion import Recursion
from hippflow.errors import ConfigError, SignalError

#: Samples read at a time unless told otherwise: 0.5 MB as float64, which stays in a core's cache.
BLOCK = 2**16

#: Share of a filter's impulse response that may be missing: half a unit in the last place of a double.
ROUNDING = 2.0**-53

#: Largest pole radius that is filtered with. Beyond it the response lasts for millions of samples.
MAX_POLE_RADIUS = 1 - 1e-5


class SignalLike(Protocol):
    """A signal that can be longer than memory: it has a length and gives slices."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def __getitem__(self, index: slice, /) -> np.ndarray:
        """Return the samples of a slice, shape (stop - start,), floating point, uV."""


def read_blocks(x: SignalLike, block: int = BLOCK) -> Iterator[np.ndarray]:
    """Read a signal once from start to end and vouch for its samples.

    Parameters
    ----------
    x : SignalLike
        Signal of n samples, floating point, in uV.
    block : int
        Samples per read.

    Yields
    ------
    numpy.ndarray, shape (block,)
        Consecutive samples in the type of `x`; the last block may be shorter.

    Raises
    ------
    SignalError
        If a sample is not finite (one NaN would spoil all that a recursive filter
        gives after it), or if a slice has another shape than asked for.
    TypeError
        If the samples are integers: these are steps of a converter, not uV.

    Examples
    --------
    >>> [part.tolist() for part in read_blocks(np.arange(5.0), block=2)]
    [[0.0, 1.0], [2.0, 3.0], [4.0]]
    """
    start = 0
    for part in read_unchecked(x, block):
        refuse_not_finite(part, start)
        start += len(part)
        yield part


def read_unchecked(x: SignalLike, block: int = BLOCK) -> Iterator[np.ndarray]:
    """Read a signal as :func:`read_blocks` does, for one who will find samples that are not finite himself."""
    n_samples = len(x)
    for start in range(0, n_samples, block):
        yield read_part(x, start, min(start + block, n_samples))


def read_part(x: SignalLike, start: int, stop: int) -> np.ndarray:
    """Read samples of a signal, with the checks of :func:`read_blocks` but that for what is not finite."""
    part = np.asarray(x[start:stop])
    if part.dtype.kind != "f":
        raise TypeError(f"expected a floating-point signal in uV, found {part.dtype}")
    if part.shape != (stop - start,):
        raise SignalError(
            f"samples {start} to {stop}: expected an array of shape ({stop - start},), found {part.shape}; "
            "the signal is cut short or has more than one channel"
        )
    return part


def refuse_not_finite(part: np.ndarray, start: int) -> None:
    """Raise a SignalError that names the first sample which is not finite, of a signal's samples from `start` on."""
    finite = np.isfinite(part)
    if not finite.all():
        first = int(np.argmin(finite))
        raise SignalError(
            f"sample {start + first}: expected a finite value, found {part[first]}; repair or leave out the channel"
        )


def butter_bandpass(order: int, band: Sequence[float], sampling_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Design PyHipp's Butterworth band-pass.

    `order` counts poles, as PyHipp's arguments do: a band-pass of order 8 is
    ``scipy.signal.butter(4, ...)``, and run forwards and backwards its gain is
    -6 dB at the corners.

    Parameters
    ----------
    order : int
        Number of poles, even.
    band : sequence of two floats
        Low and high corner, Hz.
    sampling_rate : float
        Samples per second of the signal to filter.

    Returns
    -------
    b, a : numpy.ndarray, shape (order + 1,)
        Numerator and denominator of the transfer function.

    Raises
    ------
    ConfigError
        If `order` is not even and positive, or `band` not within 0 to sampling_rate / 2.

    Examples
    --------
    >>> b, a = butter_bandpass(8, (500, 7500), 30000)
    >>> len(b), len(a)
    (9, 9)
    """
    if order < 2 or order % 2:
        raise ConfigError(f"order: expected an even number of poles, at least 2, found {order}")
    if len(band) != 2 or not 0 < band[0] < band[1] < sampling_rate / 2:
        raise ConfigError(
            f"band: expected a low and a higher corner between 0 and {sampling_rate / 2:g} Hz "
            f"(half the sampling rate of {sampling_rate:g} Hz), found {tuple(band)}"
        )
    low, high = (corner / (sampling_rate / 2) for corner in band)
    return butter(order // 2, [low, high], btype="bandpass", output="ba")


def settling_length(b: np.ndarray, a: np.ndarray) -> int:
    """Count the samples after which a filter has forgotten how it was started.

    A pass started from the steady state of a constant differs from the true one by the
    response to samples further back than its start, which is at most twice the largest
    sample times the sum of the magnitudes of the impulse response from there on. The
    length returned makes that sum a double's rounding of the whole sum.

    Parameters
    ----------
    b, a : numpy.ndarray
        Transfer function.

    Returns
    -------
    int
        Length in samples.

    Raises
    ------
    ConfigError
        If the transfer function is unstable, or so close to it that its response lasts for
        millions of samples. A high order with a narrow or low band does this: the rounding
        of the coefficients alone moves its poles out of the unit circle.

    Examples
    --------
    >>> settling_length(*butter_bandpass(8, (500, 7500), 30000))
    979
    """
    radius = max(np.abs(np.roots(a)), default=0.0)
    if radius > MAX_POLE_RADIUS:
        raise ConfigError(
            f"order, band: expected a filter with all poles inside a radius of {MAX_POLE_RADIUS}, found {radius:.6f}; "
            "take fewer poles, a wider band or a lower sampling rate"
        )
    # The largest pole decays to the square of the rounding in this many samples: more than enough to sum over.
    decay = int(2 * np.log(ROUNDING) / np.log(radius)) if radius > 0 else 0
    impulse = np.zeros(len(b) + decay + 1)
    impulse[0] = 1
    rest = np.cumsum(np.abs(lfilter(b, a, impulse))[::-1])[::-1]
    return int(np.argmax(rest <= ROUNDING * rest[0]))


def filtfilt_stream(b: np.ndarray, a: np.ndarray, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Filter blocks of a signal forwards and backwards, as if it were whole.

    The forward pass carries its state from block to block. The backward pass of a block
    starts :func:`settling_length` samples after the block's end, and at the end of the
    signal from scipy's initial condition on the odd extension.

    Parameters
    ----------
    b, a : numpy.ndarray
        Transfer function.
    blocks : iterable of numpy.ndarray, shape (any,)
        Finite samples, in order. Each is taken once.

    Returns
    -------
    iterator of numpy.ndarray, float64
        Blocks that join to ``filtfilt(b, a, x, padtype="odd", padlen=3 * (max(len(a), len(b)) - 1))``
        of scipy. They need not be as long as those that came in: a block is given once at
        least three settling lengths are ready, and holds what is.

    Raises
    ------
    ConfigError
        As :func:`settling_length`, at once.
    SignalError
        If all blocks together have no more samples than scipy's padlen, at the first block.

    Examples
    --------
    >>> b, a = butter_bandpass(2, (10, 20), 100)
    >>> halves = np.ones(50), -np.ones(50)
    >>> sum(len(part) for part in filtfilt_stream(b, a, halves))
    100
    """
    edge = 3 * (max(len(a), len(b)) - 1)
    # What is held back must cover the extension, which is not part of the result.
    overlap = max(settling_length(b, a), edge)
    return _filter_blocks(b, a, blocks, edge, overlap)


def filtfilt_blocks(b: np.ndarray, a: np.ndarray, x: SignalLike, *, block: int = BLOCK) -> Iterator[np.ndarray]:
    """Filter a signal forwards and backwards without holding it in memory.

    Parameters
    ----------
    b, a : numpy.ndarray
        Transfer function.
    x : SignalLike
        Signal of n samples, in uV.
    block : int
        Samples per read.

    Returns
    -------
    iterator of numpy.ndarray, float64
        Blocks in uV, in order, n samples in all; see :func:`filtfilt_stream`.

    Raises
    ------
    ConfigError, SignalError
        As :func:`filtfilt_stream` and :func:`read_blocks`.

    Examples
    --------
    >>> from scipy.signal import filtfilt
    >>> b, a = butter_bandpass(8, (500, 7500), 30000)
    >>> x = np.sin(np.arange(9000.0))
    >>> y = np.concatenate(list(filtfilt_blocks(b, a, x, block=1000)))
    >>> bool(np.allclose(y, filtfilt(b, a, x, padlen=24), rtol=0, atol=1e-11))
    True
    """
    return filtfilt_stream(b, a, read_blocks(x, block))


def _filter_blocks(
    b: np.ndarray, a: np.ndarray, blocks: Iterable[np.ndarray], edge: int, overlap: int
) -> Iterator[np.ndarray]:
    """Do the work of :func:`filtfilt_stream`, whose checks are thus done before the first block is asked for."""
    steady, run = lfilter_zi(b, a), Recursion(b, a)

    def backward(y: np.ndarray) -> np.ndarray:
        return run(y[::-1], steady * y[-1])[0][::-1]

    state = None
    unwanted = edge
    pending: list[np.ndarray] = []
    ready = 0
    for part in _extend_odd(blocks, edge):
        y, state = run(part, steady * part[0] if state is None else state)
        y, unwanted = y[unwanted:], max(0, unwanted - len(y))
        pending.append(y)
        ready += len(y)
        # Waiting for three overlaps bounds the samples that are filtered backwards twice to a third.
        if ready >= 4 * overlap:
            y = np.concatenate(pending)
            yield backward(y)[: ready - overlap]
            pending, ready = [y[ready - overlap :].copy()], overlap  # the copy lets go of the rest
    yield backward(np.concatenate(pending))[: ready - edge]


def _extend_odd(blocks: Iterable[np.ndarray], edge: int) -> Iterator[np.ndarray]:
    """Put `edge` samples, point-mirrored at the first and last sample, around the blocks of a signal."""
    blocks = iter(blocks)
    opening: list[np.ndarray] = []
    found = 0
    while found <= edge:
        part = next(blocks, None)
        if part is None:
            raise SignalError(
                f"signal too short to filter: needs more than {edge} samples at the rate of the filter, found {found}"
            )
        opening.append(part)
        found += len(part)
    first = np.concatenate(opening)
    yield np.concatenate([2 * first[0] - first[edge:0:-1], first])
    last = first[-edge - 1 :]
    for part in blocks:
        if len(part) == 0:  # lfilter of no samples loses the state
            continue
        yield part
        last = np.concatenate([last, part[-edge - 1 :]])[-edge - 1 :]
    yield 2 * last[-1] - last[-2::-1]
