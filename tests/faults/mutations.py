"""Damage to files: of any bytes, and of what text and binary formats are made of.

Products (HDF5) are damaged through HDF5 itself: fields, attributes, types, sizes and links. Their bytes are read by its
library, in C, which is not ours, and does not always come to an end where they are damaged.
"""

import contextlib
import io
import random
import re
import struct
from typing import Any

import h5py
import numpy as np

#: Formats that are text.
TEXT = frozenset({"virtualmaze", "asc", "config", "curation", "tables"})

#: No damaged file is longer.
MAX_BYTES = 1 << 17

_BOUNDS = [
    0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1,
]  # fmt: skip
_NUMBERS = [
    b"0", b"-1", b"1e999", b"-1e999", b"nan", b"NaN", b".nan", b"inf", b"-inf", b".inf", b"Infinity", b"1e308",
    b"1e-320", b"2147483648", b"9223372036854775808", b"99999999999999999999999", b"1_0", b"0x10", b"1.5",
    b"-0.0", b"", b".", b"-", b"1e", b"\xd9\xa3", b"1" * 5000, b"4294967295", b"0001", b"1.0", b"true", b"null",
    b"2010-13-45",
]  # fmt: skip
_PIECES = [
    b"\0", b"\r", b"\n", b"\r\n", b"\x0b", b"\x0c", b"\x1c", b"\x1a", b"\xc2\x85", b"\xc2\xa0", b"\xe2\x80\xa8",
    b"\xff", b"\xef\xbb\xbf", b"\xc3\x28", b'"', b"'", b",", b";", b"\t", b" ", b":", b"#", b"{", b"}", b"[",
    b"]", b"&a ", b"*a", b"<<: *a\n", b"!!python/object:os.system x", b"!!int ", b"!!timestamp ", b"? ", b"- ",
    b"|", b"---\n", b"...\n", b"%", b"\xf0\x9f\x90\x92", b"MSG 5 x\n", b"END\t1\n", b"START\t1\n",
    b"SAMPLES\tGAZE\tLEFT\tRATE\t1000\n", b"SBLINK L 4\n", b"EFIX L 1 2\n", b"EFIX LR nan inf\n", b"{\"a\":",
    b"unit", b"cell", b"null", b"<!DOCTYPE x>", b"../",
]  # fmt: skip


def damaged(seeds: list[bytes], rng: random.Random, name: str) -> bytes:
    """Return one of the files of a format with one to four changes."""
    if name == "hickle":
        return _damaged_hickle(rng.choice(seeds), rng)
    data, is_text = bytearray(rng.choice(seeds)), name in TEXT
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        change = rng.choice(_OF_TEXT if is_text and rng.random() < 0.75 else _OF_BYTES)
        data = bytearray(change(bytes(data), rng, seeds))
        if len(data) > MAX_BYTES:
            data = data[:MAX_BYTES]
    return bytes(data)


def _place(data: bytes, rng: random.Random) -> int:
    """Return a place in a file, every other time within its headers."""
    size = max(1, len(data))
    return rng.randrange(min(size, 400)) if rng.random() < 0.5 else rng.randrange(size)


def _piece(data: bytes, rng: random.Random) -> tuple[int, int]:
    begin = _place(data, rng)
    return begin, min(len(data), begin + rng.choice((1, 2, 4, 8, 9, 13, 16, 33, 66, 200)))


def _flip(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if out:
            out[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(out)


def _integer(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    """Write a number of 1, 2, 4 or 8 bytes over the file, of either byte order."""
    size, code = rng.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    value = rng.choice([*_BOUNDS, len(data), len(data) - 1, len(data) + 1, rng.getrandbits(64)]) % (1 << 8 * size)
    place = _place(data, rng)
    if rng.random() < 0.5:
        place -= place % 2
    return data[:place] + struct.pack(f"{rng.choice('<<<>')}{code}", value) + data[place + size :]


def _cut(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _extend(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    more = rng.choice((b"\0", b"\xff", rng.randbytes(7), data[-40:]))
    return data + more * rng.choice((1, 2, 100))


def _double(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    begin, stop = _piece(data, rng)
    return data[:stop] + data[begin:stop] * rng.choice((1, 1, 3, 50)) + data[stop:]


def _remove(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    begin, stop = _piece(data, rng)
    return data[:begin] + data[stop:]


def _swap(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    (a, b), (c, d) = sorted((_piece(data, rng), _piece(data, rng)))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:] if b <= c else data


def _splice(data: bytes, rng: random.Random, seeds: list[bytes]) -> bytes:
    other = rng.choice(seeds)
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def _number(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    """Put another number where one is."""
    found = list(re.finditer(rb"-?\d[\d.]*", data))
    if not found:
        return data
    match = rng.choice(found)
    return data[: match.start()] + rng.choice(_NUMBERS) + data[match.end() :]


def _column(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    """Take a word out of a line, or double it."""
    found = list(re.finditer(rb"[^\s,]+[ \t,]*", data))
    if not found:
        return data
    match = rng.choice(found)
    return data[: match.start()] + match[0] * rng.choice((0, 0, 2)) + data[match.end() :]


def _insert(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    place = _place(data, rng)
    return data[:place] + rng.choice(_PIECES) * rng.choice((1, 1, 1, 2, 30)) + data[place:]


def _lines(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    """Move, double or take out a line."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.choice((0, 1, 2))):
        lines.insert(rng.randrange(len(lines) + 1), line)
    return b"".join(lines)


def _long(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    """Make a line very long, or a nesting very deep."""
    place = _place(data, rng)
    piece = rng.choice((b" ", b"a", b"1 ", b"\t", b"[", b'{"a":', b"(", b"- ", b"9", b": ", b"&a [*a,"))
    return data[:place] + piece * rng.choice((300, 1500, 20_000)) + data[place:]


def _encode(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    """Write the text in another encoding."""
    return data.decode("latin-1").encode(rng.choice(("utf-16", "utf-16-be", "utf-8-sig", "utf-32", "cp500")))


_OF_BYTES = (_flip, _flip, _integer, _integer, _integer, _cut, _extend, _double, _remove, _swap, _splice)
_OF_TEXT = (_number, _number, _number, _column, _column, _insert, _insert, _lines, _lines, _long, _encode, _double)


def _damaged_hickle(data: bytes, rng: random.Random) -> bytes:
    file = io.BytesIO(data)
    refused = (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError)  # by HDF5 itself
    with h5py.File(file, "r+") as content, contextlib.suppress(*refused):
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            names = ["data"]
            content["data"].visit(lambda name, found=names: found.append(f"data/{name}"))
            rng.choice(_OF_HICKLE)(content, rng.choice(names), rng, names)
    return file.getvalue()


def _delete(content: h5py.File, name: str, rng: random.Random, names: list[str]) -> None:
    del content[name]


def _attribute(content: h5py.File, name: str, rng: random.Random, names: list[str]) -> None:
    """Change an attribute, by which hickle tells types and keys, or take it out."""
    node = content[name] if rng.random() < 0.9 else content
    key = rng.choice([*node.attrs, "base_type", "type", "np_dtype", "str_type", "key_base_type", "key_idx"])
    values: list[Any] = [
        "int", "dict", "dict_item", "list", "tuple", "ndarray", "str", "np_scalar", "pickle", "O", "U9", "f8", "V8",
        b"list", b"\xff", 5, -1, np.nan, 2**62, np.arange(3), "S1000000", "key_value", node.ref, content.ref,
    ]  # fmt: skip
    if rng.random() < 0.25 and key in node.attrs:
        del node.attrs[key]
    else:
        node.attrs[key] = rng.choice(values)


def _replace(content: h5py.File, name: str, rng: random.Random, names: list[str]) -> None:
    """Put something else in the place of a value, among it what is promised and not there."""
    attributes = dict(content[name].attrs)
    del content[name]
    size = rng.choice((10, 10**9, 10**12))
    new: list[dict[str, Any]] = [
        {"data": np.nan}, {"data": "text"}, {"data": b"\xff"}, {"data": np.zeros((2, 2))}, {"data": np.zeros(0)},
        {"data": np.int64(-5)}, {"data": np.full(4, 2**63, "u8")}, {"data": np.array([b"a", b"b"])},
        {"data": h5py.Empty("f8")}, {"data": content.ref, "dtype": h5py.ref_dtype}, {"data": 1j},
        {"shape": (size,), "dtype": "f4", "chunks": (1000,)}, {"shape": (size, size), "dtype": "i2", "chunks": (9, 9)},
    ]  # fmt: skip
    node = content.create_dataset(name, **rng.choice(new))
    for key, value in attributes.items():
        node.attrs[key] = value


def _link(content: h5py.File, name: str, rng: random.Random, names: list[str]) -> None:
    """Put a link in the place of a value: to another one, to what it is in, to another file, to nothing."""
    other = rng.choice([*names, "data"])
    links = [
        h5py.SoftLink(f"/{other}"),
        h5py.SoftLink("/nothing"),
        h5py.ExternalLink("/etc/passwd", "/"),
        content[other],
    ]
    del content[name]
    content[name] = rng.choice(links)


def _move(content: h5py.File, name: str, rng: random.Random, names: list[str]) -> None:
    parts = name.rpartition("/")
    content.move(
        name, f"{parts[0]}{parts[1]}{rng.choice(['data', 'data0', chr(34), '(', '[' * 300, 'b', 'é', '1e999'])}"
    )


_OF_HICKLE = (_delete, _attribute, _attribute, _attribute, _replace, _replace, _link, _move)
