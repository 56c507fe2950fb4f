"""TIFF files as tests need them: by tifffile, and byte by byte where no writer makes what is wanted."""

import struct

import numpy as np

#: Sizes that no strip or tile of the tests divides.
HEIGHT, WIDTH = 21, 29


def movie_array(n_pages, dtype="int16", height=HEIGHT, width=WIDTH, seed=0):
    """Frames of any values that the type has, in few enough patterns that compression has something to do."""
    limits = np.iinfo(dtype)
    values = np.random.default_rng(seed).integers(limits.min, limits.max, 300, dtype, endpoint=True)
    return values[np.random.default_rng(seed + 1).integers(0, values.size, (n_pages, height, width))]


def all_frames(movie, channel=1, **how):
    """Frames of a channel as one array (time, plane, row, column), and the time points at which blocks began."""
    blocks = [(first, frames.copy()) for first, frames in movie.blocks(channel, **how)]
    return np.concatenate([frames for _, frames in blocks]), [first for first, _ in blocks]


def write_by_hand(
    path, frames, *, description="", software="", big=False, rows=None, reverse=False, gap=b"", tags=(), drop=()
):
    """Write little-endian uncompressed pages: table, texts, strips, in this order.

    `rows` a strip; `reverse` puts the strips of a page in the file backwards; `gap` follows the header; `tags` are
    (number, type, values) to add; `drop` are numbers of tags to leave out. Return the places of the pages' tables.
    """
    rows = rows or frames.shape[1]
    sizes = {3: 2, 4: 4, 16: 8}
    code = {3: "H", 4: "I", 16: "Q"}
    word, head, n_count, n_next = (16, 16, 8, 8) if big else (4, 8, 2, 4)
    out = bytearray((b"II" + struct.pack("<HHHQ", 43, 8, 0, 0)) if big else (b"II" + struct.pack("<HI", 42, 0)))
    out += gap
    places, link = [], head - n_next
    for i, frame in enumerate(frames):
        strips = [frame[top : top + rows].tobytes() for top in range(0, frame.shape[0], rows)]
        entries = {
            256: (4, [frame.shape[1]]), 257: (4, [frame.shape[0]]), 258: (3, [frame.dtype.itemsize * 8]),
            259: (3, [1]), 262: (3, [1]), 273: (word, [0] * len(strips)), 277: (3, [1]), 278: (4, [rows]),
            279: (word, [len(strip) for strip in strips]), 339: (3, [2 if frame.dtype.kind == "i" else 1]),
        }  # fmt: skip
        texts = {270: description, 305: software} if i == 0 else {}
        entries |= {tag: (2, text.encode() + b"\0") for tag, text in texts.items() if text}
        entries |= {tag: (kind, values) for tag, kind, values in tags}
        entries = {tag: entries[tag] for tag in sorted(entries) if tag not in drop}
        out += b"\0" * (len(out) % 2)
        places.append(len(out))
        struct.pack_into("<Q" if big else "<I", out, link, len(out))
        size = 20 if big else 12
        room = 8 if big else 4
        extra = len(out) + n_count + size * len(entries) + n_next
        table, tail, later = bytearray(struct.pack("<Q" if big else "<H", len(entries))), bytearray(), {}
        for tag, (kind, values) in entries.items():
            raw = bytes(values) if kind == 2 else struct.pack(f"<{len(values)}{code[kind]}", *values)
            table += struct.pack("<HHQ" if big else "<HHI", tag, kind, len(values))
            if len(raw) <= room:
                later[tag] = places[-1] + len(table)
                table += raw.ljust(room, b"\0")
            else:
                later[tag] = extra + len(tail)
                table += struct.pack("<Q" if big else "<I", extra + len(tail))
                tail += raw
        link = len(out) + len(table)
        out += table + b"\0" * n_next + tail
        for k in reversed(range(len(strips))) if reverse else range(len(strips)):
            if 273 in later:
                struct.pack_into(f"<{code[word]}", out, later[273] + k * sizes[word], len(out))
            out += strips[k]
    path.write_bytes(out)
    return places
