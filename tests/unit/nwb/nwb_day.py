"""A day of products written by hand, small and irregular, with the arrays that they were written from.

Two channels on two arrays; session01 (navigation with eyes and gaze), session02 (a pause, one channel), sessioneye
(fixation, the tracker's own clock); two planes of a two-photon recording.
"""

import csv
import json
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from hippflow.demo.ripple import write_nev
from hippflow.io.products import write_product
from hippflow.io.signals import write_signal

START = datetime(2018, 11, 5, 1, 59, 11)
#: When sessions began, s after the first one: session02 after sessioneye, other than they are sorted.
OFFSETS = {"session01": 0.0, "sessioneye": 60.25, "session02": 90.5}
CHANNELS = {9: "array01/channel009", 34: "array02/channel034"}
#: Stretches of the LFP: first sample, number, first and last tick.
SEGMENTS = {
    "session01": [[0, 3000, 300, 90270]],
    "session02": [[0, 1000, 0, 29970], [1000, 500, 60000, 74970]],
    "sessioneye": [[0, 2000, 0, 59970]],
}
#: The tracker's clock in the fixation session: s at Ripple's 0, and how much faster it is.
TRACKER, FASTER = 500.0, 1e-4
OBJECTS = ["CueImage", "Poster1", "wall, north"]

SETTINGS = {
    "modalities": ["ephys", "raw", "behaviour", "imaging"],
    "clock": "header", "gap": 10, "timezone": "Asia/Singapore",
    "subject": {"species": "Macaca fascicularis", "sex": "M", "age": "P8Y", "weight": "7.5 kg"},
    "experimenter": ["Doe, Jane"], "institution": "Institute", "lab": "Lab", "session_description": None,
    "experiment_description": "Navigation in a maze.", "keywords": ["hippocampus"], "protocol": None,
    "related_publications": [],
    "device": "Ripple", "array": "microelectrodes", "location": "hippocampus", "array_locations": {"array02": "V1"},
    "microscope": "microscope", "plane_location": "tectum", "indicator": "GCaMP6s", "excitation_lambda": 920,
    "emission_lambda": 510,
}  # fmt: skip


def sample_times(session):
    """Times of the LFP's samples by the definition in docs/products.md, written out."""
    pieces = [np.linspace(a, b, n) / 30000 for _, n, a, b in SEGMENTS[session]]
    return np.concatenate(pieces)


def write_day(results, dtype="float32"):
    """Write the day; return folder, sources, and what the products hold."""
    day = Path(results, "picasso/20181105")
    made = SimpleNamespace(folder=day, sources={}, lfp={}, raw={}, trains={}, markers={}, eyes={})
    made.rng = np.random.default_rng(1)
    for session in SEGMENTS:
        _write_nev(made, session)
        numbers = [9] if session == "session02" else [9, 34]
        for number in numbers:
            _write_signals(made, session, number, dtype)
    _write_markers(made)
    _write_units(made)
    _write_maze(made)
    _write_eyes(made)
    _write_movie(made)
    return made


def _path(made, kind, *parts):
    path = made.folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.sources.setdefault(kind, []).append(str(path))
    return path


def _write_nev(made, session):
    path = made.folder.parents[2] / "raw" / session / "a.nev"
    path.parent.mkdir(parents=True)
    write_nev(path, [], channels=[], start=START + timedelta(seconds=OFFSETS[session]))
    made.sources.setdefault("nev", []).append(str(path))


def _write_signals(made, session, number, dtype):
    segments = np.array(SEGMENTS[session])
    for kind, name, rate in (("lfp", "rpllfp_6eca.hkl", 1000.0), ("raw", "rplraw_d41d.hkl", 30000.0)):
        rows = segments.copy()
        if kind == "raw":  # thirty samples for each of the LFP
            rows[:, :2] *= 30
            rows[:, 3] += 29
        n = int(rows[:, 1].sum())
        values = np.rint(made.rng.normal(0, 200, n)) * 0.25
        info = {"SampleRate": rate, "Units": "uV", "Segments": rows, "TickRate": 30000, "HighFreqCorner": 1.0}
        info |= {"LowFreqCorner": 150.0, "HighFreqOrder": 4, "LowFreqOrder": 4}
        path = _path(made, kind, session, CHANNELS[number], name)
        with write_signal(path, {"analogInfo": info}, n, dtype, gain=0.25) as writer:
            writer.write(values)
        getattr(made, kind)[session, number] = values.astype(np.float32)


def _write_markers(made):
    trials = {
        "session01": ([[15, 25, 35], [12, 22, 42]], [[0.5, 0.7, 1.1], [1.5, 1.8, 2.6]]),
        "session02": ([[11, 31]], [[0.1, 0.9]]),
    }
    for session, (codes, times) in trials.items():
        codes, times = np.array(codes, np.uint16), np.array(times)
        _markers(made, session, codes, times, codes.ravel(), times.ravel(), "84" if session == "session01" else "B")
    codes = np.array([128, 6, 32, 128, 32, 128, 7, 32], np.uint16)
    times = np.array([0.1, 0.3, 0.4, 0.6, 0.9, 1.1, 1.4, 1.9])
    _markers(made, "sessioneye", codes, times, codes, times, "fixation")


def _markers(made, session, codes, times, raw, raw_times, form):
    made.markers[session] = (codes, times)
    words = np.column_stack([raw, np.zeros_like(raw)]).ravel()
    ticks = np.column_stack([raw_times, raw_times + 0.001]).ravel() * 30000
    fields = {"rawMarkers": words, "rawTicks": np.rint(ticks).astype(np.int64), "tickRate": 30000, "markers": codes}
    fields |= {"timeStamps": times, "markerFormat": form}
    write_product(_path(made, "markers", session, "rplparallel_d41d.hkl"), fields)


def _write_units(made):
    for number, units in ((9, [1, 2]), (34, [1])):
        folder = f"mountains/channel{number:03d}"
        sessions = [session for session in SEGMENTS if (session, number) in made.lfp]
        counts = {session: [] for session in sessions}
        for session in sessions:
            rows = []
            for unit in units:
                n = 0 if (unit, session) == (2, "sessioneye") else 7 * unit
                times = np.sort(made.rng.choice(sample_times(session)[:-1], n, replace=False))
                made.trains[session, number, unit] = times
                counts[session].append(n)
                name = f"cell{unit:02d}/spiketrain_d41d.hkl" if n else ""
                rows.append([f"cell{unit:02d}", unit, "good", n, 1.0, name])
                if n:
                    path = made.folder / session / CHANNELS[number] / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_product(path, {"spiketimes": [times * 1000]})
            cells = _path(made, "cells", session, CHANNELS[number], "cells.csv")
            columns = ["cell", "unit", "quality", "num_spikes", "firing_rate", "spiketrain"]
            pd.DataFrame(rows, columns=columns).to_csv(cells, index=False)
        write_product(_path(made, "units", folder, "firings.hkl"), {"samplingRate": 30000.0})
        templates = made.rng.normal(0, 50, (1, 150, len(units))).astype(np.float32)
        write_product(_path(made, "units", folder, "templates.hkl"), templates)
        setattr(made, f"templates{number}", templates[0])
        table = pd.DataFrame(
            {"unit": units, "quality": ["good", "noise"][: len(units)], "snr": [7.25, 4.5][: len(units)]}
        )
        table = table.assign(**{f"num_spikes_{session}": n for session, n in counts.items()})
        table.to_csv(_path(made, "units", folder, "units.csv"), index=False)
        metrics = table[["unit", "snr"]].assign(new_metric=np.array([0.125, np.nan])[: len(units)])
        metrics.to_csv(_path(made, "units", folder, "metrics.csv"), index=False)


def _write_maze(made):
    made.frames = np.column_stack(
        [np.zeros((90, 2)), made.rng.uniform(-12, 12, (90, 2)), np.arange(90.0), np.zeros((90, 2))]
    )
    made.frame_times = 0.2 + np.cumsum(made.rng.uniform(0.01, 0.04, 91))
    fields = {"unityData": [made.frames], "unityTime": [made.frame_times], "clock": "ripple"}
    write_product(_path(made, "unity", "session01", "unity_71bf.hkl"), fields)


def _write_eyes(made):
    empty = {"eye_pos": np.zeros((0, 2)), "fix_times": np.zeros((0, 3)), "sacc_event": np.zeros(0)}
    for session, n in (("session01", 2500), ("sessioneye", 1800)):
        times = 0.05 + np.arange(n) * 0.0010003
        if session == "session01":
            times[1700:] += 0.2  # the tracker paused
        place = made.rng.uniform(0, 1000, (n, 2))
        place[::7] = np.nan
        fixations = np.array([[0.1, 0.3, 0.2], [0.4, 0.9, 0.5], [1.0, 1.6, 0.6]])
        made.eyes[session] = (times, place, fixations[:, :2], np.array([25.0, 40.0]))
        fields = empty | {f"calib_{name}": value for name, value in empty.items()}
        if session == "session01":
            fields |= {
                "eye_pos": place,
                "fix_times": fixations,
                "sacc_event": np.array([25.0, 40.0]),
                "timestamps": times,
            }
        else:
            on_tracker = lambda when: TRACKER + when * (1 + FASTER)  # noqa: E731
            trials = np.array([[0.1, 0.3, 0.4], [0.6, np.nan, 0.9], [1.1, 1.4, 1.9]])
            repaired = np.zeros((3, 3), bool)
            repaired[2, 1] = True
            trials = on_tracker(trials)
            trials[repaired] += 9  # of no use: it was put in
            fields |= {
                "calib_eye_pos": place,
                "timestamps": on_tracker(times),
                "calib_sacc_event": np.array([[25.0], [40.0]]),
            }
            fields |= {"calib_fix_times": np.column_stack([on_tracker(fixations[:, :2]), fixations[:, 2]])}
            fields |= {"trial_times": trials, "trial_repaired": repaired}
        write_product(_path(made, "eyelink", session, "eyelink_24d5.hkl"), fields)
    _write_gaze(made, made.eyes["session01"][0])


def _write_gaze(made, times):
    before, n = 400, 2000
    some = times[before : before + n]
    hits = made.rng.uniform(-12, 12, (n, 3)).round(3)
    made.objects = made.rng.choice([*OBJECTS, "Sample Ignored"], n)
    hits[made.objects == "Sample Ignored"] = np.nan
    made.gaze_times, made.hits = some, hits
    with _path(made, "gaze", "session01", "unityfile_eyelink.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for time, name, hit in zip(some, made.objects, hits, strict=True):
            point = ["" if np.isnan(value) else value for value in hit]
            writer.writerow(["SAMPLE_TYPE", round(time * 1000), name, "NaN", 5, 0, 0.5, 0, 90, *point, *[""] * 6, ""])
    report = {"samples": len(times), "before_first_trial": before, "written": n, "objects": dict.fromkeys(OBJECTS, 1)}
    _path(made, "gaze", "session01", "raycast.json").write_text(json.dumps(report))


def _write_movie(made):
    made.planes = []
    movie = {"n_frames": 120, "planes": 2, "height": 20, "width": 30}
    _path(made, "movie", "imaging01/movie/movie.json").write_text(json.dumps(movie))
    for k, n in enumerate((5, 0)):
        plane = SimpleNamespace(rois=[], images={})
        for name in ("mean", "maximum", "standard_deviation"):
            plane.images[name] = made.rng.uniform(0, 900, (20, 30)).astype("f4" if name == "mean" else "f8")
        plane.images["maximum"] = plane.images["maximum"].astype(np.int16)
        np.savez(_path(made, "planes", f"imaging01/movie/plane{k}.npz"), **plane.images | {"mean": np.zeros(1)})
        for _ in range(n):
            size = int(made.rng.integers(3, 9))
            y, x = made.rng.integers(0, 20, size), made.rng.integers(0, 30, size)
            plane.rois.append({"ypix": y, "xpix": x, "lam": made.rng.random(size, np.float32), "med": [3, 4]})
        plane.traces = {name: made.rng.random((n, 120), np.float32) for name in ("F", "Fneu", "spks")}
        plane.label = np.column_stack([np.arange(n) % 2, made.rng.random(n)])
        stat = np.empty(n, object)
        stat[:] = plane.rois
        files = plane.traces | {"stat": stat, "iscell": plane.label, "settings": {"fs": 2.5}}
        for name, value in (files | {"reg_outputs": {"meanImg": plane.images["mean"]}}).items():
            np.save(_path(made, "planes", f"imaging01/suite2p/plane{k}/{name}.npy"), value)
        plane.clusters = np.array([2, 0, 1, 0, 1])[:n]
        rows = [[roi, plane.clusters[roi]] for roi in np.flatnonzero(plane.clusters)]
        table = pd.DataFrame(rows, columns=["roi", "cluster"], dtype=int)
        table.to_csv(_path(made, "planes", f"imaging01/kmeans/plane{k}/clusters.csv"), index=False)
        made.planes.append(plane)
