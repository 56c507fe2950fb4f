"""Electrodes, the LFP, and the signals as they were recorded."""

from typing import Any

import numpy as np
from pynwb import NWBFile
from pynwb.ecephys import LFP, ElectricalSeries
from pynwb.file import DynamicTableRegion

from hippflow.nwb.contents import Contents, Part
from hippflow.nwb.streams import streamed
from hippflow.reading.channel import SignalFile

#: What the columns of the electrodes' table say.
_COLUMNS = {
    "channel": "Number of the channel, as in its label in the recording.",
    "array": "Number of the array (the front-end), from 1.",
}


def add_electrodes(file: NWBFile, contents: Contents, settings: dict[str, Any]) -> None:
    """Add the recording system, a group for every array, and an electrode for every channel of the day.

    Parameters
    ----------
    file : NWBFile
    contents : Contents
    settings : dict
        The block `nwb` of the configuration: ``device``, ``array``, ``location``, ``array_locations``.
    """
    channels = contents.channels
    if not channels:
        return
    device = file.create_device(name=settings["device"], description="Recording system.")
    groups = {}
    for array in sorted({channel.array for channel in channels.values()}):
        name = f"array{array:02d}"
        where = settings["array_locations"].get(name, settings["location"])
        groups[array] = file.create_electrode_group(
            name=name, description=settings["array"], location=where, device=device
        )
    for name, description in _COLUMNS.items():
        file.add_electrode_column(name, description)
    for number, channel in channels.items():
        group = groups[channel.array]
        file.add_electrode(id=number, location=group.location, group=group, channel=number, array=channel.array)


def electrodes_of(file: NWBFile, numbers: list[int], description: str) -> DynamicTableRegion:
    """Return the rows of channels in the electrodes' table."""
    rows = {number: row for row, number in enumerate(file.electrodes.id[:])}
    return file.create_electrode_table_region([rows[number] for number in numbers], description)


def add_signals(file: NWBFile, part: Part, offset: float) -> None:
    """Add the LFP of a session, and what it was made from, all channels in one series.

    Parameters
    ----------
    file : NWBFile
        With electrodes.
    part : Part
    offset : float
        When the session began on the day's clock, s.
    """
    lfp = part.signals("lfp")
    if lfp and len(next(iter(lfp.values()))):
        ecephys = file.processing.get("ecephys") or file.create_processing_module(
            "ecephys", "What was made of the extracellular recording."
        )
        folder = ecephys.data_interfaces.get("LFP") or LFP(name="LFP")
        if "LFP" not in ecephys.data_interfaces:
            ecephys.add(folder)
        folder.add_electrical_series(_series(file, f"lfp_{part.name}", lfp, offset, "Local field potential"))
    raw = part.signals("raw")
    if raw and len(next(iter(raw.values()))):
        file.add_acquisition(_series(file, f"raw_{part.name}", raw, offset, "The signal as it was recorded"))


def _series(
    file: NWBFile, name: str, signals: dict[int, SignalFile], offset: float, description: str
) -> ElectricalSeries:
    """Make a series of all channels: samples as they are stored, in µV or in bits."""
    channels = list(signals.values())
    first = channels[0]
    gains = np.array([signal.gain for signal in channels])

    def read(start: int, stop: int) -> np.ndarray:
        return np.stack([signal.stored(start, stop) for signal in channels], axis=1)

    return ElectricalSeries(
        name=name,
        description=f"{description}, {name.split('_')[1]}; a column for each channel.",
        data=streamed(read, (len(first), len(channels)), first.dtype),
        electrodes=electrodes_of(file, list(signals), "The channels in the order of the columns."),
        filtering=_filtering(first.info),
        conversion=1e-6 * float(gains[0]),
        channel_conversion=None if (gains == gains[0]).all() else gains / gains[0],
        **_timing(first, offset),
    )


def _timing(signal: SignalFile, offset: float) -> dict[str, Any]:
    """Return start and rate of a signal, or the time of every sample where it paused."""
    if len(signal.segments) == 1:
        start = float(signal.times(0, 1)[0])
        seconds = float(signal.times(len(signal) - 1)[0]) - start
        rate = (len(signal) - 1) / seconds if len(signal) > 1 else signal.sampling_rate
        same = abs(rate / signal.sampling_rate - 1) < 1e-12
        return {"starting_time": offset + start, "rate": signal.sampling_rate if same else rate}
    times = streamed(lambda a, b: signal.times(a, b) + offset, (len(signal),), np.float64)
    return {"timestamps": times}


def _filtering(info: dict[str, Any]) -> str:
    low, high = info.get("HighFreqCorner"), info.get("LowFreqCorner")
    if low is None or high is None:
        return "unknown"
    orders = f"orders {info.get('HighFreqOrder')} and {info.get('LowFreqOrder')}"
    return f"high-pass at {low:g} Hz, low-pass at {high:g} Hz, {orders}"
