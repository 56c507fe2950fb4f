"""What tells whether a file and its object are the same."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from botocore.exceptions import IncompleteReadError

from hippflow.cloud.archive_client import SHA256, ArchiveRun, error_code, head, is_opaque
from hippflow.cloud.archive_local import Digests, LocalFile
from hippflow.cloud.archive_names import FileError
from hippflow.cloud.errors_s3 import REQUEST_ERRORS
from hippflow.cloud.etag import CHUNK
from hippflow.errors import StorageError


def what_differs(run: ArchiveRun, name: str, there: tuple[int, str], file: LocalFile, digests: Digests) -> str:
    """Say what an object has that differs from a file; nothing if they are the same.

    Where the ETag is an MD5 it decides, however the object was cut. Where it is not, because of encryption with a key
    of KMS, the SHA-256 decides that was kept when the object was put.

    Parameters
    ----------
    there : tuple of (int, str)
        The object's size and ETag.
    """
    size, etag = there
    if size != file.size:
        return f"expected {file.size} bytes, found {size}"
    if etag == digests.etag:
        return ""
    answer = head(run, name)
    if answer is None:
        return "expected an object, found that it has gone meanwhile"
    if not is_opaque(answer):
        return "" if file.has_etag(etag) else f"expected ETag {digests.etag}, found {etag}"
    kept = answer.get("Metadata", {}).get(SHA256)
    return "" if kept == digests.sha256 else f"expected SHA-256 {digests.sha256}, found {kept or 'none kept'}"


class Comparison:
    """One file that is held against its object.

    Parameters
    ----------
    run : ArchiveRun
    root, path : Path
        Root of the results, and the file.
    name : str
        Its key below the prefix.
    there : tuple of (int, str)
        The object's size and ETag.
    deep : bool
        Download the object.
    settle : callable
        Called once with the name, what differs (nothing for the same), and what went wrong with the file, or None.
    """

    def __init__(
        self,
        run: ArchiveRun,
        root: Path,
        path: Path,
        name: str,
        there: tuple[int, str],
        deep: bool,
        settle: Callable[[str, str, FileError | None], None],
    ):
        self._run, self._root, self._path, self._name = run, root, path, name
        self._there, self._deep, self._settle = there, deep, settle
        self._file: LocalFile | None = None

    def begin(self) -> Sequence[Callable[[], list]]:
        """Compare them."""
        try:
            self._file = LocalFile(self._root, self._path, self._run.go_on)
            self._settle(self._name, self._compare(self._file), None)
        except FileError as error:
            self._settle(self._name, "", error)
        self.close()
        return []

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None

    def _compare(self, file: LocalFile) -> str:
        if self._there[0] != file.size:
            return f"expected {file.size} bytes, found {self._there[0]}"
        digests = file.digests()
        if not self._deep:
            self._run.received(file.size)
            return what_differs(self._run, self._name, self._there, file, digests)
        found = self._download()
        if found != digests.sha256:
            return f"expected SHA-256 {digests.sha256}, found {found or 'that it changed meanwhile'}"
        return ""

    def _download(self) -> str:
        """Return the SHA-256 of the object's content, nothing if it is no longer the one listed."""
        size, etag = self._there
        digest, position = hashlib.sha256(), 0
        retries = self._run.retries(self._name)
        while position < size:
            try:
                with self._run.connection():
                    answer = self._run.client.get_object(
                        **self._run.place(self._name), Range=f"bytes={position}-{size - 1}", IfMatch=f'"{etag}"'
                    )
                    with closing(answer["Body"]) as body:
                        if answer["ContentLength"] != size - position:
                            raise StorageError(
                                f"{self._run.url}/{self._name}: expected {size - position} bytes, found "
                                f"{answer['ContentLength']}: the endpoint does not honour ranges; choose another one "
                                "in AWS_ENDPOINT_URL_S3"
                            )
                        while position < size:
                            data = body.read(min(CHUNK, size - position))
                            if not data:
                                raise IncompleteReadError(actual_bytes=position, expected_bytes=size)
                            digest.update(data)
                            position += len(data)
                            retries.progressed()
                            self._run.received(len(data))
            except REQUEST_ERRORS as error:
                if error_code(error) in ("PreconditionFailed", "412", "NoSuchKey", "InvalidRange"):
                    return ""
                retries.wait(error)
        return digest.hexdigest()
