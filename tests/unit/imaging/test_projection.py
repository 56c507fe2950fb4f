import numpy as np
import pytest

from hippflow.imaging.projection import MAX_WINDOWS, Projections, window_starts


def project(movie, ends=()):
    """Projections of a movie that comes in blocks ending at `ends`, and those of its windows."""
    projections = Projections(len(movie), movie.shape[1:])
    windows = [window for block in np.split(movie, ends) for window in projections.add(block)]
    return projections, windows


MOVIES = {
    "noise": lambda rng: rng.poisson(300, (131, 6, 9)),
    "full scale": lambda rng: rng.integers(-32768, 32767, (131, 6, 9), endpoint=True),
    "only extremes": lambda rng: rng.choice([-32768, 32767], (131, 6, 9)),
    "small deviation on a large mean": lambda rng: 32760 + rng.integers(0, 2, (131, 6, 9)),
    "lowest value": lambda rng: np.full((131, 6, 9), -32768),
    "zeros": lambda rng: np.zeros((131, 6, 9)),
    "one frame differs": lambda rng: np.eye(131, 54, -3).reshape(131, 6, 9),
    "few frames": lambda rng: rng.poisson(300, (7, 6, 9)),
    "as many frames as windows": lambda rng: rng.poisson(300, (48, 6, 9)),
}


@pytest.mark.parametrize("ends", [(), (1,), (48, 49), (2, 3, 100)])
@pytest.mark.parametrize("name", MOVIES)
def test_projections_are_those_of_numpy_in_whatever_blocks_frames_come(name, ends):
    movie = MOVIES[name](np.random.default_rng(1)).astype(np.int16)
    projections, windows = project(movie, [end for end in ends if end < len(movie)])
    total = projections.total()
    assert total.n_frames == len(movie)
    assert np.array_equal(projections.first, movie[0])
    assert total.maximum.dtype == np.int16
    assert np.array_equal(total.maximum, movie.max(axis=0))
    assert np.allclose(total.mean, movie.mean(axis=0, dtype=float), rtol=1e-15, atol=0)
    assert np.allclose(
        total.standard_deviation, movie.std(axis=0, dtype=np.longdouble).astype(float), rtol=1e-12, atol=0
    )
    expected = np.array_split(movie, min(len(movie), MAX_WINDOWS))
    assert [window.n_frames for window in windows] == [len(frames) for frames in expected]
    assert projections.window_start.tolist() == np.cumsum([0, *map(len, expected)])[:-1].tolist()
    for window, frames in zip(windows, expected, strict=True):
        assert np.array_equal(window.maximum, frames.max(axis=0))
        deviation = frames.std(axis=0, dtype=np.longdouble).astype(float)
        assert np.allclose(window.standard_deviation, deviation, rtol=1e-13, atol=0)


def test_a_pixel_that_never_changes_has_no_deviation_at_all():
    movie = np.full((1000, 2, 2), 31987, np.int16)
    projections, windows = project(movie, (333,))
    assert not projections.total().standard_deviation.any()
    assert not any(window.standard_deviation.any() for window in windows)


def test_two_blocks_of_one_movie_do_not_share_memory_with_their_projections():
    movie = np.random.default_rng(2).poisson(100, (60, 3, 4)).astype(np.int16)
    block, projections, windows = np.empty((20, 3, 4), np.int16), Projections(60, (3, 4)), []
    for begin in (0, 20, 40):
        block[:] = movie[begin : begin + 20]  # as a reader does that has one buffer
        windows += projections.add(block)
    assert np.array_equal(projections.first, movie[0])
    assert np.array_equal(windows[0].maximum, movie[:2].max(axis=0))
    assert np.array_equal(windows[47].maximum, movie[59])


@pytest.mark.parametrize("n_frames", [1, 9, 47, 48, 49, 95, 96, 1000])
def test_windows_are_equal_but_for_one_frame(n_frames):
    starts = window_starts(n_frames)
    expected = np.array_split(np.arange(n_frames), min(n_frames, 48))
    assert starts.dtype == np.int64
    assert starts.tolist() == [frames[0] for frames in expected]
