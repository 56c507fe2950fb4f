import hashlib
import itertools
import re
import sys

import neo.rawio
import numpy as np
import pytest

from hippflow import cli
from hippflow.demo.behaviour import BehaviourOptions, make_behaviour, make_place_field, session_starts
from hippflow.demo.day import write_demo_day
from hippflow.demo.faults import Fault, check_faults, parse_fault
from hippflow.demo.timeline import make_timeline
from hippflow.demo.truth import load_truth
from hippflow.demo.units import place_train, plan_units, tunable_unit
from hippflow.errors import ConfigError

DAY = {"channels": [9, 34], "seconds": 12, "n_navigation": 2}
LOG = "session01/RawData_T1-400/session_1_5112018105911.txt"


def digests(folder):
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    return write_demo_day(tmp_path_factory.mktemp("day"), **DAY)


@pytest.fixture(scope="module")
def day_without(tmp_path_factory):
    return write_demo_day(tmp_path_factory.mktemp("without"), **DAY, behaviour=False)


def maze_rows(path):
    return np.array([line.split() for line in path.read_text().splitlines() if line.startswith(" ")], float)


def eye_messages(path):
    found = re.findall(r"^MSG\t(\d+) ((?:Trigger|Start|Cue|End|Timeout|[01]  ).*)$", path.read_text(), re.MULTILINE)
    return [(int(time), text) for time, text in found]


def nev_words(path):
    reader = neo.rawio.BlackrockRawIO(str(path.with_suffix("")), nsx_to_load=5)
    reader.parse_header()
    names = reader.header["event_channels"]["name"].tolist()
    ticks, _, labels = reader.get_event_timestamps(0, 0, names.index("digital_input_port"))
    return list(zip(ticks.tolist(), labels.astype(int).tolist(), strict=True))


def test_a_day_has_a_log_a_session_and_two_eye_files(day, day_without):
    expected = {
        "181105.asc", "P11_5.asc", LOG, "session02/RawData_T1-400/session_1_511201811423.txt",
        "session01/181105_Block1.nev", "session01/181105_Block1.ns5", "session02/181105_Block2.nev",
        "session02/181105_Block2.ns5", "sessioneye/181105_DST.nev", "sessioneye/181105_DST.ns5",
        "truth.json", "truth.npz",
    }  # fmt: skip
    assert set(digests(day)) == expected
    assert set(digests(day_without)) == {name for name in expected if not name.endswith((".asc", ".txt"))}
    assert load_truth(day_without).behaviour is None


def test_equal_seeds_give_equal_bytes_and_others_do_not(day, tmp_path):
    assert digests(write_demo_day(tmp_path / "same", **DAY)) == digests(day)
    other = digests(write_demo_day(tmp_path / "other", **DAY, seed=1))
    assert not {"181105.asc", "P11_5.asc", LOG} & {n for n, digest in other.items() if digest == digests(day)[n]}


def test_behaviour_changes_nothing_of_the_recording_but_one_unit_in_the_maze(day, day_without):
    truth, without = load_truth(day), load_truth(day_without)
    field = truth.behaviour.place_field
    for name, stem in (("session01", "181105_Block1"), ("session02", "181105_Block2"), ("sessioneye", "181105_DST")):
        assert (day / name / f"{stem}.nev").read_bytes() == (day_without / name / f"{stem}.nev").read_bytes()
        n_bytes = 2 * 6 * truth.sessions[name].n_samples
        one, other = (
            np.frombuffer((folder / name / f"{stem}.ns5").read_bytes()[-n_bytes:], "<i2")
            for folder in (day, day_without)
        )
        changed = (one != other).reshape(-1, 6).any(0)
        column = 4 + [9, 34].index(field.channel)
        assert np.flatnonzero(changed).tolist() == ([] if name == "sessioneye" else [column])
    assert field.sessions == ("session01", "session02")
    for key, unit in truth.units.items():
        for name, spikes in unit.spikes.items():
            tuned = key == (field.channel, field.label) and name in field.sessions
            assert np.array_equal(spikes, without.units[key].spikes[name]) != tuned


@pytest.mark.parametrize("seed", range(3))
def test_the_place_tuned_unit_fires_where_its_field_says(seed):
    timeline = make_timeline("picasso", "20181105", 2400, seed)
    behaviour = make_behaviour(timeline, session_starts(timeline))
    session = timeline.sessions[0]
    unit = tunable_unit(plan_units(range(1, 9), ["session01", "sessioneye"], seed), ["session01", "sessioneye"])
    field = make_place_field(behaviour, unit)
    samples, amplitudes = place_train(
        unit, field, "session01", session.n_samples, seed, behaviour.paths["session01"].position
    )
    assert np.diff(samples).min() >= unit.refractory and samples.shape == amplitudes.shape
    frames = behaviour.frames["session01"]
    away = np.hypot(*(frames.position - (field.x, field.z)).T)
    at_spike = np.interp(samples / 30_000, frames.times, away)
    for low, high in itertools.pairwise((0, 1, 2, 3, 4, 6, 30)):
        inside = (away >= low) & (away < high)
        seconds = inside.sum() / frames.times.size * 2400
        expected = (1 + 20 * np.exp(-(away[inside] ** 2) / (2 * 2.0**2))).mean() * seconds
        found = ((at_spike >= low) & (at_spike < high)).sum()
        # the refractory period costs up to rate x period, here 6 %
        assert 0.88 * expected - 4 * np.sqrt(expected) < found < expected + 4 * np.sqrt(expected)
    assert np.sum(away < 2) / frames.times.size * 2400 > 30


def test_the_truth_is_what_the_files_say(day):
    truth = load_truth(day)
    behaviour = truth.behaviour
    assert list(behaviour.maze) == ["session01", "session02"] and list(behaviour.eye) == list(truth.sessions)
    assert behaviour.faults == ()
    rows = maze_rows(day / LOG)
    frames = behaviour.maze["session01"]
    np.testing.assert_array_equal(rows[:, 0], frames.triggers)
    np.testing.assert_array_equal(rows[:, 2:], np.column_stack([frames.position, frames.heading]))
    ticks = truth.sessions["session01"].trial_ticks.ravel()
    np.testing.assert_allclose(frames.times[frames.triggers > 0][1:], ticks / 30_000, rtol=0, atol=1e-9)
    device = np.append(0, np.cumsum(rows[1:, 1]))
    np.testing.assert_allclose(frames.clock.to_ripple(device), frames.times, rtol=0, atol=1e-7)
    lines = re.findall(r"^(\d+)\t +(\S+)\t +(\S+)\t", (day / "181105.asc").read_text(), re.MULTILINE)
    samples = np.array(
        [[value.replace(".", "nan") if value == "." else value for value in row] for row in lines], float
    )
    eyes = [behaviour.eye[name] for name in ("session01", "session02")]
    np.testing.assert_array_equal(samples[:, 1:].astype(np.float32), np.concatenate([eye.pixels for eye in eyes]))
    np.testing.assert_array_equal(samples[:, 0], np.concatenate([eye.milliseconds for eye in eyes]))
    times = eyes[0].clock.offset + (1 - 300e-6) * eyes[0].times
    np.testing.assert_allclose(times * 1000, eyes[0].milliseconds, rtol=0, atol=1e-6)


def faulty(tmp_path, *faults, **options):
    return write_demo_day(tmp_path / "faulty", **DAY, options=BehaviourOptions(faults=faults, **options))


def others_are_equal(day, faulty_day, *changed):
    before, after = digests(day), digests(faulty_day)
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == {*changed, "truth.json"}


@pytest.mark.parametrize("marker", ["start", "cue", "end", "trial"])
@pytest.mark.parametrize("trial", [0, 1, -1])
@pytest.mark.parametrize("action", ["drop", "double"])
def test_a_fault_changes_the_markers_that_it_names_and_nothing_else(day, tmp_path, action, trial, marker):
    sessions = load_truth(day).sessions
    faults = (
        Fault(action, "maze", "session01", trial, marker),
        Fault(action, "eye", "session02", trial, marker),
        Fault(action, "ripple", "sessioneye", trial, marker),
    )
    other = faulty(tmp_path, *faults)
    others_are_equal(day, other, LOG, "181105.asc", "sessioneye/181105_DST.nev")
    which = {"start": [0], "cue": [1], "end": [2], "trial": [0, 1, 2]}[marker]
    n_trials = {name: len(session.trial_codes) for name, session in sessions.items()}
    at = {name: [1 + 3 * (trial % n) + i for i in which] for name, n in n_trials.items()}
    copies = 0 if action == "drop" else 2

    before, after = (maze_rows(folder / LOG) for folder in (day, other))
    rows = np.flatnonzero(before[:, 0])[at["session01"]]
    before[rows + (copies == 2), 0] = 0 if copies == 0 else before[rows, 0]
    np.testing.assert_array_equal(after, before)

    before, after = (eye_messages(folder / "181105.asc") for folder in (day, other))
    first = 1 + 3 * n_trials["session01"]
    rows = [first + i for i in at["session02"]]
    assert [text for _, text in after] == [
        text for i, (_, text) in enumerate(before) for _ in range(copies if i in rows else 1)
    ]
    assert set(before) - set(after) == ({before[i] for i in rows} if copies == 0 else set())
    assert len(set(after) - set(before)) == (len(rows) if copies == 2 else 0)

    before, after = (nev_words(folder / "sessioneye" / "181105_DST.nev") for folder in (day, other))
    words = {word for i in at["sessioneye"] for word in before[2 * i : 2 * i + 2]}
    if copies == 0:
        assert after == [word for word in before if word not in words]
    else:
        assert after == sorted(before + [(tick + 150, code) for tick, code in words])

    truth = load_truth(other)
    assert truth.behaviour.faults == tuple(
        Fault(fault.action, fault.device, fault.session, trial % n_trials[fault.session], marker) for fault in faults
    )
    recorded = truth.sessions["sessioneye"]
    assert after == list(zip(recorded.raw_ticks.tolist(), recorded.raw_codes.tolist(), strict=True))
    for name, session in sessions.items():
        np.testing.assert_array_equal(truth.sessions[name].trial_ticks, session.trial_ticks)
        np.testing.assert_array_equal(truth.sessions[name].trial_codes, session.trial_codes)


def test_an_aborted_start_is_in_the_eye_file_only(day, tmp_path):
    other = faulty(tmp_path, Fault("abort", "eye", "session01"))
    others_are_equal(day, other, "181105.asc")
    before, after = eye_messages(day / "181105.asc"), eye_messages(other / "181105.asc")
    assert after[3:] == before and after[0][1] == before[0][1] == "Trigger Version 84"
    assert after[1][1][:-1] == "Start Trial 1" and after[1][1] != before[1][1]
    assert 15_000 < before[0][0] - after[0][0] < 25_000


def test_options_of_the_log_change_the_log_only(day, tmp_path):
    other = write_demo_day(tmp_path, **DAY, options=BehaviourOptions(header="json", n_logs=2))
    assert sorted(path.name.split("_")[1] for path in (other / LOG).parent.iterdir()) == ["1", "2"]
    assert (other / "truth.npz").read_bytes() == (day / "truth.npz").read_bytes()
    drifting = load_truth(write_demo_day(tmp_path / "drift", **DAY, options=BehaviourOptions(500, -900, 40)))
    assert [clock.clock.ppm for clock in drifting.behaviour.eye.values()] == [-900, -900, 40]
    assert drifting.behaviour.maze["session02"].clock.ppm == 500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drop:eye:session01", "expected ACTION:DEVICE"),
        ("lose:eye:session01:1:cue", "expected ACTION:DEVICE"),
        ("drop:nose:session01:1:cue", "expected ACTION:DEVICE"),
        ("drop:eye:session01:1:reward", "expected ACTION:DEVICE"),
        ("drop:eye:session01:x:cue", "expected ACTION:DEVICE"),
        ("abort:maze:session01", "expected ACTION:DEVICE"),
        ("drop:eye:session02:1:cue", "one of the sessions session01, sessioneye"),
        ("drop:eye:session01:99:cue", r"a trial in 0\.\.\d of session01"),
        ("drop:maze:sessioneye:0:cue", "a fixation session has no maze"),
        ("abort:eye:sessioneye", "a fixation session has no maze and no session start"),
    ],
)
def test_faults_that_cannot_be_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        check_faults([parse_fault(text)], make_timeline("picasso", "20181105", 60, 1))


def test_two_faults_of_one_marker_are_refused(tmp_path):
    faults = [Fault("drop", "eye", "session01", -1, "trial"), Fault("double", "eye", "session01", 7, "cue")]
    timeline = make_timeline("picasso", "20181105", 60, 1)
    assert len(timeline.sessions[0].trials) == 8
    with pytest.raises(ConfigError, match="double:eye:session01:7:cue: expected one fault a marker"):
        check_faults(faults, timeline)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_navigation": 0}, "1 to 99 navigation sessions; got 0"),
        ({"behaviour": False, "options": BehaviourOptions()}, "expected none for a day without behaviour"),
    ],
)
def test_days_that_make_no_sense_are_refused(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        write_demo_day(tmp_path, channels=[9], seconds=2, **options)
    assert not list(tmp_path.iterdir())


def test_logs_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="header: expected one of text, json, none; got 'xml'"):
        BehaviourOptions(header="xml")
    with pytest.raises(ConfigError, match="one file to twenty; got 0"):
        BehaviourOptions(n_logs=0)


def test_the_command_writes_the_day_that_its_options_ask_for(tmp_path, monkeypatch):
    def demo(*arguments):
        command = ["hippflow", "demo", str(tmp_path / arguments[0]), "--channels", "9", "--seconds", "2"]
        monkeypatch.setattr(sys, "argv", [*command, *arguments[1:]])
        cli.main()
        return tmp_path / arguments[0] / "picasso" / "20181105"

    one = demo("one", "--sessions", "2", "--fault", "drop:eye:session02:-1:end", "--fault", "abort:eye:session01")
    truth = load_truth(one)
    assert list(truth.sessions) == ["session01", "session02", "sessioneye"]
    assert [fault.action for fault in truth.behaviour.faults] == ["drop", "abort"]
    assert not list(demo("two", "--no-behaviour").rglob("*.asc"))
    with pytest.raises(SystemExit, match="hippflow: options: expected none"):
        demo("three", "--no-behaviour", "--fault", "abort:eye:session01")
