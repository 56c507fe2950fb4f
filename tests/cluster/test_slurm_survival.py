"""What may happen to a run on a real Slurm, and what is left of it: the same products, and nothing made twice.

The run is that of held_run.py: its sorting waits until the test has done its worst.
"""

import os
import signal
import time

from held_run import FIRINGS

pytest_plugins = ["held_run"]


def test_a_job_that_is_cancelled_goes_on_from_its_last_whole_product(held):
    job = held.start().wait_until_sorting()
    held.slurm.cancel(job["id"])
    held.wait_until_sorting(times=2)
    held.let_go()
    held.finish()
    held.check()
    assert "CANCELLED" in held.output


def test_a_node_that_is_lost_takes_no_product_with_it(held):
    job = held.start().wait_until_sorting()
    held.slurm.kill_node(job["node"], notice=True)
    again = held.wait_until_sorting(times=2)
    assert again["id"] == job["id"]  # Slurm queued it again by itself: no attempt of Snakemake's is spent
    assert again["node"] != job["node"]
    held.let_go()
    held.finish()
    held.check()


def test_a_node_that_is_drained_and_reclaimed_hands_its_job_on(held):
    """As ParallelCluster does with spot nodes: no new jobs, and the running ones are queued again."""
    job = held.start().wait_until_sorting()
    held.slurm.drain(job["node"])
    held.slurm.call("scontrol", "requeue", job["id"])
    again = held.wait_until_sorting(times=2)
    assert again["node"] != job["node"]
    held.let_go()
    held.finish()
    held.check()


def test_a_controller_that_is_away_is_waited_for(held):
    held.start().wait_until_sorting()
    held.slurm.stop_controller()
    held.wait(lambda: "does not answer" in held.output)
    time.sleep(25)  # three looks at the queue without an answer
    assert held.driver.poll() is None
    held.let_go()
    held.wait((held.folder / FIRINGS).exists)
    held.slurm.start_controller()
    held.finish()
    held.check(attempts=1)
    assert "answers again" in held.output
    assert len(held.slurm.finished()) == 1  # the job was never given up


def test_a_controller_that_is_away_at_the_start_is_waited_for(held):
    held.let_go()
    held.slurm.stop_controller()
    held.start()
    held.wait(lambda: "waiting for it before submitting" in held.output)
    held.slurm.start_controller()
    held.finish()
    held.check(attempts=1)


def test_a_job_over_its_memory_gets_more(held):
    held.environment = held.environment | {"BALLAST_MB": "1600"}
    held.start("--set-resources", "rplhighpass:mem_mb=400*attempt")  # the sorting's own grows by itself
    held.wait_until_sorting(times=2)  # the first holds its 1600 MB until Slurm, which polls, has seen it
    held.let_go()
    held.finish()
    held.check()
    asked = [job["Tres"].split("mem=")[1].split(",")[0] for job in held.slurm.finished()]
    assert asked == ["1502M", "3004M"]


def test_a_job_over_its_time_gets_more(held):
    job = held.start().wait_until_sorting()
    held.slurm.expire(job["id"])
    held.wait_until_sorting(times=2)
    held.let_go()
    held.finish()
    held.check()
    assert "TIMEOUT" in held.output
    assert held.slurm.finished()[1]["TimeLimit"] == "30"  # twice the 5 min of filtering and the 10 of sorting


def test_ctrl_c_cancels_the_jobs_and_the_next_start_goes_on(held):
    held.start().wait_until_sorting()
    os.kill(held.driver.pid, signal.SIGINT)
    held.finish(status=1, seconds=60)
    assert [job["state"] for job in held.slurm.jobs() if job["state"] in ("RUNNING", "PENDING")] == []
    held.let_go()
    held.start()
    held.finish()
    held.check()


def test_a_driver_that_is_killed_leaves_no_lock_and_no_job_behind(held):
    job = held.start().wait_until_sorting()
    os.killpg(held.driver.pid, signal.SIGKILL)
    held.driver.wait()
    assert [other["id"] for other in held.slurm.jobs() if other["state"] == "RUNNING"] == [job["id"]]
    assert list((held.folder / ".snakemake/locks").iterdir())
    held.start()
    held.wait(lambda: "was killed; 1 of its Slurm jobs were cancelled" in held.output)
    held.wait_until_sorting(times=2)
    held.let_go()
    held.finish()
    held.check()


def test_a_job_that_the_controller_has_forgotten_is_known_by_its_mark(held):
    """The controller comes back without its state, as on a head node that was replaced."""
    held.start().wait_until_sorting()
    held.slurm.stop_controller()
    held.let_go()
    held.wait((held.folder / FIRINGS).exists)
    time.sleep(3)  # for the end of the job itself
    state = held.slurm.folder / "state"
    for name in ("job_state", "job_state.old", "last_config_lite"):
        (state / name).unlink(missing_ok=True)
    held.slurm.start_controller()
    held.finish()
    held.check(attempts=1)
    assert held.output.count("Submitted as Slurm job") == 1  # it was known to have succeeded, and not tried again
