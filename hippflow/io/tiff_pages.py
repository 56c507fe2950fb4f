"""The pages of one TIFF file: all of them checked, then any of their samples.

Decodes with tifffile what is compressed, in tiles or in scattered strips; samples that lie in the file as they are are
read as they are.
"""

import lzma
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hippflow.errors import FormatError
from hippflow.io.tiff_layout import ByteSource, Page, PageLayout, TiffStructure
from hippflow.io.tiff_metadata import Dimensions, read_dimensions

#: What tifffile and its codecs raise where a table or compressed samples are damaged.
_DAMAGE = (ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
_DAMAGE += (MemoryError, lzma.LZMAError, struct.error, zlib.error)

#: tifffile's functions that decode a strip or tile, by the layout of its page.
Decoders = dict[PageLayout, Callable]


@dataclass(frozen=True)
class FilePages:
    """The pages of one file.

    Attributes
    ----------
    path : Path
    layout : PageLayout
        Of the first page; the others may be stored differently.
    plain : bool
        Whether the samples of every page lie in the file as they are.
    offsets : ndarray of int64
        First byte of every page's samples if they are plain, else of its table.
    """

    path: Path
    layout: PageLayout
    plain: bool
    offsets: np.ndarray

    def read(self, pages: range, out: np.ndarray, decoders: Decoders) -> None:
        """Read pages into `out`, of shape (len(pages), height, width) and this machine's byte order.

        `decoders` are kept between files, as those of a recording are mostly alike.
        """
        with open(self.path, "rb", buffering=0) as file:
            if self.plain:
                self._read_plain(file.fileno(), self.offsets[pages.start : pages.stop : pages.step], out)
            else:
                structure = TiffStructure(ByteSource(file, str(self.path)))
                for page, frame in zip(pages, out, strict=True):
                    self._decode(structure, file.fileno(), page, frame, decoders)

    def _read_plain(self, file: int, offsets: np.ndarray, out: np.ndarray) -> None:
        """Read samples into `out`, those of neighbouring pages at once."""
        starts = np.flatnonzero(np.diff(offsets, prepend=-1) != self.layout.n_bytes)
        for begin, end in zip(starts, [*starts[1:], offsets.size], strict=True):
            view = memoryview(out[begin:end]).cast("B")
            place = int(offsets[begin])
            while view:
                n_read = os.preadv(file, [view], place)
                if not n_read:
                    raise FormatError(f"{self.path}: expected more samples, found the end; the file has changed")
                view, place = view[n_read:], place + n_read
        if np.dtype(self.layout.dtype) != out.dtype:
            out.byteswap(inplace=True)

    def _decode(self, structure: TiffStructure, file: int, number: int, out: np.ndarray, decoders: Decoders) -> None:
        """Read one page strip by strip, or tile by tile."""
        page, _ = structure.page(int(self.offsets[number]), f"page {number + 1}")
        for k, (place, n_bytes) in enumerate(zip(page.offsets, page.counts, strict=True)):
            try:
                if page.layout not in decoders:
                    decoders[page.layout] = _decoder(self.path, number)
                samples, (_, _, top, left, _), _ = decoders[page.layout](os.pread(file, n_bytes, place), k)
            except _DAMAGE as error:
                raise FormatError(
                    f"{self.path}: expected samples compressed with {page.layout.compression_name} in page "
                    f"{number + 1}, found what cannot be decompressed ({error}); the file is damaged, copy it again"
                ) from error
            room = out[top:, left:]
            wanted = min(room.shape[0], page.layout.chunk[0]), min(room.shape[1], page.layout.chunk[1])
            if samples is None or samples.ndim != 4 or samples.shape[1] < wanted[0] or samples.shape[2] < wanted[1]:
                raise FormatError(
                    f"{self.path}: expected {wanted[0]} x {wanted[1]} samples in strip or tile {k + 1} of page "
                    f"{number + 1}, found fewer; the file is damaged, copy it again"
                )
            rows, columns = min(room.shape[0], samples.shape[1]), min(room.shape[1], samples.shape[2])
            room[:rows, :columns] = samples[0, :rows, :columns, 0]  # tiles reach beyond the image


def _decoder(path: Path, page: int) -> Callable:
    import tifffile  # not needed for headers, nor where nothing is compressed

    with tifffile.TiffFile(path) as file:
        return file.pages[page].aspage().decode


def read_file_pages(path: Path, described: bool = False) -> tuple[FilePages, Dimensions]:
    """Read the tables of all pages of a file and its metadata, and check that all samples are there.

    Parameters
    ----------
    path : Path
    described : bool
        Whether another file has the metadata of this one, so that its own (OME's, the same again) are left unread.

    Raises
    ------
    FormatError
        A damaged or incomplete file, or pages of different size or type.
    """
    if not path.is_file():
        raise FormatError(f"{path}: expected a TIFF file, found no file; see whether it was moved")
    with open(path, "rb", buffering=0) as file:
        structure = TiffStructure(ByteSource(file, str(path)))
        tables: list[int] = []
        samples: list[int | None] = []
        for table, page in structure.pages():
            if not tables:
                first = page
                dimensions = Dimensions() if described else read_dimensions(structure, page)
            elif page.layout != first.layout:
                check_alike(first.layout, page.layout, f"{path}: page {len(tables) + 1}", "the first page's")
            tables.append(table)
            samples.append(page.plain_offset)
    expected = dimensions.pages or len(tables)
    if expected != len(tables):
        if len(tables) > 1 or not dimensions.in_one_piece or samples[0] is None:
            raise FormatError(
                f"{path}: expected {expected} pages, as its {dimensions.source} metadata say, found {len(tables)}; the "
                "file is not complete, copy it again (or save it anew, where another program changed its frames)"
            )
        _check_piece(path, first, expected, structure.source.size)
        samples = [samples[0] + i * first.layout.n_bytes for i in range(expected)]
    plain = None not in samples
    return FilePages(path, first.layout, plain, np.array(samples if plain else tables, np.int64)), dimensions


def _check_piece(path: Path, page: Page, n_frames: int, size: int) -> None:
    """Check that a file is long enough for frames that follow its only page."""
    complete = (size - page.plain_offset) // page.layout.n_bytes
    if complete < n_frames:
        raise FormatError(
            f"{path}: expected {n_frames} frames, as its description says, found room for {complete}; the file is cut "
            "off, copy it again (or save it anew, where another program took frames out)"
        )


def check_alike(first: PageLayout, other: PageLayout, name: str, whose: str) -> None:
    """Check that pages have the same size and type; they may be stored differently.

    Parameters
    ----------
    first, other : PageLayout
    name, whose : str
        For the message: what has the layout `other`, and whose is `first`.
    """
    sizes = [f"{layout.width} x {layout.height} pixels of {layout.sample_type}" for layout in (first, other)]
    if sizes[0] != sizes[1]:
        raise FormatError(
            f"{name}: expected {whose} {sizes[0]}, found {sizes[1]}; move what is no part of the recording out of the "
            "folder, and export all of it with the same settings"
        )
