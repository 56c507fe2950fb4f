"""edfsplit: the eye tracker's files of a day, as one product a session (PyHipp's EDFSplit and Eyelink)."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hippflow.behaviour.eye_messages import ReferenceTrials, SessionTrials, fixation_markers, navigation_markers
from hippflow.behaviour.eye_trials import fixation_trials, split_sessions
from hippflow.errors import CatalogError, FormatError
from hippflow.io.atomic import whole_file
from hippflow.io.eyelink import EyeRecording, read_eye_file
from hippflow.io.products import base_fields, read_product, write_product
from hippflow.names import eyelink_args

log = logging.getLogger(__name__)

FIXATION_SESSION = "sessioneye"

#: Columns of missingData.csv.
COLUMNS = ["session", "device", "trial", "marker", "code", "time_s", "what"]


def make_edfsplit(
    navigation: str | Path | None,
    fixation: str | Path | None,
    sessions: Mapping[str, str | Path],
    outputs: Mapping[str, str | Path],
    missing_csv: str | Path,
    *,
    eye: str,
    screen: tuple[int, int],
) -> None:
    """Split the eye tracker's files of a day into its sessions; each file is read once.

    Nothing is written unless every session was found and its trials are complete or repaired.

    Parameters
    ----------
    navigation, fixation : path or None
        .edf or .asc of the navigation sessions and of the fixation session; None where the day has no such session.
    sessions : mapping of str to path
        ``rplparallel_d41d.hkl`` of every session, by the session's name.
    outputs : mapping of str to path
        The products, by the same names; a last folder ``unaligned`` is no level.
    missing_csv : path
        Table of every repaired message and every one left out.
    eye : {'auto', 'left', 'right'}
        See :func:`hippflow.io.eyelink.read_eye_file`.
    screen : (int, int)
        Width and height, pixels; gaze beyond them is NaN.

    Raises
    ------
    CatalogError
        Sessions without an eye file.
    FormatError
        An eye file that cannot be read, or a session without samples or without gaze of the eye.
    MarkerError
        Sessions that cannot be found in the file, or messages that cannot be explained.

    Notes
    -----
    On purpose not as in PyHipp's Eyelink: tables are arrays (pandas frames would be stored as pickles); either eye;
    ms are divided by 1000 at any sampling rate; a session begins at its trigger, not at the file's beginning, and ends
    at the next trigger, also one of an aborted start; `session_start` is that trigger, not the second sample;
    `trial_timestamps` (navigation) and `indices` (fixation) count samples, so that they find the right ones behind a
    pause; `timeouts` is filled; `noOfSessions` is 1; the last fixation trial is as the others. New are `trial_times`
    (s on the EyeLink clock), `trial_repaired` and `eye`.
    """
    of_navigation = {name: path for name, path in sorted(sessions.items()) if name != FIXATION_SESSION}
    products: dict[str, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    if of_navigation:
        path = _eye_file(navigation, "navigation", list(of_navigation))
        recording = read_eye_file(path, eye)
        references = {name: _reference(rplparallel) for name, rplparallel in of_navigation.items()}
        trials, rows = split_sessions(navigation_markers(recording.messages, str(path)), references, str(path))
        for name, found in trials.items():
            products[name] = _navigation_fields(recording, found, references[name], screen, f"{path}, {name}")
            rows += found.changes
    if FIXATION_SESSION in sessions:
        path = _eye_file(fixation, "fixation", [FIXATION_SESSION])
        recording = read_eye_file(path, eye)
        reference = _reference(sessions[FIXATION_SESSION])
        if not len(reference.codes):
            log.warning("%s: Ripple has no markers; the trials are as the eye tracker has them", path)
        found = fixation_trials(
            fixation_markers(recording.messages, str(path)),
            reference if len(reference.codes) else None,
            str(path),
            FIXATION_SESSION,
        )
        products[FIXATION_SESSION] = _fixation_fields(recording, found, screen)
        rows += found.changes
    for name, fields in products.items():
        write_product(outputs[name], _base(Path(outputs[name]), screen) | fields)
        log.info("%s: %d trials, %d samples", outputs[name], fields["noOfTrials"][0], len(fields["timestamps"]))
    with whole_file(missing_csv) as part:
        table = pd.DataFrame(rows, columns=COLUMNS).astype({"trial": "Int64"})
        table.to_csv(part, index=False, float_format="%.4f")
    log.info("%s: %d messages repaired or left out", missing_csv, len(rows))


def _eye_file(path: str | Path | None, kind: str, sessions: list[str]) -> Path:
    if path is None:
        raise CatalogError(
            f"{', '.join(sessions)}: expected an EyeLink file of the {kind} task for this day, found none; copy it "
            "into the day's folder, or leave these sessions' eye data out"
        )
    return Path(path)


def _reference(rplparallel: str | Path) -> ReferenceTrials:
    """Read a session's Ripple markers."""
    fields = read_product(rplparallel)
    return ReferenceTrials(fields["markers"], fields["timeStamps"], tuple(fields.get("unfinishedTrial", ())))


def _base(product: Path, screen: tuple[int, int]) -> dict[str, Any]:
    if product.parent.name == "unaligned":
        product = product.parent.with_name(product.name)
    return base_fields(product, "session", eyelink_args(screen))


def _nearest(times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the indices of the samples nearest to `wanted`; -1 for NaN."""
    right = np.searchsorted(times, wanted).clip(1, len(times) - 1) if len(times) > 1 else np.zeros(wanted.shape, int)
    left = (right - 1).clip(0)
    index = np.where(wanted - times[left] <= times[right] - wanted, left, right)
    return np.where(np.isnan(wanted), -1, index).astype(np.int64)


def _on_screen(gaze: np.ndarray, screen: tuple[int, int]) -> np.ndarray:
    """Return gaze as float64 with NaN, for each axis alone, where it is beyond the screen."""
    gaze = gaze.astype(np.float64)
    gaze[(gaze < 0) | (gaze > np.array(screen))] = np.nan
    return gaze


def _durations(spans: np.ndarray) -> np.ndarray:
    """Return durations in ms, which the eye tracker counts in whole samples."""
    return np.round(1000 * (spans[:, 1] - spans[:, 0]), 3)


def _milliseconds(time: float, recording: EyeRecording) -> float:
    """Return ms from the file's first sample."""
    return round(1000 * (time - float(recording.times[0])), 3)


def _common_fields(recording: EyeRecording, trials: SessionTrials) -> dict[str, Any]:
    rate = recording.sampling_rate
    return {
        "noOfTrials": [len(trials.times)],
        "noOfSessions": 1,
        "numSets": [1],
        "setidx": [0] * len(trials.times),
        "samplingRate": int(rate) if rate == int(rate) else rate,
        "expTime": [float(recording.times[0])],
        "eye": recording.eye,
        "trial_times": trials.times,
        "trial_repaired": trials.repaired,
    }


def _navigation_fields(
    recording: EyeRecording, trials: SessionTrials, reference: ReferenceTrials, screen: tuple[int, int], where: str
) -> dict[str, Any]:
    """Cut a session out of the recording and name its parts as PyHipp does."""
    begin, end = np.searchsorted(recording.times, [trials.start, trials.stop])
    times, gaze = recording.times[begin:end], _on_screen(recording.gaze[begin:end], screen)
    if not np.isfinite(gaze).all(1).any():
        raise FormatError(
            f"{where}: expected gaze of the {recording.eye} eye on the screen between {trials.start:.3f} s and "
            f"{min(trials.stop, recording.times[-1]):.3f} s, found none in {len(times)} samples; choose the other eye "
            "in config.yaml (edfsplit.eye), or leave the session's eye data out"
        )

    def inside(spans: np.ndarray) -> np.ndarray:
        return spans[(spans[:, 1] >= trials.start) & (spans[:, 0] < trials.stop)]

    fixations, saccades = inside(recording.fixations), inside(recording.saccades)
    return _EMPTY | _common_fields(recording, trials) | {
        "trial_timestamps": _nearest(times, trials.times) / recording.sampling_rate,
        "trial_codes": np.asarray(reference.codes, np.uint16),
        "timestamps": times,
        "eye_pos": gaze,
        "fix_event": _durations(fixations),
        "sacc_event": _durations(saccades),
        "fix_times": np.column_stack([fixations, _durations(fixations) / 1000]),
        "timeouts": trials.times[trials.codes[:, 2] // 10 == 4, 2],
        "session_start": [trials.start],
        "session_start_index": [_milliseconds(trials.start, recording)],
        "discrepancies": _discrepancies(trials.times, reference.times),
        "extras": [change for change in trials.changes if not change["what"].startswith("message missing")],
    }  # fmt: skip


def _fixation_fields(recording: EyeRecording, trials: SessionTrials, screen: tuple[int, int]) -> dict[str, Any]:
    """Name the parts of the fixation session as PyHipp does; it is the whole recording."""
    start = float(trials.times[0, 0])
    return _EMPTY | _common_fields(recording, trials) | {
        "trial_timestamps": trials.times,
        "indices": _nearest(recording.times, trials.times),
        "timestamps": recording.times,
        "calib_eye_pos": _on_screen(recording.gaze, screen),
        "calib_fix_event": _durations(recording.fixations)[:, None],
        "calib_sacc_event": _durations(recording.saccades)[:, None],
        "calib_fix_times": np.column_stack([recording.fixations, _durations(recording.fixations) / 1000]),
        "session_start": [start],
        "session_start_index": [_milliseconds(start, recording)],
    }  # fmt: skip


def _discrepancies(times: np.ndarray, ripple: np.ndarray) -> np.ndarray:
    """Return by how much previous end to start, start to cue, and cue to end differ between the devices, s."""
    differences = np.abs(np.diff(times.ravel(), prepend=times[0, 0]) - np.diff(ripple.ravel(), prepend=ripple[0, 0]))
    return differences.reshape(-1, 3)


#: Fields of the other kind of session stay empty, as in PyHipp.
_EMPTY: dict[str, Any] = {
    "trial_timestamps": np.zeros((0, 3)),
    "calib_eye_pos": np.zeros((0, 2)),
    "eye_pos": np.zeros((0, 2)),
    "indices": np.zeros((0, 3), np.int64),
    "timestamps": np.zeros(0),
    "timeouts": np.zeros(0),
    "fix_event": np.zeros(0),
    "sacc_event": np.zeros(0),
    "calib_fix_event": np.zeros((0, 1)),
    "calib_sacc_event": np.zeros((0, 1)),
    "calib_fix_times": np.zeros((0, 3)),
    "fix_times": np.zeros((0, 3)),
    "trial_codes": np.zeros((0, 3), np.uint16),
    "discrepancies": np.zeros((0, 3)),
    "extras": [],
}
