"""Arrays go through memory in blocks; and what must be set for a file, and what it is made from."""

from itertools import pairwise

import h5py
import numpy as np
import pytest
from hdmf.data_utils import GenericDataChunkIterator

from hippflow.errors import ConfigError, FormatError
from hippflow.io.products import write_product
from hippflow.nwb.sources import check_nwb, nwb_settings
from hippflow.nwb.streams import BLOCK_BYTES, BLOCK_ROWS, CHUNK_COLUMNS, CHUNK_ROWS, ArrayField, streamed

BLOCK = {
    "enable": True, "modalities": ["ephys", "behaviour", "imaging"], "timezone": "UTC",
    "subjects": {
        "picasso": {"species": "Macaca fascicularis", "sex": "M", "age": "P8Y"},
        "zebrafish": {"species": "Danio rerio", "sex": "U", "date_of_birth": "2021-12-25"},
    },
    "indicator": "GCaMP6s", "excitation_lambda": 920, "emission_lambda": 510,
}  # fmt: skip


@pytest.mark.parametrize("shape", [(1,), (CHUNK_ROWS + 1,), (3, 2), (10**7, 124), (10**6, 5000)])
def test_an_array_is_asked_for_in_blocks_one_after_the_other(shape):
    asked = []

    def read(start, stop):
        asked.append((start, stop))
        return np.broadcast_to(np.float32(0), (stop - start, *shape[1:]))

    array = streamed(read, shape, np.float32)
    blocks = array.data
    assert isinstance(blocks, GenericDataChunkIterator)
    for _ in range(3):
        next(blocks, None)
    row_bytes = 4 * int(np.prod(shape[1:]))
    assert asked[0][0] == 0 and all(a[1] == b[0] for a, b in pairwise(asked))
    assert all(stop - start <= BLOCK_ROWS and (stop - start) * row_bytes <= BLOCK_BYTES for start, stop in asked)
    assert blocks.chunk_shape[0] <= CHUNK_ROWS and all(n <= CHUNK_COLUMNS for n in blocks.chunk_shape[1:])


def test_a_field_is_read_by_rows_from_either_layout(tmp_path):
    values = np.arange(12.0).reshape(6, 2)
    write_product(tmp_path / "a.hkl", {"eye_pos": values, "again": values, "clock": "ripple"})
    for name in ("eye_pos", "again"):
        field = ArrayField(tmp_path / "a.hkl", name)
        assert field.shape == (6, 2) and np.array_equal(field(2, 4), values[2:4])
    with h5py.File(tmp_path / "four.hkl", "w") as file:  # hickle 4 puts a group around a value
        file.attrs["HICKLE_VERSION"] = "4.0.4"
        entry = file.create_group("data").create_group('"eye_pos"')
        entry.attrs["base_type"] = b"dict_item"
        entry["data"] = values
    assert np.array_equal(ArrayField(tmp_path / "four.hkl", "eye_pos")(0, 6), values)


@pytest.mark.parametrize("name", ["clock", "nothing"])
def test_a_field_that_is_no_array_is_refused(tmp_path, name):
    write_product(tmp_path / "a.hkl", {"clock": 3})
    with pytest.raises(FormatError, match=rf"a\.hkl: expected an array {name}, found none"):
        ArrayField(tmp_path / "a.hkl", name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"subjects": {}},
            r"nwb\.subjects\.picasso\.species: expected the Latin name.*\n.*picasso\.sex: .*\n.*picasso\.age: ",
        ),
        ({"subjects": {"picasso": {"sex": "F"}}}, r"(?s)picasso\.species.*picasso\.age.*zebrafish\.species"),
        ({"indicator": None}, r"nwb\.indicator: expected the indicator's name, as GCaMP6s; found nothing"),
        ({"excitation_lambda": None, "emission_lambda": None}, r"(?s)nwb\.excitation_lambda.*nwb\.emission_lambda"),
        ({"timezone": "Asia/Singapura"}, r"nwb\.timezone: expected a name as Europe/Berlin; found 'Asia/Singapura'"),
        ({"timezone": "../UTC"}, r"nwb\.timezone: "),
    ],
)
def test_what_nwb_demands_must_be_set(change, message):
    days = ["picasso/20181105", "zebrafish/20220104"]
    check_nwb(BLOCK, days, ["zebrafish/20220104"])
    with pytest.raises(ConfigError, match=message):
        check_nwb(BLOCK | change, days, ["zebrafish/20220104"])
    check_nwb(BLOCK | change | {"enable": False}, days, ["zebrafish/20220104"])


def test_nothing_is_demanded_of_what_is_not_there():
    without = BLOCK | {"indicator": None, "excitation_lambda": None, "emission_lambda": None}
    check_nwb(without, ["picasso/20181105"], [])
    check_nwb(without | {"modalities": ["ephys"]}, ["zebrafish/20220104"], ["zebrafish/20220104"])


def test_a_file_does_not_depend_on_other_animals():
    other = BLOCK | {
        "subjects": BLOCK["subjects"] | {"zebrafish": {"species": "Danio rerio", "sex": "F", "age": "P5D"}}
    }
    assert nwb_settings(BLOCK, "picasso/20181105") == nwb_settings(other, "picasso/20181105")
    assert nwb_settings(BLOCK, "zebrafish/20220104") != nwb_settings(other, "zebrafish/20220104")
