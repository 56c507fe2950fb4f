"""Products that are not there, or that contradict each other, are refused by name, and no file is left."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from nwb_day import CHANNELS, SETTINGS, write_day
from pynwb import NWBHDF5IO

from hippflow.errors import FormatError
from hippflow.io.products import read_product, write_product
from hippflow.io.signals import write_signal
from hippflow.steps.nwb import make_nwb


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_day(tmp_path_factory.mktemp("nwb") / "results")


@pytest.fixture
def day(whole, tmp_path):
    """A copy whose products a test may change."""
    shutil.copytree(whole.folder.parents[2], tmp_path / "copy")
    old, new = str(whole.folder.parents[2]), str(tmp_path / "copy")
    sources = {kind: [path.replace(old, new) for path in paths] for kind, paths in whole.sources.items()}
    return SimpleNamespace(folder=Path(str(whole.folder).replace(old, new)), sources=sources)


def refused(day, message, **changes):
    path = day.folder / "picasso_20181105.nwb"
    with pytest.raises(FormatError, match=message):
        make_nwb(day.sources, path, settings=SETTINGS | changes)
    assert not path.exists()
    assert not list(day.folder.glob(".*"))


def other_lengths(day):
    path = day.folder / "session01" / CHANNELS[34] / "rpllfp_6eca.hkl"
    info = read_product(path)["analogInfo"] | {"Segments": np.array([[0, 10, 300, 570]])}
    with write_signal(path, {"analogInfo": info}, 10) as writer:
        writer.write(np.zeros(10))
    return r"channel034/rpllfp_6eca\.hkl: expected samples 3000 as in .*channel009/rpllfp_6eca\.hkl.* found 10"


def another_clock(day):
    path = day.folder / "session01" / CHANNELS[34] / "rplraw_d41d.hkl"
    fields = read_product(path)
    fields["analogInfo"]["Segments"][0, 2:] += 3
    write_product(path, fields)
    return r"channel034/rplraw_d41d\.hkl: expected segments \[\[0, 90000, 300, 90299\]\]"


def a_channel_less(day):
    day.sources["raw"] = [path for path in day.sources["raw"] if "session01/array02" not in path]
    return r"session01: expected the same channels in all products, found 34 with lfp alone, none with raw alone"


def a_channel_on_another_array(day):
    paths = [Path(path) for kind in ("lfp", "raw", "cells") for path in day.sources[kind]]
    moved = [path for path in paths if "sessioneye" in path.parts and "channel034" in path.parts]
    moved[0].parents[1].rename(moved[0].parents[2] / "array03")
    for kind in ("lfp", "raw", "cells"):
        day.sources[kind] = [
            path.replace("array02", "array03") if "sessioneye" in path else path for path in day.sources[kind]
        ]
    return r"array03/channel034: expected channel 34 on one array, found it on another in .*array02/channel034"


def cells_of_another_sorting(day):
    path = day.folder / "session01" / CHANNELS[34] / "cells.csv"
    table = pd.read_csv(path)
    table.assign(unit=3).to_csv(path, index=False)
    return r"channel034/cells\.csv: expected units of units\.csv, found \[3\] as well"


def a_train_of_another_sorting(day):
    write_product(day.folder / "session01" / CHANNELS[34] / "cell01/spiketrain_d41d.hkl", {"spiketimes": [np.ones(3)]})
    return r"cells\.csv: expected 7 spikes of unit 1 in session01 as in units\.csv, found 3"


def waveforms_of_another_sorting(day):
    write_product(day.folder / "mountains/channel009/templates.hkl", np.zeros((1, 150, 1), np.float32))
    return r"channel009/templates\.hkl: expected the waveforms of 2 units as in units\.csv, found 1"


def metrics_of_another_sorting(day):
    path = day.folder / "mountains/channel009/metrics.csv"
    pd.read_csv(path).head(1).to_csv(path, index=False)
    return r"channel009/metrics\.csv: expected the units \[1, 2\] of units\.csv, found \[1\]"


def eyes_of_another_split(day):
    path = day.folder / "session01/eyelink_24d5.hkl"
    fields = read_product(path)
    write_product(path, fields | {"timestamps": fields["timestamps"][:-1]})
    return r"eyelink_24d5\.hkl: expected a time for each of 2500 samples, found 2499"


def gaze_of_other_eyes(day):
    path = day.folder / "session01/raycast.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"samples": 2600}))
    return r"raycast\.json: expected 2500 eye samples as in .*eyelink_24d5\.hkl, found 2600"


def gaze_at_other_times(day):
    path = day.folder / "session01/raycast.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"before_first_trial": 402}))
    return r"unityfile_eyelink\.csv: expected 2000 rows at the times of the eye's samples, found another at row 1;"


def gaze_that_is_cut_off(day):
    path = day.folder / "session01/unityfile_eyelink.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:1500]))
    return r"unityfile_eyelink\.csv: expected 2000 rows .* found another at row 1501;"


def gaze_at_an_unknown_object(day):
    path = day.folder / "session01/unityfile_eyelink.csv"
    path.write_text(path.read_text().replace("Poster1", "Poster7"))
    return r"unityfile_eyelink\.csv: expected objects of raycast\.json, found 'Poster7'"


def cells_of_another_movie(day):
    path = day.folder / "imaging01/movie/movie.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"n_frames": 121}))
    return r"F\.npy: expected 121 frames as in movie\.json, found 120"


def labels_of_another_run(day):
    np.save(day.folder / "imaging01/suite2p/plane0/iscell.npy", np.zeros((4, 2)))
    return r"expected files of one run of suite2p, found ROIs: stat\.npy 5, iscell\.npy 4, F\.npy 5"


def clusters_of_another_run(day):
    (day.folder / "imaging01/kmeans/plane0/clusters.csv").write_text("roi,cluster\n7,1\n")
    return r"plane0/clusters\.csv: expected numbers of 5 regions of interest, found 7"


def a_session_twice_at_a_time(day):
    first, *others = day.sources["nev"]
    Path(others[-1]).write_bytes(Path(first).read_bytes())
    return r"sessioneye: expected it to begin after the end of session01, found 3\.0 s before that"


def a_spike_train_less(day):
    (day.folder / "session01" / CHANNELS[9] / "cell01/spiketrain_d41d.hkl").unlink()
    return r"cell01/spiketrain_d41d\.hkl: expected a product, found no file"


def an_lfp_less(day):
    (day.folder / "session01" / CHANNELS[9] / "rpllfp_6eca.hkl").unlink()
    return r"channel009: expected rpllfp_6eca\.hkl, found no such file"


def a_table_less(day):
    (day.folder / "mountains/channel009/metrics.csv").unlink()
    return r"channel009: expected metrics\.csv, found no such file"


CHANGES = (
    other_lengths,
    another_clock,
    a_channel_less,
    a_channel_on_another_array,
    cells_of_another_sorting,
    a_train_of_another_sorting,
    waveforms_of_another_sorting,
    metrics_of_another_sorting,
    eyes_of_another_split,
    gaze_of_other_eyes,
    gaze_at_other_times,
    gaze_that_is_cut_off,
    gaze_at_an_unknown_object,
    cells_of_another_movie,
    labels_of_another_run,
    clusters_of_another_run,
    a_session_twice_at_a_time,
    a_spike_train_less,
    an_lfp_less,
    a_table_less,
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_day_that_does_not_fit_together_is_refused(day, change):
    refused(day, change(day))


def test_a_day_of_nothing_is_refused(day):
    day.sources = {}
    refused(day, re.escape("expected products of the day, found none; see nwb.modalities"))


def test_eye_data_whose_clock_cannot_be_known_are_left_out_and_said_so(day, caplog):
    path = day.folder / "sessioneye/eyelink_24d5.hkl"
    write_product(path, read_product(path) | {"trial_repaired": np.ones((3, 3), bool)})
    make_nwb(day.sources, day.folder / "picasso_20181105.nwb", settings=SETTINGS | {"modalities": ["behaviour"]})
    assert "sessioneye/eyelink_24d5.hkl: its eye data are left out: the tracker's clock cannot be mapped" in caplog.text
    with NWBHDF5IO(day.folder / "picasso_20181105.nwb", "r") as io:
        file = io.read()
        assert list(file.processing["behavior"]["EyeTracking"].spatial_series) == ["eye_session01"]
        assert set(file.intervals["fixations"]["session"][:]) == {"session01"}
