"""suite2p: cells of a registered plane, their traces and deconvolved activity, in a folder that suite2p's GUI opens."""

import logging
from pathlib import Path
from typing import Any

from hippflow.imaging.settings import build_settings
from hippflow.io.npy import read_npy
from hippflow.steps.registration import MovieFile, read_report, save_array

log = logging.getLogger(__name__)

#: What this step imports when it starts to work, which takes longer than all else (hippflow.forks).
LATE_IMPORTS = ("hippflow.imaging.cells",)

#: What is written beside ``data.bin``, each with ``.npy``.
PRODUCTS = ("F", "Fneu", "spks", "stat", "iscell", "detect_outputs", "ops", "db", "settings")


def _describe_plane(data: Path, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Return suite2p's `db` of a plane that lies in ``<recording>/suite2p/planeN``."""
    from hippflow.imaging.suite2p import suite2p

    folder = data.parent
    n_frames, height, width = shape
    number = folder.name.removeprefix("plane")
    return suite2p.default_db() | {
        "data_path": [str(folder.parent.parent)],
        "save_path0": str(folder.parent.parent),
        "save_folder": folder.parent.name,
        "save_path": str(folder),
        "fast_disk": str(folder),
        "db_path": str(folder / "db.npy"),
        "settings_path": str(folder / "settings.npy"),
        "reg_file": str(data),
        "Ly": height,
        "Lx": width,
        "nframes": n_frames,
        "iplane": int(number) if number.isdigit() else 0,
    }


def find_cells(
    data: str | Path,
    registration: str | Path,
    report: str | Path,
    folder: str | Path,
    *,
    settings: dict[str, Any],
    threads: int = 1,
    memory_mb: float | None = None,
) -> None:
    """Find cells in a registered plane and write suite2p's files (:data:`PRODUCTS`).

    A plane without cells has all files, with no rows. Paths in ``ops.npy`` and ``db.npy`` are absolute; unlike
    suite2p's, no file holds times, so that the same input makes the same bytes.

    Parameters
    ----------
    data, registration : path
        What :func:`hippflow.steps.registration.register_plane` wrote; only read.
    report : path
        ``movie/movie.json``.
    folder : path
        Where the files go; the folder of `data`, for the GUI.
    settings : dict
        suite2p's blocks as in config.yaml.
    threads : int
    memory_mb : float, optional
        What detection may take; see :func:`hippflow.imaging.settings.build_settings`.

    Raises
    ------
    ConfigError
        Settings that are wrong or impossible for this movie, or no GPU where one is asked for.
    ImagingError
        Too little of the image left by registration.
    """
    from hippflow.imaging import cells as science
    from hippflow.imaging.suite2p import hear_warnings, open_device, tune

    shape = read_report(report, data)
    whole = build_settings(settings, height=shape[1], width=shape[2], n_frames=shape[0], memory_mb=memory_mb)
    device = open_device(whole["torch_device"])
    paths = {name: Path(folder) / f"{name}.npy" for name in PRODUCTS}
    for path in paths.values():
        path.unlink(missing_ok=True)
    tune(threads)
    reg_outputs = read_npy(registration, objects=True)
    science.check_crop(reg_outputs, str(registration))
    with MovieFile(data, shape) as frames, hear_warnings():
        found = science.find_cells(frames, reg_outputs, whole, device)
    db = _describe_plane(Path(data).resolve(), shape)
    values = vars(found) | {
        "db": db,
        "settings": whole,
        "ops": db | whole | reg_outputs | found.detect_outputs,
    }
    for name, path in paths.items():
        save_array(path, values[name])
    log.info("%s: %d regions, %d of them taken for cells", folder, len(found.stat), int(found.iscell[:, 0].sum()))
