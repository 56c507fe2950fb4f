"""A finished day of three seconds, written without running anything: for the examples of what reads days."""

import tempfile
from pathlib import Path

import numpy as np

from hippflow.io.products import base_fields, write_product
from hippflow.io.signals import write_signal


def write_finished_day(results: str | Path | None = None) -> Path:
    """Write a day with one trial and the LFP of one channel, in which a sample's value is its time in ms.

    Parameters
    ----------
    results : path, optional
        Root of the results; a temporary folder if it is not given.

    Returns
    -------
    Path
        The day's folder.

    Examples
    --------
    >>> write_finished_day().name
    '20181105'
    """
    day = Path(results or tempfile.mkdtemp(), "picasso/20181105")
    markers = day / "session01/rplparallel_d41d.hkl"
    signal = day / "session01/array01/channel009/rpllfp_6eca.hkl"
    signal.parent.mkdir(parents=True)
    trial = np.array([[15, 25, 35]], np.uint16), np.array([[15000, 30000, 75000]])
    write_product(
        markers,
        base_fields(markers, "session")
        | {
            "rawMarkers": trial[0][0],
            "rawTicks": trial[1][0],
            "tickRate": 30000,
            "markers": trial[0],
            "timeStamps": trial[1] / 30000,
            "markerFormat": "D",
        },
    )
    with write_signal(signal, {"analogInfo": {"SampleRate": 1000.0, "TickRate": 1000}}, n_samples=3000) as writer:
        writer.write(np.arange(3000.0))
    return day
