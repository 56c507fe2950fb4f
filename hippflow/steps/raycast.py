"""raycast: which object of the maze the animal looks at, sample by sample, without a game engine.

Writes the two files that the lab's tools read from VirtualMaze's batch program,
``unityfile_eyelink.csv`` and ``binData.hdf``, and a report, ``raycast.json``.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hippflow.behaviour.bins import BinGrid
from hippflow.behaviour.camera import ROUNDING, Camera, Gaze, ScreenImage, Timeline, fan_offsets, pose_table
from hippflow.behaviour.scene import Scene, load_scene
from hippflow.errors import AlignmentError, ConfigError, FormatError, MarkerError
from hippflow.io.atomic import whole_file
from hippflow.io.products import decode, open_hickle, read_product, value_node
from hippflow.progress import Progress

log = logging.getLogger(__name__)

#: Samples that are read, cast and written at once, and rays of their fans: what bounds the memory.
SAMPLES, RAYS = 1 << 15, 1 << 17

#: The type of every row, and what stands for the object where there is none, as VirtualMaze writes them.
SAMPLE, IGNORED = "SAMPLE_TYPE", "Sample Ignored"

_ZERO = np.uint8(ord("0"))

#: Decimals of pixels and of all else in the table; zeros at the end are left out.
PIXEL_DECIMALS, DECIMALS = 3, 6

#: Frames of markers that are further than this from Ripple's markers, s, are not on its clock.
CLOCK_TOLERANCE = 0.1


@dataclass(frozen=True)
class _Session:
    """Trials and frames on Ripple's clock; `codes` (3 T,), `off` (T,) for trials without time, `poses` (4, F)."""

    timeline: Timeline
    codes: np.ndarray
    off: np.ndarray
    poses: np.ndarray
    heading: np.ndarray


@dataclass(frozen=True)
class _Samples:
    """N eye samples from the first trial to the last: pixels (2, N), all else (N,); `off` if their trial is."""

    times: np.ndarray
    pixels: np.ndarray
    rows: np.ndarray
    shown: np.ndarray
    off: np.ndarray
    flags: np.ndarray


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
    maze = _read_scene(scene)
    camera = Camera(tuple(screen), vertical_fov, pitch, eye_height, near, image_distance)
    gaze = Gaze(maze, camera, cue and ScreenImage(*cue), hint and ScreenImage(*hint))
    session = _read_session(unity, rplparallel)
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
        _open_eyes(eyelink, session.codes) as (times, pixels),
        whole_file(report) as report_part,
        whole_file(binned) as binned_part,
        whole_file(csv) as csv_part,
    ):
        progress = Progress(len(times), "raycast", "samples")
        with csv_part.open("wb") as table, h5py.File(binned_part, "w") as hdf:
            rows = hdf.create_dataset("data", (0, 2), "f8", chunks=(1000, 2), maxshape=(None, 2))
            for n_read, samples in _read_samples(times, pixels, session, counts, source=str(eyelink)):
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


def _read_scene(path: str | Path) -> Scene:
    try:
        data = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise FormatError(f"{path}: expected a scene file, found none; set raycast.scene to one") from None
    except ValueError as error:
        raise FormatError(f"{path}: expected a scene in JSON, found {error}; correct the scene file") from error
    return load_scene(data, str(path))


def _check_clock(path: str | Path, clock: Any) -> None:
    if clock != "ripple":
        raise AlignmentError(
            f"{path}: expected an aligned product (clock: ripple), found clock: {clock!r}; "
            "give the one that the rule aligned makes"
        )


def _read_session(unity: str | Path, rplparallel: str | Path) -> _Session:
    """Read what has the length of the maze log: frames, poses and trials."""
    ripple, fields = read_product(rplparallel), read_product(unity)
    _check_clock(unity, fields.get("clock"))
    codes, markers = np.asarray(ripple["markers"]), np.asarray(ripple["timeStamps"], np.float64)
    if codes.ndim != 2 or codes.shape[1:] != (3,) or not len(codes):
        raise MarkerError(
            f"{rplparallel}: expected trials of three markers, found markers of shape {codes.shape}; "
            "gaze can only be cast for navigation sessions with trials"
        )
    missing = [name for name in ("unityData", "unityTime", "unityTriggers") if not fields.get(name)]
    if missing:
        raise FormatError(f"{unity}: expected the fields of a maze log, found no {', '.join(missing)}; make it anew")
    data, times, rows = (np.asarray(fields[name][0]) for name in ("unityData", "unityTime", "unityTriggers"))
    frames = times[1:]  # row r was drawn at unityTime[r + 1]
    if rows.shape != codes.shape or len(frames) != len(data) or rows.max() >= len(data) or rows.min() < 0:
        raise AlignmentError(
            f"{unity}: expected {len(codes)} trials as in {rplparallel} and a time for each of {len(data)} rows, found "
            f"triggers of shape {rows.shape} and {len(frames)} times; make unity and aligned anew"
        )
    off = frames[rows[:, 2]] <= frames[rows[:, 0]]
    apart = np.abs(frames[rows] - markers)[~off]
    if apart.size and np.median(apart) > CLOCK_TOLERANCE:
        raise AlignmentError(
            f"{unity}: expected its markers at Ripple's, found them {np.median(apart):.3g} s apart; "
            f"make aligned anew from {rplparallel}"
        )
    heading = np.mod(data[:, 4], 360)
    timeline = Timeline(markers.ravel(), frames, rows.ravel().astype(np.int64))
    return _Session(timeline, codes.ravel(), off, pose_table(data[:, 2], data[:, 3], heading), heading)


@contextmanager
def _open_eyes(path: str | Path, codes: np.ndarray) -> Iterator[tuple[h5py.Dataset, h5py.Dataset]]:
    """Give times (s) and gaze (px) of an eye product, to be read by slices."""
    with open_hickle(path) as file:
        nodes = {name.strip("'\""): value_node(node) for name, node in file["data"].items()}
        missing = [name for name in ("timestamps", "eye_pos", "trial_codes") if name not in nodes]
        if missing:
            raise FormatError(f"{path}: expected the fields of eye data, found no {', '.join(missing)}; make it anew")
        _check_clock(path, decode(file, nodes["clock"]) if "clock" in nodes else None)
        times, pixels = nodes["timestamps"], nodes["eye_pos"]
        shapes = [node.shape if isinstance(node, h5py.Dataset) else None for node in (times, pixels)]
        if not shapes[0] or shapes[1] != (*shapes[0], 2):
            raise FormatError(f"{path}: expected arrays timestamps (n,) and eye_pos (n, 2), found others; make it anew")
        if not np.array_equal(np.ravel(decode(file, nodes["trial_codes"])), codes):
            raise AlignmentError(
                f"{path}: expected the trial codes of Ripple's markers, found others; make eyelink and aligned anew"
            )
        yield times, pixels


def _read_samples(
    times: h5py.Dataset, pixels: h5py.Dataset, session: _Session, counts: dict[str, Any], source: str
) -> Iterator[tuple[int, _Samples | None]]:
    """Yield how many samples were read, and those of them from the first trial to the last."""
    line = session.timeline
    if not len(times) or times[0] > line.markers[-1] + ROUNDING or times[-1] < line.markers[0] - ROUNDING:
        raise AlignmentError(
            f"{source}: expected samples from the first trial at {line.markers[0]:.3f} s to the last, found none in "
            f"{len(times)} samples; give the eye data of this session"
        )
    due = line.markers - ROUNDING
    previous = -np.inf
    for start in range(0, len(times), SAMPLES):
        around = times[start : start + SAMPLES + 1]  # one more tells whether the last is the last of its frame
        now, ahead = around[:SAMPLES], around[1:]
        if not (np.diff(around) > 0).all() or not now[0] > previous:
            raise FormatError(f"{source}: expected times that increase, found others near {now[0]:.3f} s; make it anew")
        first = int(np.searchsorted(now, due[0]))
        # The last sample is the one that the last marker belongs to.
        stop = min(len(now), int(np.searchsorted(now, due[-1])) + 1) if previous < due[-1] else 0
        marked = np.flatnonzero((due > previous) & (due <= now[-1]))
        previous = now[-1]
        counts["before"] += first
        counts["after"] += len(now) - max(first, stop)
        if stop <= first:
            yield len(now), None
            continue
        kept = now[first:stop]
        rows = line.frame_rows(kept)
        following = line.frame_rows(ahead[first:stop]) if len(ahead) >= stop else np.append(rows[1:], -1)
        is_last = rows != following
        is_last[-1] |= due[-1] <= kept[-1]
        codes: dict[int, bytes] = {}
        for marker, index in zip(marked.tolist(), (np.searchsorted(now, due[marked]) - first).tolist(), strict=True):
            codes[index] = codes.get(index, b"") + str(session.codes[marker])[-2:].encode()
        flags = np.where(is_last, b"F", b"").astype(f"S{1 + max(map(len, codes.values()), default=0)}")
        for index, code in codes.items():
            flags[index] += code
        trial = line.trials(kept)
        off = (trial >= 0) & session.off[trial]
        gaze = pixels[start + first : start + stop].T.astype(np.float64)
        yield len(now), _Samples(kept, gaze, rows, line.shown(kept), off, flags)


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
    session: _Session
    subject_height: float
    counts: dict[str, Any]

    def look(self, samples: _Samples) -> _Targets:
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

    def bin_rows(self, samples: _Samples, found: _Targets) -> Iterator[np.ndarray]:
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

    def text(self, samples: _Samples, found: _Targets) -> bytes:
        """Return the rows of the table."""
        n, poses = len(samples.times), self.session.poses[:, samples.rows]
        hit = np.flatnonzero(found.objects >= 0)
        positions, offsets = np.full((3, n), np.nan), np.full((2, n), np.nan)
        positions[:, hit], offsets[:, hit] = self.gaze.placement(
            found.objects[hit], found.points[:, hit], samples.pixels[:, hit], poses[:, hit]
        )
        names = np.array([*self.gaze.names, IGNORED], "S")  # which -1, no object, is the last of
        fields = [
            _letters(np.full(n, SAMPLE.encode())),
            _digits(_milliseconds(samples.times), 0),
            _letters(names[found.objects]),
            *(_digits(values, PIXEL_DECIMALS, missing=b"NaN") for values in samples.pixels),
            _digits(poses[0], DECIMALS),
            _digits(np.full(n, self.subject_height), DECIMALS),
            _digits(poses[1], DECIMALS),
            _digits(self.session.heading[samples.rows], DECIMALS),
            *(_digits(values, DECIMALS) for values in (*found.points, *positions, *offsets)),
            _letters(samples.flags),
        ]
        comma, newline = (np.full((n, 1), ord(character), np.uint8) for character in ",\n")
        columns = [column for field in fields for column in (field, comma)]
        return np.concatenate([*columns[:-1], newline], axis=1).tobytes().translate(None, b"\0")


def _milliseconds(times: np.ndarray) -> np.ndarray:
    return np.rint(times * 1000)


def _letters(text: np.ndarray) -> np.ndarray:
    """Return byte strings as a matrix of characters, with zeros where they are shorter."""
    return np.ascontiguousarray(text).view(np.uint8).reshape(len(text), -1)


def _digits(values: np.ndarray, decimals: int, missing: bytes = b"") -> np.ndarray:
    """Write numbers as a matrix of characters, with zeros for what is to be left out.

    All rows at once, digit by digit: an hour has 50 million numbers, too many for Python's own formatting.
    """
    absent = ~np.isfinite(values)
    scaled = np.rint(np.where(absent, 0.0, values) * 10.0**decimals).astype(np.int64)
    rest = np.abs(scaled)
    largest = int(rest.max(initial=0))
    n_whole = len(str(largest // 10**decimals))
    rest = rest.astype(np.uint32 if largest < 2**32 else np.uint64)  # half the width divides in a quarter of the time
    # From top to bottom: sign, whole digits, point, decimals.
    out = np.zeros((1 + n_whole + (1 + decimals if decimals else 0), len(values)), np.uint8)
    shown = np.zeros(len(values), bool)
    for place in range(len(out) - 1, len(out) - 1 - decimals, -1):
        rest, digit = _last_digit(rest)
        shown |= digit != _ZERO  # zeros at the end are not
        np.multiply(digit, shown, out=out[place])
    if decimals:
        out[1 + n_whole] = shown * np.uint8(ord("."))
    for place in range(n_whole, 0, -1):
        shown = (rest != 0) | (place == n_whole)  # zeros at the beginning are not
        rest, digit = _last_digit(rest)
        np.multiply(digit, shown, out=out[place])
    out[0] = (scaled < 0) * np.uint8(ord("-"))
    out[:, absent] = 0
    out[: len(missing), absent] = np.frombuffer(missing, np.uint8)[:, np.newaxis]
    return out.T


def _last_digit(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a tenth of the numbers, and their last digits as characters."""
    tenth = numbers // numbers.dtype.type(10)
    return tenth, (numbers - tenth * numbers.dtype.type(10)).astype(np.uint8) + _ZERO


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
