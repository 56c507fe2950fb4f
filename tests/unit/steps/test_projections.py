"""projections: GIFs of the maximum and the standard deviation of a whole recording."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from hippflow.errors import FormatError
from hippflow.imaging.gif import GREYS
from hippflow.steps.projections import make_projections

ARGS = {"axis": "auto", "max_pixels": 96, "frame_ms": 100}
#: A movie of 90 frames and its windows of 15; nothing is resized at 96 pixels.
FRAMES, WINDOWS, HEIGHT, WIDTH = 90, 6, 50, 96


def movie(seed):
    return np.random.default_rng(seed).gamma(4, 100 + 30 * seed, (FRAMES, HEIGHT, WIDTH)).astype(np.int16)


def write(path, frames, **changes):
    windows = np.split(frames, WINDOWS)
    arrays = {
        "first": frames[0],
        "maximum": frames.max(axis=0),
        "mean": frames.mean(axis=0),
        "standard_deviation": frames.std(axis=0),
        "window_maximum": np.stack([window.max(axis=0) for window in windows]),
        "window_standard_deviation": np.stack([window.std(axis=0) for window in windows]).astype(np.float32),
    }
    np.savez_compressed(path, **(arrays | changes))
    return path


@pytest.fixture(scope="module")
def planes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("movie")
    return [write(folder / f"plane{plane}.npz", movie(plane)) for plane in range(3)]


def project(folder, planes, **changes):
    gifs = folder / "maximum.gif", folder / "standard_deviation.gif"
    make_projections(planes, *gifs, **(ARGS | changes))
    return [decode(gif.read_bytes()) for gif in gifs]


def decode(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.stack([np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(image)])


def grey(image, frames):
    """What an image looks like on the scale of all frames."""
    low, high = np.percentile(frames, (1, 99.7))
    return np.clip((image - low) / (high - low), 0, 1) * 255


def test_the_frames_of_one_plane_are_windows_of_time_whose_maximum_is_the_recordings(tmp_path, planes):
    maximum, deviation = project(tmp_path, planes[:1])
    frames = movie(0)
    windows = frames.reshape(WINDOWS, -1, HEIGHT, WIDTH)
    half_a_shade = 255 / (GREYS - 1) / 2 + 0.51
    assert maximum.shape == deviation.shape == (WINDOWS, HEIGHT, WIDTH)
    expected = windows.max(axis=1)
    assert np.abs(maximum - grey(expected, expected)).max() <= half_a_shade
    # Greys rise with the values, so the brightest of all frames is the whole recording's maximum.
    assert np.abs(maximum.max(axis=0) - grey(frames.max(axis=0), expected)).max() <= half_a_shade
    spread = windows.std(axis=1)
    assert np.abs(deviation - grey(spread, spread)).max() <= half_a_shade


def test_the_frames_of_several_planes_are_the_planes(tmp_path, planes):
    shown = project(tmp_path, planes)
    for gif, values in zip(shown, ([movie(i).max(axis=0) for i in range(3)], [movie(i).std(axis=0) for i in range(3)])):  # noqa: B905
        assert gif.shape == (3, HEIGHT, WIDTH)
        assert np.abs(gif - grey(np.stack(values), np.stack(values))).max() <= 255 / (GREYS - 1) / 2 + 0.51
    np.testing.assert_array_equal(project(tmp_path, planes, axis="plane"), shown)


def test_several_planes_over_time_are_side_by_side(tmp_path, planes):
    maximum, _ = project(tmp_path, planes, axis="time", max_pixels=2 * WIDTH + 2)
    assert maximum.shape == (WINDOWS, 2 * HEIGHT + 2, 2 * WIDTH + 2)
    alone = np.stack([np.stack([part.max(axis=0) for part in np.split(movie(i), WINDOWS)]) for i in range(3)])
    for plane, (top, left) in zip(alone, [(0, 0), (0, WIDTH + 2), (HEIGHT + 2, 0)], strict=True):
        part = maximum[:, top : top + HEIGHT, left : left + WIDTH]
        assert np.corrcoef(part.ravel(), np.clip(plane, None, np.percentile(alone, 99)).ravel())[0, 1] > 0.98


def test_one_plane_along_planes_is_a_still_image(tmp_path, planes):
    maximum, _ = project(tmp_path, planes[:1], axis="plane")
    assert len(maximum) == 1
    assert np.abs(maximum[0] - grey(movie(0).max(axis=0), movie(0).max(axis=0))).max() < 3


def test_large_frames_are_shrunk_and_two_runs_write_the_same_bytes(tmp_path, planes):
    assert project(tmp_path, planes, max_pixels=48)[0].shape == (3, 25, 48)
    first = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    project(tmp_path, planes, max_pixels=48)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maximum": np.zeros((HEIGHT, WIDTH))}, "expected a maximum that is the windows' maximum"),
        ({"window_maximum": np.zeros((49, HEIGHT, WIDTH))}, r"expected 1 to 48 windows .*found shapes \(49, 50, 96\)"),
        ({"window_maximum": np.zeros((0, HEIGHT, WIDTH))}, r"expected 1 to 48 windows .*found shapes \(0, 50, 96\)"),
    ],
)
def test_projections_that_cannot_be_of_one_movie_are_refused(tmp_path, changes, message):
    plane = write(tmp_path / "plane0.npz", movie(0), **changes)
    with pytest.raises(FormatError, match=rf"plane0\.npz: {message}"):
        project(tmp_path, [plane])


def test_planes_of_different_recordings_are_refused(tmp_path, planes):
    other = write(tmp_path / "plane1.npz", movie(0)[:, :40])
    with pytest.raises(FormatError, match=r"plane1\.npz: expected .*frames like those of .*plane0\.npz, found shapes"):
        project(tmp_path, [planes[0], other])


def test_a_damaged_or_foreign_file_is_refused_by_name(tmp_path, planes):
    cut = tmp_path / "plane0.npz"
    content = planes[0].read_bytes()
    for spoiled in (content[:1000], content[:200_000] + b"\0" * 2000 + content[202_000:], b""):
        cut.write_bytes(spoiled)
        with pytest.raises(FormatError, match=r"plane0\.npz: expected the projections maximum, .* cannot read them"):
            project(tmp_path, [cut])
    np.savez(cut, maximum=np.ones(3))
    with pytest.raises(FormatError, match=r"cannot read them \('standard_deviation is not a file"):
        project(tmp_path, [cut])
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(FormatError, match=r"array\.npy: expected the projections"):
        project(tmp_path, [tmp_path / "array.npy"])
