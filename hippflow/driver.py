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
    for path in sorted(Path(folder, "drivers").glob("*.json")):
        record = json.loads(path.read_text())
        if record["host"] != socket.gethostname() or process_identity(record["pid"]) == record["identity"]:
            alone = False
        else:
            killed.append(record | {"path": path})
    return killed, alone


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
