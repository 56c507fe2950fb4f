"""Signals: level, noise and spectra of every channel, by array; samples of the signals on demand.

Takes what rule `signal_quality` measured (`quality.json`) where it is there; measures nothing itself.
"""

import re
from typing import Any

import numpy as np

from hippflow.errors import FormatError
from hippflow.io.products import read_product
from hippflow.reading.channel import Channel
from hippflow.report.material import Material, Section, absence
from hippflow.report.packing import pack, plain
from hippflow.report.rendering import count, names, render

#: What is shown of a channel: its name in quality.json, what it is called, its unit.
METRICS = (
    ("highpass_noise", "High-pass noise", "µV"),
    ("raw_rms", "Raw signal, RMS", "µV"),
    ("lfp_rms", "LFP, RMS", "µV"),
    ("line_ratio", "Line noise over its neighbours", ""),
    ("tone_ratio", "Strongest tone over its neighbours", ""),
    ("artifacts_per_minute", "Artefacts a minute", ""),
    ("saturated_seconds", "Saturated", "s"),
    ("flat_seconds", "Flat", "s"),
    ("raw_offset", "Offset", "µV"),
    ("raw_minimum", "Smallest value", "µV"),
    ("raw_maximum", "Largest value", "µV"),
)

#: What is wrong with channels in few words, by the limit that each sentence of quality.json names.
WRONG = {
    "max_noise_uv": "noisy",
    "min_noise_uv": "hardly any noise: unconnected or shorted",
    "max_offset_uv": "large offset",
    "max_line_ratio": "line noise",
    "max_tone_ratio": "a tone in the spikes' band",
    "max_saturated_share": "saturated",
    "max_flat_share": "flat",
    "max_artifacts_per_minute": "many artefacts",
}

#: Points of a spectrum in the report, evenly spaced on a logarithmic axis.
POINTS = {"lfp": 160, "highpass": 120}

#: Samples of a signal that are shown: s of the LFP and of the high-pass signal, from the middle of the session.
SHOWN_S = {"lfp": 2.0, "highpass": 0.05}


def section(material: Material) -> Section | None:
    """Make the section; None on a day without continuous recordings."""
    sessions = [session for session in material.catalog.sessions if session.channels]
    if not sessions:
        return None
    data: dict[str, Any] = {"channels": {}, "sessions": [session.name for session in sessions]}
    problems: dict[str, list[str]] = {}
    arrays: dict[str, list[int]] = {}
    for session in sessions:
        on_disk = material.day.sessions.get(session.name)
        channels = on_disk.channels if on_disk else {}
        for number, folder in session.channels.items():
            array = folder.split("/")[0]
            if number not in arrays.setdefault(array, []):
                arrays[array].append(number)
            empty: dict[str, Any] = {"values": {}, "problems": []}
            found = _channel(material, channels[number]) if number in channels else empty
            data["channels"].setdefault(str(number), {"array": array, "sessions": {}})["sessions"][session.name] = found
            for problem in found["problems"]:
                problems.setdefault(_in_short(problem), []).append(f"{number:03d}")
    data["frequencies"] = {signal: pack(_grid(material.config, signal)) for signal in POINTS}
    shown = [
        (key, label, unit)
        for key, label, unit in METRICS
        if any(key in found["values"] for one in data["channels"].values() for found in one["sessions"].values())
    ]
    data["metrics"] = [{"key": key, "label": label, "unit": unit} for key, label, unit in shown]
    flagged = sorted(
        {number for number, one in data["channels"].items() if any(f["problems"] for f in one["sessions"].values())},
        key=int,
    )
    html = render(
        "signals.html.j2",
        arrays={array: sorted(numbers) for array, numbers in sorted(arrays.items())},
        sessions=data["sessions"],
        metrics=shown,
        flagged={int(number) for number in flagged},
        problems=sorted(
            ((problem, sorted(set(numbers))) for problem, numbers in problems.items()), key=lambda p: -len(p[1])
        ),
        missing=absence(material, "rplsplit", "rpllfp", "rplhighpass", "freqspectrum", "signal_quality"),
        n_channels=len(data["channels"]),
    )
    told = [
        f"{count(len(set(numbers)), 'channel')}: {problem} ({names(sorted(set(numbers)))})"
        for problem, numbers in sorted(problems.items(), key=lambda item: -len(set(item[1])))
    ]
    return Section("Signals", "signals", told, html, plain(data))


def _channel(material: Material, channel: Channel) -> dict[str, Any]:
    """Return what the page shows of a channel in a session."""
    found: dict[str, Any] = {"values": {}, "problems": []}
    try:
        quality = channel.quality
    except FormatError:  # not measured
        quality = None
    if quality is None:
        found["values"] = _levels(material, channel)
    else:
        found["values"] = {key: quality[key] for key, _, _ in METRICS if quality.get(key) is not None}
        for kind in ("saturated", "flat"):
            if quality.get(kind):
                found[kind] = [[one["time"], one["number"] / quality["sampling_rate"]] for one in quality[kind]]
        found["problems"] = [str(problem) for problem in quality.get("problems", [])]
    for signal in POINTS:
        try:
            frequencies, magnitudes = channel.spectrum(signal)
        except FormatError:  # not made: the figure is left out, and the section says what is missing
            continue
        grid = _grid(material.config, signal)
        found[f"{signal}_spectrum"] = pack(np.log10(np.maximum(_rebin(frequencies, magnitudes, grid), 1e-6)))
    for signal in SHOWN_S:
        try:
            file = getattr(channel, signal)
        except FormatError:
            continue
        n = min(len(file), round(SHOWN_S[signal] * file.sampling_rate))
        start = (len(file) - n) // 2
        if n:
            found[signal] = {
                "start": float(file.times(start, start + 1)[0]),
                "rate": file.sampling_rate,
                "uv": pack(file[start : start + n]),
            }
    return found


def _in_short(problem: str) -> str:
    """Return a problem without its numbers, so that channels with the same one are counted together.

    Examples
    --------
    >>> _in_short("noise of 35.2 uV, more than 30 (quality.max_noise_uv)"), _in_short("3 samples are not finite")
    ('noisy', 'samples are not finite')
    """
    setting = re.search(r"\(quality\.(\w+)\)$", problem)
    return WRONG.get(setting[1] if setting else "", re.sub(r"^\d+ ", "", problem))


def _levels(material: Material, channel: Channel) -> dict[str, float]:
    """Return what other products know of a channel's level, where its quality was not measured."""
    levels = {}
    try:
        info = channel.raw.info
        levels |= {"raw_minimum": float(info["MinVal"]), "raw_maximum": float(info["MaxVal"])}
    except FormatError:
        levels.clear()
    firings = material.day.sorting_folder(channel.number) / "firings.hkl"
    if firings.exists():
        levels["highpass_noise"] = float(read_product(firings)["noise"])
    return levels


def _grid(config: dict[str, Any], signal: str) -> np.ndarray:
    """Return the frequencies at which spectra are shown, Hz."""
    low, high = config[{"lfp": "rpllfp", "highpass": "rplhighpass"}[signal]]["band"]
    return np.geomspace(max(low, 0.1), high, POINTS[signal])


def _rebin(frequencies: np.ndarray, magnitudes: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return a spectrum at other frequencies: the largest magnitude nearer to each than to its neighbours.

    The largest, because a line is what must not get lost. Where no frequency is nearest, it is interpolated.
    """
    edges = np.sqrt(grid[1:] * grid[:-1])
    places = np.searchsorted(edges, frequencies)
    inside = (frequencies >= grid[0]) & (frequencies <= grid[-1])
    found = np.full(len(grid), -np.inf)
    np.maximum.at(found, places[inside], magnitudes[inside])
    return np.where(np.isfinite(found), found, np.interp(grid, frequencies, magnitudes))
