"""The figure of the clusters: what each panel shows, in which colours, and that it is the same bytes again."""

import io
import itertools
import logging
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from PIL import Image

from hippflow.imaging.figure5 import (
    COLOURS,
    MAX_COLUMNS,
    cluster_colours,
    cluster_figure,
    cluster_map,
    render,
    shifted,
)

CLUSTER = np.repeat([1, 2, 3], [6, 4, 2])
FS = 2.5

#: What people without one of the three kinds of cones see of linear RGB (Machado 2009, severity 1).
BLINDNESS = {
    "none": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def inputs():
    """Twelve ROIs of 4 x 4 pixels on a grid over an image of 40 x 40."""
    rng = np.random.default_rng(8)
    traces = rng.standard_normal((12, 200))
    masks = []
    for i in range(12):
        y, x = np.mgrid[:4, :4]
        masks.append((y.ravel() + 2 + 10 * (i // 4), x.ravel() + 3 + 10 * (i % 4), np.full(16, 0.5)))
    first, mean = rng.integers(0, 900, (40, 40)).astype(float), rng.random((40, 40))
    return first, mean, masks, CLUSTER, np.cov(traces), traces


def panels(figure):
    return {axis.get_title(): axis for axis in figure.axes if axis.get_title()}


@pytest.fixture(scope="module")
def drawn():
    return inputs()


@pytest.fixture(scope="module")
def figure(drawn):
    return cluster_figure(*drawn, fs=FS, title="fish1/20240611/imaging01")


@pytest.fixture(scope="module")
def rendered(figure):
    return {form: render(figure, form) for form in ("png", "pdf")}


def test_the_first_frame_is_shown_as_it_was_given(figure, drawn):
    axis = panels(figure)["first raw frame"]
    np.testing.assert_array_equal(axis.images[0].get_array(), drawn[0])
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("x (px)", "y (px)")


def test_the_matrix_is_the_covariance_with_limits_that_outliers_do_not_set(figure, drawn):
    image = panels(figure)["covariance matrix"].images[0]
    np.testing.assert_array_equal(image.get_array(), drawn[4])
    others = [abs(drawn[4][i, j]) for i in range(12) for j in range(12) if i != j]
    assert image.get_clim() == pytest.approx((-np.percentile(others, 99), np.percentile(others, 99)))
    shown = image.cmap(image.norm(np.array([-9.0, 0.0, 9.0])))
    assert shown[0, 2] > shown[0, 0] and shown[1, :3].min() > 0.95 and shown[2, 0] > shown[2, 2]


def test_lines_between_clusters_are_at_their_boundaries(figure):
    lines = panels(figure)["covariance matrix"].lines
    assert sorted({float(line.get_ydata()[0]) for line in lines if line.get_ydata()[0] > 1}) == [5.5, 9.5]
    assert sorted({float(line.get_xdata()[0]) for line in lines if line.get_xdata()[0] > 1}) == [5.5, 9.5]
    assert [line.get_ydata()[0] for line in panels(figure)["activity of the ROIs"].lines] == [5.5, 9.5]


def test_bars_beside_matrix_and_traces_have_the_clusters_colours(figure):
    strips = [axis.images[0] for axis in figure.axes if not axis.axison]
    assert [strip.get_array().shape for strip in strips] == [(12, 1), (1, 12), (12, 1)]
    for strip in strips:
        colours = strip.to_rgba(strip.get_array()).reshape(12, 4)
        assert [to_hex(colour).upper() for colour in colours] == [COLOURS[number - 1] for number in CLUSTER]


def test_every_pixel_of_an_roi_has_the_colour_of_its_cluster_and_the_others_the_mean_image(figure, drawn):
    axis = panels(figure)["ROIs over the mean image"]
    background, overlay = axis.images
    np.testing.assert_array_equal(background.get_array(), drawn[1])
    colours = overlay.to_rgba(overlay.get_array())
    covered = np.zeros((40, 40), bool)
    for (y, x, _), number in zip(drawn[2], CLUSTER, strict=True):
        assert {to_hex(colour).upper() for colour in colours[y, x]} == {COLOURS[number - 1]}
        covered[y, x] = True
    assert (colours[~covered][:, 3] == 0).all()


def test_the_printed_pixels_of_an_roi_have_its_colour(figure, rendered, drawn):
    page = np.asarray(Image.open(io.BytesIO(rendered["png"])).convert("RGB"))
    assert page.shape[1] == pytest.approx(180 / 25.4 * 300, abs=1)
    x0, y0, width, height = panels(figure)["ROIs over the mean image"].get_position().bounds
    for (y, x, _), number in zip(drawn[2], CLUSTER, strict=True):
        row = page.shape[0] * (1 - y0 - height * (1 - (y.mean() + 0.5) / 40))
        column = page.shape[1] * (x0 + width * (x.mean() + 0.5) / 40)
        assert page[int(row), int(column)] / 255 == pytest.approx(to_rgb(COLOURS[number - 1]), abs=0.01)


def test_a_pixel_of_two_rois_belongs_to_the_one_that_it_weighs_most_in():
    y, x = np.zeros(3, int), np.arange(3)
    painted = cluster_map((1, 5), [(y, x, np.array([3, 3, 1])), (y, x + 1, np.array([2, 2, 2]))], np.array([2, 1]))
    assert painted.tolist() == [[2, 2, 1, 1, 0]]


def test_traces_are_over_seconds_and_white_below_their_mean(figure, drawn):
    axis = panels(figure)["activity of the ROIs"]
    image = axis.images[0]
    np.testing.assert_allclose(image.get_array(), drawn[5])
    assert image.get_extent() == [0, 200 / FS, 11.5, -0.5]
    assert axis.get_xlabel() == "time (s)"
    assert image.get_clim() == (0, pytest.approx(np.percentile(drawn[5], 99.5)))
    assert image.to_rgba(np.array([[-1.0]]))[0, 0, :3].tolist() == [1, 1, 1]


def test_clusters_are_named_with_their_sizes_and_the_figure_with_its_recording(figure):
    texts = [text.get_text() for text in figure.texts]
    assert {"1 (6)", "2 (4)", "3 (2)", "A", "B", "C", "D", "fish1/20240611/imaging01"} <= set(texts)


def test_names_of_small_clusters_do_not_lie_on_each_other(drawn):
    cluster = np.repeat([1, 2, 3, 4, 5], [200, 2, 1, 1, 1])
    rows = np.arange(205) % 12
    covariance = drawn[4][np.ix_(rows, rows)]
    masks = [drawn[2][row] for row in rows]
    figure = cluster_figure(drawn[0], drawn[1], masks, cluster, covariance, drawn[5][rows], fs=FS)
    heights = [text.get_position()[1] for text in figure.texts if re.fullmatch(r"\d \(\d+\)", text.get_text())]
    line = 7 / 72 / figure.get_figheight()
    assert len(heights) == 5
    assert min(-np.diff(heights)) > line


def test_labels_name_what_the_covariance_is_of(drawn):
    for kind, label in (("zscore", "of z-scores"), ("dff", "of ΔF/F"), ("spks", "of deconvolved F")):
        labels = [axis.get_ylabel() for axis in cluster_figure(*drawn, fs=FS, kind=kind).axes]
        assert any(text.startswith(f"covariance {label}") for text in labels)
        assert "z-score" in labels


def test_a_long_recording_is_averaged_to_what_a_page_can_show(drawn):
    long = np.random.default_rng(0).standard_normal((12, 2 * MAX_COLUMNS + 500))
    figure = cluster_figure(*drawn[:5], long, fs=FS)
    image = panels(figure)["activity of the ROIs"].images[0]
    shown = image.get_array()
    assert shown.shape == (12, MAX_COLUMNS)
    np.testing.assert_allclose(shown[:, 0], long[:, :2].mean(axis=1))
    np.testing.assert_allclose(shown[:, -1], long[:, -3:].mean(axis=1))
    assert image.get_extent()[1] == pytest.approx(long.shape[1] / FS)


def test_the_same_data_gives_the_same_bytes_whatever_the_users_style(rendered):
    with matplotlib.rc_context({"font.size": 20, "savefig.bbox": "tight", "pdf.fonttype": 3, "lines.linewidth": 9}):
        again = cluster_figure(*inputs(), fs=FS, title="fish1/20240611/imaging01")
        assert {form: render(again, form) for form in rendered} == rendered
    assert b"Date" not in rendered["pdf"]
    width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", rendered["pdf"])[1])
    assert width == pytest.approx(180 / 25.4 * 72, abs=0.1)
    assert b"/CIDFontType2" in rendered["pdf"]  # text is text


def test_embedding_letters_does_not_fill_the_log(caplog):
    figure = Figure(figsize=(1, 1))
    figure.text(0, 0, "A")
    with caplog.at_level(logging.INFO):
        render(figure, "pdf")
    assert caplog.records == []


def test_one_roi_makes_a_figure(drawn):
    one = cluster_figure(*drawn[:2], drawn[2][:1], np.array([1]), np.array([[1.0]]), drawn[5][:1], fs=FS)
    assert panels(one)["covariance matrix"].images[0].get_clim() == (-1, 1)


def test_a_moved_frame_lies_where_suite2p_puts_it_and_is_blank_beyond_its_edge():
    frame = np.arange(1, 31).reshape(5, 6)
    moved = shifted(frame, 2, -1)
    wrapped = np.roll(frame, (-2, 1), axis=(0, 1))
    np.testing.assert_array_equal(moved[:3, 1:], wrapped[:3, 1:])
    assert np.isnan(moved[3:]).all() and np.isnan(moved[:, 0]).all()
    np.testing.assert_array_equal(shifted(frame, 0, 0), frame)


def test_any_number_of_clusters_has_colours_of_its_own():
    for n in range(1, 13):
        colours = cluster_colours(n)
        assert len({to_hex(colours(i)) for i in range(n)}) == n


@pytest.mark.parametrize("blind", BLINDNESS)
def test_the_colours_of_four_clusters_are_told_apart_by_the_colour_blind(blind):
    def lab(colour):
        linear = np.array([v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)])
        seen = np.clip(np.array(BLINDNESS[blind]) @ linear, 0, 1)
        xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
        f = np.cbrt(xyz / [0.9505, 1, 1.089])
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    distances = [np.linalg.norm(lab(one) - lab(other)) for one, other in itertools.combinations(COLOURS[:4], 2)]
    assert min(distances) > 20  # 2.3 is just noticeable side by side
