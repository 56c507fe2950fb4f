"""Files that are no complete movie are refused by name, before a frame is read."""

import re

import numpy as np
import pytest
import tifffile
from tiff_files import all_frames, movie_array, write_by_hand

from hippflow.errors import ConfigError, FormatError
from hippflow.io.tiff import TiffMovie, read_tiff_header

SMALL = movie_array(4, height=5, width=7)


def write_pages(path, frames, **options):
    """Write page after page, each table before its samples, as a microscope does."""
    with tifffile.TiffWriter(path, bigtiff=options.pop("bigtiff", False)) as writer:
        for frame in frames:
            writer.write(frame, contiguous=False, metadata=None, **options)


def write_stack(path, **options):
    tifffile.imwrite(path, SMALL, photometric="minisblack", **options)


WRITERS = {
    "samples, then tables": write_stack,
    "page after page": lambda path: write_pages(path, SMALL),
    "page after page, BigTIFF": lambda path: write_pages(path, SMALL, bigtiff=True),
    "strips": lambda path: write_stack(path, rowsperstrip=2, byteorder=">"),
    "LZW": lambda path: write_pages(path, SMALL, compression="lzw"),
    "tiles": lambda path: write_stack(path, tile=(16, 16)),
    "ImageJ": lambda path: write_stack(path, imagej=True),
    "one page": lambda path: write_stack(path, metadata={"truncated": True}),
    "OME": lambda path: write_stack(path, ome=True, metadata={"axes": "TYX"}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_cut_off_anywhere_is_refused(tmp_path, name):
    path = tmp_path / "movie.tif"
    WRITERS[name](path)
    whole = path.read_bytes()
    assert np.array_equal(all_frames(TiffMovie([path]))[0][:, 0], SMALL)
    cuts = [*range(0, len(whole), 29), *range(len(whole) - 12, len(whole))]
    n_refused = 0
    for n_bytes in cuts:
        path.write_bytes(whole[:n_bytes])
        try:
            frames, _ = all_frames(TiffMovie([path]))
        except FormatError as error:
            assert str(path) in str(error)
            n_refused += 1
        else:  # what is missing was padding, or behind the last page
            assert np.array_equal(frames[:, 0], SMALL)
    assert n_refused >= len(cuts) - 13


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_bytes_never_end_in_another_error(tmp_path, name):
    path = tmp_path / "movie.tif"
    WRITERS[name](path)
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    n_refused = 0
    for _ in range(40):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            all_frames(TiffMovie([path]))
        except (FormatError, ConfigError):
            n_refused += 1
    assert n_refused


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "expected a TIFF file, found 0 bytes"),
        (b"time\tvalue\n1\t2\n", r"expected a TIFF file .*, found b'time\\tval'"),
        (b"II\x2a\0\0\0\0\0", "a TIFF file without pages"),
        (b"II\x2b\0\x08\0\0\0", "expected the header in bytes 8 to 16"),
    ],
)
def test_what_is_no_tiff_is_refused(tmp_path, content, found):
    path = tmp_path / "movie.tif"
    path.write_bytes(content)
    for read in (read_tiff_header, lambda path: TiffMovie([path])):
        with pytest.raises(FormatError, match=f"{re.escape(str(path))}: .*{found}"):
            read(path)


@pytest.mark.parametrize(
    ("frames", "options", "found"),
    [
        (np.zeros((5, 7, 3), np.uint8), {"photometric": "rgb"}, "3 samples a pixel .a colour image"),
        (np.zeros((3, 5, 7), np.uint8), {"photometric": "rgb", "planarconfig": "separate"}, "3 samples a pixel"),
        (np.zeros((4, 5, 7), np.float32), {}, "found real samples of 32 bits"),
        (np.zeros((4, 5, 7), np.float16), {}, "found real samples of 16 bits"),
        (np.zeros((4, 5, 7), np.complex64), {}, "found complex samples of 64 bits"),
        (np.zeros((4, 5, 7), np.int64), {}, "found int samples of 64 bits"),
        (np.zeros((4, 5, 7), bool), {}, "found uint samples of 1 bits"),
        (
            np.zeros((16, 16), np.uint8),
            {"compression": "jpeg"},
            "found number 7 in page 1; save .* without compression",
        ),
        (np.zeros((4, 16, 16), np.uint8), {"volumetric": True, "tile": (4, 16, 16)}, "found 4 layers in page 1"),
    ],
)
def test_samples_that_are_no_integers_of_one_channel_are_refused(tmp_path, frames, options, found):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, frames, **{"photometric": "minisblack"} | options)
    for read in (read_tiff_header, lambda path: TiffMovie([path])):
        with pytest.raises(FormatError, match=f"{re.escape(str(path))}: .*{found}"):
            read(path)


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (SMALL[:, :4], r"expected a.tif's 7 x 5 pixels of int16, found 7 x 4 pixels of int16; move"),
        (SMALL[:, :, :6], r"found 6 x 5 pixels of int16"),
        (SMALL.astype(np.uint16), r"expected a.tif's 7 x 5 pixels of int16, found 7 x 5 pixels of uint16"),
        (SMALL.astype(np.int8), "found 7 x 5 pixels of int8"),
    ],
)
def test_files_and_pages_of_another_size_or_type_are_refused(tmp_path, other, found):
    paths = [tmp_path / name for name in ("a.tif", "b.tif", "c.tif")]
    for path, frames in zip(paths, (SMALL, other, SMALL), strict=True):
        tifffile.imwrite(path, frames, photometric="minisblack")
    with pytest.raises(FormatError, match=f"b.tif: .*{found}"):
        TiffMovie(paths)
    with tifffile.TiffWriter(tmp_path / "mixed.tif") as writer:
        writer.write(SMALL, photometric="minisblack")
        writer.write(other, photometric="minisblack")
    with pytest.raises(FormatError, match=f"mixed.tif: page 5: .*{found.replace('expected a.tif', 'the first page')}"):
        TiffMovie([tmp_path / "mixed.tif"])


@pytest.mark.parametrize("n_files", [1, 2])
def test_frames_that_planes_and_channels_do_not_divide_are_refused(tmp_path, n_files):
    paths = [tmp_path / f"part{i}.tif" for i in range(n_files)]
    for path, frames in zip(paths, np.split(movie_array(22), n_files), strict=True):
        tifffile.imwrite(path, frames)
    where = str(paths[0]) if n_files == 1 else f"{tmp_path}: 2 files"
    found = "expected a number of frames that 3 planes x 2 channels divide, found 22; a file is missing"
    with pytest.raises(FormatError, match=f"{re.escape(where)}: {found}"):
        TiffMovie(paths, planes=3, channels=2)


def test_damaged_compressed_samples_are_refused_with_their_page(tmp_path):
    path = tmp_path / "movie.tif"
    write_pages(path, movie_array(4), compression="zlib")
    with tifffile.TiffFile(path) as file:
        place = file.pages[2].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[place : place + 40] = b"\xff" * 40
    path.write_bytes(data)
    movie = TiffMovie([path])
    with pytest.raises(FormatError, match="movie.tif: expected samples compressed with deflate in page 3, found what"):
        list(movie.blocks())


def test_pages_that_lead_back_are_refused(tmp_path):
    path = tmp_path / "movie.tif"
    places = write_by_hand(path, SMALL)
    data = bytearray(path.read_bytes())
    end = places[3] + 2 + 12 * int.from_bytes(data[places[3] : places[3] + 2], "little")
    data[end : end + 4] = places[1].to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(FormatError, match="movie.tif: page 5 leads back to an earlier page; the file is damaged"):
        TiffMovie([path])


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"drop": (273,)}, "expected 3 strips or tiles in page 1, found places of 0"),
        ({"drop": (279,)}, "expected 3 strips or tiles in page 1, found places of 3"),
        ({"drop": (256,)}, "expected a height and a width in page 1, found 5 x 0"),
        ({"tags": [(279, 4, [28, 28, 13])]}, "expected 70 bytes of samples in page 1, found 69"),
        ({"tags": [(279, 4, [28, 0, 42])]}, "expected samples in every strip or tile in page 1, found one without"),
        ({"tags": [(258, 2, b"16\0")]}, "expected a number in tag 258 in page 1, found type 2"),
        ({"tags": [(33629, 4, list(range(24)))]}, "found a MetaMorph stack of 24 frames in one page; save it"),
        ({"description": "ImageJ=1.53t\nimages=9\nslices=9\n"}, "expected 9 pages, as its ImageJ .* say, found 4"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_right_are_refused(tmp_path, changes, found):
    write_by_hand(tmp_path / "movie.tif", SMALL, rows=2, **changes)
    with pytest.raises(FormatError, match=f"movie.tif: .*{found}"):
        TiffMovie([tmp_path / "movie.tif"])


def test_files_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(FormatError, match=r"gone.tif: expected a TIFF file, found no file"):
        TiffMovie([tmp_path / "gone.tif"])
    with pytest.raises(FormatError, match="expected the TIFF files of a movie, found none"):
        TiffMovie([])
