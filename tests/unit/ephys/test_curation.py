"""Curation of units: against what SpikeInterface's own model and apply_curation make of the same files."""

import numpy as np
import pandas as pd
import pytest
from spikeinterface.core import NumpySorting
from spikeinterface.curation import apply_curation
from spikeinterface.curation.curation_model import Curation as SpikeInterfaceCuration

from hippflow.ephys.curation import Curation, apply_labels, apply_merges
from hippflow.ephys.curation_format import curation_of_clusters, parse_curation
from hippflow.ephys.sorting import Sorting
from hippflow.errors import FormatError

UNITS = [1, 2, 3, 4, 5]
COUNTS = {1: 90, 2: 80, 3: 70, 4: 60, 5: 50}
DEFINITIONS = {"quality": {"label_options": ["good", "MUA", "noise"], "exclusive": True}}
DEFINITIONS |= {"putative_type": {"label_options": ["pyramidal", "interneuron"], "exclusive": True}}
GUI = {
    "format_version": "2",
    "unit_ids": UNITS,
    "label_definitions": DEFINITIONS,
    "manual_labels": [
        {"unit_id": 1, "labels": {"quality": ["good"], "putative_type": ["pyramidal"]}},
        {"unit_id": 2, "labels": {"quality": ["MUA"]}},
        {"unit_id": 3, "labels": {"putative_type": ["interneuron"]}},
    ],
    "merges": [{"unit_ids": [4, 2], "new_unit_id": 9}],
    "splits": [],
    "removed": [5],
}
EXPECTED = Curation({1: "good", 2: "multi-unit"}, ((2, 4),), (5,))


def sorting(seed=0, n=400):
    rng = np.random.default_rng(seed)
    samples = np.sort(rng.choice(90_000, n, replace=False))
    return Sorting(samples, rng.integers(1, 6, n), np.empty((0, 2), np.int64), 5.0, 20.0)


@pytest.mark.parametrize(
    "content",
    [
        GUI,
        SpikeInterfaceCuration(**GUI).model_dump(),
        {
            "format_version": "1",
            "unit_ids": UNITS,
            "label_definitions": DEFINITIONS,
            "manual_labels": [{"unit_id": 1, "quality": ["good"]}, {"unit_id": 2, "quality": ["MUA"]}],
            "merge_unit_groups": [[2, 4]],
            "removed_units": [5],
        },
        {"labels": {"1": "good", "2": "mua", "3": "unsorted"}, "merges": [[4, 2]], "removed": [5]},
    ],
    ids=["gui", "model", "version 1", "by hand"],
)
def test_all_formats_say_the_same(content):
    assert parse_curation(content, COUNTS, "curation.json") == EXPECTED


def test_what_sortingview_writes_is_read():
    content = {"labelsByUnit": {"1": ["accept"], "2": ["mua"], "3": ["reject"]}, "mergeGroups": [[2, 4]]}
    found = parse_curation(content, COUNTS, "curation.json")
    assert found == Curation({1: "good", 2: "multi-unit", 3: "noise"}, ((2, 4),), ())


def test_merged_trains_are_those_of_spikeinterface():
    before = sorting()
    merges = [{"unit_ids": [2, 4], "new_unit_id": 2}, {"unit_ids": [3, 5], "new_unit_id": 3}]
    theirs = apply_curation(
        NumpySorting.from_samples_and_labels([before.samples], [before.labels], 30_000),
        GUI | {"removed": [], "merges": merges},
    )
    ours = apply_merges(before, ((2, 4), (3, 5)))
    assert sorted(theirs.unit_ids.tolist()) == np.unique(ours.labels).tolist() == [1, 2, 3]
    for unit in (1, 2, 3):
        assert ours.samples[ours.labels == unit].tolist() == theirs.get_unit_spike_train(unit).tolist()
    assert before.labels.tolist() == sorting().labels.tolist()


def test_a_sample_that_both_units_have_is_one_spike():
    before = Sorting(np.array([10, 20, 20, 30]), np.array([1, 1, 2, 2]), np.empty((0, 2), np.int64), 5.0, 20.0)
    merged = apply_merges(before, [(1, 2)])
    assert (merged.samples.tolist(), merged.labels.tolist()) == ([10, 20, 30], [1, 1, 1])
    assert (before.samples.tolist(), before.labels.tolist()) == ([10, 20, 20, 30], [1, 1, 2, 2])


def test_decisions_override_metrics_and_the_table_says_so():
    automatic = pd.Series(["noise", "good", "good", "good"], index=[1, 2, 3, 5], name="quality", dtype="str")
    table = apply_labels(automatic, EXPECTED)
    assert table["quality"].to_dict() == {1: "good", 2: "multi-unit", 3: "good", 5: "noise"}
    assert table["automatic_quality"].to_dict() == automatic.to_dict()
    assert table["curated"].to_dict() == {1: True, 2: True, 3: False, 5: True}
    assert table["merged"].to_dict() == {1: "", 2: "2 4", 3: "", 5: ""}


def test_the_label_of_any_merged_unit_is_that_of_all():
    automatic = pd.Series(["noise", "good"], index=[1, 2])
    assert apply_labels(automatic, Curation({4: "good"}, ((1, 4),)))["quality"].tolist() == ["good", "good"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": {"6": "good"}}, r"units of the sorting \(1, 2, 3, 4, 5\), found unit '6'"),
        ({"labels": {"one": "good"}}, "found unit 'one'"),
        ({"labels": {"1": "excellent"}}, "found label 'excellent' of unit 1"),
        ({"labels": {"1": ["good", "noise"]}}, "found labels good, noise of unit 1"),
        ({"labels": ["good"]}, "labels by unit"),
        ({"num_spikes": {"2": 81}}, "80 spikes of unit 2, found 81: it is of another sorting"),
        ({"merges": [[1, 2], [2, 3]]}, "found unit 2 in two"),
        ({"merges": [[1]]}, r"merges of two units or more, as \[\[2, 4\]\], found \[1\]"),
        ({"merges": [[1, 7]]}, "found unit 7"),
        ({"merges": [[1, 2]], "removed": [2]}, "found unit 2, which is both"),
        ({"merges": [[1, 2]], "labels": {"1": "good", "2": "noise"}}, "found good for unit 1 and noise for unit 2"),
        ({"removed": 3}, "a list of removed units, found 3"),
        ({"label": {"1": "good"}}, "found 'label'"),
        ([1, 2], r"found \[1, 2\]"),
        (GUI | {"format_version": "3"}, "format_version 1 or 2, found '3'"),
        (GUI | {"unit_ids": [1, 2, 4, 5], "manual_labels": []}, r"found none of \[3\]: it is of another sorting"),
        (GUI | {"unit_ids": [*UNITS, 6]}, "found unit 6"),
        (GUI | {"splits": [{"unit_id": 3, "mode": "indices", "indices": [[0]]}]}, r"found a split of unit 3"),
        (GUI | {"manual_labels": [7]}, "found 7"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(content, message):
    with pytest.raises(FormatError, match=rf"^curation.json: expected .*{message}"):
        parse_curation(content, COUNTS, "curation.json")


def test_clusters_of_phy_become_what_spikeinterface_reads():
    """Units 2 and 4 were merged into cluster 5, and labelled; 1 and 3 keep their clusters."""
    found = sorting()
    clusters = np.where(np.isin(found.labels, (2, 4)), 5, found.labels - 1)
    groups = {0: "good", 2: "unsorted", 4: "noise", 5: "mua", 1: "good"}  # of cluster 1 nothing is left
    content = curation_of_clusters(found.labels, clusters, groups, "phy")
    model = SpikeInterfaceCuration(**content)
    assert [merge.unit_ids for merge in model.merges] == [[2, 4]]
    labels = {row.unit_id: row.labels["quality"] for row in model.manual_labels}
    assert labels == {1: ["good"], 2: ["multi-unit"], 4: ["multi-unit"], 5: ["noise"]}
    expected = Curation({1: "good", 2: "multi-unit", 4: "multi-unit", 5: "noise"}, ((2, 4),))
    counts = dict(zip(*(part.tolist() for part in np.unique(found.labels, return_counts=True)), strict=True))
    assert content["num_spikes"] == {str(unit): count for unit, count in counts.items()}
    assert parse_curation(content, counts, "curation.json") == expected
    with pytest.raises(FormatError, match=f"expected {counts[3] + 1} spikes of unit 3, found {counts[3]}: it is of an"):
        parse_curation(content, counts | {3: counts[3] + 1}, "curation.json")


def test_a_split_in_phy_is_refused_by_its_unit():
    units = np.array([1, 1, 2])
    with pytest.raises(FormatError, match=r"^phy: expected whole units, found a split of unit 1 .* clusters 3, 4"):
        curation_of_clusters(units, np.array([3, 4, 1]), {}, "phy")
    with pytest.raises(FormatError, match="label 'nice' of unit of cluster 1"):
        curation_of_clusters(units, np.array([0, 0, 1]), {1: "nice"}, "phy")
