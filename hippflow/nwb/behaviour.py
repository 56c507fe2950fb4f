"""Trials, markers, place and heading of the animal."""

from typing import Any

import numpy as np
import pandas as pd
from hdmf.common import VectorData
from pynwb import NWBFile, ProcessingModule, TimeSeries
from pynwb.behavior import CompassDirection, Position, SpatialSeries
from pynwb.epoch import TimeIntervals

from hippflow.io.products import read_product
from hippflow.nwb.contents import Part
from hippflow.nwb.streams import packed, timing


def seconds_of(part: Part) -> float:
    """Return when the markers and the place of a session end, s on its clock."""
    ends = [0.0]
    if "markers" in part.files:
        ends += part.session.markers["time"].tail(1).tolist()
    if "unity" in part.files:
        ends += part.session.position["time"].tail(1).tolist()
    return float(np.nanmax(ends))


def add_trials(file: NWBFile, sessions: list[tuple[Part, float]]) -> None:
    """Add the trials of all sessions to the table of trials, and every code on the port as a series.

    Parameters
    ----------
    file : NWBFile
    sessions : list of (Part, float)
        In the order of time, with when they began on the day's clock, s.
    """
    tables = []
    for part, offset in sessions:
        if "markers" not in part.files:
            continue
        markers = part.session.markers
        if len(markers):
            series = TimeSeries(
                name=f"markers_{part.name}",
                description=f"Codes on the recording system's parallel port in {part.name}, without zeros.",
                data=packed(markers["code"].to_numpy(np.uint16)),
                unit="n.a.",
                **timing_of(markers["time"].to_numpy() + offset),
            )
            file.add_acquisition(series)
        if np.asarray(read_product(part.files["markers"])["markers"]).ndim == 2:
            trials = part.session.trials
            times = {name: trials[name] + offset for name in ("start", "cue", "end")}
            tables += [trials.assign(session=part.name, **times)] if len(trials) else []
    if not tables:
        return
    table = pd.concat(tables, ignore_index=True)
    file.trials = intervals(
        "trials",
        "Trials of all sessions: from cue onset to reward or timeout.",
        {
            "start_time": ("When the trial began (cue onset), s.", table["start"].to_numpy()),
            "stop_time": ("When it ended, with a reward or a timeout, s.", table["end"].to_numpy()),
            "cue_offset_time": ("When the cue went off and the animal could go, s.", table["cue"].to_numpy(np.float64)),
            "target": ("The poster to go to, 1 to 6; 0 where the markers do not say it.", table["target"].to_numpy()),
            "outcome": ("reward or timeout.", table["outcome"].tolist()),
            "session": ("The session.", table["session"].tolist()),
        },
    )


def timing_of(times: np.ndarray) -> dict[str, Any]:
    """Return how a series says when its samples were taken, see :func:`hippflow.nwb.streams.timing`."""
    return timing(lambda start, stop: times[start:stop], len(times))


def same_timing(series: TimeSeries) -> dict[str, Any]:
    """Return the timing of another series: its times are not stored twice."""
    if series.rate is not None:
        return {"starting_time": series.starting_time, "rate": series.rate}
    return {"timestamps": series}


def intervals(name: str, description: str, columns: dict[str, tuple[str, Any]]) -> TimeIntervals:
    """Return a table of intervals from descriptions and values of its columns, `start_time` and `stop_time` first."""
    made = [VectorData(name=column, description=what, data=values) for column, (what, values) in columns.items()]
    return TimeIntervals(name=name, description=description, columns=made, colnames=list(columns))


def behaviour_module(file: NWBFile) -> ProcessingModule:
    """Return the file's module of behaviour."""
    return file.processing.get("behavior") or file.create_processing_module(
        "behavior", "Place and heading of the animal in the maze, its eyes, and what it looked at."
    )


def add_spatial(file: NWBFile, container: Any, series: SpatialSeries) -> None:
    """Put a series into the container of its kind, which is made for the first one."""
    module = behaviour_module(file)
    found = module.data_interfaces.get(container.__name__)
    if found is None:
        found = container(name=container.__name__)
        module.add(found)
    found.add_spatial_series(series)


def add_position(file: NWBFile, part: Part, offset: float) -> None:
    """Add where the animal was in the maze, and its heading, for each frame."""
    if "unity" not in part.files:
        return
    frames = part.session.position
    if not len(frames):
        return
    place = SpatialSeries(
        name=f"position_{part.name}",
        description=f"x and z of the animal in the maze in {part.name}, a row for each frame, in maze units.",
        data=packed(frames[["x", "z"]].to_numpy()),
        **timing_of(frames["time"].to_numpy() + offset),
        reference_frame="The middle of the maze's floor; x to the right and z forward, seen from above.",
        unit="n.a.",
    )
    add_spatial(file, Position, place)
    heading = SpatialSeries(
        name=f"heading_{part.name}",
        description=f"Heading of the animal in {part.name}.",
        data=packed(frames["heading"].to_numpy()),
        **same_timing(place),
        reference_frame="0 is towards +z; clockwise seen from above, from 0 to below 360.",
        unit="degrees",
    )
    add_spatial(file, CompassDirection, heading)
