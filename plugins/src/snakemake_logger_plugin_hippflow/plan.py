"""What Snakemake's graph of jobs says before anything runs."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def count_plan(dag: Any) -> tuple[dict[str, tuple[int, int]], int]:
    """Count what is to be made.

    Returns
    -------
    rules : dict of str to tuple of int
        Jobs and products of every rule.
    there : int
        Products of the other jobs that exist.
    """
    rules: dict[str, tuple[int, int]] = {}
    there = 0
    for job in list(dag.jobs):
        if dag.needrun(job):
            jobs, products = rules.get(job.rule.name, (0, 0))
            rules[job.rule.name] = jobs + 1, products + len(job.output)
        else:
            there += sum(os.path.exists(path) for path in job.output)
    return rules, there


def planned_entries(dag: Any) -> Iterator[dict[str, Any]]:
    """Yield the jobs that a run would start, each as a `hippflow.runs.planned.PlannedJob` has it."""
    sizes: dict[str, int | None] = {}
    for job in list(dag.jobs):
        if not dag.needrun(job) or not job.output:
            continue
        group = dag.get_job_group(job)
        yield {
            "rule": job.rule.name,
            "wildcards": dict(job.wildcards_dict),
            "inputs": dict(_size(item, sizes) for item in job.input),
            "outputs": [str(output) for output in job.output],
            "threads": job.threads,
            "mem_mb": _number(job.resources.get("mem_mb")),
            "runtime": _number(job.resources.get("runtime")),
            # several groups may have one name
            "group": f"{group.groupid} {group.jobid}" if group else None,
            "local": bool(job.is_local),
        }


def write_planned(dag: Any, path: str | Path) -> None:
    """Write the jobs that a run would start, a JSON object a line."""
    with open(path, "w") as file:
        for entry in planned_entries(dag):
            file.write(json.dumps(entry) + "\n")


def _size(item: Any, sizes: dict[str, int | None]) -> tuple[str, int | None]:
    """Return the name and the bytes of an input, None where there is none yet."""
    name = item.storage_object.query if item.is_storage else str(item)
    if name not in sizes:
        try:
            sizes[name] = item.storage_object.size() if item.is_storage else os.stat(name).st_size
        except (OSError, KeyError):
            sizes[name] = None
    return name, sizes[name]


def _number(value: Any) -> int | None:
    """Return a resource, None where it is only known when the job starts."""
    return value if isinstance(value, int) else None
