"""Amplitude spectrum of a signal: the mean over windows and its standard error.

What this does: PyHipp's FreqSpectrum maths in bounded memory. One difference is meant:
PyHipp fills an incomplete last window with zeros and counts it as a full one, which
biases the mean and the error; here it is left out.

What it does not: taper windows, let them overlap, or scale to power or density.
"""

from dataclasses import dataclass

import numpy as np

from hippflow.ephys.filters import BLOCK, SignalLike, read_blocks
from hippflow.errors import ConfigError, SignalError


@dataclass(frozen=True, eq=False)
class AmplitudeSpectrum:
    """Mean amplitude spectrum of the windows of a signal.

    Attributes
    ----------
    freq : numpy.ndarray, shape (nfft / 2 + 1,)
        Frequencies from 0 to half the sampling rate, Hz.
    magnitude : numpy.ndarray, shape (nfft / 2 + 1,)
        Mean over windows of the magnitude of the unnormalised transform, uV times samples.
    magstderr : numpy.ndarray, shape (nfft / 2 + 1,)
        Population standard deviation over windows by the square root of their number, uV times samples.
    n_windows : int
        Number of complete windows.
    """

    freq: np.ndarray
    magnitude: np.ndarray
    magstderr: np.ndarray
    n_windows: int


def amplitude_spectrum(x: SignalLike, sampling_rate: float, points_per_window: int) -> AmplitudeSpectrum:
    """Average the magnitudes of the Fourier transforms of consecutive windows.

    Each window has its mean subtracted and is filled with zeros to a power of two, nfft.
    The maths is that of PyHipp's ``freqspectrum.py``. Mean and deviation are merged
    block by block with the formula of Chan, Golub and LeVeque (1983), which does not
    subtract large sums from each other.

    Parameters
    ----------
    x : SignalLike
        Signal of n samples, floating point, uV. Each sample is read once.
    sampling_rate : float
        Samples per second.
    points_per_window : int
        Samples per window; PyHipp takes 2000 for the LFP and 3000 for the high-pass signal.

    Returns
    -------
    AmplitudeSpectrum
        Of n // points_per_window windows.

    Raises
    ------
    ConfigError
        If `points_per_window` is less than 2.
    SignalError
        If the signal is shorter than a window or not finite.

    Examples
    --------
    >>> seconds = np.arange(20000) / 1000
    >>> spectrum = amplitude_spectrum(np.sin(2 * np.pi * 125 * seconds), 1000, 2000)
    >>> spectrum.n_windows, len(spectrum.freq), float(spectrum.freq[spectrum.magnitude.argmax()])
    (10, 1025, 125.0)
    """
    if points_per_window < 2:
        raise ConfigError(f"points_per_window: expected at least 2 samples, found {points_per_window}")
    if len(x) < points_per_window:
        raise SignalError(
            f"signal too short for a spectrum: expected at least one window of {points_per_window} samples, "
            f"found {len(x)}"
        )
    nfft = 1 << (points_per_window - 1).bit_length()
    n_windows = 0
    mean = np.zeros(nfft // 2 + 1)
    squares = np.zeros(nfft // 2 + 1)  # sum over windows of squared deviations from their mean
    for part in read_blocks(x, max(1, BLOCK // points_per_window) * points_per_window):
        n_new = len(part) // points_per_window
        if n_new == 0:
            break
        windows = part[: n_new * points_per_window].reshape(n_new, points_per_window).astype(np.float64)
        magnitude = np.abs(np.fft.rfft(windows - windows.mean(axis=1, keepdims=True), nfft))
        new_mean = magnitude.mean(axis=0)
        step = new_mean - mean
        total = n_windows + n_new
        squares += ((magnitude - new_mean) ** 2).sum(axis=0) + step**2 * (n_windows * n_new / total)
        mean += step * (n_new / total)
        n_windows = total
    return AmplitudeSpectrum(
        freq=np.fft.rfftfreq(nfft, 1 / sampling_rate),
        magnitude=mean,
        magstderr=np.sqrt(squares / n_windows) / np.sqrt(n_windows),
        n_windows=n_windows,
    )
