"""What some work costs, line by line: what an estimate and a bill are made of."""

from dataclasses import dataclass, field
from typing import Any

from hippflow.cost.prices import Prices


@dataclass
class Row:
    """The jobs of one rule on one day on nodes of one type.

    Attributes
    ----------
    hours : float
        Of nodes.
    usd, error : float
        Dollars, and how many more or fewer they may be.
    n_bytes : float
        Read from the volume and written to it.
    """

    rule: str
    day: str
    instance: str
    market: str
    jobs: int = 0
    cpu: float = 0.0
    hours: float = 0.0
    usd: float = 0.0
    error: float = 0.0
    basis: set[str] = field(default_factory=set)
    n_bytes: float = 0.0


@dataclass(frozen=True)
class Item:
    """Something else that is paid for.

    Attributes
    ----------
    amount : float
        Of `unit`.
    usd, error : float
        Dollars, and how many more or fewer they may be.
    monthly : bool
        Billed in every month, whatever runs, and in no sum.
    """

    what: str
    amount: float
    unit: str
    usd: float
    error: float = 0.0
    monthly: bool = False


@dataclass
class Account:
    """What some work costs.

    Attributes
    ----------
    lines : list of Row
        The jobs.
    items : list of Item
        Everything else.
    hours : float
        How long the run takes.
    billed : bool
        Whether it runs where it is paid for by the hour; otherwise the dollars are what it would cost there.
    """

    settings: dict[str, Any]
    prices: Prices
    lines: list[Row] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    hours: float = 0.0
    billed: bool = True

    @property
    def usd(self) -> float:
        """Dollars of the run, without what is billed by the month."""
        return sum(line.usd for line in self.lines) + sum(item.usd for item in self.items if not item.monthly)

    @property
    def error(self) -> float:
        """Dollars that it may be more or less; rules err in one direction, so their errors are added."""
        return sum(line.error for line in self.lines) + sum(item.error for item in self.items)

    @property
    def instance_hours(self) -> float:
        """Hours of nodes, their start and waiting included."""
        return sum(line.hours for line in self.lines) + sum(item.amount for item in self.items if item.unit == "node h")

    @property
    def cpu_hours(self) -> float:
        """CPU hours of the jobs."""
        return sum(line.cpu for line in self.lines) / 3600

    def by(self, *keys: str) -> dict[tuple[str, ...], Row]:
        """Add the lines up by some of ``rule``, ``day``, ``instance`` and ``market``; dearest first."""
        sums: dict[tuple[str, ...], Row] = {}
        for line in self.lines:
            key = tuple(getattr(line, name) for name in keys)
            names = {
                name: getattr(line, name) if name in keys else "" for name in ("rule", "day", "instance", "market")
            }
            row = sums.setdefault(key, Row(**names))
            row.jobs, row.cpu, row.hours = row.jobs + line.jobs, row.cpu + line.cpu, row.hours + line.hours
            row.usd, row.error, row.basis = row.usd + line.usd, row.error + line.error, row.basis | line.basis
            row.n_bytes += line.n_bytes
        return dict(sorted(sums.items(), key=lambda pair: (-pair[1].usd, pair[0])))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "usd": round(self.usd, 6),
            "usd_plus_minus": round(self.error, 6),
            "billed": self.billed,
            "hours": round(self.hours, 4),
            "instance_hours": round(self.instance_hours, 5),
            "cpu_hours": round(self.cpu_hours, 5),
            "region": self.settings["region"],
            "prices_of": self.prices.date,
            "lines": [
                {
                    "rule": line.rule,
                    "day": line.day,
                    "instance": line.instance,
                    "market": line.market,
                    "jobs": line.jobs,
                    "cpu_hours": round(line.cpu / 3600, 6),
                    "instance_hours": round(line.hours, 6),
                    "usd": round(line.usd, 6),
                    "usd_plus_minus": round(line.error, 6),
                    "from": sorted(line.basis),
                }
                for line in self.lines
            ],
            "items": [
                {"what": item.what, "amount": round(item.amount, 6), "unit": item.unit, "usd": round(item.usd, 6)}
                | ({"monthly": True} if item.monthly else {})
                for item in self.items
            ],
        }
