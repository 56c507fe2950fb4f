"""Channels that share Slurm jobs: as groups of Snakemake jobs, and as one process that loops over the same steps.

    python benchmarks/slurm_channels.py --channels 24 --seconds 10

Writes a demo day, starts a Slurm of one node with two cores on this host, and makes everything
of all channels twice, in blocks of eight channels a Slurm job:

- groups: ``snakemake --profile slurm``, a Snakemake job for every product;
- loops: one Python process a block that calls the steps one after the other. No rule could be
  cheaper: this is the limit for rules whose jobs handle many channels.

Prints Slurm jobs, seconds from the first submission to the end, and CPU-seconds of the whole
machine (so leave it alone), of which the difference is what the workflow itself costs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recordings import REPOSITORY, new_workflow

sys.path.insert(0, str(REPOSITORY / "tests" / "cluster"))

from local_slurm import LocalSlurm

BLOCK = 8

#: Everything of the channels named in argv, by the steps alone; the raw signals are there.
LOOP = """
import json, sys, yaml
from pathlib import Path
from hippflow.names import highpass_args, lfp_args, product_name, spectrum_args
from hippflow.steps.freqspectrum import make_freqspectrum
from hippflow.steps.rplhighpass import make_rplhighpass
from hippflow.steps.rpllfp import make_rpllfp
from hippflow.steps.signal_quality import make_signal_quality
from hippflow.steps.sorting import make_sorting
from hippflow.steps.spiketrain import make_spiketrains
from hippflow.steps.units import make_units
config = yaml.safe_load(Path("config.yaml").read_text())
lfp = product_name("rpllfp", lfp_args(config["rpllfp"]))
high = product_name("rplhighpass", highpass_args(config["rplhighpass"]))
day = Path("results/picasso/20181105")
for folder in json.loads(sys.argv[1]):
    highs = []
    for session in ("session01", "sessioneye"):
        at = day / session / folder
        make_rpllfp(at / "rplraw_d41d.hkl", at / lfp, **config["rpllfp"], dtype="float32")
        make_rplhighpass(at / "rplraw_d41d.hkl", at / high, **config["rplhighpass"], dtype="float32")
        for signal, name in (("lfp", lfp), ("highpass", high)):
            args = spectrum_args(signal, config["freqspectrum"])
            make_freqspectrum(at / name, at / product_name("freqspectrum", args), args=args)
        spectra = [product_name("freqspectrum", spectrum_args(s, config["freqspectrum"])) for s in ("lfp", "highpass")]
        made = [at / name for name in ("rplraw_d41d.hkl", lfp, high, *spectra, "quality.json")]
        make_signal_quality(*made, **config["quality"])
        highs.append(at / high)
    to = day / "mountains" / folder.split("/")[1]
    make_sorting(list(map(str, highs)), to / "firings.hkl", **config["sorting"])
    tables = to / "units.csv", to / "metrics.csv", to / "templates.hkl"
    make_units(list(map(str, highs)), to / "firings.hkl", *tables, **config["units"])
    for path in highs:
        make_spiketrains(to / "firings.hkl", tables[0], path, path.parent / "cells.csv", selection="all")
"""


def cpu_seconds() -> float:
    """CPU time of the whole machine since it started, without idling and waiting."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def split_workflow(folder: Path, data: Path) -> Path:
    """Copy the workflow to a folder and make the raw signals and markers there."""
    subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--until", "rplsplit", "rplparallel"],
        cwd=new_workflow(folder, data),
        check=True,
        capture_output=True,
    )
    return folder


def timed(run) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    cpu, wall = cpu_seconds(), time.monotonic()
    run()
    return time.monotonic() - wall, cpu_seconds() - cpu


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=10.0, help="of session01; sessioneye has half")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary)
        n, seconds = str(arguments.channels), str(arguments.seconds)
        day = ["--channels", n, "--seconds", seconds, "--no-behaviour"]
        subprocess.run([sys.executable, "-m", "hippflow", "demo", top / "data", *day], check=True)
        with LocalSlurm(top / "slurm", nodes=1, cpus=2, memory=20000) as slurm:
            environment = os.environ | slurm.environment
            groups, loops = (split_workflow(top / name, top / "data") for name in ("groups", "loops"))
            folders = sorted(
                str(path.parent.relative_to(loops / "results/picasso/20181105/session01"))
                for path in loops.glob("results/picasso/20181105/session01/*/*/rplraw_d41d.hkl")
            )

            def with_groups() -> None:
                command = ["snakemake", "--profile", "slurm", "--cores", "2", "--seconds-between-status-checks", "1"]
                with open(top / "groups.txt", "w") as output:
                    subprocess.run(command, cwd=groups, env=environment, check=True, stdout=output, stderr=output)

            def with_loops() -> None:
                (loops / "loop.py").write_text(LOOP)
                for start in range(0, len(folders), BLOCK):
                    block = json.dumps(folders[start : start + BLOCK])
                    script = f"#!/bin/sh\ncd {loops}\nexec {sys.executable} loop.py '{block}' > loop.txt 2>&1\n"
                    submit = ["sbatch", "--mem=5000", "--output=/dev/null"]
                    subprocess.run(submit, env=environment, input=script, text=True, check=True)
                while slurm.call("squeue", "--noheader"):
                    time.sleep(0.5)

            rows = []
            for name, run in (("groups", with_groups), ("loops", with_loops)):
                slurm.reset()
                wall, cpu = timed(run)
                rows.append((name, len(slurm.finished()), wall, cpu))
            products = sorted(path.relative_to(loops) for path in loops.glob("results/picasso/**/*") if path.is_file())
            differ = [path for path in products if (groups / path).read_bytes() != (loops / path).read_bytes()]
    n_jobs = 14 * len(folders)
    print(f"{len(folders)} channels, {n_jobs} channel products, {len(products)} files, {len(differ)} differ")
    print(f"{'':8}{'Slurm jobs':>12}{'wall s':>10}{'CPU s':>10}{'CPU s/product':>15}")
    for name, jobs, wall, cpu in rows:
        print(f"{name:8}{jobs:12d}{wall:10.1f}{cpu:10.1f}{cpu / n_jobs:15.3f}")
    print(f"the workflow's own share: {(rows[0][3] - rows[1][3]) / n_jobs:.3f} CPU-s a channel product")


if __name__ == "__main__":
    main()
