"""Products: hickle.load gives back what was written, and so does the reader that runs no code."""

import math
import os
import pickle
import warnings
from pathlib import Path

import h5py
import hickle
import numpy as np
import pytest

from hippflow.errors import FormatError
from hippflow.io.products import base_fields, read_product, write_product

DTYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "int64", "float32", "float64", "complex128"]

VALUES = {
    "int": 30000,
    "negative int": -3,
    "large int": 2**53 + 1,
    "float": 0.25,
    "nan": math.nan,
    "true": True,
    "false": False,
    "none": None,
    "text": "rplparallel",
    "text of other letters": "µV é",
    "empty text": "",
    "list of text": ["picasso/20181105/session01", "b"],
    "list of one text": ["session01"],
    "list of empty text": [""],
    "list of int": [500, 7500],
    "list of float": [0.5, 1.5],
    "list of bool": [True, False],
    "mixed list": [1, 2.5, "a", None],
    "empty list": [],
    "list of lists": [[1, 2], [3]],
    "list of dicts": [{"a": 1}, {"b": "2"}],
    "tuple": (1, 2),
    "mixed tuple": (1, "a"),
    "empty tuple": (),
    "dict": {"HighOrder": 8, "HighPassFrequency": [500, 7500]},
    "nested dict": {"a": {"b": {"c": [1.5], "d": "x"}}, "e": {}},
    "dict with a path as key": {"picasso/20181105/session01/array01/channel009": 0, "b": 1, "c\\d": 2},
    "dict in its order": {"z": 1, "a": 2, "m/n": 3, "b": 4},
    "dict with quotes": {"it's": 1, "'quoted'": 2},
    "dict of many": {f"key{k}": k for k in range(12)},
}

ARRAYS = {
    "flat": np.arange(5.0),
    "rows": np.arange(6).reshape(2, 3),
    "cube": np.zeros((1, 150, 2), np.float32),
    "no rows": np.zeros((0, 3), np.uint16),
    "no units": np.zeros((1, 150, 0), np.float32),
    "scalar": np.array(2.5),
    "not contiguous": np.arange(10)[::3],
    "text": np.array(["a", "bcd"]),
    "nan": np.array([np.nan, 1]),
}


def assert_same(found, written):
    """Equal in value and type; hickle gives the numbers of a list back as numpy's, which stand for Python's."""
    if isinstance(written, np.ndarray):
        assert isinstance(found, np.ndarray) and (found.dtype, found.shape) == (written.dtype, written.shape)
        np.testing.assert_array_equal(found, written)
    elif isinstance(written, dict):
        assert isinstance(found, dict) and list(found) == list(written)
        for key, value in written.items():
            assert_same(found[key], value)
    elif isinstance(written, list | tuple):
        assert type(found) is type(written) and len(found) == len(written)
        for a, b in zip(found, written, strict=True):
            assert_same(a, b)
    elif isinstance(written, float) and math.isnan(written):
        assert math.isnan(found)
    else:
        assert isinstance(found, (type(written), np.generic))
        assert found == written and isinstance(found, str) == isinstance(written, str)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rplparallel_d41d.hkl"


@pytest.mark.parametrize("read", [hickle.load, read_product], ids=["hickle", "ours"])
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values_come_back(path, value, read):
    write_product(path, {"value": value, "numSets": 1})
    assert_same(read(path), {"value": value, "numSets": 1})


@pytest.mark.parametrize("read", [hickle.load, read_product], ids=["hickle", "ours"])
@pytest.mark.parametrize("value", ARRAYS.values(), ids=ARRAYS)
def test_arrays_come_back(path, value, read):
    write_product(path, {"value": value, "list": [value, value], "of one": [value]})
    assert_same(read(path), {"value": value, "list": [value, value], "of one": [value]})


@pytest.mark.parametrize("read", [hickle.load, read_product], ids=["hickle", "ours"])
@pytest.mark.parametrize("shape", [(7,), (0,), (0, 3), (2, 0)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_every_type_come_back(path, dtype, shape, read):
    value = (np.arange(np.prod(shape)) - 1).astype(dtype).reshape(shape)
    write_product(path, {"value": value})
    assert_same(read(path), {"value": value})


@pytest.mark.parametrize("read", [hickle.load, read_product], ids=["hickle", "ours"])
def test_an_array_alone_comes_back(path, read):
    templates = np.random.default_rng(0).normal(size=(1, 150, 3)).astype(np.float32)
    write_product(path, templates)
    assert_same(read(path), templates)


def test_list_of_ragged_arrays_comes_back(path):
    value = [np.arange(3), np.zeros(0), np.ones((2, 2), np.float32)]
    write_product(path, {"value": value})
    assert_same(read_product(path)["value"], value)
    assert_same(hickle.load(path)["value"], value)


def test_fields_are_attributes_of_an_object_as_pyhipp_loads_them(path):
    """DataProcessingTools sets every key of the loaded dictionary as an attribute."""
    fields = base_fields(path, "session", {"a": 1}) | {"markers": np.zeros((2, 3), np.uint16)}
    write_product(path, fields)

    class Loaded:
        pass

    loaded = Loaded()
    for name, value in hickle.load(path).items():
        setattr(loaded, name, value)
    assert_same(vars(loaded), fields)


def test_base_fields():
    product = "r/picasso/20181105/session01/array01/channel009/cell02/spiketrain_d41d.hkl"
    assert base_fields(product, "cell") == {
        "args": {},
        "dirs": ["picasso/20181105/session01/array01/channel009/cell02"],
        "setidx": [],
        "plotopts": {"indexer": "cell"},
        "current_idx": None,
    }
    channel = base_fields("picasso/20181105/sessioneye/array01/channel009/rplraw_d41d.hkl", "channel", {"x": 1})
    assert (channel["dirs"], channel["args"]) == (["picasso/20181105/sessioneye/array01/channel009"], {"x": 1})


class RunsCode:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_reading_runs_no_code_of_the_file(path, tmp_path):
    folder = str(tmp_path / "made by the file")
    with warnings.catch_warnings(action="ignore"):  # that it is stored as a pickle
        hickle.dump({"value": RunsCode(folder), "numSets": 1}, path, mode="w")
    with pytest.raises(FormatError, match=r"found a pickle at /data/\"value\"; such a value is not read"):
        read_product(path)
    assert not os.path.exists(folder)
    hickle.load(path)  # the same file does run it in hickle
    assert os.path.exists(folder)


def test_reading_needs_no_pickle(path, monkeypatch):
    write_product(path, VALUES | ARRAYS)

    def refuse(*args, **kwargs):
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(hickle, "load", refuse)
    assert_same(read_product(path), VALUES | ARRAYS)


def test_a_failing_write_leaves_what_was_there(path, monkeypatch):
    write_product(path, {"a": 1})

    def fail(part, image):
        with open(part, "wb") as file:
            file.write(image[:100])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        write_product(path, {"a": 2})
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert read_product(path) == {"a": 1}


def test_a_missing_product(path):
    with pytest.raises(FormatError, match=r"rplparallel_d41d\.hkl: expected a product, found no file"):
        read_product(path)


@pytest.mark.parametrize("content", [b"", b"unit,quality\n1,good\n"])
def test_what_is_no_hdf5(path, content):
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"rplparallel_d41d\.hkl: expected a hickle \(HDF5\) file, found something"):
        read_product(path)


def test_a_product_that_was_cut_off(path):
    write_product(path, {"a": np.zeros(10_000)})
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(FormatError, match="delete it and run again"):
        read_product(path)


@pytest.mark.parametrize("name", ["somebody's", "data", "data_0"])
def test_hdf5_of_others(path, name):
    with h5py.File(path, "w") as file:
        file[name] = np.zeros(3)
    with pytest.raises(FormatError, match="an HDF5 file, but not in the layout of hickle 4 or 5"):
        read_product(path)
