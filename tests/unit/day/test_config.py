"""The configuration: defaults, comments, and errors a person can act on."""

import re
from pathlib import Path

import pytest
import yaml

from hippflow.day.config import check_config, load_schema, schema_defaults, with_defaults
from hippflow.errors import ConfigError

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "config.yaml").read_text()
SCHEMA = load_schema(ROOT / "schemas" / "config.schema.yaml")


def flatten(config, prefix=""):
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


KEYS = dict(flatten(yaml.safe_load(TEXT)))


def change(key, value):
    config = yaml.safe_load(TEXT)
    *sections, name = key.split(".")
    part = config
    for section in sections:
        part = part[section]
    part[name] = value
    return config


def test_schema_has_the_keys_of_config_yaml():
    assert dict(flatten(schema_defaults(SCHEMA))).keys() == KEYS.keys()


@pytest.mark.parametrize("key", KEYS)
def test_the_default_is_what_config_yaml_says(key):
    default = dict(flatten(schema_defaults(SCHEMA)))[key]
    assert default == KEYS[key]
    assert type(default) is type(KEYS[key])


def test_every_key_of_config_yaml_has_a_comment():
    """Above it, or above the keys that it follows without a gap."""
    commented, section, seen = False, "", []
    for line in TEXT.splitlines():
        if not line.strip() or re.fullmatch(r"\w+:", line):
            commented, section = False, line.rstrip(":") + "." if line.strip() else section
        elif line.lstrip().startswith("#"):
            commented = True
        else:
            key = line.split(":")[0]
            assert commented or "#" in line, f"no comment for {key.strip()}"
            seen.append((section if key.startswith(" ") else "") + key.strip())
    assert seen == list(KEYS)


def test_config_yaml_is_valid_and_complete():
    assert check_config(yaml.safe_load(TEXT), SCHEMA) == yaml.safe_load(TEXT)


def test_an_empty_configuration_is_config_yaml():
    assert check_config({}, SCHEMA) == yaml.safe_load(TEXT)


def test_what_is_set_stays_and_the_rest_is_filled_in():
    config = check_config({"rpllfp": {"order": 4}, "days": 20181105}, SCHEMA)
    assert config == change("rpllfp.order", 4) | {"days": 20181105}


@pytest.mark.parametrize(
    "key, text, value",
    [
        ("rpllfp.resample_rate", "500", 500),
        ("rpllfp.band", ["2", "99.5"], [2, 99.5]),
        ("sorting.detect_sign", "-1", -1),
        ("sorting.detect_threshold", "4.5", 4.5),
        ("rpllfp.order", "4", 4),
        ("suite2p.fs", "2.5", 2.5),
        ("suite2p.classification", {"use_builtin_classifier": "true"}, {"use_builtin_classifier": True}),
        ("suite2p.registration", {"block_size": ["64", "64"]}, {"block_size": [64, 64]}),
        ("suite2p.registration", {"nonrigid": "False"}, {"nonrigid": False}),
        (
            "suite2p.detection",
            {"algorithm": "sourcery", "sparsery_settings": {"max_ROIs": "100"}},
            {"algorithm": "sourcery", "sparsery_settings": {"max_ROIs": 100}},
        ),
        ("movie.planes", "4", 4),
        ("budget.usd", "null", None),
    ],
)
def test_numbers_that_the_command_line_gives_as_text(key, text, value):
    """Snakemake reads the values of a block that is set by --config as text."""
    assert check_config(change(key, text), SCHEMA) == check_config(change(key, value), SCHEMA) == change(key, value)


def test_text_stays_text_where_text_is_meant():
    config = change("data", "2018") | {"results": "7", "days": ["20181105"], "channels": "9"}
    assert check_config(config, SCHEMA) == config


def test_defaults_do_not_change_what_was_given():
    given = {"rpllfp": {"order": 4}}
    with_defaults(given, SCHEMA)
    assert given == {"rpllfp": {"order": 4}}


@pytest.mark.parametrize(
    "key, value",
    [
        ("channels", 9),
        ("channels", [9, "31-34"]),
        ("channels", "1-32, 56"),
        ("sessions", ["session01"]),
        ("subjects", "picasso"),
        ("days", [20181105, "20181106"]),
        ("products.dtype", "int16"),
        ("rplsplit.suffix", "ns6"),
        ("rplsplit.raw_label", r"(?:chan|elec)(\d+)"),
        ("rplsplit.on_gap", "segment"),
        ("rpllfp.band", [0.5, 499.9]),
        ("sorting.detect_sign", -1),
        ("sorting.sorter", "tridesclous2"),
        ("sorting.sorter_parameters", {"detect_threshold": 5}),
        ("spiketrain.cells", "no-noise"),
    ],
)
def test_valid_values(key, value):
    assert check_config(change(key, value), SCHEMA) == change(key, value)


@pytest.mark.parametrize(
    "key, message",
    [
        ("day", "day: unknown key; nearest valid key: days"),
        ("rpllfp.bands", "rpllfp.bands: unknown key; nearest valid key: rpllfp.band"),
        (
            "sorting.detect_treshold",
            "sorting.detect_treshold: unknown key; nearest valid key: sorting.detect_threshold",
        ),
    ],
)
def test_unknown_keys(key, message):
    with pytest.raises(ConfigError) as error:
        check_config(change(key, 1), SCHEMA)
    assert str(error.value) == f"config.yaml: {message}"


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("data", 5, "data: expected text, found 5"),
        ("results", "", "results: expected the folder of the results; found ''"),
        ("subjects", [], "subjects: expected all, or a list of names; found []"),
        ("channels", 0, 'channels: expected all, or channel numbers and ranges such as [9, "1-32"]; found 0'),
        ("channels", "a", "channels: expected all, or channel numbers and ranges such as [9, \"1-32\"]; found 'a'"),
        ("channels", [1.5], 'channels: expected all, or channel numbers and ranges such as [9, "1-32"]; found [1.5]'),
        ("products.dtype", "int32", "products.dtype: 'int32' is not one of float32, int16; nearest: int16"),
        ("rplparallel.no_markers", "drop", "rplparallel.no_markers: 'drop' is not one of error, allow; nearest: error"),
        ("rplsplit.suffix", "nev", "rplsplit.suffix: expected a suffix such as ns5; found 'nev'"),
        ("rplsplit.first_connector", 2, "rplsplit.first_connector: expected at most 1, found 2"),
        ("rplsplit.on_gap", "skip", "rplsplit.on_gap: 'skip' is not one of error, fill, segment; nearest: "),
        ("rpllfp", None, "rpllfp: expected a block, found None"),
        ("rpllfp.resample_rate", 5, "rpllfp.resample_rate: expected at least 10, found 5"),
        ("rpllfp.resample_rate", "fast", "rpllfp.resample_rate: expected a whole number, found 'fast'"),
        ("rpllfp.resample_rate", True, "rpllfp.resample_rate: expected a whole number, found True"),
        ("rpllfp.order", 7, "rpllfp.order: expected an even number, the order of both directions together; found 7"),
        ("rpllfp.order", 18, "rpllfp.order: expected at most 16, found 18"),
        ("rpllfp.band", [150], "rpllfp.band: expected two frequencies in Hz, [low, high]; found [150]"),
        ("rpllfp.band", "1,150", "rpllfp.band: expected a list, found '1,150'"),
        ("rplhighpass.band", [0, 7500], "rplhighpass.band.0: expected more than 0, found 0"),
        ("sorting.detect_sign", 2, "sorting.detect_sign: 2 is not one of -1, 0, 1; nearest: "),
        ("sorting.detect_threshold", 0, "sorting.detect_threshold: expected more than 0, found 0"),
        ("sorting.clip_size", 51, "sorting.clip_size: expected an even number of samples; found 51"),
        ("units.max_isi_share", 2, "units.max_isi_share: expected at most 1, found 2"),
    ],
)
def test_wrong_values(key, value, message):
    with pytest.raises(ConfigError) as error:
        check_config(change(key, value), SCHEMA)
    assert str(error.value).startswith(f"config.yaml: {message}")
    assert "\n" not in str(error.value)


def test_all_errors_are_listed():
    config = change("rpllfp.order", 7) | {"day": 1, "channels": 0}
    with pytest.raises(ConfigError) as error:
        check_config(config, SCHEMA)
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert [any(part in line for line in lines) for part in ("day: unknown", "channels: ", "rpllfp.order: ")] == [
        True
    ] * 3


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("rpllfp.band", [150, 1], "rpllfp.band: expected [low, high] with low < high, found [150, 1]"),
        ("rplhighpass.band", [500, 500], "rplhighpass.band: expected [low, high] with low < high, found [500, 500]"),
        ("rpllfp.band", [1, 500], "rpllfp.band: expected less than 500 Hz, half of rpllfp.resample_rate; found 500"),
        (
            "rpllfp.resample_rate",
            300,
            "rpllfp.band: expected less than 150 Hz, half of rpllfp.resample_rate; found 150",
        ),
        (
            "sorting.sorter",
            "mountainsort6",
            "sorting.sorter: 'mountainsort6' is no sorter of SpikeInterface; nearest: mo",
        ),
        (
            "rplsplit.raw_label",
            "raw (\\d+))",
            "rplsplit.raw_label: 'raw (\\\\d+))' is no regular expression: unbalanced",
        ),
        (
            "rplsplit.raw_label",
            "raw (?:\\d+)",
            "rplsplit.raw_label: expected a group for the channel number, as in raw (\\d+)",
        ),
    ],
)
def test_what_a_schema_cannot_say(key, value, message):
    with pytest.raises(ConfigError) as error:
        check_config(change(key, value), SCHEMA)
    assert str(error.value).startswith(f"config.yaml: {message}")
