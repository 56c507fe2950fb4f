"""The truth about a demo recording of calcium, kept beside it, and how well its cells were found.

Writes ``truth.json`` (seed, rate, detector) and ``truth.npz`` into the folder of the day.
The arrays of plane 0 are ``plane0/centres`` and so on, as :class:`PlaneTruth` has them.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from hippflow.errors import FormatError
from hippflow.io.atomic import whole_file


@dataclass(frozen=True, eq=False)
class PlaneTruth:
    """What is in a plane of n cells, T frames and H x W pixels.

    Attributes
    ----------
    centres : ndarray, float64 (n, 2)
        y and x of the cells where the tissue is at rest, pixels.
    radius : ndarray, float64 (n,)
        Pixels; the geometric mean of an ellipse's semi-axes.
    groups : ndarray, int64 (n,)
        Which cells are active together.
    masks : ndarray, int16 (H, W)
        1 + index of the cell, 0 where there is none; tissue at rest.
    dff : ndarray, float32 (n, T)
        dF/F of the cells, before bleaching and noise.
    bleaching : ndarray, float32 (T,)
        Factor on all light.
    motion : ndarray, float64 (T, 2)
        Pixels in y and x by which the tissue lies further down and right than at rest.
    mean : ndarray, float32 (H, W)
        Mean over time in counts, without noise and motion.
    frame_means : ndarray, float64 (T,)
        Mean over pixels in counts, without noise and motion.
    """

    centres: np.ndarray
    radius: np.ndarray
    groups: np.ndarray
    masks: np.ndarray
    dff: np.ndarray
    bleaching: np.ndarray
    motion: np.ndarray
    mean: np.ndarray
    frame_means: np.ndarray


@dataclass(frozen=True, eq=False)
class ImagingTruth:
    """The truth about a recording.

    Attributes
    ----------
    subject, day, recording : str
    seed : int
    rate : float
        Frames per second of a plane; suite2p's ``fs``.
    tau : float
        Seconds in which fluorescence falls to 1/e after an event; suite2p's ``tau``.
    detector : dict
        ``gain`` (counts per photon), ``offset`` and ``read_noise`` (counts).
    planes : tuple of PlaneTruth
    """

    subject: str
    day: str
    recording: str
    seed: int
    rate: float
    tau: float
    detector: dict[str, float]
    planes: tuple[PlaneTruth, ...]


def save_imaging_truth(truth: ImagingTruth, day_dir: str | Path) -> None:
    """Write ``truth.npz``, then ``truth.json``, into the folder of the day."""
    names = [field.name for field in fields(PlaneTruth)]
    arrays = {f"plane{i}/{name}": getattr(plane, name) for i, plane in enumerate(truth.planes) for name in names}
    with whole_file(Path(day_dir, "truth.npz")) as part, open(part, "wb") as file:
        np.savez_compressed(file, **arrays)
    facts: dict[str, Any] = {field.name: getattr(truth, field.name) for field in fields(truth)}
    facts["planes"] = len(truth.planes)
    with whole_file(Path(day_dir, "truth.json")) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n")


def load_imaging_truth(day_dir: str | Path) -> ImagingTruth:
    """Read the truth about the recording in `day_dir`.

    Raises
    ------
    FormatError
        The folder's truth is of something else.

    Examples
    --------
    >>> import tempfile
    >>> from hippflow.demo.imaging import write_demo_imaging
    >>> recording = write_demo_imaging(tempfile.mkdtemp(), frames=60, size=(64, 80))
    >>> truth = load_imaging_truth(recording.parent)
    >>> truth.recording, truth.planes[0].masks.shape, truth.planes[0].motion.shape
    ('imaging01', (64, 80), (60, 2))
    """
    path = Path(day_dir, "truth.json")
    facts = json.loads(path.read_text())
    if "recording" not in facts:
        raise FormatError(f"{path}: expected the truth about an imaging recording, found that of another kind of day")
    names = [field.name for field in fields(PlaneTruth)]
    with np.load(path.with_suffix(".npz")) as arrays:
        planes = [PlaneTruth(*(arrays[f"plane{i}/{name}"] for name in names)) for i in range(facts["planes"])]
    return ImagingTruth(**facts | {"planes": tuple(planes)})


class CellScore(NamedTuple):
    """How well cells were found.

    Attributes
    ----------
    recall : float
        Share of the true cells that were found.
    precision : float
        Share of the accepted cells that are true ones, NaN where none was accepted.
    matches : ndarray, int64 (m, 2)
        Index of a true cell and index of the found one, of every pair.
    """

    recall: float
    precision: float
    matches: np.ndarray


def _shift(true: np.ndarray, found: np.ndarray, largest: float) -> np.ndarray:
    """Return the shift from `true` to `found` that most pairs share to within a pixel."""
    between = (found[:, None] - true).reshape(-1, 2)
    between = between[(np.abs(between) <= largest).all(axis=1)]
    if not len(between):
        return np.zeros(2)
    near = np.linalg.norm(between[:, None] - between, axis=2) <= 1
    return between[near[near.sum(axis=1).argmax()]].mean(axis=0)


def score_cells(
    truth: PlaneTruth, centres: np.ndarray, accepted: np.ndarray, *, tolerance: float = 3.0, largest_shift: float = 8.0
) -> CellScore:
    """Compare accepted cells with the true ones.

    Every cell has at most one partner; there are as many pairs as there can be, and of all ways
    to pair that many it is the one with the smallest sum of distances. A shift that all have in
    common is taken off first: registration aligns the frames to one that may have moved.

    Parameters
    ----------
    truth : PlaneTruth
    centres : ndarray, (k, 2)
        y and x of what was found, pixels.
    accepted : ndarray of bool, (k,)
        Which of these are taken for cells; suite2p's ``iscell[:, 0]``.
    tolerance : float
        Largest distance of a pair, pixels.
    largest_shift : float
        Largest common shift in y and in x, pixels.

    Examples
    --------
    >>> import types
    >>> truth = types.SimpleNamespace(centres=np.array([[10, 10], [10, 30], [30, 10]]))
    >>> found = np.array([[31, 9], [50, 50], [11, 9], [11, 29]])
    >>> score_cells(truth, found, np.array([True, True, True, False]))
    CellScore(recall=0.6666666666666666, precision=0.6666666666666666, matches=array([[0, 2],
           [2, 0]]))
    """
    indices = np.flatnonzero(accepted)
    found = np.asarray(centres, float)[indices]
    found = found - _shift(truth.centres, found, largest_shift)
    distance = np.linalg.norm(truth.centres[:, None] - found, axis=2)
    too_far = tolerance * (len(truth.centres) + 1)  # more than all other pairs can gain by one that is too far
    rows, columns = linear_sum_assignment(np.where(distance <= tolerance, distance, too_far))
    paired = distance[rows, columns] <= tolerance
    matches = np.column_stack([rows[paired], indices[columns[paired]]])
    precision = len(matches) / len(indices) if len(indices) else np.nan
    return CellScore(len(matches) / len(truth.centres), precision, matches)
