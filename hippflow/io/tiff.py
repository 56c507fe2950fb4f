"""Two-photon movies in TIFF files, read frame after frame.

Reads recordings in one or many files, of one or many pages each: TIFF and BigTIFF, uncompressed or compressed without
loss, in strips or tiles (:mod:`hippflow.io.tiff_layout`), with the metadata of ImageJ, OME, ScanImage and tifffile
(:mod:`hippflow.io.tiff_metadata`), and ImageJ's files of one page that is followed by the other frames. The tables of
all pages of all files are read and checked before the first frame.

Does not sort the files: their order is that of the list. Does not follow OME's references to files that are not in it.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hippflow.errors import ConfigError, FormatError
from hippflow.io.tiff_layout import ByteSource, TiffStructure
from hippflow.io.tiff_metadata import Dimensions, read_dimensions
from hippflow.io.tiff_pages import Decoders, FilePages, check_alike, read_file_pages

#: Bytes of frames that are in memory at once; a volume (all planes of one time point) is the least.
BLOCK_BYTES = 32 << 20


@dataclass(frozen=True)
class TiffHeader:
    """What the first page and the metadata of a TIFF file say.

    Attributes
    ----------
    name : str
        The file, for messages.
    height, width : int
        Pixels of a frame.
    dtype : str
        Type of a pixel, ``int16`` ...
    dimensions : Dimensions
        Planes, channels and order, as far as the metadata name them.
    pages : int or None
        Frames in the file, all planes and channels together, where that is known without walking through it.
    """

    name: str
    height: int
    width: int
    dtype: str
    dimensions: Dimensions
    pages: int | None


def _opened(source: str | Path | BinaryIO) -> AbstractContextManager[BinaryIO]:
    return nullcontext(source) if hasattr(source, "read") else open(source, "rb", buffering=0)


def read_tiff_header(source: str | Path | BinaryIO, name: str | None = None) -> TiffHeader:
    """Read the first page's table and the metadata of a TIFF file, a few kilobytes in all.

    Parameters
    ----------
    source : path or binary file
        Of a file, only that it can seek and read is used.
    name : str, optional
        The file's name for messages, where `source` has none.

    Returns
    -------
    TiffHeader

    Raises
    ------
    FormatError
        This is no TIFF, the first page is not complete, or not of a kind that is a frame of a movie.
    """
    name = name or (str(getattr(source, "name", source)) if hasattr(source, "read") else str(source))
    with _opened(source) as file:
        structure = TiffStructure(ByteSource(file, name))
        page, following = structure.page(structure.first, "page 1")
        dimensions = read_dimensions(structure, page)
    pages = dimensions.pages or (None if following else 1)
    return TiffHeader(name, page.layout.height, page.layout.width, page.layout.sample_type, dimensions, pages)


def interleaving(dimensions: Dimensions, name: str, n_files: int, planes: Any, channels: Any) -> tuple[int, int]:
    """Return planes and channels of a recording from configuration and metadata, which must not contradict each other.

    Parameters
    ----------
    dimensions : Dimensions
        What the metadata of the first file say.
    name : str
        That file, for messages.
    n_files : int
        Files of the recording.
    planes, channels : int or "auto"
        As configured; ``auto`` takes what the metadata say, and 1 where they say nothing.

    Raises
    ------
    ConfigError
        A number that the metadata contradict, or planes that must be configured.

    Examples
    --------
    >>> interleaving(Dimensions("ScanImage", planes=4, channels=2), "rec_00001.tif", 12, "auto", 2)
    (4, 2)
    """
    wanted = {"planes": planes, "channels": channels}
    if dimensions.stack and n_files > 1 and wanted[dimensions.stack[0]] == "auto":
        key, size = dimensions.stack
        raise ConfigError(
            f"{name}: expected metadata that tell {key} from frames, found {size} {key} and one time point "
            f"({dimensions.source}) in each of {n_files} files; set movie.{key} to {size} if every file is one time "
            "point, to 1 if it holds frames"
        )
    for key, said in (("planes", dimensions.planes), ("channels", dimensions.channels)):
        if wanted[key] == "auto":
            wanted[key] = said or 1
        elif said not in (None, wanted[key]):
            raise ConfigError(
                f"{name}: movie.{key} is {wanted[key]}, but the file's {dimensions.source} metadata say {said}; set it "
                f"to {said} or auto, or correct the metadata"
            )
    return wanted["planes"], wanted["channels"]


class TiffMovie:
    """A recording in TIFF files, all of whose pages have been checked.

    Parameters
    ----------
    files : sequence of path
        In the order of time.
    planes, channels : int or "auto"
        How the pages are interleaved, where the metadata do not say it: channels fastest, then planes, then time.

    Attributes
    ----------
    files : list of Path
    height, width : int
        Pixels of a frame.
    dtype : numpy.dtype
        Type of a pixel, in this machine's byte order.
    planes, channels : int
    n_pages : int
        Frames in all files, all planes and channels together.
    n_frames : int
        Time points.

    Raises
    ------
    FormatError
        A file that is damaged, not complete, of another size or type than the others, or no frame of a movie; pages
        that planes and channels do not divide; an order of pages that is not the one above.
    ConfigError
        Planes or channels that the metadata contradict.
    """

    def __init__(self, files: Sequence[str | Path], planes: Any = "auto", channels: Any = "auto"):
        self.files = [Path(path) for path in files]
        if not self.files:
            raise FormatError("expected the TIFF files of a movie, found none; see whether they were moved")
        self._parts: list[FilePages] = []
        self._decoders: Decoders = {}
        said, speaker = Dimensions(), self.files[0]
        for path in self.files:
            part, dimensions = read_file_pages(path, described=path.name in said.placed)
            if self._parts:
                check_alike(self._parts[0].layout, part.layout, str(path), f"{self.files[0].name}'s")
            self._parts.append(part)
            if not said.source:
                said, speaker = dimensions, path
            elif dimensions.source:
                _check_same(said, dimensions, speaker, path)
        self._ends = np.cumsum([part.offsets.size for part in self._parts])
        self.height, self.width = self._parts[0].layout.height, self._parts[0].layout.width
        self.dtype = np.dtype(self._parts[0].layout.sample_type)
        self.planes, self.channels = interleaving(said, str(speaker), len(self.files), planes, channels)
        self.n_pages = int(self._ends[-1])
        _check_places(self, said, speaker)
        self.n_frames, rest = divmod(self.n_pages, self.planes * self.channels)
        if rest:
            where = self.files[0] if len(self.files) == 1 else f"{self.files[0].parent}: {len(self.files)} files"
            raise FormatError(
                f"{where}: expected a number of frames that {self.planes} planes x {self.channels} channels divide, "
                f"found {self.n_pages}; a file is missing, too many or not complete, or movie.planes or "
                "movie.channels is wrong"
            )

    def file_of(self, page: int) -> Path:
        """Return the file that has the page with this number, counted through all files from 0."""
        return self.files[int(np.searchsorted(self._ends, page, side="right"))]

    def blocks(self, channel: int = 1, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the frames of one channel in the order of time.

        Parameters
        ----------
        channel : int
            From 1.
        block_bytes : int
            Largest block, where a volume is not larger.

        Yields
        ------
        first : int
            Time point of the block's first frames.
        frames : ndarray, shape (n, planes, height, width)
            Valid until the next block is asked for.

        Raises
        ------
        FormatError
            Compressed samples that are damaged.
        """
        volume = self.planes * self.height * self.width * self.dtype.itemsize
        n_block = min(max(1, block_bytes // volume), self.n_frames)
        buffer = np.empty((n_block, self.planes, self.height, self.width), self.dtype)
        for first in range(0, self.n_frames, n_block):
            frames = buffer[: self.n_frames - first]
            begin = first * self.planes * self.channels + channel - 1
            pages = range(begin, begin + frames.shape[0] * self.planes * self.channels, self.channels)
            self.read_pages(pages, frames.reshape(-1, self.height, self.width))
            yield first, frames

    def read_pages(self, pages: range, out: np.ndarray) -> None:
        """Read the pages with these numbers (ascending) into `out`, of shape (len(pages), height, width)."""
        done = 0
        while done < len(pages):
            index = int(np.searchsorted(self._ends, pages[done], side="right"))
            start = int(self._ends[index]) - self._parts[index].offsets.size
            inside = pages[done:]
            inside = inside[: -(-(int(self._ends[index]) - inside.start) // inside.step)]
            within = range(inside.start - start, inside.stop - start, inside.step)
            self._parts[index].read(within, out[done : done + len(inside)], self._decoders)
            done += len(inside)


def _check_same(first: Dimensions, other: Dimensions, speaker: Path, path: Path) -> None:
    """Check that two files of a recording name the same planes and channels."""
    for key in ("planes", "channels"):
        one, two = getattr(first, key), getattr(other, key)
        if one is not None and two is not None and one != two:
            raise FormatError(
                f"{path}: expected {one} {key} as in {speaker.name}, found {two} in its {other.source} metadata; move "
                "what is no part of the recording out of the folder"
            )


def _check_places(movie: TiffMovie, said: Dimensions, speaker: Path) -> None:
    """Check that the files are in the order of time, where OME's metadata name the files of the recording."""
    following, volume = None, movie.planes * movie.channels
    for path, part in zip(movie.files, movie._parts, strict=True):
        pages = said.placed.get("" if path == speaker else path.name)
        if pages is None:
            continue
        if len(pages) != part.offsets.size:
            raise FormatError(
                f"{path}: expected {len(pages)} pages, as the OME-XML in {speaker.name} says, found "
                f"{part.offsets.size}; the file is not complete, copy it again"
            )
        in_turn = pages[0] % volume == 0 if following is None else pages[0] == following
        if not in_turn:
            expected = "the first frame of a volume" if following is None else f"frame {following + 1}"
            raise FormatError(
                f"{path}: expected {expected}, the OME-XML in {speaker.name} says that it holds frame {pages[0] + 1} "
                "(channels, then planes, then time); a file is missing, or the names do not sort in the order of time"
            )
        following = pages[-1] + 1
