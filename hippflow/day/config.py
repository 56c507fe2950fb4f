"""The configuration: checked against its schema, with errors a person can act on."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from hippflow.day.selection import nearest
from hippflow.errors import ConfigError


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

    complete = with_defaults(_with_numbers(config, schema, schema.get("$defs", {})), schema)
    errors = sorted(Draft202012Validator(schema).iter_errors(complete), key=lambda error: list(map(str, error.path)))
    if errors:
        raise ConfigError("config.yaml: " + "\n".join(line for error in errors for line in _explain(error)))
    _check_bands(complete)
    _check_label(complete["rplsplit"]["raw_label"])
    _check_sorter(complete["sorting"]["sorter"])
    return complete


def _with_numbers(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """Return `value` with text turned into numbers where the schema wants numbers.

    Snakemake reads nested values of ``--config`` as text: ``'rpllfp={"band": [2, 150]}'``.
    """
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    if isinstance(value, dict):
        parts = schema.get("properties", {})
        return {key: _with_numbers(part, parts.get(key, {}), definitions) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_numbers(item, schema.get("items", {}), definitions) for item in value]
    wanted = schema.get("type") in ("integer", "number") or any(isinstance(v, int) for v in schema.get("enum", []))
    if wanted and isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value) if "." in value else int(value)
    return value


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
        n_groups = re.compile(raw_label).groups
    except re.error as error:
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
    if sorter == "mountainsort5" or package is None or package.origin is None:
        return
    folders = (Path(package.origin).parent / "sorters" / kind for kind in ("internal", "external"))
    known = sorted(file.stem for folder in folders for file in folder.glob("[a-z]*.py"))
    if sorter not in known:
        raise ConfigError(
            f"config.yaml: sorting.sorter: {sorter!r} is no sorter of SpikeInterface; nearest: {nearest(sorter, known)}"
        )


def _explain(error: Any) -> list[str]:
    """Say in words what a jsonschema error means."""
    where = ".".join(map(str, error.path))
    value = error.instance
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
    if error.validator == "type":
        return [f"{where}: expected {kinds.get(error.validator_value, error.validator_value)}, found {value!r}"]
    expected = error.schema.get("description", f"{error.validator} {error.validator_value}")
    return [f"{where}: expected {expected}; found {value!r}"]
