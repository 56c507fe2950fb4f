"""Alignment: how well the clocks of maze and eye tracker were brought onto that of the recording."""

from typing import Any

from hippflow.errors import FormatError
from hippflow.report.material import Material, Section, absence
from hippflow.report.packing import pack, plain
from hippflow.report.rendering import count, number, render

#: Devices in words.
DEVICES = {"unity": "maze", "eyelink": "eye tracker"}


def section(material: Material) -> Section | None:
    """Make the section; None where no device has a clock of its own."""
    if not material.expects("aligned"):
        return None
    problems: list[str] = []
    sessions, data = [], {}
    for session in material.navigation:
        if not material.expects("aligned", owner=session.path):
            continue
        try:
            report = material.day[session.name].alignment
        except FormatError:
            missing = absence(material, "aligned", owner=session.path)
            sessions.append({"name": session.name, "report": None, "missing": missing})
            problems.append(f"{session.name}: its devices were not aligned")
            continue
        problems += _problems(session.name, report)
        sessions.append({"name": session.name, "report": report, "rows": _rows(report), "repairs": _repairs(report)})
        data[session.name] = {
            device: {
                "name": DEVICES.get(device, device),
                "time": pack(found["residuals"]["ripple_time"]),
                "ms": pack([1000 * value for value in found["residuals"]["residual_s"]]),
            }
            for device, found in report["devices"].items()
        }
    html = render("alignment.html.j2", sessions=sessions)
    return Section("Alignment", "alignment", problems, html, plain(data))


def _problems(name: str, report: dict[str, Any]) -> list[str]:
    problems = []
    if not report["passed"]:
        problems.append(f"{name}: the alignment did not pass: {'; '.join(report['reasons'])}")
    for device, found in report["devices"].items():
        what = DEVICES.get(device, device)
        if found["repaired"]:
            problems.append(f"{name}: {count(len(found['repaired']), 'lost marker')} of the {what} repaired")
        lost = len(found["missing"]) - len(found["repaired"])
        if lost:
            problems.append(f"{name}: {count(lost, 'marker')} of the {what} lost")
        if found["trials_off"]:
            n = len(found["trials_off"])
            problems.append(
                f"{name}: the {what} gets {count(n, 'trial')} wrong by more than {number(report['threshold_s'])} s"
            )
    return problems


def _rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row of the table for each device."""
    return [
        {
            "device": DEVICES.get(device, device),
            "markers": found["markers"],
            "matched": found["matched"],
            "missing": len(found["missing"]),
            "repaired": len(found["repaired"]),
            "extra": len(found["extra"]),
            "drift_ppm": found["drift_ppm"],
            "rms_ms": 1000 * found["residual_rms_s"] if found["residual_rms_s"] is not None else None,
            "max_ms": 1000 * found["residual_max_s"] if found["residual_max_s"] is not None else None,
            "off": len(found["trials_off"]),
        }
        for device, found in report["devices"].items()
    ]


def _repairs(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what was lost, extra or off, in the order of time."""
    rows = []
    for device, found in report["devices"].items():
        what = DEVICES.get(device, device)
        repaired = {(one["trial"], one["marker"]) for one in found["repaired"]}
        for one in found["missing"]:
            done = "repaired" if (one["trial"], one["marker"]) in repaired else "lost"
            rows.append((one["ripple_time"], what, one["trial"], f"{one['marker']} (code {one['code']})", done))
        for one in found["extra"]:
            said = f"extra, {one['kind']}: {one['reason']}"
            rows.append((one["ripple_time"], what, None, f"code {one['code']}", said))
        for one in found["trials_off"]:
            rows.append((None, what, one["trial"], one["interval"], one["reason"]))
    keys = ("time", "device", "trial", "marker", "said")
    return [
        dict(zip(keys, row, strict=True)) for row in sorted(rows, key=lambda row: (row[0] is None, row[0] or 0, row[1]))
    ]
