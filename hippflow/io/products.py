"""Products as hickle files that PyHipp's own classes load.

Reads and writes the attribute dictionary of a DataProcessingTools object in
hickle's HDF5 layout. Writes layout 5 (hickle 5); reads layouts 4 and 5 with h5py
alone, without unpickling anything, so that a file from elsewhere runs no code.
Does not read hickle 3, nor objects that hickle stored as pickles (pandas frames).
"""

import ast
import re
from pathlib import Path
from typing import Any

import h5py
import hickle
import numpy as np

from hippflow.errors import FormatError
from hippflow.io.atomic import whole_file
from hippflow.names import LEVEL_DEPTH


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
        hickle.dump(fields, str(part), mode="w")


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
    if not path.exists():
        raise FormatError(f"{path}: expected a product, found no file; run the workflow for it first")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FormatError(
            f"{path}: expected a hickle (HDF5) file, found something else ({error}); delete it and run again"
        ) from error
    if "data" not in file or "HICKLE_VERSION" not in file.attrs:
        file.close()
        raise FormatError(f"{path}: an HDF5 file, but not in the layout of hickle 4 or 5; delete it and run again")
    return file


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
        The value is a pickle, or of a type that no product has.
    """
    if isinstance(node, h5py.Dataset) and h5py.check_ref_dtype(node.dtype):
        node = file[node[()]]  # layout 5 stores an object once and refers to it afterwards
    kind = _kind(file, node)
    if isinstance(node, h5py.Group) and kind == "dict":
        entries = sorted(node.values(), key=lambda child: child.attrs["key_idx"])
        return dict(_entry(file, child) for child in entries)
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](_items(file, node))
    if kind == "ndarray":
        return _array(file, node)
    if isinstance(node, h5py.Dataset):
        if kind in ("str", "bytes"):
            return _content(node).decode() if kind == "str" else _content(node)
        if kind in _SCALARS:
            return _SCALARS[kind](node[()])
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


def _entry(file: h5py.File, node: h5py.Group | h5py.Dataset) -> tuple[Any, Any]:
    """Return key and value of a dictionary's entry."""
    name, key_type = node.name.rsplit("/", 1)[-1], _attribute(node, "key_base_type")
    if key_type == "key_value":  # layout 5 stores a key with a slash, which is no HDF5 name, beside the value
        return decode(file, node)
    if value_node(node) != node:  # layout 4 names it by the key as Python writes it, with slashes as two backslashes
        return ast.literal_eval(name.replace(r"\\", "/")), decode(file, value_node(node))
    return name[1:-1] if key_type == "str" else ast.literal_eval(name), decode(file, node)


def value_node(entry: h5py.Group | h5py.Dataset) -> h5py.Group | h5py.Dataset:
    """Return the value of a dictionary's entry, around which layout 4 puts a group."""
    return entry["data"] if _attribute(entry, "base_type") == "dict_item" else entry


def _items(file: h5py.File, node: h5py.Group | h5py.Dataset) -> list[Any]:
    """Return the items of a sequence, which is one dataset if they are alike."""
    if isinstance(node, h5py.Group):
        return [decode(file, child) for child in sorted(node.values(), key=_item_index)]
    if node.shape is None:
        return []
    items = node[()].tolist()
    return [item.decode() for item in items] if _attribute(node, "str_type") == "str" else items


def _item_index(node: h5py.Group | h5py.Dataset) -> int:
    return int(re.search(r"\d+$", node.name)[0])


def _array(file: h5py.File, node: h5py.Group | h5py.Dataset) -> np.ndarray:
    """Return an array; strings and objects are stored as lists."""
    dtype = np.dtype(_attribute(node, "np_dtype") or node.dtype)
    if isinstance(node, h5py.Group) or node.shape is None:
        return np.array(_items(file, node), dtype)
    return np.asarray(node[()], dtype)


def _content(node: h5py.Dataset) -> bytes:
    """Return the bytes of a string: one value in layout 4, an array of bytes in layout 5."""
    value = node[()]
    return value.tobytes() if isinstance(value, np.ndarray) else bytes(value)
