"""One two-photon recording: its planes, and their regions of interest and activity."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hippflow.errors import FormatError
from hippflow.io.npy import read_npy
from hippflow.io.suite2p import read_iscell, read_settings, read_stat, read_traces
from hippflow.reading.files import Files

_PROJECTIONS = ("first", "maximum", "mean", "standard_deviation")


@dataclass(frozen=True)
class Plane:
    """One plane of a recording; n ROIs, in the same order everywhere.

    Attributes
    ----------
    number : int
        From 0.
    recording : Recording

    Examples
    --------
    >>> from hippflow import load_day
    >>> from hippflow.demo.finished import write_finished_imaging
    >>> (plane,) = load_day(write_finished_imaging())["imaging01"].planes
    >>> plane.F[plane.is_cell].shape, plane.times[-1].item(), plane.frames.shape
    ((2, 60), 29.5, (60, 24, 32))
    """

    number: int
    recording: "Recording" = field(repr=False)

    def _folder(self, step: str) -> Path:
        return self.recording.folder / step / f"plane{self.number}"

    def _suite2p(self, name: str) -> Path:
        return self.recording.files.find(self._folder("suite2p"), f"{name}.npy")

    @cached_property
    def _traces(self) -> list[np.ndarray]:
        return read_traces(*(self._suite2p(name) for name in ("F", "Fneu", "spks")), mapped=True)

    @property
    def F(self) -> np.ndarray:
        """Fluorescence, float32 (n, frames), counts; left in the file."""
        return self._traces[0]

    @property
    def Fneu(self) -> np.ndarray:
        """Fluorescence of the neuropil around every ROI, float32 (n, frames), counts; left in the file."""
        return self._traces[1]

    @property
    def spks(self) -> np.ndarray:
        """Deconvolved activity, float32 (n, frames); left in the file."""
        return self._traces[2]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Settings of suite2p that the plane was made with."""
        return read_settings(self._suite2p("settings"))

    @property
    def sampling_rate(self) -> float:
        """Frames a second."""
        return float(self.settings["fs"])

    @property
    def times(self) -> np.ndarray:
        """When the frames were taken, s after the plane's first one, float64 (frames,)."""
        return np.arange(self.recording.movie["n_frames"]) / self.sampling_rate

    @cached_property
    def rois(self) -> list[dict[str, Any]]:
        """One dictionary for each ROI: ``ypix``, ``xpix``, ``lam`` (weights of its pixels), ``med`` and others."""
        return list(read_stat(self._suite2p("stat")))

    @cached_property
    def is_cell(self) -> np.ndarray:
        """Which ROIs are cells, bool (n,)."""
        return read_iscell(self._suite2p("iscell"))[:, 0].astype(bool)

    @cached_property
    def cell_probability(self) -> np.ndarray:
        """How likely every ROI is a cell, for the classifier, float64 (n,)."""
        return read_iscell(self._suite2p("iscell"))[:, 1]

    @cached_property
    def clusters(self) -> pd.DataFrame:
        """One row for each clustered ROI; ``roi`` is its row in the traces, ``cluster`` its cluster from 1."""
        return self.recording.files.table(self._folder("kmeans"), "clusters.csv")

    @cached_property
    def covariance(self) -> np.ndarray:
        """Covariance of the ROIs in the order of `clusters`, float64 (m, m)."""
        return read_npy(self.recording.files.find(self._folder("kmeans"), "covariance.npy"))

    @property
    def frames(self) -> np.ndarray:
        """The registered movie, int16 (frames, height, width), counts; left in the file."""
        shape = tuple(self.recording.movie[name] for name in ("n_frames", "height", "width"))
        path = self.recording.files.find(self._folder("suite2p"), "data.bin")
        if path.stat().st_size != 2 * np.prod(shape, dtype=np.int64):
            raise FormatError(f"{path}: expected {shape} int16 as in movie.json, found another size; make it anew")
        return np.memmap(path, "<i2", "r", shape=shape)

    @cached_property
    def mean_image(self) -> np.ndarray:
        """Mean of the registered movie, float32 (height, width), counts."""
        return read_settings(self._suite2p("reg_outputs"))["meanImg"]  # of the same image as ops.npy, and small

    def projection(self, name: str) -> np.ndarray:
        """Return a projection over time of the movie as it was recorded.

        Parameters
        ----------
        name : {'first', 'maximum', 'mean', 'standard_deviation'}

        Returns
        -------
        ndarray, shape (height, width)
            Counts; int16 of the first frame and the maximum, float64 of the others.

        Raises
        ------
        FormatError
            There is none of this name, or the movie was not read yet.
        """
        if name not in _PROJECTIONS:
            raise FormatError(f"{self.recording.folder}: expected {', '.join(_PROJECTIONS)}, found {name!r}")
        path = self.recording.files.find(self.recording.folder / "movie", f"plane{self.number}.npz")
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[name]


@dataclass(frozen=True)
class Recording:
    """One two-photon recording of a day.

    Attributes
    ----------
    name : str
        ``imaging01``.
    folder : Path
    files : Files
    """

    name: str
    folder: Path
    files: Files = field(repr=False, compare=False)

    @cached_property
    def movie(self) -> dict[str, Any]:
        """What the movie is made of (``movie.json``): ``n_frames``, ``height``, ``width``, ``planes`` and others."""
        return self.files.report(self.folder / "movie", "movie.json")

    @cached_property
    def planes(self) -> list[Plane]:
        """The planes, from 0."""
        return [Plane(number, self) for number in range(self.movie["planes"])]
