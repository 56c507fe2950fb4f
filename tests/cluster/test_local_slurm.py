"""The Slurm of the tests is a real one: its jobs end as they should, it can be broken, and it leaves nothing behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import debian
import pytest
from debian import require, wait_until
from local_slurm import LocalSlurm

SERVER = Path(__file__).with_name("local_slurm.py")

#: Takes 300 MB, where the job asked for 100, and then a minute.
GREEDY = "python3 -c 'import time; block = bytearray(300 << 20); time.sleep(60)'"


def processes_of(text):
    """Command lines of the processes that name `text` there or in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            line = (folder / "cmdline").read_bytes()
            if text.encode() in line + (folder / "environ").read_bytes():
                found.append(line.replace(b"\0", b" ").decode())
        except (OSError, UnicodeDecodeError):
            continue
    return found


def test_four_nodes_are_idle_in_two_partitions(slurm):
    rows = slurm.call("sinfo", "--Node", "--noheader", "--format=%N %R %T %c %m").split("\n")[:-1]
    assert sorted(rows) == [
        "n1 spot idle 2 4000",
        "n2 spot idle 2 4000",
        "n3 spot idle 2 4000",
        "n4 ondemand idle 2 4000",
    ]


def test_a_job_runs_and_is_counted(slurm, tmp_path):
    proof = tmp_path / "proof"
    job = slurm.submit(f"sleep 2; hostname > {proof}", "--mem=100", "--job-name=two seconds", f"--chdir={tmp_path}")
    assert slurm.wait_for(job, "COMPLETED", "FAILED") == "COMPLETED"
    assert proof.read_text().strip() == os.uname().nodename
    (row,) = slurm.jobs()
    assert (row["id"], row["state"], row["name"], row["partition"], row["node"], row["restarts"], row["workdir"]) == (
        job,
        "COMPLETED",
        "two seconds",
        "spot",
        "n1",
        "0",
        str(tmp_path),
    )
    (end,) = slurm.finished()
    assert (end["JobId"], end["JobState"], end["Name"]) == (job, "COMPLETED", "two seconds")
    assert 1 <= end["elapsed"] <= 4


def test_no_test_sees_the_jobs_of_another(slurm):
    assert slurm.jobs() == []
    assert slurm.finished() == []


@pytest.mark.parametrize("script", [GREEDY, f"srun --mem=100 {GREEDY}"], ids=["batch", "step"])
def test_a_job_over_its_memory_is_killed(slurm, tmp_path, script):
    output = tmp_path / "output.txt"
    job = slurm.submit(script, "--mem=100", f"--output={output}")
    assert slurm.wait_for(job, "FAILED", "COMPLETED", "OUT_OF_MEMORY") == "FAILED"
    assert "exceeded memory limit" in output.read_text()


def test_memory_is_what_jobs_are_placed_by(slurm):
    first, second = (slurm.submit("sleep 60", "--mem=2500", "--nodelist=n1") for _ in range(2))
    slurm.wait_for(first, "RUNNING")
    wait_until(lambda: slurm.jobs()[1]["reason"] == "Resources", 10, "a second job of 2500 MB to wait for its node")
    assert slurm.jobs()[1]["id"] == second


def test_more_memory_than_a_node_has_is_refused(slurm):
    with pytest.raises(RuntimeError, match="Memory specification can not be satisfied"):
        slurm.submit("true", "--mem=4001")


def test_a_drained_node_gets_no_jobs_until_it_is_resumed(slurm):
    slurm.drain("n4")
    job = slurm.submit("true", "--mem=100", "--partition=ondemand")
    time.sleep(1.5)  # twice what a job takes to start
    assert [row["state"] for row in slurm.jobs()] == ["PENDING"]
    slurm.resume("n4")
    assert slurm.wait_for(job, "COMPLETED") == "COMPLETED"


def test_nodes_that_a_test_broke_are_whole_in_the_next(slurm):
    slurm.drain("n1")
    slurm.kill_node("n2", notice=True)
    slurm.kill_node("n3")
    slurm.stop_controller()
    slurm.reset()
    assert slurm.call("sinfo", "--Node", "--noheader", "--format=%T").split() == ["idle"] * 4


def test_a_step_finds_the_cluster_without_its_configuration(slurm, tmp_path):
    """Snakemake's job step takes SLURM_CONF away before it calls srun."""
    proof = tmp_path / "proof"
    job = slurm.submit(f"env -u SLURM_CONF srun --mem=50 touch {proof}", "--mem=100")
    assert slurm.wait_for(job, "COMPLETED", "FAILED") == "COMPLETED"
    assert proof.exists()


def test_two_clusters_at_once_leave_nothing_behind(tmp_path):
    """One has a job that ignores SIGTERM, a process that fled from its job, and a client that waits."""
    mark = tmp_path / "fled"
    first, second = LocalSlurm(tmp_path / "a", nodes=1), LocalSlurm(tmp_path / "b", nodes=1, memory_scheduling=False)
    with first, second:
        flees = f"setsid sh -c 'touch {mark}; exec sleep 600' &"
        stubborn = first.submit(f"trap '' TERM; {flees} sleep 601; sleep 602; sleep 603")
        quiet = second.submit("sleep 1; true", "--mem=3000")
        client = subprocess.Popen(
            ["srun", "sleep", "604"], env=os.environ | first.environment, stderr=subprocess.DEVNULL
        )
        first.wait_for(stubborn, "RUNNING")
        wait_until(mark.exists, 10, "the job to start its processes")
        first.stop()
        assert client.wait(5) != 0
        assert processes_of(str(first.folder)) == []
        assert second.wait_for(quiet, "COMPLETED", "FAILED") == "COMPLETED"
        assert len(second.jobs()) == 1
        assert "SelectTypeParameters    = CR_CORE\n" in second.call("scontrol", "show", "config")
    assert processes_of(str(tmp_path)) == []


def test_the_command_line_leaves_a_cluster_running_until_it_is_stopped(tmp_path):
    folder = tmp_path / "slurm"
    command = [sys.executable, str(SERVER), "start", str(folder), "--nodes", "3", "--cpus", "1"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == f"export SLURM_CONF={folder}/slurm.conf\n"
    try:
        ask = ["bash", "-c", f"{printed} sinfo --Node --noheader --format='%N %c %T' | sort"]
        assert subprocess.check_output(ask, text=True) == "n1 1 idle\nn2 1 idle\nn3 1 idle\n"
    finally:
        subprocess.run([sys.executable, str(SERVER), "stop", str(folder)], check=True)
    assert processes_of(str(folder)) == []


def test_a_folder_too_long_for_sockets_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at most 80 characters"):
        LocalSlurm(tmp_path / ("x" * 80)).start()


@pytest.mark.parametrize(
    ("variables", "outcome"),
    [
        ({}, pytest.skip.Exception),
        ({"CI": "true"}, pytest.fail.Exception),
        ({"HIPPFLOW_REQUIRE_CLUSTER": "1"}, pytest.fail.Exception),
    ],
)
def test_a_package_that_cannot_be_installed_skips_the_test_but_never_in_ci(monkeypatch, variables, outcome):
    for name in ("CI", "HIPPFLOW_REQUIRE_CLUSTER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(debian, "SEARCH", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        outcome, match="no apt-get; type: sudo apt-get install -y --no-install-recommends munge slurmd$"
    ):
        require({"slurmd": "slurmd", "munged": "munge"})
