"""Two-photon recordings: planes, regions of interest, their activity, clusters and images."""

from typing import Any

import numpy as np
from hdmf.common import VectorData, VectorIndex
from pynwb import NWBFile, ProcessingModule
from pynwb.base import Images
from pynwb.device import Device
from pynwb.image import GrayscaleImage
from pynwb.ophys import (
    Fluorescence,
    ImageSegmentation,
    OpticalChannel,
    PlaneSegmentation,
    RoiResponseSeries,
)

from hippflow.errors import FormatError
from hippflow.io.suite2p import check_lengths
from hippflow.nwb.contents import Contents
from hippflow.nwb.streams import packed, streamed
from hippflow.reading.recording import Plane

#: Containers of the activity, with what suite2p calls it and its unit.
_TRACES = {
    "Fluorescence": ("F", "counts", "Fluorescence, a column for each region of interest"),
    "Neuropil": ("Fneu", "counts", "Fluorescence of the neuropil around every region of interest"),
    "Deconvolved": ("spks", "a.u.", "Deconvolved activity; no spikes, and no rate"),
}

#: A pixel of a region of interest, as NWB has it.
_PIXEL = np.dtype([("x", np.uint32), ("y", np.uint32), ("weight", np.float32)])


def seconds_of(contents: Contents) -> dict[str, float]:
    """Return how long the two-photon recordings are, s."""
    return {
        name: recording.movie["n_frames"] / recording.planes[0].sampling_rate
        for name, recording in contents.recordings.items()
    }


def add_imaging(file: NWBFile, contents: Contents, offsets: dict[str, float], settings: dict[str, Any]) -> None:
    """Add all planes of all recordings.

    Parameters
    ----------
    file : NWBFile
    contents : Contents
    offsets : dict of str to float
        When the recordings begin on the day's clock, s.
    settings : dict
        The block `nwb` of the configuration.

    Raises
    ------
    FormatError
        Files of a plane that are of different runs or lengths.
    """
    if not contents.recordings:
        return
    device = file.create_device(name=settings["microscope"], description="Two-photon microscope.")
    module = file.create_processing_module("ophys", "Regions of interest and their activity, by suite2p.")
    segmentation = ImageSegmentation(name="ImageSegmentation")
    module.add(segmentation)
    for name, recording in contents.recordings.items():
        for plane in recording.planes:
            _add_plane(file, module, segmentation, device, plane, name, offsets[name], settings)


def _add_plane(
    file: NWBFile,
    module: ProcessingModule,
    segmentation: ImageSegmentation,
    device: Device,
    plane: Plane,
    recording: str,
    offset: float,
    settings: dict[str, Any],
) -> None:
    name = f"{recording}_plane{plane.number}"
    light = OpticalChannel(
        name="OpticalChannel", description="The indicator's light.", emission_lambda=float(settings["emission_lambda"])
    )
    imaged = file.create_imaging_plane(
        name=name,
        description=f"Plane {plane.number} of {recording}.",
        optical_channel=light,
        device=device,
        imaging_rate=plane.sampling_rate,
        excitation_lambda=float(settings["excitation_lambda"]),
        indicator=settings["indicator"],
        location=settings["plane_location"],
    )
    module.add(_images(plane, name))
    n_rois = _check(plane)
    if not n_rois:
        return
    rois = _segmentation(plane, name, imaged)
    segmentation.add_plane_segmentation(rois)
    n_frames = plane.F.shape[1]
    for container, (field, unit, description) in _TRACES.items():
        traces = getattr(plane, field)
        series = RoiResponseSeries(
            name=name,
            description=f"{description}, in {recording}, plane {plane.number}.",
            data=streamed(
                lambda start, stop, traces=traces: np.ascontiguousarray(traces[:, start:stop].T),
                (n_frames, n_rois),
                traces.dtype,
            ),
            rois=rois.create_roi_table_region(description="All regions of interest.", region=list(range(n_rois))),
            unit=unit,
            rate=plane.sampling_rate,
            starting_time=offset,
        )
        found = module.data_interfaces.get(container)
        if found is None:
            found = Fluorescence(name=container)
            module.add(found)
        found.add_roi_response_series(series)


def _check(plane: Plane) -> int:
    """Return the number of regions of interest, on which all files of the plane agree."""
    folder = plane.recording.folder / f"suite2p/plane{plane.number}"
    n = len(plane.rois)
    check_lengths(folder, {"stat.npy": n, "iscell.npy": len(plane.is_cell), "F.npy": len(plane.F)})
    frames = plane.recording.movie["n_frames"]
    if n and plane.F.shape[1] != frames:
        raise FormatError(
            f"{folder / 'F.npy'}: expected {frames} frames as in movie.json, found {plane.F.shape[1]}; make it anew"
        )
    if (plane.clusters["roi"] >= n).any():
        raise FormatError(
            f"{plane.recording.folder}/kmeans/plane{plane.number}/clusters.csv: expected numbers of {n} regions of "
            f"interest, found {plane.clusters['roi'].max()}; make it anew"
        )
    return n


def _images(plane: Plane, name: str) -> Images:
    found = {
        "mean": (plane.mean_image, "Mean of the movie without motion."),
        "maximum": (plane.projection("maximum"), "Largest value of every pixel, of the movie as it was recorded."),
        "standard_deviation": (
            plane.projection("standard_deviation"),
            "Standard deviation of every pixel, of the movie as it was recorded.",
        ),
    }
    pictures = [
        GrayscaleImage(name=kind, data=packed(image), description=f"{what} Rows by columns, in counts.")
        for kind, (image, what) in found.items()
    ]
    return Images(name=f"images_{name}", images=pictures, description=f"Projections over time of {name}.")


def _segmentation(plane: Plane, name: str, imaged: Any) -> PlaneSegmentation:
    rois = plane.rois
    pixels = np.concatenate([_pixels(roi) for roi in rois])
    mask = VectorData(name="pixel_mask", description="Pixels and their weights.", data=packed(pixels))
    clusters = np.zeros(len(rois), np.int64)
    clusters[plane.clusters["roi"]] = plane.clusters["cluster"]
    columns = [
        mask,
        VectorIndex(name="pixel_mask_index", data=np.cumsum([len(roi["ypix"]) for roi in rois]), target=mask),
        VectorData(name="is_cell", description="Whether it is a cell: classifier, or by hand.", data=plane.is_cell),
        VectorData(
            name="cell_probability", description="The classifier's probability of a cell.", data=plane.cell_probability
        ),
        VectorData(
            name="cluster", description="Its cluster, of which 1 is the largest; 0 where it is in none.", data=clusters
        ),
    ]
    return PlaneSegmentation(
        name=name,
        description=f"Regions of interest of {name}, by suite2p, in the order of its files.",
        imaging_plane=imaged,
        columns=columns,
        colnames=[column.name for column in columns if not isinstance(column, VectorIndex)],
    )


def _pixels(roi: dict[str, Any]) -> np.ndarray:
    pixels = np.empty(len(roi["ypix"]), _PIXEL)
    pixels["x"], pixels["y"], pixels["weight"] = roi["xpix"], roi["ypix"], roi["lam"]
    return pixels
