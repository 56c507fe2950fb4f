"""Recordings that are read once pass through memory without pushing out what others keep there.

The system keeps in memory whatever was read, and lets go what was read longest ago: a recording of 34 GB that
nobody reads again would take the place of products that the next jobs read. What is read here is let go at once,
unless it was in memory before: then somebody keeps it there.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Places of a file that are looked at.
_N_LOOKS = 16

#: Bytes that are let go at a time.
_STEP = 64 << 20


@contextmanager
def passing_through(path: Path) -> Iterator[Callable[[int], None]]:
    """Read a file once, from its beginning to its end.

    Parameters
    ----------
    path : Path

    Yields
    ------
    callable
        To be called with the number of bytes that have been read so far, and are not needed again.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file, passing_through(Path(file.name)) as passed:
    ...     passed(file.write(b"samples"))
    """
    with path.open("rb") as file:
        is_kept, done = _in_memory(file.fileno()), 0

        def passed(end: int) -> None:
            nonlocal done
            if not is_kept and end >= done + _STEP:
                os.posix_fadvise(file.fileno(), done, end - done, os.POSIX_FADV_DONTNEED)
                done = end

        yield passed
        if not is_kept:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _in_memory(descriptor: int) -> bool:
    """Say whether a file is in memory, by some looks; True where the system does not tell."""
    size, n_found = os.fstat(descriptor).st_size, 0
    for k in range(_N_LOOKS):
        try:
            n_found += os.preadv(descriptor, [bytearray(1)], size * k // _N_LOOKS, os.RWF_NOWAIT)
        except BlockingIOError:
            pass
        except OSError:  # a file system without this
            return True
    return n_found > _N_LOOKS // 2
