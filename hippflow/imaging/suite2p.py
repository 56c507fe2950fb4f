"""suite2p's library for one job: imported without a trace in the user's home, on few threads, with our log.

What this does: imports suite2p as if its user had no home directory, so that nothing is written there and no
personal settings or classifier change a result; sets threads and memory for a job of long arrays; passes
suite2p's messages on to the job's log.

What it does not: change anything of suite2p's.
"""

import ctypes
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from hippflow.errors import ConfigError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

#: Parameters of glibc's mallopt.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4

#: What tqdm writes before there is anything to tell, and suite2p's rulers.
_NOTHING = re.compile(r"^\s*0%\||^-+$")


def _cache_folder() -> str:
    """Return where numba and matplotlib may keep what they compile: where they always do, else a folder of ours."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    with suppress(OSError):
        usual.mkdir(parents=True, exist_ok=True)
    return str(usual) if os.access(usual, os.W_OK) else tempfile.mkdtemp(prefix="hippflow-cache-")


with (
    tempfile.TemporaryDirectory() as _home,
    mock.patch.dict(os.environ, HOME=_home, XDG_CACHE_HOME=_cache_folder()),
    redirect_stdout(StringIO()),
    redirect_stderr(StringIO()),
):
    import suite2p
    from suite2p.classification import builtin_classfile as BUILTIN_CLASSIFIER
    from suite2p.detection import assign_overlaps
    from suite2p.extraction import oasis, preprocess
    from suite2p.registration.utils import highpass_mean_image

__all__ = [
    "BUILTIN_CLASSIFIER",
    "assign_overlaps",
    "hear_warnings",
    "highpass_mean_image",
    "oasis",
    "open_device",
    "plain",
    "preprocess",
    "suite2p",
    "tune",
]


class _Forward(logging.Handler):
    """Hands suite2p's messages to our log; its many notes are for the job's log only."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except TypeError:  # suite2p calls the log like print in places
            text = " ".join(str(part) for part in (record.msg, *record.args))
        text = text.strip(" \r\n")
        if text and not _NOTHING.match(text):
            log.log(logging.DEBUG if record.levelno <= logging.INFO else record.levelno, "suite2p: %s", text)


def _keep_memory() -> None:
    """Let glibc take large arrays from memory that it keeps; elsewhere suite2p is only slower."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)


def tune(threads: int = 1) -> None:
    """Prepare this process for one job of suite2p.

    suite2p spends more than half its time on memory that is mapped, zeroed and given back for each of its arrays;
    one thread that keeps memory is faster than two that do not. The process keeps it until it ends.

    Parameters
    ----------
    threads : int
        For PyTorch, numba and linear algebra, however many cores the machine has.
    """
    import numba
    import threadpoolctl
    import torch

    _keep_memory()
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    threadpoolctl.threadpool_limits(threads)
    library = logging.getLogger("suite2p")
    library.handlers, library.propagate = [_Forward()], False
    library.setLevel(logging.INFO)


@contextmanager
def hear_warnings() -> Iterator[None]:
    """Pass warnings of suite2p on to our log; those of its libraries are for the job's log only."""
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        for text, kind in dict.fromkeys((str(warning.message), warning.category) for warning in caught):
            if not text.startswith("Sparse "):  # PyTorch's, about its kinds of matrices
                log.log(logging.WARNING if kind is UserWarning else logging.DEBUG, "suite2p: %s", text)


def open_device(name: str) -> "torch.device":
    """Return PyTorch's device of a name.

    Raises
    ------
    ConfigError
        There is no such GPU here; suite2p itself would take the CPU without a word.
    """
    import torch

    device = torch.device(name)
    if device.type != "cpu" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"suite2p.torch_device: expected a GPU for {name}, PyTorch {torch.__version__} finds "
            f"{torch.cuda.device_count()} here; run on a machine with one or set torch_device: cpu"
        )
    return device


def plain(value: Any) -> Any:
    """Return a copy of suite2p's nested outputs that is pickled to the same bytes every time."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    if isinstance(value, np.ndarray):
        if value.dtype != object:
            return np.ascontiguousarray(value)
        copy = np.empty(value.shape, object)
        for index in np.ndindex(value.shape):
            copy[index] = plain(value[index])
        return copy
    return value
