"""A raw tree in a bucket, as the catalog looks at it: one listing, and ranged reads of headers."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from hippflow.cloud.ranged import RangedFile
from hippflow.cloud.s3 import S3Object, list_objects, read_range, s3_client, split_url
from hippflow.errors import CatalogError
from hippflow.io.nsx_header import MAX_HEADER_BYTES, NsxHeader, header_bytes, parse_nsx_header

#: Bytes that are read of every recording: the headers of some 240 channels.
FIRST_READ = 1 << 14


class BucketTree:
    """A raw tree below an ``s3://bucket/prefix``.

    Parameters
    ----------
    url : str
        Root of the tree.
    staging : path
        Local folder that staging jobs copy raw files to, in the same levels.

    Raises
    ------
    StorageError
        The bucket cannot be listed: credentials, region, endpoint, name.
    CatalogError
        There is nothing below the prefix.
    """

    def __init__(self, url: str, staging: str | Path):
        split_url(url)
        self.url, self.staging = url.rstrip("/"), Path(staging)
        self._client = s3_client()
        self._objects: dict[str, S3Object] = list_objects(self.url, self._client)
        if not self._objects:
            raise CatalogError(
                f"{self.url}: expected raw recordings (subject/YYYYMMDD/session01/...), found no objects; "
                "set data in config.yaml to the prefix that the subjects' folders have"
            )
        self._folders: dict[str, set[str]] = {}
        self._files: dict[str, list[str]] = {}
        for key in self._objects:
            folder, _, name = key.rpartition("/")
            self._files.setdefault(folder, []).append(name)
            while folder:
                parent, _, name = folder.rpartition("/")
                self._folders.setdefault(parent, set()).add(name)
                folder = parent

    def name(self, path: str) -> str:
        """Return the URL."""
        return f"{self.url}/{path}".rstrip("/")

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in a folder."""
        return sorted(self._folders.get(path, ()))

    def files(self, path: str) -> list[str]:
        """Return the names of the objects in a folder."""
        return sorted(self._files.get(path, ()))

    def size(self, path: str) -> int:
        """Return an object's bytes."""
        return self._objects[path].size

    def nsx_header(self, path: str) -> NsxHeader:
        """Read the headers of a continuous recording by ranged GETs, and nothing else of it."""
        found = self._objects[path]
        data = read_range(found, 0, FIRST_READ, self._client)
        if header_bytes(data) > len(data):
            data = read_range(found, 0, min(header_bytes(data), MAX_HEADER_BYTES), self._client)
        return parse_nsx_header(data, found.url)

    def open(self, path: str) -> BinaryIO:
        """Open an object for reading here and there."""
        return io.BufferedReader(RangedFile(self._objects[path], self._client))

    def local(self, path: str) -> str:
        """Return where the staging job puts the file."""
        return str(self.staging / path)

    def modified(self, path: str) -> float:
        """Return when the object was last written, in s of the epoch."""
        return self._objects[path].modified

    def objects(self, days: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return size, ETag and time of the objects of some days (``subject/day``), by URL."""
        wanted = set(days)
        return {
            found.url: {"size": found.size, "etag": found.etag, "modified": found.modified}
            for key, found in self._objects.items()
            if "/".join(key.split("/")[:2]) in wanted
        }
