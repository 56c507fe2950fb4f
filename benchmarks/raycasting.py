"""Speed of the ray casting beside Embree and a plain slab test, and time and memory of whole sessions.

    python benchmarks/raycasting.py [--quick]

Casts single rays of eyes at random places of the Double Tee on one core, in million rays per second of CPU
time (the median of five), then makes sessions at 1 kHz and casts them in a process each.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measuring import Row, peak_memory, print_rows

from hippflow.behaviour.camera import NOTHING_SHOWN, Camera, Gaze, pose_table
from hippflow.behaviour.raycasting import Caster
from hippflow.behaviour.scene import Scene, load_scene
from hippflow.io.products import write_product
from hippflow.steps.raycast import make_raycast

SCENE_FILE = Path(__file__).parents[1] / "resources" / "double_tee.json"


def eyes(scene: Scene, n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (2, n) and poses (4, n) of an animal anywhere in the room outside the pillars."""
    rng = np.random.default_rng(seed)
    x, z = rng.uniform(-11.5, 11.2, (2, 2 * n))
    pillars = np.array([pillar[:2] for pillar in scene.grid.pillars])
    free = (np.abs(np.stack([x, z], 1)[:, None] - pillars).max(2) > 3).all(1)
    heading = rng.uniform(0, 360, 2 * n)
    poses = np.ascontiguousarray(pose_table(x, z, heading)[:, free][:, :n])
    return rng.uniform((0, 0), (1920, 1080), (n, 2)).T.copy(), poses


def plain_slabs(scene: Scene, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Test every box after the other by the textbook, in chunks of 32 768 rays."""
    best = np.full(origins.shape[1], -1)
    for start in range(0, len(best), 32768):
        origin, inverse = origins[:, start : start + 32768], 1 / directions[:, start : start + 32768]
        nearest, depth = best[start : start + 32768], np.full(origin.shape[1], np.inf)
        for member in range(scene.n_objects):
            first = (scene.lower[member][:, None] - origin) * inverse
            second = (scene.upper[member][:, None] - origin) * inverse
            entry, leave = np.minimum(first, second).max(0), np.maximum(first, second).min(0)
            hit = (entry <= leave) & (entry > 0) & (entry < depth)
            nearest[hit], depth[hit] = member, entry[hit]
    return best


def embree(scene: Scene) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return a function that casts by Embree, on float32 triangles."""
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh

    # Corners 0 to 7 of a box by their bits z, y, x; two triangles for each side.
    sides = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))
    bits = np.array([[corner >> axis & 1 for axis in (2, 1, 0)] for corner in range(8)])
    corners = np.where(bits, scene.upper[:, None], scene.lower[:, None])
    faces = np.array([corners[:, [a, b, c]] for s in sides for a, b, c in (s[:3], (s[0], s[2], s[3]))])
    owners = np.tile(np.arange(scene.n_objects), len(faces))
    flat = np.ptp(faces.reshape(-1, 3, 3), axis=1).astype(bool).sum(1) < 2  # sides without area
    device = rtcore_scene.EmbreeScene()
    TriangleMesh(device, faces.reshape(-1, 3, 3)[~flat].astype(np.float32))
    owners = owners[~flat]

    def cast(origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        return owners[device.run(origins.T.astype(np.float32), directions.T.astype(np.float32), output=True)["primID"]]

    return cast


def speeds(n_rays: int) -> list[Row]:
    """Measure million rays per CPU second of every way to cast."""
    data = json.loads(SCENE_FILE.read_text())
    scene = load_scene(data, SCENE_FILE.name)
    pixels, poses = eyes(scene, n_rays)
    shown = np.full(n_rays, NOTHING_SHOWN)
    rays = Camera().rays(pixels, poses)
    caster, gaze, by_embree = Caster(scene), Gaze(scene, Camera(), None, None), embree(scene)
    ways = {
        "ours": lambda: caster.cast(*rays)[0],
        "ours, from gaze and pose to points": lambda: gaze.targets(pixels, poses, shown)[0],
        "embreex (float32)": lambda: by_embree(*rays),
        "plain slab test": lambda: plain_slabs(scene, *rays),
    }
    expected = plain_slabs(scene, *rays)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(5):
        for name, cast in ways.items():
            start = time.process_time()
            found = cast()
            seconds[name].append(time.process_time() - start)
            if name == "ours" and not np.array_equal(found, expected):
                raise RuntimeError("the ray casting names other objects than the plain slab test")
    rates = {name: n_rays / statistics.median(some) / 1e6 for name, some in seconds.items()}
    target, met = "8 Mray per CPU s", rates["ours"] >= 8
    note = "one core; the same object as by the plain slab test for every ray"
    return [Row(f"{n_rays} rays of gaze in the Double Tee", "Mray/CPU s", rates, target, met, note=note)]


def write_session(folder: Path, minutes: float) -> None:
    """Write aligned products of a session: trials of 12 s, 30 frames and 1000 samples a second."""
    rng = np.random.default_rng(2)
    seconds = minutes * 60
    starts = np.arange(2, seconds - 12, 12.0)
    markers = np.stack([starts, starts + 1, starts + 10], axis=1)
    codes = np.tile(np.array([11, 21, 31], np.uint16), (len(starts), 1))
    frames = np.union1d(np.arange(0, seconds, 1 / 30), markers)
    data = np.zeros((len(frames), 7))
    data[:, 2], data[:, 4] = 10 * np.sin(frames / 7), np.cumsum(rng.normal(0, 2, len(frames)))
    times = np.arange(0, seconds, 0.001)
    wander = [np.cumsum(rng.normal(0, 5, len(times))) for _ in range(2)]
    gaze = np.stack([np.abs(np.mod(wander[0], 3840) - 1920), np.abs(np.mod(wander[1], 2160) - 1080)], axis=1)
    write_product(folder / "rplparallel.hkl", {"markers": codes, "timeStamps": markers})
    triggers = np.searchsorted(frames, markers)
    unity = {"unityData": [data], "unityTime": [np.r_[0.0, frames]], "unityTriggers": [triggers]}
    write_product(folder / "unity.hkl", unity | {"clock": "ripple"})
    eyes_fields = {"timestamps": times, "eye_pos": gaze.astype(np.float32), "trial_codes": codes, "clock": "ripple"}
    write_product(folder / "eyelink.hkl", eyes_fields)


def cast_session(folder: Path, radius: float) -> None:
    """Cast a session in this process and print seconds, peak memory before and in all."""
    before = peak_memory()
    start = time.perf_counter()
    make_raycast(
        *(folder / f"{name}.hkl" for name in ("unity", "eyelink", "rplparallel")),
        SCENE_FILE,
        *(folder / name for name in ("unityfile_eyelink.csv", "binData.hdf", "raycast.json")),
        radius=radius,
    )
    print(f"{time.perf_counter() - start:.1f} {before:.0f} {peak_memory():.0f}")


def session(minutes: float, radius: float) -> Row:
    """Measure the whole step on a session."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, __file__, "--write", name, str(minutes)], check=True)
        command = [sys.executable, __file__, "--cast", name, str(radius)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, before, peak = map(float, done.stdout.split())
        report = json.loads((folder / "raycast.json").read_text())
        size = (folder / "unityfile_eyelink.csv").stat().st_size / 1e6
    work = f"gaze targets of {minutes:g} min at 1 kHz, {report['rays_per_sample']} rays a sample"
    note = f"{report['written']} rows, {size:.0f} MB of tables; {before:.0f} MB before the step"
    return Row(work, "s", {"ours": seconds, "the session": minutes * 60}, peak=peak, note=note)


def rows(quick: bool, folder: Path) -> list[Row]:
    """Measure a million rays and an hour's session; quick: a fifth, and a minute."""
    lengths = [1] if quick else [1, 60]
    found = speeds(200_000 if quick else 1_000_000)
    return found + [session(minutes, radius) for minutes in lengths for radius in (0, 20)]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rays, a session of a minute")
    parser.add_argument("--write", nargs=2, metavar=("DIR", "MINUTES"), help=argparse.SUPPRESS)
    parser.add_argument("--cast", nargs=2, metavar=("DIR", "RADIUS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write_session(Path(arguments.write[0]), float(arguments.write[1]))
    elif arguments.cast:
        cast_session(Path(arguments.cast[0]), float(arguments.cast[1]))
    else:
        print(print_rows(rows(arguments.quick, Path())))


if __name__ == "__main__":
    main()
