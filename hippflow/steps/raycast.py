"""raycast: which object of the maze the animal looks at, sample by sample, without a game engine.

Writes the two files that the lab's tools read from VirtualMaze's batch program,
``unityfile_eyelink.csv`` and ``binData.hdf``, and a report, ``raycast.json``.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hippflow.behaviour.bins import BinGrid
from hippflow.behaviour.camera import Camera, Gaze, ScreenImage, fan_offsets
from hippflow.behaviour.scene import Scene
from hippflow.errors import ConfigError
from hippflow.io.atomic import whole_file
from hippflow.io.text_table import digits, join_columns, letters
from hippflow.progress import Progress
from hippflow.steps.raycast_inputs import Samples, Session, open_eyes, read_samples, read_scene, read_session

log = logging.getLogger(__name__)

#: Rays of fans that are cast at once: what bounds the memory, with the samples that are read at once.
RAYS = 1 << 17

#: The type of every row, and what stands for the object where there is none, as VirtualMaze writes them.
SAMPLE, IGNORED = "SAMPLE_TYPE", "Sample Ignored"

#: Decimals of pixels and of all else in the table; zeros at the end are left out.
PIXEL_DECIMALS, DECIMALS = 3, 6


def make_raycast(
    unity: str | Path,
    eyelink: str | Path,
    rplparallel: str | Path,
    scene: str | Path,
    csv: str | Path,
    binned: str | Path,
    report: str | Path,
    *,
    radius: float = 0,
    density: float = 220,
    bins_per_side: int = 40,
    screen: tuple[float, float] = (1920, 1080),
    vertical_fov: float = 60,
    pitch: float = 12,
    eye_height: float = 1.85,
    subject_height: float = 0.5,
    near: float = 0.3,
    image_distance: float = 0.5,
    cue: tuple[float, float, float, float] | None = (586, 353, 1334, 727),
    hint: tuple[float, float, float, float] | None = (773, 0, 1147, 187),
) -> None:
    """Cast the gaze of every eye sample of a session into the maze.

    Samples from the start of the first trial to the end of the last are written, also those between trials.
    On purpose other than in VirtualMaze's batch program: clocks are not corrected a second time; the code of a
    marker stands at the first sample at or after it, not one or two rows off; no sample is written twice; the
    first row of the log counts; samples of trials that the alignment gave no time are ignored.

    Parameters
    ----------
    unity, eyelink : path
        Aligned products.
    rplparallel : path
        Trial markers of the same session.
    scene : path
        Scene file, see :mod:`hippflow.behaviour.scene`.
    csv, binned, report : path
        ``unityfile_eyelink.csv``, ``binData.hdf`` and ``raycast.json``.
    radius, density : float
        Fan of rays around the gaze whose bins are listed: px, and rays per 100 x 100 px. Radius 0 is a single ray.
    bins_per_side : int
        See :class:`hippflow.behaviour.bins.BinGrid`.
    screen, vertical_fov, pitch, eye_height, near, image_distance
        See :class:`hippflow.behaviour.camera.Camera`.
    subject_height : float
        The animal's y in the table, maze units.
    cue, hint : four floats or None
        Left, top, right and bottom edge of the two images on the screen, px; None where none is shown.

    Raises
    ------
    AlignmentError
        An input that is not on Ripple's clock, or not of this session.
    MarkerError
        The session has no trials.
    FormatError
        An input that is not what it should be.
    ConfigError
        A parameter that cannot be right.
    """
    parameters = {
        "radius": radius, "density": density, "bins_per_side": bins_per_side, "screen": list(screen),
        "vertical_fov": vertical_fov, "pitch": pitch, "eye_height": eye_height, "subject_height": subject_height,
        "near": near, "image_distance": image_distance, "cue": cue and list(cue), "hint": hint and list(hint),
    }  # fmt: skip
    _check_parameters(parameters)
    maze = read_scene(scene)
    camera = Camera(tuple(screen), vertical_fov, pitch, eye_height, near, image_distance)
    gaze = Gaze(maze, camera, cue and ScreenImage(*cue), hint and ScreenImage(*hint))
    session = read_session(unity, rplparallel)
    counts = dict.fromkeys(("before", "after", "no gaze", "off screen", "trial off", "nothing hit"), 0)
    counts["objects"] = np.zeros(len(gaze.names), np.int64)
    cast = _Cast(
        maze,
        camera,
        gaze,
        BinGrid(maze.grid, bins_per_side),
        fan_offsets(radius, density),
        session,
        subject_height,
        counts,
    )
    with (
        open_eyes(eyelink, session.codes) as (times, pixels),
        whole_file(report) as report_part,
        whole_file(binned) as binned_part,
        whole_file(csv) as csv_part,
    ):
        progress = Progress(len(times), "raycast", "samples")
        with csv_part.open("wb") as table, h5py.File(binned_part, "w") as hdf:
            rows = hdf.create_dataset("data", (0, 2), "f8", chunks=(1000, 2), maxshape=(None, 2))
            for n_read, samples in read_samples(times, pixels, session, counts, source=str(eyelink)):
                if samples is not None:
                    found = cast.look(samples)
                    table.write(cast.text(samples, found))
                    for some in cast.bin_rows(samples, found):
                        rows.resize(len(rows) + len(some), axis=0)
                        rows[len(rows) - len(some) :] = some
                progress.update(n_read)
            n_bin_rows = len(rows)
        content = _report(cast, len(times), n_bin_rows, parameters)
        report_part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    ignored = ", ".join(f"{count} {why}" for why, count in content["ignored"].items())
    log.info("%s: %d samples in trials, of which ignored: %s", csv, content["written"], ignored)


def _check_parameters(parameters: dict[str, Any]) -> None:
    """Check the parameters that would not fail by themselves."""
    width, height = parameters["screen"]
    for name, value, good, expected in (
        ("radius", parameters["radius"], parameters["radius"] >= 0, "0 or more pixels"),
        ("density", parameters["density"], parameters["density"] > 0, "a positive number of rays"),
        ("screen", parameters["screen"], width > 0 and height > 0, "width and height in pixels"),
        ("vertical_fov", parameters["vertical_fov"], 0 < parameters["vertical_fov"] < 180, "between 0 and 180 degrees"),
    ):
        if not good:
            raise ConfigError(f"raycast.{name}: expected {expected}, found {value!r}; correct the configuration")
    for name in ("cue", "hint"):
        edges = parameters[name]
        if edges is not None and not (len(edges) == 4 and edges[0] < edges[2] and edges[1] < edges[3]):
            raise ConfigError(
                f"raycast.{name}: expected left, top, right and bottom edge in pixels, found {edges!r}; "
                "correct the configuration, or give null where no image is shown"
            )


@dataclass(frozen=True)
class _Targets:
    """What N samples look at: `aimed` are those on the screen; for others `objects` are -1, `points` (3, N) NaN."""

    aimed: np.ndarray
    objects: np.ndarray
    points: np.ndarray


@dataclass
class _Cast:
    """The casting of one session, chunk by chunk, with its counts."""

    maze: Scene
    camera: Camera
    gaze: Gaze
    bins: BinGrid
    fan: np.ndarray
    session: Session
    subject_height: float
    counts: dict[str, Any]

    def look(self, samples: Samples) -> _Targets:
        """Find what every sample looks at, and count."""
        n, counts = len(samples.times), self.counts
        # Gaze beyond an edge of the screen is NaN on that axis already; a closed eye is NaN on both.
        there, on_screen = np.isfinite(samples.pixels).any(0), self.camera.on_screen(samples.pixels)
        aimed = np.flatnonzero(on_screen & ~samples.off)
        found = _Targets(aimed, np.full(n, -1, np.int16), np.full((3, n), np.nan))
        found.objects[aimed], found.points[:, aimed] = self.gaze.targets(
            samples.pixels[:, aimed], self.session.poses[:, samples.rows[aimed]], samples.shown[aimed]
        )
        counts["trial off"] += int(samples.off.sum())
        counts["no gaze"] += int((~there & ~samples.off).sum())
        counts["off screen"] += int((there & ~on_screen & ~samples.off).sum())
        counts["nothing hit"] += int((found.objects[aimed] < 0).sum())
        counts["objects"] += np.bincount(found.objects[found.objects >= 0], minlength=len(self.gaze.names))
        return found

    def bin_rows(self, samples: Samples, found: _Targets) -> Iterator[np.ndarray]:
        """Yield time (ms) and bin for every bin that a sample's fan meets, once for each sample."""
        n_rays = self.fan.shape[1]
        at_once = max(1, RAYS // n_rays)
        for start in range(0, len(found.aimed), at_once):
            part = found.aimed[start : start + at_once]
            if n_rays == 1:
                objects, points = found.objects[part], found.points[:, part]
            else:
                pixels = (samples.pixels[:, part, np.newaxis] + self.fan[:, np.newaxis]).reshape(2, -1)
                poses = self.session.poses[:, samples.rows[part]].repeat(n_rays, axis=1)
                objects, points = self.gaze.targets(pixels, poses, samples.shown[part].repeat(n_rays))
            numbers = np.where(objects < 0, 0, self.bins.numbers(self.maze.surface[objects], points))
            numbers = np.sort(numbers.reshape(len(part), n_rays), axis=1)
            new = numbers > 0
            new[:, 1:] &= numbers[:, 1:] != numbers[:, :-1]
            yield np.column_stack([_milliseconds(samples.times[part]).repeat(new.sum(1)), numbers[new]])

    def text(self, samples: Samples, found: _Targets) -> bytes:
        """Return the rows of the table."""
        n, poses = len(samples.times), self.session.poses[:, samples.rows]
        hit = np.flatnonzero(found.objects >= 0)
        positions, offsets = np.full((3, n), np.nan), np.full((2, n), np.nan)
        positions[:, hit], offsets[:, hit] = self.gaze.placement(
            found.objects[hit], found.points[:, hit], samples.pixels[:, hit], poses[:, hit]
        )
        names = np.array([*self.gaze.names, IGNORED], "S")  # which -1, no object, is the last of
        fields = [
            letters(np.full(n, SAMPLE.encode())),
            digits(_milliseconds(samples.times), 0),
            letters(names[found.objects]),
            *(digits(values, PIXEL_DECIMALS, missing=b"NaN") for values in samples.pixels),
            digits(poses[0], DECIMALS),
            digits(np.full(n, self.subject_height), DECIMALS),
            digits(poses[1], DECIMALS),
            digits(self.session.heading[samples.rows], DECIMALS),
            *(digits(values, DECIMALS) for values in (*found.points, *positions, *offsets)),
            letters(samples.flags),
        ]
        return join_columns(fields)


def _milliseconds(times: np.ndarray) -> np.ndarray:
    return np.rint(times * 1000)


def _report(cast: _Cast, n_samples: int, n_bin_rows: int, parameters: dict[str, Any]) -> dict[str, Any]:
    counts = cast.counts
    objects = dict(zip(cast.gaze.names, counts["objects"].tolist(), strict=True))
    ignored = {why: counts[why] for why in ("no gaze", "off screen", "trial off", "nothing hit")}
    return {
        "scene": cast.maze.name,
        "trials": len(cast.session.off),
        "trials_off": np.flatnonzero(cast.session.off).tolist(),
        "samples": n_samples,
        "before_first_trial": counts["before"],
        "after_last_trial": counts["after"],
        "written": sum(objects.values()) + sum(ignored.values()),
        "ignored": {why.replace(" ", "_"): count for why, count in ignored.items()},
        "objects": objects,
        "bin_rows": n_bin_rows,
        "n_bins": cast.bins.n_bins,
        "rays_per_sample": cast.fan.shape[1],
        "parameters": parameters,
    }
