"""Eye position, fixations, saccades, and what the animal looked at."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBFile, TimeSeries
from pynwb.behavior import EyeTracking, SpatialSeries

from hippflow.behaviour.clocks import ClockMap
from hippflow.errors import AlignmentError, FormatError
from hippflow.io.products import read_product
from hippflow.nwb.behaviour import add_spatial, behaviour_module, intervals, same_timing
from hippflow.nwb.contents import Part
from hippflow.nwb.streams import ArrayField, streamed, timing

log = logging.getLogger(__name__)

#: Codes of the fixation task, by their column among a trial's markers.
_FIXATION = {128: 0, 6: 1, 7: 1, 32: 2}

#: A trial marker of the fixation session that the others put elsewhere by more is no marker of this session, s.
_MOST_OFF = 0.05

#: Columns of unityfile_eyelink.csv: time in ms, object, the point that was hit.
_TIME, _OBJECT, _HIT = 1, 2, [9, 10, 11]

#: What the table calls the object of a sample that hits none.
NOTHING = "Sample Ignored"

#: Times in the table are rounded to whole ms: so far they may be from the sample's own, ms.
_ROUNDED = 0.501


class Eyes:
    """The eye data of a session on its Ripple clock.

    Attributes
    ----------
    place, times : ArrayField
        Gaze in px, and when on the tracker's clock (`to_session` brings them to Ripple's).
    fixations : ndarray of float64, shape (K, 2)
        Start and end, s.
    saccades : ndarray of float64, shape (M,)
        Durations, s.
    """

    def __init__(self, part: Part):
        path = part.files["eyelink"]
        self.fixation = not ArrayField(path, "eye_pos").shape[0]
        self.place = ArrayField(path, "calib_eye_pos" if self.fixation else "eye_pos")
        self.times = ArrayField(path, "timestamps")
        if len(self.times) != len(self.place):
            raise FormatError(
                f"{path}: expected a time for each of {len(self.place)} samples, found {len(self.times)}; make it anew"
            )
        self.to_session = _fixation_clock(part) if self.fixation else np.asarray
        kind = "calib_" if self.fixation else ""
        fixations = _rows(path, f"{kind}fix_times", 3)[:, :2]
        self.fixations = self.to_session(fixations) if self.to_session else fixations
        self.saccades = _rows(path, f"{kind}sacc_event", 1)[:, 0] / 1000

    @property
    def known(self) -> bool:
        """Whether it is known when samples were taken."""
        return self.to_session is not None

    @property
    def seconds(self) -> float:
        """When they end on the session's clock, s; 0 where that is not known."""
        ends = [0.0]
        if self.known:
            ends += self.read_times(max(0, len(self.times) - 1), len(self.times)).tolist()
            ends += self.fixations[-1:, 1].tolist()
        return float(np.nanmax(ends))

    def read_times(self, start: int, stop: int) -> np.ndarray:
        """Return when samples start to stop (exclusive) were taken, s on the session's clock."""
        return self.to_session(self.times(start, stop))


def _rows(path: Any, name: str, n_columns: int) -> np.ndarray:
    array = ArrayField(path, name)
    return np.asarray(array(0, len(array)), np.float64).reshape(-1, n_columns)


def _fixation_clock(part: Part) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return what maps the tracker's times of a fixation session to Ripple's, by the trials' markers."""
    path = part.files["eyelink"]
    device = _rows(path, "trial_times", 3)
    repaired = _rows(path, "trial_repaired", 3) != 0
    reference = _fixation_markers(part)
    if reference is None or reference.shape != device.shape:
        found = "none" if reference is None else f"{len(reference)}"
        log.warning("%s: its eye data are left out: %d trials, %s of them in Ripple's", path, len(device), found)
        return None
    usable = np.isfinite(device) & np.isfinite(reference) & ~repaired
    try:
        clock = ClockMap(device[usable], reference[usable])
        if clock.outliers(_MOST_OFF).size:
            raise AlignmentError(f"markers {_MOST_OFF} s and more from where the others put them")
    except AlignmentError as error:
        log.warning("%s: its eye data are left out: the tracker's clock cannot be mapped (%s)", path, error)
        return None
    return clock.to_reference


def _fixation_markers(part: Part) -> np.ndarray | None:
    """Return Ripple's times of start, reward or failure, and end of every fixation trial; NaN where there is none."""
    if "markers" not in part.files:
        return None
    fields = read_product(part.files["markers"])
    times = np.asarray(fields["timeStamps"], np.float64)
    if times.ndim == 2:
        return times if times.shape[1] == 3 else None
    rows: list[list[float]] = []
    for code, time in zip(np.asarray(fields["markers"]).tolist(), times.tolist(), strict=True):
        column = _FIXATION.get(code)
        if column == 0:
            rows.append([np.nan] * 3)
        if column is None or not rows:
            return None
        rows[-1][column] = time
    return np.reshape(rows, (-1, 3))


def add_eyes(file: NWBFile, part: Part, eyes: Eyes, offset: float) -> None:
    """Add where on the screen the animal looked, sample by sample."""
    n = len(eyes.times)
    if not n or not eyes.known:
        return
    series = SpatialSeries(
        name=f"eye_{part.name}",
        description=f"x and y of the gaze on the screen in {part.name}; NaN where it is missing or off the screen.",
        data=streamed(eyes.place, eyes.place.shape, eyes.place.dtype),
        reference_frame="The screen's upper left corner; x to the right, y down.",
        unit="pixels",
        **timing(lambda start, stop: eyes.read_times(start, stop) + offset, n),
    )
    add_spatial(file, EyeTracking, series)


def add_eye_events(file: NWBFile, sessions: list[tuple[Part, Eyes, float]]) -> None:
    """Add the tables of fixations, and of saccades, of which durations alone are known."""
    sessions = [(part, eyes, offset) for part, eyes, offset in sessions if eyes.known]
    fixations = [(part.name, eyes.fixations + offset) for part, eyes, offset in sessions]
    names = [name for name, times in fixations for _ in times]
    if names:
        times = np.concatenate([times for _, times in fixations])
        order = np.argsort(times[:, 0], kind="stable")  # a tracker can begin before the session before has ended
        columns = {
            "start_time": ("When the fixation began, s.", times[order, 0]),
            "stop_time": ("When it ended, s.", times[order, 1]),
            "session": ("The session.", [names[k] for k in order]),
        }
        file.add_time_intervals(intervals("fixations", "Fixations that the eye tracker found.", columns))
    saccades = [(part.name, eyes.saccades) for part, eyes, _ in sessions]
    names = [name for name, durations in saccades for _ in durations]
    if names:
        columns = [
            VectorData(
                name="duration",
                description="Duration on the tracker's clock, s.",
                data=np.concatenate([durations for _, durations in saccades]),
            ),
            VectorData(name="session", description="The session.", data=names),
        ]
        what = "Saccades that the eye tracker found, in their order; when they were is not in the products."
        behaviour_module(file).add(DynamicTable(name="saccades", description=what, columns=columns))


class _Gaze:
    """The table of what was looked at, read twice from its beginning: objects, then points."""

    def __init__(self, part: Part, eyes: Eyes):
        self.path = part.files["gaze"]
        report = part.session.raycast
        self.n, self.before, self._eyes = report["written"], report["before_first_trial"], eyes
        self.objects = sorted(report["objects"])
        if report["samples"] != len(eyes.times) or self.before + self.n > len(eyes.times):
            raise FormatError(
                f"{self.path.with_name('raycast.json')}: expected {len(eyes.times)} eye samples as in "
                f"{part.files['eyelink']}, found {report['samples']}, of "
                f"which {self.n} from {self.before} on; make the ray casting anew"
            )

    def times(self, start: int, stop: int) -> np.ndarray:
        """Return when samples of the table were taken, exactly."""
        return self._eyes.read_times(self.before + start, self.before + stop)

    def reader(self, columns: list[int], values: Callable[[pd.DataFrame], np.ndarray]) -> Callable:
        """Return what reads the next rows of some columns; the table is open from the first to the last of them."""
        dtype = {_TIME: np.int64} | ({_OBJECT: str} if _OBJECT in columns else {})
        opened: list[Any] = []

        def read(start: int, stop: int) -> np.ndarray:
            if not opened:
                opened.append(
                    pd.read_csv(self.path, header=None, usecols=[_TIME, *columns], dtype=dtype, iterator=True)
                )
            try:
                table = opened[0].get_chunk(stop - start)
            except StopIteration:
                table = pd.DataFrame({_TIME: []})
            off = np.abs(self.times(start, start + len(table)) * 1000 - table[_TIME].to_numpy())
            if len(table) != stop - start or not (off < _ROUNDED).all():
                opened.pop().close()
                where = start + int(np.append(off < _ROUNDED, False).argmin()) + 1
                raise FormatError(
                    f"{self.path}: expected {self.n} rows at the times of the eye's samples, found another at row "
                    f"{where}; make the ray casting anew"
                )
            if stop == self.n:
                opened.pop().close()
            return values(table)

        return read


def add_gaze(file: NWBFile, sessions: list[tuple[Part, Eyes, float]]) -> None:
    """Add what the animal looked at: a table of objects, and for each session their rows in it and the points.

    Parameters
    ----------
    file : NWBFile
    sessions : list of (Part, Eyes, float)
        Those with ray casting, in the order of time, with when they began on the day's clock, s.
    """
    gazes = [(part, _Gaze(part, eyes), offset) for part, eyes, offset in sessions]
    gazes = [(part, gaze, offset) for part, gaze, offset in gazes if gaze.n]
    if not gazes:
        return
    objects = sorted({name for _, gaze, _ in gazes for name in gaze.objects} - {NOTHING})
    numbers = pd.Index([*objects, NOTHING])
    module = behaviour_module(file)
    if objects:
        column = VectorData(
            name="object", description="Name of the object in the maze, or on the screen.", data=objects
        )
        what = "Objects that gaze_target_... number from 0, by the row of this table."
        module.add(DynamicTable(name="gaze_objects", description=what, columns=[column]))
    for part, gaze, offset in gazes:

        def rows_of(table: pd.DataFrame, path: Any = gaze.path) -> np.ndarray:
            rows = numbers.get_indexer(table[_OBJECT])
            if (rows < 0).any():
                name = table[_OBJECT].iloc[int(np.argmax(rows < 0))]
                raise FormatError(
                    f"{path}: expected objects of raycast.json, found {name!r}; make the ray casting anew"
                )
            return np.where(rows == len(objects), -1, rows).astype(np.int16)

        def read_times(start: int, stop: int, gaze: _Gaze = gaze, offset: float = offset) -> np.ndarray:
            return gaze.times(start, stop) + offset

        target = TimeSeries(
            name=f"gaze_target_{part.name}",
            description=f"What the animal looked at in {part.name}: row of gaze_objects, -1 where it was nothing.",
            data=streamed(gaze.reader([_OBJECT], rows_of), (gaze.n,), np.int16),
            unit="n.a.",
            **timing(read_times, gaze.n),
        )
        points = gaze.reader(_HIT, lambda table: table[_HIT].to_numpy(np.float64))
        hit = TimeSeries(
            name=f"gaze_hit_{part.name}",
            description=f"The point that was looked at in {part.name}, x, y, z in maze units; NaN where it was none.",
            data=streamed(points, (gaze.n, 3), np.float64),
            unit="n.a.",
            **same_timing(target),
        )
        for series in (target, hit):
            module.add(series)
