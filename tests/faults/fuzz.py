"""Damaged files for the parsers, without end: ``python tests/faults/fuzz.py FORMAT --inputs 100000``.

Guided by coverage (atheris): inputs that reach new lines of hippflow are kept and changed further, by libFuzzer's own
changes and by those of :mod:`mutations`. With ``--plain`` inputs are drawn from a seed, the same every time, and not
guided; the tests do this. An input that ends in anything but a result or a HippflowError ends the run, and is kept in
the folder ``--keep``.
"""

import argparse
import contextlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

FORMATS = ("nev", "nsx", "virtualmaze", "asc", "tiff", "config", "npy", "curation", "tables", "hickle")

#: Bytes that a parser may take above what Python and its libraries have, and seconds for one file of some kB: of the
#: processor's time, and ten times as much of the clock, since other processes may work beside this one.
MEMORY, SECONDS = 768 << 20, 20

#: Longest input of the guided run.
_LONGEST = 1 << 16


class Hang(BaseException):
    """A parser that does not come to an end; no parser may catch it."""


def _limit_memory() -> None:
    """Let this process have no more memory than it has and :data:`MEMORY`."""
    if not Path("/proc/self/statm").exists():  # macOS does not know the limit
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _limit_time(seconds: int) -> None:
    """Let a signal end what takes longer from now on; 0 for no limit."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(10 * seconds)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Give an empty folder, in memory where the machine has one there."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="hippflow-fuzz-", dir=shared if os.access(shared, os.W_OK) else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _trial(name: str, folder: Path) -> Callable[[bytes], bool]:
    """Return a function that has bytes read as a file of a format, and says whether it was read or refused."""
    from parsers import TARGETS

    from hippflow.errors import HippflowError

    file, parse = TARGETS[name]
    path = folder / file

    def read(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            parse(path)
        except HippflowError as error:
            assert str(error), "a refusal without a message"
            return False
        return True

    return read


def _keep(data: bytes, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{len(list(folder.glob(f'{name}-*')))}.bin"
    path.write_bytes(data)
    return path


def run_plain(name: str, n_inputs: int, seed: int, keep: Path) -> tuple[int, int]:
    """Have all seeds and `n_inputs` damaged files read; return how many of these were read and refused."""
    from corpus import SEEDS
    from mutations import damaged

    def hang(*_: object) -> None:
        raise Hang(f"more than {SECONDS} s for one file")

    rng, counts = random.Random(f"{name} {seed}"), [0, 0]
    with _folder() as folder:
        seeds = SEEDS[name](folder)
        read = _trial(name, folder)
        _limit_memory()
        for number in (signal.SIGALRM, signal.SIGPROF):
            signal.signal(number, hang)
        for k in range(n_inputs):
            data = damaged(seeds, rng, name)
            _limit_time(SECONDS)
            try:
                counts[read(data)] += 1
            except BaseException:
                _limit_time(0)
                print(f"{name}: input {k} of seed {seed} is kept as {_keep(data, keep, name)}", file=sys.stderr)
                raise
        _limit_time(0)
    return counts[1], counts[0]


def run_guided(name: str, n_inputs: int, seed: int, keep: Path, folder: Path) -> NoReturn:
    """Have `n_inputs` files read that libFuzzer makes, in a folder; the process ends with it."""
    import atheris

    with atheris.instrument_imports(include=["hippflow"]):
        import parsers
    from corpus import SEEDS
    from mutations import damaged

    parsers.compare_one_in = 8
    kept = folder / "corpus"
    kept.mkdir()
    seeds = SEEDS[name](folder)
    for k, content in enumerate(seeds):
        (kept / f"seed{k}").write_bytes(content)
    read, counts = _trial(name, folder), [0, 0]

    def one(data: bytes) -> None:
        counts[read(data)] += 1
        if sum(counts) % 2000 == 0:
            _limit_memory()  # anew, because atheris itself grows, by some kB with every input
        if sum(counts) in (n_inputs, n_inputs // 2):
            print(f"{name}: {sum(counts)} inputs, {counts[1]} read, {counts[0]} refused", flush=True)

    def mutate(data: bytes, longest: int, number: int) -> bytes:
        rng = random.Random(number)
        if name == "hickle" or rng.random() < 0.5:
            return damaged(seeds if name == "hickle" else [data, data, *seeds], rng, name)[:longest]
        return atheris.Mutate(data, longest)

    keep.mkdir(parents=True, exist_ok=True)
    _limit_memory()
    options = [
        f"-runs={n_inputs}", f"-seed={seed}", f"-max_len={_LONGEST}", f"-timeout={10 * SECONDS}", "-rss_limit_mb=4096",
        f"-artifact_prefix={keep}/{name}-", "-print_final_stats=1", "-verbosity=0", str(kept),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], one, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    """Fuzz one format or all of them, one after another; return 1 if one has a defect."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("format", choices=[*FORMATS, "all"])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=20181105)
    parser.add_argument("--plain", action="store_true", help="inputs of the seed alone, not guided by coverage")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir(), "hippflow-fuzz"))
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)  # the folder for files, in a process that ends
    arguments = parser.parse_args()
    if arguments.inside:
        run_guided(arguments.format, arguments.inputs, arguments.seed, arguments.keep, arguments.inside)
    names = FORMATS if arguments.format == "all" else [arguments.format]
    failed = [name for name in names if not _run(name, arguments)]
    if failed:
        print(f"Defects in the parsers of: {', '.join(failed)}; the inputs are in {arguments.keep}")
    return int(bool(failed))


def _run(name: str, arguments: argparse.Namespace) -> bool:
    """Fuzz one format, print how far it came, and return whether it came to the end."""
    start, output, found = time.monotonic(), "", []
    if arguments.plain:
        n_read, refused = run_plain(name, arguments.inputs, arguments.seed, arguments.keep)
        found = [f"{name}: {arguments.inputs} inputs, {n_read} read, {refused} refused"]
    else:
        command = [sys.executable, __file__, name, "--inputs", str(arguments.inputs), "--seed", str(arguments.seed)]
        with _folder() as folder:
            command += ["--keep", str(arguments.keep), "--inside", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        output = done.stdout + done.stderr
        found = (
            re.findall(rf"^{name}: {arguments.inputs} inputs.*", done.stdout, re.MULTILINE)
            if not done.returncode
            else []
        )
    seconds = time.monotonic() - start
    print(
        f"{found[-1] if found else f'{name}: stopped'} in {seconds:.0f} s, {arguments.inputs / seconds:.0f}/s",
        flush=True,
    )
    if not found:
        print(output[-5000:], flush=True)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
