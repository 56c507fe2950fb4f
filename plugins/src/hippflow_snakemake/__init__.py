"""Scripts of rules in forks of one prepared process (hippflow.forks) instead of an interpreter each.

``rules/common.smk`` puts :func:`script` where Snakemake's own function of that name is looked
up by rules with ``script:``. A script finds ``snakemake`` with input, output, params, wildcards,
log, threads and resources, as plain values. In a conda environment or a container, and for
what is no local Python file, Snakemake's own function does it.
"""

import subprocess
import time
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError
from snakemake.script import script as snakemake_script

from hippflow.errors import DiskError
from hippflow.forks import Ended, ForkServer
from hippflow.io.disk import PATIENCE, check_results, full_disk

_SERVER = ForkServer()

#: Variables that lead temporary files to the job's folder for them.
TEMPORARY = ("TMPDIR", "TMP", "TEMPDIR", "TEMP")


def _plain(value: Any) -> Any:
    """Return a value of Snakemake's as one that JSON has."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _named(values: Any) -> dict[str, Any]:
    return {name: _plain(value) for name, value in values.items()}


def script(
    path: str | Path,
    basedir: Any,
    input: Any,
    output: Any,
    params: Any,
    wildcards: Any,
    threads: int,
    resources: Any,
    log: Any,
    *others: Any,
) -> None:
    """Run a rule's script; the parameters are those of ``snakemake.script.script``.

    Raises
    ------
    CalledProcessError
        The script did not succeed; it has said why.
    WorkflowError
        It did not, and the disk is full; or another disk than that of the run is in the place of the results.
    """
    _check_results()
    (_, _, conda_env, _, container, _, _, benchmark, *_) = others
    local = Path(basedir.get_path_or_uri(secret_free=True), path)
    if conda_env or container or local.suffix != ".py" or not local.exists():
        snakemake_script(path, basedir, input, output, params, wildcards, threads, resources, log, *others)
        return
    names = {
        "input": _named(input),
        "output": _named(output),
        "params": _named(params),
        "wildcards": _named(wildcards),
        "log": _plain(list(log)),
        "threads": threads,
        "resources": {name: value for name, value in _named(resources).items() if isinstance(value, (int, str))},
    }
    folder = resources.get("tmpdir")
    start = time.monotonic()
    ended = _SERVER.start(local.resolve(), names, dict.fromkeys(TEMPORARY, str(folder)) if folder else {}).wait()
    if benchmark is not None:
        _record(benchmark, time.monotonic() - start, ended)
    _check_results(patience=2)  # they were there
    if ended.status:
        _raise(full_disk([*output, *log]))  # which the script may have had no room to say
        raise subprocess.CalledProcessError(ended.status, f"python {local}")
    if benchmark is not None:
        _raise(full_disk(output, least=1))  # Snakemake could not write it


def _check_results(patience: float = PATIENCE) -> None:
    """Look whether the results are where they were when the run began, as `hippflow.io.disk.check_results`."""
    try:
        check_results(patience)
    except DiskError as error:
        _raise(error)


def _raise(trouble: DiskError | None) -> None:
    """Tell of a disk, so that Snakemake shows the message alone, and the run's record knows it for an error."""
    if trouble:
        raise WorkflowError(f"{type(trouble).__name__}: {trouble}")


def _record(benchmark: Any, seconds: float, ended: Ended) -> None:
    """Fill in a rule's benchmark: exact, where Snakemake's own is a sample every few seconds."""
    benchmark.running_time = seconds
    benchmark.cpu_time = ended.cpu_seconds
    benchmark.cpu_usage = 100 * ended.cpu_seconds
    benchmark.max_rss = round(ended.max_rss, 2)
    benchmark.data_collected = True
