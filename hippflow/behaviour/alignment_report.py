"""How well a session's devices fit Ripple's markers, as a report that JSON holds."""

from typing import Any

import numpy as np

from hippflow.behaviour.alignment import Device
from hippflow.behaviour.navigation import MARKER_NAMES

#: A second marker of the same code within this time of the first is its double, s.
DOUBLE = 1.0
#: Clocks that differ by more are not believed, parts per million.
MAX_DRIFT_PPM = 1000.0
#: The parts of a trial whose lengths are compared.
_INTERVALS = ((0, 1), (1, 2), (0, 2))


def trials_off(device: Device, threshold: float) -> list[dict[str, Any]]:
    """Find the trials that last longer or shorter on a device than on Ripple.

    Compares start to cue offset, cue offset to end and the whole trial, after the
    clocks' overall difference in speed is taken out; PyHipp compares the whole
    trial only, never the last one, and takes drift for discrepancy. A lost marker
    leaves out the intervals that it bounds.

    Parameters
    ----------
    device : Device
    threshold : float
        s.

    Returns
    -------
    list of dict
        `trial`, `interval`, `difference_s` (device minus Ripple, the largest of the
        trial) and `reason`, a sentence.
    """
    reference, pairs = device.reference, device.matching.pairs
    in_trial = pairs[reference.trials[pairs[:, 1]] >= 0]
    late = np.full((reference.n_trials, 3), np.nan)  # device minus Ripple, up to a constant
    trials, phases = reference.trials[in_trial[:, 1]], reference.phases[in_trial[:, 1]]
    late[trials, phases] = device.times[in_trial[:, 0]] * device.clock.ratio - reference.times[in_trial[:, 1]]
    differences = np.stack([late[:, end] - late[:, begin] for begin, end in _INTERVALS], axis=1)
    found = []
    for trial in np.flatnonzero((np.abs(differences) > threshold).any(axis=1)).tolist():
        worst = int(np.nanargmax(np.abs(differences[trial])))
        interval = " to ".join(MARKER_NAMES[phase] for phase in _INTERVALS[worst])
        difference = float(differences[trial, worst])
        reason = (
            f"{interval} is {abs(difference) * 1e3:.1f} ms {'longer' if difference > 0 else 'shorter'} "
            f"on {device.name} than on Ripple"
        )
        found.append({"trial": trial, "interval": interval, "difference_s": difference, "reason": reason})
    return found


def describe_device(device: Device, threshold: float) -> dict[str, Any]:
    """Report on one device, in values that JSON has.

    Parameters
    ----------
    device : Device
    threshold : float
        s.

    Returns
    -------
    dict
        See ``docs/products.md``.
    """
    reference, matching, clock = device.reference, device.matching, device.clock
    of = matching.pairs[:, 1]
    missing = [
        reference.name(index) | {"device_time": float(clock.to_device(reference.times[index]))}
        for index in matching.missing.tolist()
    ]
    residuals = clock.residuals()
    return {
        "markers": len(device.codes) + len(device.explained),
        "matched": len(of),
        "missing": missing,
        "repaired": [row for row in missing if row["trial"] is not None and device.repaired[_place(row)]],
        "extra": [
            {"kind": "explained", **row, "ripple_time": float(clock.to_reference(row["device_time"]))}
            for row in device.explained
        ]
        + [_explain_extra(device, index) for index in matching.extra.tolist()],
        "clock_ratio": 1 / clock.ratio,
        "drift_ppm": clock.drift_ppm,
        "offset_s": float(clock.to_device(0.0)),
        "residuals": {
            "trial": [None if trial < 0 else trial for trial in reference.trials[of].tolist()],
            "code": reference.codes[of].tolist(),
            "ripple_time": reference.times[of].tolist(),
            "residual_s": residuals.tolist(),
        },
        "residual_rms_s": float(np.sqrt(np.mean(residuals**2))),
        "residual_max_s": float(np.abs(residuals).max()),
        "trials_off": trials_off(device, threshold),
    }


def _place(row: dict[str, Any]) -> tuple[int, int]:
    """Return trial and phase of a marker that :meth:`Reference.name` described."""
    return row["trial"], MARKER_NAMES.index(row["marker"])


def _explain_extra(device: Device, index: int) -> dict[str, Any]:
    """Say what a marker is that no marker of Ripple's explains."""
    reference, code = device.reference, int(device.codes[index])
    time = float(device.clock.to_reference(device.times[index]))
    same = np.flatnonzero(reference.codes == code)
    nearest = int(same[np.abs(reference.times[same] - time).argmin()]) if same.size else -1
    late = time - float(reference.times[nearest]) if same.size else np.inf
    kind, reason = "unexplained", f"Ripple has no {code} within {DOUBLE:g} s"
    if abs(late) <= DOUBLE:
        kind = "moved" if nearest in device.matching.missing else "doubled"
        reason = f"{abs(late) * 1e3:.1f} ms {'after' if late > 0 else 'before'} Ripple's {code}" + (
            ", too far to be it; taken as lost" if kind == "moved" else ", of which the device has another"
        )
    return {
        "code": code,
        "device_time": float(device.times[index]),
        "ripple_time": time,
        "kind": kind,
        "reason": reason,
    }


def build_report(devices: list[Device], *, threshold: float, max_trials_off: float) -> dict[str, Any]:
    """Report on all devices of a session and judge them.

    A session passes if on every device the clock's drift is at most `MAX_DRIFT_PPM`,
    every extra marker is explained, every lost trial marker was repaired and at
    most `max_trials_off` of the trials are off.

    Parameters
    ----------
    devices : list of Device
    threshold : float
        Difference in length from which a trial is off, s.
    max_trials_off : float
        Share of the trials.

    Returns
    -------
    dict
        See ``docs/products.md``.
    """
    reports = {device.name: describe_device(device, threshold) for device in devices}
    n_trials = devices[0].reference.n_trials
    reasons = []
    for name, report in reports.items():
        unexplained = sum(extra["kind"] == "unexplained" for extra in report["extra"])
        unrepaired = sum(row["trial"] is not None for row in report["missing"]) - len(report["repaired"])
        n_off = len(report["trials_off"])
        if abs(report["drift_ppm"]) > MAX_DRIFT_PPM:
            reasons.append(f"{name}: drift of {report['drift_ppm']:.0f} ppm, expected at most {MAX_DRIFT_PPM:.0f}")
        if unexplained:
            reasons.append(f"{name}: extra markers that nothing on Ripple explains: {unexplained}")
        if unrepaired:
            reasons.append(f"{name}: lost markers that were not repaired: {unrepaired}")
        if n_off > max_trials_off * n_trials:
            reasons.append(
                f"{name}: {n_off} of {n_trials} trials are off by more than {threshold * 1e3:g} ms, "
                f"expected at most {max_trials_off:.0%}".replace("%", " %")
            )
    return {
        "passed": not reasons,
        "reasons": reasons,
        "threshold_s": threshold,
        "max_trials_off": max_trials_off,
        "trials": n_trials,
        "devices": reports,
    }
