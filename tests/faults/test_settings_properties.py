"""Properties of what reads the configuration, curation files and tables: taken as meant, or refused by name."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from corpus import REPOSITORY, UNITS
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hippflow.day.config import check_config, load_schema, read_config
from hippflow.errors import ConfigError, FormatError
from hippflow.io.tables import ANY, NUMBER, TEXT, WHOLE, read_table
from hippflow.steps.units import read_curation

LONG = os.environ.get("HIPPFLOW_LONG_FAULTS") == "1"
many = settings(
    max_examples=2000 if LONG else 25, deadline=None, derandomize=not LONG, suppress_health_check=list(HealthCheck)
)
SCHEMA = load_schema(REPOSITORY / "schemas/config.schema.yaml")


@pytest.fixture(scope="module")
def folder():
    """A folder of files that replace each other, in memory where there is one."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as path:
        yield Path(path)


_NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=15)


def _leaves(schema, prefix=()):
    for key, part in schema["properties"].items():
        if "properties" in part:
            yield from _leaves(part, (*prefix, key))
        else:
            yield (*prefix, key), part


NUMBERS = {
    ".".join(path): part
    for path, part in _leaves(SCHEMA)
    if part.get("type") in ("integer", "number") and path != ("rpllfp", "resample_rate")
}


def _nested(path, value):
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def _at(config, path):
    for key in path.split("."):
        config = config[key]
    return config


_NO_NUMBERS = (
    st.sampled_from([float("nan"), 10**400, float("inf"), -float("inf"), "many", [], [1], {}, {"a": 1}, True])
    | st.dates()
)


@many
@given(path=st.sampled_from(sorted(NUMBERS)), value=_NO_NUMBERS)
def test_what_is_no_number_is_refused_by_its_key(path, value):
    with pytest.raises(ConfigError) as refused:
        check_config(_nested(path, value), SCHEMA)
    assert path in str(refused.value)


@many
@given(
    path=st.sampled_from(sorted(NUMBERS)),
    value=st.integers(-50, 10**5) | st.integers(-50, 10**5).map(float) | st.floats(-1e6, 1e6),
)
def test_a_number_is_taken_as_it_is_or_refused_by_its_key(path, value):
    part = NUMBERS[path]
    low, high = part.get("minimum", -np.inf), part.get("maximum", np.inf)
    above, below = part.get("exclusiveMinimum", -np.inf), part.get("exclusiveMaximum", np.inf)
    whole = part["type"] != "integer" or float(value).is_integer()
    if low <= value <= high and above < value < below and whole and not value % part.get("multipleOf", 1):
        found = _at(check_config(_nested(path, value), SCHEMA), path)
        assert found == value and (part["type"] != "integer" or isinstance(found, int))
    elif not (low <= value <= high and above < value < below and whole):
        with pytest.raises(ConfigError) as refused:
            check_config(_nested(path, value), SCHEMA)
        assert path in str(refused.value)


@many
@given(key=_NAMES, block=st.sampled_from([None, "rpllfp", "sorting", "quality"]))
def test_an_unknown_key_is_refused_by_its_name(key, block):
    known = SCHEMA["properties"] if block is None else SCHEMA["properties"][block]["properties"]
    assume(key not in known)
    with pytest.raises(ConfigError) as refused:
        check_config({key: 1} if block is None else {block: {key: 1}}, SCHEMA)
    assert (key if block is None else f"{block}.{key}") in str(refused.value)


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.dates() | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@many
@given(content=st.dictionaries(st.sampled_from(sorted(SCHEMA["properties"])) | st.text(max_size=5), _ANY, max_size=4))
def test_a_configuration_of_anything_is_read_or_refused(folder, content):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    try:
        complete = read_config([path], [], SCHEMA)
    except ConfigError as error:
        assert "config.yaml" in str(error) or "suite2p" in str(error)
    else:
        assert complete.keys() == SCHEMA["properties"].keys()


@many
@given(
    labels=st.dictionaries(st.sampled_from(list(UNITS)), st.sampled_from(["good", "multi-unit", "noise"])),
    order=st.permutations(list(UNITS)),
    n_merged=st.sampled_from([0, 2, 3]),
    n_removed=st.integers(0, 1),
    spaces=st.sampled_from([None, 2]),
)
def test_any_curation_is_read_back(folder, labels, order, n_merged, n_removed, spaces):
    merged, removed = order[:n_merged], order[n_merged : n_merged + n_removed]
    if len({labels[unit] for unit in merged if unit in labels}) > 1:
        labels = {unit: label for unit, label in labels.items() if unit not in merged}
    path = folder / "curation.json"
    content = {
        "format_version": "2",
        "unit_ids": order,
        "label_definitions": {"quality": {"label_options": ["good", "multi-unit", "noise"], "exclusive": True}},
        "manual_labels": [{"unit_id": unit, "labels": {"quality": [label]}} for unit, label in labels.items()],
        "merges": [{"unit_ids": merged}] if merged else [],
        "removed": removed,
    }
    path.write_text(json.dumps(content, indent=spaces))
    found = read_curation(path, np.repeat(list(UNITS), list(UNITS.values())))
    assert found.labels == labels
    assert found.merges == ((tuple(sorted(merged)),) if merged else ())
    assert found.removed == tuple(removed)


#: Words that pandas takes for a missing value or another type.
_OTHER = {"", "n/a", "na", "nan", "null", "none", "<na>", "1.#ind", "1.#qnan", "inf", "infinity", "true", "false"}
_CELL_TEXT = st.from_regex(r"[A-Za-z][!#-+\-.-~]{0,8}", fullmatch=True)


@many
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 10**6), st.floats(-1e6, 1e6), _CELL_TEXT),
        min_size=1,
        max_size=6,
        unique_by=lambda row: row[0],
    ),
    cut=st.integers(0, 10**6),
)
def test_a_table_is_read_back_and_refused_where_a_row_is_cut(folder, rows, cut):
    assume(not any(text.lower().lstrip("+-#") in _OTHER for *_, text in rows))
    path = folder / "units.csv"
    lines = ["unit,rate,name", *(f"{unit},{rate!r},{text}" for unit, rate, text in rows)]
    path.write_text("\n".join(lines) + "\n")
    columns = {"unit": WHOLE, "rate": NUMBER, "name": TEXT}
    table = read_table(path, columns, unique="unit")
    assert list(zip(table["unit"], table["rate"], table["name"], strict=True)) == [
        (unit, pytest.approx(rate, rel=1e-12), text) for unit, rate, text in rows
    ]
    number = cut % len(lines)
    fields = lines[number].split(",")
    lines[number] = ",".join(fields[: 1 + cut % 2])
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FormatError, match="units.csv"):
        read_table(path, columns | {"name": ANY})
