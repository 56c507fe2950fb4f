"""What the sections of a report are made of: a day's products, what was recorded, and what is missing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hippflow.cost.observations import base_rule
from hippflow.day.catalog import Catalog, Session
from hippflow.day.products import BESIDE, Product, Products
from hippflow.reading.day import Day
from hippflow.runs.record import last_words


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Attributes
    ----------
    title, anchor : str
        Heading, and the name that links lead to.
    problems : list of str
        What a reader must know before he trusts the day, a sentence each; they stand on top of the page.
    html : str
    data : dict
        For the page's script, as :func:`hippflow.report.packing.plain` makes it.
    """

    title: str
    anchor: str
    problems: list[str]
    html: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """Why a product is not there.

    Attributes
    ----------
    error : str
        In a line.
    lines : list of str
        The end of the job's log.
    """

    error: str
    lines: list[str]


@dataclass(frozen=True)
class Material:
    """One day, for its report.

    Attributes
    ----------
    day : Day
        Its products.
    catalog : Catalog
        What was recorded on this day, and nothing of other days.
    config : dict
        The configuration; see :func:`hippflow.day.products.report_settings` for the blocks that it must have.
    failures : dict of str to Failure
        Why products were not made, as far as a run knows it. Logs are looked at for the others.
    folder : Path
        The workflow's, to which paths are relative.
    """

    day: Day
    catalog: Catalog
    config: dict[str, Any]
    failures: dict[str, Failure] = field(default_factory=dict)
    folder: Path = Path()

    @property
    def name(self) -> str:
        """``subject/day``."""
        return f"{self.day.subject}/{self.day.date}"

    @property
    def results(self) -> Path:
        """Root of the results."""
        return self.day.folder.parent.parent

    @cached_property
    def expected(self) -> list[Product]:
        """Everything that is made of the day, whether it is there or not."""
        whole = {"channels": "all", "sessions": "all", "nwb": {"enable": False}}
        products = Products(self.config | whole, self.catalog)
        return [product for product in products.of_day(self.name) if product.kind not in BESIDE]

    @cached_property
    def missing(self) -> list[Product]:
        """What of it is not there."""
        return [product for product in self.expected if not (self.folder / product.path).exists()]

    def lacks(self, *kinds: str, owner: str | None = None) -> list[Product]:
        """Return the missing products of some rules, of one session or recording or of all."""
        return [p for p in self.missing if p.kind in kinds and owner in (None, p.owner)]

    def expects(self, *kinds: str, owner: str | None = None) -> bool:
        """Whether some rules make anything of this day."""
        return any(p.kind in kinds and owner in (None, p.owner) for p in self.expected)

    def failure(self, product: Product) -> Failure | None:
        """Say why a product is missing, from the record of the run or from the log of its job; None without either."""
        if product.path in self.failures:
            return self.failures[product.path]
        error, lines = last_words([str(path) for path in self._logs(product)])
        return Failure(error, lines) if error else None

    def _logs(self, product: Product) -> list[Path]:
        """Return where the job of a product would write its log."""
        place = Path(product.owner)
        folder = Path(product.path).parent.name
        if product.kind in ("sorting", "units"):
            place /= folder
        elif product.channel is not None and product.kind != "rplsplit":
            place /= f"{Path(product.path).parent.parent.name}/{folder}"
        elif product.kind in ("registration", "suite2p", "kmeans", "figure5"):
            place /= folder
        if product.kind == "freqspectrum":
            place = place.with_name(f"{folder}_{Path(product.path).stem.rpartition('_')[2]}")
        rules = sorted((self.results / "logs").glob(f"{product.kind}*"))
        return [rule / f"{place}.log" for rule in rules if base_rule(rule.name) == product.kind]

    @cached_property
    def navigation(self) -> list[Session]:
        """The sessions in the maze."""
        return [session for session in self.catalog.sessions if session.name != "sessioneye"]

    def sessions_on_disk(self) -> Iterator[tuple[Session, Any]]:
        """Yield the recorded sessions that have products, with these."""
        for session in self.catalog.sessions:
            if session.name in self.day.sessions:
                yield session, self.day.sessions[session.name]


def absence(material: Material, *kinds: str, owner: str | None = None) -> list[dict[str, Any]]:
    """Say what of some rules is missing and why, a line for each rule and reason.

    Returns
    -------
    list of dict
        ``rule``, ``owner``, ``n``, ``of`` (how many there should be), ``why``, ``lines`` (the end of one job's log),
        ``examples``.
    """
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for product in material.lacks(*kinds, owner=owner) if kinds else material.missing:
        failure = material.failure(product)
        why = _short_error(failure.error) if failure else "its job did not run"
        group = groups.setdefault(
            (product.kind, product.owner, re.sub(r"\d+", "#", why)),  # one line for the same error on many channels
            {"rule": product.kind, "owner": product.owner, "n": 0, "why": why, "lines": [], "examples": []},
        )
        group["n"] += 1
        group["lines"] = group["lines"] or (failure.lines if failure else [])
        group["examples"].append(_short(product))
    for group in groups.values():
        group["of"] = sum(p.kind == group["rule"] and p.owner == group["owner"] for p in material.expected)
    # what failed explains what did not run
    return sorted(groups.values(), key=lambda group: (group["why"] == "its job did not run", group["owner"]))


def _short_error(error: str) -> str:
    return error if len(error) <= 300 else f"{error[:300]} ..."


def _short(product: Product) -> str:
    """Return the name of a product in its session."""
    name = Path(product.path).name
    return f"channel {product.channel:03d}: {name}" if product.channel is not None else name
