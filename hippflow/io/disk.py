"""Disks that are full, gone, or not those that they were when the run began: what to say of them.

HDF5 is to be kept away from a full disk: its library cannot close a file there, and may end the process with a
segmentation fault. :func:`scratch_file` is where it may write little; products are made in memory.
"""

import errno
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hippflow.errors import DiskError

#: What to do about what the system says of a disk.
ADVICE = {
    errno.ENOSPC: "make room there, or set results to another disk",
    errno.EDQUOT: "make room in your quota there, or set results to another disk",
    errno.EFBIG: "set results in config.yaml to a disk that takes files of this size",
    errno.EROFS: "have it mounted for writing",
    errno.EIO: "see whether the disk, or the server that it is on, is in order",
    errno.ESTALE: "have it mounted anew: its server has another disk now",
    errno.ENOTCONN: "have it mounted anew: its server has gone",
    errno.EHOSTDOWN: "have it mounted anew when its server is back",
    errno.ETIMEDOUT: "start again when its server answers",
}

#: How HDF5 says what the system said.
_HDF5 = re.compile(r"errno = (\d+)")

#: How numpy says that an array did not go on a disk.
_NUMPY = re.compile(r"\d+ requested and \d+ written")

#: Bytes below which a disk is as good as full, whatever a process that was killed there could not say.
_NOTHING = 1 << 16

#: Where files are in memory, and the room that a scratch file needs there in bytes.
MEMORY, _SCRATCH = "/dev/shm", 1 << 22

#: The variable that names a file which is in the results of a run as long as it lives.
CLAIM_VARIABLE = "HIPPFLOW_CLAIM"

#: Seconds in which a new file of another machine is seen here, on a disk that they share.
PATIENCE = 15.0


def mount_point(path: str | Path) -> Path:
    """Return where the file system is mounted that `path` is on, or will be.

    Examples
    --------
    >>> mount_point("/proc/self/status")
    PosixPath('/proc')
    """
    path = Path(path).absolute()
    while not os.path.exists(path) and path != path.parent:
        path = path.parent
    while path != path.parent and not os.path.ismount(path):
        path = path.parent
    return path


def disk_error(error: BaseException, outputs: Iterable[str | Path] = ()) -> DiskError | None:
    """Say what an error means that is of a disk.

    Parameters
    ----------
    error : exception
    outputs : iterable of path
        What the job writes, for errors that name no file.

    Returns
    -------
    DiskError or None
        None for an error of anything else.

    Examples
    --------
    >>> print(disk_error(ValueError("no disk")))
    None
    """
    if isinstance(error, FileNotFoundError):
        try:
            check_results(patience=0)
        except DiskError as absent:
            return absent
    number = getattr(error, "errno", None)
    if number is None and isinstance(error, OSError | RuntimeError) and (found := _HDF5.search(str(error))):
        number = int(found[1])
    if number is None and isinstance(error, OSError) and _NUMPY.search(str(error)):
        number = errno.ENOSPC
    if number not in ADVICE:
        return None
    path = getattr(error, "filename", None) or next(iter(outputs), None)
    return _about(path, number)


def full_disk(outputs: Iterable[str | Path], least: int = _NOTHING) -> DiskError | None:
    """Say that a disk on which a job writes has fewer than `least` bytes free, or no room for a file's name.

    Returns
    -------
    DiskError or None
        None where there is room, or nobody knows.
    """
    for path in outputs:
        try:
            state = os.statvfs(mount_point(path))
        except OSError:
            return None
        if state.f_blocks and (state.f_bavail * state.f_frsize < least or (state.f_files and not state.f_favail)):
            return _about(path, errno.ENOSPC)
    return None


def check_room(path: str | Path) -> None:
    """Refuse to begin where there is no room even for what a run keeps about itself.

    Raises
    ------
    DiskError
        The disk is as good as full.
    """
    if trouble := full_disk([path]):
        raise trouble


def _about(path: str | Path | None, number: int) -> DiskError:
    """Return the error for a file of which the system said `number`."""
    expected = "room on its disk" if number in (errno.ENOSPC, errno.EDQUOT) else "a disk in order"
    where = ""
    if path is not None:
        mount = mount_point(path)
        where = f" (at {mount})"
        with suppress(OSError):  # it is gone
            usage = shutil.disk_usage(mount)
            where = f" (at {mount}, {usage.free / 1e6:.3g} of {usage.total / 1e6:.3g} MB free now)"
    return DiskError(
        f"{path or 'a file'}: expected {expected}, found: {os.strerror(number)}{where}; {ADVICE[number]}, and start "
        "again: what is finished stays"
    )


def claim_results(claim: str | Path) -> None:
    """Name the file by which jobs of this process know that the results are those that it has found.

    Parameters
    ----------
    claim : path
        In the results, and gone with this process.
    """
    os.environ[CLAIM_VARIABLE] = str(Path(claim).absolute())


def check_results(patience: float = PATIENCE) -> None:
    """Refuse to write into a folder that only has the name of the results.

    Where a disk was never mounted, or is not any more, its mount point is an empty folder: a job would make its
    products there, on the wrong disk, and nobody would find them.

    Raises
    ------
    DiskError
        The file of :func:`claim_results` is not there, nor is it after `patience` seconds.
    """
    claim = os.environ.get(CLAIM_VARIABLE)
    if not claim or os.path.exists(claim):
        return
    folder, deadline = Path(claim).parent, time.monotonic() + patience
    while time.monotonic() < deadline:
        if folder.is_dir():
            os.listdir(folder)  # a client of NFS looks anew
        time.sleep(1)
        if os.path.exists(claim):
            return
    raise DiskError(
        f"{folder.parents[1]}: expected the folder in which the run began, found another in its place on "
        f"{socket.gethostname()}, without {folder.parent.name}/{folder.name}/{Path(claim).name}; is its disk mounted "
        "there? Have it mounted, and start again: what is finished stays"
    )


@contextmanager
def scratch_file() -> Iterator[Path]:
    """Give the path of a small file in memory, or among temporary files where that has no room; gone afterwards."""
    has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > _SCRATCH
    with tempfile.TemporaryDirectory(prefix="hippflow-", dir=MEMORY if has_room else None) as folder:
        yield Path(folder, "scratch")
