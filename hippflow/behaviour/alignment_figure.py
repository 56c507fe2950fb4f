"""The alignment report as a figure: how well each device's markers fit, and which were lost."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Shape, colour and edge of every kind of marker: told apart by shape, and by colours that the colour-blind can tell.
_STYLES = {
    "matched": {"marker": ".", "color": "#0072B2", "markersize": 5},
    "trial off": {"marker": "D", "color": "#D55E00", "markersize": 6, "fillstyle": "none"},
    "repaired": {"marker": "^", "color": "#009E73", "markersize": 8, "fillstyle": "none"},
    "missing": {"marker": "v", "color": "#000000", "markersize": 8, "fillstyle": "none"},
    "extra": {"marker": "x", "color": "#000000", "markersize": 7},
}


def alignment_figure(report: dict[str, Any], title: str = "") -> Figure:
    """Draw the leave-one-out residuals of every device over the session.

    Parameters
    ----------
    report : dict
        What :func:`hippflow.behaviour.alignment_report.build_report` returns.
    title : str
        Name of the session.

    Returns
    -------
    matplotlib.figure.Figure
        One panel a device; save it with ``savefig``.
    """
    devices = report["devices"]
    figure = Figure(figsize=(9, 1.2 + 2.9 * len(devices)), layout="constrained")
    axes = figure.subplots(len(devices), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, device) in zip(axes, devices.items(), strict=True):
        _draw_device(axis, name, device, report["threshold_s"])
    axes[-1].set_xlabel("time on the Ripple clock (min)")
    verdict = "PASS" if report["passed"] else "FAIL: " + "; ".join(report["reasons"])
    figure.suptitle(f"{title}  {verdict}".strip(), fontweight="bold", wrap=True)
    return figure


def _draw_device(axis: Axes, name: str, device: dict[str, Any], threshold: float) -> None:
    residuals = device["residuals"]
    times, late = np.array(residuals["ripple_time"]), np.array(residuals["residual_s"]) * 1e3
    off = {trial["trial"] for trial in device["trials_off"]}
    in_off = np.array([trial in off for trial in residuals["trial"]], bool)
    is_repaired = [(row["trial"], row["marker"]) for row in device["repaired"]]
    rows = {"repaired": device["repaired"], "extra": device["extra"]}
    rows["missing"] = [row for row in device["missing"] if (row["trial"], row["marker"]) not in is_repaired]
    _plot(axis, "matched", times[~in_off], late[~in_off])
    _plot(axis, "trial off", times[in_off], late[in_off])
    for kind in ("repaired", "missing", "extra"):
        _plot(axis, kind, np.array([row["ripple_time"] for row in rows[kind]]), np.zeros(len(rows[kind])))
    for limit in (-threshold, threshold):
        axis.axhline(limit * 1e3, color="0.4", linestyle="--", linewidth=0.8)
    # The threshold is always in view, and no single marker squeezes the rest.
    reach = max(1.2 * threshold * 1e3, 1.1 * float(np.abs(late).max(initial=0)))
    axis.set_ylim(-reach, reach)
    if reach > 10 * threshold * 1e3:
        axis.set_yscale("symlog", linthresh=threshold * 1e3)
    axis.set_ylabel("predicted from neighbours\nminus observed (ms)")
    axis.set_title(
        f"{name}: drift {device['drift_ppm']:+.1f} ppm, {device['matched']} of {device['markers']} markers matched, "
        f"lost {len(device['missing'])}, repaired {len(device['repaired'])}, trials off {len(off)}",
        fontsize="medium",
        loc="left",
    )
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", frameon=False)


def _plot(axis: Axes, kind: str, times: np.ndarray, values: np.ndarray) -> None:
    if len(times):
        axis.plot(times / 60, values, linestyle="none", label=f"{kind} ({len(times)})", **_STYLES[kind])
