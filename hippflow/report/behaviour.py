"""Behaviour: the way through the maze, trials, what was looked at, and place fields."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hippflow.errors import FormatError
from hippflow.report.material import Material, Section, absence
from hippflow.report.packing import pack, plain
from hippflow.report.rendering import count, render

#: Points of a session's way at most; 60 a second would draw the same line.
POINTS = 6000

#: Bins of the gaze along the floor's side and along the screen's width and height.
FLOOR_BINS, SCREEN_BINS = 60, (64, 36)

#: Objects that are listed as looked at most.
MOST_OBJECTS = 14

#: Rules of behaviour.
RULES = ("unity", "edfsplit", "aligned", "raycast", "umaze", "placefield")


def section(material: Material) -> Section | None:
    """Make the section; None on a day without maze logs and eye recordings."""
    sessions = [s for s in material.navigation if s.nev and (s.maze_logs or s.eye)]
    if not sessions:
        return None
    plan = _floor_plan(material)
    data: dict[str, Any] = {"plan": plan, "sessions": {}}
    shown, problems = [], []
    for session in sessions:
        on_disk = material.day.sessions.get(session.name)
        view: dict[str, Any] = {"name": session.name, "trials": [], "objects": [], "places": [], "facts": []}
        drawn: dict[str, Any] = {}
        if on_disk is not None:
            _add_trials(on_disk, view, drawn)
            _add_way(on_disk, view, drawn)
            _add_gaze(on_disk, view, drawn, plan, material.config["screen"])
            _add_places(on_disk, view, drawn)
        view |= {"drawn": set(drawn), "missing": absence(material, *RULES, owner=session.path)}
        if view.get("lost", 0) > 0.3:
            problems.append(f"{session.name}: {round(100 * view['lost'])} % of the eye samples have no gaze")
        data["sessions"][session.name] = drawn
        shown.append(view)
    html = render("behaviour.html.j2", sessions=shown, repaired=_messages(material), plan=plan)
    return Section("Behaviour", "behaviour", problems, html, plain(data))


def _floor_plan(material: Material) -> dict[str, Any] | None:
    """Return the maze from above: its outline, walls and posters as lines, pillars as squares; None without a scene."""
    path = material.folder / material.config["raycast"]["scene"]
    try:
        scene = json.loads(path.read_text())
    except (OSError, ValueError):  # the way is drawn without it
        return None
    posters = [thing for thing in scene["objects"] if thing["kind"] == "poster"]
    room = scene.get("room")
    half = scene["bins"]["width"] / 2
    x, z = scene["bins"]["centre"]
    lower, upper = (
        ([room[side][0], room[side][2]] for side in ("lower", "upper"))
        if room
        else (
            [x - half, z - half],
            [x + half, z + half],
        )
    )
    return {
        "name": scene["name"],
        "lower": lower,
        "upper": upper,
        "pillars": [{k: pillar[k] for k in ("name", "centre", "width")} for pillar in scene["bins"].get("pillars", [])],
        "posters": [_poster(number, thing) for number, thing in enumerate(posters, start=1)],
        "grid": {"centre": [x, z], "width": scene["bins"]["width"]},
    }


def _poster(number: int, thing: dict[str, Any]) -> dict[str, Any]:
    """Return a poster's ends and the side that it faces; targets are numbered as posters are listed."""
    x, _, z = thing["centre"]
    half = max(thing["size"]) / 2
    along_x = thing["yaw"] % 180 == 0
    ends = [[x - half, z], [x + half, z]] if along_x else [[x, z - half], [x, z + half]]
    facing = {0: [0, 1], 90: [1, 0], 180: [0, -1], 270: [-1, 0]}[thing["yaw"] % 360]
    return {"target": number, "name": thing["name"].removesuffix("Poster"), "ends": ends, "facing": facing}


def _add_trials(session: Any, view: dict[str, Any], drawn: dict[str, Any]) -> None:
    try:
        table = session.trials
    except FormatError:
        return
    if not len(table):
        return
    seconds = (table["end"] - table["start"]).to_numpy()
    rewarded = (table["outcome"] == "reward").to_numpy()
    ratios, shortest = np.full(len(table), np.nan), np.full(len(table), np.nan)
    facts = [
        (f"{round(100 * rewarded.mean())} %", f"of {count(len(table), 'trial')} rewarded"),
        (f"{np.median(seconds):.1f} s", "median trial"),
    ]
    try:
        maze = session.unity
        if len(maze["sumCost"][0]) == len(table):
            ratios = np.asarray(maze["trialRouteRatio"][0], np.float64)
            shortest = np.asarray(maze["sumCost"][0], np.float64)[:, 5]
            facts.append((f"{round(100 * shortest.mean())} %", "of the trials on a shortest route"))
    except FormatError:  # no maze log: trials are known from Ripple alone
        shortest[:] = np.nan
    view["facts"] += facts
    view["trials"] = [
        {
            "number": k + 1,
            "start": row.start,
            "seconds": float(seconds[k]),
            "target": int(row.target),
            "outcome": row.outcome,
            "ratio": None if np.isnan(ratios[k]) else float(ratios[k]),
            "shortest": {1.0: "yes", 0.0: "no"}.get(float(shortest[k]), "–"),
        }
        for k, row in enumerate(table.itertuples())
    ]
    drawn["trials"] = {
        "start": table["start"].tolist(),
        "cue": [None if np.isnan(cue) else cue for cue in table["cue"].astype(float)],
        "end": table["end"].tolist(),
        "outcome": table["outcome"].tolist(),
        "target": table["target"].tolist(),
    }


def _add_way(session: Any, view: dict[str, Any], drawn: dict[str, Any]) -> None:
    try:
        position = session.position
    except FormatError:
        return
    step = max(1, -(-len(position) // POINTS))
    some = position.iloc[::step]
    drawn["way"] = {name: pack(some[name]) for name in ("time", "x", "z")}
    steps = np.hypot(np.diff(position["x"]), np.diff(position["z"]))
    view["facts"].append((f"{steps.sum():.0f}", "maze units walked"))


def _add_gaze(
    session: Any, view: dict[str, Any], drawn: dict[str, Any], plan: dict[str, Any] | None, screen: list[int]
) -> None:
    try:
        report, gaze = session.raycast, session.gaze
    except FormatError:
        return
    total = sum(report["objects"].values())
    ranked = sorted(report["objects"].items(), key=lambda item: (-item[1], item[0]))
    view["objects"] = [
        {"name": name, "share": n / total, "width": 100 * n / ranked[0][1]} for name, n in ranked[:MOST_OBJECTS]
    ]
    view["n_objects"] = len(ranked)
    view["lost"] = report["ignored"]["no_gaze"] / max(report["written"], 1)
    view["facts"].append((f"{round(100 * total / max(report['written'], 1))} %", "of the eye samples on an object"))
    on_screen = gaze[["gaze_x", "gaze_y"]].dropna()
    density, _, _ = np.histogram2d(
        on_screen["gaze_y"], on_screen["gaze_x"], SCREEN_BINS[::-1], [[0, screen[1]], [0, screen[0]]]
    )
    drawn["screen"] = {"width": screen[0], "height": screen[1], "columns": SCREEN_BINS[0], "density": pack(density)}
    if plan is not None:
        drawn["floor"] = {"columns": FLOOR_BINS, "density": pack(_gaze_from_above(gaze, plan))}


def _gaze_from_above(gaze: pd.DataFrame, plan: dict[str, Any]) -> np.ndarray:
    """Count hits by where they are over the floor, rows along z; the images on the screen are nowhere in the maze."""
    hits = gaze[~gaze["object"].isin(["CueImage", "HintImage"])][["hit_x", "hit_z"]].dropna()
    (left, low), (right, high) = plan["lower"], plan["upper"]
    margin = 0.1  # walls are hit on the room's edge
    limits = [[low - margin, high + margin], [left - margin, right + margin]]
    return np.histogram2d(hits["hit_z"], hits["hit_x"], FLOOR_BINS, limits)[0]


def _add_places(session: Any, view: dict[str, Any], drawn: dict[str, Any]) -> None:
    """Add place fields: noise last, of the others significant ones first, and of these the most informative."""
    rows: list[dict[str, Any]] = []
    maps = {}
    for number, channel in session.channels.items():
        try:
            cells = channel.cells.set_index("cell")
            table = channel.place_fields
        except FormatError:  # said to be missing
            continue
        for row in table.to_dict("records"):
            key = f"{number:03d}/{int(cells.loc[row['cell'], 'unit'])}"
            quality = cells.loc[row["cell"], "quality"]
            rows.append(row | {"key": key, "quality": quality, "significant": bool(row["significant"])})
            try:
                rates = channel.rate_map(int(key[4:]))
            except FormatError:  # a cell without spikes
                continue
            maps[key] = {"columns": rates.shape[1], "rates": pack(rates)}
    rows.sort(
        key=lambda row: (
            row["quality"] == "noise",
            not row["significant"],
            _or_zero(-row["spatial_information"]),
            row["key"],
        )
    )
    for row in rows:
        row |= {k: None for k, value in row.items() if isinstance(value, float) and not np.isfinite(value)}
    view["places"] = [row | {"map": row["key"] in maps} for row in rows]
    if maps:
        drawn["maps"] = maps


def _or_zero(value: float) -> float:
    return value if np.isfinite(value) else 0.0


def _messages(material: Material) -> list[dict[str, Any]]:
    """Return what the eye tracker's messages lacked."""
    path = Path(material.day.folder, "missingData.csv")
    if not path.exists():
        return []
    table = pd.read_csv(path)
    return table.astype(object).where(table.notna(), None).to_dict("records")
