"""What Snakemake works out again for every job though the answer stays the same, worked out once.

Each function here stands for one of Snakemake's and gives the same result. They are put in place only in the version of
Snakemake that they were written against (that of the lock); any other runs as it is, slower.
docs/decisions.md says what they save.
"""

import asyncio
import gc
import inspect
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import snakemake.api  # before the others, which import each other
import snakemake.common
import snakemake.io
import snakemake.io.fmt
from snakemake.dag import ScriptProcessor
from snakemake.jobs import Job
from snakemake.output_index import OutputIndex
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake_interface_common.io import AnnotatedStringInterface

#: The version whose functions these stand for.
VERSION = "9.27.1"

#: New objects after which Python looks for garbage, of which a graph of jobs has little; 700 is its default.
GARBAGE_THRESHOLD = 100_000

#: Text with nothing in braces but wildcards, as they are.
_WILDCARDS_ALONE = re.compile(r"(?:[^{}]|\{wildcards\.[A-Za-z]\w*\})*")

_get_function_params = snakemake.common.get_function_params
_is_flagged = snakemake.io.is_flagged
_fmt_iofile = snakemake.io.fmt.fmt_iofile
_format_wildcards = Job.format_wildcards
_match_producers = OutputIndex.match_producers
_process_job = ScriptProcessor.process_job

_parameters: dict[Any, Any] = {}
_annotated: dict[type, bool] = {}


def get_function_params(func: Callable[..., Any]) -> Mapping[str, Any] | list[str]:
    """Return a function's parameters, which Snakemake inspects a dozen times a job."""
    if hasattr(func, snakemake.common.FUNC_OVERWRITE_PARAMS_ATTR):
        return _get_function_params(func)
    # a method is another object each time that it is looked up, and without its first parameter only if it is bound
    key = (getattr(func, "__func__", func), inspect.ismethod(func))
    if key not in _parameters:
        _parameters[key] = _get_function_params(func)
    return _parameters[key]


def is_flagged(value: Any, flag: str) -> bool:
    """Say whether a file has a flag, without asking again what every type of file is a subclass of."""
    kind = type(value)
    if kind is snakemake.io._IOFile:  # these three are all that is asked for but once in a while
        value = value._file
        kind = type(value)
    if kind is snakemake.io.AnnotatedString:
        return bool(value._flags.get(flag))
    if kind not in _annotated:
        _annotated[kind] = issubclass(kind, AnnotatedStringInterface)
    if not _annotated[kind]:
        return False
    flags = value.flags
    return flag in flags and bool(flags[flag])


def fmt_iofile(f: Any, as_input: bool = False, as_output: bool = False) -> str:
    """Return a file as messages name it; of one without flags that is its name alone."""
    if isinstance(f, snakemake.io._IOFile) and not f.flags:
        return f"{f}"
    return _fmt_iofile(f, as_input=as_input, as_output=as_output)


def format_wildcards(self: Job, string: str, **variables: Any) -> str:
    """Fill in a message; one that has wildcards alone does without a copy of all names of the workflow."""
    if variables or not _WILDCARDS_ALONE.fullmatch(string):
        return _format_wildcards(self, string, **variables)
    try:
        return str.format(string, wildcards=self._format_wildcards)
    except AttributeError:
        return _format_wildcards(self, string)  # says what is wrong


def match_producers(self: OutputIndex, targetfile: str) -> frozenset[Any]:
    """Return the rules that can make a file, which is asked for by every job that reads it; rules do not change."""
    found, equal = self.__dict__.setdefault("_hippflow_found", ({}, {}))
    name = str(targetfile)
    if name not in found:
        rules = frozenset(rule for rule in _candidates(self, name) if rule.is_producer(targetfile))
        found[name] = equal.setdefault(rules, rules)  # one set for all files of the same rules
    return found[name]


def _candidates(index: OutputIndex, name: str) -> set[Any]:
    """Return the rules of an output that begins and ends as a file does, by its endings and not rule by rule."""
    if "_hippflow_endings" not in index.__dict__:
        index._hippflow_endings = []
        for prefix, entries in index._lookup._entries:
            rules: dict[str, set[Any]] = {}
            for rule, suffix in entries:
                rules.setdefault(suffix, set()).add(rule)
            index._hippflow_endings.append((prefix, rules, sorted({len(suffix) for suffix in rules})))
    found: set[Any] = set()
    for prefix, rules, lengths in index._hippflow_endings:
        if name.startswith(prefix):
            for length in lengths:
                found |= rules.get(name[max(0, len(name) - length) :], set())
    return found


def process_job(self: ScriptProcessor, job: Any) -> None:
    """Look whether a job's script is there: once for a rule, unless the name of the script depends on the job."""
    processed = self.__dict__.setdefault("_hippflow_processed", set())
    if job.rule.name not in processed:
        _process_job(self, job)
        if "{" not in str(getattr(job.rule, self.script_type)):
            processed.add(job.rule.name)


async def update_input_sizes(self: JobScheduler, jobs: Iterable[Any]) -> None:
    """Look up the sizes of the inputs of jobs that have become ready, by which the larger go first.

    Snakemake looks all of them up again whenever a job ends: the inputs of thousands of jobs that wait for a core. What
    a job reads is there when it is ready, and stays as it is.
    """

    async def size(path: Any) -> tuple[Any, int | None]:
        return path, await path.size() if await path.exists() else None

    sized = self.__dict__.setdefault("_hippflow_sized", set())
    new = [job for job in jobs if job not in sized]
    self._input_sizes.update(await asyncio.gather(*map(size, {path for job in new for path in job.input})))
    sized.update(new)


def schedule_reevaluation(self: JobScheduler, delay: float) -> None:
    """Let the scheduler look again after some seconds, unless it will do so anyway.

    Snakemake starts a timer every time that it has looked and jobs wait, also when a timer made it look: after a
    thousand jobs it looks a thousand times a second for nothing.
    """
    waiting = self.__dict__.setdefault("_hippflow_waiting", set())
    if delay in waiting:
        return

    def look() -> None:
        waiting.discard(delay)
        self._open_jobs.release()

    waiting.add(delay)
    threading.Timer(delay, look).start()


def take_shortcuts(version: str = snakemake.common.__version__) -> bool:
    """Put all of them in place; return whether this is the version for it."""
    if version != VERSION:
        return False
    # these three have been imported by name
    for module in [module for name, module in sys.modules.items() if name.partition(".")[0] == "snakemake"]:
        for ours in (get_function_params, is_flagged, fmt_iofile):
            if hasattr(module, ours.__name__):
                setattr(module, ours.__name__, ours)
    Job.format_wildcards = format_wildcards
    OutputIndex.match_producers = match_producers
    ScriptProcessor.process_job = process_job
    JobScheduler.update_input_sizes = update_input_sizes
    JobScheduler._schedule_reevalutation = schedule_reevaluation
    gc.set_threshold(GARBAGE_THRESHOLD, 50, 50)
    return True
