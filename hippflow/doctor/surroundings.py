"""Python, packages, text encoding, open files, GPU: what the programs find around them."""

import locale
import re
import resource
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from hippflow.doctor.findings import FAILURE, OK, WARNING, Finding, Workplace

#: Least version of Python, as in pyproject.toml.
PYTHON = (3, 11)

#: Files that a process has open beside products: libraries, sockets, logs.
OPEN_BESIDE = 100

#: Our plugins of Snakemake, an installation of their own.
_PLUGINS = (
    "snakemake_logger_plugin_hippflow",
    "snakemake_executor_plugin_hippflow_slurm",
    "snakemake_storage_plugin_hippflow_s3",
)

_INSTALL = "pip install -r requirements.lock -e . -e ./plugins"


def check_python(_: Workplace) -> Iterator[Finding]:
    """Say which Python this is."""
    yield judge_python(sys.version_info[:3])


def judge_python(version: tuple[int, ...]) -> Finding:
    """Judge a version of Python.

    Examples
    --------
    >>> judge_python((3, 10, 4)).fix
    'make a new environment: rm -r .venv; make PYTHON=python3.11 test'
    """
    said = f"Python {'.'.join(map(str, version))}, {sys.executable}"
    if version >= PYTHON:
        return Finding(OK, said)
    wanted = ".".join(map(str, PYTHON))
    return Finding(
        FAILURE,
        f"expected Python {wanted} or newer, found {said}",
        f"make a new environment: rm -r .venv; make PYTHON=python{wanted} test",
    )


def read_lock(path: str | Path) -> dict[str, str]:
    """Read the pins of a lock file.

    Returns
    -------
    dict of str to str
        Version by package.
    """
    from packaging.markers import Marker  # says what of a lock is not for this machine

    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)(?: *; *(.+))?", Path(path).read_text(), re.MULTILINE)
    return {name: version for name, version, marker in pins if not marker or Marker(marker).evaluate()}


def check_packages(workplace: Workplace) -> Iterator[Finding]:
    """Hold the installed packages to the lock file."""
    path = workplace.folder / "requirements.lock"
    if not path.exists():
        yield Finding(
            WARNING,
            f"{path}: expected the versions of all packages, found no file",
            "call hippflow in a clone of its repository, or give --directory",
        )
    else:
        yield _judge_packages(read_lock(path), path.name)
    missing = [name for name in _PLUGINS if find_spec(name) is None]
    if missing:
        yield Finding(
            FAILURE, f"expected the plugins of Snakemake, found no {', '.join(missing)}", "pip install -e ./plugins"
        )


def _judge_packages(pins: dict[str, str], lock: str) -> Finding:
    missing, others = [], []
    for name, version in pins.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(f"{name} {version}")
            continue
        if found.partition("+")[0] != version:  # a local part names a build, as 2.13.0+cpu
            others.append(f"{name} {found} instead of {version}")
    if missing:
        return Finding(
            FAILURE, f"{len(missing)} of {len(pins)} packages of {lock} are missing: {_some(missing)}", _INSTALL
        )
    if others:
        return Finding(
            WARNING,
            f"{len(others)} of {len(pins)} packages have another version than in {lock}: {_some(others)}",
            _INSTALL,
        )
    return Finding(OK, f"all {len(pins)} packages have the version in {lock}")


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def check_encoding(_: Workplace) -> Iterator[Finding]:
    """Say whether text is UTF-8: units are in µV, and logs and file names may hold any letter."""
    text, names = locale.getencoding(), sys.getfilesystemencoding()
    if sys.flags.utf8_mode:
        text = "utf-8"
    wrong = [
        f"{what} {name}" for what, name in (("files", text), ("file names", names)) if name.lower() not in _UTF8_NAMES
    ]
    if wrong:
        yield Finding(FAILURE, f"expected UTF-8, found {', '.join(wrong)}", "export LC_ALL=C.UTF-8")
    else:
        yield Finding(OK, "text and file names are UTF-8")


_UTF8_NAMES = {"utf-8", "utf8"}


def check_open_files(workplace: Workplace) -> Iterator[Finding]:
    """Compare the limit of open files with what a pass over a recording opens, a file a channel."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    channels = max((len(session.channels) for session in workplace.products.catalog.sessions), default=0)
    needed = channels + OPEN_BESIDE
    limit = "no limit" if soft == resource.RLIM_INFINITY else str(soft)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        yield Finding(OK, f"{limit} open files, a pass over {channels} channels needs {needed}")
        return
    more = "" if hard == resource.RLIM_INFINITY or hard >= needed else f" (the administrator's limit is {hard})"
    yield Finding(
        FAILURE, f"expected {needed} open files for {channels} channels, found a limit of {limit}{more}",
        f"ulimit -n {max(needed, 4096)}, before the run",
    )  # fmt: skip


def check_gpu(workplace: Workplace) -> Iterator[Finding]:
    """See whether the GPU that suite2p is to use is there; says nothing where it uses the CPU."""
    device = workplace.settings["suite2p"]["torch_device"]
    if not device.startswith("cuda"):
        return
    try:
        import torch  # takes seconds
    except ImportError as error:
        yield Finding(FAILURE, f"suite2p.torch_device is {device}; expected PyTorch, found: {error}", _INSTALL)
        return
    number, there = int(device.partition(":")[2] or 0), torch.cuda.device_count()
    cpu = "set suite2p.torch_device to cpu"
    if not torch.cuda.is_available():
        build = "is built without CUDA" if torch.version.cuda is None else "finds no GPU (look with nvidia-smi)"
        yield Finding(
            FAILURE,
            f"suite2p.torch_device is {device}; PyTorch {torch.__version__} {build}",
            f"{cpu}, or install a driver and a build of PyTorch with CUDA",
        )
    elif number >= there:
        yield Finding(FAILURE, f"suite2p.torch_device is {device}; there are {there} GPUs, from cuda:0", cpu)
    else:
        memory = torch.cuda.get_device_properties(number).total_memory
        yield Finding(OK, f"{torch.cuda.get_device_name(number)}, {memory / 1e9:.0f} GB, as {device}")
