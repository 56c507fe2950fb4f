"""Recordings that parsers once took for right, hung on, or ended on in another error; each is refused by what is wrong.

Tables and settings are in test_tables_that_fuzzing_found.py.
"""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from corpus import EPOCH, SEEDS
from refusals import refused

from hippflow.demo import ripple
from hippflow.demo.ripple import Digital
from hippflow.io.eyelink import read_eye_file
from hippflow.io.nev import read_digital_events
from hippflow.io.nsx import NsxFile
from hippflow.io.tiff import TiffMovie, read_tiff_header
from hippflow.io.virtualmaze import read_maze_logs

# NEV


@pytest.mark.parametrize(
    "ticks, message",
    [([EPOCH, EPOCH + 5, 2**63 + 7], "tick 9223372036854775815 cannot be right"), ([7, EPOCH], "found both, 7 and")],
)
def test_times_of_events_that_no_clock_has_are_refused(tmp_path, ticks, message):
    """Beyond int64 they became negative; with one packet at tick 7 all others were at 1.5 billion seconds."""
    ripple.write_nev(tmp_path / "rec.nev", [Digital(tick, 84) for tick in ticks], "3.0-ptp")
    refused(read_digital_events, tmp_path / "rec.nev", message)


def test_packets_of_4_gb_are_refused(tmp_path):
    path = tmp_path / "rec.nev"
    ripple.write_nev(path, [])
    data = bytearray(path.read_bytes())
    data[16:20] = b"\xff" * 4
    path.write_bytes(data)
    refused(read_digital_events, path, "packets of 4294967295 bytes")


# NSx


def nsx(folder, spec="2.2", **changes):
    """A recording with bytes changed, at their places in the file."""
    path = folder / "rec.ns5"
    ripple.write_nsx(path, [ripple.raw_channel(9)], [np.arange(20, dtype=np.int16)[:, None]], spec, timestamp=EPOCH)
    data = bytearray(path.read_bytes())
    for place, value in changes.items():
        at = int(place.removeprefix("at"))
        data[at : at + len(value)] = value
    path.write_bytes(data)
    return path


def test_a_recording_of_no_channels_is_refused(tmp_path):
    path = nsx(tmp_path, at310=b"\0" * 4, at10=struct.pack("<I", 314))
    refused(lambda path: NsxFile(path).blocks, path, "headers of no channel")


@pytest.mark.parametrize("spec, place", [("3.0", 381), ("3.0-ptp", 381 + 15)])
def test_times_of_samples_that_no_clock_has_are_refused(tmp_path, spec, place):
    path = nsx(tmp_path, spec, **{f"at{place}": b"\xff" * 8})
    refused(lambda path: NsxFile(path).blocks, path, "samples at tick .* cannot be right")


def test_a_clock_slower_than_the_samples_makes_no_stretch_without_samples(tmp_path):
    path = nsx(tmp_path, "3.0-ptp", at290=struct.pack("<I", 5))
    assert all(block.n_samples > 0 for block in NsxFile(path).blocks)


# VirtualMaze


@pytest.mark.parametrize(
    "text, message",
    [
        ("84 0.1 0 0 0\n11\r0.1\r0\r0\r0\n", r"the character '\\r'"),  # lines of one column to some, of five to others
        ("84\r0.1\r0\r0\r0\n", r"the character '\\r'"),
        ("84 0.1 0\x0b0 0\n", r"the character '\\x0b'"),
        ('{"a": ' + "1" * 5000 + "}\n84 0.1 0 0 0\n", "header in JSON"),
        ("{" + '"a":{' * 100_000 + "\n", "header in JSON"),
        ("84 0.1 0 0 " + "1" * 100_000 + "x\n", "line 1: expected a row"),  # was quadratic, as were the next two
        ("Version " + " " * 200_000 + "4\n84 0.1 0 0 0\n", "line 1: expected a row"),
        ("Version: 4" + " " * 200_000 + "x\n84 0.1 0 0\n", "line 2: expected a row"),
    ],
    ids=range(8),
)
def test_a_maze_log_of_odd_characters_and_lines_is_refused_at_once(tmp_path, text, message):
    path = tmp_path / "session_1_5112018105911.txt"
    path.write_bytes(text.encode())
    refused(lambda path: read_maze_logs([path]), path, message)


def test_names_of_maze_logs_may_have_any_digits(tmp_path):
    paths = [tmp_path / name for name in ("session_1²3.txt", "session_1²1.txt")]
    for path in paths:
        path.write_text(f"84 0.1 {path.name[-5]}.0 0.0 0.0\n")
    assert read_maze_logs(paths).x.tolist() == [1, 3]


# EyeLink .asc


def asc(folder, old, new, count=-1):
    path = folder / "181105.asc"
    data = SEEDS["asc"](folder)[0]
    assert old in data
    path.write_bytes(data.replace(old, new, count))
    return path


@pytest.mark.parametrize(
    "old, new, message",
    [
        (b"RATE\t1000.00", b"RATE\tnan", "a sampling rate"),
        (b"RATE\t1000.00", b"RATE\t1e9", "one sampling rate"),
        (b"Start Trial", b"x\nMSG\tnan Start Trial", "a time in ms"),
        (b"ESACC L", b"ESACC LR", "the eye"),
        (b"ESACC L  ", b"ESACC L  inf ", "the eye"),
        (b"    0.0\t...", b"    0.0\x0b...", "plain text"),
        (b"\t   .", b"\t1e999", "finite numbers"),
        (b"\t   .\t   .", b'\t"1\t2"', "numbers"),
    ],
)
def test_an_eye_recording_with_what_is_no_number_is_refused(tmp_path, old, new, message):
    refused(read_eye_file, asc(tmp_path, old, new, 2 if b"RATE" in old else 1), message)


def test_a_message_of_many_lines_takes_no_longer_than_it_is(tmp_path):
    lines = b"word\n" * 100_000  # took minutes, as its text was copied for every line
    path = asc(tmp_path, b"MSG", b"MSG\t5 report\n" + lines + b"MSG", 1)
    assert read_eye_file(path).messages[0] == (0.005, "report\n" + lines.decode().rstrip("\n"))


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("hippflow.io.eyelink_asc._BLOCK_BYTES", 1 << 18)
    path = tmp_path / "181105.asc"
    path.write_bytes(b"** " + b"x" * (3 << 20))
    refused(read_eye_file, path, "found one of more than")


# TIFF

_OME = (
    '<OME xmlns="x"><Image><Pixels SizeC="1" SizeZ="1" SizeT="{}" DimensionOrder="XYCZT"><TiffData {}/></Pixels>'
    "</Image></OME>"
)


def movie(folder, frames=None, **how):
    path = folder / "movie.tif"
    frames = np.zeros((2, 16, 18), np.int16) if frames is None else frames
    tifffile.imwrite(path, frames, photometric="minisblack", metadata=None, software=False, **how)
    return path


@pytest.mark.parametrize(
    "description, message",
    [
        ('{"shape": [-1, 16, 18], "truncated": true}', "sizes from 1"),  # was a movie of no frames
        ('{"shape": [1, 16, 18], "axes": "ZYX", "truncated": 0, "x": ' + "[" * 100_000, None),
        ('{"shape": [Infinity, 16, 18]}', None),
        ("ImageJ=1.11a\nimages=0\n", "sizes from 1"),
        ("ImageJ=1.11a\nimages=" + "9" * 5000 + "\n", None),
        ("SI.hStackManager.enable = true\nSI.hStackManager.numSlices = " + "9" * 5000 + "\n", None),
        ('<?xml version="1.0" encoding="no-such"?><OME/>', "OME-XML"),
        (_OME.format(9_000_000_000, ""), "9000000000 pages"),  # filled the memory
        (_OME.format(2, 'IFD="-1"'), "from page -1"),
    ],
    ids=range(9),
)  # fmt: skip
def test_metadata_of_a_movie_that_cannot_be_are_refused_or_left_out(tmp_path, description, message):
    path = movie(tmp_path, description=description)
    if message:
        refused(read_tiff_header, path, message)
    else:
        assert read_tiff_header(path).dimensions.pages in (None, 2)


def test_an_empty_setting_of_scanimage_is_not_that_of_the_next_line(tmp_path):
    settings = "scanimage.SI.VERSION_MAJOR = 5\nSI.hFastZ.enable = \nSI.hStackManager.enable = \ntrue\n"
    assert read_tiff_header(movie(tmp_path, description=settings)).dimensions.planes == 1


def tags(path):
    """Numbers and places of the first page's tags."""
    data = path.read_bytes()
    begin = struct.unpack_from("<I", data, 4)[0]
    (count,) = struct.unpack_from("<H", data, begin)
    return data, {struct.unpack_from("<H", data, begin + 2 + 12 * k)[0]: begin + 2 + 12 * k for k in range(count)}


def test_a_tag_that_is_there_twice_is_refused(tmp_path):
    path = movie(tmp_path)
    data, places = tags(path)
    changed = bytearray(data)
    struct.pack_into("<H", changed, places[277], 273)  # samples a pixel become a second place of the samples
    path.write_bytes(changed)
    refused(read_tiff_header, path, "tag 273 once")


@pytest.mark.parametrize("compression, message", [("zlib", "MB|only"), ("lzma", "MB")])
def test_a_frame_of_terabytes_is_refused(tmp_path, compression, message):
    path = movie(tmp_path, compression=compression)
    data, places = tags(path)
    changed = bytearray(data)
    for tag in (256, 257, 278):
        struct.pack_into("<HI", changed, places[tag] + 2, 4, 1)
        struct.pack_into("<I", changed, places[tag] + 8, 1_000_000)
    path.write_bytes(changed)
    refused(read_tiff_header, path, message)


def test_a_strip_with_fewer_samples_than_rows_is_refused(tmp_path):
    """Its last rows were those of the frame before."""
    path = movie(tmp_path, np.full((3, 16, 18), 7, np.int16), compression="zlib", rowsperstrip=16)
    data, places = tags(path)
    changed = bytearray(data)
    at, size = (struct.unpack_from("<I", data, places[tag] + 8)[0] for tag in (273, 279))
    short = zlib.compress(np.full((5, 18), 7, np.int16).tobytes())
    changed[at : at + size] = short.ljust(size, b"\0")[:size] if len(short) <= size else short[:size]
    path.write_bytes(changed)
    refused(lambda path: [*TiffMovie([path]).blocks()], path, "page 1")
