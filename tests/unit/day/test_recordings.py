"""Two-photon recordings in the catalog: which files are one movie, and what the first of them says."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from hippflow.day.catalog import Catalog, build_catalog
from hippflow.day.config import check_config, load_schema
from hippflow.day.imaging import find_movie_files
from hippflow.day.plan import check_imaging, make_plan, read_plan
from hippflow.day.products import Products
from hippflow.day.raw import LocalTree
from hippflow.errors import CatalogError, ConfigError, FormatError

RECORDING = "zebrafish/20220104/imaging01"
SCHEMA = load_schema(Path(__file__).parents[3] / "schemas/config.schema.yaml")


def config(root, **blocks):
    return check_config({"data": str(root / "data"), "results": str(root / "results"), **blocks}, SCHEMA)


def write(root, *names, shape=(12, 20, 30), path=RECORDING, **options):
    folder = root / "data" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        tifffile.imwrite(folder / name, np.zeros(shape, np.int16), photometric="minisblack", **options)
    return LocalTree(root / "data")


def test_a_recording_is_its_files_in_the_order_of_their_numbers(tmp_path):
    write(tmp_path, "movie_10.tif", "movie_9.tif", "movie_11.tif")
    (tmp_path / "data" / RECORDING / "notes.txt").write_text("fish 3")
    (tmp_path / "data" / RECORDING / "._movie_9.tif").write_bytes(b"")
    (recording,) = build_catalog(config(tmp_path)).recordings
    folder = tmp_path / "data" / RECORDING
    assert recording.files == tuple(str(folder / f"movie_{n}.tif") for n in (9, 10, 11))
    assert (recording.height, recording.width, recording.planes, recording.channels) == (20, 30, 1, 1)
    assert recording.n_bytes == sum(path.stat().st_size for path in folder.glob("movie*"))
    assert (recording.path, recording.day) == (RECORDING, "zebrafish/20220104")


def test_planes_and_channels_are_those_of_the_metadata(tmp_path):
    write(tmp_path, "a.tif", shape=(6, 3, 2, 20, 30), imagej=True, metadata={"axes": "TZCYX"})
    (recording,) = build_catalog(config(tmp_path)).recordings
    assert (recording.planes, recording.channels) == (3, 2)


def test_planes_and_channels_that_the_metadata_contradict_are_refused(tmp_path):
    write(tmp_path, "a.tif", shape=(6, 3, 2, 20, 30), imagej=True, metadata={"axes": "TZCYX"})
    with pytest.raises(ConfigError, match=r"a\.tif: movie\.planes is 4, but the file's ImageJ metadata say 3"):
        build_catalog(config(tmp_path, movie={"planes": 4}))


def test_planes_by_configuration(tmp_path):
    write(tmp_path, "a.tif")
    (recording,) = build_catalog(config(tmp_path, movie={"planes": 4})).recordings
    assert recording.planes == 4


@pytest.mark.parametrize(
    "names, message",
    [
        ([], "imaging01: expected the TIFF files of a movie, found none; copy them there"),
        (["m_1.tif", "m_2.tif", "mean.tif"], "found m_1.tif and mean.tif; move what is not of the movie away"),
        (["m_1.tif", "m_2.tif", "m_4.tif"], "expected m_2.tif to be followed by number 3, found 4"),
        (["m_1.tif", "m_01.tif"], "expected every number once, found m_0?1.tif and m_0?1.tif"),
    ],
)
def test_files_that_are_not_one_movie_are_refused(tmp_path, names, message):
    tree = write(tmp_path, *names)
    with pytest.raises(CatalogError, match=message):
        find_movie_files(tree, RECORDING, "error")


def test_missing_numbers_can_be_allowed(tmp_path):
    tree = write(tmp_path, "m_1.tif", "m_3.tif")
    assert len(find_movie_files(tree, RECORDING, "allow")) == 2


def test_files_of_several_acquisitions_are_in_order_of_acquisition_and_file(tmp_path):
    tree = write(tmp_path, "f_2_1.tif", "f_1_2.tif", "f_1_1.tif")
    assert [path[-5] for path in find_movie_files(tree, RECORDING, "error")] == ["1", "2", "1"]


def test_what_is_no_tiff_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / "data" / RECORDING / "a.tif").write_text("not a picture")
    with pytest.raises(FormatError, match=r"imaging01/a\.tif"):
        build_catalog(config(tmp_path))


@pytest.mark.parametrize("name", ["imaging1", "Imaging01", "imaging001"])
def test_a_folder_that_is_almost_a_recording_is_refused(tmp_path, name):
    write(tmp_path, "a.tif", path=f"zebrafish/20220104/{name}")
    with pytest.raises(CatalogError, match=rf"{name}: expected imaging01 \.\.\. imaging99"):
        build_catalog(config(tmp_path))


def test_recordings_are_selected_by_name_like_sessions(tmp_path):
    for name in ("imaging01", "imaging02"):
        write(tmp_path, "a.tif", path=f"zebrafish/20220104/{name}")
    catalog = build_catalog(config(tmp_path, sessions=["imaging02"]))
    assert [recording.path for recording in catalog.recordings] == ["zebrafish/20220104/imaging02"]
    with pytest.raises(ConfigError, match="sessions: imaging03 is not in the selected days"):
        build_catalog(config(tmp_path, sessions=["imaging03"]))


def test_a_catalog_with_recordings_comes_back_from_json(tmp_path):
    write(tmp_path, "a.tif")
    catalog = build_catalog(config(tmp_path))
    assert Catalog.from_json(catalog.to_json()) == catalog
    assert catalog.days == {"zebrafish/20220104": []}


@pytest.mark.parametrize(
    "block, missing", [({}, "suite2p.fs and suite2p.tau"), ({"fs": 2}, "suite2p.tau"), ({"tau": 2}, "suite2p.fs")]
)
def test_a_recording_needs_a_rate_and_a_decay(tmp_path, monkeypatch, block, missing):
    write(tmp_path, "a.tif")
    settings = config(tmp_path, suite2p=block)
    with pytest.raises(ConfigError, match=f"config.yaml: {missing}: expected numbers for {RECORDING}, found none"):
        check_imaging(settings, build_catalog(settings))
    monkeypatch.setenv("HIPPFLOW_PLAN", "")
    plan = make_plan(config(tmp_path, suite2p={"fs": 2, "tau": 2}), tmp_path / "state")
    assert read_plan() == plan


def test_without_a_recording_no_rate_is_needed(tmp_path):
    check_imaging(config(tmp_path), Catalog(()))


def test_products_of_a_recording_are_those_of_every_plane(tmp_path):
    write(tmp_path, "a.tif", shape=(12, 20, 30))
    settings = config(tmp_path, movie={"planes": 2})
    products = list(Products(settings, build_catalog(settings)).of_day("zebrafish/20220104"))
    names = {product.path.removeprefix(f"{tmp_path}/results/{RECORDING}/") for product in products}
    assert {"movie/plane0.bin", "movie/plane1.npz", "suite2p/plane1/iscell.npy", "kmeans/plane0/figure5.pdf"} < names
    assert {"projections/maximum.gif", "projections/standard_deviation.gif"} < names
    assert len(names) == len(products) == 1 + 2 * (2 + 2 + 9 + 2 + 2) + 2 + 1  # the last is the day's report


def test_eye_data_are_named_by_the_screen(tmp_path):
    assert Products(config(tmp_path), Catalog(())).eyelink == "eyelink_24d5.hkl"
    assert Products(config(tmp_path, screen=[1024, 768]), Catalog(())).eyelink != "eyelink_24d5.hkl"


def test_a_report_is_of_a_whole_day_and_of_all_else_that_is_made_of_it(tmp_path):
    write(tmp_path, "a.tif", shape=(12, 20, 30))
    settings = config(tmp_path)
    products = Products(settings, build_catalog(settings))
    made = [product.path for product in products.of_day("zebrafish/20220104")]
    assert [*products.report_inputs("zebrafish/20220104"), f"{tmp_path}/results/zebrafish/20220104/report.html"] == made
    narrowed = Products(settings | {"channels": [9]}, products.catalog)
    assert [product.path for product in narrowed.of_day("zebrafish/20220104")] == made[:-1]
    assert Catalog.from_json(products.recorded("zebrafish/20220104")) == products.catalog
    shown = products.report_settings("zebrafish/20220104")
    assert {"suite2p", "kmeans", "cost"} < set(shown)
    assert not {"rpllfp", "notify", "archive", "data"} & set(shown)  # of other days, or nobody's business
