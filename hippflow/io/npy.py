"""Arrays in .npy files, those with pickled objects included, without running code from the file.

suite2p stores dictionaries and lists of dictionaries as pickles in .npy files. A
pickle can call any function when it is loaded; here nothing is called but what
builds numpy's own arrays and numbers, so that a file from elsewhere is harmless.
"""

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.errors import FormatError

#: What a pickle may ask for: the parts that numpy takes its arrays, types and numbers apart into.
_PARTS = {
    (module, name)
    for core in ("numpy.core", "numpy._core")
    for module, name in (
        (f"{core}.multiarray", "_reconstruct"),
        (f"{core}.multiarray", "scalar"),
        (f"{core}.numeric", "_frombuffer"),
    )
} | {("numpy", "ndarray"), ("numpy", "dtype")}

#: What bytes that are no pickle can spell.
_DAMAGE = (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ImportError, pickle.UnpicklingError)
_DAMAGE += (OverflowError, RecursionError, MemoryError, AssertionError, struct.error)


class _Unpickler(pickle.Unpickler):
    """Builds numpy's arrays and numbers, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PARTS or (module == "numpy.dtypes" and name.endswith("DType")):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is neither an array nor a number")


def read_npy(path: str | Path, *, objects: bool = False, mapped: bool = False) -> Any:
    """Read a .npy file.

    Parameters
    ----------
    path : path
    objects : bool
        Whether it is a pickle; one is not the other.
    mapped : bool
        Leave plain numbers in the file, and read them where they are used.

    Returns
    -------
    ndarray or object
        The array; where it holds a single object, that object.

    Raises
    ------
    FormatError
        It is not there, damaged, or has a pickle that asks for more than arrays, numbers, text and their collections.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "db.npy")
    >>> np.save(path, {"Ly": 128, "fs": np.float32(2)})
    >>> read_npy(path, objects=True)
    {'Ly': 128, 'fs': np.float32(2.0)}
    """
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = getattr(np.lib.format, f"read_array_header_{version[0]}_0", None)
            if read_header is None:
                raise ValueError(f"version {version[0]}.{version[1]} of the format is not read")
            shape, _, dtype = read_header(file)
            if dtype.hasobject != objects:
                raise ValueError(f"it holds {'objects' if dtype.hasobject else f'numbers ({dtype})'}")
            if not objects:
                return np.load(path, mmap_mode="r" if mapped and 0 not in shape else None, allow_pickle=False)
            array = _Unpickler(file).load()
            if not isinstance(array, np.ndarray) or array.shape != shape:
                raise ValueError(f"its header promises objects of shape {shape}, its content is something else")
    except _DAMAGE as error:
        kind = "objects" if objects else "numbers"
        raise FormatError(f"{path}: expected a .npy file of {kind}, cannot read it ({error}); make it anew") from error
    return array.item() if array.ndim == 0 else array
