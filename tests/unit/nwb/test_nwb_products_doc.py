"""docs/products.md says what is in an NWB file: every object, its type and its shape."""

import re

import h5py
import pytest
from nwb_day import SETTINGS, write_day
from products_document import part, rows

from hippflow.steps.nwb import make_nwb

#: What NWB has in any file, or beside every series and table.
COMMON = re.compile(
    r"specifications.*|general/(subject|devices|extracellular_ephys/array\d\d|\w+)(/.*)?|identifier|file_create_date|"
    r"session_description|session_start_time|timestamps_reference_time"
)


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """Series and tables of a file by their paths, with the arrays in them."""
    day = write_day(tmp_path_factory.mktemp("nwb") / "results")
    make_nwb(day.sources, day.folder / "picasso_20181105.nwb", settings=SETTINGS)
    found = {}
    with h5py.File(day.folder / "picasso_20181105.nwb") as file:

        def look(path, node):
            if isinstance(node, h5py.Dataset) and not path.startswith("specifications"):
                found[path] = (str(node.dtype), node.shape)

        file.visititems(look)
    return found


def documented():
    """Return a pattern of its path, type and shape for every row of the document."""
    for name, kind, shape, *_ in rows(part("nwb", "What is where"), "Field"):
        path = name.replace("<session>", r"session\w+").replace("<recording>", r"imaging\d\d").replace("<N>", r"\d+")
        yield re.compile(f"{path}(/.*)?"), name, kind, shape


def test_every_object_is_documented_and_every_documented_object_exists(objects):
    patterns = list(documented())
    for path in objects:
        assert COMMON.fullmatch(path) or any(pattern.fullmatch(path) for pattern, *_ in patterns), path
    for pattern, name, kind, shape in patterns:
        paths = [path for path in objects if pattern.fullmatch(path)]
        assert paths, f"{name} is documented, and not in the file"
        arrays = [path for path in paths if path.endswith("/data")] or ([] if kind in ("table", "") else paths)
        for path in arrays:
            dtype, real = objects[path]
            assert dtype in re.split(r",? (?:or|and) |, ", kind), f"{path} is {dtype}, in docs/products.md it is {kind}"
            assert len(real) == len([one for one in shape.strip("()").split(",") if one.strip()]), path


def test_every_column_of_a_table_is_documented(objects):
    for pattern, name, kind, _ in documented():
        if kind != "table" or name == "units":  # of which the document names a part, and the tables that it is from
            continue
        text = next(row for row in rows(part("nwb", "What is where"), "Field") if row[0] == name)[-1]
        columns = {path.rsplit("/", 1)[1] for path in objects if pattern.fullmatch(path)}
        hidden = {column for column in columns if column == "id" or column.endswith("_index")}
        assert columns - hidden and all(column in text for column in columns - hidden), name
