"""What a person decided about units: labels, merges and removals, applied to a sorting and its quality labels.

What this does: holds the decisions, joins units, and lets labels override what the metrics say.

What it does not: read curation files (:mod:`hippflow.ephys.curation_format`), or split units:
a unit that is two needs another sorting.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from hippflow.ephys.sorting import Sorting


@dataclass(frozen=True)
class Curation:
    """Decisions about the units of one sorting.

    Attributes
    ----------
    labels : dict of int to str
        "good", "multi-unit" or "noise" by unit.
    merges : tuple of tuple of int
        Units that are one, each group ascending; it keeps the smallest number.
    removed : tuple of int
        Units that are noise.
    """

    labels: dict[int, str] = field(default_factory=dict)
    merges: tuple[tuple[int, ...], ...] = ()
    removed: tuple[int, ...] = ()


def apply_merges(sorting: Sorting, merges: Iterable[Sequence[int]]) -> Sorting:
    """Join units under the smallest number of each group; a sample that two of them have is one spike.

    Examples
    --------
    >>> found = Sorting(np.array([5, 9, 9, 20]), np.array([1, 2, 3, 3]), np.empty((0, 2), np.int64), 1.0, 4.0)
    >>> merged = apply_merges(found, [(2, 3)])
    >>> merged.samples.tolist(), merged.labels.tolist()
    ([5, 9, 20], [1, 2, 2])
    """
    samples, labels = sorting.samples, sorting.labels.copy()
    for group in merges:
        labels[np.isin(labels, group)] = min(group)
        own = np.flatnonzero(labels == min(group))
        twice = own[1:][np.diff(samples[own]) == 0]
        samples, labels = np.delete(samples, twice), np.delete(labels, twice)
    return replace(sorting, samples=samples, labels=labels)


def apply_labels(automatic: pd.Series, curation: Curation) -> pd.DataFrame:
    """Let decisions override what the metrics say.

    Parameters
    ----------
    automatic : Series of str
        Quality by unit, of the units that are left after merging.
    curation : Curation

    Returns
    -------
    DataFrame
        Index of `automatic`; ``quality``, ``automatic_quality``, ``curated`` (bool: quality is a decision) and
        ``merged`` (the units that this one was joined from, ``2 4``; empty for most).
    """
    labels = dict(curation.labels)
    for group in curation.merges:
        said = [labels.pop(unit) for unit in group if unit in labels]
        labels |= dict.fromkeys(group[:1], said[0]) if said else {}
    labels |= dict.fromkeys(curation.removed, "noise")
    merged = {group[0]: " ".join(map(str, group)) for group in curation.merges}
    return pd.DataFrame(
        {
            "quality": [labels.get(unit, quality) for unit, quality in automatic.items()],
            "automatic_quality": automatic.to_list(),
            "curated": [unit in labels for unit in automatic.index],
            "merged": [merged.get(unit, "") for unit in automatic.index],
        },
        index=automatic.index,
        dtype=object,
    )


def merges_of(units: pd.DataFrame) -> list[tuple[int, ...]]:
    """Return the groups of units that were joined, from ``units.csv``; tables of before curation have no such column.

    Examples
    --------
    >>> merges_of(pd.DataFrame({"quality": ["good", "noise"], "merged": [None, "2 4"]}, index=[1, 2]))
    [(2, 4)]
    """
    if "merged" not in units:
        return []
    return [tuple(map(int, text.split())) for text in units["merged"].dropna() if text]
