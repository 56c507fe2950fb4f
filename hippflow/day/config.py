"""The configuration: checked against its schema, with errors a person can act on."""

import re
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from hippflow.day.selection import nearest
from hippflow.day.yaml_text import parse_yaml
from hippflow.errors import ConfigError
from hippflow.imaging.settings import check_suite2p
from hippflow.redaction import HIDDEN, redacted_command


def load_schema(path: str | Path) -> dict[str, Any]:
    """Read the JSON schema of the configuration from its YAML file."""
    return yaml.safe_load(Path(path).read_text())


def schema_defaults(schema: dict[str, Any]) -> Any:
    """Return the configuration that the schema's defaults make.

    Examples
    --------
    >>> schema_defaults({"properties": {"rpllfp": {"properties": {"order": {"default": 8}}}}})
    {'rpllfp': {'order': 8}}
    """
    if "default" in schema or "properties" not in schema:
        return schema.get("default")
    return {key: schema_defaults(part) for key, part in schema["properties"].items()}


def in_order(value: Any) -> Any:
    """Return settings with their keys sorted, all the way down: in another order they are no other settings.

    Examples
    --------
    >>> in_order({"b": {"d": 1, "c": [2]}, "a": 3})
    {'a': 3, 'b': {'c': [2], 'd': 1}}
    """
    return {key: in_order(value[key]) for key in sorted(value)} if isinstance(value, dict) else value


def with_defaults(config: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return `config` with the schema's default wherever a key is not set."""
    complete = dict(config)
    for key, part in schema.get("properties", {}).items():
        if "properties" in part and isinstance(config.get(key, {}), dict):
            complete[key] = with_defaults(config.get(key, {}), part)
        else:
            complete.setdefault(key, part.get("default"))
    return complete


def check_config(config: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Check a configuration and fill in its defaults.

    Parameters
    ----------
    config : dict
        As read from config.yaml and the command line.
    schema : dict
        See :func:`load_schema`.

    Returns
    -------
    dict
        The complete configuration.

    Raises
    ------
    ConfigError
        An unknown key (with the nearest valid one), or a value of the wrong type
        or out of range; all such places are listed.
    """
    from jsonschema import Draft202012Validator

    complete = with_defaults(_as_meant(config, schema, schema.get("$defs", {})), schema)
    errors = sorted(Draft202012Validator(schema).iter_errors(complete), key=lambda error: list(map(str, error.path)))
    if errors:
        raise ConfigError("config.yaml: " + "\n".join(line for error in errors for line in _explain(error)))
    _check_finite(complete, "")
    _check_folders(complete)
    _check_bands(complete)
    _check_label(complete["rplsplit"]["raw_label"])
    _check_sorter(complete["sorting"]["sorter"])
    check_suite2p(suite2p_settings(complete), complete=False)
    return complete


def read_config(files: list[Path], settings: list[str], schema: dict[str, Any]) -> dict[str, Any]:
    """Read the configuration as Snakemake does, for what runs beside it.

    Parameters
    ----------
    files : list of path
        YAML files, each laid over those before.
    settings : list of str
        ``key=value`` of the command line, laid over the files.
    schema : dict
        See :func:`load_schema`.

    Returns
    -------
    dict
        The complete configuration.

    Raises
    ------
    ConfigError
        A file that is missing or no YAML, a setting without a value; see :func:`check_config`.
    """
    config: dict[str, Any] = {}
    for path in files:
        try:
            found = parse_yaml(Path(path).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: expected a configuration in YAML, found: {error}") from error
        config = _over(config, found, str(path))
    for setting in settings:
        key, found_value, value = setting.partition("=")
        if not found_value:
            raise ConfigError(f"--config: expected KEY=VALUE, found {setting!r}")
        try:
            config = _over(config, {key: parse_yaml(value)}, "--config")
        except yaml.YAMLError as error:
            shown = HIDDEN if key == "notify" else error
            (setting,) = redacted_command([setting])
            raise ConfigError(f"--config {setting}: expected a value in YAML, found: {shown}") from error
    return check_config(config, schema)


def _over(base: dict[str, Any], over: Any, source: str) -> dict[str, Any]:
    if not isinstance(over, dict):
        raise ConfigError(f"{source}: expected keys with values, found {over!r}")
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _over(base[key], value, source) if both else value
    return merged


def suite2p_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return the block `suite2p` of the configuration as suite2p's settings: what is set, but for our own `memory`."""
    block = config["suite2p"]
    return {key: value for key, value in block.items() if key != "memory" and (key != "diameter" or value)}


def _as_meant(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """Return `value` with text turned into what the schema wants: numbers, true and false, null.

    Snakemake reads nested values of ``--config`` as text: ``'rpllfp={"band": [2, 150]}'``.
    """
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    kinds = schema.get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if isinstance(value, dict):
        parts = schema.get("properties", {})
        others = {"type": ["number", "boolean"]} if kinds == {"object"} and not parts else {}
        inner = {"type": "object"} if others else {}
        return {
            key: _as_meant(part, parts.get(key, inner if isinstance(part, dict) else others), definitions)
            for key, part in value.items()
        }
    if isinstance(value, list):
        items = schema.get("items", schema if {"number", "boolean"} <= kinds else {})
        return [_as_meant(item, items, definitions) for item in value]
    if isinstance(value, float) and "integer" in kinds and "number" not in kinds and value.is_integer():
        return int(value)  # 1000.0 passes for a whole number, and is none for Python
    if not isinstance(value, str):
        return value
    if "null" in kinds and value in ("null", "None"):
        return None
    numbers = {"integer", "number"} & kinds or any(isinstance(v, int) for v in schema.get("enum", []))
    if numbers and re.fullmatch(r"-?[0-9]{1,300}(\.[0-9]{1,300})?", value):
        return float(value) if "." in value else int(value)
    if "boolean" in kinds and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


def _check_finite(value: Any, where: str) -> None:
    """Check that every number is one: a comparison with NaN is never true, so a schema's bounds let it pass."""
    if isinstance(value, dict):
        for key, part in value.items():
            _check_finite(part, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for part in value:
            _check_finite(part, where)
    elif isinstance(value, int | float) and not abs(value) < 2**63:
        found = value if isinstance(value, float) else f"one of {value.bit_length()} bits"
        raise ConfigError(f"config.yaml: {where}: expected a finite number below 2^63, found {found}; write one")


def _check_folders(config: dict[str, Any]) -> None:
    """Check the folders that are written to: braces would be wildcards of the rules, and line ends end a log's line."""
    for key in ("results", "staging"):
        if not config[key].isprintable() or {"{", "}"} & set(config[key]):
            raise ConfigError(
                f"config.yaml: {key}: expected a folder without braces and control characters, found {config[key]!r}; "
                "choose another"
            )


def _check_bands(config: dict[str, Any]) -> None:
    """Check what a schema cannot say: corners in order, and below half of the LFP's sampling rate."""
    for step in ("rpllfp", "rplhighpass"):
        low, high = config[step]["band"]
        if low >= high:
            raise ConfigError(f"config.yaml: {step}.band: expected [low, high] with low < high, found [{low}, {high}]")
    high, rate = config["rpllfp"]["band"][1], config["rpllfp"]["resample_rate"]
    if high >= rate / 2:
        raise ConfigError(
            f"config.yaml: rpllfp.band: expected less than {rate / 2:g} Hz, half of rpllfp.resample_rate; found {high}"
        )


def _check_label(raw_label: str) -> None:
    """Check that the labels' pattern is a regular expression with a group."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of expressions that a later Python may read in another way
            n_groups = re.compile(raw_label).groups
    except (re.error, OverflowError, RecursionError) as error:  # the latter two: too many repeats, brackets in brackets
        raise ConfigError(
            f"config.yaml: rplsplit.raw_label: {raw_label!r} is no regular expression: {error}"
        ) from error
    if not n_groups:
        raise ConfigError(
            f"config.yaml: rplsplit.raw_label: expected a group for the channel number, as in raw (\\d+); "
            f"found {raw_label!r}"
        )


def _check_sorter(sorter: str) -> None:
    """Check that SpikeInterface knows the sorter, from its files: importing it would take a second of every start."""
    package = find_spec("spikeinterface")
    if sorter in ("gaussian_mixture", "mountainsort5") or package is None or package.origin is None:
        return
    folders = (Path(package.origin).parent / "sorters" / kind for kind in ("internal", "external"))
    known = sorted(file.stem for folder in folders for file in folder.glob("[a-z]*.py"))
    if sorter not in known:
        raise ConfigError(
            f"config.yaml: sorting.sorter: {sorter!r} is no sorter of SpikeInterface; nearest: {nearest(sorter, known)}"
        )


class _Hidden:
    """An address of who is told, which may be a secret, as errors show it."""

    def __repr__(self) -> str:
        return HIDDEN


def _explain(error: Any) -> list[str]:
    """Say in words what a jsonschema error means."""
    where = ".".join(map(str, error.path))
    value = _Hidden() if where.startswith("notify") and isinstance(error.instance, str) else error.instance
    if error.validator == "additionalProperties":
        valid = list(error.schema["properties"])
        unknown = [key for key in value if key not in valid]
        prefix = f"{where}." if where else ""
        return [f"{prefix}{key}: unknown key; nearest valid key: {prefix}{nearest(key, valid)}" for key in unknown]
    if error.validator == "enum":
        valid = ", ".join(map(str, error.validator_value))
        return [f"{where}: {value!r} is not one of {valid}; nearest: {nearest(value, error.validator_value)}"]
    bounds = {
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "more than",
        "exclusiveMaximum": "less than",
    }
    if error.validator in bounds:
        return [f"{where}: expected {bounds[error.validator]} {error.validator_value}, found {value!r}"]
    kinds = {
        "number": "a number",
        "integer": "a whole number",
        "string": "text",
        "array": "a list",
        "object": "a block",
    }
    if error.validator == "type" and isinstance(error.validator_value, str):
        return [f"{where}: expected {kinds.get(error.validator_value, error.validator_value)}, found {value!r}"]
    expected = error.schema.get("description", f"{error.validator} {error.validator_value}")
    return [f"{where}: expected {expected}; found {value!r}"]
