"""New hickle files with room for the samples of a signal, without holding these.

What this does: lets hickle write all fields, puts empty space in the place of the samples, and says where
in the file the samples go, and the few numbers that are known only after them. A file like one that
this process has made before is copied from it, since hickle takes some 15 ms for each.

What it does not: write samples (:mod:`hippflow.io.signals` does), or files that are read back.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hickle
import numpy as np

from hippflow.io.disk import scratch_file

#: Numbers of 'analogInfo' that are filled in at the end.
LATE = ("MinVal", "MaxVal", "NumberClipped")

#: Texts in which the files of a recording's channels differ, by their place in the file.
_VARYING = {'data/"analogInfo"/"ProbeInfo"': ("analogInfo", "ProbeInfo"), 'data/"dirs"/data0': ("dirs", 0)}

#: Samples begin at a multiple of this: the system keeps files in pieces that lie at multiples of their size, and
#: takes a quarter less for writes that fill pieces of 64 kB.
_ALIGNED = 1 << 16

#: Layouts that are kept: a recording needs one for each length of its channels' names.
_KEPT = 8


@dataclass(frozen=True)
class SignalLayout:
    """Where things are in a signal's file.

    Attributes
    ----------
    samples : int or None
        Byte offset of the samples; None if there are none.
    late : dict of str to int
        Byte offsets of the numbers that are filled in at the end, 8 bytes each, by their name in 'analogInfo'.
    """

    samples: int | None
    late: dict[str, int]


@dataclass(frozen=True)
class _Image:
    """A file without its samples: what comes before and after them, and where the texts are by which others differ."""

    layout: SignalLayout
    head: bytes
    tail: bytes
    texts: dict[str, int]


_images: dict[str, _Image] = {}


def create_signal_file(part: Path, fields: dict[str, Any], n_samples: int, dtype: np.dtype) -> SignalLayout:
    """Write a hickle file of all fields but 'data', with room for so many samples.

    Parameters
    ----------
    part : Path
        The file; one that exists is replaced.
    fields : dict
        All fields of the product; 'analogInfo' has numbers of the type they are to have for all of ``LATE``
        that it names.
    n_samples : int
    dtype : dtype
        Of the samples.

    Returns
    -------
    SignalLayout
    """
    key = _key(fields, n_samples, dtype)
    image = _images.get(key)
    if image is None:
        placeholder = {"data": np.zeros(1, dtype)}
        with scratch_file() as scratch:
            hickle.dump(placeholder | fields, str(scratch), mode="w")
            image = _make_room(scratch, n_samples, dtype)
        if image.texts:
            if len(_images) >= _KEPT:
                _images.clear()
            _images[key] = image
    head, tail = bytearray(image.head), bytearray(image.tail)
    for name, at in image.texts.items():
        field, index = _VARYING[name]
        text = fields[field][index].encode()
        if at < len(head):
            head[at : at + len(text)] = text
        else:
            at -= len(head) + n_samples * dtype.itemsize
            tail[at : at + len(text)] = text
    with part.open("wb") as file:
        file.write(head)
        file.seek(n_samples * dtype.itemsize, os.SEEK_CUR)
        file.write(tail)
        file.truncate()
    return image.layout


def _key(fields: dict[str, Any], n_samples: int, dtype: np.dtype) -> str:
    """Return what files have in common that differ in nothing but the letters of their varying texts."""
    fields = {name: list(value) if isinstance(value, list) else value for name, value in fields.items()}
    fields["analogInfo"] = dict(fields["analogInfo"])
    for field, index in _VARYING.values():
        values = fields.get(field, {})
        if index in (values if isinstance(values, dict) else range(len(values))) and isinstance(values[index], str):
            values[index] = ("text", len(values[index].encode()))
    # repr leaves out the middle of long tables, and digits
    with np.printoptions(threshold=np.inf, floatmode="unique"):
        return repr((n_samples, str(dtype), fields))


def _make_room(part: Path, n_samples: int, dtype: np.dtype) -> _Image:
    """Swap the placeholder 'data' of a hickle file for `n_samples` of space.

    The new dataset takes over the placeholder's attributes, so hickle reads it back like one of its own.
    """
    with h5py.File(part, "r+", alignment_threshold=_ALIGNED, alignment_interval=_ALIGNED) as file:
        group = file["data"]
        attributes = dict(group['"data"'].attrs)
        del group['"data"']
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.CONTIGUOUS)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        layout.set_obj_track_times(False)  # the same input makes the same bytes
        space = h5py.h5s.create_simple((n_samples,))
        dataset = h5py.h5d.create(group.id, b'"data"', h5py.h5t.py_create(dtype), space, layout)
        for name, value in attributes.items():
            h5py.Dataset(dataset).attrs[name] = value
        offset = dataset.get_offset() if n_samples else None
        info = group['"analogInfo"']
        late = {name: info[f'"{name}"'].id.get_offset() for name in LATE if f'"{name}"' in info}
        nodes = {name: file[name] for name in _VARYING if name in file}
        # hickle refers to a text that it has stored before: such a file is no pattern for others
        is_pattern = all(node.dtype.kind == "S" and node.id.get_offset() is not None for node in nodes.values())
        texts = {name: node.id.get_offset() for name, node in nodes.items()} if is_pattern else {}
    n_bytes = n_samples * dtype.itemsize
    with part.open("rb") as file:
        head = file.read(offset)
        file.seek(n_bytes, os.SEEK_CUR)
        tail = b"" if offset is None else file.read()
    return _Image(SignalLayout(offset, late), head, tail, texts)
