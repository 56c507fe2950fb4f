"""A file that arrives in blocks, in any order, and goes on after an interruption.

Beside ``NAME`` lie ``.NAME.s3part``, the file so far, and ``.NAME.s3journal``: a line
about the object and how it is cut, then a line with number and digest of every block
that is on disk. Both stay when a process is killed, and go when the file is whole.
"""

import ctypes
import errno
import fcntl
import json
import logging
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hippflow.cloud.etag import Crc32, new_md5, read_chunks
from hippflow.errors import StorageError

log = logging.getLogger(__name__)

_BLOCK_LINE = re.compile(rb"(\d+) ([0-9a-f]+)")


@dataclass(frozen=True)
class Layout:
    """How an object is cut.

    Attributes
    ----------
    block : int
        Bytes that are asked for at a time.
    part : int
        Bytes of which each an MD5 is needed for the ETag: the parts in which it was put, or all; 0 for unknown.
    confirmed : bool
        The endpoint itself told the size of the parts, or there is only one.
    """

    block: int
    part: int
    confirmed: bool


class PartFile:
    """The file of an object while it arrives.

    Parameters
    ----------
    path : Path
        Where the whole file will be.
    etag, size : str, int
        Of the object. A journal of another one is thrown away.
    plan : callable
        Returns the :class:`Layout`; called where no journal has it.

    Raises
    ------
    StorageError
        Another process is writing the same file.
    """

    def __init__(self, path: Path, etag: str, size: int, plan: Callable[[], Layout]):
        self.path, self.etag, self.size = path, etag, size
        self._part, self._journal = part_name(path), path.with_name(f".{path.name}.s3journal")
        self.digests: dict[int, str] = {}
        self._log = _open_locked(self._journal, path)
        try:
            layout, self.claimed = self._read_journal()
            self.layout = layout or plan()
            self.fd = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except BaseException:
            os.close(self._log)
            raise
        try:
            if not layout:
                self._begin()
        except OSError:
            self.close()
            raise

    def _read_journal(self) -> tuple[Layout | None, dict[int, str]]:
        """Return what the journal says about this object; a last line that was cut off is taken away."""
        text = b"".join(read_chunks(self._log, 0, os.fstat(self._log).st_size))
        lines = text[: text.rfind(b"\n") + 1].splitlines()
        try:
            header = json.loads(lines[0])
            same = header.pop("etag") == self.etag and header.pop("size") == self.size
            layout = Layout(**header)
        except (IndexError, ValueError, KeyError, TypeError, AttributeError):
            return None, {}
        if not same:
            return None, {}
        os.ftruncate(self._log, text.rfind(b"\n") + 1)
        claims = filter(None, map(_BLOCK_LINE.fullmatch, lines[1:]))
        return layout, {int(claim[1]): claim[2].decode() for claim in claims}

    def _begin(self) -> None:
        os.ftruncate(self._log, 0)
        header = {"etag": self.etag, "size": self.size, **asdict(self.layout)}
        os.write(self._log, json.dumps(header).encode() + b"\n")
        os.ftruncate(self.fd, 0)
        if self.n_blocks > 1:
            _allocate(self.fd, self.size)

    @property
    def inline(self) -> bool:
        """The digest of a block is the MD5 of a part; else it is a quick sum for the journal alone."""
        return self.layout.block == self.layout.part

    @property
    def n_blocks(self) -> int:
        """Number of blocks; an empty object has one."""
        return max(1, -(-self.size // self.layout.block))

    def extent(self, index: int) -> tuple[int, int]:
        """Return where a block begins and ends."""
        start = index * self.layout.block
        return start, min(self.size, start + self.layout.block)

    def new_digest(self) -> Any:
        """Make the digest that blocks of this file have."""
        return new_md5() if self.inline else Crc32()

    def write(self, data: bytes, position: int) -> None:
        """Write all of `data`."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self.fd, view, position)
            view, position = view[written:], position + written

    def finish_block(self, index: int, digest: str) -> None:
        """Note that a block is on disk."""
        start, stop = self.extent(index)
        # Starts writing to the disk without waiting for it, so that the last fsync finds little left to do.
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.fd, start, stop - start, os.POSIX_FADV_DONTNEED)
        os.write(self._log, f"{index} {digest}\n".encode())
        self.digests[index] = digest

    def recheck(self, index: int) -> bool:
        """Tell whether a block that the journal claims is on disk, and count it if it is.

        After a power failure the journal can be ahead of the file.
        """
        digest = self.new_digest()
        for data in read_chunks(self.fd, *self.extent(index)):
            digest.update(data)
        if digest.hexdigest() != self.claimed[index]:
            return False
        self.digests[index] = self.claimed[index]
        return True

    def front(self, offset: int) -> int:
        """Return up to where the file is filled from the beginning `offset` of a block."""
        index = offset // self.layout.block
        while index in self.digests:
            index += 1
        return max(offset, min(self.size, index * self.layout.block))

    def restart(self) -> None:
        """Forget all blocks."""
        self.digests, self.claimed = {}, {}
        self._begin()

    def commit(self) -> None:
        """Make the file durable and give it its name."""
        os.utime(self.fd)
        os.fsync(self.fd)
        os.replace(self._part, self.path)
        self._journal.unlink()
        self.close()

    def discard(self) -> None:
        """Remove the file and its journal."""
        self._part.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leave the file for another attempt to go on with, and unlock it."""
        os.close(self.fd)
        os.close(self._log)


def part_name(path: Path) -> Path:
    """Return under which name a file arrives."""
    return path.with_name(f".{path.name}.s3part")


def _open_locked(journal: Path, path: Path) -> int:
    while True:
        fd = os.open(journal, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fd)
            raise StorageError(
                f"{path}: expected to be alone in writing it, found {journal.name} locked by another download; wait "
                "for that one to end, or end it"
            ) from error
        except OSError as error:
            # File systems without locks: two downloads at once would only be noticed by the checksum.
            log.warning("%s: cannot be locked on this file system (%s)", journal, error.strerror)
            return fd
        # The one who held the lock may have finished and removed the journal meanwhile.
        if journal.exists() and os.path.samestat(os.fstat(fd), os.stat(journal)):
            return fd
        os.close(fd)


def _allocate(fd: int, size: int) -> None:
    """Give a file its length, and its space where the file system can reserve it.

    `os.posix_fallocate` would write into every page of the file where the file system cannot (NFS before 4.2).
    """
    fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if size and fallocate:
        length = ctypes.c_int64(size)
        if fallocate(fd, 0, ctypes.c_int64(0), length) == 0:
            return
        if ctypes.get_errno() == errno.ENOSPC:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(fd, size)
