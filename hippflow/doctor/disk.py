"""The folders that a run writes to: can it, on what, and is there room."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hippflow.doctor.findings import FAILURE, OK, WARNING, Finding, Workplace
from hippflow.doctor.space import bytes_to_come, bytes_to_stage

#: Share of the free space that a run may need before it is a matter to think of.
_TIGHT = 0.9

#: File systems that are no good for results, and why.
_RISKY = {
    "tmpfs": "memory: what is in it is gone after a restart",
    "ramfs": "memory: what is in it is gone after a restart",
    "overlay": "a container's own layer: what is in it is gone with the container",
} | dict.fromkeys(
    ("fuse.s3fs", "fuse.mount-s3", "fuse.goofys", "fuse.gcsfuse", "fuse.rclone", "fuse.geesefs"),
    "a bucket shown as a folder: files cannot be written in place and renamed there",
)


def nearest_folder(path: str | Path) -> Path:
    """Return a folder, or what is there of its parents.

    Examples
    --------
    >>> nearest_folder("/no/such/folder")
    PosixPath('/')
    """
    path = Path(path).absolute()
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


def file_system(path: Path, mounts: str | None = None) -> tuple[str, str]:
    r"""Return type and mount point of the file system that a path is on; empty where the system does not tell.

    Examples
    --------
    >>> file_system(Path("/data/results"), "/dev/a / ext4 rw 0 0\nfs-1:/ /data nfs4 rw 0 0\n/dev/b /data2 xfs rw 0 0")
    ('nfs4', '/data')
    """
    if mounts is None:
        table = Path("/proc/mounts")
        mounts = table.read_text() if table.exists() else ""
    best = ("", "")
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split()
        point = point.replace("\\040", " ")
        if path.is_relative_to(point) and len(point) >= len(best[1]):
            best = kind, point
    return best


def check_results(workplace: Workplace) -> Iterator[Finding]:
    """Write, rename and remove a file where the results, and the copies of raw files, will be."""
    yield _judge_folder("results", workplace.settings["results"])
    if workplace.in_bucket:
        yield _judge_folder("staging", workplace.settings["staging"])


def _judge_folder(key: str, folder: str) -> Finding:
    where = nearest_folder(folder)
    fix = f"set {key} in config.yaml to a folder that you may write to, or change whose it is (chown, chmod)"
    if not where.is_dir():
        return Finding(FAILURE, f"{folder}: expected a folder, found a file ({where})", f"move it, or set {key}")
    try:
        descriptor, name = tempfile.mkstemp(prefix=".hippflow-doctor-", dir=where)
        try:
            os.write(descriptor, b"hippflow")
            os.close(descriptor)
            os.replace(name, f"{name}.whole")
        finally:
            for path in (name, f"{name}.whole"):
                Path(path).unlink(missing_ok=True)
    except OSError as error:
        return Finding(FAILURE, f"{folder}: expected to write to {where}, found: {error.strerror}", fix)
    kind, point = file_system(where.resolve())
    if kind in _RISKY:
        return Finding(
            WARNING, f"{folder} can be written to; it is on {kind} ({point}), {_RISKY[kind]}", f"set {key} elsewhere"
        )
    there = "" if Path(folder).is_dir() else ", and will be made"
    return Finding(OK, f"{folder} can be written to{there}" + (f"; on {kind} ({point})" if kind else ""))


def check_space(workplace: Workplace) -> Iterator[Finding]:
    """Hold the room on the disks to what is still to be made and fetched."""
    config, products = workplace.settings, workplace.products
    n_bytes, n_files = bytes_to_come(products)
    needs = [(config["results"], n_bytes)]
    if workplace.in_bucket:
        needs.append((config["staging"], bytes_to_stage(products)))
    disks: dict[int, tuple[Path, list[str], int]] = {}
    for folder, needed in needs:
        where = nearest_folder(folder)
        device = os.stat(where).st_dev
        _, names, total = disks.get(device, (where, [], 0))
        disks[device] = where, [*names, folder], total + needed
    for where, names, needed in disks.values():
        free = shutil.disk_usage(where).free
        what = (
            f"{' and '.join(names)}: {n_files} products to come" + (" and raw files" if len(names) > 1 else "")
            if config["results"] in names
            else f"{names[0]}: raw files to come"
        )
        said = f"{what} take about {_size(needed)}, {_size(free)} are free"
        fix = "make room, choose fewer days or channels, or store signals in half (products.dtype: int16)"
        if needed > free:
            yield Finding(FAILURE, said, fix)
        elif needed > _TIGHT * free:
            yield Finding(WARNING, said, fix)
        else:
            yield Finding(OK, said)


def _size(n_bytes: float) -> str:
    """Write bytes in a unit of their size.

    Examples
    --------
    >>> _size(0), _size(1.26e9), _size(3e12)
    ('0 MB', '1.3 GB', '3.0 TB')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes / 1e6:.0f} MB"
