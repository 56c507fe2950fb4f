import os
import struct

import numpy as np
import pytest
import tifffile
from tiff_files import HEIGHT, WIDTH, all_frames, movie_array, write_by_hand

from hippflow.errors import FormatError
from hippflow.io.tiff import TiffMovie, read_tiff_header

CONTAINERS = {
    "plain": {},
    "BigTIFF": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "strips": {"rowsperstrip": 4},
    "tiles": {"tile": (16, 16)},
    "big-endian tiles": {"tile": (16, 32), "byteorder": ">", "bigtiff": True},
    "LZW": {"compression": "lzw"},
    "LZW of differences": {"compression": "lzw", "predictor": True, "rowsperstrip": 5},
    "big-endian LZW of differences": {"compression": "lzw", "predictor": True, "byteorder": ">"},
    "deflate": {"compression": "zlib"},
    "deflate in tiles": {"compression": "zlib", "tile": (16, 16)},
    "old deflate": {"compression": 32946},
    "PackBits": {"compression": "packbits"},
    "Zstandard": {"compression": "zstd"},
    "LZMA": {"compression": "lzma"},
    "ImageJ": {"imagej": True},
    "OME": {"ome": True, "metadata": {"axes": "TYX"}},
    "without metadata": {"metadata": None},
    "one page with all frames": {"metadata": {"truncated": True}},
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_the_frames_that_were_written(tmp_path, name):
    written = movie_array(7, "uint16" if name == "ImageJ" else "int16")
    tifffile.imwrite(tmp_path / "movie.tif", written, **CONTAINERS[name])
    movie = TiffMovie([tmp_path / "movie.tif"])
    frames, _ = all_frames(movie)
    assert (movie.planes, movie.channels, movie.n_frames) == (1, 1, 7)
    assert frames.dtype == written.dtype
    assert np.array_equal(frames[:, 0], written)


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32"])
def test_every_integer_type_is_exact(tmp_path, dtype, byteorder):
    written = movie_array(5, dtype)
    tifffile.imwrite(tmp_path / "plain.tif", written, byteorder=byteorder)
    tifffile.imwrite(tmp_path / "coded.tif", written, byteorder=byteorder, compression="lzw")
    frames, _ = all_frames(TiffMovie([tmp_path / "plain.tif", tmp_path / "coded.tif"]))
    assert frames.dtype == dtype
    assert np.array_equal(frames[:, 0], np.concatenate([written, written]))


def test_strips_that_lie_backwards_are_put_in_order(tmp_path):
    written = movie_array(3)
    write_by_hand(tmp_path / "movie.tif", written, rows=4, reverse=True)
    assert np.array_equal(tifffile.imread(tmp_path / "movie.tif"), written)
    frames, _ = all_frames(TiffMovie([tmp_path / "movie.tif"]))
    assert np.array_equal(frames[:, 0], written)


def test_a_single_strip_may_leave_out_its_length(tmp_path):
    written = movie_array(3)
    write_by_hand(tmp_path / "movie.tif", written, drop=(279,))
    assert np.array_equal(all_frames(TiffMovie([tmp_path / "movie.tif"]))[0][:, 0], written)


def test_bits_in_the_reverse_order_are_turned(tmp_path):
    written = movie_array(3, "uint8")
    turned = np.packbits(np.unpackbits(written, axis=-1).reshape(3, HEIGHT, WIDTH, 8)[..., ::-1], axis=-1)[..., 0]
    write_by_hand(tmp_path / "movie.tif", turned, tags=[(266, 3, [2])])
    assert np.array_equal(all_frames(TiffMovie([tmp_path / "movie.tif"]))[0][:, 0], written)


def test_pages_of_a_file_may_be_stored_differently(tmp_path):
    written = movie_array(4)
    with tifffile.TiffWriter(tmp_path / "movie.tif") as writer:
        for frame, compression in zip(written, (None, "lzw", "zlib", None), strict=True):
            writer.write(frame, compression=compression, contiguous=False)
    assert np.array_equal(all_frames(TiffMovie([tmp_path / "movie.tif"]))[0][:, 0], written)


@pytest.mark.parametrize("sizes", [(24,), (5, 7, 12), (1,) * 24])
@pytest.mark.parametrize("compression", [None, "packbits"])
@pytest.mark.parametrize("block_bytes", [1, 3 * 4 * HEIGHT * WIDTH, 1 << 20])
def test_planes_and_channels_are_told_apart_wherever_files_and_blocks_end(tmp_path, sizes, compression, block_bytes):
    written = movie_array(24)
    ends = np.cumsum(sizes)
    files = [tmp_path / f"part{i:02d}.tif" for i in range(len(sizes))]
    for path, part in zip(files, np.split(written, ends[:-1]), strict=True):
        tifffile.imwrite(path, part, compression=compression, metadata=None)
    movie = TiffMovie(files, planes=3, channels=2)
    assert (movie.n_pages, movie.n_frames, movie.height, movie.width) == (24, 4, HEIGHT, WIDTH)
    by_time = written.reshape(4, 3, 2, HEIGHT, WIDTH)
    for channel in (1, 2):
        frames, starts = all_frames(movie, channel, block_bytes=block_bytes)
        assert np.array_equal(frames, by_time[:, :, channel - 1])
        assert starts == {1: [0, 1, 2, 3], 3 * 4 * HEIGHT * WIDTH: [0, 2], 1 << 20: [0]}[block_bytes]
    assert [movie.file_of(page) for page in range(24)] == [
        path for path, n in zip(files, sizes, strict=True) for _ in range(n)
    ]


def test_a_stack_of_imagej_beyond_4_gb_has_one_table_and_all_frames(tmp_path):
    path, n_frames = tmp_path / "movie.tif", 33_000
    frames = movie_array(2, height=256, width=256)
    description = f"ImageJ=1.53t\nimages={n_frames}\nframes={n_frames}\nloop=false\n"
    write_by_hand(path, frames[:1], description=description)
    first = path.stat().st_size - frames[0].nbytes
    with open(path, "r+b") as file:  # a sparse file, of which two frames are there
        file.seek(first + (n_frames - 1) * frames[0].nbytes)
        file.write(frames[1].tobytes())
    assert path.stat().st_size > 1 << 32
    movie, found = TiffMovie([path]), np.ones_like(frames)
    assert movie.n_frames == n_frames
    movie.read_pages(range(0, n_frames, n_frames - 1), found)
    assert np.array_equal(found, frames)
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(
        FormatError, match=r"movie.tif: expected 33000 frames.* found room for 32999; the file is cut off"
    ):
        TiffMovie([path])


class Bucket:
    """A read-only file of which every byte costs; what a reader of ranges offers, and nothing else."""

    def __init__(self, data, largest=1 << 30):
        self._data, self._place, self._largest, self.n_read = data, 0, largest, 0

    def seek(self, offset, whence=0):
        self._place = offset + (len(self._data) if whence == 2 else 0)
        return self._place

    def tell(self):
        return self._place

    def read(self, n):
        piece = self._data[self._place : self._place + min(n, self._largest)]
        self._place += len(piece)
        self.n_read += len(piece)
        return piece


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"ome": True}, {"imagej": True}])
def test_a_header_is_read_from_a_stream_and_costs_little(tmp_path, options):
    written, metadata = movie_array(240).reshape(20, 4, 3, HEIGHT, WIDTH), {"axes": "TZCYX"}
    tifffile.imwrite(tmp_path / "movie.tif", written, photometric="minisblack", metadata=metadata, **options)
    bucket = Bucket((tmp_path / "movie.tif").read_bytes())
    header = read_tiff_header(bucket, "s3://lab/movie.tif")
    assert (header.name, header.height, header.width, header.dtype) == ("s3://lab/movie.tif", HEIGHT, WIDTH, "int16")
    assert (header.dimensions.planes, header.dimensions.channels) == (4, 3)
    assert header.pages == (240 if "ome" in options or "imagej" in options else None)
    assert bucket.n_read <= 3 * 4096
    assert read_tiff_header(Bucket((tmp_path / "movie.tif").read_bytes(), largest=10), "x").height == HEIGHT
    with open(tmp_path / "movie.tif", "rb") as file:
        assert read_tiff_header(file).name == str(tmp_path / "movie.tif")


def test_the_header_of_a_single_page_counts_one(tmp_path):
    tifffile.imwrite(tmp_path / "frame.tif", movie_array(1)[0])
    header = read_tiff_header(tmp_path / "frame.tif")
    assert (header.pages, header.dimensions.planes, header.dimensions.channels) == (1, None, None)


def test_a_file_that_changes_after_the_check_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", movie_array(5))
    movie = TiffMovie([tmp_path / "movie.tif"])
    os.truncate(tmp_path / "movie.tif", 2000)
    with pytest.raises(FormatError, match="movie.tif: expected more samples, found the end; the file has changed"):
        list(movie.blocks())


def test_by_hand_written_files_are_what_tifffile_reads(tmp_path):
    """The files of these tests, against an independent reader."""
    written = movie_array(3)
    for big in (False, True):
        places = write_by_hand(tmp_path / "movie.tif", written, rows=4, big=big, description="a" * 30, gap=b"\0" * 40)
        with tifffile.TiffFile(tmp_path / "movie.tif") as file:
            assert [page.offset for page in file.pages] == places
            assert file.pages.first.description == "a" * 30
            assert np.array_equal(file.asarray(key=range(3)), written)
            assert struct.unpack("<H", (tmp_path / "movie.tif").read_bytes()[2:4])[0] == (43 if big else 42)
