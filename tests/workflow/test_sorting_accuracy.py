"""Accuracy of the sorting on a demo day, through the workflow's own steps, beside MountainSort5 called directly."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import sorting_accuracy


def test_sorting_is_at_least_as_accurate_as_mountainsort5_called_directly(record_property):
    table = sorting_accuracy.score_demo_day(seed=54, n_channels=24, seconds=60)
    means = {name: table[name].mean() for name in sorting_accuracy.WAYS}
    record_property("accuracy", f"{means}, of {len(table)} units")
    print(f"mean unit accuracy {means}, {len(table)} units")
    assert len(table) > 25
    direct = means["mountainsort5, called directly"]
    assert means["mountainsort5, five starts"] >= direct
    assert means["ours"] >= direct + 0.02
