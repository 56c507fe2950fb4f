"""What the workflow itself costs: a dry run, its share in every job, and a start with nothing to do.

    python benchmarks/workflow.py [--quick]

- A dry run of 10,453 jobs of a tree of recordings that end with their headers. Beside it a bare Snakefile with as many
  jobs of the same shape, of paths alone: no functions, settings, logs or messages. That is what Snakemake takes.
- Every product of 24 channels in a local run on two cores, beside one process that loops over the same steps: CPU time
  of all processes, driver and imports included. The difference is the workflow's share, which is divided by jobs.
- The same run again, when everything is there, beside the bare Snakefile's.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measuring import Row, compare, print_rows
from recordings import new_workflow
from slurm_channels import LOOP
from status import write_headers

#: Jobs of one channel on a day of two sessions.
JOBS_OF_A_CHANNEL = 14

#: The jobs of two sessions a day without a function or a setting; DAYS and CHANNELS are put before it.
BARE = """
SESSIONS = ["session01", "sessioneye"]
PRODUCTS = ["raw", "lfp", "high", "lfp_spectrum", "high_spectrum", "quality", "spikes"]
OF = {"lfp": ["raw"], "high": ["raw"], "lfp_spectrum": ["lfp"], "high_spectrum": ["high"]}
OF["quality"] = ["raw", *OF]

wildcard_constraints:
    day=r"day\\d+",
    session=r"session\\w+",
    channel=r"channel\\d+",

rule all:
    input:
        expand("results/{d}/{s}/{c}/{name}", d=DAYS, s=SESSIONS, c=CHANNELS, name=PRODUCTS),
        expand("results/{d}/{c}/{name}", d=DAYS, c=CHANNELS, name=["firings", "units"]),
        expand("results/{d}/{s}/markers", d=DAYS, s=SESSIONS),
        expand("results/{d}/{name}", d=DAYS, name=["channels", "report"]),

rule channels:
    input:
        expand("results/{{day}}/{s}/{c}/quality", s=SESSIONS, c=CHANNELS),
    output:
        "results/{day}/channels",
    shell:
        "touch {output}"

rule report:
    input:
        expand("results/{{day}}/{s}/{c}/{name}", s=SESSIONS, c=CHANNELS, name=PRODUCTS),
    output:
        "results/{day}/report",
    shell:
        "touch {output}"

rule markers:
    output:
        "results/{day}/{session}/markers",
    shell:
        "touch {output}"

rule split:
    output:
        expand("results/{{day}}/{{session}}/{c}/raw", c=CHANNELS),
    shell:
        "touch {output}"

rule sorting:
    input:
        expand("results/{{day}}/{s}/{{channel}}/high", s=SESSIONS),
    output:
        "results/{day}/{channel}/firings",
    shell:
        "touch {output}"

rule units:
    input:
        "results/{day}/{channel}/firings",
    output:
        "results/{day}/{channel}/units",
    shell:
        "touch {output}"

for product, sources in OF.items():
    rule:
        name:
            product
        input:
            expand("results/{{day}}/{{session}}/{{channel}}/{name}", name=sources),
        output:
            f"results/{{day}}/{{session}}/{{channel}}/{product}",
        shell:
            "touch {output}"

rule spikes:
    input:
        "results/{day}/{channel}/units",
        "results/{day}/{session}/{channel}/high",
    output:
        "results/{day}/{session}/{channel}/spikes",
    shell:
        "touch {output}"
"""


def snakemake(folder: Path, *options: str) -> Callable[[], str]:
    """Return a piece of work that runs Snakemake in a folder and returns what it printed."""

    def work() -> str:
        call = [sys.executable, "-m", "snakemake", *options]
        done = subprocess.run(call, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(call)} failed:\n{done.stdout[-3000:]}")
        return done.stdout

    return work


def write_bare(folder: Path, n_days: int, n_channels: int) -> Path:
    """Write the bare Snakefile."""
    folder.mkdir()
    days = [f"day{k:02d}" for k in range(n_days)]
    channels = [f"channel{k:03d}" for k in range(1, n_channels + 1)]
    (folder / "Snakefile").write_text(f"DAYS = {days!r}\nCHANNELS = {channels!r}\n{BARE}")
    return folder


def count_jobs(output: str) -> int:
    """Return the total of a dry run's table."""
    return next(int(line.split()[1]) for line in output.splitlines() if line.startswith("total "))


def dry_run(folder: Path, n_days: int, n_channels: int, repeats: int) -> Row:
    """Measure a dry run of many days."""
    write_headers(folder / "headers", n_days, n_channels)
    ours = new_workflow(folder / "dry", folder / "headers" / "data")
    works = {
        "ours": snakemake(ours, "--dry-run"),
        "bare Snakefile": snakemake(write_bare(folder / "bare", n_days, n_channels), "--dry-run"),
    }
    costs = compare(works, repeats)
    n_ours, n_bare = (count_jobs(costs[name].result) for name in works)
    if n_ours != n_bare:
        raise RuntimeError(f"the bare Snakefile has {n_bare} jobs, ours {n_ours}")
    return Row(
        f"Dry run of {n_ours} jobs",
        "CPU s",
        {name: cost.cpu for name, cost in costs.items()},
        target="at most 15 s for 10,000 jobs",
        met=costs["ours"].cpu * 10_000 / n_ours <= 15 if n_ours >= 10_000 else None,
        peak=costs["ours"].peak,
        note=f"one thread; {costs['ours'].wall:.1f} s passed; days of {n_channels} channels, nothing made",
    )


def run_and_start(folder: Path, n_channels: int, seconds: float) -> list[Row]:
    """Measure a run of all channels of a day, and the same when everything is there."""
    options = ["--channels", str(n_channels), "--seconds", str(seconds), "--no-behaviour", "--no-imaging"]
    subprocess.run(
        [sys.executable, "-m", "hippflow", "demo", str(folder / "data"), *options],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    ours, loop = (new_workflow(folder / name, folder / "data") for name in ("ours", "loop"))
    for copy in (ours, loop):  # the raw signals, which one job makes of all channels, and the markers
        snakemake(copy, "--cores", "2", "--until", "rplsplit", "rplparallel")()
    made = sorted((loop / "results/picasso/20181105/session01").glob("*/*/rplraw_d41d.hkl"))
    folders = [f"{path.parts[-3]}/{path.parts[-2]}" for path in made]
    (loop / "loop.py").write_text(LOOP)

    def loops() -> None:
        subprocess.run(
            [sys.executable, "loop.py", json.dumps(folders)], cwd=loop, check=True, stdout=subprocess.DEVNULL
        )

    # sessions by name: of a narrowed run there are no tables and pages of whole days, which the loop does not make
    run = snakemake(ours, "--cores", "2", "--config", "sessions=[session01, sessioneye]")
    costs = compare({"run": run, "loop": loops}, 1)
    n_jobs = JOBS_OF_A_CHANNEL * len(folders)
    share = (costs["run"].cpu - costs["loop"].cpu) / n_jobs
    bare = write_bare(folder / "nothing", 1, len(folders))
    snakemake(bare, "--cores", "2")()
    again = compare({"ours": run, "bare Snakefile": snakemake(bare, "--cores", "2")}, 3)
    return [
        Row(
            f"The workflow's share of one of {n_jobs} channel jobs, -c2",
            "CPU s",
            {"ours": share, "the work itself": costs["loop"].cpu / n_jobs},
            target="at most 0.35 beyond the work",
            met=share <= 0.35,
            peak=costs["run"].peak,
            note=f"{seconds:g} s of recording; run {costs['run'].cpu:.0f} CPU s, one process {costs['loop'].cpu:.0f}",
        ),
        Row(
            f"Start with nothing to do, {n_jobs} jobs made",
            "CPU s",
            {name: cost.cpu for name, cost in again.items()},
            peak=again["ours"].peak,
            note=f"{again['ours'].wall:.1f} s passed",
        ),
    ]


def rows(quick: bool, folder: Path) -> list[Row]:
    """Measure all of it; quick: a dry run of one day, and a run of four channels."""
    small = (1, 124, 1) if quick else (6, 124, 3)
    return [dry_run(folder, *small), *run_and_start(folder, 4 if quick else 24, 4)]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one day, and four channels")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        print(print_rows(rows(arguments.quick, Path(temporary))))


if __name__ == "__main__":
    main()
