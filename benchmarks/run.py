"""Everything that is measured, side by side, as one table.

    python benchmarks/run.py            prints the table and writes benchmarks/RESULTS.md (make bench)
    python benchmarks/run.py --quick    small inputs, within five minutes; judges and writes nothing
    python benchmarks/run.py --only filters demultiplexing    these parts alone, also in RESULTS.md

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

from measuring import print_rows

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
    """Return the commit that is measured, and whether anything was changed since; '' outside of a repository."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=RESULTS.parents[1], capture_output=True, text=True)
        return done.stdout.strip()

    is_changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/RESULTS.md")
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if is_changed else "")


def stored_parts(described: str) -> dict[str, list[str]]:
    """Return the rows of each part that RESULTS.md has from this machine."""
    text = RESULTS.read_text() if RESULTS.exists() else ""
    if described not in text:
        return {}
    parts: dict[str, list[str]] = {}
    for line in text.splitlines():
        started = next((name for name, title in PARTS.items() if line.startswith(f"| **{title}**")), None)
        if started:
            parts[started] = []
        if parts and line.startswith("|"):
            parts[list(parts)[-1]].append(line)
    return parts


def write_results(described: str, parts: dict[str, list[str]]) -> None:
    """Write RESULTS.md, with the parts in their order."""
    about = __doc__.split("\n\n")[2].strip()
    head = ["# Results", "", "Written by `make bench`. " + about, "", described, "", *print_rows([]).splitlines()]
    rows = [line for name in PARTS for line in parts.get(name, [])]
    n_met, n_missed = (sum(f"| {said} |" in line for line in rows) for said in ("yes", "**no**"))
    closing = f"{n_met} of {n_met + n_missed} targets met."
    RESULTS.write_text("\n".join([*head, *rows, "", closing]) + "\n")
    print(f"\n{closing} Written to {RESULTS}.")


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small inputs; judges and writes nothing")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts of the table")
    arguments = parser.parse_args()
    described = machine()
    parts = stored_parts(described)
    print(f"{described}\n\n{print_rows([])}", flush=True)
    n_columns = print_rows([]).partition("\n")[0].count("|") - 1
    for name in arguments.only:
        start, load = time.perf_counter(), os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as folder:
            found = importlib.import_module(name).rows(arguments.quick, Path(folder))
        if arguments.quick:  # targets are for inputs of real size: small ones cost as much to start
            found = [replace(row, met=None) for row in found]
        took = f"{time.perf_counter() - start:.0f} s, at {revision()}, load before {load:.1f}"
        title = f"| **{PARTS[name]}** ({took}) |{' |' * (n_columns - 1)}"
        parts[name] = [title, *print_rows(found).splitlines()[2:]]
        print("\n".join(parts[name]), flush=True)
        if not arguments.quick:  # whatever becomes of the other parts
            write_results(described, parts)


if __name__ == "__main__":
    main()
