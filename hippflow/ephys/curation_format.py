"""Curation files: SpikeInterface's format, short ones by hand, and what Phy keeps.

What this does: reads the content of a curation file (format 1 and 2, as spikeinterface-gui writes
it, sortingview's, or labels and merges by hand) and refuses what cannot be meant, by name; turns
clusters as Phy keeps them into such content.

What it does not: read or write files, or apply what they say (:mod:`hippflow.ephys.curation`).
"""

import re
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from hippflow.ephys.curation import Curation
from hippflow.errors import FormatError

#: What labels of curation tools mean here, in lower case.
LABELS = {
    "good": "good",
    "accept": "good",
    "multi-unit": "multi-unit",
    "multiunit": "multi-unit",
    "mua": "multi-unit",
    "noise": "noise",
    "reject": "noise",
    "artifact": "noise",
}

#: A label that says nothing.
UNSORTED = "unsorted"

#: Name of the category of labels that is a unit's quality.
CATEGORY = "quality"

#: Key of how many spikes each unit had when it was curated, which SpikeInterface leaves alone.
SPIKES = "num_spikes"

#: Keys of a short file by hand.
SHORT = ("labels", "merges", "removed", SPIKES)


def parse_curation(content: Any, units: Mapping[int, int], where: str) -> Curation:
    """Read the content of a curation file.

    Parameters
    ----------
    content : dict
        As JSON has it. Of several categories of labels, ``quality`` counts.
    units : mapping of int to int
        Number of spikes of the sorting's units. A file that has them, too, must be of this sorting.
    where : str
        The file, for messages.

    Returns
    -------
    Curation

    Raises
    ------
    FormatError
        Unknown units, labels, keys or versions, merges that overlap or are of removed units, splits, a file of
        another sorting.

    Examples
    --------
    >>> units = {1: 90, 2: 40, 3: 77, 4: 12}
    >>> parse_curation({"labels": {"1": "good", "3": "mua"}, "merges": [[4, 2]]}, units, "curation.json")
    Curation(labels={1: 'good', 3: 'multi-unit'}, merges=((2, 4),), removed=())
    """
    reader = _Reader(sorted(units), where)
    if not isinstance(content, dict):
        reader.refuse("labels, merges and removed, or SpikeInterface's curation format", f"{content!r:.60}")
    short = "format_version" not in content and "labelsByUnit" not in content
    if short:
        unknown = [key for key in content if key not in SHORT]
        if unknown:
            reader.refuse(f"the keys {', '.join(SHORT)}, or format_version", f"{unknown[0]!r}")
        given = _mapping(reader, content.get("labels"), "labels")
        merges, removed = content.get("merges"), content.get("removed")
    else:
        given, merges, removed = _of_spikeinterface(reader, content)
    for name, count in _mapping(reader, content.get(SPIKES), SPIKES).items():
        if units[unit := reader.unit(name)] != count:
            reader.refuse(f"{units[unit]} spikes of unit {unit}", f"{count}: it is of another sorting")
    labels = {}
    for name, texts in given.items():
        unit, label = reader.unit(name), reader.label(name, texts)
        if label and labels.setdefault(unit, label) != label:
            reader.refuse("one label for a unit", f"{labels[unit]} and {label} for unit {unit}")
    gone = tuple(sorted(reader.unit(unit) for unit in _list(reader, removed, "removed units")))
    curation = Curation(labels, reader.merges(merges), gone)
    _check_merges(reader, curation)
    return curation


def curation_of_clusters(
    units: np.ndarray, clusters: np.ndarray, groups: Mapping[int, str], where: str
) -> dict[str, Any]:
    """Turn clusters that were merged and labelled in Phy into the content of a curation file, format 2.

    Parameters
    ----------
    units : ndarray of int, (n,)
        Unit of each spike in the sorting.
    clusters : ndarray of int, (n,)
        Cluster of each spike after curation.
    groups : mapping of int to str
        Label of the clusters that have one: good, mua, noise, unsorted.
    where : str
        The folder, for messages.

    Returns
    -------
    dict

    Raises
    ------
    FormatError
        A unit's spikes are in several clusters, or a label is unknown.

    Examples
    --------
    >>> content = curation_of_clusters(np.array([1, 2, 3]), np.array([0, 7, 7]), {0: "good"}, "phy")
    >>> content["manual_labels"], content["merges"]
    ([{'unit_id': 1, 'labels': {'quality': ['good']}}], [{'unit_ids': [2, 3]}])
    """
    reader = _Reader(np.unique(units).tolist(), where)
    pairs = sorted(set(zip(units.tolist(), clusters.tolist(), strict=True)))
    of_unit: dict[int, list[int]] = {}
    of_cluster: dict[int, list[int]] = {}
    for unit, cluster in pairs:
        of_unit.setdefault(unit, []).append(cluster)
        of_cluster.setdefault(cluster, []).append(unit)
    for unit, found in of_unit.items():
        if len(found) > 1:
            reader.refuse_split(unit, f"its spikes are in clusters {', '.join(map(str, found))}")
    labels = []
    for cluster, members in of_cluster.items():
        label = reader.label(f"of cluster {cluster}", [groups[cluster]]) if cluster in groups else None
        labels += [{"unit_id": unit, "labels": {CATEGORY: [label]}} for unit in members if label]
    merges = sorted(members for members in of_cluster.values() if len(members) > 1)
    return {
        "format_version": "2",
        "unit_ids": reader.units,
        "label_definitions": {CATEGORY: {"label_options": ["good", "multi-unit", "noise"], "exclusive": True}},
        "manual_labels": sorted(labels, key=lambda row: row["unit_id"]),
        "merges": [{"unit_ids": members} for members in merges],
        "splits": [],
        "removed": [],
        SPIKES: {str(unit): int(np.count_nonzero(units == unit)) for unit in reader.units},
    }


class _Reader:
    """What all decisions are held to: the units that there are, the labels that are known."""

    def __init__(self, units: list[int], where: str):
        self.units, self._where = units, where

    def refuse(self, expected: str, found: str) -> NoReturn:
        raise FormatError(f"{self._where}: expected {expected}, found {found}; correct the file, or delete it")

    def refuse_split(self, unit: Any, found: str) -> NoReturn:
        raise FormatError(
            f"{self._where}: expected whole units, found a split of unit {unit} ({found}); a sorting is not split "
            "afterwards: undo the split, or sort with a lower detect_threshold or more n_features"
        )

    def unit(self, name: Any) -> int:
        """Return the unit that a file means, whose keys are text."""
        number = int(name) if isinstance(name, str | int) and re.fullmatch("[0-9]{1,18}", str(name)) else None
        if number not in self.units:
            there = ", ".join(map(str, self.units)) or "none"
            self.refuse(f"units of the sorting ({there})", f"unit {name!r}")
        return number

    def label(self, name: Any, texts: Any) -> str | None:
        """Return the quality that a unit's labels mean, None if they say nothing."""
        texts = texts if isinstance(texts, list) else [texts]
        found = {LABELS.get(str(text).lower(), str(text)) for text in texts if str(text).lower() != UNSORTED}
        unknown = sorted(found - set(LABELS.values()))
        if unknown or len(found) > 1:
            what = f"label {unknown[0]!r}" if unknown else f"labels {', '.join(sorted(found))}"
            self.refuse("one label, good, multi-unit (mua) or noise", f"{what} of unit {name}")
        return next(iter(found), None)

    def merges(self, groups: Any) -> tuple[tuple[int, ...], ...]:
        """Return groups of units, each as a list or as ``unit_ids``."""
        if isinstance(groups, dict):
            groups = list(groups.values())
        found = []
        for group in _list(self, groups, "merges"):
            members = group["unit_ids"] if isinstance(group, dict) and "unit_ids" in group else group
            if not isinstance(members, list) or len(members) < 2:
                self.refuse("merges of two units or more, as [[2, 4]]", f"{group!r}")
            found.append(tuple(sorted({self.unit(unit) for unit in members})))
            if len(found[-1]) < len(members):
                self.refuse("merges of different units", f"one twice in {group!r:.60}")
        return tuple(sorted(found))


def _mapping(reader: _Reader, value: Any, name: str) -> dict[Any, Any]:
    if value is not None and not isinstance(value, dict):
        reader.refuse(f"{name} by unit, as {{'1': ...}}", f"{value!r:.60}")
    return value or {}


def _list(reader: _Reader, value: Any, name: str) -> list[Any]:
    if value is not None and not isinstance(value, list):
        reader.refuse(f"a list of {name}", f"{value!r:.60}")
    return value or []


def _of_spikeinterface(reader: _Reader, content: dict[str, Any]) -> tuple[dict[Any, Any], Any, Any]:
    """Return labels by unit, merges and removed units of format 0 (sortingview), 1 or 2."""
    if "labelsByUnit" in content:
        return _mapping(reader, content["labelsByUnit"], "labelsByUnit"), content.get("mergeGroups"), None
    version = str(content["format_version"])
    if version not in ("1", "2"):
        reader.refuse("format_version 1 or 2", f"{version!r}")
    listed = {reader.unit(unit) for unit in _list(reader, content.get("unit_ids"), "unit_ids") or reader.units}
    if listed != set(reader.units):
        missing = sorted(set(reader.units) - listed)
        reader.refuse("all units of the sorting in unit_ids", f"none of {missing}: it is of another sorting")
    splits = content.get("splits") or []
    if not isinstance(splits, list | dict):  # a list of rows, or a dictionary by unit
        reader.refuse("a list of splits", f"{splits!r:.60}")
    for split in splits:
        reader.refuse_split(split.get("unit_id") if isinstance(split, dict) else split, "in splits")
    categories = list(_mapping(reader, content.get("label_definitions"), "label_definitions"))
    category = categories[0] if len(categories) == 1 else CATEGORY
    labels: dict[Any, Any] = {}
    for row in _list(reader, content.get("manual_labels"), "manual_labels"):
        if not isinstance(row, dict) or not isinstance(row.get("labels", {}), dict):
            reader.refuse("unit_id and labels in every row of manual_labels", f"{row!r:.60}")
        unit = reader.unit(row.get("unit_id"))
        if unit in labels:
            reader.refuse("one row of manual_labels for a unit", f"two of unit {unit}")
        labels[unit] = row.get("labels", row).get(category) or []
    merges = content.get("merges") or content.get("merge_unit_groups")
    return labels, merges, content.get("removed") or content.get("removed_units")


def _check_merges(reader: _Reader, curation: Curation) -> None:
    """Check that no unit is in two merges or in one and removed, and that labels of merged units agree."""
    taken: set[int] = set()
    for group in curation.merges:
        for unit in group:
            if unit in taken:
                reader.refuse("every unit in one merge at most", f"unit {unit} in two")
            if unit in curation.removed:
                reader.refuse("units that are merged or removed", f"unit {unit}, which is both")
        taken |= set(group)
        said = {unit: curation.labels[unit] for unit in group if unit in curation.labels}
        if len(set(said.values())) > 1:
            text = " and ".join(f"{label} for unit {unit}" for unit, label in said.items())
            reader.refuse("one label for units that are merged", text)
