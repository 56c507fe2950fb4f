"""Shortcuts through Snakemake: they are there in the version of the lock, and give what Snakemake itself would."""

import asyncio
import functools
import inspect
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake.common
from hippflow_snakemake import shortcuts
from snakemake.io import AnnotatedString, IOFile, flag, temp
from snakemake.output_index import OutputIndex

from hippflow.demo.day import write_demo_day

REPOSITORY = Path(__file__).parents[2]

#: Names of Snakemake's functions that are replaced, by module.
REPLACED = {
    "snakemake.common": ["get_function_params"],
    "snakemake.rules": ["get_function_params", "is_flagged"],
    "snakemake.dag": ["is_flagged", "fmt_iofile", "ScriptProcessor.process_job"],
    "snakemake.io": ["is_flagged"],
    "snakemake.jobs": ["get_function_params", "is_flagged", "fmt_iofile", "Job.format_wildcards"],
    "snakemake.output_index": ["OutputIndex.match_producers"],
    "snakemake.scheduling.job_scheduler": [
        "JobScheduler.update_input_sizes",
        "JobScheduler._schedule_reevalutation",
    ],
}

#: Says where each of these functions comes from after the shortcuts were taken in some version.
WHENCE = """
import functools, importlib, json, sys
from hippflow_snakemake.shortcuts import take_shortcuts
taken = take_shortcuts(*sys.argv[2:])
found = {
    f"{module}.{name}": functools.reduce(getattr, name.split("."), importlib.import_module(module)).__module__
    for module, names in json.loads(sys.argv[1]).items() for name in names
}
print(json.dumps([taken, found]))
"""


def whence(*version):
    call = [sys.executable, "-c", WHENCE, json.dumps(REPLACED), *version]
    return json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout)


def test_shortcuts_are_for_the_version_of_snakemake_in_the_lock():
    assert f"snakemake=={shortcuts.VERSION}\n" in (REPOSITORY / "requirements.lock").read_text()
    assert snakemake.common.__version__ == shortcuts.VERSION
    taken, found = whence()
    assert taken
    assert set(found.values()) == {"hippflow_snakemake.shortcuts"}


def test_another_version_of_snakemake_is_left_as_it_is():
    taken, found = whence("9.27.2")
    assert not taken
    assert not any("hippflow" in module for module in found.values())


class Evaluated:
    """Has a method, as Snakemake's resources have."""

    __hash__ = None

    def evaluate(self, wildcards, attempt=1):
        return wildcards, attempt


def plain(wildcards, *, attempt):
    return attempt


@pytest.mark.parametrize(
    "function",
    [
        plain,
        lambda wildcards, **others: None,
        functools.partial(plain, attempt=2),
        Evaluated().evaluate,
        Evaluated.evaluate,
        Evaluated().evaluate,
    ],
)
def test_parameters_of_functions_are_those_that_python_says(function):
    for _ in range(2):
        assert shortcuts.get_function_params(function) == inspect.signature(function).parameters


def test_parameters_that_were_overwritten_stay_so():
    def function(*arguments):
        return arguments

    assert list(shortcuts.get_function_params(function)) == ["arguments"]
    snakemake.common.overwrite_function_params(function, ["wildcards", "input"])
    assert shortcuts.get_function_params(function) == ["wildcards", "input"]


def test_flags_of_files_are_those_that_snakemake_finds():
    unset = flag(AnnotatedString("b"), "ancient", False)
    values = [temp("a"), unset, AnnotatedString("c"), "d", Path("e"), plain, None, re.compile("f"), IOFile("g", None)]
    values.append(IOFile(temp("h"), None))
    found = [shortcuts.is_flagged(value, name) for value in values for name in ("temp", "ancient")]
    assert found == [shortcuts._is_flagged(value, name) for value in values for name in ("temp", "ancient")]
    assert sum(found) == 2  # of which the first and the last are temporary


def test_files_are_named_as_snakemake_names_them():
    unset = flag(AnnotatedString("b"), "pipe", False)
    values = ["a", *(IOFile(value, None) for value in ("a", unset, temp("c"), flag("d", "pipe"), flag("e", "update")))]
    asked = [(value, *how) for value in values for how in ((), (True,), (False, True))]
    found = [shortcuts.fmt_iofile(*arguments) for arguments in asked]
    assert found == [shortcuts._fmt_iofile(*arguments) for arguments in asked]
    assert found[-5:-3] == ["d (pipe)", "d (pipe)"]


@pytest.mark.parametrize(
    "text", ["LFP of {wildcards.day}/{wildcards.channel}", "no name", "{rule}: {wildcards.day}", "{{}}"]
)
def test_messages_are_what_snakemake_would_write(text):
    job = SimpleNamespace(
        _format_wildcards=SimpleNamespace(day="picasso/20181105", channel="array01/channel009"),
        rule=SimpleNamespace(name="rpllfp", workflow=SimpleNamespace(globals={"wildcards": "of the workflow"})),
    )
    for name in ("input", "output", "params", "threads", "resources", "log", "jobid", "name"):
        setattr(job, name, name)
    assert shortcuts.format_wildcards(job, text) == shortcuts._format_wildcards(job, text)


def test_a_wildcard_that_a_message_has_and_its_job_has_not_is_named(workflow):
    ripple = workflow.folder / "rules" / "ripple.smk"
    text = ripple.read_text()
    ripple.write_text(text.replace("Trial markers of {wildcards.session}", "Trial markers of {wildcards.sesion}"))
    write_demo_day(workflow.folder / "data", channels=[9], seconds=2)
    run = workflow.run("--dry-run", status=1)
    assert "'Wildcards' object has no attribute 'sesion'" in run.output
    assert "Trial markers of {wildcards.sesion}" in run.output


def test_a_script_is_looked_for_once_a_rule_unless_its_name_depends_on_the_job(monkeypatch):
    looked = []
    monkeypatch.setattr(shortcuts, "_process_job", lambda self, job: looked.append(job.rule.name))
    processor = SimpleNamespace(script_type="script")
    for name, script in [
        ("lfp", "lfp.py"),
        ("lfp", "lfp.py"),
        ("any", "{wildcards.a}.py"),
        ("any", "{wildcards.a}.py"),
    ]:
        shortcuts.process_job(processor, SimpleNamespace(rule=SimpleNamespace(name=name, script=script)))
    assert looked == ["lfp", "any", "any"]


def test_rules_that_make_a_file_are_those_that_snakemake_finds():
    def rule(*endings):
        matches = [re.compile(f"results/.+{re.escape(ending)}") for ending in endings]
        found = [SimpleNamespace(constant_prefix=lambda: "results/", constant_suffix=lambda e=e: e) for e in endings]
        return Rule(found, lambda path: any(match.fullmatch(path) for match in matches))

    index = OutputIndex([rule("/lfp.hkl", "/lfp.csv"), rule("/highpass.hkl"), rule(".csv"), rule("")])
    paths = ["results/a/lfp.hkl", "results/b/lfp.csv", "results/b/lfp.csv", "raw/a/lfp.hkl", "results/c/none", "", "a"]
    for path in [*paths, "results/lfp.hkl", "/lfp.hkl", "results/"]:
        assert shortcuts.match_producers(index, path) == shortcuts._match_producers(index, path)
    assert [len(shortcuts.match_producers(index, f"results/{name}")) for name in ("b/lfp.csv", "a/lfp.hkl")] == [3, 2]


class Rule:
    """A rule, as an index of outputs sees it."""

    def __init__(self, found, is_producer):
        self.products, self.is_producer = lambda: found, is_producer


class Sized(str):
    """An input file whose size can be asked for, and how often it was."""

    asked = 0

    async def exists(self):
        Sized.asked += 1
        return self != "missing"

    async def size(self):
        return len(self)


class Ready:
    """A job that is ready."""

    def __init__(self, *files):
        self.input = files


def test_sizes_of_inputs_are_looked_up_once():
    scheduler = SimpleNamespace(_input_sizes={})
    jobs = [Ready(Sized("raw"), Sized("missing")), Ready(Sized("highpass"))]
    for some in (jobs[:1], jobs, jobs[1:]):
        asyncio.run(shortcuts.update_input_sizes(scheduler, some))
    assert scheduler._input_sizes == {"raw": 3, "missing": None, "highpass": 8}
    assert Sized.asked == 3


def test_one_timer_at_a_time_makes_the_scheduler_look_again():
    looks = []
    scheduler = SimpleNamespace(_open_jobs=SimpleNamespace(release=lambda: looks.append(time.monotonic())))
    start = time.monotonic()
    for _ in range(5):
        shortcuts.schedule_reevaluation(scheduler, 0.2)
    time.sleep(0.5)
    assert len(looks) == 1
    assert looks[0] - start >= 0.2
    shortcuts.schedule_reevaluation(scheduler, 0.01)  # when it has looked, it can be asked for again
    time.sleep(0.3)
    assert len(looks) == 2


#: Snakemake as another version would be: without the shortcuts.
WITHOUT = """
import sys
from hippflow_snakemake import shortcuts
shortcuts.VERSION = "another"
from snakemake.cli import main
main(sys.argv[1:])
"""


def listed(output):
    """Jobs with their reasons and files, without what differs between any two runs: order, numbers, times."""
    lines = [re.sub(r"^ *(Job|localrule) \d+:|jobid: \d+", r"\1", line) for line in output.splitlines()]
    lines = [", ".join(sorted(re.split(r"[,:;] ", line))) for line in lines]
    return sorted(line for line in lines if not re.match(r"\[|.*(Workflow ID|Host|Date|Command)", line))


def test_a_dry_run_lists_the_same_with_and_without_shortcuts(workflow):
    write_demo_day(workflow.folder / "data", channels=[9, 34], seconds=2)
    call = [sys.executable, "-c", WITHOUT, "--dry-run", "--cores", "2", "--printshellcmds"]
    without = subprocess.run(call, cwd=workflow.folder, capture_output=True, text=True, check=True)
    ours = workflow.run("--dry-run", "--printshellcmds")
    assert listed(ours.output) == listed(without.stdout + without.stderr)
    assert "LFP of picasso/20181105/session01/array01/channel009" in ours.jobs


def test_only_a_dry_run_for_slurm_shows_groups(workflow):
    write_demo_day(workflow.folder / "data", channels=[9, 34], seconds=2)
    here = workflow.run("--dry-run")
    there = workflow.run("--dry-run", "--group-components", "channels=8", "block=1000000")
    assert here.jobs == there.jobs
    assert "Group job" not in here.output
    groups = re.findall(r"Group job (\S+) \(jobs", there.output)
    assert {group.rsplit("_", 3)[0] for group in groups} == {"channels", "sessions", "places", "report"}
