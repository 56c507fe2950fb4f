"""What the benchmarks share: measuring pieces of work in turns, and the rows of their one table.

Every piece of work runs in a process of its own, forked from this one, so that imports and
inputs that this process has are there before the clock starts, and what one run leaves behind
does not help the next. Its CPU time includes the processes that it waits for; its memory is the most that
it has had at a time, of itself or of one process below it, with what it shares. Linux only.
"""

import argparse
import ctypes
import os
import pickle
import resource
import shlex
import statistics
import subprocess
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cost:
    """What a piece of work took: CPU and wall seconds, most memory in MB, and what it returned."""

    cpu: float
    wall: float
    peak: float
    result: Any = None


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes
    ----------
    work : str
        What is made, of how much.
    unit : str
        What the figures are: 'CPU s', 's', 'MB', 'Mray/s', 'accuracy'.
    figures : mapping of str to float
        By who made it; the first is ours, the others are peers and limits.
    target : str
        What was asked for, in words.
    met : bool or None
        Whether it is met; None where nothing was asked for.
    peak : float or None
        Our peak memory in MB.
    note : str
        Conditions: cold or warm, what is left out.
    """

    work: str
    unit: str
    figures: Mapping[str, float]
    target: str = ""
    met: bool | None = None
    peak: float | None = None
    note: str = ""
    ratios: Mapping[str, float] = field(init=False)

    def __post_init__(self) -> None:
        ours, *_ = self.figures.values()
        ratios = {name: value / ours for name, value in list(self.figures.items())[1:] if ours}
        object.__setattr__(self, "ratios", ratios)


def peak_memory() -> float:
    """Return the most memory that this process has had since :func:`forget_peak`, MB."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def forget_peak() -> None:
    """Let the record of this process's most memory begin anew: a fork inherits its parent's."""
    Path("/proc/self/clear_refs").write_text("5")


def forget_file(path: Path) -> None:
    """Drop a file from the page cache, so that the next reader finds it cold."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def adopt_orphans() -> None:
    """Let processes below this one become its children when their parent ends, so that their time is counted."""
    set_child_subreaper = 36
    ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def wait_for_all() -> None:
    """Wait for all children, own and adopted."""
    with suppress(ChildProcessError):  # not ours if the parent had it already
        # multiprocessing's own helper would wait for this process to end
        resource_tracker._resource_tracker._stop()
    with suppress(ChildProcessError):
        while True:
            os.wait()


def processes_below(root: int) -> list[int]:
    """Return the numbers of a process and all below it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


class TreeMemory(threading.Thread):
    """Looks twice a second at the memory of this process and all below it; pages that they share count once.

    Attributes
    ----------
    peak : float
        The most so far, MB.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._ended.wait(0.5):
            total = 0
            for pid in processes_below(os.getpid()):
                with suppress(OSError, IndexError):
                    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                    total += int(text.split("\nPss:")[1].split()[0])
            self.peak = max(self.peak, total / 1024)

    def stop(self) -> float:
        """Stop looking, and return the peak."""
        self._ended.set()
        self.join()
        return self.peak


def measure(work: Callable[[], Any]) -> Cost:
    """Do a piece of work in a fork of this process.

    Raises
    ------
    RuntimeError
        The work failed; its error is printed.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            forget_peak()
            adopt_orphans()
            cpu, wall = time.process_time(), time.perf_counter()
            result = work()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            wait_for_all()
            below = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu += below.ru_utime + below.ru_stime
            peak = max(peak_memory(), below.ru_maxrss / 1024)
            with os.fdopen(writer, "wb") as pipe:
                pickle.dump(Cost(cpu, wall, peak, result), pipe)
            status = 0
        except BaseException:  # noqa: BLE001 - a fork must end here, whatever happens
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    if not answer:
        raise RuntimeError("a measured piece of work failed, see above")
    return pickle.loads(answer)  # noqa: S301 - from our own fork


def compare(
    works: Mapping[str, Callable[[], Any]], repeats: int = 3, *, before: Callable[[], Any] | None = None
) -> dict[str, Cost]:
    """Measure pieces of work in turns, so that what else the machine does falls on all of them.

    Parameters
    ----------
    works : mapping of str to callable
    repeats : int
    before : callable, optional
        Called in this process before each of them, for instance to make inputs cold.

    Returns
    -------
    dict of str to Cost
        Medians of CPU and wall seconds, the largest peak, and the last result.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            if before:
                before()
            costs[name].append(measure(work))
    return {
        name: Cost(
            statistics.median(cost.cpu for cost in some),
            statistics.median(cost.wall for cost in some),
            max(cost.peak for cost in some),
            some[-1].result,
        )
        for name, some in costs.items()
    }


def command(line: str, **options: Any) -> Callable[[], None]:
    """Return a piece of work that runs a command; it fails if the command does."""

    def work() -> None:
        subprocess.run(shlex.split(line), check=True, stdout=subprocess.DEVNULL, **options)

    return work


def print_rows(rows: list[Row]) -> str:
    """Return rows as the table of RESULTS.md."""
    lines = [
        "| work | ours | beside it (times ours) | target | met | peak memory | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name, ours = next(iter(row.figures.items()))
        others = "; ".join(
            f"{other} {row.figures[other]:.4g} {row.unit} ({ratio:.2f})" for other, ratio in row.ratios.items()
        )
        met = {True: "yes", False: "**no**", None: ""}[row.met]
        peak = f"{row.peak:.0f} MB" if row.peak is not None else ""
        shown = f"{ours:.4g} {row.unit}" + (f" ({name})" if name != "ours" else "")
        lines.append(f"| {row.work} | {shown} | {others} | {row.target} | {met} | {peak} | {row.note} |")
    return "\n".join(lines)


def main(description: str, rows: Callable[[bool, Path], list[Row]]) -> None:
    """Run one benchmark from the command line in a temporary folder and print its rows."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller inputs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(print_rows(rows(arguments.quick, Path(folder))))
