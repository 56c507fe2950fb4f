import hashlib
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import yaml

from hippflow import cli, example
from hippflow.errors import ConfigError
from hippflow.example import EXAMPLES, DownloadError, lay_out_example

MOVIE = "data/mouse/20250213/imaging01/sample_mouse2p_image.tif"


@pytest.fixture(scope="module")
def movie_folder(tmp_path_factory):
    """The two-photon example as `hippflow example DIR --recording optinist` lays it out; downloads 104 MB."""
    folder = tmp_path_factory.mktemp("optinist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["hippflow", "example", str(folder), "--recording", "optinist"])
        cli.main()
    return folder


@pytest.fixture
def no_pip(monkeypatch):
    """Lets pip do nothing but say so."""
    calls = []

    def run(command, **options):
        calls.append(command)
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no matching distribution")

    monkeypatch.setattr(example.subprocess, "run", run)
    return calls


def test_the_movie_is_whole(movie_folder):
    files = sorted(str(path.relative_to(movie_folder)) for path in movie_folder.rglob("*") if path.is_file())
    assert files == ["config.yaml", MOVIE]
    with tifffile.TiffFile(movie_folder / MOVIE) as tiff:
        assert len(tiff.pages) == 2000
        assert {(page.shape, page.dtype, page.compression.name) for page in tiff.pages[:]} == {
            ((128, 128), np.dtype(np.uint16), "PACKBITS")
        }
        frames = tiff.asarray()
    assert frames.shape == (2000, 128, 128) and frames.max() == 60239  # beyond int16
    digest = hashlib.sha256(frames.astype("<u2").tobytes()).hexdigest()
    assert digest == "eebd8f03e987b4768c6e78f780c0c6ed56cd43a9d0029d8a2942fca98bad316f"


def test_its_configuration_is_what_the_movie_needs(movie_folder):
    assert yaml.safe_load((movie_folder / "config.yaml").read_text()) == {
        "data": f"{movie_folder}/data",
        "results": f"{movie_folder}/results",
        "suite2p": {"fs": 30, "tau": 1},
    }


def test_what_is_there_is_not_downloaded_again(movie_folder, no_pip):
    assert lay_out_example(movie_folder, "optinist") == movie_folder / "config.yaml"
    assert no_pip == []


def test_two_recordings_do_not_share_a_folder(movie_folder, no_pip):
    before = (movie_folder / "config.yaml").read_text()
    with pytest.raises(ConfigError, match="nothing but blackrock, found mouse"):
        lay_out_example(movie_folder)
    assert no_pip == [] and (movie_folder / "config.yaml").read_text() == before


def test_an_unknown_recording_is_refused_by_name(tmp_path, no_pip):
    with pytest.raises(ConfigError, match="one of blackrock, optinist; got 'suite2p'"):
        lay_out_example(tmp_path, "suite2p")


@pytest.mark.parametrize("recording", EXAMPLES)
def test_a_failed_download_says_what_pip_said(tmp_path, no_pip, recording):
    wanted = {"blackrock": "ezmsg-neo==0.7.1", "optinist": "optinist==2.4.1"}[recording]
    with pytest.raises(DownloadError, match=r"could not download it \(ERROR: no matching distribution\)"):
        lay_out_example(tmp_path, recording)
    assert no_pip[0][-1] == wanted and not list(tmp_path.iterdir())


@pytest.mark.parametrize("recording", EXAMPLES)
def test_a_changed_archive_is_refused(tmp_path, monkeypatch, recording):
    def run(command, **options):
        folder = command[command.index("-d") + 1]
        with open(f"{folder}/{EXAMPLES[recording].archive}", "wb") as file:
            file.write(b"something else")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(example.subprocess, "run", run)
    found = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(DownloadError, match=f"expected SHA-256 {EXAMPLES[recording].sha256}, found {found}"):
        lay_out_example(tmp_path, recording)
    assert not list(tmp_path.iterdir())
