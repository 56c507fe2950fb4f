import importlib.util
import json
import os
import subprocess
import sys
import time
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
import tifffile

from hippflow.errors import ConfigError, FormatError, SignalError
from hippflow.io.tiff import TiffMovie
from hippflow.steps.movie import make_movie

HEIGHT, WIDTH = 12, 17


@pytest.fixture(scope="module")
def binary_file():
    """suite2p's own reader of its binary files, without the rest of suite2p, which takes seconds to import."""
    folder = Path(importlib.util.find_spec("suite2p").submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("suite2p_binary", folder / "io" / "binary.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.BinaryFile


def recording(n_frames, planes=1, channels=1, low=-32768, high=32767, dtype="int16", seed=0):
    shape = (n_frames, planes, channels, HEIGHT, WIDTH)
    return np.random.default_rng(seed).integers(low, high, shape, dtype, endpoint=True)


def save(path, movie):
    """One file of a movie by time, plane and channel, without metadata."""
    tifffile.imwrite(path, movie.reshape(-1, *movie.shape[-2:]), metadata=None, photometric="minisblack")
    return path


class Products:
    """Where the products of a recording go."""

    def __init__(self, folder, n_planes=1):
        self.folder = folder / "movie"
        self.binaries = [self.folder / f"plane{i}.bin" for i in range(n_planes)]
        self.projections = [self.folder / f"plane{i}.npz" for i in range(n_planes)]
        self.report = self.folder / "movie.json"

    def make(self, *files, **how):
        make_movie(files, self.binaries, self.projections, self.report, **how)
        return json.loads(self.report.read_text())

    @property
    def names(self):
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


def test_planes_of_the_functional_channel_are_what_suite2p_reads(tmp_path, binary_file):
    written, products = recording(100, planes=3, channels=2), Products(tmp_path, 3)
    files = [save(tmp_path / f"part{i}.tif", part) for i, part in enumerate(np.split(written, [40, 41]))]
    report = products.make(*files, planes=3, channels=2, functional_channel=2)
    assert report == {
        "files": ["part0.tif", "part1.tif", "part2.tif"], "n_frames": 100, "planes": 3, "channels": 2,
        "functional_channel": 2, "dtype": "int16", "height": HEIGHT, "width": WIDTH, "scale": 1, "total_frames": 600,
    }  # fmt: skip
    assert products.names == sorted(
        [*(f"plane{i}.bin" for i in range(3)), *(f"plane{i}.npz" for i in range(3)), "movie.json"]
    )
    for i in range(3):
        frames = written[:, i, 1]
        with binary_file(HEIGHT, WIDTH, str(products.binaries[i])) as binary:
            assert binary.shape == (100, HEIGHT, WIDTH)
            assert np.array_equal(binary[:], frames)
        check_projections(products.projections[i], frames, scale=1)


def check_projections(path, frames, scale):
    with np.load(path) as found:
        assert sorted(found) == [
            "first", "maximum", "mean", "n_frames", "scale", "standard_deviation", "window_maximum",
            "window_standard_deviation", "window_start",
        ]  # fmt: skip
        windows = np.array_split(frames, min(48, len(frames)))
        assert (found["n_frames"], found["scale"]) == (len(frames), scale)
        assert [found[key].dtype for key in ("first", "maximum", "window_maximum")] == [np.int16] * 3
        assert [found[key].dtype for key in ("mean", "standard_deviation")] == [np.float64] * 2
        assert [found[key].dtype for key in ("window_start", "window_standard_deviation")] == [np.int64, np.float32]
        assert np.array_equal(found["first"], frames[0])
        assert np.array_equal(found["maximum"], frames.max(axis=0))
        assert np.allclose(found["mean"], frames.mean(axis=0), rtol=1e-14)
        assert np.allclose(found["standard_deviation"], frames.std(axis=0, dtype=float), rtol=1e-12)
        assert found["window_start"].tolist() == np.cumsum([0, *map(len, windows)])[:-1].tolist()
        assert np.array_equal(found["window_maximum"], [window.max(axis=0) for window in windows])
        deviations = [window.std(axis=0, dtype=float) for window in windows]
        assert np.allclose(found["window_standard_deviation"], deviations, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("int8", -128, 127), ("uint8", 0, 255), ("int16", -32768, 32767), ("uint16", 0, 32767),
        ("int32", -32768, 32767), ("uint32", 0, 32767),
    ],
)  # fmt: skip
def test_values_of_every_type_are_exact(tmp_path, dtype, low, high):
    written, products = recording(20, low=low, high=high, dtype=dtype), Products(tmp_path)
    written[3, 0, 0, 0, :2] = low, high
    report = products.make(save(tmp_path / "movie.tif", written))
    assert (report["dtype"], report["scale"]) == (dtype, 1)
    assert np.array_equal(np.fromfile(products.binaries[0], "<i2"), written.ravel())
    check_projections(products.projections[0], written[:, 0, 0].astype(np.int16), scale=1)


def test_uint16_above_32767_is_halved_as_suite2p_does(tmp_path):
    written, products = recording(60, planes=2, low=0, high=65535, dtype="uint16"), Products(tmp_path, 2)
    report = products.make(save(tmp_path / "movie.tif", written), planes=2)
    assert (report["dtype"], report["scale"]) == ("uint16", 2)
    for i in range(2):
        halved = (written[:, i, 0] // 2).astype(np.int16)
        assert np.array_equal(np.fromfile(products.binaries[i], "<i2"), halved.ravel())
        check_projections(products.projections[i], halved, scale=2)


def test_one_large_value_in_the_last_frame_halves_what_was_written_before(tmp_path, monkeypatch):
    written, products = recording(30, low=0, high=32767, dtype="uint16"), Products(tmp_path)
    written[29, 0, 0, 5, 6] = 32768
    small_blocks = partialmethod(TiffMovie.blocks, block_bytes=7 * HEIGHT * WIDTH * 2)
    monkeypatch.setattr(TiffMovie, "blocks", small_blocks)
    assert products.make(save(tmp_path / "movie.tif", written))["scale"] == 2
    halved = (written[:, 0, 0] // 2).astype(np.int16)
    assert np.array_equal(np.fromfile(products.binaries[0], "<i2"), halved.ravel())
    check_projections(products.projections[0], halved, scale=2)


def test_a_channel_that_is_not_written_may_have_any_values(tmp_path):
    written, products = recording(20, channels=2, low=0, high=99, dtype="uint16"), Products(tmp_path)
    written[:, 0, 1] += 60_000
    path = save(tmp_path / "movie.tif", written)
    assert products.make(path, channels=2)["scale"] == 1
    assert np.array_equal(np.fromfile(products.binaries[0], "<i2"), written[:, :, 0].ravel())


@pytest.mark.parametrize(("dtype", "value"), [("int32", 32768), ("int32", -32769), ("uint32", 4_000_000_000)])
def test_32_bit_values_that_are_no_int16_are_refused_with_file_and_place(tmp_path, dtype, value):
    written, products = recording(20, planes=2, low=0, high=9, dtype=dtype), Products(tmp_path, 2)
    written[15, 1, 0, 4, 7] = value
    files = [save(tmp_path / f"part{i}.tif", part) for i, part in enumerate(np.split(written, [10, 15]))]
    where = r"in frame 16 of plane 1 \(row 4, column 7\); export"
    with pytest.raises(FormatError, match=f"part2.tif: expected values from -32768 to 32767, found {value} {where}"):
        products.make(*files, planes=2)
    assert products.names == []


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"planes": 3}, FormatError, "movie.tif: expected a number .* 3 planes x 1 channels divide, found 40; a file"),
        ({"planes": 4}, ConfigError, "movie.tif: expected 2 planes, for which there are products, found 4"),
        ({"planes": 2, "functional_channel": 2}, ConfigError, "movie.functional_channel from 1 to 1, .* found 2"),
        ({"planes": 2, "functional_channel": 0}, ConfigError, "movie.functional_channel from 1 to 1, .* found 0"),
        ({"planes": 2, "channels": 4}, SignalError, r"at least 10 frames a plane, .* found 5 \(40 frames in 2"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused_before_anything_is_written(tmp_path, how, error, message):
    path, products = save(tmp_path / "movie.tif", recording(40)), Products(tmp_path, 2)
    with pytest.raises(error, match=message):
        products.make(path, **how)
    assert not products.folder.exists()


def test_ten_frames_are_enough(tmp_path):
    products = Products(tmp_path)
    assert products.make(save(tmp_path / "movie.tif", recording(10)))["n_frames"] == 10
    with pytest.raises(SignalError, match="found 9"):
        products.make(save(tmp_path / "movie.tif", recording(9)))


def test_damage_that_only_decompression_shows_leaves_the_products_as_they_were(tmp_path):
    path, products = tmp_path / "movie.tif", Products(tmp_path)
    written = recording(20, low=0, high=9)[:, 0, 0]
    tifffile.imwrite(path, written, compression="zlib")
    products.make(path)
    before = {name: (products.folder / name).read_bytes() for name in products.names}
    with tifffile.TiffFile(path) as file:
        place = file.pages[19].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[place : place + 20] = b"\xff" * 20
    path.write_bytes(data)
    with pytest.raises(FormatError, match="movie.tif: .*compressed with deflate in page 20"):
        products.make(path)
    assert {name: (products.folder / name).read_bytes() for name in products.names} == before


def test_products_are_the_same_bytes_every_time(tmp_path):
    path = save(tmp_path / "movie.tif", recording(50))
    one, two = Products(tmp_path / "one"), Products(tmp_path / "two")
    one.make(path)
    two.make(path)
    assert len(one.names) == 3
    for name in one.names:
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes()


def test_a_thousand_files_of_one_page_take_seconds(tmp_path):
    written, products = recording(1000), Products(tmp_path)
    files = [save(tmp_path / f"frame{i:04d}.tif", frame) for i, frame in enumerate(written)]
    begin = time.process_time()
    products.make(*files)
    assert time.process_time() - begin < 5  # suite2p: 0.17 s a file
    assert np.array_equal(np.fromfile(products.binaries[0], "<i2"), written.ravel())


PEAK = """
import resource, sys
from hippflow.steps.movie import make_movie
folder = sys.argv[1]
make_movie([f"{folder}/movie.tif"], [f"{folder}/plane0.bin"], [f"{folder}/plane0.npz"], f"{folder}/movie.json")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_recording(tmp_path):
    peaks, frame = {}, np.ones((256, 256), np.int16)
    for n_frames in (200, 2000):
        folder = tmp_path / str(n_frames)
        folder.mkdir()
        description = f"ImageJ=1.53t\nimages={n_frames}\nframes={n_frames}\n"
        tifffile.imwrite(folder / "movie.tif", frame, description=description, metadata=None)
        os.truncate(folder / "movie.tif", (folder / "movie.tif").stat().st_size + (n_frames - 1) * frame.nbytes)
        done = subprocess.run([sys.executable, "-c", PEAK, str(folder)], capture_output=True, text=True, check=True)
        peaks[n_frames] = int(done.stdout) / 1024
        assert (folder / "plane0.bin").stat().st_size == n_frames * frame.nbytes
        (folder / "plane0.bin").unlink()
    assert peaks[2000] < peaks[200] + 20  # MB; the recording is 236 MB longer, and the shorter one is less than a block
