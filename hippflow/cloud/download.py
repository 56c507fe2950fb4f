"""Objects of a bucket to files: in parallel, verified, and going on where an interruption left them.

The transfer manager of boto3 starts an interrupted file again from its beginning and
does not compare it with the object's ETag. Here every file is cut into blocks, the
parts in which it was put where these have a fitting size, so that each block's MD5,
taken while it arrives, is one that the ETag was made of.
"""

import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from botocore.exceptions import IncompleteReadError

from hippflow.cloud.errors_s3 import REQUEST_ERRORS
from hippflow.cloud.etag import (
    CHUNK,
    MIB,
    Follower,
    count_parts,
    digest_parts,
    head_part_size,
    head_stored,
    join_digests,
    new_md5,
    possible_part_sizes,
)
from hippflow.cloud.journal import Layout, PartFile, part_name
from hippflow.cloud.s3 import S3Object, check_unchanged, split_url
from hippflow.cloud.workers import Patience, Retries, Run
from hippflow.errors import StorageError

log = logging.getLogger(__name__)

#: Bytes of a block where the object's parts give no size, and between which sizes they do.
PART_SIZE, SMALLEST_PART, LARGEST_PART = 16 * MIB, 5 * MIB, 128 * MIB
#: How long lost connections and busy endpoints are borne unless told otherwise.
PATIENCE = Patience()
#: Bytes of neighbouring blocks that one request brings, at most: a request takes some 5 ms of both sides' processors.
REQUEST_SIZE = 64 * MIB
#: Requests for each connection that an object is divided into, at least, so that none ends long before the others.
REQUESTS_EACH = 4


def download_objects(
    transfers: Sequence[tuple[S3Object, str | Path]],
    *,
    connections: int = 10,
    part_size: int = PART_SIZE,
    patience: Patience = PATIENCE,
    client: Any = None,
) -> None:
    """Download objects to files, each of which appears when it is whole and verified.

    An interrupted download goes on with what is missing when it is called again with the same paths.

    Parameters
    ----------
    transfers : sequence of (S3Object, path)
        Objects as :func:`hippflow.cloud.s3.list_objects` saw them, and the files that they become.
    connections : int
        Requests that are under way at once, over all objects.
    part_size : int
        Bytes that are asked for at a time where the parts of the object give no size.
    patience : Patience
        How long lost connections and busy endpoints are borne.
    client : boto3 client, optional
        As from :func:`hippflow.cloud.s3.s3_client`, for as many connections.

    Raises
    ------
    StorageError
        Too little disk space, an object that changed or is gone, an endpoint that does not answer, a checksum that
        does not fit, a file that cannot be written, or that another process is downloading.
    """
    files = [(obj, Path(path)) for obj, path in transfers]
    _check_space(files)
    run = Run(client, connections, part_size, patience, sum(obj.size for obj, _ in files))
    start = time.monotonic()
    run.work([_Transfer(run, obj, path) for obj, path in files])
    seconds = time.monotonic() - start
    log.info(
        "%d objects: %.1f MB in %.1f s (%.0f MB/s), %d requests",
        len(files),
        run.n_bytes / 1e6,
        seconds,
        run.n_bytes / 1e6 / max(seconds, 1e-3),
        run.n_requests,
    )


def _check_space(files: Sequence[tuple[S3Object, Path]]) -> None:
    """Check that the file systems hold what is still missing and 1 % more."""
    missing: dict[int, int] = {}
    folders: dict[int, Path] = {}
    for obj, path in files:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            device = path.parent.stat().st_dev
        except OSError as error:
            raise _not_written(obj, path, error) from error
        part = part_name(path)
        there = part.stat().st_blocks * 512 if part.exists() else 0
        missing[device] = missing.get(device, 0) + max(0, obj.size - there)
        folders.setdefault(device, path.parent)
    for device, n_bytes in missing.items():
        free = shutil.disk_usage(folders[device]).free
        if free < n_bytes * 1.01:
            raise StorageError(
                f"{folders[device]}: expected {n_bytes * 1.01 / 1e9:.3f} GB of free space for the download, found "
                f"{free / 1e9:.3f} GB; free some, or choose a folder on another disk"
            )


def _not_written(obj: S3Object, path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path}: expected to write {obj.url} there, found: {error.strerror or error}; free space, correct the "
        "permissions, or choose another folder"
    )


class _Transfer:
    """One object on its way to its file."""

    def __init__(self, run: Run, obj: S3Object, path: Path):
        self._run, self._object, self._path = run, obj, path
        self._bucket, self._key = split_url(obj.url)
        self._n_parts = count_parts(obj.etag)
        self._file: PartFile | None = None
        self._again = False

    def begin(self) -> list[Callable[[], list]]:
        """Open the file and return a task for every block."""
        try:
            self._file = PartFile(self._path, self._object.etag, self._object.size, self._plan)
        except OSError as error:
            raise _not_written(self._object, self._path, error) from error
        return self._blocks()

    def close(self) -> None:
        """Leave an unfinished file to the next call."""
        if self._file:
            self._file.close()
            self._file = None

    def _plan(self) -> Layout:
        size, n_parts, default = self._object.size, self._n_parts, max(1, self._run.part_size)
        if not n_parts:  # in one piece, or unknown
            return Layout(max(1, min(size, default)), 0 if n_parts is None else max(1, size), True)
        told = Retries(self._run, self._object.url).ask(head_part_size, self._bucket, self._key, size, n_parts)
        part = told or next(iter(possible_part_sizes(size, n_parts)), 0)
        fits = SMALLEST_PART <= part <= LARGEST_PART or 0 < size <= part <= default
        return Layout(part if fits else default, part, bool(told))

    def _blocks(self) -> list[Callable[[], list]]:
        file = self._file
        self._left, self._lock = file.n_blocks, threading.Lock()
        follows = file.layout.part and not file.inline
        self._follower = Follower(file.fd, file.size, file.layout.part, file.front) if follows else None
        most = min(REQUEST_SIZE, file.size // (REQUESTS_EACH * self._run.n_connections))
        step = max(1, most // file.layout.block)
        return [
            partial(self._take, range(file.n_blocks)[first : first + step]) for first in range(0, file.n_blocks, step)
        ]

    def _take(self, indices: range) -> list[Callable[[], list]]:
        """Bring neighbouring blocks to disk, and finish the file if they were the last."""
        file = self._file
        try:
            missing = [index for index in indices if index not in file.claimed or not file.recheck(index)]
            for index in set(indices).difference(missing):
                start, stop = file.extent(index)
                self._run.expect(start - stop)
            for _, group in groupby(enumerate(missing), lambda pair: pair[1] - pair[0]):
                self._fetch([index for _, index in group])
            if self._follower:
                self._follower.follow()
            with self._lock:
                self._left -= len(indices)
                if self._left:
                    return []
            return self._finish()
        except OSError as error:
            raise _not_written(self._object, self._path, error) from error

    def _fetch(self, indices: list[int]) -> None:
        """Bring blocks without a gap between them to disk, as far as possible by one request."""
        file, retries = self._file, Retries(self._run, self._object.url)
        position, last = file.extent(indices[0])[0], file.extent(indices[-1])[1]
        waiting, digest = deque(indices), file.new_digest()
        while waiting:
            try:
                with self._run.connection():
                    for data in self._receive(position, last):
                        digest.update(data)
                        file.write(data, position)
                        position += len(data)
                        if position == file.extent(waiting[0])[1]:
                            file.finish_block(waiting.popleft(), digest.hexdigest())
                            digest = file.new_digest()
                        retries.progressed()
                        self._run.received(len(data))
                        self._run.go_on()
            except REQUEST_ERRORS as error:
                retries.wait(error)

    def _receive(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a range as they come, none of them over the end of a block."""
        block = self._file.layout.block
        asked = {"Range": f"bytes={start}-{stop - 1}"} if stop > start else {}  # an empty object has no range
        response = self._run.client.get_object(
            Bucket=self._bucket, Key=self._key, IfMatch=f'"{self._object.etag}"', **asked
        )
        with closing(response["Body"]) as body:
            check_unchanged(self._object, response)
            if response["ContentLength"] > stop - start:
                raise StorageError(
                    f"{self._object.url}: expected bytes {start} to {stop} alone, found {response['ContentLength']} "
                    "bytes: the endpoint does not honour ranges; choose another one in AWS_ENDPOINT_URL_S3"
                )
            while True:
                data = body.read(min(CHUNK, stop - start, block - start % block))
                if not data and start < stop:
                    raise IncompleteReadError(actual_bytes=start, expected_bytes=stop)
                start += len(data)
                yield data
                if start == stop:
                    return

    def _finish(self) -> list[Callable[[], list]]:
        """Verify the file and give it its name; a first mismatch starts it again."""
        wrong = self._verify()
        if not wrong:
            self._file.commit()
        elif not self._again:
            log.warning("%s: %s; downloading it again", self._object.url, wrong)
            self._again = True
            self._file.restart()
            self._run.expect(self._object.size)
            return self._blocks()
        else:
            self._file.discard()
        self._file = None
        if wrong:
            raise StorageError(
                f"{self._object.url}: {wrong}, twice; the object or its transfer is damaged: compare it with its "
                "source, and put it into the bucket again (aws s3 cp)"
            )
        return []

    def _verify(self) -> str | None:
        """Compare the file with what the endpoint knows of its content; say what differs, None for nothing."""
        file, obj, part = self._file, self._object, self._file.layout.part
        found = "none"
        if part:
            inline = [bytes.fromhex(file.digests[index]) for index in range(file.n_blocks)] if file.inline else []
            found = join_digests(inline or self._follower.finish(), self._n_parts)
            if found == obj.etag:
                return None
        stored = Retries(self._run, obj.url).ask(head_stored, self._bucket, self._key, part)
        taken = stored.take(file.fd, file.size) if stored.value else ""
        if stored.value and taken == stored.value:
            return None
        if part and not stored.opaque:
            if file.layout.confirmed:
                return f"expected ETag {obj.etag}, found {found}"
            if self._find_parts():
                return None
            return (
                f"expected ETag {obj.etag}, found no size of its {self._n_parts} parts that gives it (the endpoint "
                f"does not tell this size; parts of {part} bytes give {found})"
            )
        if stored.value:
            return f"expected {stored.name} {stored.value}, found {taken}"
        log.warning("%s: verified by its size alone; the endpoint has no checksum of it", obj.url)
        return None

    def _find_parts(self) -> bool:
        """Try the other sizes that the parts may have had."""
        file, n_parts = self._file, self._n_parts
        return any(
            join_digests(digest_parts(new_md5, file.fd, file.size, part), n_parts) == self._object.etag
            for part in possible_part_sizes(file.size, n_parts)
            if part != file.layout.part
        )
