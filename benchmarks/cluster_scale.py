"""How long a day, and many days, take on a Slurm cluster: a model, held to real runs on a small one.

    python benchmarks/cluster_scale.py [--quick]

The jobs are Snakemake's own (a dry run with ``--profile slurm`` of recordings of the right size whose samples are a
hole in the file), their CPU time is what hippflow's estimate says (``resources/benchmark_defaults.yaml``, measured),
and Slurm's part is measured here: a small day is run on a Slurm of this host, and what its jobs took beyond their
work is put into the model. Two other runs, of another size and on other nodes, then say how right it is.

The model: every Slurm job needs its CPUs on one node, waits for what it needs to be seen by the driver, which looks
every few seconds, takes a constant to begin, and then as long as its work on its CPUs or its bytes through the shared
disk, whichever is longer. Jobs that read or write at the same time share the disk's rate equally.
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from measuring import Row, main
from recordings import REPOSITORY, new_workflow

from hippflow.cost.estimate import planned_work
from hippflow.cost.history import load_history
from hippflow.demo.ripple import analog_channel, raw_channel, write_nev, write_nsx
from hippflow.runs.planned import PlannedJob, planned_jobs

sys.path.insert(0, str(REPOSITORY / "tests" / "cluster"))

from local_slurm import LocalSlurm

#: CPUs that a group's job asks for at most, and the driver's look at the queue, as in profiles/slurm.
CORES, POLL = 4, 10.0
#: Bytes per second of shared disks: an EBS volume as in cluster/parallelcluster.yaml, the fastest gp3, a parallel one.
SMALL, GOOD, PARALLEL = 250e6, 1000e6, 4000e6
#: From an empty ParallelCluster to the first job: its own tests' mean of 149 to 329 s.
BOOT = 285.0


@dataclass
class SlurmJob:
    """Jobs of Snakemake that are one job of Slurm: CPU seconds in all and of the longest chain, and bytes."""

    cpus: int = 1
    total: float = 0.0
    longest: float = 0.0
    n_bytes: float = 0.0
    n_products: int = 0
    needs: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Overheads:
    """Seconds: of a Slurm job before and after its work, of a submission, and CPU seconds of a product in its job."""

    start: float
    submit: float
    product: float


def slurm_jobs(jobs: list[PlannedJob], cores: int, sample_bytes: int) -> dict[str, SlurmJob]:
    """Put the jobs of a dry run together as Slurm gets them."""
    settings = {"sample_bytes": sample_bytes, "cluster": True}
    work, _, _ = planned_work(jobs, load_history(REPOSITORY), settings)
    makers = {path: k for k, job in enumerate(jobs) for path in job.outputs}
    found: dict[str, SlurmJob] = defaultdict(SlurmJob)
    chains: dict[int, float] = {}

    def chain(k: int) -> float:
        """Return the seconds of the longest chain of jobs that ends with this one within its Slurm job."""
        if k not in chains:
            before = {makers[path] for path in jobs[k].inputs if path in makers}
            inside = [chain(m) for m in before if work[m].slurm_job == work[k].slurm_job]
            chains[k] = work[k].cpu + max(inside, default=0.0)
        return chains[k]

    for k, (job, its) in enumerate(zip(jobs, work, strict=True)):
        one = found[its.slurm_job]
        one.total += its.cpu
        one.longest = max(one.longest, chain(k))
        one.n_bytes += its.n_bytes
        one.n_products += 1
        one.cpus = min(cores, one.n_products)
        one.needs |= {work[makers[path]].slurm_job for path in job.inputs if path in makers} - {its.slurm_job}
    return dict(found)


def simulate(
    jobs: dict[str, SlurmJob], nodes: int, cpus: int, disk: float, overheads: Overheads, poll: float = POLL
) -> float:
    """Return the seconds from the first submission to the driver's seeing the last end."""
    free = [cpus] * nodes
    waiting, queue, done, seen = dict(jobs), [], set(), set()
    running: dict[str, list[float]] = {}  # node, seconds until it works, CPU seconds left, bytes left
    now = next_look = 0.0
    arrivals: list[tuple[float, str]] = []
    while True:
        if now >= next_look:
            seen |= done
            if len(seen) == len(jobs):
                return now
            ready = [name for name, job in waiting.items() if job.needs <= seen]
            arrivals += [(now + k * overheads.submit, name) for k, name in enumerate(ready, start=1)]
            for name in ready:
                del waiting[name]
            next_look = max(now, max((at for at, _ in arrivals), default=0.0)) + poll
        queue += [name for at, name in arrivals if at <= now]
        arrivals = [(at, name) for at, name in arrivals if at > now]
        for name in list(queue):
            job = jobs[name]
            wanted = min(job.cpus, cpus)
            node = next((n for n in range(nodes) if free[n] >= wanted), None)
            if node is not None:
                queue.remove(name)
                free[node] -= wanted
                work = max((job.total + job.n_products * overheads.product) / wanted, job.longest)
                running[name] = [node, overheads.start, work, job.n_bytes]
        active = sum(1 for _, start, _, left in running.values() if start <= 0 and left > 0)
        rate = disk / max(1, active)
        ends = {
            name: start if start > 0 else max(work, left / rate) for name, (_, start, work, left) in running.items()
        }
        step = min([*ends.values(), next_look - now, *(at - now for at, _ in arrivals)])
        now += step
        for name, state in list(running.items()):
            if state[1] > 0:
                state[1] = max(0.0, state[1] - step)
            else:
                state[2], state[3] = max(0.0, state[2] - step), max(0.0, state[3] - rate * step)
            if max(state[1:]) <= 1e-6:
                free[int(state[0])] += min(jobs[name].cpus, cpus)
                done.add(name)
                del running[name]


def write_hollow_day(root: Path, day: str, n_channels: int, minutes: tuple[float, float]) -> None:
    """Write a day of two sessions whose recordings have their size and headers, and no samples on the disk."""
    channels = [analog_channel(n) for n in range(1, 5)] + [raw_channel(n) for n in range(1, n_channels + 1)]
    for session, length in zip(("session01", "sessioneye"), minutes, strict=True):
        folder = root / "picasso" / day / session
        folder.mkdir(parents=True)
        nsx = folder / f"{day[2:]}.ns5"
        write_nsx(nsx, channels, iter([]))
        n_samples = int(length * 60 * 30_000)
        header = 314 + 66 * len(channels)
        with nsx.open("r+b") as file:
            file.seek(header)
            file.write(b"\1" + (0).to_bytes(4, "little") + n_samples.to_bytes(4, "little"))
            file.truncate(header + 9 + 2 * n_samples * len(channels))
        write_nev(folder / f"{day[2:]}.nev", [], channels=channels)


def planned(folder: Path, cores: int, sample_bytes: int = 4) -> dict[str, SlurmJob]:
    """Ask Snakemake what it would submit for the days in a workflow's folder."""
    command = ["snakemake", "--profile", "slurm", "--cores", str(cores)]
    return slurm_jobs(planned_jobs(command, folder), cores, sample_bytes)


@dataclass(frozen=True)
class RealRun:
    """A run on a Slurm of this host: seconds since the first job began, the jobs as planned, and how long each took."""

    seconds: float
    jobs: dict[str, SlurmJob]
    elapsed: list[float]
    submit: float


def real_run(folder: Path, n_channels: int, seconds: float, nodes: int, cpus: int) -> RealRun:
    """Run a demo day on a Slurm of this host."""
    workflow = new_workflow(folder / "workflow")
    options = ["--channels", str(n_channels), "--seconds", str(seconds), "--no-behaviour", "--no-imaging"]
    demo = [sys.executable, "-m", "hippflow", "demo", str(workflow / "data"), *options]
    subprocess.run(demo, check=True, stdout=subprocess.DEVNULL)
    jobs = planned(workflow, cpus)
    # of several nodes the last one is kept for jobs that ask for it
    with LocalSlurm(folder / "slurm", nodes=nodes + (nodes > 1), cpus=cpus, memory=12000) as slurm:
        start = time.perf_counter()
        for _ in range(5):
            slurm.submit("#!/bin/sh\ntrue\n", "--output=/dev/null")
        submit = (time.perf_counter() - start) / 5
        slurm.reset()
        command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--cores", str(cpus), "--quiet", "all"]
        with (folder / "output.txt").open("w") as output:
            environment = os.environ | slurm.environment
            subprocess.run(command, cwd=workflow, env=environment, check=True, stdout=output, stderr=output)
        ended, finished = time.time(), slurm.finished()
    began = min(datetime.fromisoformat(str(job["StartTime"])).timestamp() for job in finished)
    return RealRun(ended - began, jobs, [float(job["elapsed"]) for job in finished], submit)


def calibrate(run: RealRun) -> Overheads:
    """Say what Slurm jobs took beyond their work: the shortest is nearly nothing else."""
    jobs, start = run.jobs.values(), min(run.elapsed)
    beyond = sum(run.elapsed) - len(run.elapsed) * start - sum(max(job.total / job.cpus, job.longest) for job in jobs)
    product = max(0.0, beyond) / sum(job.n_products / job.cpus for job in jobs)
    return Overheads(start, run.submit, product)


def rows(quick: bool, folder: Path) -> list[Row]:
    """Calibrate on a small day, check on two others (quick: on none), and print days and clusters of real size."""
    size = (8, 5.0) if quick else (8, 20.0)
    overheads = calibrate(real_run(folder / "calibration", *size, nodes=1, cpus=2))
    checks = [] if quick else [(24, 20.0, 1, 2), (16, 40.0, 2, 1)]
    found = []
    for k, (n_channels, seconds, nodes, cpus) in enumerate(checks):
        run = real_run(folder / f"check{k}", n_channels, seconds, nodes, cpus)
        predicted = simulate(run.jobs, nodes, cpus, 1e9, overheads)
        work = f"{n_channels} channels, {seconds * 1.5:g} s, {nodes} node(s) of {cpus} CPU, model beside a real run"
        note = f"{len(run.elapsed)} Slurm jobs; {overheads.start:.1f} s a job, {overheads.product:.2f} CPU s a product"
        within = abs(predicted / run.seconds - 1) <= 0.3
        figures = {"model": predicted, "real Slurm": run.seconds}
        found.append(Row(work, "s", figures, "within 30 %", within, note=note))
    workflow = new_workflow(folder / "day" / "workflow")
    write_hollow_day(workflow / "data", "20181105", 110, (60.0, 15.0))
    day = planned(workflow, CORES)

    def minutes(jobs: dict[str, SlurmJob], disk: float) -> float:
        return simulate(jobs, 4, 16, disk, overheads) / 60

    ours = minutes(day, GOOD)
    figures = {
        "ours": ours,
        "disk of 250 MB/s": minutes(day, SMALL),
        "int16 products, disk of 250 MB/s": minutes(planned(workflow, CORES, sample_bytes=2), SMALL),
        "disk of 4000 MB/s": minutes(day, PARALLEL),
        "from an empty cluster": ours + BOOT / 60,
        "course's cluster": 5 * 60 + 8.75,
    }
    work = "model: a day of 110 channels, 60 + 15 min, on 64 vCPU"
    note = f"shared disk of 1000 MB/s, the fastest gp3; float32 products; {len(day)} Slurm jobs"
    found.append(Row(work, "min", figures, "at most 10 min", ours <= 10, note=note))
    many = {
        f"day {k} {name}": replace(job, needs={f"day {k} {other}" for other in job.needs})
        for k in range(45)
        for name, job in day.items()
    }
    hours = {
        f"{nodes} node(s)": simulate(many, nodes, 16, GOOD, overheads) / 3600
        for nodes in ((1, 64) if quick else (1, 4, 16, 64))
    }
    note = "shared disk of 1000 MB/s, nodes of 16 vCPU"
    return [*found, Row("model: 45 such days", "h", hours, note=note)]


if __name__ == "__main__":
    main(__doc__, rows)
