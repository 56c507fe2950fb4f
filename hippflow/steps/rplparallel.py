"""rplparallel: the words on the parallel port of a session, as trials (PyHipp's RPLParallel)."""

import logging
from datetime import datetime
from pathlib import Path

import numpy as np

from hippflow.ephys.markers import decode_markers
from hippflow.errors import MarkerError
from hippflow.io.nev import read_digital_events, read_nev_header
from hippflow.io.products import base_fields, write_product

log = logging.getLogger(__name__)

#: Seconds by which the files of one recording may say that they began apart: a recorder opens them together.
TOGETHER = 600.0


def _check_recording(nev: str | Path, recording_started: str | None) -> None:
    """Check that the events began with the recording whose trials they mark; where a header has no time nothing can."""
    began = read_nev_header(nev).started
    if began is None or recording_started is None:
        return
    apart = (began - datetime.fromisoformat(recording_started)).total_seconds()
    if abs(apart) > TOGETHER:
        raise MarkerError(
            f"{nev}: expected the events of the recording beside it, that began at {recording_started} by its header, "
            f"found a start at {began.isoformat()}, {abs(apart) / 60:.0f} min {'later' if apart > 0 else 'earlier'}; "
            "move it to its session, or set rplparallel.other_recording to allow"
        )


def make_rplparallel(
    nev: str | Path,
    product: str | Path,
    *,
    unfinished_trial: str,
    no_markers: str,
    other_recording: str = "error",
    recording_started: str | None = None,
) -> None:
    """Decode the trial markers of one session and write ``rplparallel_d41d.hkl``.

    Parameters
    ----------
    nev : path
    product : path
    unfinished_trial, no_markers : str
        See :func:`hippflow.ephys.markers.decode_markers`.
    other_recording : {'error', 'allow'}
        What a nev of another recording is.
    recording_started : str, optional
        When the session's continuous recording began by its headers, in ISO 8601.

    Raises
    ------
    FormatError
        The nev is damaged or cut off.
    MarkerError
        Markers of no known format, or of another recording.
    """
    if other_recording == "error":
        _check_recording(nev, recording_started)
    events = read_digital_events(nev)
    trials = decode_markers(
        events.codes, events.ticks, source=str(nev), unfinished_trial=unfinished_trial, no_markers=no_markers
    )
    if trials.unfinished:
        log.warning("%s: left out the unfinished last trial %s", nev, list(trials.unfinished))
    # In whole ticks: PyHipp floors seconds times 30000 and so is one sample early for 2.4 % of all markers.
    # Whole seconds apart from the rest: ns since the recorder was switched on, times 30000, can pass 64 bits.
    seconds, rest = np.divmod(trials.ticks, events.tick_rate)
    indices = seconds * events.sampling_rate + (2 * rest * events.sampling_rate + events.tick_rate) // (
        2 * events.tick_rate
    )
    start = np.nan if trials.session_start is None else trials.session_start / events.tick_rate
    write_product(
        product,
        base_fields(product, "session")
        | {
            "rawMarkers": events.codes,
            "rawTicks": events.ticks,
            "markers": trials.codes,
            "timeStamps": trials.ticks / events.tick_rate,
            "trialIndices": indices,
            "trialTicks": trials.ticks,
            "sessionStartTime": start,
            "samplingRate": events.sampling_rate,
            "tickRate": events.tick_rate,
            "markerFormat": trials.format,
            "highByte": events.high_byte,
            "unfinishedTrial": list(trials.unfinished),
            "numSets": 1,
        },
    )
    log.info("%s: %d trials, marker format %s", nev, len(trials.codes), trials.format)
