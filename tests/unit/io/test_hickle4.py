"""Files of hickle 4, the layout of older PyHipp products.

The layout is built here with h5py. It was checked against files that hickle 4.0.4 (h5py 2.10, Python 3.8) wrote of
the same values; 4.0.0 to 4.0.3 write the same one:

- root attributes HICKLE_VERSION and HICKLE_PYTHON_VERSION, the value at /data;
- every node has base_type, and type with a pickle of its class, which must never be loaded;
- a dictionary is a group with one group (base_type dict_item) for every key, named by the key as Python writes it,
  slashes as two backslashes, with key_base_type, key_type (a pickle too) and key_idx; the value is its member data;
- a list of alike numbers or strings (str_type) is one dataset, of others a group with data_0, data_1, ...;
- an empty list or dictionary is an empty group, None a dataset of b'None'.
"""

import h5py
import hickle
import numpy as np
import pytest

from hippflow.errors import FormatError
from hippflow.io.products import read_product
from hippflow.io.signals import open_signal

#: In place of pickles: no pickle begins like this, so that loading one would fail.
NO_PICKLE = np.bytes_(b"never unpickle this")


def _mark(node, base_type, **attributes):
    node.attrs["base_type"] = base_type.encode()
    if base_type not in ("dict_item", "pickle"):
        node.attrs["type"] = NO_PICKLE
    for name, value in attributes.items():
        node.attrs[name] = value.encode() if isinstance(value, str) else value


def _put(group, name, value):
    """Store a value as hickle 4 does."""
    if isinstance(value, dict):
        node = group.create_group(name)
        for index, (key, item) in enumerate(value.items()):
            entry = node.create_group(repr(key).replace("/", r"\\"))
            _mark(entry, "dict_item", key_base_type=type(key).__name__, key_idx=index, key_type=NO_PICKLE)
            _put(entry, "data", item)
        _mark(node, "dict")
    elif isinstance(value, np.ndarray):
        stored = value.astype("S") if value.dtype.kind == "U" else value
        _mark(group.create_dataset(name, data=stored), "ndarray", np_dtype=str(value.dtype))
    elif isinstance(value, list | tuple):
        kind, types = type(value).__name__, {type(item) for item in value}
        if len(types) == 1 and types <= {str, int, float, bool}:
            strings = types == {str}
            node = group.create_dataset(name, data=np.array([item.encode() for item in value] if strings else value))
            _mark(node, kind, **({"str_type": "str"} if strings else {}))
        else:
            node = group.create_group(name)
            for index, item in enumerate(value):
                _put(node, f"data_{index}", item)
            _mark(node, kind)
    elif isinstance(value, np.generic):
        _mark(group.create_dataset(name, data=value), "np_scalar", np_dtype=str(value.dtype))
    elif value is None:
        _mark(group.create_dataset(name, data=b"None"), "None")
    else:
        _mark(group.create_dataset(name, data=value), type(value).__name__)


def _dump(path, value):
    with h5py.File(path, "w") as file:
        file.attrs["HICKLE_VERSION"] = "4.0.4"
        file.attrs["HICKLE_PYTHON_VERSION"] = "3.8.18"
        _put(file, "data", value)
    return path


#: What PyHipp saves of an RPLRaw object.
RPLRAW = {
    "args": {},
    "data": np.array([-1.5, 0.25, 7.0], np.float32),
    "analogInfo": {
        "SampleRate": 30000.0,
        "Units": "uV",
        "HighFreqCorner": 0.3,
        "HighFreqOrder": np.uint32(1),
        "HighFilterType": "Butterworth",
        "LowFilterType": "Butterworth",
        "MaxVal": np.float32(7.0),
        "NumberSamples": 3,
        "ProbeInfo": "b'raw 9'",
    },
    "dirs": ["picasso/20181105/session01/array01/channel009"],
    "setidx": [],
    "plotopts": {"indexer": "channel"},
    "current_idx": None,
    "numSets": 1,
}


def _same(read, wanted):
    """Compare values, types and order of keys, all the way down."""
    if isinstance(wanted, dict):
        return list(read) == list(wanted) and all(_same(read[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list | tuple):
        return type(read) is type(wanted) and len(read) == len(wanted) and all(map(_same, read, wanted))
    if isinstance(wanted, np.ndarray):
        return read.dtype == wanted.dtype and read.shape == wanted.shape and bool((read == wanted).all())
    return type(read) is type(wanted) and read == wanted


def test_reads_a_product_with_all_types_and_the_order_of_fields(tmp_path):
    assert _same(read_product(_dump(tmp_path / "rplraw_72a7.hkl", RPLRAW)), RPLRAW)


@pytest.mark.parametrize(
    "value",
    [
        [],
        (),
        {},
        None,
        "",
        "µV",
        True,
        -3,
        2.5,
        b"raw",
        [1, 150],
        (1.5, 2.0),
        [True, False],
        ["session01", "µ"],
        [["1.5", "2.25"], ["3"]],
        [np.arange(3), np.arange(2.0)],
        [1, "a", None, [2, 3], {"x": {}}],
        [str(n) if n % 2 else n for n in range(12)],
        [[], []],
        {"picasso/20181105/session01/array01": 31, "it's": 1, 'a "b"': 2},
        {3: "int", 2.5: "float", None: "none", (1, 2): "tuple"},
        np.zeros((0, 3), np.uint16),
        np.arange(6.0).reshape(1, 3, 2),
        np.array(3.0),
        np.array(["a", "bcd"]),
        np.array([True, False]),
        np.float32(7),
    ],
    ids=repr,
)
def test_reads_every_value_that_products_have(tmp_path, value):
    assert _same(read_product(_dump(tmp_path / "value.hkl", value)), value)
    assert _same(read_product(_dump(tmp_path / "field.hkl", {"field": value})), {"field": value})


def test_reads_an_array_of_objects_as_one_of_lists(tmp_path):
    path = tmp_path / "objects.hkl"
    _dump(path, [[1, 2], [3]])
    with h5py.File(path, "r+") as file:
        _mark(file["data"], "ndarray", np_dtype="object")
    objects = read_product(path)
    assert objects.dtype == object
    assert objects.tolist() == [[1, 2], [3]]


@pytest.mark.parametrize("name", ["rplraw_72a7.hkl", "rplraw_9d1b.hkl", "rplraw_d41d.hkl"])
def test_opens_a_signal_whatever_its_hash(tmp_path, name):
    with open_signal(_dump(tmp_path / name, RPLRAW)) as signal:
        assert len(signal) == 3
        assert signal.sampling_rate == 30000
        assert signal[1:3].tolist() == [0.25, 7.0]
        assert signal.info["ProbeInfo"] == "b'raw 9'"
        assert signal.segments.tolist() == [[0, 3, 0, 2]]
        assert signal.tick_rate == 30000


def test_an_object_without_data_is_no_signal(tmp_path):
    with (
        pytest.raises(FormatError, match="expected a signal, one array"),
        open_signal(_dump(tmp_path / "rpllfp_6eca.hkl", RPLRAW | {"data": []})),
    ):
        pass


def test_a_pickle_is_refused_and_not_loaded(tmp_path):
    path = _dump(tmp_path / "eyelink_c5f2.hkl", {"trial_timestamps": 0, "numSets": 1})
    with h5py.File(path, "r+") as file:
        entry = file["data/'trial_timestamps'"]
        del entry["data"]
        _mark(entry.create_dataset("data", data=NO_PICKLE), "pickle")
    with pytest.raises(FormatError, match="found a pickle at .*trial_timestamps.*can run code"):
        read_product(path)


def test_a_whole_object_that_was_pickled_is_refused(tmp_path):
    path = _dump(tmp_path / "unity_5878.hkl", {})
    with h5py.File(path, "r+") as file:
        del file["data"]
        _mark(file.create_dataset("data", data=NO_PICKLE), "pickle")
    with pytest.raises(FormatError, match="found a pickle at /data"):
        read_product(path)


def test_an_object_that_layout_5_refers_to_is_read_where_it_is_used(tmp_path):
    path, kind = tmp_path / "rplraw_d41d.hkl", "".join(["Butter", "worth"])
    fields = {"HighFilterType": kind, "LowFilterType": kind, "array_dict": {"picasso/20181105": 0}, "empty": ""}
    hickle.dump(fields, str(path), mode="w")
    assert read_product(path) == fields
