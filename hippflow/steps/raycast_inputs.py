"""What the ray casting reads: scene, trials and frames, and the eye samples chunk by chunk."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hippflow.behaviour.camera import ROUNDING, Timeline, pose_table
from hippflow.behaviour.scene import Scene, load_scene
from hippflow.errors import AlignmentError, FormatError, MarkerError
from hippflow.io.products import decode, open_hickle, read_product, value_node

#: Samples that are read, cast and written at once.
SAMPLES = 1 << 15

#: Frames of markers that are further than this from Ripple's markers, s, are not on its clock.
CLOCK_TOLERANCE = 0.1


@dataclass(frozen=True)
class Session:
    """Trials and frames on Ripple's clock; `codes` (3 T,), `off` (T,) for trials without time, `poses` (4, F)."""

    timeline: Timeline
    codes: np.ndarray
    off: np.ndarray
    poses: np.ndarray
    heading: np.ndarray


@dataclass(frozen=True)
class Samples:
    """N eye samples from the first trial to the last: pixels (2, N), all else (N,); `off` if their trial is."""

    times: np.ndarray
    pixels: np.ndarray
    rows: np.ndarray
    shown: np.ndarray
    off: np.ndarray
    flags: np.ndarray


def read_scene(path: str | Path) -> Scene:
    """Read a maze from its file."""
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


def read_session(unity: str | Path, rplparallel: str | Path) -> Session:
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
    return Session(timeline, codes.ravel(), off, pose_table(data[:, 2], data[:, 3], heading), heading)


@contextmanager
def open_eyes(path: str | Path, codes: np.ndarray) -> Iterator[tuple[h5py.Dataset, h5py.Dataset]]:
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


def read_samples(
    times: h5py.Dataset, pixels: h5py.Dataset, session: Session, counts: dict[str, Any], source: str
) -> Iterator[tuple[int, Samples | None]]:
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
        yield len(now), Samples(kept, gaze, rows, line.shown(kept), off, flags)
