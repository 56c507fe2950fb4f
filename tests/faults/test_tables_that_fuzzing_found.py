"""Settings, arrays, curation and tables that parsers once took for right, or hung on; each is refused by what is wrong.

Recordings are in test_recordings_that_fuzzing_found.py.
"""

import itertools
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from corpus import REPOSITORY, UNITS
from refusals import refused

from hippflow.day.config import load_schema, read_config
from hippflow.errors import ConfigError
from hippflow.io.npy import read_npy
from hippflow.io.suite2p import read_iscell, read_trace_settings
from hippflow.steps.spiketrain import read_units
from hippflow.steps.units import read_curation

SCHEMA = load_schema(REPOSITORY / "schemas/config.schema.yaml")


# Configuration

#: Eight lists, each of nine of the one before.
_TEN_TIMES_OVER = "a: &a [" + "x," * 9 + "]\n"
for _one, _next in itertools.pairwise("abcdefghi"):
    _TEN_TIMES_OVER += f"{_next}: &{_next} [{', '.join([f'*{_one}'] * 9)}]\n"


@pytest.mark.parametrize(
    "text",
    [
        "days: 2018-13-45\n",
        "days: !!int x\n",
        "days: !!timestamp x\n",
        "days: " + "[" * 5000,
        "days: " + "9" * 5000 + "\n",
        _TEN_TIMES_OVER,
        "a: &a [*a]\n",
        "days: \x00\n",
    ],
    ids=range(8),
)  # fmt: skip
def test_yaml_that_is_none_or_grows_is_refused_by_its_file(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml: expected a configuration in YAML"):
        read_config([path], [], SCHEMA)


def test_anchors_are_read_where_they_are_few(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("rplhighpass: {order: &n 6}\nquality: {flat_samples: *n}\n")
    assert read_config([path], [], SCHEMA)["quality"]["flat_samples"] == 6


@pytest.mark.parametrize(
    "text, key",
    [
        (f"suite2p: {{tau: 1{'0' * 400}}}", "tau"),
        (f"rpllfp: {{band: [1, 0x{'f' * 300}]}}", "rpllfp.band"),
        (f"rpllfp: {{band: [1, 0x{'f' * 20_000}]}}", "20002 digits"),
        (f"quality: {{flat_samples: '{'9' * 5000}'}}", "quality.flat_samples"),
        ("quality: {line_frequency: '²'}", "quality.line_frequency"),
        (f"rplsplit: {{raw_label: '{'(' * 900}a{')' * 900}'}}", "rplsplit.raw_label"),
        ("rplsplit: {raw_label: '(a{99999999999999})'}", "rplsplit.raw_label"),
    ],
    ids=range(7),
)  # fmt: skip
def test_numbers_that_no_setting_can_be_are_refused_by_their_key(tmp_path, text, key):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=key):
        read_config([path], [], SCHEMA)


def test_a_whole_number_with_a_point_is_a_whole_number(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("rpllfp: {resample_rate: 1000.0}\n")
    assert isinstance(read_config([path], [], SCHEMA)["rpllfp"]["resample_rate"], int)


# Arrays, curation and tables


def test_labels_of_cells_that_are_text_are_refused(tmp_path):
    np.save(tmp_path / "iscell.npy", np.array([["a", "b"]]))
    refused(read_iscell, tmp_path / "iscell.npy", "expected a label and a probability")


def test_a_window_of_suite2p_without_end_is_refused(tmp_path):
    settings = {"fs": np.inf, "extraction": {"neuropil_coefficient": 0.7}}
    np.save(tmp_path / "settings.npy", settings | {"dcnv_preprocess": {"win_baseline": 60.0, "sig_baseline": 10.0}})
    refused(read_trace_settings, tmp_path / "settings.npy", "expected suite2p's settings")


def test_an_array_whose_shape_no_array_has_is_refused(tmp_path):
    path = Path(tmp_path, "F.npy")
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**70}, 0), }}"
    path.write_bytes(b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header.encode())
    refused(read_npy, path, "a shape that no array has")


@pytest.mark.parametrize(
    "text, message",
    [
        ("[" * 100_000, "expected JSON"),
        ('{"removed": ' + "1" * 5000 + "}", "expected JSON"),
        ('{"labels": {"1": "good", "1": "noise"}}', "a key twice"),
        ('{"labels": {"1": "good", "01": "noise"}}', "one label for a unit"),
        ('{"merges": [[2, 2]]}', "merges of different units"),
        ('{"format_version": "2", "manual_labels": [{"unit_id": [1], "labels": {}}]}', r"unit \[1\]"),
        ('{"format_version": "2", "label_definitions": 5}', "label_definitions by unit|label_definitions"),
        ('{"format_version": "2", "splits": 5}', "a list of splits"),
        (json.dumps({"format_version": "2", "manual_labels": [{"unit_id": 1, "labels": {"quality": [label]}}
                                                              for label in ("good", "noise")]}), "one row"),
        ('{"removed": ["' + "1" * 5000 + '"]}', "units of the sorting"),
    ],
    ids=range(10),
)  # fmt: skip
def test_a_curation_that_says_two_things_or_none_is_refused(tmp_path, text, message):
    path = tmp_path / "curation.json"
    path.write_text(text)
    refused(lambda path: read_curation(path, np.repeat(list(UNITS), list(UNITS.values()))), path, message)


@pytest.mark.parametrize(
    "text, message",
    [
        ("unit,quality\n1\n", "1 fields in row 2"),  # became a unit without a quality
        ("unit,quality\n7,1,good\n", "3 fields in row 2"),  # became unit 1, of index 7
        ("unit,quality\n1,good\n1,noise\n", "every unit once"),
        ("unit,quality\n1.5,good\n", "whole numbers"),
        ("unit,quality\n-1,good\n", "whole numbers"),
        ("unit,quality\n1,\n", "expected text as quality"),
        ("unit,kind\n1,good\n", "columns unit and quality, found unit, kind"),
        ("unit,unit\n1,2\n", "a column twice"),
        ("unit,quality,merged\n1,good,2 x\n", "spaces between"),
        ("", "columns unit and quality, found No columns"),
        ("unit,quality\n1,\0\n", "the character"),
    ],
)
def test_a_table_of_units_that_is_damaged_is_refused(tmp_path, text, message):
    path = tmp_path / "units.csv"
    path.write_text(text)
    refused(read_units, path, message)
