"""The archive: products in a bucket, each under its path below the results root, and the proof that they are there.

What is there can be checked without downloading it: the ETags of a listing, which the
endpoint made of what it received, are compared with what the files here give. Beside
that every object carries the SHA-256 of the file that it was made of in its metadata.
Only what became of the bytes after they were received takes a download (`deep`).
"""

import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hippflow.cloud.archive_client import ArchiveRun, list_below, list_uploads, split_archive
from hippflow.cloud.archive_compare import Comparison
from hippflow.cloud.archive_names import FileError, find_days, list_day_files, name_below, scopes
from hippflow.cloud.upload import Upload
from hippflow.cloud.workers import Patience

__all__ = ["Archived", "Verified", "archive_files", "find_days", "list_day_files", "verify"]

log = logging.getLogger(__name__)

#: How long lost connections and busy endpoints are borne unless told otherwise.
PATIENCE = Patience()


@dataclass
class Archived:
    """What archiving did.

    Attributes
    ----------
    url : str
        Address of the archive.
    n_files, n_bytes : int
        What was to be there.
    sent : list of str
        Names, below the root and the prefix alike, that were put.
    bytes_sent : int
        Bytes of them that were sent; parts of an unfinished upload are not sent again.
    there : list of str
        Names that were there with the same content.
    failed : dict of str to str
        What was wrong with files that are not archived, by their names.
    """

    url: str
    n_files: int = 0
    n_bytes: int = 0
    sent: list[str] = field(default_factory=list)
    bytes_sent: int = 0
    there: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """All files are in the archive."""
        return not self.failed

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {"ok": self.ok} | asdict(self)


@dataclass
class Verified:
    """What verification found.

    Attributes
    ----------
    url : str
        Address of the archive.
    deep : bool
        The objects were downloaded.
    n_files, n_bytes : int
        What was to be there.
    same : int
        How many of them are, with the same size and checksum.
    missing : list of str
        Names, below the root and the prefix alike, without an object.
    different : dict of str to str
        What differs, by name.
    unreadable : dict of str to str
        What was wrong with files that could not be compared, by name.
    extra : list of str
        Objects of the same days without a file: products of other parameters, for example. Nothing is wrong with
        them.
    unfinished : list of str
        Names of which an upload is unfinished; it is billed until it is completed, or given up by archiving again.
    """

    url: str
    deep: bool = False
    n_files: int = 0
    n_bytes: int = 0
    same: int = 0
    missing: list[str] = field(default_factory=list)
    different: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """All files are in the archive as they are here."""
        return not (self.missing or self.different or self.unreadable)

    def problems(self) -> list[str]:
        """Say what is wrong, a line each."""
        return [
            *(f"missing: {name}" for name in self.missing),
            *(f"different: {name}: {what}" for name, what in sorted(self.different.items())),
            *(f"unreadable: {error}" for _, error in sorted(self.unreadable.items())),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {"ok": self.ok} | asdict(self)


def archive_files(
    root: str | Path,
    files: Iterable[str | Path],
    url: str,
    *,
    connections: int = 10,
    patience: Patience = PATIENCE,
) -> Archived:
    """Put files into the archive, so far as they are not there.

    An interrupted call is continued by the next one, part by part. Several at once do no harm.

    Parameters
    ----------
    root : path
        Root of the results.
    files : iterable of path
        Files below it, as :func:`list_day_files` names them.
    url : str
        ``s3://bucket/prefix``; the bucket must exist. A file becomes the object ``prefix/<path below the root>``.
    connections : int
        Requests that are under way at once.
    patience : Patience
        How long lost connections and busy endpoints are borne.

    Returns
    -------
    Archived
        Files that could not be read, changed meanwhile or lead outside the root are in `failed`; the others are
        archived.

    Raises
    ------
    StorageError
        An address that cannot be used, a bucket that is not there or must not be written, an endpoint that does not
        answer.
    """
    root, report = Path(root), Archived(url.rstrip("/"))
    names = _names(root, files, url, report.failed)
    report.n_files, report.n_bytes = len(names) + len(report.failed), _total(names.values())
    run = ArchiveRun(url, connections, patience, report.n_bytes, "archive")
    there, unfinished = _look(run, names)
    lock, start = threading.Lock(), time.monotonic()

    def settle(name: str, sent: int | None, error: FileError | None) -> None:
        with lock:
            report.bytes_sent += sent or 0
            if error:
                report.failed[name] = str(error)
            else:
                (report.there if sent is None else report.sent).append(name)

    run.work(
        [
            Upload(run, root, path, name, there.get(name), unfinished.get(name, []), settle)
            for name, path in names.items()
        ]
    )
    report.sent.sort()
    report.there.sort()
    seconds = time.monotonic() - start
    log.info(
        "%d files: %.1f MB sent in %.1f s (%.0f MB/s), %d requests",
        report.n_files,
        report.bytes_sent / 1e6,
        seconds,
        report.bytes_sent / 1e6 / max(seconds, 1e-3),
        run.n_requests,
    )
    return report


def verify(
    root: str | Path,
    files: Iterable[str | Path],
    url: str,
    deep: bool = False,
    *,
    connections: int = 10,
    patience: Patience = PATIENCE,
) -> Verified:
    """Compare files with what the archive has of them.

    Parameters
    ----------
    root, files, url, connections, patience
        See :func:`archive_files`.
    deep : bool
        Download every object, and compare its SHA-256 instead of what the endpoint noted when it was put. Nothing is
        stored.

    Returns
    -------
    Verified

    Raises
    ------
    StorageError
        An address that cannot be used, a bucket that is not there or must not be read, an endpoint that does not
        answer.
    """
    root, report = Path(root), Verified(url.rstrip("/"), deep)
    names = _names(root, files, url, report.unreadable)
    report.n_files, report.n_bytes = len(names) + len(report.unreadable), _total(names.values())
    run = ArchiveRun(url, connections, patience, report.n_bytes, "verify")
    there, unfinished = _look(run, names)
    of_these_days = tuple(scopes(names))
    report.missing = sorted(set(names) - set(there))
    report.extra = sorted(set(there) - set(names))
    report.unfinished = sorted(name for name in unfinished if name.startswith(of_these_days))
    lock = threading.Lock()

    def settle(name: str, different: str, error: FileError | None) -> None:
        with lock:
            if error:
                report.unreadable[name] = str(error)
            elif different:
                report.different[name] = different
            else:
                report.same += 1

    run.work(
        [Comparison(run, root, path, name, there[name], deep, settle) for name, path in names.items() if name in there]
    )
    return report


def _names(root: Path, files: Iterable[str | Path], url: str, failed: dict[str, str]) -> dict[str, Path]:
    _, prefix = split_archive(url)
    names = {}
    for path in map(Path, files):
        try:
            names[name_below(root, path, prefix)] = path
        except FileError as error:
            failed[str(path)] = str(error)
    return dict(sorted(names.items()))


def _total(files: Iterable[Path]) -> int:
    """Add up the sizes of the files that can be looked at."""
    total = 0
    for path in files:
        with suppress(OSError):  # named when it is to be opened
            total += path.stat().st_size
    return total


def _look(run: ArchiveRun, names: Iterable[str]) -> tuple[dict[str, tuple[int, str]], dict[str, list[str]]]:
    """List what the archive has of the days of `names`, and all its unfinished uploads."""
    there: dict[str, tuple[int, str]] = {}
    with ThreadPoolExecutor(run.n_connections) as pool:
        for found in pool.map(lambda start: list_below(run, start), sorted(scopes(names))):
            there |= found
    return there, list_uploads(run)
