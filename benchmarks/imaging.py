"""Time and memory of the imaging branch beside a plain run of suite2p.

    python benchmarks/imaging.py

Makes a movie of two planes with cells, motion and photon noise, and prints

- both planes as two jobs at once, registration and cells one after the other in each, beside `suite2p.run_s2p` on the
  same binary files with the same settings on all cores; imports are counted in both, and results compared;
- a changed detection threshold (the second stage alone) beside a plain run from the start, on one plane, with imports
  and without (jobs of the workflow share one import);
- a folder of single-page files, converted;
- the most memory of every stage beside what it declares, for movies of several sizes and settings.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SETTINGS = {"fs": 5.0, "tau": 1.2}

#: Rows of the table of memory: a name, and the settings.
VARIANTS = (
    ("defaults", {}),
    ("rigid, batches of 300", {"registration": {"nonrigid": False, "batch_size": 300}}),
    ("batches of 300", {"registration": {"batch_size": 300}}),
    ("bins of 1 frame", {"detection": {"bin_size": 1}}),
    ("threshold 0.5", {"detection": {"bin_size": 2, "threshold_scaling": 0.5}}),
)


def write_plane(folder: Path, plane: int, n_frames: int, height: int, width: int) -> None:
    """Write a plane's movie: cells of some 7 pixels with decaying events, jitter and noise."""
    rng = np.random.default_rng(plane)
    rows, columns = np.mgrid[-4:5, -4:5]
    mask = 1 / (1 + np.exp(2 * (np.hypot(rows, columns) - 3)))
    n_cells = max(4, height * width // 400)
    places = rng.integers(8, np.array([height, width]) - 8, (n_cells, 2))
    still = 20 + 8 * np.sin(np.arange(width) / 9) * np.cos(np.arange(height) / 13)[:, None]
    activity = np.zeros(n_cells)
    path = folder / "movie" / f"plane{plane}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    (folder / "suite2p" / f"plane{plane}").mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for _ in range(n_frames):
            activity = 0.85 * activity + rng.poisson(0.02, n_cells)
            frame = still.copy()
            for (y, x), value in zip(places, activity, strict=True):
                frame[y - 4 : y + 5, x - 4 : x + 5] += (8 + 40 * value) * mask
            frame = np.roll(frame, rng.integers(-3, 4, 2), (0, 1))
            frame += np.sqrt(frame) * rng.standard_normal(frame.shape, np.float32)
            file.write((4 * frame).astype("<i2"))
    report = {"n_frames": n_frames, "height": height, "width": width}
    (folder / "movie" / "movie.json").write_text(json.dumps(report))


def peak_memory() -> float:
    """Return the most memory that this process has had, MB; unlike getrusage's, not that of who started it."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def print_work(wall: float, cpu: float) -> None:
    """Print wall and CPU seconds since these times, and peak memory."""
    print(f"{time.perf_counter() - wall:.2f} {time.process_time() - cpu:.2f} {peak_memory():.0f}")


def run_stage(stage: str, folder: Path, plane: int, settings: dict[str, Any]) -> None:
    """Run one stage on a plane in this process, as a job does it; print what it took without imports."""
    import hippflow.imaging.cells  # noqa: F401 - what the steps import late
    from hippflow.steps.registration import register_plane
    from hippflow.steps.suite2p import find_cells

    begin = time.perf_counter(), time.process_time()
    movie, report = folder / "movie" / f"plane{plane}.bin", folder / "movie" / "movie.json"
    products = folder / "suite2p" / f"plane{plane}"
    data, registration = products / "data.bin", products / "reg_outputs.npy"
    if "register" in stage:
        register_plane(movie, report, data, registration, settings=settings)
    if "cells" in stage:
        find_cells(data, registration, report, products, settings=settings)
    print_work(*begin)


def run_plain(folder: Path, planes: int, settings: dict[str, Any]) -> None:
    """Run suite2p on the same binary files as its users do, in this process; print what it took without imports."""
    import suite2p

    begin = time.perf_counter(), time.process_time()
    whole = suite2p.default_settings() | SETTINGS | {"torch_device": "cpu"}
    whole["run"]["do_regmetrics"] = False
    whole["classification"]["use_builtin_classifier"] = True
    whole["detection"] |= settings.get("detection", {})
    shape = json.loads((folder / "movie" / "movie.json").read_text())
    root = folder / "plain"
    for plane in range(planes):
        place = root / "suite2p" / f"plane{plane}"
        place.mkdir(parents=True)
        (place / "data_raw.bin").hardlink_to(folder / "movie" / f"plane{plane}.bin")
        db = suite2p.default_db() | {
            "data_path": [str(root)],
            "save_path0": str(root),
            "save_path": str(place),
            "fast_disk": str(place),
            "db_path": str(place / "db.npy"),
            "settings_path": str(place / "settings.npy"),
            "reg_file": str(place / "data.bin"),
            "raw_file": str(place / "data_raw.bin"),
            "keep_movie_raw": True,
            "nplanes": planes,
            "Ly": shape["height"],
            "Lx": shape["width"],
            "nframes": shape["n_frames"],
            "iplane": plane,
        }
        np.save(place / "db.npy", db)
        np.save(place / "settings.npy", whole)
    suite2p.run_s2p(db={"data_path": [str(root)], "save_path0": str(root)}, settings=whole)
    print_work(*begin)


def convert_pages(folder: Path) -> None:
    """Convert a folder of single-page files in this process."""
    from hippflow.steps.movie import make_movie

    begin = time.perf_counter(), time.process_time()
    files, out = sorted(folder.glob("*.tif")), folder / "movie"
    make_movie(files, [out / "plane0.bin"], [out / "plane0.npz"], out / "movie.json", planes=1, channels=1)
    print_work(*begin)


@dataclass(frozen=True)
class Work:
    """What calls of this script took together, seconds; `inner` is that of the last without its imports."""

    wall: float
    cpu: float
    inner: tuple[float, float]
    peak: float


def run(*jobs: tuple[str, ...]) -> Work:
    """Run calls of this script at the same time."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([sys.executable, __file__, *job], **pipes) for job in jobs]
    for process in running:
        output, errors = process.communicate()
        if process.returncode:
            raise SystemExit(errors)
        *inner, peak = map(float, output.split()[-3:])
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Work(wall, cpu, (inner[0], inner[1]), peak)


def same_results(folder: Path, planes: int) -> bool:
    """Tell whether our results of all planes are those of the plain run, bit for bit."""
    names = [f"plane{plane}/{name}" for plane in range(planes) for name in ("F.npy", "spks.npy", "iscell.npy")]
    return all(
        np.array_equal(np.load(folder / "suite2p" / name), np.load(folder / "plain" / "suite2p" / name))
        for name in names
    )


def print_two_planes(size: int, n_frames: int) -> None:
    """Print times of two planes and of a changed threshold."""
    changed = json.dumps(SETTINGS | {"detection": {"threshold_scaling": 1.5}})
    print(
        f"{n_frames} frames of {size} x {size} pixels, {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}\n\n"
        "| | wall s | CPU s | faster (wall) | faster (CPU) |\n|---|---|---|---|---|"
    )

    def show(name: str, ours: tuple[float, float], plain: tuple[float, float]) -> None:
        print(f"| {name}, plain suite2p | {plain[0]:.1f} | {plain[1]:.1f} | | |")
        ratios = [f"{theirs / own:.1f}" for theirs, own in zip(plain, ours, strict=True)]
        print(f"| {name}, hippflow | {ours[0]:.1f} | {ours[1]:.1f} | {' | '.join(ratios)} |", flush=True)

    with tempfile.TemporaryDirectory() as name:
        for plane in range(2):
            write_plane(Path(name), plane, n_frames, size, size)
        plain = run(("--plain", name, "2", json.dumps(SETTINGS)))
        ours = run(*(("--stage", "register+cells", name, str(plane), json.dumps(SETTINGS)) for plane in range(2)))
        show("two planes", (ours.wall, ours.cpu), (plain.wall, plain.cpu))
        print(f"| same F, spks and iscell | {same_results(Path(name), 2)} | | | |")
    with tempfile.TemporaryDirectory() as name:
        write_plane(Path(name), 0, n_frames, size, size)
        run(("--stage", "register", name, "0", json.dumps(SETTINGS)))
        plain = run(("--plain", name, "1", changed))
        ours = run(("--stage", "cells", name, "0", changed))
        show("changed threshold", (ours.wall, ours.cpu), (plain.wall, plain.cpu))
        show("without imports", ours.inner, plain.inner)
        print(f"| same F, spks and iscell | {same_results(Path(name), 1)} | | | |")


def print_pages(n_files: int, size: int) -> None:
    """Print the time of a folder of single-page files."""
    import tifffile

    with tempfile.TemporaryDirectory() as name:
        rng = np.random.default_rng(1)
        for number in range(n_files):
            page = rng.poisson(100, (size, size)).astype(np.uint16)
            tifffile.imwrite(Path(name) / f"frame{number:05d}.tif", page)
        (Path(name) / "movie").mkdir()
        work = run(("--pages", name))
        print(
            f"\n{n_files} single-page files of {size} x {size}: {work.wall:.1f} s, {work.cpu:.1f} CPU s, "
            f"{work.peak:.0f} MB",
            flush=True,
        )


def print_memory(shapes: list[tuple[int, int, int]]) -> None:
    """Print the most memory of both stages beside what is declared."""
    from hippflow.imaging.settings import stage_memory

    print(
        "\n| movie | settings | registration, MB | declared | cells, MB | declared |\n|---|---|---|---|---|---|",
    )
    for n_frames, height, width in shapes:
        with tempfile.TemporaryDirectory() as name:
            write_plane(Path(name), 0, n_frames, height, width)
            run(("--stage", "register", name, "0", json.dumps(SETTINGS)))
            for title, block in VARIANTS:
                settings = SETTINGS | block
                declared = stage_memory(settings, height=height, width=width, n_frames=n_frames)
                cells = []
                for stage, limit in zip(("register", "cells"), declared, strict=True):
                    concerned = not block or ("registration" in block) == (stage == "register")
                    if concerned:
                        peak = run(("--stage", stage, name, "0", json.dumps(settings))).peak
                        cells += [f"{peak:.0f}{'' if peak <= limit else ' (too much)'}", str(limit)]
                    else:
                        cells += ["", ""]
                print(f"| {n_frames} x {height} x {width} | {title} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="side of the frames of the two planes, pixels")
    parser.add_argument("--frames", type=int, default=2000, help="a minute at 30 Hz; real recordings are longer")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--only", choices=("planes", "pages", "memory"))
    parser.add_argument("--stage", nargs=4, metavar=("STAGE", "DIR", "PLANE", "SETTINGS"), help=argparse.SUPPRESS)
    parser.add_argument("--plain", nargs=3, metavar=("DIR", "PLANES", "SETTINGS"), help=argparse.SUPPRESS)
    parser.add_argument("--pages", metavar="DIR", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        stage, folder, plane, settings = arguments.stage
        run_stage(stage, Path(folder), int(plane), json.loads(settings))
    elif arguments.plain:
        folder, planes, settings = arguments.plain
        run_plain(Path(folder), int(planes), json.loads(settings))
    elif arguments.pages:
        convert_pages(Path(arguments.pages))
    else:
        if arguments.only in (None, "planes"):
            print_two_planes(arguments.size, arguments.frames)
        if arguments.only in (None, "pages"):
            print_pages(arguments.files, 256)
        if arguments.only in (None, "memory"):
            print_memory([(1000, 130, 130), (600, 192, 300), (600, 256, 256), (300, 512, 512)])


if __name__ == "__main__":
    main()
