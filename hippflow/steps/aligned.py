"""aligned: maze log and eye data on the Ripple clock, with a report and its figure (PyHipp's aligning_objects)."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.behaviour.alignment import (
    Device,
    Reference,
    align_unity,
    match_device,
    reference_markers,
)
from hippflow.behaviour.alignment_figure import alignment_figure
from hippflow.behaviour.alignment_report import build_report
from hippflow.behaviour.clocks import ClockMap
from hippflow.behaviour.navigation import MARKER_NAMES, SESSION_STARTS
from hippflow.errors import ConfigError, FormatError
from hippflow.io.atomic import whole_file
from hippflow.io.products import base_fields, read_product, write_product

log = logging.getLogger(__name__)

#: Field of an aligned product, and its value; what says that it must not be aligned again.
CLOCK, RIPPLE = "clock", "ripple"
#: What is needed of the three products.
RIPPLE_FIELDS = ("markers", "timeStamps", "markerFormat", "sessionStartTime")
UNITY_FIELDS = ("unityData", "unityTime", "unityTriggers", "repairs", "extras")
#: Fields of the eye data that are times in s, each a list or an array; and the others that are needed.
EYE_TIMES = ("timestamps", "trial_times", "timeouts", "session_start", "expTime")
EYE_FIELDS = (*EYE_TIMES, "trial_repaired", "trial_codes", "fix_times")


def make_aligned(
    unity_in: str | Path | None,
    eyelink_in: str | Path | None,
    rplparallel: str | Path,
    unity_out: str | Path | None,
    eyelink_out: str | Path | None,
    report_json: str | Path,
    report_png: str | Path,
    *,
    threshold: float = 0.02,
    dubious: str = "empty",
    max_trials_off: float = 0.1,
) -> None:
    """Put one session's maze log and eye data, or what there is of the two, on the Ripple clock.

    Writes new files, whose field `clock` is ``ripple``. All times in them are s on
    that clock; `trial_timestamps` stay sample offsets. On purpose other than in
    PyHipp: nothing is truncated to whole ms; unityTrialTime keeps all points; a
    session without a start code is aligned too; the drift of a clock is no
    discrepancy; the last trial is checked; the parts of a trial are checked, not
    their sum alone; the lengths of fixations are those on the Ripple clock.

    Parameters
    ----------
    unity_in, eyelink_in : path or None
        Products on the devices' own clocks; None for a device that the session does not have.
    rplparallel : path
        The trials on Ripple's clock.
    unity_out, eyelink_out : path or None
        The same on Ripple's clock.
    report_json, report_png : path
        The report on all devices, and its figure.
    threshold : float
        A trial whose length, or a part of it, differs by more from Ripple's is off, s.
    dubious : {'empty', 'keep'}
        Whether trials that are off in the maze log get no time, as in PyHipp, so that
        they count for nothing, or keep it.
    max_trials_off : float
        Share of the trials that may be off in a session that passes.

    Raises
    ------
    MarkerError, AlignmentError
        A device whose markers do not fit Ripple's in one way.
    FormatError
        An input that is no product, or an already aligned one.
    """
    if dubious not in ("empty", "keep"):
        raise ConfigError(f"expected dubious to be empty or keep, found {dubious!r}; correct the configuration")
    reference = _read_reference(rplparallel)
    devices, fields = [], {}
    if unity_in:
        fields["unity"] = _read_unaligned(unity_in, UNITY_FIELDS)
        devices.append(_unity_device(fields["unity"], unity_in, reference))
    if eyelink_in:
        fields["eyelink"] = _read_unaligned(eyelink_in, EYE_FIELDS)
        devices.append(_eye_device(fields["eyelink"], eyelink_in, reference))
    report = build_report(devices, threshold=threshold, max_trials_off=max_trials_off)
    session = base_fields(report_json, "session")["dirs"]
    common = {"dirs": session, CLOCK: RIPPLE}
    for device in devices:
        if device.name == "unity":
            trials = report["devices"]["unity"]["trials_off"] if dubious == "empty" else []
            _write_unity(unity_out, fields["unity"], device.clock, [trial["trial"] for trial in trials], common)
        else:
            write_product(eyelink_out, fields["eyelink"] | _align_eye(fields["eyelink"], device.clock) | common)
    report = {"session": session[0], **report, "dubious_trials": dubious}
    with whole_file(report_json) as part:
        part.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    with whole_file(report_png) as part:
        alignment_figure(report, title=session[0]).savefig(part, format="png", dpi=120)
    _tell(report)


def _write_unity(
    path: str | Path, fields: dict[str, Any], clock: ClockMap, empty: list[int], common: dict[str, Any]
) -> None:
    aligned = align_unity(clock, fields["unityTime"][0], fields["unityData"][0], fields["unityTriggers"][0], empty)
    write_product(path, fields | {name: [values] for name, values in aligned.items()} | common)


def _tell(report: dict[str, Any]) -> None:
    for name, device in report["devices"].items():
        log.info(
            "%s: %s: drift %+.1f ppm, %d of %d markers matched, %d lost, %d repaired, %d of %d trials off",
            report["session"], name, device["drift_ppm"], device["matched"], device["markers"],
            len(device["missing"]), len(device["repaired"]), len(device["trials_off"]), report["trials"],
        )  # fmt: skip
    for reason in report["reasons"]:
        log.warning("%s: the alignment fails: %s", report["session"], reason)


def _read(path: str | Path, names: tuple[str, ...]) -> dict[str, Any]:
    fields = read_product(path)
    lacking = [name for name in names if name not in fields]
    if lacking:
        raise FormatError(
            f"{path}: expected the fields {', '.join(names)}, found no {', '.join(lacking)}; make it anew"
        )
    return fields


def _read_unaligned(path: str | Path, names: tuple[str, ...]) -> dict[str, Any]:
    fields = _read(path, names)
    if fields.get(CLOCK) == RIPPLE:
        raise FormatError(
            f"{path}: expected times on the device's own clock, found an aligned product; give the unaligned one"
        )
    return fields


def _read_reference(path: str | Path) -> Reference:
    fields = _read(path, RIPPLE_FIELDS)
    start = None
    if fields["markerFormat"] in ("84", "204"):
        start = (int(fields["markerFormat"]), float(fields["sessionStartTime"]))
    return reference_markers(fields["markers"], fields["timeStamps"], session_start=start)


def _unity_device(fields: dict[str, Any], path: str | Path, reference: Reference) -> Device:
    data, times, rows = (np.asarray(fields[name][0]) for name in ("unityData", "unityTime", "unityTriggers"))
    starts = np.flatnonzero(np.isin(data[:, 0], SESSION_STARTS))[:1]
    repaired = np.zeros(rows.shape, bool)
    for repair in fields["repairs"]:
        repaired[repair["trial"], MARKER_NAMES.index(repair["marker"])] = True
    return match_device(
        "unity",
        data[rows, 0],
        times[rows + 1],
        reference,
        repaired=repaired,
        session_start=(int(data[starts[0], 0]), float(times[starts[0] + 1])) if starts.size else None,
        explained=[
            {"code": extra["code"], "device_time": float(times[extra["row"] + 1]), "reason": extra["reason"]}
            for extra in fields["extras"]
        ],
        source=str(path),
    )


def _eye_device(fields: dict[str, Any], path: str | Path, reference: Reference) -> Device:
    # The product has no code for the session's trigger message; where Ripple has a session start, it is that one.
    start = (int(reference.codes[0]), float(fields["session_start"][0])) if reference.codes.size else None
    return match_device(
        "eyelink",
        fields["trial_codes"],
        fields["trial_times"],
        reference,
        repaired=fields["trial_repaired"],
        session_start=start,
        explained=[
            {"code": extra["code"], "device_time": extra["time_s"], "reason": extra["what"]}
            for extra in fields.get("extras", [])
        ],
        source=str(path),
    )


def _align_eye(fields: dict[str, Any], clock: ClockMap) -> dict[str, Any]:
    fixations = np.array(fields["fix_times"], np.float64).reshape(-1, 3)
    fixations[:, :2] = clock.to_reference(fixations[:, :2])
    fixations[:, 2] = fixations[:, 1] - fixations[:, 0]
    aligned: dict[str, Any] = {"fix_times": fixations}
    for name in EYE_TIMES:
        times = clock.to_reference(fields[name])
        aligned[name] = times.tolist() if isinstance(fields[name], list) else times
    return aligned
