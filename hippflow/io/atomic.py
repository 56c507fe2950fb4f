"""Files that are either whole or not there.

A product is written under a temporary name in its own folder and renamed when
it is complete, so that a file which exists under a product's name is whole,
whatever was killed and when.
"""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files that killed processes of this host left for `path`."""
    host = socket.gethostname()
    pattern = re.compile(rf"\.{re.escape(path.name)}\.{re.escape(host)}-(\d+)\.part")
    for entry in os.scandir(path.parent):
        match = pattern.fullmatch(entry.name)
        if match and int(match[1]) != os.getpid() and not Path(f"/proc/{match[1]}").exists():
            Path(entry.path).unlink(missing_ok=True)


def temporary_name(path: Path) -> Path:
    """Return the name under which this process writes `path` before renaming it.

    The name holds host and process: an orphan of a killed run may still be
    writing when the product is made anew.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if Path("/proc/self").exists():
        _remove_leftovers(path)
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.part")


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    r"""Give a temporary path that becomes `path` if the block ends without an error.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole_file(folder / "units.csv") as part:
    ...     _ = part.write_text("unit,snr\n")
    >>> [entry.name for entry in folder.iterdir()]
    ['units.csv']
    """
    path = Path(path)
    part = temporary_name(path)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
