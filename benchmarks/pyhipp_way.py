"""What PyHipp does with a continuous recording: its published formulas, its order, its reading and writing.

PyHipp itself needs neo 0.8 and Python 3.8. These are the calls of its ``rplsplit.py``, ``rpllfp.py`` and
``rplhighpass.py`` on today's neo, scipy and hickle: 32 channels of a recording at a time in memory, an object
a channel written by hickle, read back for each filter, filtered whole.
"""

from pathlib import Path

import hickle
import numpy as np
from scipy.signal import butter, filtfilt, resample_poly

SAMPLING_RATE = 30_000.0
#: Channels that RPLSplit has in memory.
LOADED = 32


def split(nsx: Path, folder: Path) -> None:
    """RPLSplit: the raw signals of all channels, one pass over the recording for 32 of them."""
    from neo.io import BlackrockIO

    reader = BlackrockIO(str(nsx.with_suffix("")), nsx_to_load=5)
    signals = reader.read_block(lazy=True).segments[0].analogsignals
    signal = next(signal for signal in signals if str(signal.units.dimensionality) == "uV")
    folder.mkdir(parents=True)
    for first in range(0, signal.shape[1], LOADED):
        columns = list(range(first, min(first + LOADED, signal.shape[1])))
        loaded = signal.load(channel_indexes=columns)
        for k, column in enumerate(columns):
            data = np.array(loaded[:, k]).flatten().astype(np.float32)
            info = {"SampleRate": SAMPLING_RATE, "MaxVal": data.max(), "MinVal": data.min(), "NumberSamples": len(data)}
            hickle.dump({"data": data, "analogInfo": info, "numSets": 1}, str(folder / f"{column}_raw.hkl"), mode="w")


def _bandpass(data: np.ndarray, band: tuple[float, float], rate: float) -> np.ndarray:
    b, a = butter(4, [band[0] / (rate / 2), band[1] / (rate / 2)], btype="bandpass")
    return filtfilt(b, a, data, padtype="odd", padlen=3 * (max(len(b), len(a)) - 1)).astype(np.float32)


def filter_lfp(data: np.ndarray) -> np.ndarray:
    """RPLLFP's maths on a raw signal, float32 (n,) in uV."""
    return _bandpass(resample_poly(data, 1000, SAMPLING_RATE), (1, 150), 1000)


def filter_highpass(data: np.ndarray) -> np.ndarray:
    """RPLHighPass's maths on a raw signal, float32 (n,) in uV."""
    return _bandpass(data, (500, 7500), SAMPLING_RATE)


def filter_all(folder: Path) -> None:
    """RPLLFP and RPLHighPass of every channel in a folder."""
    for raw in sorted(folder.glob("*_raw.hkl")):
        for name, work in (("lfp", filter_lfp), ("highpass", filter_highpass)):
            fields = hickle.load(str(raw))
            fields["data"] = work(fields["data"])
            hickle.dump(fields, str(raw).replace("raw", name), mode="w")


def everything(nsx: Path, folder: Path) -> None:
    """Raw signals, LFP and high-pass signals of all channels."""
    split(nsx, folder)
    filter_all(folder)
