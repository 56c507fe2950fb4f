"""The structure of TIFF files: their pages, and where in the file the samples of a page are.

Reads classic TIFF and BigTIFF of both byte orders (TIFF 6.0, BigTIFF proposal), from a path or from any binary file
that can seek. A page whose samples, tables or successor lie beyond the end of the file is an error here, where other
readers give out the pages before it.

Does not read samples (see :mod:`hippflow.io.tiff`), pages in sub-directories (pyramids), nor images with several
samples a pixel, with real or complex samples, or with other than 8, 16 or 32 bits a sample.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from hippflow.errors import FormatError

#: Bytes that one read fetches at least; a page's table and its short values mostly lie together.
CHUNK_BYTES = 4096

#: Bytes of the largest frame, strip or tile that is read: microscopes' are a tenth of that.
MAX_FRAME_BYTES = 1 << 28

#: More entries than a table of tags can sensibly have; a larger number is a sign of damage.
MAX_TAGS = 4096

# Tags of TIFF 6.0 that say what a page holds and where.
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER, _DESCRIPTION = 256, 257, 258, 259, 266, 270
_STRIP_OFFSETS, _SAMPLES, _ROWS, _STRIP_COUNTS, _SOFTWARE, _PREDICTOR = 273, 277, 278, 279, 305, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _SAMPLE_FORMAT = 322, 323, 324, 325, 339
_METAMORPH_STACK, _DEPTH = 33629, 32997
_NUMBERS = frozenset((
    _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER, _STRIP_OFFSETS, _SAMPLES, _ROWS, _STRIP_COUNTS, _PREDICTOR,
    _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _SAMPLE_FORMAT, _DEPTH,
))  # fmt: skip

#: Bytes and struct code of the types in which TIFF writes sizes and places.
_TYPES = {3: (2, "H"), 4: (4, "I"), 16: (8, "Q")}
_KINDS = {1: "uint", 2: "int", 3: "real", 5: "complex integer", 6: "complex"}

#: Compressions that lose nothing, by their number in the file.
COMPRESSIONS = {
    1: "nothing", 5: "LZW", 8: "deflate", 32773: "PackBits", 32946: "deflate", 34925: "LZMA", 50000: "Zstandard",
}  # fmt: skip

#: How many bytes a compressed one can become at most, generously, by compression.
MAX_RATIO = {1: 1, 5: 4096, 8: 1100, 32773: 128, 32946: 1100, 34925: 1 << 16, 50000: 1 << 16}


class ByteSource:
    """Checked reads from a file of which only small parts are wanted.

    Parameters
    ----------
    file : binary file
        Must be able to seek.
    name : str
        For messages.
    """

    def __init__(self, file: BinaryIO, name: str):
        self._file, self.name = file, name
        file.seek(0, 2)
        self.size = file.tell()
        self._start, self._chunk = 0, b""

    def at(self, offset: int, n_bytes: int, what: str) -> bytes:
        """Return `n_bytes` from `offset`; raise FormatError where the file ends before.

        `what` is what lies there, for the message.
        """
        if offset + n_bytes > self.size:
            raise FormatError(
                f"{self.name}: expected {what} in bytes {offset} to {offset + n_bytes}, found the end of the file at "
                f"byte {self.size}; the file is cut off or damaged, copy it again"
            )
        begin = offset - self._start
        if begin < 0 or begin + n_bytes > len(self._chunk):
            self._file.seek(offset)
            self._start, begin = offset, 0
            self._chunk = self._file.read(max(n_bytes, CHUNK_BYTES))
            while len(self._chunk) < n_bytes and (more := self._file.read(n_bytes - len(self._chunk))):
                self._chunk += more
        piece = self._chunk[begin : begin + n_bytes]
        if len(piece) < n_bytes:
            raise FormatError(f"{self.name}: expected {n_bytes} bytes of {what}, read {len(piece)}; the file changed")
        return piece


@dataclass(frozen=True)
class PageLayout:
    """How the samples of a page are stored; pages of the same layout are decoded alike.

    Attributes
    ----------
    height, width : int
    dtype : str
        Type of a sample with its byte order, ``<i2`` ...
    compression, predictor, fill_order : int
        As TIFF numbers them.
    chunk : tuple of int
        Rows and columns of a strip or tile.
    """

    height: int
    width: int
    dtype: str
    compression: int
    predictor: int
    fill_order: int
    chunk: tuple[int, int]

    @property
    def n_bytes(self) -> int:
        """Bytes of a page's samples when decompressed."""
        return self.height * self.width * int(self.dtype[2:])

    @property
    def sample_type(self) -> str:
        """Name of the samples' type, ``int16`` ..."""
        return np.dtype(self.dtype).name

    @property
    def compression_name(self) -> str:
        """Name of the compression."""
        return COMPRESSIONS[self.compression]

    @property
    def is_tiled(self) -> bool:
        """Whether a row of the image lies in several tiles, or tiles reach beyond it."""
        return self.chunk[1] != self.width

    @property
    def is_plain(self) -> bool:
        """Whether the bytes of strips one after another are the samples."""
        return (self.compression, self.predictor, self.fill_order) == (1, 1, 1) and not self.is_tiled


@dataclass(frozen=True)
class Page:
    """One page of a file.

    Attributes
    ----------
    layout : PageLayout
    offsets, counts : tuple of int
        First byte and number of bytes of every strip or tile.
    texts : dict of int to tuple
        Number of bytes and place of the description and the software.
    """

    layout: PageLayout
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    texts: dict[int, tuple[int, int]]

    @property
    def plain_offset(self) -> int | None:
        """First byte of the samples if they lie in the file as they are and in one piece, else None."""
        first, strip = self.offsets[0], self.layout.n_bytes // self.layout.height * self.layout.chunk[0]
        in_one_piece = self.offsets == tuple(range(first, first + strip * len(self.offsets), strip))
        return first if self.layout.is_plain and in_one_piece else None


class TiffStructure:
    """The pages of a file, one after another.

    Parameters
    ----------
    source : ByteSource

    Attributes
    ----------
    order : str
        Byte order, ``<`` or ``>``.
    big : bool
        Whether this is a BigTIFF.
    first : int
        Byte of the first page's table of tags.

    Raises
    ------
    FormatError
        This is no TIFF file.
    """

    def __init__(self, source: ByteSource):
        self.source = source
        if source.size < 8:
            raise FormatError(f"{source.name}: expected a TIFF file, found {source.size} bytes; copy the file again")
        head = source.at(0, 8, "the header")
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        magic = struct.unpack(f"{self.order or '<'}H", head[2:4])[0]
        if not self.order or magic not in (42, 43):
            raise FormatError(
                f"{source.name}: expected a TIFF file (beginning with II or MM), found {head[:8]!r}; this is another "
                "kind of file under the name of a TIFF, move it out of the folder"
            )
        self.big = magic == 43
        if self.big:
            self.first = struct.unpack(f"{self.order}Q", source.at(8, 8, "the header"))[0]
        else:
            self.first = struct.unpack(f"{self.order}I", head[4:])[0]
        if not self.first:
            raise FormatError(
                f"{source.name}: expected an image, found a TIFF file without pages; the recording was not closed, "
                "copy the file again"
            )
        n_count, n_next, code = (8, 8, "HHQ8s") if self.big else (2, 4, "HHI4s")
        self._entry = struct.Struct(self.order + code)
        self._count = struct.Struct(f"{self.order}{'Q' if n_count == 8 else 'H'}")
        self._next = struct.Struct(f"{self.order}{'Q' if n_next == 8 else 'I'}")

    def pages(self) -> Iterator[tuple[int, Page]]:
        """Yield place of the table and content of every page, in the order of the file.

        Raises
        ------
        FormatError
            A page that is damaged, not complete or of a kind that is not read.
        """
        offset, seen = self.first, set()
        while offset:
            if offset in seen:
                raise FormatError(
                    f"{self.source.name}: page {len(seen) + 1} leads back to an earlier page; the file is damaged, "
                    "copy it again"
                )
            seen.add(offset)
            page, following = self.page(offset, f"page {len(seen)}")
            yield offset, page
            offset = following

    def page(self, offset: int, what: str = "a page") -> tuple[Page, int]:
        """Read the page whose table is at `offset`; return it and the place of the next table, 0 after the last.

        `what` is the page's name in messages.
        """
        numbers, texts, following = self._tags(offset, what)
        layout = self._layout(numbers, what)
        tiled = _TILE_OFFSETS in numbers
        offsets = numbers.get(_TILE_OFFSETS if tiled else _STRIP_OFFSETS, ())
        counts = numbers.get(_TILE_COUNTS if tiled else _STRIP_COUNTS, ())
        if not counts and len(offsets) == 1 and layout.compression == 1:
            counts = (layout.n_bytes,)  # some old writers leave them out, where they can be computed
        rows, columns = layout.chunk
        expected = -(-layout.height // rows) * -(-layout.width // columns)
        if len(offsets) != expected or len(counts) != expected:
            raise self._damaged(what, f"{expected} strips or tiles", f"places of {len(offsets)}")
        if layout.is_plain and sum(counts) < layout.n_bytes:
            raise self._damaged(what, f"{layout.n_bytes} bytes of samples", f"{sum(counts)}")
        if sum(counts) * MAX_RATIO[layout.compression] < layout.n_bytes:
            raise self._damaged(what, f"{layout.n_bytes} bytes of samples", f"only {sum(counts)} compressed ones")
        for begin, count in zip(offsets, counts, strict=True):
            if not begin or not count:
                raise self._damaged(what, "samples in every strip or tile", "one without any")
            if begin + count > self.source.size:
                raise FormatError(
                    f"{self.source.name}: expected the samples of {what} up to byte {begin + count}, found the end of "
                    f"the file at byte {self.source.size}; the file is cut off, copy it again"
                )
        return Page(layout, offsets, counts, texts), following

    def text(self, page: Page, tag: str) -> str:
        """Return a page's ``description`` or ``software``, empty if there is none."""
        n_bytes, place = page.texts.get({"description": _DESCRIPTION, "software": _SOFTWARE}[tag], (0, 0))
        raw = self.source.at(place, n_bytes, f"the {tag}") if n_bytes else b""
        return raw.split(b"\0", 1)[0].decode("utf-8", errors="replace")

    def _damaged(self, what: str, expected: str, found: str) -> FormatError:
        return FormatError(
            f"{self.source.name}: expected {expected} in {what}, found {found}; the file is damaged, copy it again"
        )

    def _tags(self, offset: int, what: str) -> tuple[dict[int, tuple[int, ...]], dict[int, tuple[int, int]], int]:
        """Read a page's table: values of the tags that are numbers, places of texts, place of the next table."""
        n_tags = self._count.unpack(self.source.at(offset, self._count.size, f"the table of {what}"))[0]
        if not 0 < n_tags <= MAX_TAGS:
            raise self._damaged(what, "a table of tags", f"one of {n_tags} entries")
        table = offset + self._count.size
        n_bytes = n_tags * self._entry.size
        raw = self.source.at(table, n_bytes + self._next.size, f"the table of {what}")
        numbers: dict[int, tuple[int, ...]] = {}
        texts: dict[int, tuple[int, int]] = {}
        for i, (tag, kind, count, value) in enumerate(self._entry.iter_unpack(raw[:n_bytes])):
            if tag in numbers:
                raise self._damaged(what, f"tag {tag} once", "two of them")
            if tag in _NUMBERS:
                if kind not in _TYPES:
                    raise self._damaged(what, f"a number in tag {tag}", f"type {kind}")
                size, code = _TYPES[kind]
                if size * count > len(value):
                    value = self.source.at(self._next.unpack(value)[0], size * count, f"tag {tag} of {what}")
                numbers[tag] = struct.unpack(f"{self.order}{count}{code}", value[: size * count])
            elif tag in (_DESCRIPTION, _SOFTWARE):
                inside = table + (i + 1) * self._entry.size - len(value)
                place = inside if count <= len(value) else self._next.unpack(value)[0]
                texts.setdefault(tag, (count, place))  # a second description is the writer's remark on the first
            elif tag == _METAMORPH_STACK and count > 1:
                raise FormatError(
                    f"{self.source.name}: expected a page for every frame, found a MetaMorph stack of {count} frames "
                    "in one page; save it as an ordinary multipage TIFF"
                )
        return numbers, texts, self._next.unpack(raw[n_bytes:])[0]

    def _layout(self, numbers: dict[int, tuple[int, ...]], what: str) -> PageLayout:
        def first(tag: int, default: int) -> int:
            return (numbers.get(tag) or (default,))[0]

        height, width = first(_HEIGHT, 0), first(_WIDTH, 0)
        if not height or not width:
            raise self._damaged(what, "a height and a width", f"{height} x {width}")
        kind, bits, name = first(_SAMPLE_FORMAT, 1), first(_BITS, 1), self.source.name
        samples, depth = first(_SAMPLES, 1), first(_DEPTH, 1)
        if (samples, depth) != (1, 1):
            found = f"{samples} samples a pixel (a colour image?)" if samples != 1 else f"{depth} layers"
            raise FormatError(
                f"{name}: expected one sample a pixel, found {found} in {what}; save the recording as greyscale, "
                "or move this file out of the folder"
            )
        if kind not in (1, 2) or bits not in (8, 16, 32):
            raise FormatError(
                f"{name}: expected integers of 8, 16 or 32 bits, found {_KINDS.get(kind, f'type {kind}')} samples of "
                f"{bits} bits in {what}; save the recording as the microscope's own int16 or uint16"
            )
        compression = first(_COMPRESSION, 1)
        if compression not in COMPRESSIONS:
            raise FormatError(
                f"{name}: expected compression with {', '.join(dict.fromkeys(COMPRESSIONS.values()))}, found "
                f"number {compression} in {what}; save the recording without compression"
            )
        chunk = (min(first(_ROWS, height) or height, height), width)
        if _TILE_OFFSETS in numbers:
            chunk = (first(_TILE_HEIGHT, 0), first(_TILE_WIDTH, 0))
            if not all(chunk):
                raise self._damaged(what, "the size of its tiles", f"{chunk[0]} x {chunk[1]}")
        if max(height * width, chunk[0] * chunk[1]) * bits // 8 > MAX_FRAME_BYTES:
            raise self._damaged(
                what,
                f"frames, strips and tiles of at most {MAX_FRAME_BYTES >> 20} MB",
                f"{height} x {width} pixels of {bits} bits in parts of {chunk[0]} x {chunk[1]}",
            )
        dtype = f"{self.order if bits > 8 else '|'}{'u' if kind == 1 else 'i'}{bits // 8}"
        return PageLayout(height, width, dtype, compression, first(_PREDICTOR, 1), first(_FILL_ORDER, 1), chunk)
