"""Where the workflow is and how it is configured, for subcommands that look at it from outside."""

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hippflow.day.config import load_schema, read_config
from hippflow.errors import ConfigError

if TYPE_CHECKING:
    from hippflow.day.products import Products


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the workflow is and how it is configured."""
    parser.add_argument(
        "--directory", default=".", metavar="DIR", help="folder of the workflow, with config.yaml (default: here)"
    )
    parser.add_argument(
        "--configfile", action="append", default=[], metavar="FILE", help="laid over config.yaml, as for snakemake"
    )
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="settings, as for snakemake")


def complete_config(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration that the arguments of :func:`add_config_arguments` name, complete and checked.

    Goes to the workflow's folder: paths in the configuration are relative to it.

    Raises
    ------
    ConfigError
        There is no workflow, or a wrong setting.
    """
    folder = Path(arguments.directory)
    schema = folder / "schemas/config.schema.yaml"
    if not schema.exists():
        raise ConfigError(
            f"{folder.resolve()}: expected the workflow (Snakefile, config.yaml, schemas/), found none; "
            "go to its folder, or name it with --directory"
        )
    config = read_config([folder / "config.yaml", *arguments.configfile], arguments.config, load_schema(schema))
    os.chdir(folder)
    return config


def list_products(config: dict[str, Any]) -> "Products":
    """Return everything that a complete configuration makes of the raw data, whose headers are read where they are new.

    Raises
    ------
    HippflowError
        The raw data cannot be read, or are not what the configuration says.
    """
    from hippflow.day.catalog import build_catalog
    from hippflow.day.products import Products
    from hippflow.day.raw import raw_tree

    return Products(config, build_catalog(config, raw_tree(config)))


def settings_again(arguments: argparse.Namespace) -> str:
    """Return the options of the configuration as they follow the targets of a Snakemake command.

    Who is told of runs (``notify``) is left out: its addresses may be secret, and change no product.

    Examples
    --------
    >>> settings_again(argparse.Namespace(directory=".", configfile=["mine.yaml"], config=["umaze={min_obs: 1}"]))
    " --configfile mine.yaml --config 'umaze={min_obs: 1}'"
    """
    options = [] if arguments.directory == "." else ["--directory", arguments.directory]
    options += ["--configfile", *arguments.configfile] if arguments.configfile else []
    settings = [setting for setting in arguments.config if not setting.startswith("notify=")]
    options += ["--config", *settings] if settings else []
    return "".join(f" {shlex.quote(option)}" for option in options)
