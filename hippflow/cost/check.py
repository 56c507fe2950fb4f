"""How well the estimate's CPU times predict jobs that they were not fitted to."""

from dataclasses import dataclass
from statistics import median
from typing import Any

from hippflow.cost.history import FEW, History, held_out, larger_half


@dataclass(frozen=True)
class Held:
    """How the jobs of a rule were predicted.

    Attributes
    ----------
    rule : str
    jobs : int
    measured : float
        CPU seconds of all.
    error : float
        Of the sum of one half of the jobs, predicted from the other; without its sign, as a share.
    typical : float
        Median of that of one job.
    larger : float or None
        Error of the sum of the half with larger inputs, predicted from that with smaller ones, with its sign; None
        where all are alike.
    """

    rule: str
    jobs: int
    measured: float
    error: float
    typical: float
    larger: float | None = None


def check(history: History) -> list[Held]:
    """Hold the model against the history: jobs are predicted from the half of the jobs that they are not in.

    Returns
    -------
    list of Held
        By rule, the one with most CPU time first; rules with too few jobs are not in it.
    """
    held = []
    for rule, found in history.observations.items():
        if len(found) >= 2 * FEW - 2:
            default = history.defaults.get(rule)
            errors, error = held_out(found, default)
            measured = sum(one.cpu for one in found)
            held.append(Held(rule, len(found), measured, error, median(map(abs, errors)), larger_half(found, default)))
    return sorted(held, key=lambda one: -one.measured)


def total(held: list[Held]) -> Held:
    """Return all rules together: their errors, without signs, by CPU time."""
    measured = sum(one.measured for one in held)

    larger = [(one.larger, one.measured) for one in held if one.larger is not None]

    def mean(errors: list[tuple[float, float]]) -> float:
        return sum(abs(error) * seconds for error, seconds in errors) / max(sum(s for _, s in errors), 1e-9)

    return Held(
        "all",
        sum(one.jobs for one in held),
        measured,
        mean([(one.error, one.measured) for one in held]),
        mean([(one.typical, one.measured) for one in held]),
        mean(larger) if larger else None,
    )


def to_dict(held: list[Held]) -> dict[str, Any]:
    """Return the check as JSON has it."""
    return {
        one.rule: {
            "jobs": one.jobs,
            "measured_cpu_seconds": round(one.measured, 3),
            "error_of_half": round(one.error, 4),
            "error_of_job": round(one.typical, 4),
            "error_of_larger_half": None if one.larger is None else round(one.larger, 4),
        }
        for one in ([*held, total(held)] if held else [])
    }


def table(held: list[Held]) -> str:
    """Write the check, a line a rule."""
    if not held:
        return (
            f"No rule has {2 * FEW - 2} finished jobs yet: estimates rest on the shipped defaults "
            "(resources/benchmark_defaults.yaml)."
        )
    lines = [
        "CPU times of finished jobs, predicted from the half of a rule's jobs that they are not in:",
        "",
        f"{'rule':<14}{'jobs':>7}{'CPU s':>12}{'error of sum':>14}{'of one job':>12}{'larger from smaller':>21}",
    ]
    for one in [*held, total(held)]:
        larger = "-" if one.larger is None else f"{one.larger:+.0%}" if one.rule != "all" else f"{one.larger:.0%}"
        cells = f"{one.error:>13.1%}{one.typical:>11.0%}".replace("%", " %")
        lines.append(f"{one.rule:<14}{one.jobs:>7}{one.measured:>12.2f}{cells}{larger.replace('%', ' %'):>21}")
    lines += [
        "",
        "error of sum: of a random half of the jobs, predicted from the other half; all: by CPU time.",
        "larger from smaller: of the half with larger inputs, predicted from the half with smaller ones.",
    ]
    return "\n".join(lines)
