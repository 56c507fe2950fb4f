"""What tells that a downloaded file has the content of its object.

An object that was put in one piece has the MD5 of its content as its ETag; one
that was put in parts has the MD5 of the parts' MD5s, a hyphen and their number,
which can only be checked by who knows the size of the parts.
"""

import base64
import hashlib
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

MIB = 1 << 20
#: Bytes that are read, hashed and written at a time: few enough to stay in a processor's cache all along.
CHUNK = MIB // 4
#: Part sizes of the usual tools in MiB, the commonest first.
USUAL_PARTS = (8, 16, 5, 10, 15, 32, 64, 128, 256, 512, 1024, 50, 20, 25, 100)

_ETAG = re.compile(r"([0-9a-f]{32})(?:-([1-9]\d{0,4}))?")


class Crc32:
    """CRC-32 with the methods of a hashlib object.

    Examples
    --------
    >>> crc = Crc32()
    >>> crc.update(b"123456789")
    >>> crc.hexdigest()
    'cbf43926'
    """

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        """Take in more data."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Return the four bytes of the sum."""
        return self._value.to_bytes(4, "big")

    def hexdigest(self) -> str:
        """Return the sum in hexadecimal digits."""
        return self.digest().hex()


_CHECKSUMS = {"ChecksumSHA256": hashlib.sha256, "ChecksumSHA1": hashlib.sha1, "ChecksumCRC32": Crc32}


def new_md5() -> Any:
    """Make an MD5 that also works where it is forbidden for secrets."""
    return hashlib.md5(usedforsecurity=False)


def count_parts(etag: str) -> int | None:
    """Return in how many parts an object was put: 0 for in one piece, None where the ETag is no MD5.

    Examples
    --------
    >>> count_parts("9ccbfb255021db1385fabe31d8247691-250"), count_parts("9ccbfb255021db1385fabe31d8247691")
    (250, 0)
    """
    match = _ETAG.fullmatch(etag)
    return int(match[2] or 0) if match else None


def possible_part_sizes(size: int, n_parts: int, most: int = 16) -> list[int]:
    """List the part sizes (bytes) that cut `size` bytes into `n_parts`: the usual ones first.

    Where a file would have more parts than are allowed, tools take whole MiB or an equal share for each.

    Examples
    --------
    >>> [part / MIB for part in possible_part_sizes(2_097_152_000, 250)]
    [8.0]
    >>> [part / MIB for part in possible_part_sizes(11 * MIB, 2)]
    [8.0, 10.0, 5.5, 6.0, 7.0, 9.0]
    """
    if n_parts == 1:
        return [size]
    first, last = -(-size // n_parts), (size - 1) // (n_parts - 1)
    usual = [part * MIB for part in USUAL_PARTS]
    whole = range(-(-first // MIB) * MIB, last + 1, MIB)
    fitting = [part for part in (*usual, first, *whole[:most]) if first <= part <= last]
    return list(dict.fromkeys(fitting))[:most]


def join_digests(digests: list[bytes], n_parts: int) -> str:
    """Return the ETag of content whose parts have these MD5 digests; `n_parts` is 0 for content in one piece."""
    if not n_parts:
        return digests[0].hex()
    joined = new_md5()
    joined.update(b"".join(digests))
    return f"{joined.hexdigest()}-{len(digests)}"


def read_chunks(fd: int, start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes of an open file from `start` to `stop`, or to its end."""
    while start < stop:
        data = os.pread(fd, min(CHUNK, stop - start), start)
        if not data:
            return
        start += len(data)
        yield data


def digest_of(new: Callable[[], Any], chunks: Iterable[bytes]) -> bytes:
    """Return the digest of all chunks together."""
    digest = new()
    for chunk in chunks:
        digest.update(chunk)
    return digest.digest()


def digest_parts(new: Callable[[], Any], fd: int, size: int, part: int) -> list[bytes]:
    """Return the digest of every part of an open file."""
    return [digest_of(new, read_chunks(fd, start, min(size, start + part))) for start in range(0, max(size, 1), part)]


class Follower:
    """MD5 of every part of a file that is filled in any order, taken behind the front of what is there without gaps.

    Whichever thread has just filled a stretch reads on behind the front, while the content is still in memory.

    Parameters
    ----------
    fd : int
        The file.
    size, part : int
        Bytes of the file and of its parts.
    front : callable
        Given an offset, return up to where the file is filled from there.
    """

    def __init__(self, fd: int, size: int, part: int, front: Callable[[int], int]):
        self._fd, self._size, self._part, self._front = fd, size, part, front
        self._lock = threading.Lock()
        self._digest, self._position = new_md5(), 0
        self.digests: list[bytes] = []

    def follow(self) -> None:
        """Read on, unless another thread does; the last call, when the file is full, reads to its end."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            while (stop := self._front(self._position)) > self._position:
                self._read_to(stop)
        finally:
            self._lock.release()

    def finish(self) -> list[bytes]:
        """Read what is left and return the digest of every part."""
        with self._lock:
            self._read_to(self._size)
        return self.digests

    def _read_to(self, stop: int) -> None:
        while self._position < stop:
            end = min(stop, len(self.digests) * self._part + self._part)
            for data in read_chunks(self._fd, self._position, end):
                self._digest.update(data)
            self._position = end
            if end == min(self._size, (len(self.digests) + 1) * self._part):
                self.digests.append(self._digest.digest())
                self._digest = new_md5()


def head_part_size(client: Any, bucket: str, key: str, size: int, n_parts: int) -> int | None:
    """Ask for the size of the first part; None where the endpoint does not tell."""
    try:
        answer = client.head_object(Bucket=bucket, Key=key, PartNumber=1)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 405, 416, 501):
            return None
        raise
    part = answer["ContentLength"]
    # Some endpoints pass over PartNumber and tell the size of the whole object.
    return part if part > 0 and -(-size // part) == n_parts else None


@dataclass(frozen=True)
class Stored:
    """What an endpoint knows about an object's content beside the ETag.

    Attributes
    ----------
    opaque : bool
        The object is encrypted so that its ETag is no MD5 of its content.
    name, value : str
        Checksum that can be taken here, ``ChecksumSHA256`` for example, as the endpoint writes it; empty without one.
    part : int
        Bytes of the parts whose checksums were summed up; 0 for a checksum of the whole.
    """

    opaque: bool
    name: str = ""
    value: str = ""
    part: int = 0

    def take(self, fd: int, size: int) -> str:
        """Take the same checksum of an open file."""
        new = _CHECKSUMS[self.name]
        digests = digest_parts(new, fd, size, self.part or max(size, 1))
        if not self.part:
            return base64.b64encode(digests[0]).decode()
        return f"{base64.b64encode(digest_of(new, digests)).decode()}-{len(digests)}"


def head_stored(client: Any, bucket: str, key: str, part: int) -> Stored:
    """Ask for an object's checksum; `part` is the size of its parts where that is known."""
    answer = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    opaque = answer.get("ServerSideEncryption", "").startswith("aws:kms") or "SSECustomerAlgorithm" in answer
    whole = answer.get("ChecksumType", "COMPOSITE" if "-" in answer.get("ETag", "") else "FULL_OBJECT") == "FULL_OBJECT"
    for name in _CHECKSUMS:
        value = answer.get(name, "")
        if value and whole:
            return Stored(opaque, name, value)
        if "-" in value and part:
            return Stored(opaque, name, value, part)
    return Stored(opaque)
