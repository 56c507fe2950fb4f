import hashlib
import json
import shutil
import sys
from itertools import permutations

import numpy as np
import pytest
from PIL import Image, ImageSequence
from scipy import ndimage
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from hippflow import cli
from hippflow.demo.imaging import GAIN, OFFSET, RATE, READ_NOISE, draw_motion, move, write_demo_imaging
from hippflow.demo.imaging_scene import DECAY, GROUP_SHARES, MARGIN, MIN_DISTANCE, RADII, make_scene
from hippflow.demo.imaging_truth import load_imaging_truth, score_cells
from hippflow.errors import ConfigError, FormatError

#: Two planes of 240 frames, in five files of 96 pages, and a seed that no constant was chosen on.
SMALL = {"planes": 2, "frames": 240, "size": (96, 116), "files": 5, "seed": 31}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write_demo_imaging(tmp_path_factory.mktemp("imaging"), **SMALL)


@pytest.fixture(scope="module")
def truth(recording):
    return load_imaging_truth(recording.parent)


def read_pages(path):
    """Read a file's pages with Pillow, int16 (pages, H, W)."""
    with Image.open(path) as image:
        return np.stack([np.array(page) for page in ImageSequence.Iterator(image)]).astype(np.int16)


@pytest.fixture(scope="module")
def movies(recording):
    """The planes' frames, taking turns in the files as they are sorted by name."""
    frames = np.concatenate([read_pages(path) for path in sorted(recording.iterdir())])
    return frames[0::2], frames[1::2]


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.*")}


def test_the_folder_holds_the_movie_and_its_day_the_truth(recording, truth, movies):
    assert recording.parts[-3:] == ("zebrafish", "20220104", "imaging01")
    assert sorted(path.name for path in recording.iterdir()) == [f"imaging01_0000{n}.tif" for n in (1, 2, 3, 4, 5)]
    assert sorted(path.name for path in recording.parent.iterdir()) == ["imaging01", "truth.json", "truth.npz"]
    assert [len(read_pages(path)) for path in sorted(recording.iterdir())] == [96] * 5
    assert [movie.shape for movie in movies] == [(240, 96, 116)] * 2
    assert (truth.subject, truth.day, truth.recording) == ("zebrafish", "20220104", "imaging01")
    assert (truth.seed, truth.rate, truth.tau, len(truth.planes)) == (31, RATE, DECAY, 2)


def test_moved_back_the_movie_is_the_truths_mean(truth, movies):
    for plane, other, movie in zip(truth.planes, truth.planes[::-1], movies, strict=True):
        back = [ndimage.shift(frame.astype(float), -by, order=3) for frame, by in zip(movie, plane.motion, strict=True)]
        mean, inner = np.mean(back, axis=0), np.s_[7:-7, 7:-7]  # nothing came in from outside there
        # photons and read noise leave about 8 counts of a mean of 240 frames
        assert np.sqrt(np.mean((mean - plane.mean)[inner] ** 2)) < 10
        assert np.corrcoef(mean[inner].ravel(), plane.mean[inner].ravel())[0, 1] > 0.99
        assert np.corrcoef(mean[inner].ravel(), other.mean[inner].ravel())[0, 1] < 0.3


def test_every_frame_is_as_bright_as_the_truth_says(truth, movies):
    for plane, movie in zip(truth.planes, movies, strict=True):
        means = movie.mean(axis=(1, 2))
        assert np.abs(means - plane.frame_means).max() < 8
        assert np.corrcoef(means, plane.frame_means)[0, 1] > 0.98
        assert plane.bleaching[0] == 1 and (np.diff(plane.bleaching) < 0).all() and 0.65 < plane.bleaching[-1] < 0.8


def test_light_comes_in_photons(movies):
    motion = draw_motion(480, 2 * RATE, SMALL["seed"])[::2]
    scene = make_scene(SMALL["size"], np.arange(240) / RATE, 120.0, SMALL["seed"], 0)
    inside = np.s_[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    expected = OFFSET + GAIN * np.maximum(move(scene.render(0, 240), motion)[inside], 0)
    squares = (movies[0] - expected) ** 2
    edges = np.quantile(expected, np.linspace(0, 1, 21))
    bins = np.digitize(expected, edges[1:-1])
    light, variance = ([values[bins == i].mean() for i in range(20)] for values in (expected, squares))
    slope, at_zero = np.polyfit(np.array(light) - OFFSET, variance, 1)
    assert slope == pytest.approx(GAIN, rel=0.02)  # var(counts) = gain x mean of counts above the offset
    assert at_zero == pytest.approx(READ_NOISE**2, abs=GAIN**2)


def test_the_frames_move_as_the_truth_says(truth, movies):
    plane, movie = truth.planes[0], movies[0]
    reference = np.fft.rfft2(plane.mean - plane.mean.mean())
    found = []
    for frame in movie:
        products = np.fft.irfft2(np.fft.rfft2(frame - frame.mean()) * reference.conj(), frame.shape)
        peak = np.array(np.unravel_index(products.argmax(), frame.shape))
        found.append((peak + 48) % frame.shape - 48)
    error = np.array(found) - plane.motion
    assert np.sqrt((error**2).mean(axis=0)).max() < 0.5  # whole pixels alone give 0.29
    assert (plane.motion.std(axis=0) > 0.5).all() and np.abs(plane.motion).max() < MARGIN
    # the planes' frames take turns along one path
    path = np.stack([p.motion for p in truth.planes], axis=1).reshape(-1, 2)
    np.testing.assert_array_equal(path, draw_motion(480, 2 * RATE, SMALL["seed"]))


def test_cells_are_apart_and_their_masks_have_their_places_and_sizes(truth):
    for plane in truth.planes:
        distance = np.linalg.norm(plane.centres[:, None] - plane.centres, axis=2)
        assert distance[distance > 0].min() >= MIN_DISTANCE
        assert (plane.radius >= RADII[0]).all() and (plane.radius <= RADII[1]).all()
        labels = range(1, len(plane.centres) + 1)
        middles = ndimage.center_of_mass(plane.masks > 0, plane.masks, labels)
        np.testing.assert_allclose(middles, plane.centres, atol=0.6)
        areas = np.bincount(plane.masks.ravel())[1:]
        np.testing.assert_allclose(areas, np.pi * plane.radius**2, rtol=0.2)
        for label in labels:
            mask = plane.masks == label
            ring = ndimage.binary_dilation(mask, iterations=5) & (ndimage.grey_dilation(plane.masks, 5) == 0)
            assert plane.mean[mask].mean() > 1.25 * plane.mean[ring].mean()


def test_groups_are_active_together_in_both_planes_and_cells_by_themselves(truth):
    drives, absent = [], []
    for plane in truth.planes:
        shares = np.bincount(plane.groups) / len(plane.groups)
        np.testing.assert_allclose(shares, GROUP_SHARES, atol=0.03)
        z = (plane.dff - plane.dff.mean(axis=1, keepdims=True)) / plane.dff.std(axis=1, keepdims=True)
        correlation = z @ z.T / z.shape[1]
        same = plane.groups[:, None] == plane.groups
        pairs = ~np.eye(len(same), dtype=bool)
        assert 0.3 < correlation[same & pairs].mean() < 0.8 and abs(correlation[~same].mean()) < 0.15
        for members in (plane.dff[plane.groups == group] for group in range(4)):
            largest = members[:, members.mean(axis=0).argmax()]
            absent.append((largest < 0.25 * np.median(largest)).mean())
        drives.append([z[plane.groups == group].mean(axis=0) for group in range(4)])
    assert 0.05 < np.mean(absent) < 0.3  # every cell is missing now and then
    between = np.corrcoef(*drives)[:4, 4:]
    assert (between.argmax(axis=1) == range(4)).all() and between.diagonal().min() > 0.8


def test_fluorescence_falls_with_the_stated_time_constant(truth):
    for plane in truth.planes:
        earlier, later = plane.dff[:, :-1], plane.dff[:, 1:]
        kept = (later / np.where(earlier > 0.3, earlier, np.nan))[earlier > 0.3]
        # the fastest that a trace falls between two frames; new events and their rise only slow it
        assert np.quantile(kept, [0.001, 0.2]) == pytest.approx(np.exp(-1 / (RATE * DECAY)), rel=0.01)
        assert plane.dff.min() >= 0 and plane.dff.max() > 1.5


def test_equal_seeds_give_equal_bytes(tmp_path):
    options = {"frames": 60, "size": (64, 80), "files": 2}
    first, same = (write_demo_imaging(tmp_path / name, **options).parent for name in ("first", "same"))
    other = write_demo_imaging(tmp_path / "other", **options, seed=1).parent
    assert digests(first) == digests(same) and len(digests(first)) == 4
    assert not set(digests(first).values()) & set(digests(other).values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subject": "fish1"}, "letters only"),
        ({"day": "20221304"}, "expected a date"),
        ({"recording": "session01"}, "expected imaging01"),
        ({"recording": "imaging1"}, "expected imaging01"),
        ({"planes": 0}, "planes >= 1"),
        ({"frames": 49}, "frames >= 50"),
        ({"size": (128, 63)}, "64 x 64"),
        ({"frames": 60, "files": 61}, "files in 1..frames"),
    ],
)
def test_a_recording_that_cannot_be_is_refused(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        write_demo_imaging(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_nothing_else_is_replaced_or_joined(tmp_path, small_day):
    options = {"frames": 60, "size": (64, 80)}
    shutil.copytree(small_day, tmp_path / "picasso/20181105", ignore=shutil.ignore_patterns("*.ns5"))
    with pytest.raises(ConfigError, match="that of something else"):
        write_demo_imaging(tmp_path, subject="picasso", day="20181105", **options)
    with pytest.raises(FormatError, match="another kind of day"):
        load_imaging_truth(tmp_path / "picasso/20181105")
    folder = write_demo_imaging(tmp_path, **options, files=3)
    with pytest.raises(ConfigError, match="another day"):
        write_demo_imaging(tmp_path, **options, recording="imaging02")
    before = digests(folder)
    with pytest.raises(ConfigError, match="found imaging01_00003.tif"):
        write_demo_imaging(tmp_path, **options, files=2)
    assert digests(folder) == before
    write_demo_imaging(tmp_path, **options, files=3)
    assert digests(folder) == before


def test_a_score_takes_off_a_common_shift_and_counts_what_is_missing_or_wrong(truth):
    plane = truth.planes[0]
    n = len(plane.centres)
    rng = np.random.default_rng(5)
    order = rng.permutation(n)
    found = (plane.centres + np.array([4.5, -6.0]) + rng.uniform(-1, 1, (n, 2)))[order]
    score = score_cells(plane, found, np.ones(n))
    assert (score.recall, score.precision) == (1, 1)
    assert (order[score.matches[:, 1]] == score.matches[:, 0]).all()

    accepted = np.arange(n) >= 3  # three were rejected, four are doubled, one is where nothing is
    more = np.vstack([found, found[-4:] + 0.3, [[-30.0, -30.0]]])
    score = score_cells(plane, more, np.concatenate([accepted, np.ones(5, bool)]))
    assert score.recall == (n - 3) / n and score.precision == (n - 3) / (n + 2)
    assert not set(score.matches[:, 1]) & {0, 1, 2, n + 4}

    nothing = score_cells(plane, found, np.zeros(n))
    assert nothing.recall == 0 and np.isnan(nothing.precision) and nothing.matches.shape == (0, 2)


def test_a_score_pairs_as_many_as_possible(truth):
    """Against all pairings, on points so dense that the nearest one is often another cell's."""
    rng = np.random.default_rng(11)
    for _ in range(20):
        true = rng.uniform(0, 8, (5, 2))
        found = rng.uniform(0, 8, (5, 2))
        distance = np.linalg.norm(true[:, None] - found, axis=2)
        best = max(sum(distance[i, j] <= 3 for i, j in enumerate(order)) for order in permutations(range(5)))
        plane = type("Plane", (), {"centres": true})
        assert len(score_cells(plane, found, np.ones(5), largest_shift=0).matches) == best


@pytest.mark.parametrize("imaging", [True, False])
def test_the_command_writes_both_days_and_says_how_to_process_them(tmp_path, monkeypatch, capsys, imaging):
    arguments = ["demo", str(tmp_path), "--seconds", "2", "--channels", "9,31", "--no-behaviour"]
    monkeypatch.setattr(sys, "argv", ["hippflow", *arguments, *([] if imaging else ["--no-imaging"])])
    cli.main()
    said = capsys.readouterr().out
    assert f"{tmp_path}/picasso/20181105" in said
    command = f"snakemake -c2 --config data={tmp_path}"
    if not imaging:
        assert [path.name for path in tmp_path.iterdir()] == ["picasso"]
        assert said.endswith(f"Process it: {command}\n")
        return
    assert f"7:30 is in {tmp_path}/zebrafish/20220104" in said
    assert said.endswith(f"Process both: {command} 'suite2p={{fs: 2, tau: 1.8}}'\n")
    movie = tmp_path / "zebrafish/20220104/imaging01"
    assert sum(path.stat().st_size for path in movie.iterdir()) < 40e6
    facts = json.loads((tmp_path / "zebrafish/20220104/truth.json").read_text())
    assert (facts["rate"], facts["tau"], facts["seed"], facts["planes"]) == (2, 1.8, 20220104, 1)


@pytest.fixture
def one_thread():
    """Lets PyTorch have a single thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_plain_suite2p_finds_the_cells_and_kmeans_their_groups(tmp_path, one_thread):
    """The movie of the default size is one that the tool of the field can solve; a seed that nothing was chosen on."""
    import suite2p

    folder = write_demo_imaging(tmp_path / "data", seed=811)
    settings, db = suite2p.default_settings(), suite2p.default_db()
    settings |= {"fs": RATE, "tau": DECAY, "torch_device": "cpu"}
    settings["run"]["do_regmetrics"] = False
    settings["registration"]["nonrigid"] = False
    settings["classification"]["use_builtin_classifier"] = True
    db |= {"data_path": [str(folder)], "save_path0": str(tmp_path), "fast_disk": str(tmp_path)}
    suite2p.run_s2p(db=db, settings=settings)
    out = tmp_path / "suite2p/plane0"
    stat = np.load(out / "stat.npy", allow_pickle=True)
    accepted = np.load(out / "iscell.npy")[:, 0] == 1
    plane = load_imaging_truth(folder.parent).planes[0]
    score = score_cells(plane, np.array([roi["med"] for roi in stat]), accepted)
    assert score.recall >= 0.9 and score.precision >= 0.9

    traces = np.load(out / "F.npy") - 0.7 * np.load(out / "Fneu.npy")
    z = traces[accepted] - traces[accepted].mean(axis=1, keepdims=True)
    z /= z.std(axis=1, keepdims=True)
    labels = np.full(len(stat), -1)
    labels[accepted] = KMeans(4, n_init=10, random_state=0).fit(np.cov(z)).labels_
    true, found = score.matches.T
    assert adjusted_rand_score(plane.groups[true], labels[found]) >= 0.95
    assert np.median([np.corrcoef(plane.dff[i], traces[j])[0, 1] for i, j in score.matches]) > 0.85
