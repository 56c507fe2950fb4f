"""Planted secrets in runs on a real Slurm: not in logs of jobs, not in their scripts, not in what is said of them."""

import os

import pytest
from planted_secrets import CANARIES, found_in, leaks

from hippflow.demo.day import write_demo_day

pytestmark = pytest.mark.skipif(os.environ.get("HIPPFLOW_LONG_FAULTS") != "1", reason="make faults has it")

MARKERS = "results/picasso/20181105/{}/rplparallel_d41d.hkl"


@pytest.fixture(scope="module")
def failed(new_workflow, slurm):
    """A run of two small jobs, of which one fails and leaves its log of Slurm, with everything said that can be."""
    workflow = new_workflow()
    day = write_demo_day(workflow.folder / "data", channels=[9], seconds=4, seed=5, behaviour=False)
    (day / "sessioneye/181105_DST.nev").write_bytes(b"")
    config = workflow.folder / "config.yaml"
    config.write_text(
        config.read_text().replace("  webhook: null", f"  webhook: http://127.0.0.1:9/{CANARIES['webhook in a file']}")
    )
    planted = {name: value for name, value in CANARIES.items() if name.startswith("AWS_")}
    workflow.first_run = workflow.run(
        *(MARKERS.format(session) for session in ("session01", "sessioneye")),
        "--profile",
        "slurm",
        "--seconds-between-status-checks",
        "1",
        "--verbose",
        "--config",
        f"notify={{webhook: http://127.0.0.1:9/{CANARIES['webhook on the command line']}}}",
        status=1,
        environment=slurm.environment | planted,
    )
    return workflow


def test_the_job_that_failed_left_its_log(failed):
    assert "expected a NEV file" in failed.first_run.output
    assert (failed.folder / MARKERS.format("session01")).exists()
    assert list((failed.folder / ".snakemake/slurm_logs").rglob("*.log"))


def test_no_log_script_or_message_of_slurm_jobs_has_a_secret_in_it(failed):
    assert found_in(failed.first_run.output.encode()) == set()
    assert leaks(failed.folder, but={failed.folder / "config.yaml"}) == {}


def test_the_command_of_a_job_does_not_say_who_is_told(failed):
    """It is in the script that Slurm keeps, which --verbose shows."""
    scripts = [line for line in failed.first_run.output.splitlines() if "-m snakemake" in line]
    assert scripts
    assert not any("notify" in line for line in scripts)
