"""Slurm, where its commands are: the controller, what it schedules, and the partitions that the profile names."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from hippflow.doctor.findings import FAILURE, OK, WARNING, Finding, Workplace

#: Seconds that one question to the controller may take.
PATIENCE = 5.0

#: Where the profile says how jobs run, and the key that leads to the partitions' file.
_PROFILE, _KEY = "profiles/slurm/config.yaml", "hippflow-slurm-partition-config"
_PARTITIONS = "profiles/slurm/partitions.yaml"

#: What Slurm's commands say on a machine without its configuration.
_NO_CLUSTER = "Could not establish a configuration source"


class _Silent(Exception):
    """The controller did not answer."""


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise _Silent(f"no answer within {PATIENCE:g} s") from error
    if done.returncode != 0:
        raise _Silent(" ".join((done.stderr or done.stdout).split()) or f"exit status {done.returncode}")
    return done.stdout


def check_slurm(workplace: Workplace) -> Iterator[Finding]:
    """Ask Slurm; says nothing on a machine without it."""
    if shutil.which("sbatch") is None:
        return
    try:
        _ask("scontrol", "ping")
        settings = _settings(_ask("scontrol", "show", "config"))
        partitions = _partitions(_ask("scontrol", "show", "partition", "--oneliner"))
    except _Silent as reason:
        if _NO_CLUSTER in str(reason):
            yield Finding(
                WARNING,
                "Slurm's commands are here, and this machine belongs to no cluster (no slurm.conf is found)",
                "set SLURM_CONF to the cluster's slurm.conf, or work on its head node; local runs (without --profile "
                "slurm) need nothing of it",
            )
            return
        yield Finding(
            FAILURE,
            f"expected Slurm's controller to answer, found: {reason}",
            "on the head node: systemctl status slurmctld; a run waits for it, and a local one (without --profile "
            "slurm) does not need it",
        )
        return
    yield Finding(OK, f"the controller answers: Slurm {settings.get('SLURM_VERSION', '')}".rstrip())
    yield _judge_memory(settings.get("SelectTypeParameters", ""))
    yield _judge_accounting(settings.get("AccountingStorageType", ""))
    yield from _judge_partitions(workplace.folder, partitions)


def _settings(text: str) -> dict[str, str]:
    """Return Slurm's configuration.

    Examples
    --------
    >>> _settings("SelectTypeParameters    = CR_CORE_MEMORY")
    {'SelectTypeParameters': 'CR_CORE_MEMORY'}
    """
    return dict(re.findall(r"^(\w+)\s*= (.*?)\s*$", text, re.MULTILINE))


def _partitions(text: str) -> dict[str, dict[str, str]]:
    """Return what scontrol says of partitions, by name."""
    rows = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines()]
    return {row["PartitionName"]: row for row in rows if "PartitionName" in row}


def _judge_memory(select: str) -> Finding:
    if "MEMORY" in select.upper():
        return Finding(OK, f"memory is scheduled ({select}): a node takes only the jobs that it has memory for")
    return Finding(
        WARNING,
        f"memory is not scheduled (SelectTypeParameters={select or 'none'}): jobs ask for cores alone, and sorting and "
        "cell detection side by side may exceed a node's memory",
        "in slurm.conf SelectTypeParameters=CR_Core_Memory; with ParallelCluster SlurmSettings: "
        "EnableMemoryBasedScheduling: true",
    )


def _judge_accounting(storage: str) -> Finding:
    if storage.endswith("slurmdbd"):
        return Finding(OK, "accounting is on: sacct tells of ended jobs; hippflow does not need it")
    return Finding(
        OK, "accounting is off: sacct tells nothing of ended jobs; hippflow reads squeue and its own benchmarks"
    )


def parse_limit(text: str) -> float | None:
    """Return a time limit of Slurm's in minutes, None where there is none.

    Examples
    --------
    >>> parse_limit("1-12:30:00"), parse_limit("30:00"), parse_limit("UNLIMITED")
    (2190.0, 30.0, None)
    """
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return (days * 24 + hours) * 60 + minutes + seconds / 60


def _judge_partitions(folder: Path, there: dict[str, dict[str, str]]) -> Iterator[Finding]:
    profile = _read(folder / _PROFILE)
    # a path of a profile is relative to where Snakemake is called
    path = folder / profile.get(_KEY, _PARTITIONS)
    used = _KEY in profile
    wanted = _read(path).get("partitions") or {}
    missing = [name for name in wanted if name not in there]
    limits = ", ".join(
        f"{name} ({row.get('MaxTime', '?')}{', default' if row.get('Default') == 'YES' else ''})"
        for name, row in there.items()
    )
    if not there:
        yield Finding(FAILURE, "expected partitions, found none", "add PartitionName= lines to slurm.conf")
        return
    if missing and used:
        yield Finding(
            FAILURE,
            f"{path} names {', '.join(missing)}; the cluster has {limits}",
            f"write the cluster's partitions into {path}, or take {_KEY} out of {_PROFILE}",
        )
    else:
        how = "used" if used else f"not used: {_KEY} is not set, all jobs go to the default partition"
        yield Finding(OK, f"partitions and their time limits: {limits}; {path} is {how}")
    if not used and not any(row.get("Default") == "YES" for row in there.values()):
        yield Finding(
            FAILURE,
            "no partition is the default, and jobs name none",
            f"set Default=YES for one in slurm.conf, or {_KEY} in {_PROFILE}",
        )
    for name in wanted if used else ():
        limit, asked = parse_limit(there.get(name, {}).get("MaxTime", "")), wanted[name].get("max_runtime")
        if limit is not None and asked is not None and asked > limit:
            yield Finding(
                FAILURE,
                f"{path} gives jobs of up to {asked} min to {name}, whose limit is {limit:g} min",
                f"set max_runtime of {name} to {limit:g}, or raise MaxTime of the partition",
            )
    for name, row in there.items():
        if row.get("State", "UP") != "UP":
            yield Finding(
                WARNING,
                f"partition {name} is {row['State']}: its jobs wait",
                "find out why (sinfo -R), then: scontrol update PartitionName=... State=UP, or with ParallelCluster "
                "pcluster update-compute-fleet --status START_REQUESTED",
            )


def _read(path: Path) -> dict[str, Any]:
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}
