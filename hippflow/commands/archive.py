"""``hippflow archive``: products of a day into a bucket, and the proof that they are there."""

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hippflow.day.config_file import read_complete_config
from hippflow.errors import ConfigError

if TYPE_CHECKING:
    from hippflow.cloud.archive import Archived, Verified

#: What to do without a configuration.
_REMEDY = "call hippflow in the workflow's folder, or give --configfile FILE"


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser of the command."""
    parser = commands.add_parser("archive", help="put a day's products into a bucket, or verify that they are there")
    parser.add_argument(
        "day", metavar="DAY|all", help="20181105, picasso/20181105, or all: the days of which there are results"
    )
    parser.add_argument(
        "--configfile", default="config.yaml", metavar="FILE", help="configuration (default config.yaml)"
    )
    parser.add_argument(
        "--to", metavar="s3://BUCKET/PREFIX", help="archive (default: archive.url of the configuration)"
    )
    parser.add_argument("--verify", action="store_true", help="send nothing; compare sizes and checksums")
    parser.add_argument("--deep", action="store_true", help="verify by downloading every object")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=_archive)


def _archive(arguments: argparse.Namespace) -> None:
    config = read_complete_config(Path(arguments.configfile), _REMEDY)
    url = _address(config, arguments.to)
    from hippflow.cloud.archive import archive_files, find_days, list_day_files, verify

    results = Path(config["results"])
    days = find_days(results, arguments.day)
    files = [path for day in days for path in list_day_files(results, day)]
    if arguments.verify or arguments.deep:
        report = verify(results, files, url, arguments.deep)
        lines = _verified(report, arguments.day)
    else:
        report = archive_files(results, files, url)
        lines = _archived(report)
    if arguments.json:
        print(json.dumps({"days": days} | report.to_dict(), indent=1))
    else:
        print("\n".join(lines))
    if not report.ok:
        sys.exit(1)


def archive_problems(config: dict[str, Any]) -> list[str]:
    """Say what is wrong with the products in the archive.

    Parameters
    ----------
    config : dict
        The complete configuration.

    Returns
    -------
    list of str
        A line for every file of every day that is not in the archive with the same size and checksum.

    Raises
    ------
    HippflowError
        No archive is configured, there are no results, or the archive cannot be read.
    """
    url = _address(config)
    from hippflow.cloud.archive import find_days, list_day_files, verify

    results = Path(config["results"])
    return verify(
        results, [path for day in find_days(results) for path in list_day_files(results, day)], url
    ).problems()


def _address(config: dict[str, Any], to: str | None = None) -> str:
    """Return the address of the archive, which must not hold the raw data nor lie in them."""
    if find_spec("boto3") is None:
        raise ConfigError("expected the package boto3 for an archive, found none; pip install 'hippflow[cluster]'")
    url = to or config.get("archive", {}).get("url")
    if not url:
        raise ConfigError(
            "config.yaml: expected the address of the archive in archive.url, found none; set it to "
            "s3://bucket/prefix, or give --to"
        )
    archive, raw = f"{url.rstrip('/')}/", f"{str(config['data']).rstrip('/')}/"
    if archive.startswith(raw) or raw.startswith(archive):
        raise ConfigError(
            f"{url}: expected an archive apart from the raw data, found these at {config['data']}; choose another "
            "prefix, so that no recording can be replaced"
        )
    return url


def _archived(report: "Archived") -> list[str]:
    return [
        *(f"failed: {error}" for _, error in sorted(report.failed.items())),
        f"{report.url}: {report.n_files} files ({_size(report.n_bytes)}): {len(report.sent)} sent "
        f"({_size(report.bytes_sent)}), {len(report.there)} were there, {len(report.failed)} failed",
    ]


def _verified(report: "Verified", day: str) -> list[str]:
    how = "size and content" if report.deep else "size and checksum"
    lines = [
        *report.problems(),
        *(f"extra: {name}" for name in report.extra),
        *(f"unfinished upload: {name}" for name in report.unfinished),
        f"{report.url}: {report.n_files} files ({_size(report.n_bytes)}): {report.same} there with the same {how}, "
        f"{len(report.missing)} missing, {len(report.different)} different, {len(report.unreadable)} unreadable; "
        f"{len(report.extra)} objects more",
    ]
    if not report.ok:
        lines.append(f"Send what is missing or different: hippflow archive {day}")
    return lines


def _size(n_bytes: int) -> str:
    """Write bytes in a unit of their size.

    Examples
    --------
    >>> _size(999_949), _size(5_300_000_000)
    ('1.0 MB', '5.3 GB')
    """
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"
