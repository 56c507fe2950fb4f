"""Imaging: figure 5 of every plane, projections of the movies, and the activity of clusters."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.errors import FormatError
from hippflow.report.material import Material, Section, absence
from hippflow.report.packing import pack, plain
from hippflow.report.rendering import count, render

#: Bytes of pictures in a page at most; further ones are named instead.
MOST_BYTES = 8_000_000

#: Of clusters 1, 2, ... as figure 5 has them, up to seven; that module draws, and would import matplotlib.
COLOURS = ("#0072B2", "#D55E00", "#F0E442", "#56B4E9", "#CC79A7", "#E69F00", "#009E73")

#: Points of a trace.
POINTS = 900

#: Rules of imaging.
RULES = ("movie", "registration", "suite2p", "kmeans", "figure5", "projections")


def section(material: Material) -> Section | None:
    """Make the section; None on a day without two-photon recordings."""
    if not material.catalog.recordings:
        return None
    pictures = _Pictures(MOST_BYTES)
    data: dict[str, Any] = {}
    recordings, problems = [], []
    for recording in material.catalog.recordings:
        folder = recording.path.rpartition("/")[2]
        view: dict[str, Any] = {"name": folder, "planes": [], "movie": None, "animations": []}
        view["missing"] = absence(material, *RULES, owner=recording.path)
        recordings.append(view)
        try:
            on_disk = material.day[folder]
            view["movie"] = on_disk.movie
            planes = on_disk.planes
        except FormatError:  # said to be missing
            continue
        for plane in planes:
            name = f"{folder}/plane{plane.number}"
            view["planes"].append(_plane(plane, name, on_disk.folder, pictures, data, problems))
        for kind in ("maximum", "standard_deviation"):
            path = on_disk.folder / f"projections/{kind}.gif"
            view["animations"].append({"kind": kind.replace("_", " "), "file": path.name, "url": pictures.take(path)})
    html = render("imaging.html.j2", recordings=recordings)
    return Section("Imaging", "imaging", problems, html, plain(data))


class _Pictures:
    """Takes pictures into the page until it is full."""

    def __init__(self, most: int):
        self._left = most

    def take(self, path: Path) -> str | None:
        """Return a picture's file as a URL, None if there is none or no room."""
        if not path.exists():
            return None
        return self.take_bytes(path.read_bytes(), path.suffix[1:])

    def take_bytes(self, content: bytes, kind: str) -> str | None:
        if len(content) > self._left:
            return None
        self._left -= len(content)
        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _plane(
    plane: Any, name: str, folder: Path, pictures: _Pictures, data: dict[str, Any], problems: list[str]
) -> dict[str, Any]:
    """Return what the template needs of a plane; its traces go to the script."""
    figure = folder / f"kmeans/plane{plane.number}/figure5.png"
    view = {"name": name, "number": plane.number, "figure": pictures.take(figure), "still": None, "clusters": []}
    try:
        view["still"] = pictures.take_bytes(_still(plane.projection("maximum")), "png")
    except FormatError:
        view["still"] = None
    try:
        is_cell, table, rate, n_frames = plane.is_cell, plane.clusters, plane.sampling_rate, plane.F.shape[1]
    except FormatError:
        return view
    view |= {"n_rois": len(is_cell), "n_cells": int(is_cell.sum()), "n_clustered": len(table), "rate": rate}
    if not is_cell.any():
        problems.append(f"{name}: none of {count(len(is_cell), 'region')} was taken for a cell")
    step = max(1, n_frames // POINTS)
    colours = COLOURS if table["cluster"].nunique() <= len(COLOURS) else ()
    data[name] = {"rate": rate / step, "traces": {}, "colours": colours}
    for cluster, rows in table.groupby("cluster"):
        mean = _mean_activity(plane, rows["roi"].tolist())
        n = n_frames // step * step
        data[name]["traces"][str(cluster)] = pack(mean[:n].reshape(-1, step).mean(axis=1))
        colour = dict(enumerate(colours, start=1)).get(int(cluster))
        covariance = rows["mean_covariance"].mean()
        view["clusters"].append({"cluster": int(cluster), "n": len(rows), "covariance": covariance, "colour": colour})
    return view


def _mean_activity(plane: Any, rois: list[int]) -> np.ndarray:
    """Return the mean of some ROIs' activity as z-scores without neuropil, float64 (frames,), as figure 5 has it."""
    share = plane.settings.get("extraction", {}).get("neuropil_coefficient", 0.7)
    total = np.zeros(plane.F.shape[1])
    for roi in rois:  # one at a time: all of a long recording may not fit into memory
        activity = plane.F[roi].astype(np.float64) - share * plane.Fneu[roi]
        total += (activity - activity.mean()) / (activity.std() or 1)
    return total / len(rois)


def _still(image: np.ndarray) -> bytes:
    """Return an image as PNG in greys, black at its 1st and white at its 99.7th percentile."""
    from PIL import Image

    low, high = np.percentile(image, [1, 99.7])
    grey = np.clip((image - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG", optimize=True)
    return file.getvalue()
