"""What jobs of each rule took, from finished runs, and what others would take.

The CPU time of a job is ``seconds + seconds_per_byte * bytes of its inputs``, with two numbers for
every rule that are fitted to its finished jobs (:func:`fit`). Rules with few of these take their
line from ``resources/benchmark_defaults.yaml``. What a job makes is a share of what it reads, so that
inputs that do not exist yet can be sized, too.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml

from hippflow.cost.observations import Observation, base_rule, observations, pattern_of
from hippflow.errors import ConfigError

#: The shipped defaults, from the workflow's folder.
DEFAULTS = Path("resources", "benchmark_defaults.yaml")

#: Finished jobs that a rule needs for a number of its own, and for a line of its own, with inputs that differ by
#: this factor; fewer say nothing of other sizes.
FEW, ENOUGH, SPREAD = 5, 8, 2.0

#: Errors, as a share, that nobody has measured: of shipped defaults on another processor, of inputs far from those
#: of the history (at least), and of rules that nothing is known of.
DEFAULTS_ERROR, FAR_ERROR, UNKNOWN_ERROR = 0.5, 0.5, 1.0

#: A rule's error is at least this.
LEAST_ERROR = 0.05


@dataclass(frozen=True)
class Line:
    """What jobs of a rule take: ``seconds + seconds_per_byte * bytes``.

    Attributes
    ----------
    smallest, largest : float
        Bytes of inputs that it is known for.
    jobs : int
        That it was fitted to.
    basis : str
        ``history``, ``defaults``, or ``unknown``.
    error : float
        Of a sum of many jobs, as a share.
    far_error : float
        The same of jobs whose inputs are of other sizes.
    """

    seconds: float
    seconds_per_byte: float
    smallest: float = 0.0
    largest: float = 0.0
    jobs: int = 0
    basis: str = "defaults"
    error: float = DEFAULTS_ERROR
    far_error: float = DEFAULTS_ERROR

    def at(self, n_bytes: float) -> float:
        """Return the CPU time in s of a job with so many bytes of inputs."""
        return self.seconds + self.seconds_per_byte * n_bytes


#: Rules that nothing is known of.
UNKNOWN = Line(1.0, 1e-7, basis="unknown", error=UNKNOWN_ERROR)


@dataclass(frozen=True)
class Prediction:
    """What a job would take.

    Attributes
    ----------
    cpu : float
        Seconds.
    error : float
        As a share.
    basis : str
        ``history``, ``far`` (from a history of other sizes), ``defaults`` or ``unknown``.
    """

    cpu: float
    error: float
    basis: str


def fit(found: list[Observation], default: Line | None, enough: int = ENOUGH) -> Line | None:
    """Fit the line of a rule to its finished jobs.

    With `enough` jobs whose inputs differ by the factor :data:`SPREAD`, the slope is the median
    of those between all pairs of jobs (Theil and Sen) and the constant the median of what is left,
    both at least 0: a few jobs that were held up do not matter. With fewer, the default line is
    multiplied by the median of what jobs took of it. The line is then multiplied so that the sum over all
    jobs is right, by 2 at most, because sums are what is paid for.

    Parameters
    ----------
    found : list of Observation
        Of one rule.
    default : Line or None
        The shipped one.
    enough : int
        Jobs that make a line of their own.

    Returns
    -------
    Line or None
        The default itself where there are fewer than two jobs.
    """
    if len(found) < 2:
        return default
    sizes = np.array([one.n_bytes for one in found], dtype=float)
    cpu = np.array([one.cpu for one in found])
    smallest, largest = float(sizes.min()), float(sizes.max())
    if len(found) >= enough and largest >= SPREAD * max(smallest, 1.0):
        constant, slope = _theil_sen(sizes, cpu)
    elif default is not None:
        factor = float(np.median(cpu / np.maximum(default.at(sizes), 1e-6)))
        constant, slope = factor * default.seconds, factor * default.seconds_per_byte
    else:
        constant, slope = 0.0, float(np.median(cpu / np.maximum(sizes, 1.0)))
    total = float((constant + slope * sizes).sum())
    factor = min(max(float(cpu.sum()) / total, 0.5), 2.0) if total > 0 else 1.0
    return Line(constant * factor, slope * factor, smallest, largest, len(found), "history", LEAST_ERROR)


def _theil_sen(sizes: np.ndarray, cpu: np.ndarray) -> tuple[float, float]:
    i, j = np.triu_indices(len(sizes), 1)
    differ = sizes[i] != sizes[j]
    slope = float(np.median((cpu[j] - cpu[i])[differ] / (sizes[j] - sizes[i])[differ]))
    if slope <= 0:
        return float(np.median(cpu)), 0.0
    constant = float(np.median(cpu - slope * sizes))
    if constant < 0:
        return 0.0, float(np.median(cpu / np.maximum(sizes, 1.0)))
    return constant, slope


def held_out(found: list[Observation], default: Line | None) -> tuple[list[float], float]:
    """Divide a rule's jobs into two halves at random, and predict each from the other.

    Returns
    -------
    errors : list of float
        Of every job, predicted over measured CPU time, less 1.
    error : float
        Of the sum of a half, without its sign, as a share; the mean of both, by CPU time.
    """
    shuffled = sorted(found, key=lambda one: (one.n_bytes, one.cpu))
    random.Random(len(found)).shuffle(shuffled)
    half = len(shuffled) // 2
    errors, off = [], 0.0
    for known, others in ((shuffled[:half], shuffled[half:]), (shuffled[half:], shuffled[:half])):
        line = fit(known, default) or UNKNOWN
        predicted = [line.at(one.n_bytes) for one in others]
        errors += [cpu / max(one.cpu, 0.01) - 1 for cpu, one in zip(predicted, others, strict=True)]
        off += abs(sum(predicted) - sum(one.cpu for one in others))
    return errors, off / max(sum(one.cpu for one in found), 1e-9)


def larger_half(found: list[Observation], default: Line | None) -> float | None:
    """Predict the half of a rule's jobs with larger inputs from that with smaller ones.

    Returns
    -------
    float or None
        Error of the sum with its sign, as a share; None where all are alike.
    """
    ordered = sorted(found, key=lambda one: one.n_bytes)
    half = len(ordered) // 2
    if half == 0 or ordered[-1].n_bytes < SPREAD * max(ordered[half - 1].n_bytes, 1):
        return None
    line = fit(ordered[:half], default) or UNKNOWN
    return sum(line.at(one.n_bytes) for one in ordered[half:]) / max(sum(one.cpu for one in ordered[half:]), 1e-9) - 1


class History:
    """What is known of the rules.

    Parameters
    ----------
    observations : iterable of Observation
    defaults : dict
        ``rules`` and ``outputs`` as in ``resources/benchmark_defaults.yaml``.
    """

    def __init__(self, observations: Iterable[Observation] = (), defaults: dict[str, Any] | None = None):
        defaults = defaults or {}
        self.measured = str(defaults.get("measured", ""))
        self.defaults = {rule: _default(entry) for rule, entry in defaults.get("rules", {}).items()}
        self.observations: dict[str, list[Observation]] = {}
        for one in observations:
            self.observations.setdefault(one.rule, []).append(one)
        self._shares: dict[str, dict[str, float]] = defaults.get("outputs", {})
        self._lines: dict[str, Line] = {}

    def line(self, rule: str) -> Line:
        """Return what jobs of a rule take, with the error that the rule's own history shows."""
        rule = base_rule(rule)
        if rule not in self._lines:
            found, default = self.observations.get(rule, []), self.defaults.get(rule)
            fitted = fit(found, default) if len(found) >= FEW else default
            if fitted is None:
                fitted = UNKNOWN
            elif fitted.basis == "history":
                error = max(LEAST_ERROR, held_out(found, default)[1])
                far = min(max(FAR_ERROR, error, abs(larger_half(found, default) or 0.0)), UNKNOWN_ERROR)
                fitted = replace(fitted, error=error, far_error=far)
            self._lines[rule] = fitted
        return self._lines[rule]

    def predict(self, rule: str, n_bytes: float) -> Prediction:
        """Say what a job with so many bytes of inputs would take.

        Examples
        --------
        >>> jobs = [Observation("rpllfp", 1000 * k, 0.1 + 0.002 * k) for k in range(1, 21)]
        >>> History(jobs).predict("rpllfp", 10_000)
        Prediction(cpu=0.12, error=0.05, basis='history')
        """
        line = self.line(rule)
        far = line.basis == "history" and not line.smallest / SPREAD <= n_bytes <= line.largest * SPREAD
        error = line.far_error if far else line.error
        return Prediction(round(line.at(n_bytes), 6), round(error, 4), "far" if far else line.basis)

    def output_bytes(self, rule: str, path: str, n_bytes: float) -> float:
        """Return the bytes that a product would have, of a job with so many bytes of inputs.

        The median share of the rule's finished jobs, else of the defaults; as much as the inputs where nothing is
        known.
        """
        rule, pattern = base_rule(rule), pattern_of(path)
        shares = [
            one.outputs[pattern] / one.n_bytes
            for one in self.observations.get(rule, ())
            if one.n_bytes and pattern in one.outputs
        ]
        share = median(shares) if shares else self._shares.get(rule, {}).get(pattern, 1.0)
        return share * n_bytes


def _default(entry: dict[str, float]) -> Line:
    low, high = (1e9 * float(entry[key]) for key in ("smallest_gb", "largest_gb"))
    return Line(float(entry["seconds"]), float(entry["seconds_per_gb"]) / 1e9, low, high, int(entry["jobs"]))


def load_history(folder: str | Path = ".", state: str | Path = ".snakemake/hippflow") -> History:
    """Read what finished runs took, from their records, and the shipped defaults.

    Parameters
    ----------
    folder : path
        Where the workflow runs.
    state : path
        What runs know of each other, below it.

    Returns
    -------
    History

    Raises
    ------
    ConfigError
        The defaults cannot be read.
    """
    path = Path(folder, DEFAULTS)
    path = path if path.exists() else Path(__file__).parents[2] / DEFAULTS
    try:
        defaults = yaml.safe_load(path.read_text())
        return History(observations(Path(folder), Path(folder, state)), defaults)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: expected CPU times by rule in YAML, found: {error!r}; restore the file") from error
