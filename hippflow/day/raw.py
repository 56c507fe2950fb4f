"""A raw tree in a local folder, as the catalog looks at it: names, sizes and headers."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from hippflow.errors import CatalogError
from hippflow.io.nsx_header import NsxHeader, read_nsx_header


class RawTree(Protocol):
    """What the catalog needs to know of a raw tree; paths are relative to its root, ``""`` is the root itself."""

    def name(self, path: str) -> str:
        """Return the full name of a folder or file, for messages."""

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in a folder."""

    def files(self, path: str) -> list[str]:
        """Return the names of the files in a folder."""

    def size(self, path: str) -> int:
        """Return a file's bytes."""

    def nsx_header(self, path: str) -> NsxHeader:
        """Read the headers of a continuous recording."""

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading here and there; its ``name`` is its full name."""

    def local(self, path: str) -> str:
        """Return where jobs find a file."""

    def modified(self, path: str) -> float:
        """Return when a file that is elsewhere was last changed there (s of the epoch), 0 where files are local."""

    def objects(self, days: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return what staging jobs must know of the files of some days that are elsewhere, by URL."""


class LocalTree:
    """A raw tree in a folder.

    Raises
    ------
    CatalogError
        There is no such folder.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        if re.match(r"[a-z][a-z0-9+.-]*:/", str(root)):
            raise CatalogError(
                f"{str(root).partition('?')[0]}: expected a folder or s3://bucket/prefix, found another kind of "
                "address; for a bucket write s3:// and give credentials as for the AWS tools, no signed address"
            )
        if not self.root.is_dir():
            raise CatalogError(
                f"{root}: expected the folder of raw recordings (subject/YYYYMMDD/session01/...), found none; "
                "set data in config.yaml to it, or make a small one with: hippflow demo data"
            )

    def name(self, path: str) -> str:
        """Return the path with the root."""
        return str(self.root / path)

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in a folder; links that lead nowhere may have led to one, and are of them."""
        return [entry.name for entry in self._entries(path) if entry.is_dir() or not entry.exists()]

    def files(self, path: str) -> list[str]:
        """Return the names of what is no folder in a folder."""
        return [entry.name for entry in self._entries(path) if not entry.is_dir()]

    def _entries(self, path: str) -> list[Path]:
        folder = self.root / path
        if folder.is_symlink() and not folder.exists():
            raise CatalogError(
                f"{folder}: expected a folder, a link to {os.readlink(folder)}, found none there; mount what the link "
                "leads to, or take the link away"
            )
        return list(folder.iterdir())

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        return (self.root / path).stat().st_size

    def nsx_header(self, path: str) -> NsxHeader:
        """Read the headers of a continuous recording, and nothing else of it."""
        return read_nsx_header(self.root / path)

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading."""
        return open(self.root / path, "rb")

    def local(self, path: str) -> str:
        """Return where the file is."""
        return str(self.root / path)

    def modified(self, path: str) -> float:
        """Return 0: Snakemake sees the file itself."""
        return 0.0

    def objects(self, days: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return nothing: all files are here."""
        return {}


def raw_tree(config: dict[str, Any]) -> RawTree:
    """Return the raw tree that the configuration names: a local folder, or below a prefix of a bucket."""
    if not config["data"].startswith("s3://"):
        return LocalTree(config["data"])
    from hippflow.cloud.raw import BucketTree  # runs on local files need nothing of AWS

    return BucketTree(config["data"], config["staging"])
