"""What a second run does, taken from Snakemake's own list of jobs: exactly what is missing, changed or asked for."""

import os
import shutil

import pytest

DAY = "picasso/20181105"
FOLDERS = {9: "array01/channel009", 34: "array02/channel034", 120: "array04/channel120"}
SESSIONS = ("session01", "sessioneye")


def lfp(*channels, sessions=SESSIONS):
    return [f"LFP of {DAY}/{s}/{FOLDERS[c]}" for c in channels for s in sessions]


def highpass(*channels, sessions=SESSIONS):
    return [f"High-pass signal of {DAY}/{s}/{FOLDERS[c]}" for c in channels for s in sessions]


def spectra(*channels, sessions=SESSIONS, each=2):
    """Amplitude spectra, and the signals' quality, for which they are."""
    jobs = [f"Amplitude spectrum of {DAY}/{s}/{FOLDERS[c]}" for c in channels for s in sessions] * each
    return jobs + quality(*channels, sessions=sessions)


def quality(*channels, sessions=SESSIONS):
    return [f"Signal quality of {DAY}/{s}/{FOLDERS[c]}" for c in channels for s in sessions]


def sorting(*channels):
    return [f"Spike sorting of {DAY}, channel {c:03d}" for c in channels]


def units(*channels):
    return [f"Units of {DAY}, channel {c:03d}" for c in channels]


def places(*channels):
    return [f"Place fields of {DAY}/session01/{FOLDERS[c]}" for c in channels]


def cells(*channels, sessions=SESSIONS):
    """Spike trains, and the place fields of those of the navigation session."""
    trains = [f"Spike trains of {DAY}/{s}/{FOLDERS[c]}" for c in channels for s in sessions]
    return trains + (places(*channels) if "session01" in sessions else [])


def raw(*sessions):
    return [f"Raw signals of {DAY}/{s}" for s in sessions]


def markers(*sessions):
    return [f"Trial markers of {DAY}/{s}" for s in sessions]


MAZE_LOG = f"Maze log of {DAY}/session01"
#: What follows from the markers of a session, on the way to place fields, and beside it.
FOLLOWING = [f"Eye data of {DAY}", f"Behaviour of {DAY}/session01 on the Ripple clock"]
FOLLOWING += [f"Where the animal was in {DAY}/session01"]
GAZE = f"What the animal looked at in {DAY}/session01"
BEHAVIOUR = [MAZE_LOG, *FOLLOWING, GAZE]


def with_day(jobs):
    """Some jobs in order, with those on the day as a whole that follow from them."""
    table = any(job.startswith(("Units of", "Signal quality of")) for job in jobs)
    return sorted([*jobs, *([f"Table of the channels of {DAY}"] if table else []), f"Report of {DAY}"])


def of_channel(*channels):
    """All jobs on some channels but the splitting of the recording."""
    jobs = lfp(*channels) + highpass(*channels) + spectra(*channels)
    return jobs + sorting(*channels) + units(*channels) + cells(*channels)


@pytest.fixture
def done(finished, tmp_path):
    """A copy of the finished day that a test may change; times of files are kept."""
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    copy = object.__new__(type(finished))
    copy.folder = tmp_path / "copy"
    return copy


def test_the_first_run_makes_everything_once(finished):
    expected = of_channel(*FOLDERS) + raw(*SESSIONS) + markers(*SESSIONS) + BEHAVIOUR
    assert finished.first_run.jobs == with_day(expected)


def test_a_second_run_has_nothing_to_do(finished):
    assert finished.plan() == []
    assert finished.plan("day/20181105") == []
    assert finished.plan("channel/20181105/034") == []


@pytest.mark.parametrize(
    ("deleted", "jobs"),
    [
        (f"session01/{FOLDERS[34]}/cells.csv", cells(34, sessions=["session01"])),
        (f"session01/{FOLDERS[34]}/freqspectrum_9c80.hkl", spectra(34, sessions=["session01"], each=1)),
        (
            f"sessioneye/{FOLDERS[9]}/rpllfp_6eca.hkl",
            lfp(9, sessions=["sessioneye"]) + spectra(9, sessions=["sessioneye"], each=1),
        ),
        ("mountains/channel120/units.csv", units(120) + cells(120)),
        ("mountains/channel120/firings.hkl", sorting(120) + units(120) + cells(120)),
        ("session01/rplparallel_d41d.hkl", markers("session01") + BEHAVIOUR + places(*FOLDERS)),
        ("session01/alignment.json", [FOLLOWING[1], FOLLOWING[2], GAZE, *places(*FOLDERS)]),
        ("session01/raycast.json", [GAZE]),
    ],
)
def test_a_deleted_product_is_made_again_and_what_depends_on_it(done, deleted, jobs):
    done.product(deleted).unlink()
    assert done.plan() == with_day(jobs)


def test_a_deleted_raw_signal_is_split_out_alone(done):
    """The other channels of the same pass are neither made again nor taken for changed."""
    others = [done.product(f"session01/{FOLDERS[c]}/rplraw_d41d.hkl") for c in (9, 120)]
    before = [path.stat().st_mtime_ns for path in others]
    done.product(f"session01/{FOLDERS[34]}/rplraw_d41d.hkl").unlink()
    session = ["session01"]
    expected = raw("session01") + lfp(34, sessions=session) + highpass(34, sessions=session)
    expected += spectra(34, sessions=session) + sorting(34) + units(34) + cells(34)
    assert done.plan() == with_day(expected)
    assert done.run().jobs == with_day(expected)
    assert [path.stat().st_mtime_ns for path in others] == before
    assert done.plan() == []


@pytest.mark.parametrize(
    ("change", "jobs"),
    [
        ('rpllfp={"band": [2, 150]}', lfp(*FOLDERS) + spectra(*FOLDERS, each=1)),
        (
            'rplhighpass={"order": 4}',
            highpass(*FOLDERS) + spectra(*FOLDERS, each=1) + sorting(*FOLDERS) + units(*FOLDERS) + cells(*FOLDERS),
        ),
        ('freqspectrum={"lfp_points_per_window": 1000}', spectra(*FOLDERS, each=1)),
        ('sorting={"detect_threshold": 5}', sorting(*FOLDERS) + units(*FOLDERS) + cells(*FOLDERS)),
        ('units={"min_snr": 5}', units(*FOLDERS) + cells(*FOLDERS)),
        ("spiketrain={cells: no-noise}", cells(*FOLDERS)),
        ('quality={"max_noise_uv": 20}', quality(*FOLDERS)),
        ("rplparallel={unfinished_trial: drop}", markers(*SESSIONS) + BEHAVIOUR + places(*FOLDERS)),
        ("raycast={radius: 10}", [GAZE]),
        ("placefield={seed: 1}", places(*FOLDERS)),
        ("products={dtype: int16}", raw(*SESSIONS) + of_channel(*FOLDERS)),
    ],
)
def test_a_changed_parameter_reruns_what_depends_on_it(finished, change, jobs):
    assert finished.plan("--config", change) == with_day(jobs)


def test_a_changed_recording_reruns_its_session(done):
    path = done.folder / f"data/{DAY}/sessioneye/181105_DST.ns5"
    later = max(p.stat().st_mtime for p in (done.folder / "results").rglob("*.hkl")) + 10
    os.utime(path, (later, later))
    eye = ["sessioneye"]
    expected = raw("sessioneye") + lfp(*FOLDERS, sessions=eye) + highpass(*FOLDERS, sessions=eye)
    expected += spectra(*FOLDERS, sessions=eye) + sorting(*FOLDERS) + units(*FOLDERS) + cells(*FOLDERS)
    assert done.plan() == with_day(expected)


def test_a_changed_nev_reruns_the_markers_and_what_is_found_by_them(done):
    path = done.folder / f"data/{DAY}/sessioneye/181105_DST.nev"
    later = max(p.stat().st_mtime for p in (done.folder / "results").rglob("*.hkl")) + 10
    os.utime(path, (later, later))
    assert done.plan() == []  # of small files Snakemake compares the content
    content = bytearray(path.read_bytes())
    content[76:80] = b"note"  # in the header's comment
    path.write_bytes(content)
    os.utime(path, (later, later))
    assert done.plan() == with_day([*markers("sessioneye"), *FOLLOWING, GAZE, *places(*FOLDERS)])


def test_one_channel_is_a_target(workflow, finished):
    os.symlink(finished.folder / "data", workflow.folder / "data")
    expected = raw(*SESSIONS) + of_channel(34) + markers(*SESSIONS) + [MAZE_LOG, *FOLLOWING]
    assert workflow.plan("channel/20181105/034") == sorted(expected)


def test_one_day_is_a_target(workflow, finished):
    for day in ("20181105", "20181106"):
        folder = workflow.folder / f"data/picasso/{day}"
        shutil.copytree(finished.folder / f"data/{DAY}", folder)
        for path in folder.rglob("181105*"):
            path.rename(path.with_name(path.name.replace("181105", day[2:])))
    expected = with_day(of_channel(*FOLDERS) + raw(*SESSIONS) + markers(*SESSIONS) + BEHAVIOUR)
    assert workflow.plan("day/20181105") == expected
    assert len(workflow.plan()) == 2 * len(expected)


def test_one_file_is_a_target(workflow, finished):
    os.symlink(finished.folder / "data", workflow.folder / "data")
    target = f"results/{DAY}/session01/{FOLDERS[120]}/rpllfp_6eca.hkl"
    assert workflow.plan(target) == sorted(raw("session01") + lfp(120, sessions=["session01"]))


def test_a_narrowed_run_leaves_other_channels_up_to_date(done):
    assert done.plan("--config", "channels=9") == []
    done.product(f"session01/{FOLDERS[9]}/rpllfp_6eca.hkl").unlink()
    done.run("--config", "channels=9")
    assert done.plan() == []


def test_a_widened_run_makes_only_what_is_new(workflow, finished):
    os.symlink(finished.folder / "data", workflow.folder / "data")
    workflow.run("--config", "channels=9")
    assert not workflow.product(f"session01/{FOLDERS[34]}").exists()
    expected = raw(*SESSIONS) + of_channel(34, 120)
    assert workflow.plan() == with_day(expected)
    workflow.run("--config", "channels=[9, 34]")
    assert workflow.plan() == with_day(raw(*SESSIONS) + of_channel(120))
    assert workflow.plan("channel/20181105/009") == []
