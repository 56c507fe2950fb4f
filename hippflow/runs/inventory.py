"""What of a results tree is there, missing, stale or unfinished, from files' times and Snakemake's own records.

Reads ``.snakemake/metadata`` and ``.snakemake/incomplete`` (Snakemake 9's records in files); makes
no DAG, so that 45 days of 124 channels take seconds. A product counts as stale for the same
reasons as in a dry run: an input is newer, missing or stale itself, or other inputs or settings
than those it was made with. That the workflow's code has changed is not looked at.
"""

import hashlib
import json
import os
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hippflow.day.dependencies import Dependencies
from hippflow.day.products import Product, Products

#: Longest part of a record's path; longer names are divided.
_PART = 254

#: What is the matter with a product that is not simply there, worst first.
STATES = ("failed", "missing", "unfinished", "stale")


@dataclass
class Group:
    """The products of one rule of one day, session, or two-photon recording.

    Attributes
    ----------
    owner : str
        ``subject/day``, or ``subject/day/session01``.
    kind : str
        The rule.
    there : int
        Products that need nothing.
    products : dict of str to list of Product
        The others, by state (:data:`STATES`).
    reasons : dict of str to int
        Why they are in it, and how many are.
    """

    owner: str
    kind: str
    there: int = 0
    products: dict[str, list[Product]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def expected(self) -> int:
        """Number of all products."""
        return self.there + sum(map(len, self.products.values()))

    @property
    def open(self) -> list[Product]:
        """All products that are to be made."""
        return [product for state in STATES for product in self.products.get(state, [])]

    @property
    def day(self) -> str:
        """``subject/day`` of the group."""
        return "/".join(self.owner.split("/")[:2])


class Records:
    """Snakemake's records of the products below a folder.

    Parameters
    ----------
    folder : path
        Where the workflow runs; it has ``.snakemake``.
    """

    def __init__(self, folder: str | Path):
        self._metadata, self._incomplete = (f"{folder}/.snakemake/{name}" for name in ("metadata", "incomplete"))
        self._any_incomplete = os.path.isdir(self._incomplete) and any(os.scandir(self._incomplete))

    @staticmethod
    def _name(path: str) -> str:
        code = urlsafe_b64encode(path.encode()).decode()
        parts = [code[k : k + _PART] for k in range(0, len(code), _PART)]
        return "/".join([*("@" + part for part in parts[:-1]), parts[-1]])

    def is_unfinished(self, path: str) -> bool:
        """Whether the job that makes a product was killed."""
        return self._any_incomplete and os.path.exists(f"{self._incomplete}/{self._name(path)}")

    def of(self, path: str) -> dict[str, Any]:
        """Return what Snakemake wrote down when a product was made: `input`, `params`, `input_checksums`.

        Empty where there is no whole record; Snakemake then does not compare either.
        """
        try:
            with open(f"{self._metadata}/{self._name(path)}", "rb") as file:
                return json.load(file)
        except (FileNotFoundError, ValueError):
            return {}


def _modified(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


class _Judge:
    """Judges products of one catalog; every file is looked at once."""

    def __init__(self, products: Products, records: Records):
        self._dependencies, self._records = Dependencies(products), records
        self._times: dict[str, float | None] = {}
        self._settings: dict[str, list[str]] = {}
        self._states: dict[str, str] = {}

    def _time(self, path: str) -> float | None:
        if path not in self._times:
            self._times[path] = _modified(path)
        return self._times[path]

    def _settings_of(self, product: Product) -> list[str]:
        # settings are the same for all products of a rule but for these
        own = ("rplparallel", "freqspectrum", "edfsplit", "report", "nwb")
        key = product.path if product.kind in own else product.kind
        if key not in self._settings:
            self._settings[key] = sorted(map(repr, self._dependencies.settings(product)))
        return self._settings[key]

    def judge(self, product: Product) -> tuple[str, str]:
        """Return state and reason; the products that it is made from must have been judged before."""
        state, reason = self._judge(product)
        self._states[product.path] = state
        return state, reason

    def _judge(self, product: Product) -> tuple[str, str]:
        made = self._time(product.path)
        if made is None:
            return "missing", "it was never made, or deleted"
        if self._records.is_unfinished(product.path):
            return "unfinished", "the job that makes it was killed"
        inputs, record = self._dependencies.inputs(product), self._records.of(product.path)
        for path in inputs:
            state = self._states.get(path, "there")
            if state != "there":
                return "stale", f"{Path(path).name}, which it is made from, is {state}"
            changed = self._time(path)
            if changed is not None and changed > made and not self._is_same(path, record):
                return "stale", f"{Path(path).name}, which it is made from, is newer"
        if record and sorted(record["input"]) != sorted(inputs):
            return "stale", "it was made from other files"
        if record and record["params"] != self._settings_of(product):
            return "stale", "it was made with other settings"
        return "there", ""

    @staticmethod
    def _is_same(path: str, record: dict[str, Any]) -> bool:
        """Whether a file that is newer has the content of before; Snakemake keeps the checksums of small ones."""
        before = (record.get("input_checksums") or {}).get(path)
        if before is None:
            return False
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        return before in (f"sha256:{digest}", digest)


#: Rules in the order in which products are made from each other.
_ORDER = [
    "rplparallel", "rplsplit", "rpllfp", "rplhighpass", "freqspectrum", "signal_quality",
    "sorting", "units", "spiketrain",
    "unity", "edfsplit", "aligned", "raycast", "umaze", "placefield",
    "movie", "registration", "suite2p", "kmeans", "figure5", "projections",
    "channels", "report", "nwb",
]  # fmt: skip


def take_inventory(
    products: Products, folder: str | Path, failed: dict[str, str] | None = None, days: list[str] | None = None
) -> Iterator[list[Group]]:
    """Look at all products that a configuration asks for.

    Parameters
    ----------
    products : Products
    folder : path
        Where the workflow runs.
    failed : dict of str to str, optional
        Products whose job failed in the last run, and why.
    days : list of str, optional
        Only these, ``subject/day``.

    Yields
    ------
    list of Group
        Of one day each, in the order of the catalog; within it by session and by rule.
    """
    judge = _Judge(products, Records(folder))
    for day in products.catalog.days if days is None else days:
        groups: dict[tuple[str, str], Group] = {}
        for product in sorted(products.of_day(day), key=lambda product: _ORDER.index(product.kind)):
            key = (product.owner, product.kind)
            group = groups.setdefault(key, Group(*key))
            state, reason = judge.judge(product)
            if state == "there":
                group.there += 1
                continue
            if failed and product.path in failed:
                state, reason = "failed", failed[product.path]
            group.products.setdefault(state, []).append(product)
            group.reasons[reason] += 1
        yield [groups[key] for key in sorted(groups, key=lambda key: (key[0] != day, key[0], _ORDER.index(key[1])))]


def remedy(groups: list[Group]) -> str | None:
    """Return targets of the workflow that make what is open in some groups of one day; None if nothing is.

    Examples
    --------
    >>> group = Group("picasso/20181105/session01", "rpllfp")
    >>> group.products["missing"] = [Product("rpllfp", "results/p/rpllfp_6eca.hkl", group.owner, 9)]
    >>> remedy([group])
    'channel/20181105/009'
    """
    open_ = [product for group in groups for product in group.open]
    if not open_:
        return None
    date = groups[0].day.split("/")[1]
    channels = sorted({product.channel for product in open_ if product.channel is not None})
    others = [product.path for product in open_ if product.channel is None]
    if len(channels) <= 4 and len(others) <= 3:
        return " ".join([f"channel/{date}/{number:03d}" for number in channels] + others)
    return f"day/{date}"
