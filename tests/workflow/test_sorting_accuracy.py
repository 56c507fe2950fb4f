"""Accuracy of the sorting on a demo day, through the workflow's own steps, beside MountainSort5 called directly."""

import importlib.util
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "sorting_accuracy.py"


def test_sorting_is_at_least_as_accurate_as_mountainsort5_called_directly(record_property):
    spec = importlib.util.spec_from_file_location("sorting_accuracy", BENCHMARK)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    table = benchmark.compare(seed=54, n_channels=24, seconds=60)
    ours, direct = table["ours"].mean(), table["direct"].mean()
    record_property("accuracy", f"{ours:.3f}, directly {direct:.3f}, of {len(table)} units")
    print(f"mean unit accuracy {ours:.3f}, of MountainSort5 called directly {direct:.3f}, {len(table)} units")
    assert len(table) > 25
    assert ours >= direct
