"""Arrays in .npy files, those with pickled objects included, without running code from the file.

suite2p stores dictionaries and lists of dictionaries as pickles in .npy files. A
pickle can call any function when it is loaded; here nothing is called but what
builds numpy's own arrays and numbers, and every length is compared with what is
there before room is made for it. So a file from elsewhere is harmless, and a
damaged one an error. Does not read structured arrays and dates among the objects.
"""

import io
import math
import pickle
import re
import struct
import sys
import warnings
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from hippflow.errors import FormatError

#: What bytes that are no pickle can spell.
_DAMAGE = (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ImportError, pickle.UnpicklingError)
_DAMAGE += (OverflowError, RecursionError, MemoryError, AssertionError, SyntaxError, TokenError, struct.error)

#: What stands for numpy.ndarray, of which a pickle may say that it wants one, and no more.
_ARRAY = object()


def _empty_array(kind: Any, shape: Any, _: Any) -> np.ndarray:
    if kind is not _ARRAY or shape != (0,):
        raise ValueError("an array that does not begin empty")
    return np.empty(0)


def _dtype(code: str, *_: Any) -> np.dtype:
    if not isinstance(code, str) or not re.fullmatch(r"[?a-zA-Z]\d{0,9}", code):
        raise ValueError(f"a type of numbers that is not read: {code!r}")
    return np.dtype(code, copy=True)  # its state is set next, and the plain one is shared by all of numpy


def _scalar(dtype: np.dtype, raw: bytes) -> Any:
    return _of_bytes(raw, dtype, (), "C")[()]


def _of_bytes(raw: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise ValueError("objects where numbers belong")
    _check_text(raw, dtype)
    return np.frombuffer(bytes(raw), dtype).reshape(shape, order=order).copy()


def _check_text(raw: bytes, dtype: np.dtype) -> None:
    """Check that what is stored as text are characters: numpy finds out when it is used."""
    codes = np.frombuffer(raw, np.dtype("u4").newbyteorder(dtype.byteorder)) if dtype.kind == "U" else np.zeros(0)
    if codes.max(initial=0) > sys.maxunicode:
        raise ValueError("text of other than characters")


def _bytes(text: str, _: Any) -> bytes:
    return text.encode("latin1")


#: What a pickle may ask for: the parts that numpy takes its arrays, types and numbers apart into.
_PARTS = {("numpy", "ndarray"): _ARRAY, ("numpy", "dtype"): _dtype, ("_codecs", "encode"): _bytes}
for _core in ("numpy.core", "numpy._core"):
    _PARTS[f"{_core}.multiarray", "_reconstruct"] = _empty_array
    _PARTS[f"{_core}.multiarray", "scalar"] = _scalar
    _PARTS[f"{_core}.numeric", "_frombuffer"] = _of_bytes

#: Opcodes that make objects in other ways than numpy does, or take them from elsewhere.
_REFUSED = ("INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER")


class _Unpickler(pickle._Unpickler):
    """Builds numpy's arrays and numbers, and nothing else.

    The one written in Python, because that in C lets nobody look at the state that an object is given: a forged type
    would have numpy take numbers for addresses, and a forged shape fill the memory. 5000 ROIs take a second.
    """

    dispatch = {  # noqa: RUF012 - as in the base class
        code: load
        for code, load in pickle._Unpickler.dispatch.items()
        if code not in {getattr(pickle, n)[0] for n in _REFUSED}
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PARTS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is neither an array nor a number")
        return _PARTS[module, name]

    def load_build(self) -> None:
        """Give an array or a type the state that was stored, if it can be one."""
        state = self.stack.pop()
        inst = self.stack[-1]
        if isinstance(inst, np.ndarray):
            _, shape, dtype, _, content = state
            size = math.prod(shape) * (1 if dtype.hasobject else dtype.itemsize)
            good = isinstance(content, list if dtype.hasobject else bytes) and len(content) == size
            if good and not dtype.hasobject:
                _check_text(content, dtype)
        elif isinstance(inst, np.dtype):
            _, _, *structure, size, _, flags = state
            good = structure == [None] * 3 and size in (-1, inst.itemsize) and flags == inst.flags
        else:
            good = False
        if not good:
            raise ValueError(f"a state that does not fit {type(inst).__name__}")
        inst.__setstate__(state)

    dispatch[pickle.BUILD[0]] = load_build


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

    Notes
    -----
    The format has no checksum: damage within the numbers gives other numbers.

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
            shape, dtype = _read_header(file)
            if dtype.hasobject != objects:
                raise ValueError(f"it holds {'objects' if dtype.hasobject else f'numbers ({dtype})'}")
            if objects:
                array = _read_objects(file, shape)
            else:
                _check_size(file, math.prod(shape) * dtype.itemsize)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # that numpy of Python 2 wrote it
                    array = np.load(path, mmap_mode="r" if mapped and 0 not in shape else None, allow_pickle=False)
    except _DAMAGE as error:
        kind = "objects" if objects else "numbers"
        raise FormatError(f"{path}: expected a .npy file of {kind}, cannot read it ({error}); make it anew") from error
    return array.item() if objects and array.ndim == 0 else array


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    version = npy_format.read_magic(file)
    read = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version[0]}.{version[1]} of the format is not read")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that numpy of Python 2 wrote it
        shape, _, dtype = read(file)
    if len(shape) > 32 or any(not 0 <= size < 2**63 for size in shape) or (math.prod(shape) >= 2**63):
        raise ValueError(f"a shape that no array has: {str(shape)[:80]}")
    return shape, dtype


def _check_size(file: BinaryIO, expected: int) -> None:
    """Check that the file has what its header promises, before room is made for that."""
    start = file.tell()
    found = file.seek(0, io.SEEK_END) - start
    if found != expected:
        raise ValueError(f"its header promises {expected} bytes, there are {found}")


def _read_objects(file: BinaryIO, shape: tuple[int, ...]) -> np.ndarray:
    content = io.BytesIO(file.read())
    array = _Unpickler(content).load()
    if not isinstance(array, np.ndarray) or not array.dtype.hasobject or array.shape != shape or content.read(1):
        raise ValueError(f"its header promises objects of shape {shape}, its content is something else")
    return array
