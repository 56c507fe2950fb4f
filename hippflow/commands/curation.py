"""``hippflow curation``: labels and merges made in Phy, as the curation.json that the workflow honours."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from hippflow.commands.configuration import add_config_arguments, complete_config, settings_again
from hippflow.errors import ConfigError, FormatError


def add(commands: Any) -> None:
    """Add the command."""
    curation = commands.add_parser("curation", help="take labels and merges made in Phy over into the results")
    curation.add_argument("day", metavar="DAY", help="a date, as 20181105, or picasso/20181105")
    curation.add_argument("channel", metavar="CHANNEL", type=int, help="the channel's number")
    curation.add_argument("--phy", metavar="DIR", help="Phy's folder (default: phy/ of the channel in the results)")
    curation.add_argument("--replace", action="store_true", help="replace a curation.json that says something else")
    add_config_arguments(curation)
    curation.set_defaults(run=_curation)


def _curation(arguments: argparse.Namespace) -> None:
    from hippflow.io.atomic import whole_file

    phy = Path(arguments.phy).absolute() if arguments.phy else None  # before paths are the workflow's
    folder = _sorted_folder(complete_config(arguments)["results"], arguments.day, arguments.channel)
    content = read_phy(phy or folder / "phy", folder / "firings.hkl")
    path, text = folder / "curation.json", json.dumps(content, indent=1) + "\n"
    if path.exists() and path.read_text() != text and not arguments.replace:
        raise ConfigError(
            f"{path}: expected no curation, or the same, found another one; say --replace, or move the file away"
        )
    with whole_file(path) as part:
        part.write_text(text)
    date = folder.parts[-3]
    target = f"channel/{date}/{arguments.channel:03d}{settings_again(arguments)}"
    print(f"{path}: {len(content['manual_labels'])} labelled units, {len(content['merges'])} merges")
    print(f"To make units and spike trains by it:\n    snakemake -c{os.cpu_count()} {target}")


def read_phy(folder: Path, firings: Path) -> dict[str, Any]:
    """Read what was merged and labelled in a Phy folder that the workflow made.

    Parameters
    ----------
    folder : Path
        With ``spike_times.npy``, ``spike_templates.npy``, ``spike_clusters.npy``, ``cluster_si_unit_ids.tsv`` and
        ``cluster_group.tsv``.
    firings : Path
        The sorting that it must be of.

    Returns
    -------
    dict
        Content of a ``curation.json``, see :func:`hippflow.ephys.curation_format.curation_of_clusters`.

    Raises
    ------
    FormatError
        A file is missing or damaged, the folder is of another sorting, a unit was split, or a label is unknown.
    """
    import numpy as np

    from hippflow.ephys.curation_format import curation_of_clusters
    from hippflow.io.npy import read_npy
    from hippflow.steps.sorting import read_sorting

    sorting, _ = read_sorting(firings)
    times, templates, clusters = (
        np.asarray(read_npy(_there(folder / f"spike_{name}.npy"))).ravel()
        for name in ("times", "templates", "clusters")
    )
    names = dict(_rows(folder / "cluster_si_unit_ids.tsv", "si_unit_id", int))
    units = np.array([names.get(k, -1) for k in templates.tolist()], np.int64)
    same = len(times) == len(clusters) == len(sorting.samples)
    if not (same and (times == sorting.samples).all() and (units == sorting.labels).all()):
        raise FormatError(
            f"{folder}: expected the {len(sorting.samples)} spikes of {firings}, found {len(times)} that differ; the "
            "channel was sorted again: make the folder anew with phy/DATE/CHANNEL and curate that"
        )
    groups = dict(_rows(folder / "cluster_group.tsv", "group", str))
    return curation_of_clusters(sorting.labels, clusters, groups, str(folder))


def _rows(path: Path, column: str, kind: type) -> list[tuple[int, Any]]:
    """Return cluster and value of every row of one of Phy's tables."""
    import pandas as pd

    try:
        table = pd.read_csv(_there(path), sep="\t", dtype=str, keep_default_na=False)
        if not {"cluster_id", column} <= set(table):
            raise ValueError(f"the columns {', '.join(table)}")
        return [(int(row["cluster_id"]), kind(row[column])) for row in table.to_dict("records")]
    except ValueError as error:  # what pandas raises is of that kind
        raise FormatError(
            f"{path}: expected a table of Phy's with numbers in cluster_id, and {column}, found: {error}"
        ) from error


def _there(path: Path) -> Path:
    if not path.exists():
        raise FormatError(
            f"{path}: expected a file of Phy's, found none; make the folder with snakemake -c1 phy/DATE/CHANNEL"
        )
    return path


def _sorted_folder(results: str, day: str, channel: int) -> Path:
    """Return the folder of what was sorted on a channel."""
    subject, _, date = day.rpartition("/")
    found = sorted(Path(results).glob(f"{subject or '*'}/{date}/mountains/channel{channel:03d}/firings.hkl"))
    if len(found) != 1:
        there = ", ".join(str(Path(*path.parts[-5:-3])) for path in found) or "none"
        raise ConfigError(
            f"{day}, channel {channel}: expected one sorting in {results}, found {there}; "
            + ("say of which subject, as picasso/20181105" if found else f"make it with channel/{date}/{channel:03d}")
        )
    return found[0].parent
