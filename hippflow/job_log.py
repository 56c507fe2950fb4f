"""The log of a job: what it says on the terminal and in its file, without secrets."""

import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from hippflow.redaction import redacted


class _LogFile(logging.FileHandler):
    """A job's log; what a full disk does not take of it is on the terminal."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Pass over errors of the disk, of which the job itself will fail and tell."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class _Formatter(logging.Formatter):
    """Lines of a log, without secrets that an error of any library may have in it."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def start_job_log(files: Iterable[str]) -> None:
    """Log to the terminal, where an error is its message alone, and to the job's log, which has everything.

    Parameters
    ----------
    files : iterable of str
        Logs; their folders are made, and what they held goes. HIPPFLOW_DEBUG=1 in the environment puts everything
        on the terminal as well.
    """
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.DEBUG if os.environ.get("HIPPFLOW_DEBUG") else logging.INFO)
    handlers: list[logging.Handler] = [terminal]
    for path in files:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if Path(path).is_symlink():  # a log is a file of its own, and no other is written over
            Path(path).unlink()
        handlers.append(_LogFile(path, mode="w"))
    for handler in handlers:
        handler.setFormatter(_Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=handlers)
    logging.getLogger("hippflow").setLevel(logging.DEBUG)
    logging.captureWarnings(True)
