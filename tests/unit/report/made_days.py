"""Days whose products are made up, so that it is known what their reports must say; nothing is recorded or run."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hippflow.day.catalog import Catalog, Session
from hippflow.day.config import load_schema, read_config
from hippflow.io.products import base_fields, write_product
from hippflow.io.signals import write_signal
from hippflow.reading.day import load_day
from hippflow.report.material import Material

ROOT = Path(__file__).parents[3]
DAY = "picasso/20181105"
SESSIONS = {"session01": 40.0, "sessioneye": 20.0}
RATE = 30000
#: The trials of session01: start, cue offset, end in s; target; 30 for a reward, 40 for a timeout.
TRIALS = [(1, 2, 6, 6, 30), (8, 9, 14, 4, 40), (16, 17, 22, 1, 30), (24, 25, 32, 3, 30)]
#: Metrics of a good unit, one that is several, and noise.
UNITS = {"good": (9.5, 0.0), "multi-unit": (7.25, 0.02), "noise": (3.5, 0.0)}


@dataclass
class MadeDay:
    """A made day: where its results are, what is said to be recorded, and the spikes of its channels."""

    folder: Path
    catalog: Catalog
    config: dict
    spikes: dict[int, np.ndarray]

    def material(self, **changes):
        day = load_day(self.folder, self.config)
        return Material(day, self.catalog, self.config, **changes)


def configuration(results):
    files, settings = [ROOT / "config.yaml"], [f"results={results}", "suite2p={fs: 2, tau: 1.8}"]
    config = read_config(files, settings, load_schema(ROOT / "schemas/config.schema.yaml"))
    config["raycast"]["scene"] = str(ROOT / config["raycast"]["scene"])
    return config


def make_day(root, channels):
    """Write a day of channels, each number with its array, and return it. The products of the first three channels
    are made, the others are these again, with figures of their own in the small tables."""
    folder, rng = root / "results" / DAY, np.random.default_rng(5)
    channel_folders = {n: f"array{array:02d}/channel{n:03d}" for n, array in channels.items()}
    sessions = tuple(
        Session(
            path=f"{DAY}/{name}",
            nev=f"data/{DAY}/{name}/a.nev",
            nsx=f"data/{DAY}/{name}/a.ns5",
            n_bytes=1,
            seconds=seconds,
            sampling_rate=float(RATE),
            clock=None,
            channels=channel_folders,
            maze_logs=(f"data/{DAY}/{name}/RawData/session_1.txt",) if name == "session01" else (),
            eye=f"data/{DAY}/181105.edf",
        )
        for name, seconds in SESSIONS.items()
    )
    made = MadeDay(folder, Catalog(sessions), configuration(root / "results"), {})
    _write_behaviour(folder, rng)
    numbers = list(channels)
    for k, number in enumerate(numbers):
        model = numbers[k % 3]
        if k < 3:
            made.spikes[number] = _write_channel(folder, number, channel_folders[number], rng)
        else:
            _link_channel(folder, model, channel_folders[model], number, channel_folders[number])
            made.spikes[number] = made.spikes[model]
        _write_tables(folder, number, channel_folders[number], rng)
    pd.DataFrame({"channel": numbers}).to_csv(folder / "channels.csv", index=False)
    return made


def _write_signal(path, rate, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    info = {"SampleRate": float(rate), "TickRate": RATE, "HighFreqCorner": 1.0, "LowFreqCorner": 150.0}
    n = len(values)
    info["Segments"] = np.array([[0, n, 0, round((n - 1) * RATE / rate)]])
    with write_signal(path, {"analogInfo": info}, n_samples=n) as writer:
        writer.write(values)


def _write_channel(folder, number, place, rng):
    spikes = []
    for name, seconds in SESSIONS.items():
        channel = folder / name / place
        _write_signal(channel / "rpllfp_6eca.hkl", 1000, rng.normal(0, 50, round(seconds * 1000)))
        _write_signal(channel / "rplhighpass_b59f.hkl", RATE, rng.normal(0, 6, round(seconds * RATE)))
        (channel / "rplraw_d41d.hkl").touch()
        for code, high, rate, n in (("9c80", False, 1000, 1025), ("660e", True, RATE, 2049)):
            frequencies = np.linspace(0, rate / 2, n)
            magnitude = 1000 / (1 + frequencies / 20) + rng.random(n)
            fields = {"args": {"loadHighPass": high}, "freq": [frequencies], "magnitude": [magnitude]}
            write_product(channel / f"freqspectrum_{code}.hkl", fields)
    sorting = folder / f"mountains/channel{number:03d}"
    total = round(sum(SESSIONS.values()) * RATE)
    labels = np.repeat(np.arange(1, 6), [400, 300, 200, 100, 5])
    samples = rng.choice(total - 200, labels.size, replace=False) + 100
    order = np.argsort(samples)
    spikes = np.column_stack([samples[order], rng.permutation(labels)[order]]).astype(np.int64)
    shapes = np.sin(np.linspace(0, 6 * np.pi, 150))[:, None] * np.array([-80, 60, -45, -20, 15])
    fields = {"samples": spikes[:, 0], "labels": spikes[:, 1], "noise": 6.0, "samplingRate": float(RATE)}
    fields |= {"sessions": list(SESSIONS), "sessionLengths": np.array([round(s * RATE) for s in SESSIONS.values()])}
    sorting.mkdir(parents=True)
    write_product(sorting / "firings.hkl", fields)
    write_product(sorting / "templates.hkl", shapes[None].astype(np.float32))
    return spikes


def _link_channel(folder, model, model_place, number, place):
    for source, target in [(f"{name}/{model_place}", f"{name}/{place}") for name in SESSIONS] + [
        (f"mountains/channel{model:03d}", f"mountains/channel{number:03d}")
    ]:
        (folder / target).mkdir(parents=True)
        for path in (folder / source).glob("*.hkl"):
            os.link(path, folder / target / path.name)


def _write_tables(folder, number, place, rng):
    kinds = ["good", "good", "multi-unit", "noise", "noise"]
    sorting = folder / f"mountains/channel{number:03d}"
    units = pd.DataFrame({"unit": range(1, 6), "quality": kinds})
    units["snr"] = [
        UNITS[kind][0] + unit / 100 + number / 1000 for unit, kind in zip(units["unit"], kinds, strict=True)
    ]
    units["isi_share"] = [UNITS[kind][1] for kind in kinds]
    units.drop(columns="isi_share").to_csv(sorting / "units.csv", index=False)
    metrics = units.drop(columns="quality").assign(
        num_spikes=[400, 300, 200, 100, 5], firing_rate=np.array([400, 300, 200, 100, 5]) / 60, amplitude_median=-50.5
    )
    metrics.to_csv(sorting / "metrics.csv", index=False)
    for name in SESSIONS:
        channel = folder / name / place
        cells = units[["unit", "quality"]].assign(cell=[f"cell{unit:02d}" for unit in units["unit"]])
        cells.assign(num_spikes=10, firing_rate=1.0, spiketrain="").to_csv(channel / "cells.csv", index=False)
        noise = 5 + rng.random() * 3
        quality = {"sampling_rate": RATE, "highpass_noise": noise, "raw_rms": 60 + rng.random() * 20, "lfp_rms": 55.0}
        quality |= {"line_ratio": 1.5, "saturated_seconds": 0.0, "artifacts_per_minute": 0.5, "problems": []}
        (channel / "quality.json").write_text(json.dumps(quality))
    (folder / "session01" / place / "placefields.csv").write_text(
        "cell,spikes,mean_rate,peak_rate,peak_x,peak_z,spatial_information,threshold,significant\n"
        + "".join(
            f"cell{unit:02d},50,2.5,12.25,1,2,{0.5 + unit / 10 + number / 1000},0.9,{unit == 2 and number % 4 == 1}\n"
            for unit in range(1, 5)
        )
        + "cell05,0,0,0,,,,,False\n"
    )
    for unit in range(1, 5):
        path = folder / "session01" / place / f"cell{unit:02d}/vmplacecell_a35f.hkl"
        path.parent.mkdir(exist_ok=True)
        shared = folder / f"map{unit}.hkl"
        if not shared.exists():
            rates = np.where(rng.random(1600) < 0.3, rng.random(1600) * 12, np.nan)
            write_product(shared, {"args": {"GridSteps": 40}, "rateMap": [rates]})
        os.link(shared, path)


def _write_behaviour(folder, rng):
    for name in SESSIONS:
        (folder / name).mkdir(parents=True)
    codes = np.array([[10 + t, 20 + t, end + t] for _, _, _, t, end in TRIALS], np.uint16)
    times = np.array([trial[:3] for trial in TRIALS], float)
    path = folder / "session01/rplparallel_d41d.hkl"
    fields = {"markers": codes, "timeStamps": times, "rawMarkers": codes.ravel(), "tickRate": RATE}
    fields |= {"rawTicks": (times.ravel() * RATE).astype(np.int64), "markerFormat": "D"}
    write_product(path, base_fields(path, "session") | fields)
    (folder / "sessioneye/rplparallel_d41d.hkl").touch()
    (folder / "sessioneye/eyelink_24d5.hkl").touch()
    frames = np.arange(0, 40, 1 / 30)
    rows = np.zeros((len(frames), 7))
    rows[:, 2], rows[:, 3] = 10 * np.sin(frames / 5), 10 * np.cos(frames / 5)
    costs = np.array([[15, 15 + 5 * k, 5 * k, t, end, k == 0] for k, (_, _, _, t, end) in enumerate(TRIALS)], float)
    unity = {"unityData": [rows], "unityTime": [np.append(frames[0] - 1 / 30, frames)], "sumCost": [costs]}
    write_product(folder / "session01/unity_71bf.hkl", unity | {"trialRouteRatio": [costs[:, 1] / costs[:, 0]]})
    residuals = {"trial": [None, 0], "code": [84, 16], "ripple_time": [0.5, 1.0], "residual_s": [0.001, -0.003]}
    device = {"markers": 13, "matched": 13, "missing": [], "repaired": [], "extra": [], "drift_ppm": 120.0}
    device |= {"residuals": residuals, "residual_rms_s": 0.0022, "residual_max_s": 0.003, "trials_off": []}
    report = {"passed": True, "reasons": [], "threshold_s": 0.02, "max_trials_off": 0.1, "trials": 4}
    report |= {"devices": {"unity": device, "eyelink": device}}
    (folder / "session01/alignment.json").write_text(json.dumps(report))
    (folder / "session01/unaligned").mkdir()
    for name in (
        "unaligned/unity_71bf.hkl",
        "unaligned/eyelink_24d5.hkl",
        "alignment.png",
        "umaze_fd09.hkl",
        "eyelink_24d5.hkl",
        "binData.hdf",
    ):
        (folder / "session01" / name).touch()
    (folder / "missingData.csv").write_text("session,device,trial,marker,code,time_s,what\n")
    objects = ["CueImage"] * 10 + ["Ground"] * 30 + ["CatPoster"] * 60
    lines = [
        f"SAMPLE_TYPE,{1000 + k},{thing},{rng.integers(0, 1920)},{rng.integers(0, 1080)},0,0.5,0,90,"
        f"{rng.uniform(-12, 12):.3f},1,{rng.uniform(-12, 12):.3f},0,0,0,0,0,"
        for k, thing in enumerate(objects)
    ]
    (folder / "session01/unityfile_eyelink.csv").write_text("\n".join(lines) + "\n")
    counted = {"objects": {"CueImage": 10, "Ground": 30, "CatPoster": 60}, "written": 110}
    counted["ignored"] = {"no_gaze": 10, "off_screen": 0, "trial_off": 0, "nothing_hit": 0}
    (folder / "session01/raycast.json").write_text(json.dumps(counted))
