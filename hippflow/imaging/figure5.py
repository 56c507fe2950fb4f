"""The clusters of a plane as one figure of four panels: first raw frame, covariance, map of ROIs, traces.

What it reads: arrays of sorted ROIs, as :func:`hippflow.imaging.clusters.cluster_rois` orders them.

What it does: draws at the width of a printed page (180 mm) in 8 point type, in colours that the colour-blind can
tell apart, with numbers beside them; and renders to bytes that are the same for the same data. Images and matrices
are pixels in the PDF, too, whatever the number of ROIs; text and lines stay text and lines.

What it does not: scale bars, since suite2p does not know the size of a pixel.
"""

import io
import logging
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

#: Of clusters 1, 2, ...: the order of Okabe and Ito's colours in which the first few differ most, as seen by people
#: with and without each of the three kinds of colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#F0E442", "#56B4E9", "#CC79A7", "#E69F00", "#009E73")

#: Unit of the covariance of each kind of traces.
UNITS = {"zscore": "of z-scores", "dff": "of ΔF/F", "raw": "of F (a.u.²)", "spks": "of deconvolved F (a.u.²)"}

#: Most columns of the raster of traces: more than the printed page can show; longer recordings are averaged.
MAX_COLUMNS = 3000

#: Independent of what the user's matplotlibrc says.
_STYLE: list[Any] = [
    "default",
    {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "pdf.fonttype": 42,  # letters that an editor can change
        "image.interpolation": "antialiased",
    },
]

_DPI = 300

#: Millimetres of the page, each panel's left, bottom, width and height, and its letter's right and bottom.
_PAGE = (180, 136)
_PANELS = {"A": (12, 76, 45, 45), "B": (66, 76, 45, 45), "C": (130, 76, 45, 45), "D": (21, 10, 143, 50)}
_LETTERS = {"A": (7, 125), "B": (61, 125), "C": (125, 125), "D": (7, 64)}

#: Millimetres: thickness of the bars of cluster colours, distance from their panel, and least distance of two lines.
_BAR, _BAR_GAP, _LINE = 2.2, 0.6, 3.2


def cluster_colours(n: int) -> ListedColormap:
    """Return a colour for each of `n` clusters, the first few of which differ most.

    Examples
    --------
    >>> cluster_colours(2).colors
    ['#0072B2', '#D55E00']
    """
    if n <= len(COLOURS):
        return ListedColormap(list(COLOURS[:n]))
    # No more than seven colours can be told apart by all; the numbers beside the bars must help.
    return ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.2, 1, n)))


def cluster_map(
    shape: tuple[int, int], masks: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], cluster: np.ndarray
) -> np.ndarray:
    """Paint every ROI's pixels with the number of its cluster.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the image.
    masks : sequence of (y, x, weight)
        Pixels of each ROI and their weights (suite2p's `ypix`, `xpix`, `lam`). A pixel of several ROIs belongs to
        the one in which it weighs most.
    cluster : array of int
        Of each ROI, from 1.

    Returns
    -------
    array of int, shape `shape`
        0 where there is no ROI.

    Examples
    --------
    >>> left, right = (np.array([0, 0]), np.array([0, 1]), np.array([3, 1])), (np.array([0]), np.array([1]), [2])
    >>> cluster_map((1, 3), [left, right], np.array([1, 2])).tolist()
    [[1, 2, 0]]
    """
    painted, heaviest = np.zeros(shape, np.int64), np.full(shape, -np.inf)
    for (y, x, weight), number in zip(masks, cluster, strict=True):
        wins = np.asarray(weight) > heaviest[y, x]
        painted[y[wins], x[wins]] = number
        heaviest[y[wins], x[wins]] = np.asarray(weight)[wins]
    return painted


def shifted(frame: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """Move a frame as suite2p's rigid registration moved it, by its offsets `yoff` and `xoff` of that frame.

    What it moves out of the field of view is lost, and what was outside is NaN; suite2p wraps around instead.

    Examples
    --------
    >>> shifted(np.array([[1, 2, 3]]), 0, 1).tolist()
    [[2.0, 3.0, nan]]
    """
    moved = np.roll(frame.astype(np.float64), (-dy, -dx), axis=(0, 1))
    rows, columns = (np.arange(size) + by for size, by in zip(frame.shape, (dy, dx), strict=True))
    moved[(rows < 0) | (rows >= frame.shape[0])] = np.nan
    moved[:, (columns < 0) | (columns >= frame.shape[1])] = np.nan
    return moved


def cluster_figure(
    first: np.ndarray,
    mean: np.ndarray,
    masks: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    cluster: np.ndarray,
    covariance: np.ndarray,
    traces: np.ndarray,
    *,
    fs: float,
    kind: str = "zscore",
    title: str = "",
) -> Figure:
    """Draw the four panels.

    Parameters
    ----------
    first : array, shape (Ly, Lx)
        First raw frame of the movie, in the registered movie's coordinates (:func:`shifted`).
    mean : array, shape (Ly, Lx)
        Mean of the registered movie.
    masks : sequence of n (y, x, weight)
        See :func:`cluster_map`.
    cluster : array of int, shape (n,)
        From 1 and ascending.
    covariance : array, shape (n, n)
    traces : array, shape (n, T)
        z-scored activity.
    fs : float
        Frames of the plane in a second.
    kind : str
        What the covariance is of, one of `UNITS`.
    title : str
        Name of the recording.

    Returns
    -------
    matplotlib.figure.Figure
        Give it to :func:`render`.
    """
    with style.context(_STYLE):
        figure = Figure(figsize=(_PAGE[0] / 25.4, _PAGE[1] / 25.4))
        axes = {letter: _place(figure, *box) for letter, box in _PANELS.items()}
        colours = cluster_colours(int(cluster.max()))
        _draw_image(axes["A"], first, "first raw frame")
        axes["A"].set_ylabel("y (px)")
        _draw_covariance(axes["B"], covariance, cluster, colours, kind)
        _draw_map(axes["C"], mean, cluster_map(mean.shape, masks, cluster), colours)
        _draw_traces(axes["D"], traces, cluster, colours, fs)
        for letter, (x, y) in _LETTERS.items():
            figure.text(x / _PAGE[0], y / _PAGE[1], letter, fontsize=11, fontweight="bold", ha="right")
        figure.text(4.5 / _PAGE[0], (_PAGE[1] - 4.5) / _PAGE[1], title)
    return figure


def render(figure: Figure, form: str) -> bytes:
    """Render a figure to ``png`` (300 dots an inch) or ``pdf``; the same data gives the same bytes."""
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None, "Creator": None}}
    stream = io.BytesIO()
    logging.getLogger("fontTools.subset").setLevel(logging.WARNING)  # it tells every letter that it embeds
    with style.context(_STYLE):
        figure.savefig(stream, format=form, dpi=_DPI, metadata=metadata[form])
    return stream.getvalue()


def _place(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes at a place in millimetres."""
    return figure.add_axes((left / _PAGE[0], bottom / _PAGE[1], width / _PAGE[0], height / _PAGE[1]))


def _draw_image(axis: Axes, image: np.ndarray, title: str) -> None:
    low, high = np.nanpercentile(image, (1, 99.7))
    axis.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-12))
    axis.set_facecolor("black")
    axis.set_anchor("N")
    axis.set_title(title)
    axis.set_xlabel("x (px)")


def _draw_map(axis: Axes, mean: np.ndarray, painted: np.ndarray, colours: ListedColormap) -> None:
    _draw_image(axis, mean, "ROIs over the mean image")
    axis.set_yticklabels([])  # as those of the first panel
    masked = np.ma.masked_equal(painted, 0)
    axis.imshow(masked, cmap=colours, vmin=0.5, vmax=colours.N + 0.5, interpolation="nearest")


def _draw_covariance(
    axis: Axes, covariance: np.ndarray, cluster: np.ndarray, colours: ListedColormap, kind: str
) -> None:
    others = np.abs(covariance[~np.eye(len(covariance), dtype=bool)])
    limit = np.percentile(others, 99) if others.size else 0.0
    limit = limit or np.abs(covariance).max() or 1.0
    image = axis.imshow(covariance, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit)
    left, bottom, width, height = _PANELS["B"]
    _draw_bar(axis.figure, (left - _BAR_GAP - _BAR, bottom, _BAR, height), cluster[:, np.newaxis], colours)
    _draw_bar(axis.figure, (left, bottom + height + _BAR_GAP, width, _BAR), cluster[np.newaxis], colours)
    for edge in np.flatnonzero(np.diff(cluster)) + 0.5:
        axis.axhline(edge, color="black", linewidth=0.5)
        axis.axvline(edge, color="black", linewidth=0.5)
    axis.set_title("covariance matrix", pad=12)
    axis.set_xlabel("ROI, sorted by cluster")
    axis.set_yticks([])
    _add_scale(axis, image, _PANELS["B"], f"covariance {UNITS[kind]}")


def _draw_traces(axis: Axes, traces: np.ndarray, cluster: np.ndarray, colours: ListedColormap, fs: float) -> None:
    values, n = _averaged(traces), len(traces)
    high = np.percentile(values, 99.5)
    extent = (0, traces.shape[1] / fs, n - 0.5, -0.5)
    # What is below the mean is noise, and white.
    image = axis.imshow(values, aspect="auto", cmap="gray_r", vmin=0, vmax=high if high > 0 else 1, extent=extent)
    left, bottom, _, height = _PANELS["D"]
    _draw_bar(axis.figure, (left - _BAR_GAP - _BAR, bottom, _BAR, height), cluster[:, np.newaxis], colours)
    sizes = np.bincount(cluster)[1:]
    middles = height * (1 - (np.cumsum(sizes) - sizes / 2) / n)
    for number, size, middle in zip(range(1, len(sizes) + 1), sizes, _spread(middles, _LINE, height), strict=True):
        place = ((left - 2 * _BAR_GAP - _BAR) / _PAGE[0], (bottom + middle) / _PAGE[1])
        axis.figure.text(*place, f"{number} ({size})", fontsize=7, ha="right", va="center")
    for edge in np.flatnonzero(np.diff(cluster)) + 0.5:
        axis.axhline(edge, color="black", linewidth=0.5)
    place = (2.5 / _PAGE[0], (bottom + height / 2) / _PAGE[1])
    axis.figure.text(*place, "cluster (ROIs)", rotation="vertical", ha="center", va="center")
    axis.set_title("activity of the ROIs")
    axis.set_xlabel("time (s)")
    axis.set_yticks([])
    _add_scale(axis, image, _PANELS["D"], "z-score")


def _draw_bar(figure: Figure, box: tuple[float, ...], strip: np.ndarray, colours: ListedColormap) -> None:
    """Show which rows, or columns, are of which cluster."""
    bar = _place(figure, *box)
    bar.imshow(strip, aspect="auto", cmap=colours, vmin=0.5, vmax=colours.N + 0.5, interpolation="nearest")
    bar.set_axis_off()


def _add_scale(axis: Axes, image: AxesImage, box: tuple[float, ...], label: str) -> None:
    left, bottom, width, height = box
    scale = _place(axis.figure, left + width + 1.5, bottom, 2, height)
    axis.figure.colorbar(image, cax=scale, extend="both", extendfrac=0.03).set_label(label, labelpad=2)


def _spread(places: np.ndarray, least: float, end: float) -> np.ndarray:
    """Move descending places apart to at least `least`, within 0 to `end` if there is room.

    Examples
    --------
    >>> _spread(np.array([9.0, 2.0, 1.0]), 3.0, 10.0).tolist()
    [9.0, 3.0, 0.0]
    """
    moved = np.minimum(places, end)
    for i in range(1, len(moved)):
        moved[i] = min(moved[i], moved[i - 1] - least)
    moved[-1] = max(moved[-1], 0)
    for i in range(len(moved) - 2, -1, -1):
        moved[i] = max(moved[i], moved[i + 1] + least)
    return moved


def _averaged(traces: np.ndarray) -> np.ndarray:
    """Average neighbouring frames, so that no more than `MAX_COLUMNS` are left."""
    starts = np.linspace(0, traces.shape[1], min(MAX_COLUMNS, traces.shape[1]), endpoint=False).astype(int)
    return np.add.reduceat(traces, starts, axis=1) / np.diff(starts, append=traces.shape[1])
