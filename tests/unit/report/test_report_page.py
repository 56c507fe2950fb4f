"""The page as a whole: one file that is the same for the same products, whatever stands in them."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from made_days import DAY, make_day
from PIL import Image

from hippflow.day.catalog import Catalog
from hippflow.day.imaging import Recording
from hippflow.reading.day import load_day
from hippflow.report import imaging
from hippflow.report.material import Material
from hippflow.report.packing import to_script, unpack
from hippflow.report.page import make_page, write_page


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_day(tmp_path_factory.mktemp("day"), {9: 1})


def test_the_same_products_make_the_same_bytes_whenever_they_were_written(made, tmp_path):
    write_page(made.material(), tmp_path / "first.html")
    for path in made.folder.rglob("*"):
        path.touch()
    write_page(made.material(), tmp_path / "second.html")
    assert (tmp_path / "first.html").read_bytes() == (tmp_path / "second.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.html", "second.html"]


def test_nothing_in_the_page_refers_to_another_file(made):
    page = make_page(made.material())
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']*""", page) == []
    assert "@import" not in page and "url(#" in page and not re.search(r"url\((?!#)", page)
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


def test_names_from_files_are_text_and_never_markup(made, tmp_path):
    shutil.copytree(made.folder, tmp_path / "results" / DAY)
    path = tmp_path / "results" / DAY / "session01/raycast.json"
    path.write_text(path.read_text().replace("CatPoster", "<script>alert(1)</script>"))
    page = make_page(Material(load_day(tmp_path / "results" / DAY, made.config), made.catalog, made.config))
    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page
    assert to_script({"name": "</script><!--"}) == '{"name":"\\u003c/script>\\u003c!--"}'


def test_a_day_of_which_nothing_was_made_has_a_page_that_says_so(made, tmp_path):
    folder = tmp_path / "results" / DAY
    folder.mkdir(parents=True)
    config = made.config | {"results": str(tmp_path / "results")}
    page = make_page(Material(load_day(folder, config), made.catalog, config))
    assert re.search(r"(\d+) of \1 products are missing", page)
    assert "its job did not run" in page and page.count("<h2") == 7


@pytest.fixture(scope="module")
def movie(made, tmp_path_factory):
    """A recording of one plane with three regions, two of them cells, in two clusters; and what is drawn of them."""
    results = tmp_path_factory.mktemp("movie") / "results"
    folder = results / "zebrafish/20220104/imaging01"
    for name in ("movie", "suite2p/plane0", "kmeans/plane0", "projections"):
        (folder / name).mkdir(parents=True)
    (folder / "movie/movie.json").write_text('{"n_frames": 100, "height": 8, "width": 9, "planes": 1}')
    rng = np.random.default_rng(2)
    np.savez(folder / "movie/plane0.npz", maximum=rng.integers(0, 99, (8, 9), np.int16))
    traces = rng.normal(100, 5, (3, 100)).astype(np.float32)
    for name in ("F", "spks"):
        np.save(folder / f"suite2p/plane0/{name}.npy", traces)
    np.save(folder / "suite2p/plane0/Fneu.npy", np.zeros_like(traces))
    np.save(folder / "suite2p/plane0/iscell.npy", np.array([[1, 0.9], [0, 0.1], [1, 0.8]]))
    settings = {"fs": 2.0, "extraction": {"neuropil_coefficient": 0.7}}
    np.save(folder / "suite2p/plane0/settings.npy", settings, allow_pickle=True)
    table = pd.DataFrame({"roi": [2, 0], "cluster": [1, 2], "mean_covariance": [0.5, 1.0]})
    table.to_csv(folder / "kmeans/plane0/clusters.csv", index=False)
    picture = Image.fromarray(rng.integers(0, 255, (40, 50), np.uint8))
    picture.save(folder / "kmeans/plane0/figure5.png")
    picture.save(folder / "projections/maximum.gif")
    recording = Recording(
        "zebrafish/20220104/imaging01", ("data/a.tif",), n_bytes=1, height=8, width=9, planes=1, channels=1
    )
    config = made.config | {"results": str(results)}
    return Material(load_day(folder.parent, config), Catalog((), (recording,)), config), traces


def test_a_day_of_imaging_has_its_pictures_in_it_and_no_other_sections(movie):
    page = make_page(movie[0])
    assert re.findall(r'<section id="(\w+)"', page) == ["overview", "imaging", "provenance"]
    assert page.count('src="data:image/png;base64,') == 2 and 'data-src="data:image/gif;base64,' in page
    assert "2 cells of 3 regions, 2 in 2 clusters" in page
    assert "standard_deviation.gif is not there" in page


def test_the_activity_of_a_cluster_is_the_mean_z_score_of_its_cells(movie):
    material, traces = movie
    shown = unpack(imaging.section(material).data["imaging01/plane0"]["traces"]["1"])
    assert np.allclose(shown, (traces[2] - traces[2].mean()) / traces[2].std(), atol=1e-3)


def test_clusters_have_the_colours_of_figure_5(movie):
    from hippflow.imaging.figure5 import COLOURS

    assert imaging.COLOURS == COLOURS
    assert all(f"background: {colour}" in imaging.section(movie[0]).html for colour in COLOURS[:2])


def test_pictures_beyond_the_limit_are_named_instead(movie, monkeypatch):
    monkeypatch.setattr(imaging, "MOST_BYTES", 100)
    html = imaging.section(movie[0]).html
    assert "data:image" not in html and "kmeans/plane0/figure5.png" in html
