"""From a cold .ns5 of 124 channels to all raw, LFP and high-pass signals, through Snakemake, beside PyHipp's loops.

    python benchmarks/whole_session.py [--quick]

Both write everything to the disk of the temporary folder (``TMPDIR``) and begin with the recording out of the
page cache. PyHipp's loops are one process, as its scripts are. It needs 8 bytes a sample of 32 channels, 28 GB for an
hour, so the hour is compared on 16 channels.
"""

import os
import shutil
import sys
from pathlib import Path

from measuring import Cost, Row, TreeMemory, command, compare, forget_file, main
from pyhipp_way import everything
from recordings import new_workflow, write_session


def run_workflow(folder: Path, *more: str) -> float:
    """Make the three signals of all channels; return the most memory of all processes together, MB."""
    memory = TreeMemory()
    memory.start()
    targets = "--until rpllfp rplhighpass --quiet all"
    command(f"{sys.executable} -m snakemake --cores 2 {' '.join(more)} {targets}", cwd=folder)()
    return memory.stop()


def compare_session(folder: Path, n_channels: int, seconds: float, repeats: int) -> dict[str, Cost]:
    """Make one session both ways."""
    nsx = write_session(folder / "data", n_channels, seconds)
    out = folder / "out"

    def prepare() -> None:
        shutil.rmtree(out, ignore_errors=True)
        new_workflow(out / "workflow")
        (out / "workflow" / "data").symlink_to(folder / "data")
        os.sync()
        forget_file(nsx)

    works = {
        "ours": lambda: run_workflow(out / "workflow"),
        "PyHipp's way": lambda: everything(nsx, out / "pyhipp"),
    }
    costs = compare(works, repeats, before=prepare)
    made = len(list(out.rglob("*_highpass.hkl")))
    if made != n_channels:
        raise RuntimeError(f"PyHipp's way made {made} of {n_channels} channels")
    shutil.rmtree(folder)
    return costs


def rows(quick: bool, folder: Path) -> list[Row]:
    """Measure sessions of 262 s with 124 channels and of an hour with 16; quick: 30 s with 124."""
    sessions = [(124, 30, None)] if quick else [(124, 262, 3), (16, 3600, 6)]
    found = []
    for n_channels, seconds, factor in sessions:
        costs = compare_session(folder / str(seconds), n_channels, seconds, repeats=1 if quick else 3)
        ours, peer = costs["ours"], costs["PyHipp's way"]
        work = f"cold ns5 to rplraw, rpllfp, rplhighpass, {n_channels} channels, {seconds} s, snakemake -c2"
        found.append(
            Row(
                work,
                "s",
                {"ours": ours.wall, "PyHipp's way": peer.wall},
                target=f"{factor} times faster" if factor else "",
                met=peer.wall >= factor * ours.wall if factor else None,
                note="cold",
            )
        )
        found.append(Row(work, "CPU s", {"ours": ours.cpu, "PyHipp's way": peer.cpu}, note="cold"))
        found.append(
            Row(
                work,
                "MB",
                {"ours": ours.result, "PyHipp's way": peer.peak},
                target="at most 1000 MB in all",
                met=ours.result <= 1000,
                note="all processes together",
            )
        )
    return found


if __name__ == "__main__":
    main(__doc__, rows)
