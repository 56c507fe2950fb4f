"""Whole runs on a real Slurm: from a bucket to the bytes of a local run, in few jobs, and parts of it."""

import os
import re
import shutil
import time

import pytest

from hippflow.demo.bucket import endpoint, upload_tree
from hippflow.demo.day import write_demo_day

DAY = "results/picasso/20181105"
MARKERS = f"{DAY}/sessioneye/rplparallel_d41d.hkl"
SLURM = ("--profile", "slurm", "--seconds-between-status-checks", "1")
#: Two channels to a Slurm job.
BLOCKS = ("--group-components", "channels=2", "block=1000000")
BUCKET = ("--config", "data=s3://hippflow-demo")

#: What is made when all channels of a day, or the day itself, are done.
LATER = ("Place fields", "Table of", "Report of")


def products(folder):
    """All but the report, which has how long every job took."""
    files = [path for path in (folder / DAY).rglob("*") if path.is_file() and path.name != "report.html"]
    return {path.relative_to(folder): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def on_slurm(new_workflow, finished, slurm):
    """The demo day, from a bucket through Slurm."""
    workflow = new_workflow()
    with endpoint() as environment:
        upload_tree(finished.folder / "data", environment)
        workflow.environment = environment | slurm.environment
        workflow.planned = workflow.run("-n", *SLURM, *BLOCKS, *BUCKET, environment=workflow.environment).jobs
        workflow.first_run = workflow.run(*SLURM, *BLOCKS, *BUCKET, environment=workflow.environment)
        workflow.slurm_jobs = slurm.finished()
        yield workflow


def test_the_products_are_those_of_a_local_run(on_slurm, finished):
    made = products(on_slurm.folder)
    assert len(made) > 40
    assert made == products(finished.folder)


def test_a_dry_run_shows_all_of_it(on_slurm, finished):
    others = [job for job in on_slurm.planned if not job.startswith("Copy of")]
    assert len(on_slurm.planned) - len(others) == 7
    assert others == finished.first_run.jobs


def test_channels_share_jobs(on_slurm):
    """Copies, sessions, a split of each session, two blocks of channels, their place fields, table and report, once."""
    assert [job["JobState"] for job in on_slurm.slurm_jobs] == ["COMPLETED"] * 9


def test_a_day_of_110_channels_is_32_slurm_jobs(workflow):
    """14 blocks of channels, their place fields, sessions, table with report, two splits; one more stages raw files."""
    write_demo_day(workflow.folder / "data", channels=110, seconds=2)
    planned = workflow.run("-n", *SLURM)
    groups = re.findall(r"Group job (\S+) ", planned.output)
    assert len(groups) == len(set(groups)) == 30
    members = [line for line in planned.output.splitlines() if re.match(r" +Job \d+: ", line)]
    alone = [line for line in planned.output.splitlines() if re.match(r"Job \d+: Raw signals", line)]
    of_day = ["rplparallel"] * 2 + ["unity", "edfsplit", "aligned", "raycast", "umaze", "channels", "report"]
    assert (len(members), len(alone)) == (110 * 15 + len(of_day), 2)


@pytest.mark.parametrize("target", ["day/20181105", "channel/20181105/034"])
def test_targets_with_names_work_there(on_slurm, target):
    assert on_slurm.run("-n", target, *SLURM, *BUCKET, environment=on_slurm.environment).jobs == []


def test_one_missing_product_is_one_job(on_slurm, slurm, finished):
    lost = f"{DAY}/session01/array02/channel034/rpllfp_6eca.hkl"
    (on_slurm.folder / lost).unlink()
    (on_slurm.folder / DAY / "session01/array02/channel034/freqspectrum_9c80.hkl").unlink()
    before = len(slurm.finished())
    run = on_slurm.run("channel/20181105/034", *SLURM, *BUCKET, environment=on_slurm.environment)
    assert len(slurm.finished()) == before + 1
    assert run.jobs == [
        "Amplitude spectrum of picasso/20181105/session01/array02/channel034",
        "LFP of picasso/20181105/session01/array02/channel034",
        "Signal quality of picasso/20181105/session01/array02/channel034",
    ]
    assert products(on_slurm.folder) == products(finished.folder)


def test_a_narrowed_run_leaves_other_channels_as_they_are(on_slurm):
    for channels in ("channels=34", "channels=[9,34]", "channels=all"):
        assert on_slurm.run("-n", *SLURM, *BUCKET, channels, environment=on_slurm.environment).jobs == []


def test_one_channel_that_fails_is_named_and_alone(workflow, finished, slurm):
    """Its spectra and signals are made, the other channels finish, nothing is tried twice, a rerun makes the rest."""
    shutil.copytree(finished.folder / "data", workflow.folder / "data")
    shutil.copytree(finished.folder / "results", workflow.folder / "results")
    for path in (workflow.folder / DAY).rglob("*"):
        if path.name.startswith(("firings", "units", "metrics", "templates", "cells")) and path.is_file():
            path.unlink()
    script = workflow.folder / "scripts/sorting.py"
    fault = (
        "    import os\n    from hippflow.errors import SortingError\n"
        '    if "channel034" in output.firings and "PLANTED" in os.environ:\n'
        '        raise SortingError("planted")\n'
    )
    head, line, rest = script.read_text().partition("with job(globals()) as (input, output, params):\n")
    script.write_text(head + line + fault + rest)
    run = workflow.run(*SLURM, status=1, environment=slurm.environment | {"PLANTED": "1"})
    assert "message: SortingError: planted" in run.output
    assert f"{DAY}/mountains/channel034/firings.hkl" in run.output
    assert run.output.count("SortingError: planted") == 2  # when it happened, and in the summary
    assert len(slurm.finished()) == 1
    missing = {path for path in products(finished.folder) if path not in products(workflow.folder)}
    assert missing
    assert {"034" in str(path) for path in missing} == {True}
    again = workflow.run(*SLURM, environment=slurm.environment)
    # these are stages of their own, which a block with a failed channel does not reach
    assert {"034" in job for job in again.jobs if not job.startswith(LATER)} == {True}
    assert products(workflow.folder) == products(finished.folder)


@pytest.fixture
def small(workflow, finished):
    """A workflow with data, for runs of one quick job."""
    os.symlink(finished.folder / "data", workflow.folder / "data")
    return workflow


@pytest.mark.parametrize("minutes, partition", [(60, "spot"), (300, "ondemand")])
def test_long_jobs_go_to_nodes_that_are_not_reclaimed(small, slurm, minutes, partition):
    options = ("--hippflow-slurm-partition-config", "profiles/slurm/partitions.yaml")
    options += ("--set-resources", f"rplparallel:runtime={minutes}")
    small.run(MARKERS, *SLURM, *options, environment=slurm.environment)
    assert [job["Partition"] for job in slurm.finished()] == [partition]


def test_no_job_asks_for_more_memory_than_a_node_has(small, slurm):
    run = small.run(MARKERS, *SLURM, "--set-resources", "rplparallel:mem_mb=99000", environment=slurm.environment)
    assert f"the largest node has {slurm.memory}" in run.output
    assert [f"mem={slurm.memory}M" in job["Tres"] for job in slurm.finished()] == [True]


def test_memory_is_not_asked_for_where_it_is_not_scheduled(small, local_slurm):
    with local_slurm(nodes=2, memory_scheduling=False) as cluster:
        small.run(MARKERS, *SLURM, "--set-resources", "rplparallel:mem_mb=99000", environment=cluster.environment)
        (job,) = cluster.jobs()
        assert job["state"] == "COMPLETED"
        assert "MinMemoryNode=0" in cluster.call("scontrol", "show", "job", job["id"])


@pytest.mark.slow
def test_accounting_makes_no_difference(small, local_slurm):
    with local_slurm(nodes=2, accounting=True) as cluster:
        small.run(*SLURM, MARKERS, environment=cluster.environment)
        assert [job["JobState"] for job in cluster.finished()] == ["COMPLETED"]
        deadline = time.monotonic() + 20
        while "COMPLETED" not in cluster.call("sacct", "-X", "--noheader", "--format=State"):
            assert time.monotonic() < deadline
            time.sleep(0.5)


def test_without_slurm_the_profile_says_so(small, tmp_path):
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("which", "bash", "sh"):
        (commands / name).symlink_to(shutil.which(name))
    run = small.run(*SLURM, MARKERS, status=1, environment={"PATH": str(commands)})
    assert "expected Slurm's commands (sbatch, squeue, scontrol) on this machine, found none" in run.output
