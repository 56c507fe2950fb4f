"""Units: waveforms, intervals, amplitude and rate over time, and quality of every unit of the day."""

from typing import Any

import numpy as np

from hippflow.errors import FormatError
from hippflow.reading.channel import Channel
from hippflow.report.material import Material, Section, absence
from hippflow.report.packing import pack, plain
from hippflow.report.rendering import count, names, render

#: Columns of the table, those of the products that are there: name in the product, heading, unit.
COLUMNS = (
    ("snr", "SNR", ""),
    ("firing_rate", "Rate", "Hz"),
    ("num_spikes", "Spikes", ""),
    ("isi_share", "Short intervals", "%"),
    ("presence_ratio", "Presence", ""),
    ("amplitude_median", "Amplitude", "µV"),
    ("amplitude_cutoff", "Cut off", ""),
    ("isolation_distance", "Isolation", ""),
    ("nn_hit_rate", "NN hits", ""),
)

#: Columns of units.csv that say which unit it is and what it was taken for.
NOT_METRICS = ("channel", "unit", "quality", "automatic_quality", "curated", "merged")

#: Intervals are counted in so many bins of 1 ms.
INTERVALS = 50

#: Spikes whose amplitude is shown, evenly spaced among all of a unit, and bins of its rate over the day.
AMPLITUDES, RATE_BINS = 250, 100

#: Points of a waveform.
WAVEFORM = 75


def section(material: Material) -> Section | None:
    """Make the section; None on a day without continuous recordings."""
    if not material.expects("sorting"):
        return None
    table = material.day.units
    data: dict[str, Any] = {"units": {}, "limits": dict(material.config.get("units", {}))}
    folders = {n: folder for session in material.catalog.sessions for n, folder in session.channels.items()}
    for number, rows in table.groupby("channel"):
        found = _channel(material, int(number), {int(row["unit"]): _members(row) for row in rows.to_dict("records")})
        for row in rows.to_dict("records"):
            data["units"][f"{number:03d}/{row['unit']}"] = found.get(int(row["unit"]), {}) | {
                "array": folders.get(int(number), "array00/").split("/")[0],
                "quality": row["quality"],
                "note": _note(row),
                "metrics": {name: row[name] for name in rows if name not in NOT_METRICS},
            }
    columns = [column for column in COLUMNS if column[0] in table]
    rows = [_row(row, columns, folders) for row in table.to_dict("records")]
    kinds = table["quality"].value_counts()
    missing = absence(material, "sorting", "units", "spiketrain")
    not_sorted = [n for n in sorted(folders) if n not in set(table["channel"])]
    arrays: dict[str, list[int]] = {}
    for number, folder in sorted(folders.items()):
        arrays.setdefault(folder.split("/")[0], []).append(number)
    html = render(
        "units.html.j2",
        rows=rows,
        headings=[(label, True, unit) for _, label, unit in columns],
        arrays=dict(sorted(arrays.items())),
        kinds={kind: int(kinds.get(kind, 0)) for kind in ("good", "multi-unit", "noise")},
        missing=missing,
        limits=material.config.get("units", {}),
        no_units=not_sorted,
    )
    problems = []
    if not_sorted and missing:
        problems.append(f"{count(len(not_sorted), 'channel')} without sorted units")
    return Section("Units", "units", problems, html, plain(data))


def _row(row: dict[str, Any], columns: list[tuple[str, str, str]], folders: dict[int, str]) -> dict[str, Any]:
    values = [100 * row[key] if unit == "%" else row[key] for key, _, unit in columns]
    return {
        "key": f"{row['channel']:03d}/{row['unit']}",
        "channel": int(row["channel"]),
        "unit": int(row["unit"]),
        "array": folders.get(int(row["channel"]), "–").split("/")[0].removeprefix("array"),
        "quality": row["quality"],
        "note": _note(row),
        "values": [None if isinstance(value, float) and not np.isfinite(value) else value for value in values],
    }


def _members(row: dict[str, Any]) -> list[int]:
    """Return the units of the sorting that a unit is made of; those that a person joined are one.

    Examples
    --------
    >>> _members({"unit": 2, "merged": "2 4"}), _members({"unit": 3, "merged": float("nan")}), _members({"unit": 1})
    ([2, 4], [3], [1])
    """
    merged = row.get("merged")
    return [int(number) for number in merged.split()] if isinstance(merged, str) and merged else [int(row["unit"])]


def _note(row: dict[str, Any]) -> str:
    """Say what a person decided about a unit; empty if nothing."""
    said = []
    if row.get("curated") in (True, "True"):
        said.append(f"curated, automatically {row['automatic_quality']}")
    if len(_members(row)) > 1:
        said.append(f"merged from {names(_members(row))}")
    return "; ".join(said)


def _channel(material: Material, number: int, members: dict[int, list[int]]) -> dict[int, dict[str, Any]]:
    """Return what the page draws of every unit of a channel, each made of some units of the sorting."""
    try:
        sorting, templates = material.day.sorting(number), material.day.templates(number)
    except FormatError:  # the table of units is there without them: drawn is what there is
        return {}
    rate = float(sorting["samplingRate"])
    lengths = np.asarray(sorting["sessionLengths"], np.int64)
    bounds = np.concatenate(([0], np.cumsum(lengths)))
    # a sample that two joined units have is one spike
    trains = {unit: np.unique(sorting["samples"][np.isin(sorting["labels"], own)]) for unit, own in members.items()}
    chosen = {unit: _spread(train, AMPLITUDES) for unit, train in trains.items()}
    heights = _heights(material, number, sorting["sessions"], bounds, np.unique(np.concatenate([*chosen.values(), []])))
    step = max(1, len(templates) // WAVEFORM)
    # the spike's own sample is the one before the middle
    ms = (np.arange(len(templates))[::step] - (len(templates) // 2 - 1)) / rate * 1000
    edges = np.linspace(0, bounds[-1], RATE_BINS + 1)
    found = {}
    for unit, train in trains.items():
        counted = np.histogram(train, edges)[0]
        unit_heights = np.array([heights.get(int(sample), np.nan) for sample in chosen[unit]])
        found[unit] = {
            "waveform": pack(templates[::step, unit - 1]),
            "ms": [ms[0], ms[-1]],
            "intervals": _intervals(train, bounds, rate).tolist(),
            "seconds": bounds / rate,
            "sessions": list(sorting["sessions"]),
            "rate": pack(counted / (edges[1] - edges[0]) * rate),
            "amplitude": {"s": pack(chosen[unit] / rate), "uv": pack(unit_heights)},
        }
    return found


def _spread(train: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many spikes, evenly spaced among all."""
    if len(train) <= most:
        return train
    return train[np.linspace(0, len(train) - 1, most).round().astype(np.int64)]


def _intervals(train: np.ndarray, bounds: np.ndarray, rate: float) -> np.ndarray:
    """Count intervals between spikes in bins of 1 ms, without those from one session to the next."""
    session = np.searchsorted(bounds, train, side="right")
    same = np.diff(session) == 0
    return np.histogram(np.diff(train)[same] / rate * 1000, np.arange(INTERVALS + 1))[0]


def _heights(
    material: Material, number: int, sessions: list[str], bounds: np.ndarray, samples: np.ndarray
) -> dict[int, float]:
    """Return the high-pass signal at some samples of the joined sessions, by sample."""
    heights: dict[int, float] = {}
    for k, name in enumerate(sessions):
        session = material.day.sessions.get(name)
        channel: Channel | None = session.channels.get(number) if session else None
        inside = samples[(samples >= bounds[k]) & (samples < bounds[k + 1])].astype(np.int64)
        if channel is None or not inside.size:
            continue
        try:
            values = channel.highpass.at(inside - bounds[k])
        except FormatError:  # the signal is not there any more: no amplitudes
            continue
        heights |= dict(zip(inside.tolist(), values.tolist(), strict=True))
    return heights
