"""Animated GIFs of projections: what their frames show, and how large they may be."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from hippflow.imaging.gif import GREYS, MAX_FRAMES, frames_of_planes, frames_of_time, gif_bytes, resized, to_grey


def decode(content):
    """Grey values of every frame, as a viewer shows them."""
    with Image.open(io.BytesIO(content)) as image:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(5).gamma(3, 100, (7, 30, 41))


def test_every_frame_shows_its_own_grey_values(noise):
    shown = decode(gif_bytes(noise, max_pixels=41))
    low, high = np.percentile(noise, (1, 99.7))
    expected = np.clip((noise - low) / (high - low), 0, 1) * 255
    assert shown.shape == (7, 30, 41, 3)
    assert np.ptp(shown, axis=3).max() == 0
    assert np.abs(shown[..., 0] - expected).max() <= 255 / (GREYS - 1) / 2 + 0.5


def test_all_frames_share_one_grey_scale():
    frames = np.stack([np.full((8, 8), value) for value in (0.0, 50.0, 100.0)])
    assert decode(gif_bytes(frames, max_pixels=8))[:, 0, 0, 0].tolist() == [0, 130, 255]


def test_it_is_endless_with_the_time_asked_for_and_the_same_bytes_again(noise):
    content = gif_bytes(noise, max_pixels=41, frame_ms=250)
    with Image.open(io.BytesIO(content)) as image:
        assert (image.info["duration"], image.info["loop"], image.n_frames) == (250, 0, 7)
    assert content == gif_bytes(noise.copy(), max_pixels=41, frame_ms=250)


def test_frames_that_never_change_are_one_still_image():
    content = gif_bytes(np.full((5, 50, 70), 3.0), max_pixels=49)
    with Image.open(io.BytesIO(content)) as image:
        assert (image.n_frames, image.size) == (1, (49, 35))
    assert (decode(content) == 0).all()


@pytest.mark.parametrize(
    ("shape", "limit", "expected"),
    [
        ((512, 512), 384, (384, 384)),
        ((512, 796), 384, (247, 384)),
        ((796, 512), 384, (384, 247)),
        ((385, 10), 384, (384, 10)),
        ((2, 2000), 384, (1, 384)),
        ((384, 384), 384, (384, 384)),
        ((200, 100), 384, (200, 100)),
        ((128, 128), 384, (384, 384)),
        ((100, 60), 384, (300, 180)),
    ],
)
def test_the_longer_side_is_at_most_the_limit_and_small_frames_grow_by_whole_factors(shape, limit, expected):
    assert resized(np.ones((2, *shape)), limit).shape[1:] == expected


def test_shrinking_by_a_whole_factor_averages_blocks():
    frames = np.random.default_rng(0).random((3, 12, 18))
    expected = frames.reshape(3, 4, 3, 6, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(resized(frames, 6), expected)


def test_shrinking_by_another_factor_keeps_every_pixels_weight():
    frames = np.random.default_rng(0).random((2, 50, 70))
    np.testing.assert_allclose(resized(frames, 35 + 14).mean(axis=(1, 2)), frames.mean(axis=(1, 2)))
    # Areas of one and a half pixels.
    np.testing.assert_allclose(resized(np.array([[[0, 3, 6]]]), 2), [[[1, 5]]])
    np.testing.assert_allclose(resized(np.full((1, 50, 70), 3), 49), np.full((1, 35, 49), 3.0))


def test_black_and_white_are_the_same_share_of_all_frames(noise):
    grey = to_grey(noise)
    assert (grey.min(), grey.max()) == (0, GREYS - 1)
    assert (noise[grey == 0].max() < noise[grey == GREYS - 1].min()) and (grey == GREYS - 1).mean() < 0.02


def test_more_planes_than_frames_are_shown_evenly_spaced():
    planes = [np.full((2, 2), plane) for plane in range(95)]
    shown = frames_of_planes(planes)[:, 0, 0]
    assert len(shown) == MAX_FRAMES
    assert shown[0] == 0 and shown[-1] == 94 and set(np.diff(shown)) == {2}
    assert frames_of_planes(planes[:5])[:, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_planes_are_side_by_side_in_every_window_of_time():
    planes = np.random.default_rng(1).integers(5, 99, (5, 3, 10, 20))
    frames = frames_of_time(list(planes))
    assert frames.shape == (3, 22, 64)
    places = [(0, 0), (0, 22), (0, 44), (12, 0), (12, 22)]
    for plane, (top, left) in zip(planes, places, strict=True):
        np.testing.assert_array_equal(frames[:, top : top + 10, left : left + 20], plane)
        frames[:, top : top + 10, left : left + 20] = planes.min()
    assert (frames == planes.min()).all()


def test_one_plane_has_no_gaps():
    plane = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(frames_of_time([plane]), plane)
