"""What is put under fuzz: for every format a function that reads a file to its end, data included.

A function returns nothing if the file was read, and raises a HippflowError if it was refused; anything else that it
raises is a defect. Where another reader can say what is in the file, and reads it too, the two are compared: a
difference is an AssertionError, and so a defect.
"""

import contextlib
import csv
import io
import logging
import math
import os
import warnings
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import neo.rawio
import numpy as np
import pandas as pd
import tifffile
from corpus import REPOSITORY, UNITS

from hippflow.day.config import load_schema, read_config
from hippflow.demo import ripple
from hippflow.errors import HippflowError
from hippflow.io.eyelink import read_eye_file
from hippflow.io.nev import read_digital_events, read_nev_header, read_start_time, recording_start
from hippflow.io.npy import read_npy
from hippflow.io.nsx import NsxFile
from hippflow.io.products import read_product
from hippflow.io.signals import open_signal
from hippflow.io.suite2p import read_iscell, read_settings, read_stat, read_trace_settings, read_traces
from hippflow.io.tiff import TiffMovie, read_tiff_header
from hippflow.io.virtualmaze import TRIGGERS, read_maze_logs
from hippflow.reading.day import load_day
from hippflow.steps.placefield import read_trains
from hippflow.steps.sorting import read_sorting
from hippflow.steps.spiketrain import read_units
from hippflow.steps.units import read_curation

#: What other readers raise of what they do not read; their verdict is then missing.
_OTHERS_FAILED = (ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError)
_OTHERS_FAILED += (ValueError, MemoryError, NotImplementedError)

for _name in ("neo", "tifffile"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


#: Of files that are read, one in so many is compared with another reader that takes much longer than ours.
compare_one_in = 1


def _is_compared(path: Path) -> bool:
    return zlib.crc32(path.read_bytes()) % compare_one_in == 0


def parse_nev(path: Path) -> None:
    """Read header, start and events of a NEV file."""
    header, events = read_nev_header(path), read_digital_events(path)
    assert events.codes.shape == events.ticks.shape
    assert (np.diff(events.ticks) >= 0).all()
    assert events.tick_rate == header.tick_rate > 0
    assert 0 <= recording_start(path) < 2**63
    assert (events.ticks >= 0).all()
    if _is_compared(path):
        _compare_with_neo(path, header.spec)
    read_start_time(path)


@cache
def _recording_beside(spec: str, folder: Path) -> bytes:
    """A recording of a specification, without which neo reads no events."""
    path = folder / "beside.ns5"
    ripple.write_nsx(path, [ripple.raw_channel(9)], [np.zeros((30, 1), np.int16)], spec)
    return path.read_bytes()


def _compare_with_neo(path: Path, spec: str) -> None:
    """Check that every event that neo has is one of ours; neo leaves out words that came with others."""
    path.with_suffix(".ns5").write_bytes(_recording_beside(spec, path.parent))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader = neo.rawio.BlackrockRawIO(str(path.with_suffix("")), nsx_to_load=5)
            reader.parse_header()
            port = reader.header["event_channels"]["name"].tolist().index("digital_input_port")
            parts = [reader.get_event_timestamps(0, k, port) for k in range(reader.segment_count(0))]
            theirs = [
                (int(tick), int(word)) for ticks, _, words in parts for tick, word in zip(ticks, words, strict=True)
            ]
    except _OTHERS_FAILED:
        return
    events, start = read_digital_events(path), recording_start(path)
    words = events.codes.astype(int) + 256 * events.high_byte
    found = list(zip(events.ticks.tolist(), words.tolist(), strict=True))
    ours = {(tick + base, word) for tick, word in found for base in (0, start)}
    assert set(theirs) <= ours, f"neo has {sorted(set(theirs) - ours)[:3]}, which is not among {sorted(ours)[:6]}"


def parse_nsx(path: Path) -> None:
    """Read headers, blocks and all samples of an NSx file."""
    file = NsxFile(path)
    n_bytes, read = 0, []
    for block in file.blocks:
        samples = file.read(block, 0, block.n_samples)
        assert samples.shape == (block.n_samples, len(file.header.channels)) and samples.dtype == np.int16
        assert block.n_samples > 0 and len(file.header.channels) > 0
        n_bytes += samples.nbytes
        read.append(samples)
        ticks = np.array([block.first_tick, block.last_tick], np.int64)
        assert 0 <= ticks[0] <= ticks[1]
    assert n_bytes <= path.stat().st_size
    scales = [(channel.gain, channel.offset) for channel in file.header.channels]
    assert np.isfinite(scales).all() and math.isfinite(file.header.sampling_rate)
    if not _is_compared(path):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader = neo.rawio.BlackrockRawIO(
                str(path.with_suffix("")), nsx_to_load=5, load_nev=False, gap_tolerance_ms=0.0
            )
            reader.parse_header()
            theirs = [reader.get_analogsignal_chunk(0, k, stream_index=0) for k in range(reader.segment_count(0))]
    except _OTHERS_FAILED:
        return
    # neo leaves out stretches of a single sample where every sample has a time of its own
    if theirs and reader.signal_streams_count() == 1 and min(map(len, read)) > 1:
        np.testing.assert_array_equal(np.concatenate(read), np.concatenate(theirs))


def parse_virtualmaze(path: Path) -> None:
    """Read a maze log, and compare its rows with Python's own reading of the numbers."""
    log = read_maze_logs([path])
    rows = np.stack([log.trigger, log.delta_time, log.x, log.z, log.heading], axis=1)
    assert np.isfinite(rows).all() and np.isin(log.trigger, TRIGGERS).all() and (log.delta_time >= 0).all()
    assert log.files == ((path.name, len(rows)),)
    lines = path.read_bytes().decode("utf-8-sig").split("\n")
    if len(rows):
        last = [line.split() for line in lines if line.strip()][-len(rows) :]
        np.testing.assert_array_equal(rows, np.array(last, np.float64))


def parse_asc(path: Path) -> None:
    """Read an eye recording as text, and compare its times with those in the lines."""
    recording = read_eye_file(path)
    times, gaze = recording.times, recording.gaze
    assert gaze.shape == (len(times), 2) and np.isfinite(times).all() and (np.diff(times) > 0).all()
    assert not np.isinf(gaze).any() and 0 < recording.sampling_rate < 1e5
    assert all(math.isfinite(time) for time, _ in recording.messages)
    for spans in (recording.fixations, recording.saccades, recording.blinks):
        assert spans.ndim == 2 and spans.shape[1] == 2 and np.isfinite(spans).all()
    if recording.sampling_rate <= 1000 and len(times) == len(found := _sample_times(path)):
        np.testing.assert_allclose(times, np.array(found) / 1000, rtol=1e-12)


def _sample_times(path: Path) -> list[float]:
    """The first numbers of lines, none if other lines than those of samples begin with a digit, as messages may."""
    try:
        return [float(line.split(maxsplit=1)[0]) for line in path.read_bytes().split(b"\n") if line[:1].isdigit()]
    except ValueError:
        return []


def parse_tiff(path: Path) -> None:
    """Read header and frames of a movie, and compare the frames with tifffile's."""
    header, movie = read_tiff_header(path), TiffMovie([path])
    assert (header.height, header.width, np.dtype(header.dtype)) == (movie.height, movie.width, movie.dtype)
    assert movie.n_pages > 0 and movie.planes > 0 and movie.channels > 0
    assert movie.n_frames * movie.planes * movie.channels == movie.n_pages
    frames = np.empty((movie.n_pages, movie.height, movie.width), movie.dtype)
    for channel in range(1, movie.channels + 1):
        for first, block in movie.blocks(channel):
            pages = frames.reshape(movie.n_frames, movie.planes, movie.channels, movie.height, movie.width)
            pages[first : first + len(block), :, channel - 1] = block
    try:
        with warnings.catch_warnings(), tifffile.TiffFile(path) as file:
            warnings.simplefilter("ignore")
            pages = [page.asarray() for page in file.pages]
    except (*_OTHERS_FAILED, tifffile.TiffFileError):
        return
    if len(pages) == len(frames) and all(page.shape == frames.shape[1:] for page in pages):
        np.testing.assert_array_equal(frames, np.array(pages))


@cache
def _schema() -> dict[str, Any]:
    return load_schema(REPOSITORY / "schemas/config.schema.yaml")


def parse_config(path: Path) -> None:
    """Read a configuration, fill in its defaults, and the same as settings of the command line."""
    complete = read_config([path], [], _schema())
    assert complete.keys() == _schema()["properties"].keys()
    _check_finite(complete)
    low, high = complete["rpllfp"]["band"]
    assert 0 < low < high < complete["rpllfp"]["resample_rate"] / 2
    assert isinstance(complete["rpllfp"]["resample_rate"], int)


def _check_finite(value: Any) -> None:
    if isinstance(value, dict):
        assert all(isinstance(key, str) for key in value)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _check_finite(item)
    else:
        assert value is None or isinstance(value, str | bool | int) or math.isfinite(value)


def parse_setting(path: Path) -> None:
    """Read the same text as a setting of the command line, ``KEY=VALUE``."""
    _check_finite(read_config([], [path.read_bytes().decode("latin-1").replace(":", "=", 1)], _schema()))


def parse_npy(path: Path) -> None:
    """Read a file of suite2p as every kind of file that it may be, and compare numbers with numpy's own reading."""
    others: list[Callable[[], Any]] = [
        lambda: read_npy(path, mapped=True), lambda: read_iscell(path), lambda: read_stat(path),
        lambda: read_settings(path), lambda: read_trace_settings(path), lambda: read_traces(path, path, path),
    ]  # fmt: skip
    with contextlib.suppress(HippflowError):
        others[zlib.crc32(path.read_bytes()) % len(others)]()
    try:
        array = read_npy(path)
    except HippflowError:
        read_npy(path, objects=True)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(array, np.load(path, allow_pickle=False))


def parse_curation(path: Path) -> None:
    """Read what a person decided about the units of a sorting."""
    curation = read_curation(path, np.repeat(list(UNITS), list(UNITS.values())))
    assert curation.labels.keys() <= UNITS.keys() and set(curation.removed) <= UNITS.keys()
    assert set(curation.labels.values()) <= {"good", "multi-unit", "noise"}
    assert all(len(group) >= 2 and set(group) <= UNITS.keys() for group in curation.merges)


def parse_tables(path: Path) -> None:
    """Read a table as one of cells and as one of units, as steps and :func:`hippflow.load_day` do."""
    refused = []
    for reader in (_read_cells, _read_units):
        try:
            reader(path)
        except HippflowError as error:
            refused.append(error)
    if len(refused) == 2:
        raise refused[0]


def _placed(path: Path, *names: str) -> Path:
    """Put the table under the name of a product beside it, and return that."""
    place = path.parent.joinpath("picasso", "20181105", *names)
    place.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, place)
    os.link(place, path)
    return place


def _read_cells(path: Path) -> None:
    """The table of a channel; its spike trains are not there, which is refused if the table is right."""
    place = _placed(path, "session01", "array01", "channel009", "cells.csv")
    try:
        cells = load_day(place.parents[3])["session01"].channels[9].cells
        _check_table(path, cells, "unit")
        assert set(cells.columns) >= {"cell", "unit", "quality", "num_spikes", "firing_rate", "spiketrain"}
        trains = read_trains(place)
        assert list(trains) == cells["cell"].tolist()
    finally:
        place.unlink()


def _read_units(path: Path) -> None:
    table, merges = read_units(path)
    _check_table(path, table.reset_index(), "unit")
    assert all(isinstance(unit, int) for group in merges for unit in group)


def _check_table(path: Path, table: pd.DataFrame, key: str) -> None:
    """Check numbers against those that Python reads."""
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    assert table[key].tolist() == [int(row[key]) for row in rows if any(row.values())]
    assert table["quality"].notna().all()


def parse_hickle(path: Path) -> None:
    """Read a product as a whole, as a sorting and as a signal."""
    refused = []
    for reader in (read_product, read_sorting, _read_signal):
        try:
            reader(path)
        except HippflowError as error:
            refused.append(error)
    if len(refused) == 3:
        raise refused[0]


def _read_signal(path: Path) -> None:
    with open_signal(path) as signal:
        assert signal[:].dtype == np.float32 and len(signal[:]) == len(signal)
        assert signal.segments.shape[1] == 4


#: For every format: the name of its file, and what reads it.
TARGETS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "nev": ("rec.nev", parse_nev),
    "nsx": ("rec.ns5", parse_nsx),
    "virtualmaze": ("session_1_5112018105911.txt", parse_virtualmaze),
    "asc": ("181105.asc", parse_asc),
    "tiff": ("movie.tif", parse_tiff),
    "config": ("config.yaml", parse_config),
    "npy": ("F.npy", parse_npy),
    "curation": ("curation.json", parse_curation),
    "tables": ("table.csv", parse_tables),
    "hickle": ("firings.hkl", parse_hickle),
}
