"""Time and cost: what every rule took for this day, from its jobs' benchmarks, and what that costs on the cluster."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hippflow.cost.model import Work, account_for
from hippflow.cost.observations import base_rule
from hippflow.cost.prices import load_prices
from hippflow.cost.site import cost_settings
from hippflow.day.products import BESIDE
from hippflow.errors import HippflowError
from hippflow.report.material import Material, Section
from hippflow.report.overview import MADE
from hippflow.report.rendering import render


def section(material: Material) -> Section | None:
    """Make the section; None where no job left a benchmark."""
    rules: dict[str, dict[str, Any]] = {}
    work = []
    for rule, path in _benchmarks(material):
        for row in _rows(path):
            wall, cpu, memory = (_number(row.get(name)) for name in ("s", "cpu_time", "max_rss"))
            found = rules.setdefault(
                rule, {"rule": rule, "jobs": 0, "wall": 0.0, "cpu": 0.0, "slowest": 0.0, "mb": 0.0}
            )
            found["jobs"] += 1
            found["wall"] += wall or 0.0
            found["cpu"] += cpu or 0.0
            found["slowest"] = max(found["slowest"], wall or 0.0)
            found["mb"] = max(found["mb"], memory or 0.0)
            work.append((rule, cpu or 0.0, wall or 0.0))
    if not rules:
        return None
    dollars, said = _price(material, work)
    rows = sorted(rules.values(), key=lambda row: (-row["wall"], row["rule"]))
    most = max(row["wall"] for row in rows) or 1.0
    for row in rows:
        row |= {"what": MADE.get(row["rule"], ""), "usd": dollars.get(row["rule"]), "width": 100 * row["wall"] / most}
    total = {key: sum(row[key] for row in rows) for key in ("jobs", "wall", "cpu")}
    total |= {"mb": max(row["mb"] for row in rows), "usd": sum(dollars.values()) if dollars else None}
    return Section("Time and cost", "costs", [], render("costs.html.j2", rows=rows, total=total, said=said))


def _benchmarks(material: Material) -> Iterator[tuple[str, Path]]:
    """Yield rule and table of every job of the day."""
    for folder in sorted((material.results / "benchmarks").glob("*")):
        rule = base_rule(folder.name)
        if rule in BESIDE:  # a page must not depend on how long it took to make the one before
            continue
        place = folder / material.name
        for path in [place.with_suffix(".tsv"), *sorted(place.rglob("*.tsv"))]:
            if path.exists():
                yield rule, path


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _number(text: str | None) -> float | None:
    """Return a number of a benchmark; Snakemake writes '-' or 'NA' for what it could not measure."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _price(material: Material, work: list[tuple[str, float, float]]) -> tuple[dict[str, float], str]:
    """Return dollars by rule, and what they are the price of; nothing where prices cannot be read."""
    named = material.config.get("cost", {}).get("prices")
    own = material.folder / "resources/prices.yaml"
    try:
        prices = load_prices(material.folder / named if named else own if own.exists() else None)
        settings = cost_settings(material.config, prices, material.folder)
    except HippflowError as error:
        return {}, f"Not priced: {error}"
    jobs = [
        Work(rule, material.name, cpu, max(cpu, wall * settings["utilisation"]), f"{rule}-{k}")
        for k, (rule, cpu, wall) in enumerate(work)
    ]
    account = account_for(jobs, prices, settings)
    queue = account.lines[0]
    said = (
        f"CPU time on {queue.instance} ({queue.market.replace('_', '-')}, {settings['region']}) at prices of "
        f"{prices.date}, without the start of nodes, the head node and storage. "
        "On a machine of your own nothing is billed."
    )
    return {rule: row.usd for (rule,), row in account.by("rule").items()}, said
