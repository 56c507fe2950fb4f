"""An .ns5 of 124 channels to raw signals, beside a copy of the file and PyHipp's way.

    python benchmarks/demultiplexing.py [--quick]

All write to the disk that the temporary folder is on (``TMPDIR``), each into an empty folder, after everything
written before is on the disk.
"""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from measuring import Row, command, compare, forget_file, main
from recordings import write_session

from hippflow.day.channels import raw_channels
from hippflow.io.nsx_header import read_nsx_header
from hippflow.steps.rplsplit import make_rplraw

LABEL = r"raw (\d+)"
N_CHANNELS = 124


def demultiplex(nsx: Path, folder: Path, dtype: str) -> None:
    """Make the raw signals of all channels, as the rule does."""
    places = [place for _, place in raw_channels(read_nsx_header(nsx), LABEL, 0).values()]
    products = [folder / place / "rplraw_d41d.hkl" for place in places]
    for product in products:
        product.parent.mkdir(parents=True)
    make_rplraw(
        nsx, list(map(str, products)), nev=None, raw_label=LABEL, first_connector=0, on_gap="error", dtype=dtype
    )


def peak_of(nsx: Path, folder: Path) -> float:
    """Return the most memory of a process that does nothing else, with all that it imports, MB."""
    folder.mkdir()
    code = """import sys
from pathlib import Path
from demultiplexing import demultiplex
from measuring import peak_memory
demultiplex(Path(sys.argv[1]), Path(sys.argv[2]), "float32")
print(peak_memory())"""
    asked = [sys.executable, "-c", code, nsx, folder]
    done = subprocess.run(asked, cwd=Path(__file__).parent, check=True, stdout=subprocess.PIPE)
    return float(done.stdout)


def rows(quick: bool, folder: Path) -> list[Row]:
    """Measure; the recording is of 262 s (2.0 GB), quick of 60 s."""
    from pyhipp_way import split  # it imports much that :func:`peak_of` is not to count

    seconds = 60 if quick else 262
    nsx = write_session(folder / "data", N_CHANNELS, seconds)
    short = write_session(folder / "short", N_CHANNELS, seconds / 10)
    out = folder / "out"

    def prepare(*, cold: bool) -> None:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        os.sync()
        if cold:
            forget_file(nsx)

    works = {
        "int16": lambda: demultiplex(nsx, out, "int16"),
        "float32": lambda: demultiplex(nsx, out, "float32"),
        "cp": command(f"cp {nsx} {out}/copy"),
        "PyHipp's way": lambda: split(nsx, out / "pyhipp"),
    }
    found = []
    for cold in (False, True):
        costs = compare(works, 3, before=functools.partial(prepare, cold=cold))
        for dtype, factor in (("int16", 1.5), ("float32", 3.0)):
            ours, peers = costs[dtype], {name: costs[name] for name in ("cp", "PyHipp's way")}
            work = f"ns5 to rplraw, {N_CHANNELS} channels, {seconds} s, {dtype}"
            found.append(
                Row(
                    work,
                    "s",
                    {"ours": ours.wall} | {name: cost.wall for name, cost in peers.items()},
                    target=f"at most {factor:g} times cp",
                    met=ours.wall <= factor * costs["cp"].wall,
                    note="cold" if cold else "warm",
                )
            )
            if not cold:
                cpu = {"ours": ours.cpu} | {name: cost.cpu for name, cost in peers.items()}
                found.append(Row(work, "CPU s", cpu, note="warm"))
    prepare(cold=False)
    ours, brief = peak_of(nsx, out / "long"), peak_of(short, out / "short")
    found.append(
        Row(
            f"memory of ns5 to rplraw, float32, {seconds} s",
            "MB",
            {"ours": ours, f"of {seconds / 10:g} s": brief},
            target="at most 200 MB, the same at any length",
            met=ours <= 200 and abs(ours - brief) < 20,
            note="of a whole process",
        )
    )
    return found


if __name__ == "__main__":
    main(__doc__, rows)
