"""Time and memory of the imaging branch beside a plain run of suite2p.

    python benchmarks/imaging.py [--quick]
    python benchmarks/imaging.py --memory

Makes a movie of two planes with cells, motion and photon noise, and prints

- both planes as two jobs at once, registration and cells one after the other in each, beside `suite2p.run_s2p` on the
  same binary files with the same settings on all cores; imports are counted in both, and results compared;
- a changed detection threshold (the second stage alone) beside a plain run from the start, on one plane, with imports
  and without (jobs of the workflow share one import);
- a folder of single-page files, converted;
- with --memory, the most memory of every stage beside what it declares, for movies of several sizes and settings.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Row, peak_memory, print_rows

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


def two_planes(folder: Path, size: int, n_frames: int, *, judge: bool) -> list[Row]:
    """Measure two planes as two jobs at once beside one plain run."""
    for plane in range(2):
        write_plane(folder, plane, n_frames, size, size)
    plain = run(("--plain", str(folder), "2", json.dumps(SETTINGS)))
    ours = run(*(("--stage", "register+cells", str(folder), str(plane), json.dumps(SETTINGS)) for plane in range(2)))
    same = "F, spks and iscell bit-identical" if same_results(folder, 2) else "**results differ**"
    work, note = f"two planes of {n_frames} frames of {size} x {size}", f"imports counted; {same}"
    return [
        row(work, ours.wall, plain.wall, "s", 2 if judge else None, note, ours.peak),
        row(work, ours.cpu, plain.cpu, "CPU s", None, note),
    ]


def changed_threshold(folder: Path, size: int, n_frames: int, *, judge: bool) -> list[Row]:
    """Measure a changed detection threshold beside a plain run from the start."""
    changed = json.dumps(SETTINGS | {"detection": {"threshold_scaling": 1.5}})
    write_plane(folder, 0, n_frames, size, size)
    run(("--stage", "register", str(folder), "0", json.dumps(SETTINGS)))
    plain = run(("--plain", str(folder), "1", changed))
    ours = run(("--stage", "cells", str(folder), "0", changed))
    same = "F, spks and iscell bit-identical" if same_results(folder, 1) else "**results differ**"
    work = f"changed threshold, {n_frames} frames of {size} x {size}"
    return [
        row(work, ours.wall, plain.wall, "s", 8 if judge else None, f"imports counted; {same}", ours.peak),
        row(work, ours.inner[0], plain.inner[0], "s", None, "without imports, which the jobs of a run share"),
    ]


def row(
    work: str, ours: float, plain: float, unit: str, factor: int | None, note: str, peak: float | None = None
) -> Row:
    """Return a row beside plain suite2p; ours should be `factor` times faster."""
    target = f"{factor} times faster" if factor else ""
    met = plain >= factor * ours if factor else None
    return Row(work, unit, {"ours": ours, "plain suite2p": plain}, target, met, peak, note)


def single_pages(folder: Path, n_files: int, size: int) -> Row:
    """Measure the conversion of a folder of single-page files."""
    import tifffile

    rng = np.random.default_rng(1)
    for number in range(n_files):
        page = rng.poisson(100, (size, size)).astype(np.uint16)
        tifffile.imwrite(folder / f"frame{number:05d}.tif", page)
    (folder / "movie").mkdir()
    work = run(("--pages", str(folder)))
    start = time.perf_counter()
    for path in sorted(folder.glob("*.tif")):
        tifffile.imread(path)
    limit = time.perf_counter() - start
    name = f"{n_files} single-page files of {size} x {size} to a movie with projections"
    figures = {"ours": work.wall, "tifffile.imread of all": limit}
    return Row(name, "s", figures, "at most 5 s", work.wall <= 5, work.peak)


def rows(quick: bool, folder: Path) -> list[Row]:
    """Measure frames of 512 x 512, a minute at 30 Hz; quick: 300 of 200 x 200, mostly imports."""
    size, n_frames, n_files = (200, 300, 300) if quick else (512, 2000, 1000)
    found = []
    for name, measure in (("planes", two_planes), ("threshold", changed_threshold)):
        place = folder / name
        place.mkdir()
        found += measure(place, size, n_frames, judge=not quick)
        shutil.rmtree(place)
    (folder / "pages").mkdir()
    return [*found, single_pages(folder / "pages", n_files, 256)]


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
    parser.add_argument("--quick", action="store_true", help="small frames")
    parser.add_argument("--memory", action="store_true", help="only the table of declared memory")
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
    elif arguments.memory:
        print_memory([(1000, 130, 130), (600, 192, 300), (600, 256, 256), (300, 512, 512)])
    else:
        with tempfile.TemporaryDirectory() as folder:
            print(print_rows(rows(arguments.quick, Path(folder))))


if __name__ == "__main__":
    main()
