"""The budget: what may be spent, what is spent, and whether a run still fits.

``budget.period`` says what counts: ``month``, everything since the first of the month (UTC), as AWS
bills; ``run``, every run by itself; ``total``, all runs of this workflow's folder together. What a month has
cost is asked of AWS where that can be, which knows everything in the account and is up to a day late; the
ledger of finished runs knows these runs alone, at once. The larger of the two counts. Runs that go to
no cluster are not paid for by the hour, and not held against it.
"""

import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hippflow.errors import ConfigError, HippflowError
from hippflow.runs.planned import PlannedJob
from hippflow.runs.record import Run

#: Seconds that AWS has to say what was spent.
PATIENCE = 5.0

#: What the ledger is called in messages.
LEDGER = "the ledger of this workflow's runs"

#: How long a limit lasts, in words.
_PER = {"month": "a month", "run": "a run", "total": "in all"}


@dataclass(frozen=True)
class Spent:
    """What is spent in a period.

    Attributes
    ----------
    usd : float
    source : str
        Whose figures they are.
    ledger : float
        USD that the own ledger has.
    trouble : str or None
        Why AWS did not say, where it was asked.
    """

    usd: float
    source: str
    ledger: float = 0.0
    trouble: str | None = None


@dataclass(frozen=True)
class Planned:
    """What some jobs would cost: USD, that much more or less, and whether they are paid for by the hour."""

    usd: float
    error: float = 0.0
    billed: bool = True


@dataclass(frozen=True)
class Figures:
    """Where dollars come from.

    Attributes
    ----------
    estimate : callable
        Prices planned jobs.
    bill : callable
        Prices what a run has finished so far, in USD.
    ledger : callable
        USD of the runs that ended since a time (s of the epoch).
    account : callable, optional
        USD of this month by AWS, and by which of its services; None where there is no key to ask with.
    """

    estimate: Callable[[list[PlannedJob]], Planned]
    bill: Callable[[Run], float]
    ledger: Callable[[float], float]
    account: Callable[[], tuple[float, str] | None] | None = None


@dataclass(frozen=True)
class Standing:
    """A budget, and how much of it is left.

    Attributes
    ----------
    limit : float
        USD.
    period : {'month', 'run', 'total'}
    spent : Spent
    planned : Planned or None
        What is to come, None where that is not known.
    """

    limit: float
    period: str
    spent: Spent
    planned: Planned | None

    @property
    def left(self) -> float:
        """USD that may still be spent; negative if too much is spent."""
        return self.limit - self.spent.usd

    @property
    def excess(self) -> float:
        """USD by which what is spent and what is to come are over the limit; 0 if they are not."""
        return max(0.0, (self.planned.usd if self.planned else 0.0) - self.left)

    def explain(self) -> str:
        """Say in a sentence that it is too much, with the numbers.

        Examples
        --------
        >>> Standing(10, "run", Spent(0, "nothing"), Planned(12.5, 3)).explain()
        'budget.usd: expected at most 10.00 USD a run, found an estimate of 12.50 (± 3.00) for this one, 2.50 too much'
        """
        one = "one" if self.period == "run" else "run"
        planned = self.planned or Planned(0.0)
        spent = "" if self.period == "run" else f"{self.spent.usd:.2f} spent ({self.spent.source}) and "
        return (
            f"budget.usd: expected at most {self.limit:.2f} USD {_PER[self.period]}, found {spent}an estimate of "
            f"{planned.usd:.2f} (± {planned.error:.2f}) for this {one}, {self.excess:.2f} too much"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "limit": self.limit,
            "period": self.period,
            "spent": asdict(self.spent),
            "left": round(self.left, 6),
            "planned": asdict(self.planned) if self.planned else None,
            "excess": round(self.excess, 6),
        }


def period_start(period: str, now: datetime | None = None) -> float:
    """Return when a period began, s of the epoch.

    Examples
    --------
    >>> period_start("month", datetime(2025, 11, 20, 17, tzinfo=UTC)) == datetime(2025, 11, 1, tzinfo=UTC).timestamp()
    True
    """
    if period != "month":
        return 0.0
    return (now or datetime.now(UTC)).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()


def spent_so_far(period: str, figures: Figures, patience: float = PATIENCE) -> Spent:
    """Say what a period has cost so far.

    Parameters
    ----------
    period : {'month', 'run', 'total'}
    figures : Figures
    patience : float
        Seconds that AWS has to answer.

    Returns
    -------
    Spent
        Of ``run`` nothing, as every run begins anew.

    Examples
    --------
    >>> spent_so_far("month", Figures(None, None, lambda since: 3.0, lambda: (5.0, "AWS Budgets"))).source
    'AWS Budgets'
    """
    if period == "run":
        return Spent(0.0, "every run counts by itself")
    ledger = figures.ledger(period_start(period))
    if period != "month" or figures.account is None:
        return Spent(ledger, LEDGER, ledger)
    answer, trouble = _ask(figures.account, patience)
    if answer is None:
        return Spent(ledger, LEDGER, ledger, trouble)
    usd, source = answer
    if ledger > usd:
        return Spent(ledger, f"{LEDGER}; {source}, up to a day late, has {usd:.2f}", ledger)
    return Spent(usd, source, ledger)


def _ask(
    account: Callable[[], tuple[float, str] | None], patience: float
) -> tuple[tuple[float, str] | None, str | None]:
    """Ask AWS, and wait no longer than that; return the answer, or why there is none."""
    answers: list[tuple[float, str] | None] = []
    troubles: list[str] = []

    def ask() -> None:
        try:
            answers.append(account())
        except HippflowError as error:
            troubles.append(str(error))
        except Exception as error:  # noqa: BLE001 - the ledger answers in its place, whatever it is
            troubles.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=ask, daemon=True)  # one that hangs does not keep the process alive
    thread.start()
    thread.join(patience)
    if answers:
        return answers[0], None
    return None, troubles[0] if troubles else f"no answer within {patience:g} s"


def hold(budget: dict[str, Any], figures: Figures, jobs: list[PlannedJob] | None) -> Standing:
    """Hold what is spent, and what some jobs would cost, against the budget.

    Parameters
    ----------
    budget : dict
        ``budget`` of the configuration, with ``usd``.
    figures : Figures
    jobs : list of PlannedJob or None
        What is to come, None where that is not known.

    Returns
    -------
    Standing

    Raises
    ------
    HippflowError
        What the jobs would cost cannot be said; the message says why.
    """
    planned = None if jobs is None else figures.estimate(jobs)
    if planned is not None and not planned.billed:
        return Standing(float(budget["usd"]), budget["period"], Spent(0.0, "not asked: nothing is billed"), planned)
    return Standing(float(budget["usd"]), budget["period"], spent_so_far(budget["period"], figures), planned)


def workflow_figures(
    config: dict[str, Any], state: str | Path, command: list[str] | None = None, folder: str | Path = "."
) -> Figures:
    """Return the figures of a workflow: price table, benchmarks, ledger, and AWS where there is a key for it.

    Parameters
    ----------
    config : dict
        The complete configuration.
    state : path
        Where runs keep what they know of each other, with the ledger.
    command : list of str, optional
        How the run is started; without it, as on the cluster.
    folder : path
        Where the workflow runs.

    Raises
    ------
    ConfigError
        The price table or the cluster's file cannot be used.
    """
    from hippflow.cost.bill import bill
    from hippflow.cost.estimate import estimate
    from hippflow.cost.history import load_history
    from hippflow.cost.ledger import spent
    from hippflow.cost.prices import load_prices
    from hippflow.cost.site import cost_settings

    prices = load_prices((config.get("cost") or {}).get("prices"))
    settings = cost_settings(config, prices, folder, command)

    def price(jobs: list[PlannedJob]) -> Planned:
        found = estimate(jobs, load_history(folder, state), prices, settings)
        return Planned(found.usd, found.error, found.billed)

    return Figures(
        price,
        lambda run: bill(run, config["results"], prices, settings).usd,
        lambda since: spent(Path(state), since),
        aws_account(),
    )


def aws_account() -> Callable[[], tuple[float, str] | None] | None:
    """Return what asks AWS for the month's costs, None where there is no library of AWS."""
    if find_spec("boto3") is None:
        return None

    def ask() -> tuple[float, str] | None:
        from hippflow.cloud.aws_budgets import has_credentials, month_to_date

        return month_to_date() if has_credentials() else None

    return ask


def check_budget(budget: dict[str, Any]) -> None:
    """Check that there is a budget.

    Raises
    ------
    ConfigError
        ``budget.usd`` is not set.
    """
    if budget.get("usd") is None:
        raise ConfigError(
            "config.yaml: budget.usd: expected what may be spent, in USD, found none; set it, and budget.period to "
            f"{', '.join(_PER)}"
        )


def snakemake_command() -> list[str]:
    """Return how this process was started, as it is typed."""
    return ["snakemake", *sys.argv[1:]]
