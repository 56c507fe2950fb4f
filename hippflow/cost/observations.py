"""What finished jobs read and took: their CPU times from the records of runs, their inputs from Snakemake's."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hippflow.errors import FormatError
from hippflow.runs.inventory import Records
from hippflow.runs.record import Job, list_runs

#: Most jobs of a rule that are used, the latest.
MOST = 400


@dataclass(frozen=True)
class Observation:
    """A finished job.

    Attributes
    ----------
    rule : str
        Without what tells rules that differ in their files alone.
    n_bytes : int
        Of all its inputs.
    cpu : float
        Seconds.
    outputs : dict of str to int
        Bytes of its products, by :func:`pattern_of`; of several with one pattern the mean.
    """

    rule: str
    n_bytes: int
    cpu: float
    outputs: dict[str, int] = field(default_factory=dict)


def base_rule(rule: str) -> str:
    """Return a rule's name without what tells rules that differ in their files alone.

    Examples
    --------
    >>> base_rule("rplsplit_2"), base_rule("aligned_unity"), base_rule("movie_2_planes"), base_rule("signal_quality")
    ('rplsplit', 'aligned', 'movie', 'signal_quality')
    """
    return re.sub(r"_(\d+(_planes)?|unity|eyelink)$", "", rule)


def pattern_of(path: str) -> str:
    """Return a file's name without what differs between settings, channels and planes.

    Examples
    --------
    >>> pattern_of("results/p/rpllfp_6eca.hkl"), pattern_of("movie/plane0.bin")
    ('rpllfp_#.hkl', 'plane#.bin')
    """
    return re.sub(r"\d+", "#", re.sub(r"_[0-9a-f]{4}(?=\.)", "_#", path.rsplit("/", 1)[-1]))


def observations(folder: Path, state: Path) -> Iterator[Observation]:
    """Yield finished jobs that told their CPU time and whose inputs are still there, the latest first."""
    records = Records(folder)
    seen: set[str] = set()
    count: dict[str, int] = {}
    sizes: dict[str, int | None] = {}
    for job in _finished(state):
        rule = base_rule(job.rule)
        if job.outputs[0] in seen or count.get(rule, 0) >= MOST:
            continue
        seen.add(job.outputs[0])
        one = _observe(folder, job, rule, records, sizes)
        if one is not None:
            count[rule] = count.get(rule, 0) + 1
            yield one


def _finished(state: Path) -> Iterator[Job]:
    try:
        runs = list_runs(state)
    except FormatError:  # hippflow status names the file; prices can do without
        return
    for run in reversed(runs):
        for job in reversed(run.in_state("finished")):
            if job.outputs and job.cpu is not None:
                yield job


def _observe(folder: Path, job: Job, rule: str, records: Records, sizes: dict[str, int | None]) -> Observation | None:
    inputs = records.of(job.outputs[0]).get("input") or []
    # what comes from a bucket is as large as its copy
    known = [_size(folder, path, sizes) for path in (job.outputs if rule == "staging" else inputs)]
    if not known or None in known:
        return None
    made: dict[str, list[int]] = {}
    for path in job.outputs:
        size = _size(folder, path, sizes)
        if size is not None:
            made.setdefault(pattern_of(path), []).append(size)
    means = {pattern: round(sum(found) / len(found)) for pattern, found in made.items()}
    return Observation(rule, sum(size for size in known if size is not None), float(job.cpu or 0.0), means)


def _size(folder: Path, path: str, sizes: dict[str, int | None]) -> int | None:
    if path not in sizes:
        try:
            sizes[path] = os.stat(folder / path).st_size
        except OSError:
            sizes[path] = None
    return sizes[path]
