"""A file that is archived: its content, its checksums, and how it is cut into parts."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hippflow.cloud.archive_names import FileError
from hippflow.cloud.etag import MIB, count_parts, digest_parts, join_digests, new_md5, possible_part_sizes, read_chunks

#: Files up to this size are put in one piece; larger ones in parts of this size, or larger where there would be more
#: parts than S3 allows.
PART_SIZE, MOST_PARTS = 16 * MIB, 10_000
#: Largest object of S3.
LARGEST = 5 << 40
#: Other sizes of parts that are tried for an object that another tool has put.
OTHER_PARTS = 3


def part_size(size: int) -> int:
    """Return in parts of how many bytes a file of `size` bytes is put: whole MiB.

    Examples
    --------
    >>> [part_size(size) // MIB for size in (10**6, 10**11, 5 * 10**12)]
    [16, 16, 477]
    """
    return max(PART_SIZE, -(-size // (MOST_PARTS * MIB)) * MIB)


@dataclass(frozen=True)
class Digests:
    """Checksums of a file's content.

    Attributes
    ----------
    parts : list of bytes
        MD5 of every part, or of the whole if it is put in one piece.
    etag : str
        What S3 calls an object with this content that is put so.
    sha256 : str
        Of the whole, in hexadecimal digits.
    """

    parts: list[bytes]
    etag: str
    sha256: str


class LocalFile:
    """A product, open for reading.

    Parameters
    ----------
    root, path : Path
        Root of the results, and the file.
    go_on : callable
        Called now and then while it is read, to raise where that should end.

    Raises
    ------
    FileError
        It cannot be opened, is no file, leads outside the root, or is too large.
    """

    def __init__(self, root: Path, path: Path, go_on: Callable[[], None]):
        self.path, self._go_on = path, go_on
        try:
            self._real = Path(os.path.realpath(path, strict=True))
            if not self._real.is_relative_to(os.path.realpath(root)):
                raise FileError(
                    f"{path}: expected a file below {root}, found a link that leads outside it, to {self._real}; "
                    "put the file itself there"
                )
            self.fd = os.open(self._real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise self.trouble(error) from error
        status = os.fstat(self.fd)
        self.size, self._identity = status.st_size, _identity(status)
        if not stat.S_ISREG(status.st_mode) or self.size > LARGEST:
            self.close()
            found = f"one of {self.size} bytes" if stat.S_ISREG(status.st_mode) else "something else"
            raise FileError(f"{path}: expected a file of at most 5 TiB, found {found}; take it out of the results")
        self.part = part_size(self.size)

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)

    def trouble(self, error: OSError) -> FileError:
        """Say that reading failed."""
        return FileError(
            f"{self.path}: expected a file that can be read, found: {error.strerror or error}; correct its "
            "permissions, or make it anew"
        )

    def changed(self) -> FileError:
        """Say that the file changed while it was being read."""
        return FileError(
            f"{self.path}: expected a finished file, found that it changed while it was being archived; archive it "
            "again when nothing writes to it"
        )

    def check_unchanged(self) -> None:
        """Check that the file under this name is still the one that was opened.

        Raises
        ------
        FileError
            It is not.
        """
        try:
            if _identity(os.fstat(self.fd)) == self._identity == _identity(os.stat(self._real)):
                return
        except FileNotFoundError:
            pass
        raise self.changed()

    @property
    def n_parts(self) -> int:
        """How many parts it is put in; 0 for in one piece."""
        return -(-self.size // self.part) if self.size > PART_SIZE else 0

    def extent(self, number: int) -> tuple[int, int]:
        """Return where a part, counted from 1, begins and ends."""
        return (number - 1) * self.part, min(self.size, number * self.part)

    def digests(self) -> Digests:
        """Read the file and return its checksums.

        Raises
        ------
        FileError
            It cannot be read, or changed.
        """
        sha256, parts = hashlib.sha256(), []
        try:
            for start in range(0, max(self.size, 1), self.part):
                md5, stop = new_md5(), min(self.size, start + self.part)
                for data in self._chunks(start, stop):
                    md5.update(data)
                    sha256.update(data)
                parts.append(md5.digest())
        except OSError as error:
            raise self.trouble(error) from error
        self.check_unchanged()
        return Digests(parts, join_digests(parts, self.n_parts), sha256.hexdigest())

    def part_digest(self, start: int, stop: int) -> bytes:
        """Return the MD5 of the bytes from `start` to `stop` as they are now."""
        md5 = new_md5()
        for data in self._chunks(start, stop):
            md5.update(data)
        return md5.digest()

    def _chunks(self, start: int, stop: int) -> Iterator[bytes]:
        for data in read_chunks(self.fd, start, stop):
            yield data
            self._go_on()

    def has_etag(self, etag: str) -> bool:
        """Tell whether an ETag that another way of cutting the file makes is of this content."""
        n_parts = count_parts(etag)
        if n_parts is None:
            return False
        cuts = possible_part_sizes(self.size, n_parts, OTHER_PARTS) if n_parts else [max(1, self.size)]
        try:
            return any(join_digests(digest_parts(new_md5, self.fd, self.size, cut), n_parts) == etag for cut in cuts)
        except OSError as error:
            raise self.trouble(error) from error

    def window(self, start: int, stop: int) -> "Window":
        """Return a part of the file as the body of a request."""
        return Window(self, start, stop, self._go_on)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class Window:
    """Part of a file, as a file of its own that is read chunk by chunk.

    An error of the file is kept in `error`: botocore takes it for one of the connection.
    """

    def __init__(self, file: LocalFile, start: int, stop: int, go_on: Callable[[], None]):
        self._file, self._start, self._stop, self._go_on = file, start, stop, go_on
        self._position = start
        self.error: FileError | None = None

    def __len__(self) -> int:
        return self._stop - self._start

    def tell(self) -> int:
        """Return the offset from the beginning of the part."""
        return self._position - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset and return it."""
        origin = {os.SEEK_SET: self._start, os.SEEK_CUR: self._position, os.SEEK_END: self._stop}[whence]
        self._position = min(self._stop, max(self._start, origin + offset))
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, all that is left where it is negative."""
        self._go_on()
        left = self._stop - self._position
        wanted = left if size is None or size < 0 else min(size, left)
        try:
            data = os.pread(self._file.fd, wanted, self._position)
            if wanted and not data:
                raise self._file.changed()
        except OSError as error:
            self.error = self._file.trouble(error)
            raise
        except FileError as error:
            self.error = error
            raise OSError(str(error)) from error
        self._position += len(data)
        return data
