"""Arrays that are read and written block by block, so that a file takes no more memory than a block."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.data_utils import GenericDataChunkIterator

from hippflow.errors import FormatError
from hippflow.io.products import open_hickle, value_node

#: Rows and columns of a chunk in the file, at most.
CHUNK_ROWS, CHUNK_COLUMNS = 1 << 14, 16

#: Rows and bytes that are in memory at a time, at most (but for a single row that is larger).
BLOCK_ROWS, BLOCK_BYTES = 1 << 18, 1 << 25

#: Times of which none is further from where a constant rate has it, s, are stored as that rate.
REGULAR = 1e-8

#: Times that are looked at together.
_TIMES = 1 << 20

#: deflate: every reader of HDF5 has it.
COMPRESSION = {"compression": "gzip", "compression_opts": 4, "shuffle": True}


class _Blocks(GenericDataChunkIterator):
    """Asks a function for the rows of an array, block by block."""

    def __init__(self, read: Callable[[int, int], np.ndarray], shape: tuple[int, ...], dtype: Any):
        self._read, self._shape, self._type = read, shape, np.dtype(dtype)
        rest = shape[1:]
        n_rows = min(BLOCK_ROWS, max(1, BLOCK_BYTES // (int(np.prod(rest)) * self._type.itemsize)))
        chunk = min(shape[0], CHUNK_ROWS, n_rows)
        super().__init__(
            buffer_shape=(min(shape[0], n_rows // chunk * chunk), *rest),
            chunk_shape=(chunk, *(min(n, CHUNK_COLUMNS) for n in rest)),
        )

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        return self._read(selection[0].start, selection[0].stop)

    def _get_maxshape(self) -> tuple[int, ...]:
        return self._shape

    def _get_dtype(self) -> np.dtype:
        return self._type


def streamed(read: Callable[[int, int], np.ndarray], shape: tuple[int, ...], dtype: Any) -> H5DataIO:
    """Return an array for NWB that is read when it is written.

    Parameters
    ----------
    read : callable
        Returns rows start to stop (exclusive); asked once for each block, in ascending order.
    shape : tuple of int
        At least one row.
    dtype : dtype

    Returns
    -------
    H5DataIO
        Compressed, in chunks of :data:`CHUNK_ROWS` rows and :data:`CHUNK_COLUMNS` columns.
    """
    return H5DataIO(_Blocks(read, tuple(shape), dtype), **COMPRESSION)


def timing(read: Callable[[int, int], np.ndarray], n: int) -> dict[str, Any]:
    """Return how a series says when its samples were taken: by start and rate where they are regular, else one by one.

    Parameters
    ----------
    read : callable
        Returns the times of samples start to stop (exclusive), s; asked twice for each block.
    n : int
        Number of samples, at least one.

    Returns
    -------
    dict
        ``starting_time`` and ``rate``, or ``timestamps``, for NWB's TimeSeries.

    Examples
    --------
    >>> times = np.array([2.0, 2.5, 3.0])
    >>> timing(lambda start, stop: times[start:stop], 3)
    {'starting_time': 2.0, 'rate': 2.0}
    """
    first, last = float(read(0, 1)[0]), float(read(n - 1, n)[0])
    step = (last - first) / (n - 1) if n > 2 else 0.0
    if step > 0 and np.isfinite(step):
        starts = range(0, n, _TIMES)
        if all(_regular(read(k, min(n, k + _TIMES)), first + k * step, step) for k in starts):
            return {"starting_time": first, "rate": 1 / step}
    return {"timestamps": streamed(read, (n,), np.float64)}


def _regular(times: np.ndarray, first: float, step: float) -> bool:
    return bool((np.abs(times - (first + np.arange(len(times)) * step)) < REGULAR).all())


def packed(values: Any) -> Any:
    """Return an array in memory for NWB, compressed where it has anything."""
    values = np.asarray(values)
    return H5DataIO(values, chunks=True, **COMPRESSION) if values.size else values


class ArrayField:
    """An array of a product, read by slices; nothing else of the file is read.

    Parameters
    ----------
    path : path
    name : str
        Its field.

    Raises
    ------
    FormatError
        There is no such array.

    Examples
    --------
    >>> import tempfile
    >>> from hippflow.io.products import write_product
    >>> path = Path(tempfile.mkdtemp(), "eyelink_24d5.hkl")
    >>> write_product(path, {"timestamps": np.arange(5.0), "clock": "ripple"})
    >>> times = ArrayField(path, "timestamps")
    >>> times.shape, times(1, 3).tolist()
    ((5,), [1.0, 2.0])
    """

    def __init__(self, path: str | Path, name: str):
        self.path, self.name = Path(path), name
        with self._open() as array:
            self.shape, self.dtype = array.shape, array.dtype

    @contextmanager
    def _open(self) -> Iterator[h5py.Dataset]:
        with open_hickle(self.path) as file:
            names = {name.strip("'\""): name for name in file["data"]}
            node = value_node(file["data"][names[self.name]]) if self.name in names else None
            if isinstance(node, h5py.Dataset) and h5py.check_ref_dtype(node.dtype):
                node = file[node[()]]
            if not isinstance(node, h5py.Dataset) or not node.shape:
                raise FormatError(f"{self.path}: expected an array {self.name}, found none; make it anew")
            yield node

    def __len__(self) -> int:
        return self.shape[0]

    def __call__(self, start: int, stop: int) -> np.ndarray:
        """Return rows start to stop (exclusive)."""
        with self._open() as array:
            return array[start:stop]
