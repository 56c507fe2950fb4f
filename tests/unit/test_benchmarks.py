"""What the benchmarks share measures what it says, and the model of a cluster gives what can be worked out by hand."""

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from cluster_scale import Overheads, SlurmJob, simulate
from measuring import Row, compare, measure, print_rows

NOTHING = Overheads(start=0, submit=0, product=0)


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_the_time_of_orphans_is_counted():
    code = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"

    def work():  # a child that leaves a child behind, as Snakemake does with the process that scripts are forked from
        orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}])"
        subprocess.run([sys.executable, "-c", orphan], check=True)

    assert 0.5 <= measure(work).cpu < 2


def test_memory_is_the_most_at_a_time_and_not_what_the_measuring_process_had_before():
    def use(megabytes):  # mapped, as imaging tests of the same process may have told malloc to give nothing back
        with mmap.mmap(-1, megabytes << 20) as pages:
            for at in range(0, len(pages), 4096):
                pages[at] = 1

    use(300)
    shared = measure(lambda: None).peak  # a fork shares what the process has now
    assert 55 < measure(lambda: use(60)).peak - shared < 80


def test_medians_of_work_in_turns():
    turns = []
    costs = compare({"a": lambda: burn(0.05), "b": lambda: os.getpid()}, 3, before=lambda: turns.append(1))
    assert len(turns) == 6
    assert 0.05 <= costs["a"].cpu < 0.2
    assert costs["b"].result != os.getpid()  # each in a process of its own


def test_work_that_fails_stops_the_benchmark(capfd):
    def work():
        raise ValueError("no such file")

    with pytest.raises(RuntimeError):
        measure(work)
    assert "no such file" in capfd.readouterr().err


def test_a_row_has_how_many_times_ours_the_others_are():
    row = Row("copying", "s", {"ours": 2.0, "cp": 1.0, "slow": 5.0}, "at most cp", met=False, peak=12.3)
    assert row.ratios == {"cp": 0.5, "slow": 2.5}
    line = print_rows([row]).splitlines()[2]
    assert line == "| copying | 2 s | cp 1 s (0.50); slow 5 s (2.50) | at most cp | **no** | 12 MB |  |"


def test_jobs_wait_for_cpus():
    jobs = {str(k): SlurmJob(cpus=1, total=10, longest=10) for k in range(4)}
    assert simulate(jobs, nodes=1, cpus=2, disk=1e9, overheads=NOTHING, poll=0.001) == pytest.approx(20, abs=0.01)
    assert simulate(jobs, nodes=2, cpus=2, disk=1e9, overheads=NOTHING, poll=0.001) == pytest.approx(10, abs=0.01)


def test_a_job_is_as_long_as_its_longest_chain():
    jobs = {"block": SlurmJob(cpus=4, total=40, longest=25, n_products=8)}
    overheads = Overheads(start=3, submit=0, product=1)
    assert simulate(jobs, 1, 4, 1e9, overheads, poll=0.001) == pytest.approx(3 + 25, abs=0.01)
    jobs["block"].longest = 5
    assert simulate(jobs, 1, 4, 1e9, overheads, poll=0.001) == pytest.approx(3 + 48 / 4, abs=0.01)


def test_jobs_share_the_disk():
    jobs = {str(k): SlurmJob(cpus=1, total=1, longest=1, n_bytes=100.0) for k in range(2)}
    assert simulate(jobs, 1, 2, 10.0, NOTHING, poll=0.001) == pytest.approx(20, abs=0.01)
    jobs["0"].n_bytes = 0
    assert simulate(jobs, 1, 2, 10.0, NOTHING, poll=0.001) == pytest.approx(10, abs=0.01)


def test_what_is_needed_must_have_been_seen():
    jobs = {"a": SlurmJob(total=12, longest=12), "b": SlurmJob(total=1, longest=1, needs={"a"})}
    # a ends at 12, is seen at 20 (looks at 0, 10, 20); b runs to 21, which is seen at 30
    assert simulate(jobs, 1, 1, 1e9, NOTHING, poll=10) == pytest.approx(30)
