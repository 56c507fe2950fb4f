"""Everything that is measured, side by side, as one table.

    python benchmarks/run.py            prints the table and writes benchmarks/RESULTS.md (make bench)
    python benchmarks/run.py --quick    small inputs, within five minutes; judges and writes nothing
    python benchmarks/run.py --only filters demultiplexing

Peers are run for real on the same inputs, in turns with ours. Figures are medians; CPU seconds include the
system's, wall seconds are this machine's with whatever else it does. Warm is with inputs in the page cache. A
figure in brackets says how many times ours it is.
"""

import argparse
import importlib
import os
import platform
import subprocess
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from measuring import Row, print_rows

RESULTS = Path(__file__).parent / "RESULTS.md"

#: Modules in the order of the table, and what each is about.
PARTS = {
    "filters": "Filters",
    "demultiplexing": "Demultiplexing",
    "whole_session": "A session through the workflow",
    "workflow": "The workflow's own cost",
    "status": "Status of everything",
    "sorting_accuracy": "Spike sorting",
    "imaging": "Imaging",
    "raycasting": "Ray casting",
    "cluster_scale": "Cluster scale",
}
PACKAGES = ("numpy", "scipy", "numba", "neo", "hickle", "spikeinterface", "mountainsort5", "suite2p", "snakemake")


def machine() -> str:
    """Describe the machine and the versions."""
    info = Path("/proc/cpuinfo").read_text()
    model = next(line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name"))
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024**2
    vectors = "AVX-512" if " avx512f" in info else "AVX2" if " avx2" in info else "no AVX2"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{os.cpu_count()} cores of {model} ({vectors}), {memory:.0f} GB of memory, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {packages}."
    )


def revision() -> str:
    """Return the commit that is measured, '' outside of a repository."""
    asked = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(asked, cwd=RESULTS.parent, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="small inputs, within five minutes; judges and writes nothing"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts of the table")
    arguments = parser.parse_args()
    everything: list[Row] = []
    lines = [f"{machine()} Load at the start: {os.getloadavg()[0]:.1f}.", ""]
    print("\n".join(lines), flush=True)
    head, *_ = print_rows([]).partition("\n")
    print(print_rows([]), flush=True)
    lines += print_rows([]).splitlines()
    for name in arguments.only:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            found = importlib.import_module(name).rows(arguments.quick, Path(folder))
        if arguments.quick:  # targets are for inputs of real size: small ones cost as much to start
            found = [replace(row, met=None) for row in found]
        everything += found
        title = f"| **{PARTS[name]}** ({time.perf_counter() - start:.0f} s) |{' |' * (head.count('|') - 2)}"
        part = [title, *print_rows(found).splitlines()[2:]]
        print("\n".join(part), flush=True)
        lines += part
    judged = [row.met for row in everything if row.met is not None]
    closing = f"{sum(judged)} of {len(judged)} targets met." if judged else "Small inputs: no target is judged."
    print(f"\n{closing}")
    if not arguments.quick and set(arguments.only) == set(PARTS):
        about = __doc__.split("\n\n")[2].strip()
        text = "\n".join(["# Results", "", f"Written by `make bench` at {revision()}.", about, "", *lines, "", closing])
        RESULTS.write_text(text + "\n")
        print(f"Written to {RESULTS}.")


if __name__ == "__main__":
    main()
