"""An object in a bucket as a file that is read here and there: some headers do not lie at its start."""

import io
from typing import Any

from hippflow.cloud.s3 import S3Object, read_range

#: Bytes of one request. The directory of an image is often at the end of its file, its description nearby.
BLOCK = 1 << 16


class RangedFile(io.RawIOBase):
    """An object, to be read in pieces; every block of it is fetched once.

    Parameters
    ----------
    obj : S3Object
    client : boto3 client
    """

    def __init__(self, obj: S3Object, client: Any):
        self.name = obj.url
        self._object, self._client = obj, client
        self._at = 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte, counted from the start, from here or from the end."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._object.size}[whence]
        if start + offset < 0:
            raise ValueError(f"{self.name}: no byte {start + offset}")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as much as `buffer` holds, or to the end of the block."""
        number, skip = divmod(self._at, BLOCK)
        if number not in self._blocks:
            self._blocks[number] = read_range(self._object, number * BLOCK, BLOCK, self._client)
        data = self._blocks[number][skip : skip + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
