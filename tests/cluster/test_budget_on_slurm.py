"""The budget with a real Slurm, from which jobs that wait are withdrawn."""

import os
import subprocess
import sys

from hippflow.runs.record import last_run

SNAKEFILE = """
from snakemake_logger_plugin_hippflow import describe_run, guard_budget
from hippflow.cost.budget import Figures, Planned

config = {"results": "out", "real": "no"} | config
config["budget"] = {"period": "total", "on_exceed": "refuse"} | config["budget"]
describe_run(config, workflow)

def bill(run):
    return float(len(run.in_state("finished")))

FIGURES = Figures(lambda jobs: Planned(0.0), bill, lambda since: 0.0)

onstart:
    guard_budget(config, workflow, ".snakemake/hippflow", None if config["real"] == "yes" else FIGURES)

rule all:
    input: expand("out/{number}", number=range(7))

rule one:
    output: "out/{number}"
    threads: 2  # a node's
    resources: mem_mb=300, runtime=1
    params: seconds=lambda wildcards: 0 if wildcards.number == "0" else 3
    shell: "sleep {params.seconds}; touch {output}"
"""


def run_on_slurm(folder, slurm, *settings):
    (folder / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--keep-going", "--scheduler", "greedy", "--logger", "hippflow"]
    options = [
        "--executor",
        "hippflow-slurm",
        "--jobs",
        "20",
        "--cores",
        "2",
        "--seconds-between-status-checks",
        "1",
        "--retries",
        "2",
    ]
    done = subprocess.run(
        [*command, *options, "--latency-wait", "5", "--config", *settings],
        cwd=folder,
        env=os.environ | slurm.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


def test_jobs_that_wait_in_slurm_are_withdrawn_when_the_budget_is_reached(slurm, tmp_path):
    said = run_on_slurm(tmp_path, slurm, "budget={usd: 1}")
    run = last_run(tmp_path / ".snakemake/hippflow")
    assert run.state == "interrupted"
    assert run.reason.startswith("the budget of 1.00 USD is reached: 0.00 were spent before, and ")
    assert "hippflow: interrupted (the budget of 1.00 USD is reached" in said
    states = [job["state"] for job in slurm.jobs()]
    made = [path for path in (tmp_path / "out").iterdir() if path.name.isdigit()]
    assert states.count("COMPLETED") == run.made == len(made)
    assert 1 <= run.made < 7
    assert set(states) == {"COMPLETED", "CANCELLED"}  # none was killed at work, none was submitted again
    assert len(states) == 7
    assert run.failed == []
    assert len(run.in_state("stopped")) == 7 - run.made
    assert all(row["elapsed"] == 0 for row in slurm.finished() if row["JobState"] == "CANCELLED")


def test_a_run_on_slurm_over_the_budget_by_the_real_prices_submits_nothing(slurm, tmp_path):
    said = run_on_slurm(tmp_path, slurm, "budget={usd: 0.001}", "real=yes")
    assert (
        "budget.usd: expected at most 0.00 USD in all, found 0.00 spent (the ledger of this workflow's runs) and an"
        in said
    )
    assert "No job was started." in said
    assert slurm.jobs() == []
    assert last_run(tmp_path / ".snakemake/hippflow").jobs == {}
    assert list((tmp_path / ".snakemake/locks").glob("*")) == []
