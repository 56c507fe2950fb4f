"""Small, right files of every format, from which damaged ones are made: written by the project's own generators."""

import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
import yaml

from hippflow.demo import ripple
from hippflow.demo.eye_file import EyeBlock, write_eye_file
from hippflow.demo.gaze import make_gaze
from hippflow.demo.maze_log import HEADERS, make_frames, write_maze_log
from hippflow.demo.maze_path import make_path
from hippflow.demo.ripple import Comment, DataBlock, Spike
from hippflow.demo.timeline import Clock, Session, make_session
from hippflow.io.products import base_fields, write_product
from hippflow.io.signals import write_signal

REPOSITORY = Path(__file__).parents[2]
START = datetime.datetime(2018, 11, 5, 10, 59, 11)

#: 2018-11-05 10:59:11 in ns since 1970, as clocks that are synchronised by PTP count.
EPOCH = 1_541_415_551_000_000_000

#: Units and their numbers of spikes in the sorting that curation and tables are of.
UNITS = {1: 90, 2: 40, 3: 77, 4: 12}


def _session() -> Session:
    return make_session("session01", "navigation", seconds=60, seed=1)


def nev_files(folder: Path) -> list[bytes]:
    """Events of every specification, with other packets between, and a clock of ns since 1970."""
    ticks, codes = (values[:7] for values in _session().events)
    found = []
    for spec in ("2.1", "2.2", "2.3", "3.0", "3.0-ptp"):
        events = ripple.marker_events(ticks, codes, combined_every=3)
        events.insert(2, Spike(int(ticks[1]), 9, 1, np.arange(6, dtype=np.int16)))
        if spec not in ("2.1", "2.2"):
            events.insert(4, Comment(int(ticks[2]), "lights on"))
        if spec == "3.0-ptp":
            events = [event._replace(timestamp=EPOCH + event.timestamp) for event in events]
        path = folder / "rec.nev"
        ripple.write_nev(path, events, spec, [ripple.raw_channel(9)], packet_bytes=40)
        found.append(path.read_bytes())
    return found


def nsx_files(folder: Path) -> list[bytes]:
    """Recordings of every specification: of one block, with a pause, with a block that continues the one before."""
    samples = np.random.default_rng(1).integers(-3000, 3000, (24, 3), np.int16)
    channels = [ripple.analog_channel(1), ripple.raw_channel(9), ripple.raw_channel(34)]
    found, path = [], folder / "rec.ns5"
    for spec in ("2.1", "2.2", "2.3", "3.0", "3.0-ptp"):
        period = 1_000_000_000 if spec == "3.0-ptp" else 30_000
        start = EPOCH if spec == "3.0-ptp" else 0
        for blocks in ([samples], [samples[:9], DataBlock(start + period), samples[9:]]):
            if spec != "2.1":
                ripple.write_nsx(path, channels, blocks, spec, timestamp=start, period=30)
            else:
                ripple.write_nsx(path, channels, [samples], spec)
            found.append(path.read_bytes())
    return found


def maze_logs(folder: Path) -> list[bytes]:
    """Logs with each kind of header; of a session's frames, those around a trigger."""
    session = _session()
    frames = make_frames(session, make_path(session, seed=1), ppm=120, seed=1)
    rows = slice(0, 25)
    few = replace(frames, **{key: getattr(frames, key)[rows] for key in ("times", "triggers", "position", "heading")})
    found = []
    for header in HEADERS:
        copies = np.ones(np.count_nonzero(few.triggers), np.int64)
        (path,) = write_maze_log(folder, few, copies, START, header=header)
        found.append(path.read_bytes())
        path.unlink()
    return found


def eye_files(folder: Path) -> list[bytes]:
    """Eye recordings of one block and of two, with a blink, fixations and messages."""
    session = _session()
    gaze = make_gaze(session, make_path(session, seed=1), Clock(500.0, 0.0), seed=1)
    blink = int(gaze.blinks[0, 0]) - gaze.first
    blocks = []
    for begin, stop in ((blink - 12, blink + 20), (blink + 400, blink + 425)):
        first, last = gaze.first + begin, gaze.first + stop - 1
        spans = {}
        for name in ("fixations", "saccades", "blinks"):
            kept = np.clip(getattr(gaze, name), first, last)
            spans[name] = kept[kept[:, 0] < kept[:, 1]]
        part = replace(gaze, first=first, pixels=gaze.pixels[begin:stop], **spans)
        blocks.append(EyeBlock(part, [(first + 3, "Start Trial 13"), (first + 9, "Cue Offset 23")]))
    path, found = folder / "181105.asc", []
    for kept in (blocks[:1], blocks):
        write_eye_file(path, kept, START)
        found.append(path.read_bytes())
    both = found[0].replace(b"LEFT", b"LEFT\tRIGHT")
    lines = [
        line.replace(b"\t...", b"\t  812.4\t  401.1\t  990.0\t.....") if line[:1].isdigit() else line
        for line in both.splitlines(keepends=True)
    ]
    return [*found, b"".join(lines), found[0].replace(b"\n", b"\r\n")]


_SCANIMAGE = (
    "SI.VERSION_MAJOR = '5'\nSI.hChannels.channelSave = [1;2]\nSI.hFastZ.enable = true\n"
    "SI.hStackManager.enable = true\nSI.hStackManager.numSlices = 2\n"
    "SI.hStackManager.numFramesPerVolumeWithFlyback = 3\nSI.hStackManager.framesPerSlice = 1\n"
)


def tiff_files(folder: Path) -> list[bytes]:
    """Movies as tifffile, ImageJ, OME and ScanImage write them, in strips and tiles, compressed in every way."""
    frames = (np.arange(6 * 16 * 18).reshape(6, 16, 18) % 211).astype(np.int16)
    plain = {"photometric": "minisblack", "software": False}
    ways = [
        (frames, {"metadata": None}, {}),
        (frames.astype("u1"), {"metadata": None, "rowsperstrip": 5}, {"byteorder": ">"}),
        (frames, {"metadata": {"axes": "TYX"}}, {}),
        (frames[:2], {"metadata": None, "tile": (16, 16)}, {"bigtiff": True}),
        (frames.reshape(3, 2, 16, 18), {"metadata": {"axes": "TZYX"}}, {"imagej": True}),
        (frames.reshape(3, 2, 16, 18), {"metadata": {"axes": "TZYX"}}, {"ome": True}),
        (frames, {"metadata": None, "description": _SCANIMAGE}, {}),
    ]
    ways += [
        (frames[:2], {"metadata": None, "compression": name, "rowsperstrip": 7}, {})
        for name in ("zlib", "lzma", "lzw", "packbits", "zstd")
    ]
    ways.append((frames[:2], {"metadata": None, "compression": "zlib", "predictor": 2}, {}))
    found, path = [], folder / "movie.tif"
    for values, how, kind in ways:
        try:
            with tifffile.TiffWriter(path, **kind) as file:
                file.write(values, **plain, **how)
        except (ImportError, ValueError, KeyError):  # LZW, PackBits and Zstandard need a codec that is not everywhere
            continue
        found.append(path.read_bytes())
    return found


def configurations(folder: Path) -> list[bytes]:
    """The configuration in parts of a few blocks, and that of the demo."""
    complete = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    names = list(complete)
    parts = [{name: complete[name] for name in names[i : i + 6]} for i in range(0, len(names), 6)]
    parts.append(yaml.safe_load((REPOSITORY / "resources/demo.yaml").read_text()))
    texts = [yaml.safe_dump(part, sort_keys=False) for part in parts]
    anchors = "rpllfp: {band: &band [1, 150], order: 8}\nrplhighpass:\n  band: [500, 7500]\nchannels: [9, '1-32']\n"
    return [text.encode() for text in [*texts, anchors, "days: 20181105\nsubjects: [picasso]\n"]]


def numpy_files(folder: Path) -> list[bytes]:
    """Arrays and pickled objects as suite2p stores them."""
    pixels = {"ypix": np.arange(4), "xpix": np.arange(4), "lam": np.full(4, 0.25, np.float32), "med": [2, 3]}
    settings = {
        "fs": np.float32(2.0), "tau": 1.8, "extraction": {"neuropil_coefficient": 0.7, "names": ["a", "b"]},
        "dcnv_preprocess": {"win_baseline": 60.0, "sig_baseline": 10.0}, "meanImg": np.ones((3, 4), np.float32),
    }  # fmt: skip
    values = [
        np.arange(12, dtype=np.float32).reshape(3, 4), np.zeros((0, 5)), np.array([[1, 0.9], [0, 0.25]]),
        np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)), settings, np.array([pixels, pixels], object),
        np.array([["a", "bc"], ["d", "e"]]), settings | {"fs": np.inf},
    ]  # fmt: skip
    found, path = [], folder / "F.npy"
    for value in values:
        np.save(path, value)
        found.append(path.read_bytes())
    return found


def curations(folder: Path) -> list[bytes]:
    """Curation files by hand, of both formats of SpikeInterface, and of sortingview."""
    counts = {str(unit): n for unit, n in UNITS.items()}
    definitions = {"quality": {"label_options": ["good", "noise", "MUA"], "exclusive": True}}
    rows = [{"unit_id": 1, "labels": {"quality": ["good"]}}, {"unit_id": 3, "labels": {"quality": ["MUA"]}}]
    new = {"format_version": "2", "unit_ids": [1, 2, 3, 4], "label_definitions": definitions, "manual_labels": rows}
    contents = [
        {"labels": {"1": "good", "3": "mua"}, "merges": [[4, 2]], "removed": [], "num_spikes": counts},
        new | {"merges": [{"unit_ids": [2, 4]}], "splits": [], "removed": [1]},
        {
            "format_version": "1", "unit_ids": [1, 2, 3, 4], "label_definitions": definitions, "removed_units": [4],
            "manual_labels": [{"unit_id": 1, "quality": ["noise"]}], "merge_unit_groups": [[2, 3]],
        },
        {"labelsByUnit": {"1": ["accept"], "2": ["reject"]}, "mergeGroups": [[3, 4]]},
    ]  # fmt: skip
    return [json.dumps(content).encode() for content in contents]


def tables(folder: Path) -> list[bytes]:
    """Tables of cells and units as the steps write them."""
    labels, n = ["good", "multi-unit", "noise", "good"], list(UNITS.values())
    shared = {"quality": labels, "firing_rate": [3.16667, 0.8, 1.54, 0.24], "num_spikes": n}
    paths = [f"cell{unit:02d}/spiketrain_d41d.hkl" for unit in (1, 2, 3)]
    cells = pd.DataFrame({"cell": [f"cell{unit:02d}" for unit in UNITS], "unit": list(UNITS), **shared})
    units = pd.DataFrame({"unit": list(UNITS), **shared, "snr": [4.39666, 4.25, np.nan, 7.5]})
    curated = units.assign(source=["automatic", "curated"] * 2, merged=["", "2 5", "", ""], num_spikes_session01=n)
    return [
        table.to_csv(index=False, float_format="%.6g").encode()
        for table in (cells.assign(spiketrain=[*paths, ""]), units.assign(num_spikes_session01=n), curated)
    ]


def hickle_files(folder: Path) -> list[bytes]:
    """A sorting, a spike train, markers, and a signal of either type of numbers."""
    path = folder / "firings.hkl"
    sorting = {
        "samples": np.arange(0, 900, 30), "labels": np.tile([1, 2], 15), "masked": np.zeros((0, 2), np.int64),
        "noise": 4.5, "threshold": 20.0, "samplingRate": 30000.0, "sessions": ["session01"],
        "sessionLengths": np.array([30000]), "parameters": {"seed": 1, "detect_threshold": 5.5},
    }  # fmt: skip
    train = base_fields(path, "cell") | {"spiketimes": [np.arange(5.0)], "numSets": 1}
    found = []
    for fields in (sorting, train):
        write_product(path, fields)
        found.append(path.read_bytes())
    for dtype in ("float32", "int16"):
        info = {"ProbeInfo": "raw 9", "SampleRate": 1000.0, "TickRate": 30000, "Segments": np.array([[0, 50, 0, 1470]])}
        with write_signal(path, base_fields(path, "channel") | {"analogInfo": info}, 50, dtype, 0.25) as writer:
            writer.write(np.arange(50.0))
        found.append(path.read_bytes())
    return found


#: What writes the seeds of every format.
SEEDS: dict[str, Callable[[Path], list[bytes]]] = {
    "nev": nev_files,
    "nsx": nsx_files,
    "virtualmaze": maze_logs,
    "asc": eye_files,
    "tiff": tiff_files,
    "config": configurations,
    "npy": numpy_files,
    "curation": curations,
    "tables": tables,
    "hickle": hickle_files,
}
