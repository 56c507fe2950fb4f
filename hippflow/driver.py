"""The process that drives a run: leave a record of it, and clear up after one that was killed.

Snakemake locks its folder while it runs. A driver that is killed outright leaves the lock,
and jobs in Slurm that nobody watches. The next start finds the record of a process that is
no more, cancels these jobs and opens the lock; what they had finished stays.
"""

import atexit
import json
import logging
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hippflow.errors import DriverError
from hippflow.io.atomic import whole_file

log = logging.getLogger(__name__)

#: Seconds that cancelled jobs have to end; Slurm's KillWait is 30 by default.
CANCEL_PATIENCE = 180.0


def process_identity(pid: int) -> str | None:
    """Return what tells a process from a later one with the same number, None if there is no such process."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] == "Z" else fields[19]  # state; start time in ticks since the machine started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "alive"


def _record_path(folder: Path) -> Path:
    return folder / "drivers" / f"{socket.gethostname()}-{os.getpid()}.json"


def check_folders(config: dict[str, Any]) -> None:
    """Write, rename and remove a file where a run's results will be, and its copies of raw files; claim the results.

    To be called before the first job starts, and in no dry run. Snakemake's lock is of a workflow's folder; runs of
    two folders into the same results would remove each other's products.

    Parameters
    ----------
    config : dict
        The complete configuration.

    Raises
    ------
    DriverError
        A folder that cannot be made or written to, or results that a run of another folder is writing.
    """
    keys = ["results", *(["staging"] if config["data"].startswith("s3://") else [])]
    for key in keys:
        path = Path(config[key])
        try:
            path.mkdir(parents=True, exist_ok=True)
            with whole_file(path / ".hippflow-writable") as part:
                part.write_bytes(b"hippflow")
            (path / ".hippflow-writable").unlink(missing_ok=True)
        except OSError as error:
            raise DriverError(
                f"{path.absolute()}: expected a folder that can be written to, found: {error.strerror}; no job was "
                f"started. Set {key} in config.yaml to another folder, or change whose it is, or how it is mounted"
            ) from error
    _claim(Path(config["results"]))


def _claim(results: Path) -> None:
    """Leave a record in the results, and refuse where a run of another workflow's folder has one."""
    state, folder = results / ".hippflow", str(Path.cwd())
    for record in killed_drivers(state)[0]:
        record["path"].unlink(missing_ok=True)
    atexit.register(_remove_empty, state)  # what is registered first is done last
    try:
        start_record(state, workflow=folder)  # before looking: of two at the same moment, at least one sees the other
    except FileNotFoundError:  # another run, which ended, has just removed the folder
        start_record(state, workflow=folder)
    for record in other_drivers(state):
        if record["workflow"] != folder:
            raise DriverError(
                f"{results.absolute()}: expected results that no other run writes, found one of {record['workflow']} "
                f"(process {record['pid']} on {record['host']}); no job was started. Wait until it has ended, or set "
                f"results to another folder; if that machine is gone, remove {record['path']}"
            )


def claim_of(results: str | Path) -> Path:
    """Return the record that `check_folders` leaves in the results while this process lives."""
    return _record_path(Path(results) / ".hippflow")


def _remove_empty(state: Path) -> None:
    """Leave nothing in the results when the last run has ended."""
    for folder in (state / "drivers", state):
        with suppress(OSError):
            folder.rmdir()


def start_record(folder: str | Path, **entries: Any) -> None:
    """Leave the record of this process until it ends, by itself or by a signal that it can handle.

    Parameters
    ----------
    folder : path
        Where runs keep what they must know of each other.
    **entries
        What else is known of the run: ``run``, the name of its jobs in Slurm. Kept by later calls.
    """
    host, pid = socket.gethostname(), os.getpid()
    path = _record_path(Path(folder))
    record = json.loads(path.read_text()) if path.exists() else {}
    if record.get("identity") != process_identity(pid):
        record = {"host": host, "pid": pid, "identity": process_identity(pid)}
        atexit.register(lambda: os.getpid() == pid and path.unlink(missing_ok=True))
    with whole_file(path) as part:
        part.write_text(json.dumps(record | entries))


def _records(folder: str | Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the records that are there, and where; a process that ends takes its own away."""
    for path in sorted(Path(folder, "drivers").glob("*.json")):
        with suppress(FileNotFoundError):
            yield path, json.loads(path.read_text())


def killed_drivers(folder: str | Path) -> tuple[list[dict[str, Any]], bool]:
    """Find the records of processes that are no more.

    Returns
    -------
    killed : list of dict
        The records, each with its ``path``.
    alone : bool
        Whether no other driver may be at work, here or on another host.
    """
    killed, alone = [], True
    for path, record in _records(folder):
        if record["host"] != socket.gethostname() or process_identity(record["pid"]) == record["identity"]:
            alone = False
        else:
            killed.append(record | {"path": path})
    return killed, alone


def other_drivers(folder: str | Path) -> list[dict[str, Any]]:
    """Find the records of other processes that may be at work, here or on another host, each with its ``path``."""
    here, others = socket.gethostname(), []
    for path, record in _records(folder):
        mine = record["host"] == here and record["pid"] == os.getpid()
        if not mine and (record["host"] != here or process_identity(record["pid"]) == record["identity"]):
            others.append(record | {"path": path})
    return others


def _active_jobs(run: str) -> list[str]:
    """Return the Slurm jobs of a run that have not ended."""
    asked = subprocess.run(["squeue", "--noheader", "--format=%i", "--name", run], capture_output=True, text=True)
    if asked.returncode != 0:
        raise DriverError(
            f"Slurm does not say whether jobs of a killed run are still there (squeue: {asked.stderr.strip()}); "
            "start again when its controller answers"
        )
    return asked.stdout.split()


def cancel_jobs(run: str, patience: float = CANCEL_PATIENCE) -> int:
    """Cancel the Slurm jobs of a run and wait until they have ended.

    Returns
    -------
    int
        How many there were.

    Raises
    ------
    DriverError
        Slurm does not answer, or the jobs do not end.
    """
    jobs = _active_jobs(run)
    deadline = time.monotonic() + patience
    while left := _active_jobs(run):
        subprocess.run(["scancel", *left], capture_output=True)
        if time.monotonic() > deadline:
            raise DriverError(
                f"expected the jobs of a killed run to end within {patience:g} s of scancel, found {', '.join(left)} "
                "still there; see squeue, and start again when they are gone"
            )
        time.sleep(1)
    return len(jobs)


def clear_up(folder: str | Path, locks: str | Path) -> None:
    """Cancel the jobs of killed drivers and open their locks, so that a run can go on where they stopped.

    Parameters
    ----------
    folder : path
        As in :func:`start_record`.
    locks : path
        Snakemake's folder of locks. It stays while another driver may be at work.
    """
    killed, alone = killed_drivers(folder)
    for record in other_drivers(folder):
        log.warning(
            "Another run is at work in this folder: process %s on %s. What both would make is refused here (Directory "
            "cannot be locked): wait until it has ended, and do not unlock. If that machine is gone, remove %s.",
            record["pid"],
            record["host"],
            record["path"],
        )
    for record in killed:
        n_jobs = cancel_jobs(record["run"]) if "run" in record else 0
        log.warning(
            "An earlier run (process %s) was killed; %d of its Slurm jobs were cancelled. Going on from there.",
            record["pid"],
            n_jobs,
        )
    if killed and alone:
        for lock in Path(locks).glob("*.lock"):
            lock.unlink(missing_ok=True)
    for record in killed:
        record["path"].unlink(missing_ok=True)
