"""rplparallel: the words on the parallel port of a session, as trials (PyHipp's RPLParallel)."""

import logging
from pathlib import Path

import numpy as np

from hippflow.ephys.markers import decode_markers
from hippflow.io.nev import read_digital_events
from hippflow.io.products import base_fields, write_product

log = logging.getLogger(__name__)


def make_rplparallel(nev: str | Path, product: str | Path, *, unfinished_trial: str, no_markers: str) -> None:
    """Decode the trial markers of one session and write ``rplparallel_d41d.hkl``.

    Parameters
    ----------
    nev : path
    product : path
    unfinished_trial, no_markers : str
        See :func:`hippflow.ephys.markers.decode_markers`.
    """
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
