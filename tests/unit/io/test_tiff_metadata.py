"""Planes, channels and their order, as the metadata of microscopes and programs say them.

ImageJ's, OME's and tifffile's metadata are written by tifffile. ScanImage's are faked: its settings as lines
``SI.key = value`` in the Software tag, in the description (2015), or between header and first page of a BigTIFF, with
ScanImage's own keys; the rest of what it writes (regions, times of frames) is left out.
"""

import struct

import numpy as np
import pytest
import tifffile
from tiff_files import HEIGHT, WIDTH, all_frames, movie_array, write_by_hand

from hippflow.errors import ConfigError, FormatError
from hippflow.io.tiff import TiffMovie, interleaving, read_tiff_header

N_TIMES, N_PLANES, N_CHANNELS = 5, 4, 2
SHAPE = (N_TIMES, N_PLANES, N_CHANNELS, HEIGHT, WIDTH)


def recording():
    return movie_array(N_TIMES * N_PLANES * N_CHANNELS).reshape(SHAPE)


def scan_image(**settings):
    """Settings of a movie of one plane and channel, and what is different."""
    lines = {
        "VERSION_MAJOR": "'2020'", "hChannels.channelSave": "1", "hFastZ.enable": "false",
        "hStackManager.enable": "false", "hStackManager.framesPerSlice": "1", "hStackManager.numSlices": "11",
    } | {key.replace("__", "."): value for key, value in settings.items()}  # fmt: skip
    return "".join(f"SI.{key} = {value}\n" for key, value in lines.items())


FAST_STACK = {
    "hChannels__channelSave": "[1;2]", "hFastZ__enable": "true", "hStackManager__enable": "true",
    "hStackManager__numSlices": "3", "hStackManager__actualNumSlices": "3", "hStackManager__numFramesPerVolume": "3",
    "hStackManager__numFramesPerVolumeWithFlyback": "4", "hFastZ__numDiscardFlybackFrames": "1",
}  # fmt: skip


def write_block(path, frames, settings):
    """ScanImage's BigTIFF: magic number, version, lengths and settings follow the header."""
    block = settings.encode() + b"\0"
    write_by_hand(path, frames, big=True, gap=struct.pack("<4I", 117637889, 4, len(block), 0) + block)


WRITERS = {
    "ImageJ": lambda path, movie: tifffile.imwrite(path, movie, imagej=True, metadata={"axes": "TZCYX"}),
    "OME": lambda path, movie: tifffile.imwrite(path, movie, ome=True, metadata={"axes": "TZCYX"}),
    "OME, LZW": lambda path, movie: tifffile.imwrite(
        path, movie, ome=True, metadata={"axes": "TZCYX"}, compression="lzw"
    ),
    "tifffile": lambda path, movie: tifffile.imwrite(path, movie, metadata={"axes": "TZCYX"}),
    "ScanImage": lambda path, movie: tifffile.imwrite(
        path, movie, bigtiff=True, software=scan_image(**FAST_STACK), metadata=None
    ),
    "ScanImage's block": lambda path, movie: write_block(
        path, movie.reshape(-1, HEIGHT, WIDTH), scan_image(**FAST_STACK)
    ),
    "ScanImage 2015": lambda path, movie: tifffile.imwrite(
        path, movie, description=scan_image(**FAST_STACK).replace("SI.", "scanimage.SI."), metadata=None
    ),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_planes_and_channels_are_taken_from_the_metadata(tmp_path, kind):
    path, written = tmp_path / "movie.tif", recording()
    WRITERS[kind](path, written)
    movie = TiffMovie([path])
    assert (movie.planes, movie.channels, movie.n_frames) == (N_PLANES, N_CHANNELS, N_TIMES)
    for channel in (1, 2):
        assert np.array_equal(all_frames(movie, channel)[0], written[:, :, channel - 1])
    header = read_tiff_header(path)
    assert interleaving(header.dimensions, header.name, 1, "auto", "auto") == (N_PLANES, N_CHANNELS)
    assert TiffMovie([path], planes=N_PLANES, channels=N_CHANNELS).n_frames == N_TIMES


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(("key", "said"), [("planes", N_PLANES), ("channels", N_CHANNELS)])
def test_a_configuration_that_the_metadata_contradict_is_refused_with_both(tmp_path, kind, key, said):
    WRITERS[kind](tmp_path / "movie.tif", recording())
    source = kind.split()[0].split(",")[0].removesuffix("'s")
    with pytest.raises(ConfigError, match=f"movie.tif: movie.{key} is 5, but the file's {source} metadata say {said}"):
        TiffMovie([tmp_path / "movie.tif"], **{key: 5})


def test_files_of_a_recording_that_name_different_channels_are_refused(tmp_path):
    for name, channels in (("a.tif", "[1;2]"), ("b.tif", "[1]")):
        settings = scan_image(hChannels__channelSave=channels)
        tifffile.imwrite(tmp_path / name, movie_array(5), software=settings, metadata=None)
    with pytest.raises(FormatError, match="b.tif: expected 2 channels as in a.tif, found 1 in its ScanImage metadata"):
        TiffMovie([tmp_path / "a.tif", tmp_path / "b.tif"])


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"imagej": True, "metadata": {"axes": "ZYX"}}, "planes"),
        ({"imagej": True}, "channels"),
        ({"ome": True, "metadata": {"axes": "ZYX"}}, "planes"),
        ({"ome": True, "metadata": {"axes": "CYX"}}, "channels"),
        ({"metadata": {"axes": "ZYX"}}, "planes"),
    ],
)
def test_a_stack_without_time_is_a_movie_in_one_file_and_a_question_in_several(tmp_path, options, key):
    written = movie_array(6, "uint16")
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, written, photometric="minisblack", **options)
    movie = TiffMovie([tmp_path / "a.tif"])
    assert (movie.planes, movie.channels, movie.n_frames) == (1, 1, 6)
    assert np.array_equal(all_frames(movie)[0][:, 0], written)
    assert TiffMovie([tmp_path / "a.tif"], **{key: 3}).n_frames == 2
    files = [tmp_path / "a.tif", tmp_path / "b.tif"]
    with pytest.raises(ConfigError, match=f"a.tif: .*found 6 {key} and one time .* 2 files; set movie.{key} to 6 if"):
        TiffMovie(files)
    assert TiffMovie(files, **{key: 6}).n_frames == 2
    assert TiffMovie(files, **{key: 1}).n_frames == 12


def test_frames_alone_in_imagej_say_nothing_about_planes(tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", movie_array(12), imagej=True, metadata={"axes": "TYX"})
    assert TiffMovie([tmp_path / "movie.tif"]).n_frames == 12
    assert TiffMovie([tmp_path / "movie.tif"], planes=3, channels=2).n_frames == 2


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"ome": True, "metadata": {"axes": "TCZYX"}}, "XYZCT in its OME-XML"),
        ({"ome": True, "metadata": {"axes": "CTZYX"}}, "XYZTC in its OME-XML"),
        ({"metadata": {"axes": "ZTCYX"}}, "axes ZTCYX"),
        ({"metadata": {"axes": "TCZYX"}}, "axes TCZYX"),
    ],
)
def test_other_orders_of_pages_are_refused(tmp_path, options, found):
    tifffile.imwrite(tmp_path / "movie.tif", recording(), **options)
    for read in (read_tiff_header, lambda path: TiffMovie([path])):
        with pytest.raises(FormatError, match=rf"movie.tif: .* \(XYCZT\), found {found}; save"):
            read(tmp_path / "movie.tif")


def test_an_order_that_differs_only_where_there_is_one_is_read(tmp_path):
    written = movie_array(20).reshape(5, 4, 1, HEIGHT, WIDTH)
    tifffile.imwrite(tmp_path / "movie.tif", written.transpose(0, 2, 1, 3, 4), ome=True, metadata={"axes": "TCZYX"})
    movie = TiffMovie([tmp_path / "movie.tif"])
    assert (movie.planes, movie.channels) == (4, 1)
    assert np.array_equal(all_frames(movie)[0], written[:, :, 0])


@pytest.mark.parametrize(
    ("settings", "planes", "channels"),
    [
        ({}, 1, 1),
        ({"hChannels__channelSave": "[1 2 4]"}, 1, 3),
        (FAST_STACK, 4, 2),
        (FAST_STACK | {"hStackManager__numFramesPerVolumeWithFlyback": "3"}, 3, 2),
        ({"hFastZ__enable": "true", "hFastZ__numFramesPerVolume": "6", "hStackManager__numSlices": "5"}, 6, 1),
        ({"hFastZ__enable": "true", "hStackManager__numSlices": "5", "hFastZ__numDiscardFlybackFrames": "1"}, 6, 1),
        ({"hStackManager__enable": "true", "hStackManager__numSlices": "1"}, 1, 1),
    ],
)
def test_scanimage_counts_the_flyback_and_no_slices_of_a_stack_that_is_off(tmp_path, settings, planes, channels):
    tifffile.imwrite(tmp_path / "movie.tif", movie_array(5), software=scan_image(**settings), metadata=None)
    dimensions = read_tiff_header(tmp_path / "movie.tif").dimensions
    assert (dimensions.source, dimensions.planes, dimensions.channels) == ("ScanImage", planes, channels)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"hStackManager__enable": "true", "hStackManager__numSlices": "7"}, "settings of a slow stack"),
        (FAST_STACK | {"hStackManager__numFramesPerVolume": "30"}, "settings of 10 frames a slice"),
        ({"hFastZ__enable": "true", "hStackManager__framesPerSlice": "8"}, "settings of 8 frames a slice"),
        ({"hFastZ__enable": "true", "hStackManager__numSlices": "NaN"}, "found a fast stack without it"),
    ],
)
def test_stacks_of_scanimage_that_are_no_movie_are_refused(tmp_path, settings, found):
    tifffile.imwrite(tmp_path / "movie.tif", movie_array(5), software=scan_image(**settings), metadata=None)
    with pytest.raises(FormatError, match=f"movie.tif: .*{found}"):
        read_tiff_header(tmp_path / "movie.tif")


def ome_set(files, uuids=True):
    """OME-XML of 2 planes and 2 channels that places every page of some files (name: first frame, pages)."""
    blocks = []
    for name, (first, n_pages) in files.items():
        for page in range(n_pages):
            c, z, t = (first + page) % 2, (first + page) // 2 % 2, (first + page) // 4
            uuid = f'<UUID FileName="{name}">urn:uuid:{name}</UUID>' if uuids else ""
            place = f'FirstC="{c}" FirstZ="{z}" FirstT="{t}" IFD="{page}"'
            blocks.append(f'<TiffData {place} PlaneCount="1">{uuid}</TiffData>')
    n_frames = max(first + n_pages for first, n_pages in files.values())
    return (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="urn:uuid:{next(iter(files))}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" '
        f'Type="int16" SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeC="2" SizeZ="2" SizeT="{n_frames // 4}">'
        f"{''.join(blocks)}</Pixels></Image></OME>"
    )


BINARY_ONLY = '<?xml version="1.0"?><OME><BinaryOnly MetadataFile="a.tif" UUID="urn:uuid:a.tif"/></OME>'


def write_set(folder, movie, files, description):
    for name, (first, n_pages) in files.items():
        text = description if name == "a.tif" else BINARY_ONLY
        tifffile.imwrite(folder / name, movie[first : first + n_pages], description=text, metadata=None)


def test_a_set_of_ome_files_is_read_from_the_files_that_are_given(tmp_path):
    written, files = movie_array(24), {"a.tif": (0, 8), "b.tif": (8, 6), "c.tif": (14, 10)}
    write_set(tmp_path, written, files, ome_set(files))
    movie = TiffMovie([tmp_path / name for name in files])
    assert (movie.planes, movie.channels, movie.n_frames) == (2, 2, 6)
    assert np.array_equal(all_frames(movie)[0], written.reshape(6, 2, 2, HEIGHT, WIDTH)[:, :, 0])
    (tmp_path / "b.tif").unlink()
    (tmp_path / "c.tif").unlink()
    assert np.array_equal(
        all_frames(TiffMovie([tmp_path / "a.tif"]), 2)[0], written[:8].reshape(2, 2, 2, HEIGHT, WIDTH)[:, :, 1]
    )
    (tmp_path / "a.tif").rename(tmp_path / "renamed.tif")
    assert TiffMovie([tmp_path / "renamed.tif"]).planes == 2


def test_ome_files_out_of_turn_or_incomplete_are_refused(tmp_path):
    written, files = movie_array(24), {"a.tif": (0, 8), "b.tif": (8, 8), "c.tif": (16, 8)}
    write_set(tmp_path, written, files, ome_set(files))
    a, b, c = (tmp_path / name for name in files)
    with pytest.raises(FormatError, match="c.tif: expected frame 9, the OME-XML in a.tif says that it holds frame 17"):
        TiffMovie([a, c, b])
    with pytest.raises(FormatError, match=r"c.tif: expected frame 9, .*a file is missing"):
        TiffMovie([a, c])
    tifffile.imwrite(b, written[8:13], metadata=None)
    with pytest.raises(FormatError, match="b.tif: expected 8 pages, as the OME-XML in a.tif says, found 5"):
        TiffMovie([a, b, c])
    tifffile.imwrite(a, written[:7], description=ome_set(files), metadata=None)
    with pytest.raises(FormatError, match="a.tif: expected 8 pages, as its OME metadata say, found 7"):
        TiffMovie([a])


def test_ome_files_that_hold_a_channel_each_are_refused(tmp_path):
    files = {"a.tif": (0, 1), "b.tif": (1, 1), "c.tif": (4, 1), "d.tif": (7, 1)}
    write_set(tmp_path, movie_array(8), files, ome_set(files))
    with pytest.raises(FormatError, match="c.tif: expected frame 2, the OME-XML in a.tif says that it holds frame 5"):
        TiffMovie([tmp_path / name for name in ("a.tif", "c.tif", "b.tif", "d.tif")])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (("</Image>", ""), "expected OME-XML in the description, found mismatched tag"),
        (('SizeC="2"', 'SizeC="two"'), "expected sizes, order and places"),
        (('"XYCZT"', '"XYCCT"'), "DimensionOrder 'XYCCT'"),
        (("</Image>", '</Image><Image><Pixels DimensionOrder="XYCZT"/></Image>'), "expected one movie, found 2 images"),
    ],
)
def test_damaged_ome_metadata_are_refused(tmp_path, change, found):
    text = ome_set({"a.tif": (0, 8)}, uuids=False).replace(*change)
    tifffile.imwrite(tmp_path / "a.tif", movie_array(8), description=text, metadata=None)
    with pytest.raises(FormatError, match=f"a.tif: .*{found}"):
        read_tiff_header(tmp_path / "a.tif")


def test_imagej_metadata_that_contradict_themselves_are_refused(tmp_path):
    description = "ImageJ=1.53t\nimages=12\nchannels=2\nslices=5\nhyperstack=true\n"
    write_by_hand(tmp_path / "movie.tif", movie_array(12), description=description)
    with pytest.raises(
        FormatError, match="movie.tif: expected ImageJ's 12 images to be its 2 channels x 5 slices, found 10"
    ):
        TiffMovie([tmp_path / "movie.tif"])


@pytest.mark.parametrize("description", ['{"shape": "none"}', '{"shape": 5', "a cat", "OME of the microscope"])
def test_descriptions_by_hand_say_nothing(tmp_path, description):
    write_by_hand(tmp_path / "movie.tif", movie_array(6), description=description)
    header = read_tiff_header(tmp_path / "movie.tif")
    assert (header.dimensions.source, header.dimensions.planes, header.pages) == ("", None, None)
    assert TiffMovie([tmp_path / "movie.tif"], planes=3).n_frames == 2
