"""A two-photon recording from a bucket through Slurm: planes beside each other, and the bytes of a local run."""

import json
import re

import pytest
from s3_endpoints import FaultyProxy

from hippflow.demo.bucket import endpoint, upload_tree
from hippflow.demo.imaging import write_demo_imaging

RECORDING = "zebrafish/20220104/imaging01"
SETTINGS = {"suite2p": {"fs": 2, "tau": 1.8}, "movie": {"planes": 2}, "kmeans": {"clusters": 2}}
SLURM = ("--profile", "slurm", "--seconds-between-status-checks", "1")
#: With paths in them, which differ.
WITH_PATHS = ("ops.npy", "db.npy")


def settings(workflow, **more):
    (workflow.folder / "settings.yaml").write_text(json.dumps(SETTINGS | more))
    return ("--configfile", "settings.yaml")


def products(folder):
    files = (path for path in (folder / "results" / RECORDING).rglob("*.*"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name not in WITH_PATHS}


@pytest.fixture(scope="module")
def local(new_workflow):
    workflow = new_workflow()
    write_demo_imaging(workflow.folder / "data", planes=2, frames=300, size=(96, 112))
    workflow.run(*settings(workflow))
    return workflow


@pytest.fixture(scope="module")
def on_slurm(new_workflow, local, slurm):
    workflow = new_workflow()
    with endpoint() as environment, FaultyProxy(environment) as proxy:
        upload_tree(local.folder / "data", environment)
        workflow.environment = slurm.environment | proxy.environment
        options = (*settings(workflow, data="s3://hippflow-demo"), *SLURM)
        workflow.planned = workflow.run("-n", *options, environment=workflow.environment)
        workflow.sent_by_dry_run = proxy.sent
        workflow.run(*options, environment=workflow.environment)
        workflow.slurm_jobs = slurm.finished()
        workflow.second = workflow.run("-n", *options, environment=workflow.environment).jobs
    return workflow


def test_the_products_are_those_of_a_local_run(on_slurm, local):
    made = products(on_slurm.folder)
    assert len(made) == 1 + 2 * (2 + 2 + 7 + 2 + 2) + 2
    assert made == products(local.folder)
    assert on_slurm.second == []


def test_every_plane_is_a_slurm_job_beside_the_copies_and_the_movie(on_slurm):
    groups = set(re.findall(r"Group job (\S+) ", on_slurm.planned.output))
    planes = {f"imaging01_plane_zebrafish_20220104_{n:02d}" for n in (1, 2)}
    assert groups == planes | {f"{name}_zebrafish_20220104_01" for name in ("staging", "movies", "report")}
    assert [job["JobState"] for job in on_slurm.slurm_jobs] == ["COMPLETED"] * 5


def test_a_dry_run_reads_a_header_of_the_movie_alone(on_slurm):
    assert 0 < on_slurm.sent_by_dry_run <= 3 * 65_536
