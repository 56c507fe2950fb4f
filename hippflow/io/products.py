"""Products as hickle files that PyHipp's own classes load.

Reads and writes the attribute dictionary of a DataProcessingTools object in
hickle's HDF5 layout. Writes layout 5 (hickle 5); reads layouts 4 and 5 with h5py
alone, without unpickling anything, so that a file from elsewhere runs no code.
Does not read hickle 3, nor objects that hickle stored as pickles (pandas frames).
"""

from pathlib import Path
from typing import Any

import h5py
import hickle
import numpy as np

from ..day.names import LEVEL_DEPTH
from ..errors import FormatError
from .atomic import whole_file


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
    if "data" not in file and "data_0" not in file:
        file.close()
        raise FormatError(
            f"{path}: an HDF5 file, but not in a hickle layout (no 'data' in it); delete it and run again"
        )
    return file


def _kind(file: h5py.File, node: h5py.Group | h5py.Dataset) -> str:
    """Name the Python type that hickle stored as `node` (layout 5 by reference, 4 by attribute)."""
    if "base_type" in node.attrs:
        kind = node.attrs["base_type"]
        return kind.decode() if isinstance(kind, bytes) else str(kind)
    if "type" not in node.attrs:
        return "dict_item" if isinstance(node, h5py.Group) else "ndarray"
    entry = file[node.attrs["type"]]
    if isinstance(entry.attrs.get("base_type"), h5py.Reference):
        entry = file[entry.attrs["base_type"]]
    return entry.name.rsplit("/", 1)[-1]


def _text(node: h5py.Dataset) -> str:
    value = node[()]
    if isinstance(value, np.ndarray):
        return value.tobytes().decode()
    return value.decode() if isinstance(value, bytes) else str(value)


def _key(node: h5py.Group | h5py.Dataset) -> str:
    """Give a dictionary's key back without the quotes that hickle puts around strings."""
    return node.name.rsplit("/", 1)[-1].strip("'\"")


def decode(file: h5py.File, node: h5py.Group | h5py.Dataset) -> Any:
    """Return the Python value that hickle stored as `node` of `file`."""
    kind = _kind(file, node)
    if isinstance(node, h5py.Group):
        children = list(node.values())
        if kind == "dict":
            children.sort(key=lambda child: child.attrs.get("key_idx", 0))
            return {_key(child): decode(file, child) for child in children}
        if kind == "dict_item":  # layout 4 wraps every value of a dictionary in a group of its own
            return decode(file, children[0])
        items = [decode(file, child) for child in sorted(children, key=_item_index)]
        return np.array(items) if kind == "ndarray" else tuple(items) if kind == "tuple" else items
    if kind in ("None", "none"):
        return None
    if node.shape is None:
        return [] if kind == "list" else ()
    if kind in ("str", "string", "bytes"):
        return _text(node)
    value = node[()]
    if kind in ("list", "tuple"):
        return value.tolist() if kind == "list" else tuple(value.tolist())
    if kind in ("int", "float", "bool"):
        return value.item() if hasattr(value, "item") else value
    return value


def _item_index(node: h5py.Group | h5py.Dataset) -> int:
    if "item_index" in node.attrs:
        return int(node.attrs["item_index"])
    digits = "".join(filter(str.isdigit, node.name.rsplit("/", 1)[-1]))
    return int(digits or 0)
