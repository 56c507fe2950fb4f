"""Products as hickle files that PyHipp's own classes load.

Reads and writes the attribute dictionary of a DataProcessingTools object in
hickle's HDF5 layout. Writes layout 5 (hickle 5); reads layouts 4 and 5 with h5py
alone, without unpickling anything, so that a file from elsewhere runs no code.
Does not read hickle 3, nor objects that hickle stored as pickles (pandas frames).
"""

import ast
import re
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import hickle
import numpy as np

from hippflow.errors import FormatError
from hippflow.io.atomic import whole_file
from hippflow.names import LEVEL_DEPTH

#: What h5py and the decoding of what it gives raise where a file is damaged.
DAMAGE = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError)
DAMAGE += (TypeError, ValueError)

#: Most values within each other that a product has; a link to what it is in would make endless many.
MAX_LEVELS = 64

#: How many bytes of a product one byte of its file can be, where it is compressed.
MAX_RATIO = 1100


def base_fields(path: str | Path, level: str, args: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the fields that every DataProcessingTools object carries.

    Parameters
    ----------
    path : path
        The product's file; its folder's last components become `dirs`.
    level : {'session', 'channel', 'cell'}
        Level of the product in the folder tree.
    args : dict, optional
        Arguments in PyHipp's order; they are what the name's hash is made of.

    Examples
    --------
    >>> base_fields("r/picasso/20181105/session01/rplparallel_d41d.hkl", "session")["dirs"]
    ['picasso/20181105/session01']
    """
    folder = Path(path).parent.parts[-LEVEL_DEPTH[level] :]
    return {
        "args": dict(args or {}),
        "dirs": ["/".join(folder)],
        "setidx": [],
        "plotopts": {"indexer": level},
        "current_idx": None,
    }


def write_product(path: str | Path, fields: dict[str, Any]) -> None:
    """Write `fields` as a hickle file, whole or not at all."""
    with whole_file(path) as part:
        # in memory, with the same bytes: HDF5 may end the process where a disk is full
        with h5py.File(part, "w", driver="core", backing_store=False, block_size=1 << 20) as file:
            hickle.dump(fields, file)
            file.flush()
            image = file.id.get_file_image()
        part.write_bytes(image)


def read_product(path: str | Path) -> dict[str, Any]:
    """Read all fields of a product, of this or an older hickle layout.

    Returns
    -------
    dict
        Field names and values; arrays keep dtype and shape.

    Raises
    ------
    FormatError
        The file is no HDF5 file or not in a hickle layout.

    Examples
    --------
    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "rplparallel_d41d.hkl")
    >>> write_product(path, {"markers": np.zeros((0, 3), "u2"), "numSets": 1})
    >>> read_product(path)
    {'markers': array([], shape=(0, 3), dtype=uint16), 'numSets': 1}
    """
    with open_hickle(path) as file:
        return decode(file, file["data"])


def open_hickle(path: str | Path) -> h5py.File:
    """Open a hickle file for reading and check that it is one."""
    path = Path(path)
    try:
        is_there = path.exists()
    except OSError:  # a name that is too long
        is_there = False
    if not is_there:
        raise FormatError(f"{path}: expected a product, found no file; run the workflow for it first")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FormatError(
            f"{path}: expected a hickle (HDF5) file, found something else ({error}); delete it and run again"
        ) from error
    try:
        is_hickle = isinstance(file["data"], h5py.Group | h5py.Dataset) and "HICKLE_VERSION" in file.attrs
    except DAMAGE:
        is_hickle = False
    if not is_hickle:
        file.close()
        raise FormatError(f"{path}: an HDF5 file, but not in the layout of hickle 4 or 5; delete it and run again")
    try:
        elsewhere = file.id.links.visit(_is_link_elsewhere, info=True)
        elsewhere = elsewhere or h5py.h5o.visit(file.id, partial(_is_stored_elsewhere, file), info=True)
    except DAMAGE as error:
        file.close()
        raise damaged(path, error) from error
    if elsewhere:
        file.close()
        raise FormatError(
            f"{path}: expected values in the file itself, found {elsewhere!r}, which is in another file; such a value "
            "is not read: it could be anything on this machine. Delete it and run again"
        )
    return file


def _is_link_elsewhere(name: bytes, link: Any) -> bytes | None:
    """Return the name of a link to another file."""
    return name if link.type not in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT) else None


def _is_stored_elsewhere(file: h5py.File, name: bytes, node: Any) -> bytes | None:
    """Return the name of a dataset whose content is in another file, be it HDF5 or any other."""
    if node.type != h5py.h5o.TYPE_DATASET:
        return None
    stored = h5py.h5d.open(file.id, name).get_create_plist()
    return name if stored.get_external_count() or stored.get_layout() == h5py.h5d.VIRTUAL else None


def _attribute(node: h5py.Group | h5py.Dataset, name: str) -> str:
    """Return a text attribute, which h5py gives as str or bytes; '' if there is none."""
    value = node.attrs.get(name, "")
    return value.decode() if isinstance(value, bytes) else str(value)


def _kind(file: h5py.File, node: h5py.Group | h5py.Dataset) -> str:
    """Name the Python type that hickle stored as `node` (layout 4 by attribute, 5 by reference)."""
    if "type" not in node.attrs or "base_type" in node.attrs:
        return _attribute(node, "base_type")
    entry = file[node.attrs["type"]]
    if "base_type" in entry.attrs:
        entry = file[entry.attrs["base_type"]]
    return entry.name.rsplit("/", 1)[-1]


def decode(file: h5py.File, node: h5py.Group | h5py.Dataset) -> Any:
    """Return the Python value that hickle stored as `node` of `file`.

    Raises
    ------
    FormatError
        The value is a pickle, of a type that no product has, or damaged.
    """
    try:
        return _decode(file, node, 0)
    except DAMAGE as error:
        raise damaged(file.filename, error) from error


def damaged(path: str | Path, error: Exception) -> FormatError:
    """Return the error for a file of which HDF5 or what reads its content says that it is damaged."""
    return FormatError(
        f"{path}: expected values in the layout of hickle, cannot read them ({type(error).__name__}: {error!s:.200}); "
        "the file is damaged. Delete it and run again"
    )


def _decode(file: h5py.File, node: h5py.Group | h5py.Dataset, level: int) -> Any:
    if level > MAX_LEVELS:
        raise ValueError(f"more than {MAX_LEVELS} values within each other")
    if isinstance(node, h5py.Dataset) and h5py.check_ref_dtype(node.dtype):
        node = file[_value(node)]  # layout 5 stores an object once and refers to it afterwards
    kind = _kind(file, node)
    if isinstance(node, h5py.Group) and kind == "dict":
        entries = sorted(node.values(), key=lambda child: child.attrs["key_idx"])
        return dict(_entry(file, child, level) for child in entries)
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](_items(file, node, level))
    if kind == "ndarray":
        return _array(file, node, level)
    if isinstance(node, h5py.Dataset):
        if kind in ("str", "bytes"):
            return _content(node).decode() if kind == "str" else _content(node)
        if kind in _SCALARS:
            return _SCALARS[kind](_value(node))
    raise FormatError(
        f"{file.filename}: expected plain values and arrays, found a {kind or 'pickle'} at {node.name}; "
        "such a value is not read, because loading it can run code from the file. "
        "If you trust the file, load it with hickle and save what you need as arrays"
    )


#: What hickle calls the types of values that are read, and what makes them from what is stored.
_SEQUENCES = {"list": list, "tuple": tuple, "set": set}
_SCALARS = {
    "int": int,
    "float": float,
    "complex": complex,
    "bool": bool,
    "np_scalar": lambda value: value,
    "None": lambda value: None,
}


def _entry(file: h5py.File, node: h5py.Group | h5py.Dataset, level: int) -> tuple[Any, Any]:
    """Return key and value of a dictionary's entry."""
    name, key_type = node.name.rsplit("/", 1)[-1], _attribute(node, "key_base_type")
    if key_type == "key_value":  # layout 5 stores a key with a slash, which is no HDF5 name, beside the value
        return _decode(file, node, level + 1)
    if value_node(node) != node:  # layout 4 names it by the key as Python writes it, with slashes as two backslashes
        return ast.literal_eval(name.replace(r"\\", "/")), _decode(file, value_node(node), level + 1)
    return name[1:-1] if key_type == "str" else ast.literal_eval(name), _decode(file, node, level + 1)


def value_node(entry: h5py.Group | h5py.Dataset) -> h5py.Group | h5py.Dataset:
    """Return the value of a dictionary's entry, around which layout 4 puts a group."""
    return entry["data"] if _attribute(entry, "base_type") == "dict_item" else entry


def _items(file: h5py.File, node: h5py.Group | h5py.Dataset, level: int) -> list[Any]:
    """Return the items of a sequence, which is one dataset if they are alike."""
    if isinstance(node, h5py.Group):
        return [_decode(file, child, level + 1) for child in sorted(node.values(), key=_item_index)]
    if node.shape is None:
        return []
    items = _value(node).tolist()
    return [item.decode() for item in items] if _attribute(node, "str_type") == "str" else items


def _item_index(node: h5py.Group | h5py.Dataset) -> int:
    return int(re.search(r"\d+$", node.name)[0])


def _array(file: h5py.File, node: h5py.Group | h5py.Dataset, level: int) -> np.ndarray:
    """Return an array; strings and objects are stored as lists."""
    dtype = np.dtype(_attribute(node, "np_dtype") or node.dtype)
    if isinstance(node, h5py.Group) or node.shape is None:
        return np.array(_items(file, node, level), dtype)
    return np.asarray(_value(node), dtype)


def check_room(node: h5py.Dataset) -> None:
    """Raise ValueError if a dataset promises more than its file can hold, before room is made for it."""
    size, there = node.size or 0, min(node.id.get_storage_size(), node.file.id.get_filesize())
    if size * node.dtype.itemsize > max(1 << 20, there * MAX_RATIO):
        raise ValueError(f"{size} numbers are promised at {node.name}, the file has {there} bytes of them")


def _value(node: h5py.Dataset) -> Any:
    """Return what a dataset holds."""
    check_room(node)
    return node[()]


def _content(node: h5py.Dataset) -> bytes:
    """Return the bytes of a string: one value in layout 4, an array of bytes in layout 5."""
    value = _value(node)
    return value.tobytes() if isinstance(value, np.ndarray) else bytes(value)
