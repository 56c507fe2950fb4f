"""Overview: what was recorded on the day, what was made of it, and what was not and why."""

from collections import Counter
from datetime import date
from typing import Any

from hippflow.day.catalog import Session
from hippflow.errors import FormatError
from hippflow.progress import format_duration
from hippflow.report.material import Material, Section, absence
from hippflow.report.rendering import count, render

#: What the rules make, in words.
MADE = {
    "rplparallel": "trial markers",
    "rplsplit": "raw signals",
    "rpllfp": "local field potentials",
    "rplhighpass": "high-pass signals",
    "freqspectrum": "spectra",
    "signal_quality": "quality of the signals",
    "channels": "table of channels",
    "sorting": "spike sorting",
    "units": "units",
    "spiketrain": "spike trains",
    "unity": "maze logs",
    "edfsplit": "eye data",
    "aligned": "devices on one clock",
    "raycast": "gaze targets",
    "umaze": "occupancy of the maze",
    "placefield": "place fields",
    "movie": "movies",
    "registration": "motion",
    "suite2p": "cells",
    "kmeans": "clusters of cells",
    "figure5": "figure of the clusters",
    "projections": "animated projections",
}


def section(material: Material) -> Section:
    """Make the section; see :mod:`hippflow.report.page`."""
    gone = absence(material)
    made = _made(material)
    n_gone = len(material.missing)
    problems = []
    if n_gone:
        failed = sorted({f"{group['rule']} ({group['owner']})" for group in gone if group["lines"]})
        because = f"; failed: {', '.join(failed)}" if failed else ""
        problems.append(f"{n_gone} of {len(material.expected)} products are missing{because}")
    sessions = [_session(material, session) for session in material.catalog.sessions]
    html = render(
        "overview.html.j2",
        sessions=sessions,
        recordings=[_recording(material, recording) for recording in material.catalog.recordings],
        made=made,
        n_there=len(material.expected) - n_gone,
        n_expected=len(material.expected),
        missing=gone,
        tiles=_tiles(material, sessions),
    )
    return Section("Overview", "overview", problems, html)


def long_date(text: str) -> str:
    """Write a day's name as a date.

    Examples
    --------
    >>> long_date("20181105")
    '5 November 2018'
    """
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:  # a folder may be called anything of eight digits
        return text
    return f"{day.day} {day:%B %Y}"


def _arrays(session: Session) -> dict[str, int]:
    return dict(Counter(folder.split("/")[0] for folder in session.channels.values()))


def _session(material: Material, session: Session) -> dict[str, Any]:
    on_disk = material.day.sessions.get(session.name)
    trials, rewards = None, None
    if on_disk is not None and session.name != "sessioneye":
        try:
            table = on_disk.trials
            trials, rewards = len(table), int((table["outcome"] == "reward").sum())
        except FormatError:  # no markers, or none of trials
            trials = None
    devices = [name for name, found in (("maze log", session.maze_logs), ("eye tracker", session.eye)) if found]
    return {
        "name": session.name,
        "kind": "fixation" if session.name == "sessioneye" else "navigation",
        "seconds": session.seconds,
        "rate": session.sampling_rate,
        "arrays": _arrays(session),
        "n_channels": len(session.channels),
        "trials": trials,
        "rewards": rewards,
        "devices": devices,
    }


def _recording(material: Material, recording: Any) -> dict[str, Any]:
    row = {
        "name": recording.path.rpartition("/")[2],
        "files": len(recording.files),
        "planes": recording.planes,
        "height": recording.height,
        "width": recording.width,
        "frames": None,
        "cells": None,
    }
    try:
        on_disk = material.day[row["name"]]
        row["frames"] = on_disk.movie["n_frames"]
        row["cells"] = sum(int(plane.is_cell.sum()) for plane in on_disk.planes)
    except FormatError:  # not made yet
        return row
    return row


def _made(material: Material) -> list[dict[str, Any]]:
    """Return for every rule how many of its products are there."""
    expected = Counter(product.kind for product in material.expected)
    missing = Counter(product.kind for product in material.missing)
    return [
        {
            "rule": kind,
            "what": MADE.get(kind, kind),
            "expected": n,
            "there": n - missing[kind],
            "complete": missing[kind] == 0,
        }
        for kind, n in sorted(
            expected.items(), key=lambda item: list(MADE).index(item[0]) if item[0] in MADE else len(MADE)
        )
    ]


def _tiles(material: Material, sessions: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the few numbers that stand on top."""
    tiles = []
    seconds = sum(session.seconds for session in material.catalog.sessions)
    if seconds:
        n_sessions = count(len(material.catalog.sessions), "session")
        tiles.append({"value": format_duration(seconds), "what": f"recorded in {n_sessions}"})
    channels = {n for session in material.catalog.sessions for n in session.channels}
    if channels:
        arrays = {folder.split("/")[0] for s in material.catalog.sessions for folder in s.channels.values()}
        tiles.append({"value": str(len(channels)), "what": f"channels on {count(len(arrays), 'array')}"})
        units = material.day.units
        good = int((units["quality"] == "good").sum())
        multi = int((units["quality"] == "multi-unit").sum())
        tiles.append({"value": str(good), "what": f"good units, and {multi} multi-unit"})
    trials = [session for session in sessions if session["trials"]]
    if trials:
        n, rewarded = sum(s["trials"] for s in trials), sum(s["rewards"] for s in trials)
        tiles.append({"value": str(n), "what": f"trials, {round(100 * rewarded / n)} % rewarded"})
    if material.catalog.recordings:
        rows = [_recording(material, recording) for recording in material.catalog.recordings]
        tiles.append({"value": str(len(rows)), "what": "two-photon recording" + "s" * (len(rows) > 1)})
        tiles.append({"value": str(sum(row["cells"] or 0 for row in rows)), "what": "cells"})
    there = len(material.expected) - len(material.missing)
    tiles.append({"value": f"{there} of {len(material.expected)}", "what": "products made"})
    return tiles
