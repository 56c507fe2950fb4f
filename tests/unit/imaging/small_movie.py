"""A small two-photon movie with known cells and motion, and a recording's folder to run the stages in."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.steps.registration import register_plane
from hippflow.steps.suite2p import find_cells

FS, TAU = 5.0, 1.2


@dataclass(frozen=True)
class SmallMovie:
    """Frames (n, height, width) of int16, cells' centres (k, 2) in pixels and shifts (n, 2) of every frame."""

    frames: np.ndarray
    centres: np.ndarray
    shifts: np.ndarray


def small_movie(n_frames: int = 300, size: tuple[int, int] = (96, 96), n_cells: int = 12, seed: int = 0) -> SmallMovie:
    """Round cells with calcium transients on an uneven background, whole-frame motion, photon noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    centres: list[np.ndarray] = []
    while len(centres) < n_cells:
        centre = rng.uniform(14, np.array(size) - 14)
        if all(np.hypot(*(centre - other)) > 11 for other in centres):
            centres.append(centre)
    events = rng.poisson(0.05, (n_cells, n_frames)).astype(float)
    decay = np.exp(-np.arange(60) / (FS * TAU))
    traces = np.array([np.convolve(train, decay)[:n_frames] for train in events])
    masks = np.array([1 / (1 + np.exp(2 * (np.hypot(rows - y, columns - x) - 3.5))) for y, x in centres])
    still = 200 + 40 * np.sin(columns / 9) * np.cos(rows / 13) + 60 * masks.sum(axis=0)
    clean = still + 150 * np.einsum("nt,nyx->tyx", traces, masks)
    shifts = rng.integers(-2, 3, (n_frames, 2))
    moved = np.array([np.roll(frame, shift, (0, 1)) for frame, shift in zip(clean, shifts, strict=True)])
    return SmallMovie(rng.poisson(moved).astype(np.int16), np.array(centres), shifts)


class Recording:
    """The folder of a recording with one plane, and the two stages on it."""

    def __init__(self, folder: Path, frames: np.ndarray):
        self.folder = folder
        self.plane = folder / "suite2p" / "plane0"
        self.movie, self.report = folder / "movie" / "plane0.bin", folder / "movie" / "movie.json"
        self.data, self.registration = self.plane / "data.bin", self.plane / "reg_outputs.npy"
        self.movie.parent.mkdir(parents=True)
        self.plane.mkdir(parents=True)
        self.write_movie(frames)

    def write_movie(self, frames: np.ndarray) -> None:
        frames.astype("<i2").tofile(self.movie)
        n_frames, height, width = frames.shape
        self.report.write_text(json.dumps({"n_frames": n_frames, "height": height, "width": width, "planes": 1}))

    def register(self, **settings: Any) -> None:
        register_plane(self.movie, self.report, self.data, self.registration, settings=settings)

    def find_cells(self, **settings: Any) -> None:
        settings = {"fs": FS, "tau": TAU} | settings
        find_cells(self.data, self.registration, self.report, self.plane, settings=settings)

    def run(self, **settings: Any) -> None:
        self.register(**settings)
        self.find_cells(**settings)

    def load(self, name: str) -> Any:
        """An array, or the dictionary in a file."""
        found = np.load(self.plane / f"{name}.npy", allow_pickle=True)
        return found.item() if found.ndim == 0 else found

    def products(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.plane.iterdir()}


def plain_run(folder: Path, frames: np.ndarray, settings: dict[str, Any], **database: Any) -> Path:
    """Run suite2p as its users do, on the same frames in its own binary file; return the plane's folder."""
    from hippflow.imaging.suite2p import suite2p

    plane = folder / "suite2p" / "plane0"
    plane.mkdir(parents=True)
    frames.astype("<i2").tofile(plane / "data_raw.bin")
    n_frames, height, width = frames.shape
    db = suite2p.default_db() | {
        "data_path": [str(folder)],
        "save_path0": str(folder),
        "save_path": str(plane),
        "fast_disk": str(plane),
        "db_path": str(plane / "db.npy"),
        "settings_path": str(plane / "settings.npy"),
        "reg_file": str(plane / "data.bin"),
        "raw_file": str(plane / "data_raw.bin"),
        "keep_movie_raw": True,
        "Ly": height,
        "Lx": width,
        "nframes": n_frames,
        "iplane": 0,
    }
    np.save(plane / "db.npy", db | database)
    np.save(plane / "settings.npy", settings)
    suite2p.run_s2p(db={"data_path": [str(folder)], "save_path0": str(folder)}, settings=settings)
    return plane


def plain_settings(**groups: Any) -> dict[str, Any]:
    """suite2p's defaults with some of them changed, by one level of groups, as its users write it."""
    from hippflow.imaging.suite2p import suite2p

    settings = suite2p.default_settings()
    settings |= {"fs": FS, "tau": TAU, "torch_device": "cpu"}
    settings["classification"]["use_builtin_classifier"] = True
    settings["registration"]["block_size"] = (64, 64)
    for name, group in groups.items():
        settings[name] = settings[name] | group if isinstance(group, dict) else group
    return settings
