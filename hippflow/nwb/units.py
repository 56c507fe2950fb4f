"""Units: spike times of all sessions, quality, metrics, mean waveforms."""

from typing import Any

import numpy as np
import pandas as pd
from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
from pynwb import NWBFile
from pynwb.misc import Units

from hippflow.errors import FormatError
from hippflow.nwb.clock import Placed
from hippflow.nwb.contents import Contents, Part, stretches
from hippflow.nwb.streams import packed

#: What the columns of units.csv and metrics.csv say; others are described by their names.
DESCRIPTIONS = {
    "channel": "Number of the channel.",
    "unit": "Number of the unit on its channel.",
    "quality": "noise, multi-unit or good.",
    "automatic_quality": "Quality by the metrics alone.",
    "curated": "Whether the quality is a person's decision.",
    "merged": "Units of the sorting that this one was joined from; empty for most.",
    "snr": "Largest absolute value of the mean waveform over the noise.",
    "firing_rate": "Spikes per second.",
    "num_spikes": "Spikes on the whole day.",
    "presence_ratio": "Share of the bins of time with spikes.",
    "isi_violations_ratio": "Estimated rate of other neurons' spikes over the unit's own rate, from short intervals.",
    "isi_violations_count": "Intervals shorter than the refractory period.",
    "isi_share": "These, as a share of all intervals.",
    "rp_contamination": "Estimated share of other neurons' spikes, from the refractory period.",
    "rp_violations": "Intervals within the refractory period.",
    "sliding_rp_violation": "Least contamination that short intervals exclude with confidence.",
    "sd_ratio": "Standard deviation of the amplitudes over that of the noise.",
    "amplitude_median": "Median of the signal at the spikes, in microvolts, with its sign.",
    "amplitude_cutoff": "Estimated share of spikes below the threshold.",
    "noise_cutoff": "How far the lowest amplitudes are from those that a whole distribution would have.",
    "noise_ratio": "Spikes of the lowest amplitudes, as a share of those at the peak of the distribution.",
    "amplitude_cv_median": "Median of the amplitudes' coefficient of variation over bins of time.",
    "amplitude_cv_range": "Range of the amplitudes' coefficient of variation over bins of time.",
    "firing_range": "Range of the firing rate over bins of time, in spikes per second.",
    "isolation_distance": "Isolation from other units.",
    "l_ratio": "Isolation from other units, 0 is best.",
    "d_prime": "Isolation from other units, larger is better.",
    "nn_hit_rate": "Share of nearest neighbours that are of the same unit.",
    "nn_miss_rate": "Share of the neighbours of other units' spikes that are of this unit.",
    "silhouette": "Isolation from other units, 1 is best.",
    "peak_to_trough_duration": "Time from trough to peak of the mean waveform, in seconds.",
    "main_to_next_extremum_duration": "Time from the main extremum of the mean waveform to the next, in seconds.",
    "trough_half_width": "Width of the mean waveform's trough at half its depth, in seconds.",
    "peak_half_width": "Width of the mean waveform's peak at half its height, in seconds.",
    "repolarization_slope": "Slope of the mean waveform from its trough back to the baseline.",
    "recovery_slope": "Slope of the mean waveform from its peak back to the baseline.",
    "num_positive_peaks": "Positive peaks of the mean waveform.",
    "num_negative_peaks": "Negative peaks of the mean waveform.",
}

#: Names that the table of units has for something else.
_TAKEN = {"id", "spike_times", "obs_intervals", "electrodes", "electrode_group", "waveform_mean", "waveform_sd"}


def add_units(file: NWBFile, contents: Contents, placed: list[Placed]) -> None:
    """Add a row for every unit of the day that is a cell in its sessions.

    Parameters
    ----------
    file : NWBFile
        With electrodes.
    contents : Contents
    placed : list of Placed
        The sessions in the order of time.

    Raises
    ------
    FormatError
        Spike trains, tables and waveforms that are not of one sorting.
    """
    order = [(contents.parts[one.name], one.offset) for one in placed if one.name in contents.parts]
    tables, trains, observed, waveforms, rates = [], [], [], [], set()
    for number in contents.sorted_channels:
        sessions = [(part, offset) for part, offset in order if number in part.channels.get("cells", {})]
        if not sessions:
            continue
        table = _read_units(contents, number)
        shapes = contents.day.templates(number)
        if len(table) and int(table["unit"].max()) > shapes.shape[1]:
            raise FormatError(
                f"{contents.day.sorting_folder(number) / 'templates.hkl'}: expected the waveforms of "
                f"{int(table['unit'].max())} units as in units.csv, found {shapes.shape[1]}; make the units anew"
            )
        kept, times = _spike_times(table, number, sessions)
        table = table[table["unit"].isin(kept)]
        tables.append(table)
        trains += times
        intervals = np.concatenate([stretches(part.channels["cells"][number].lfp) + at for part, at in sessions])
        observed += [intervals] * len(table)
        waveforms += [shapes[:, unit - 1] for unit in table["unit"]]
        rates.add(float(contents.day.sorting(number)["samplingRate"]))
    if not sum(map(len, tables)):
        return
    table = pd.concat(tables, ignore_index=True)
    counts = [name for name in table if name.startswith("num_spikes_")]
    table[counts] = table[counts].fillna(0).astype(np.int64)  # channels that a session does not have
    if len(rates) > 1 or len({len(shape) for shape in waveforms}) > 1:
        raise FormatError(
            f"{contents.folder}: expected units of one sampling rate and one length of waveforms, found rates of "
            f"{sorted(rates)} Hz and lengths of {sorted({len(shape) for shape in waveforms})}; make the units anew"
        )
    _write(file, table, trains, observed, np.array(waveforms), rates.pop())


def _read_units(contents: Contents, number: int) -> pd.DataFrame:
    """Return units.csv with the columns that only metrics.csv has."""
    folder = contents.day.sorting_folder(number)
    text = {"merged": str}  # numbers of units, of which one alone would be read as a number
    units, metrics = (contents.files.table(folder, f"{name}.csv", dtype=text) for name in ("units", "metrics"))
    if sorted(units["unit"]) != sorted(metrics["unit"]):
        raise FormatError(
            f"{folder / 'metrics.csv'}: expected the units {units['unit'].tolist()} of units.csv, found "
            f"{metrics['unit'].tolist()}; make the units anew"
        )
    new = [name for name in metrics if name == "unit" or name not in units]
    table = units.merge(metrics[new], on="unit")
    return table.assign(channel=number)[["channel", *(name for name in table if name != "channel")]]


def _spike_times(
    table: pd.DataFrame, number: int, sessions: list[tuple[Part, float]]
) -> tuple[list[int], list[np.ndarray]]:
    """Return the units that are cells, and their spike times on the day's clock."""
    trains: dict[int, list[np.ndarray]] = {}
    for part, offset in sessions:
        channel = part.channels["cells"][number]
        found = channel.spike_times
        unknown = set(found) - set(table["unit"])
        if unknown:
            raise FormatError(
                f"{channel.folder / 'cells.csv'}: expected units of units.csv, found {sorted(unknown)} as well; "
                "make the cells anew"
            )
        counts = dict(zip(table["unit"], table.get(f"num_spikes_{part.name}", [None] * len(table)), strict=True))
        for unit, times in found.items():
            if counts[unit] is not None and len(times) != counts[unit]:
                raise FormatError(
                    f"{channel.folder / 'cells.csv'}: expected {counts[unit]} spikes of unit {unit} in {part.name} as "
                    f"in units.csv, found {len(times)}; make the cells anew"
                )
            trains.setdefault(unit, []).append(times + offset)
    kept = [unit for unit in table["unit"].tolist() if unit in trains]
    return kept, [np.sort(np.concatenate(trains[unit])) for unit in kept]


def _write(
    file: NWBFile,
    table: pd.DataFrame,
    trains: list[np.ndarray],
    observed: list[np.ndarray],
    waveforms: np.ndarray,
    rate: float,
) -> None:
    rows = {number: row for row, number in enumerate(file.electrodes.id[:])}
    electrodes = [rows[number] for number in table["channel"]]
    columns = [
        *_ragged("spike_times", "Spike times in seconds on the day's clock.", trains),
        *_ragged("obs_intervals", "When the channel was recorded, in seconds on the day's clock.", observed),
    ]
    region = DynamicTableRegion(
        name="electrodes", data=electrodes, description="The channel's electrode.", table=file.electrodes
    )
    columns += [region, VectorIndex(name="electrodes_index", data=np.arange(1, len(table) + 1), target=region)]
    columns.append(
        VectorData(
            name="waveform_mean",
            description="Mean waveform in the high-pass signal; the spike's own sample is the one before the middle.",
            data=packed(waveforms.astype(np.float32) * np.float32(1e-6)),
        )
    )
    for name in table:
        if name not in _TAKEN:
            columns.append(VectorData(name=name, description=_describe(name), data=_values(table[name])))
    file.units = Units(
        name="units",
        description="Units of all channels, sorted over all sessions of the day.",
        columns=columns,
        colnames=[column.name for column in columns if not isinstance(column, VectorIndex)],
        waveform_rate=rate,
        resolution=1 / rate,
        electrode_table=file.electrodes,
    )


def _ragged(name: str, description: str, rows: list[np.ndarray]) -> list[Any]:
    data = VectorData(name=name, description=description, data=packed(np.concatenate(rows)))
    return [data, VectorIndex(name=f"{name}_index", data=np.cumsum([len(row) for row in rows]), target=data)]


def _describe(name: str) -> str:
    if name.startswith("num_spikes_"):
        return f"Spikes in {name.removeprefix('num_spikes_')}."
    return DESCRIPTIONS.get(name, f"Column {name} of units.csv or metrics.csv.")


def _values(column: pd.Series) -> Any:
    """Return a column as numbers, truth values or text."""
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    return ["" if pd.isna(value) else str(value) for value in column]
