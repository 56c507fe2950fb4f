"""One file on its way into the archive: compared, put in one piece or in parts, and checked.

The file is read once for its checksums, before anything is sent; these decide whether
there is anything to do, which parts of an unfinished upload can stay, and what the
endpoint must find in every body. A file that changes in between is refused by the
endpoint, which compares each body with the MD5 sent along.
"""

import base64
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from hippflow.cloud.archive_client import (
    SHA256,
    ArchiveRun,
    UploadGoneError,
    abort,
    error_code,
    head,
    is_opaque,
    list_parts,
)
from hippflow.cloud.archive_compare import what_differs
from hippflow.cloud.archive_local import LocalFile
from hippflow.cloud.archive_names import FileError
from hippflow.cloud.errors_s3 import REQUEST_ERRORS
from hippflow.errors import StorageError

log = logging.getLogger(__name__)

#: How often a body that arrived damaged is sent, and an upload begun that another process took away or that had the
#: metadata of another content.
ATTEMPTS = 3


class Upload:
    """One file on its way.

    Parameters
    ----------
    run : ArchiveRun
    root, path : Path
        Root of the results, and the file.
    name : str
        Its key below the prefix.
    there : tuple of (int, str) or None
        Size and ETag of the object that is there.
    unfinished : list of str
        Ids of the unfinished uploads of this key, the newest first.
    settle : callable
        Called once with the name, the bytes that were sent (None for nothing to do), and what went wrong with the
        file, or None.
    """

    def __init__(
        self,
        run: ArchiveRun,
        root: Path,
        path: Path,
        name: str,
        there: tuple[int, str] | None,
        unfinished: list[str],
        settle: Callable[[str, int | None, FileError | None], None],
    ):
        self._run, self._root, self._path, self._name = run, root, path, name
        self._there, self._unfinished, self._settle = there, list(unfinished), settle
        self._file: LocalFile | None = None
        self._lock = threading.Lock()
        self._sent, self._rounds = 0, 0

    def begin(self) -> list[Callable[[], list]]:
        """Put a small file, or return a task for every missing part of a large one."""
        try:
            self._file = LocalFile(self._root, self._path, self._run.go_on)
            self._digests = self._file.digests()
            if self._there and not what_differs(self._run, self._name, self._there, self._file, self._digests):
                self._run.received(self._file.size)
                return self._end(None)
            if self._file.n_parts:
                return self._begin_parts(self._resume())
            self._put()
            return self._end(self._sent)
        except FileError as error:
            return self._fail(error)

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None

    def _end(self, sent: int | None) -> list[Callable[[], list]]:
        for upload in self._unfinished:  # of an earlier content, or of another process, which will find the object
            abort(self._run, self._name, upload)
        self.close()
        self._settle(self._name, sent, None)
        return []

    def _fail(self, error: FileError) -> list[Callable[[], list]]:
        self.close()
        self._settle(self._name, self._sent, error)
        return []

    @property
    def _metadata(self) -> dict[str, str]:
        return {SHA256: self._digests.sha256}

    def _put(self) -> None:
        request = partial(self._run.client.put_object, Metadata=self._metadata)
        self._send(request, 0, self._file.size, self._digests.parts[0])
        self._file.check_unchanged()

    def _send(self, request: Callable[..., dict], start: int, stop: int, md5: bytes) -> dict[str, Any]:
        """Send bytes of the file until the endpoint has them as they are; return its answer."""
        retries, body = self._run.retries(self._name), self._file.window(start, stop)
        content = base64.b64encode(md5).decode()
        for _ in range(ATTEMPTS):
            while True:
                body.seek(0)
                try:
                    with self._run.connection():
                        answer = request(**self._run.place(self._name), Body=body, ContentMD5=content)
                    break
                except REQUEST_ERRORS as error:
                    if body.error:
                        raise body.error from error
                    if error_code(error) in ("BadDigest", "XAmzContentSHA256Mismatch"):
                        answer = {"ETag": "refused"}
                        break
                    retries.wait(error)
                except OSError:
                    if body.error:
                        raise body.error from None
                    raise
            if is_opaque(answer) or answer["ETag"].strip('"') == md5.hex():
                with self._lock:
                    self._sent += stop - start
                self._run.received(stop - start)
                return answer
            if self._file.part_digest(start, stop) != md5:
                raise self._file.changed()
            log.warning("%s/%s: bytes %d to %d arrived damaged", self._run.url, self._name, start, stop)
        raise StorageError(
            f"{self._run.url}/{self._name}: expected bytes {start} to {stop} with MD5 {md5.hex()} to arrive, found "
            f"{answer['ETag']} {ATTEMPTS} times; something on the way changes them: check the network and the endpoint"
        )

    def _resume(self) -> tuple[str, dict[int, str]] | None:
        """Find the unfinished upload that has most of the file: its id, and the ETags of its parts by number.

        One without parts is taken, too: its process may be running, and then both fill and complete the same one.
        """
        found = []
        for upload in self._unfinished:
            try:
                parts = list_parts(self._run, self._name, upload)
            except UploadGoneError:
                continue
            if all(self._is_ours(number, *part) for number, part in parts.items()):
                found.append((upload, {number: etag for number, (_, etag) in parts.items()}))
        return max(found, key=lambda one: len(one[1]), default=None)

    def _is_ours(self, number: int, size: int, etag: str) -> bool:
        start, stop = self._file.extent(number)
        return number <= self._file.n_parts and size == stop - start and etag == self._digests.parts[number - 1].hex()

    def _begin_parts(self, resumed: tuple[str, dict[int, str]] | None = None) -> list[Callable[[], list]]:
        if resumed:
            self._upload, self._etags = resumed
            self._unfinished.remove(self._upload)
        else:
            create = partial(self._run.client.create_multipart_upload, Metadata=self._metadata)
            answer = self._run.retries(self._name).ask(lambda _: create(**self._run.place(self._name)))
            self._upload, self._etags = answer["UploadId"], {}
        self._rounds += 1
        self._gone, self._trouble = False, None
        missing = [number for number in range(1, self._file.n_parts + 1) if number not in self._etags]
        for number in self._etags:
            start, stop = self._file.extent(number)
            self._run.received(stop - start)
        self._left = len(missing)
        return [partial(self._take, number) for number in missing] or self._finish()

    def _take(self, number: int) -> list[Callable[[], list]]:
        """Send a part, and finish the upload if it was the last."""
        try:
            if not self._gone and not self._trouble:
                upload = partial(self._run.client.upload_part, UploadId=self._upload, PartNumber=number)
                answer = self._send(upload, *self._file.extent(number), self._digests.parts[number - 1])
                self._etags[number] = answer["ETag"].strip('"')
        except FileError as error:
            self._trouble = error
        except UploadGoneError:
            self._gone = True
        with self._lock:
            self._left -= 1
            if self._left:
                return []
        return self._finish()

    def _finish(self) -> list[Callable[[], list]]:
        """Complete the upload, and see that the object is what it should be."""
        try:
            if not self._trouble:
                self._file.check_unchanged()
        except FileError as error:
            self._trouble = error
        if self._trouble:
            abort(self._run, self._name, self._upload)
            return self._fail(self._trouble)
        if not self._gone:
            # Another process may have completed it, or this one, and the answer was lost: the object tells.
            with suppress(UploadGoneError):
                self._complete()
        answer = head(self._run, self._name)
        if answer and answer.get("Metadata", {}).get(SHA256) == self._digests.sha256:
            self._check_etag(answer)
            return self._end(self._sent)
        if self._rounds == ATTEMPTS:
            return self._fail(
                FileError(
                    f"{self._path}: expected to be alone in archiving it to {self._run.url}/{self._name}, found that "
                    f"another content is put there, {ATTEMPTS} times; end the other process, then archive it again"
                )
            )
        log.warning("%s/%s: another upload came in between; sending it again", self._run.url, self._name)
        self._run.expect(self._file.size)
        self._unfinished.append(self._upload)
        return self._begin_parts()

    def _complete(self) -> None:
        """Make an object of the parts, unless the upload has gone."""
        parts = [{"PartNumber": number, "ETag": f'"{self._etags[number]}"'} for number in sorted(self._etags)]
        complete = partial(
            self._run.client.complete_multipart_upload, UploadId=self._upload, MultipartUpload={"Parts": parts}
        )
        retries = self._run.retries(self._name)
        while True:
            try:
                with self._run.connection():
                    complete(**self._run.place(self._name))
                return
            except REQUEST_ERRORS as error:
                retries.wait(error)
                # Ceph answers as if it were busy where the upload has gone; a list of its parts tells.
                list_parts(self._run, self._name, self._upload)

    def _check_etag(self, answer: dict[str, Any]) -> None:
        found = answer["ETag"].strip('"')
        if not is_opaque(answer) and found != self._digests.etag:
            raise StorageError(
                f"{self._run.url}/{self._name}: expected ETag {self._digests.etag}, found {found}; the endpoint does "
                "not keep what it is sent: try again, or choose another one in AWS_ENDPOINT_URL_S3"
            )
