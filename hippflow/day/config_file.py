"""One configuration file by itself, for what neither runs the workflow nor shares its command line."""

from pathlib import Path
from typing import Any

import yaml

from hippflow.day.config import check_config, load_schema
from hippflow.day.yaml_text import parse_yaml
from hippflow.errors import ConfigError

_SCHEMA = Path("schemas/config.schema.yaml")


def read_plain_config(path: Path, remedy: str) -> dict[str, Any]:
    """Return what one configuration file says, without defaults and without a schema.

    Parameters
    ----------
    path : path
    remedy : str
        What to do where it cannot be read, for the message.

    Raises
    ------
    ConfigError
        It is not there, no YAML, or holds no keys.
    """
    try:
        config = parse_yaml(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected the configuration of the workflow, found: {error}; {remedy}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(config).__name__}; correct the file")
    return config


def read_complete_config(path: Path, remedy: str) -> dict[str, Any]:
    """Return what one configuration file says, checked, with the schema's defaults where it says nothing.

    The schema is that beside the file, or that of this copy of hippflow.

    Parameters
    ----------
    path : path
    remedy : str
        What to do where it cannot be read, for the message.

    Raises
    ------
    ConfigError
        It cannot be read, is not right, or there is no schema.
    """
    config = read_plain_config(path, remedy)
    places = [path.parent / _SCHEMA, Path(__file__).parents[2] / _SCHEMA]
    schema = next((place for place in places if place.exists()), None)
    if schema is None:
        raise ConfigError(f"{path}: expected {_SCHEMA} beside it, found none; {remedy}")
    return check_config(config, load_schema(schema))
