"""Put a day's products together, and write them."""

import logging
from pathlib import Path
from typing import Any

import h5py
from pynwb import NWBHDF5IO, NWBFile
from pynwb.epoch import TimeIntervals

from hippflow.io.atomic import whole_file
from hippflow.io.nev import read_start_time
from hippflow.nwb import behaviour, ephys, imaging
from hippflow.nwb.clock import LAID, Placed, Span, place
from hippflow.nwb.contents import Contents, Part, end_of
from hippflow.nwb.eyes import Eyes, add_eye_events, add_eyes, add_gaze
from hippflow.nwb.metadata import fix_identifiers, make_file
from hippflow.nwb.units import add_units

log = logging.getLogger(__name__)


def build_file(contents: Contents, settings: dict[str, Any]) -> NWBFile:
    """Make the file of a day; long arrays are read when it is written.

    Parameters
    ----------
    contents : Contents
    settings : dict
        See :func:`hippflow.nwb.sources.nwb_settings`.

    Returns
    -------
    NWBFile

    Raises
    ------
    FormatError
        Products that contradict each other, or that are not there.
    """
    eyes = {name: Eyes(part) for name, part in contents.parts.items() if "eyelink" in part.files}
    spans = [_span(part, eyes.get(name), settings["clock"]) for name, part in contents.parts.items()]
    movies = [Span(name, seconds) for name, seconds in imaging.seconds_of(contents).items()]
    start, placed = place(spans, movies, contents.day.date, settings["timezone"], settings["gap"])
    laid = [one.name for one in placed[1:] if one.source == LAID]
    if laid:
        log.info("%s: not known when %s began: laid after the one before", contents.folder, ", ".join(laid))
    file = make_file(contents.day.subject, contents.day.date, start, placed, settings)
    file.add_time_intervals(_sessions(placed))
    ordered = [(contents.parts[one.name], one.offset) for one in placed if one.name in contents.parts]
    ephys.add_electrodes(file, contents, settings)
    behaviour.add_trials(file, ordered)
    for part, offset in ordered:
        ephys.add_signals(file, part, offset)
        behaviour.add_position(file, part, offset)
        if part.name in eyes:
            add_eyes(file, part, eyes[part.name], offset)
    seen = [(part, eyes[part.name], offset) for part, offset in ordered if part.name in eyes]
    add_eye_events(file, seen)
    add_gaze(file, [one for one in seen if "gaze" in one[0].files])
    add_units(file, contents, placed)
    imaging.add_imaging(file, contents, {one.name: one.offset for one in placed}, settings)
    return file


def _span(part: Part, eyes: Eyes | None, clock: str) -> Span:
    """Say how long a session is, and when it began."""
    ends = [end_of(signal) for kind in ("lfp", "raw") for signal in part.signals(kind).values()]
    start = read_start_time(part.files["nev"]) if clock == "header" and "nev" in part.files else None
    seconds = max([*ends, behaviour.seconds_of(part)])
    # the tracker may go on long after the recording: it counts where there is nothing else
    return Span(part.name, seconds or (eyes.seconds if eyes else 0.0), start)


def _sessions(placed: list[Placed]) -> TimeIntervals:
    columns = {
        "start_time": ("When the recording's own time 0 is on the day's clock, s.", [one.offset for one in placed]),
        "stop_time": ("When what the file has of it ends, s.", [one.stop for one in placed]),
        "session": ("Its name.", [one.name for one in placed]),
        "clock_offset": ("To be added to times in its products, s.", [one.offset for one in placed]),
        "start_source": ("Where its start is known from.", [one.source for one in placed]),
    }
    return behaviour.intervals("sessions", "The day's recordings on the file's one clock.", columns)


def write_file(file: NWBFile, path: str | Path) -> None:
    """Write a file, whole or not at all, with the same bytes for the same content."""
    fix_identifiers(file)
    with whole_file(path) as part, h5py.File(part, "w") as store, NWBHDF5IO(file=store, mode="w") as io:
        io.write(file)
