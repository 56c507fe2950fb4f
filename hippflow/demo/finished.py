"""Finished days of seconds, written without running anything: for examples and tests of what reads days."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

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


def write_finished_imaging(results: str | Path | None = None, n_frames: int = 60) -> Path:
    """Write a day with a recording of one plane of 24 x 32 pixels, with three ROIs, of which the last is no cell.

    Fluorescence of ROI k in frame t is 100 (k + 1) + t, and every pixel of the registered frame t is t.

    Parameters
    ----------
    results : path, optional
        Root of the results; a temporary folder if it is not given.
    n_frames : int

    Returns
    -------
    Path
        The day's folder.

    Examples
    --------
    >>> write_finished_imaging().parts[-2:]
    ('zebrafish', '20220104')
    """
    day = Path(results or tempfile.mkdtemp(), "zebrafish/20220104")
    movie, plane, kmeans = (day / "imaging01" / step for step in ("movie", "suite2p/plane0", "kmeans/plane0"))
    for folder in (movie, plane, kmeans):
        folder.mkdir(parents=True)
    shape, time = (24, 32), np.arange(n_frames, dtype=np.float32)
    report = {"n_frames": n_frames, "planes": 1, "height": shape[0], "width": shape[1], "scale": 1}
    (movie / "movie.json").write_text(json.dumps(report))
    ramp = np.arange(shape[0] * shape[1], dtype=np.int16).reshape(shape)
    projections = {"first": ramp, "maximum": ramp + 9, "mean": ramp + 0.5, "standard_deviation": ramp / 8}
    np.savez(movie / "plane0.npz", **projections)
    np.broadcast_to(time[:, None, None].astype("<i2"), (n_frames, *shape)).tofile(plane / "data.bin")

    F = 100 * np.arange(1, 4, dtype=np.float32)[:, None] + time
    stored = {"F": F, "Fneu": F / 2, "spks": np.clip(F - 250, 0, None), "iscell": [[1, 0.9], [1, 0.75], [0, 0.25]]}
    stored["stat"] = np.array([_roi(4 + 7 * k, 5 + 9 * k) for k in range(3)], object)
    stored["settings"] = {"fs": 2.0, "tau": 1.8, "extraction": {"neuropil_coefficient": 0.7}}
    stored["reg_outputs"] = {"meanImg": ramp.astype(np.float32), "yoff": np.zeros(n_frames, np.int64)}
    for name, value in stored.items():
        np.save(plane / f"{name}.npy", value)
    np.save(kmeans / "covariance.npy", np.array([[1.0, 0.5], [0.5, 1.0]]))
    clusters = {"order": [0, 1], "roi": [1, 0], "cluster": [1, 2], "iscell": [1, 1]}
    pd.DataFrame(clusters).to_csv(kmeans / "clusters.csv", index=False)
    return day


def _roi(y: int, x: int) -> dict[str, object]:
    """Return a ROI as suite2p describes it, of 3 x 3 pixels around a place."""
    ypix, xpix = (place.ravel() for place in np.mgrid[y - 1 : y + 2, x - 1 : x + 2])
    return {"ypix": ypix, "xpix": xpix, "lam": np.full(9, 1 / 9, np.float32), "med": [y, x], "npix": 9}
