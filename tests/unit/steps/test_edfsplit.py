"""The eye data of a day's sessions as PyHipp's Eyelink has them, from files with known gaze and known clocks."""

import re

import hickle
import numpy as np
import pandas as pd
import pytest

from hippflow.errors import CatalogError, ConfigError, FormatError, MarkerError
from hippflow.io.products import write_product
from hippflow.names import eyelink_args, product_name
from hippflow.steps import edfsplit
from hippflow.steps.edfsplit import make_edfsplit

WORDS = {1: "Start Trial", 2: "Cue Offset", 3: "End Trial", 4: "Timeout"}
NAME = product_name("eyelink", eyelink_args())

#: Ripple's trials of two navigation sessions and the fixation session.
CODES = {
    "session01": [[11, 21, 31], [15, 25, 45], [15, 25, 35], [12, 22, 32]],
    "session02": [[14, 24, 34], [13, 23, 43], [13, 23, 33]],
    "sessioneye": [[128, 6, 32], [128, 7, 32], [128, 6, 32], [128, 6, 32]],
}
#: When the sessions' Ripple clocks begin on the eye tracker's, s, and how much faster that is.
OFFSETS, PPM = {"session01": 1000.0, "session02": 1100.0, "sessioneye": 50.0}, 300


def ripple_times(session):
    rng = np.random.default_rng(OFFSETS[session] > 1000)
    codes = np.array(CODES[session])
    return 2 + np.cumsum(rng.uniform(0.5, 3, codes.size)).reshape(codes.shape)


def on_eyelink(session, times):
    """The eye tracker's clock, in whole ms."""
    return np.round(OFFSETS[session] + np.asarray(times) * (1 + PPM * 1e-6), 3)


def gaze_at(ms, eye):
    """Known gaze at every ms, with blinks and places beyond the screen."""
    x, y = 960 + 1100 * np.sin(ms / 700 + eye), 540 + 500 * np.cos(ms / 900)
    gaze = np.round(np.column_stack([x, y]), 1)
    gaze[(ms // 100) % 17 == eye] = np.nan
    return gaze


def write_eye_file(path, messages, first, last, eyes=("LEFT",), step=1, pause=None):
    """Samples every `step` ms of [first, last), none in `pause`; fixations and saccades of the left eye by turns."""
    text, settings = "** CONVERTED FROM x.edf\n\n", "\t".join(["GAZE", *eyes, "RATE", f"{1000 / step:.2f}"])
    begin, end = pause or (last, last)
    for block in (np.arange(first, begin, step), np.arange(end, last, step)):
        if not block.size:
            continue
        text += f"START\t{block[0]} \t{chr(9).join(eyes)}\tSAMPLES\tEVENTS\nSAMPLES\t{settings}\tTRACKING\tCR\n"
        gaze = [gaze_at(block, ("LEFT", "RIGHT").index(eye)) for eye in eyes]
        waiting = sorted((round(1000 * time), line) for time, line in messages if time * 1000 >= block[0])
        for k, ms in enumerate(block):
            while waiting and waiting[0][0] <= ms:
                text += "MSG\t{} {}\n".format(*waiting.pop(0))
            if ms % 400 == 0:
                text += f"EFIX {eyes[0][0]}   {ms - 300}\t{ms - 60}\t241\t 1\t 2\t 3\n"
                text += f"ESACC {eyes[0][0]}   {ms - 59}\t{ms - 1}\t59\n"
            columns = "\t".join(
                "   .\t   .\t 0.0" if np.isnan(xy[k, 0]) else "{:.1f}\t{:.1f}\t 9.0".format(*xy[k]) for xy in gaze
            )
            text += f"{ms}\t{columns}\t...\n"
        text += f"END\t{block[-1] + 1} \tSAMPLES\tEVENTS\n"
    path.write_text(text)
    return path


def messages_of(session, lost=()):
    codes, times = np.array(CODES[session]).ravel(), on_eyelink(session, ripple_times(session)).ravel()
    if session == "sessioneye":
        rows = [(time, "  ".join(f"{code:08b}")) for code, time in zip(codes, times, strict=True)]
    else:
        rows = [(time, f"{WORDS[code // 10]} {code}") for code, time in zip(codes, times, strict=True)]
    rows = [row for k, row in enumerate(rows) if k not in lost]
    return rows if session == "sessioneye" else [(on_eyelink(session, 0.5), "Trigger Version 84"), *rows]


class Day:
    """A day's folder with Ripple's products, and the calls of the step on it."""

    def __init__(self, folder):
        self.folder = folder / "picasso" / "20181105"
        for session, codes in CODES.items():
            format_ = "fixation" if session == "sessioneye" else "84"
            shape = (-1,) if session == "sessioneye" else (-1, 3)
            write_product(self.folder / session / "rplparallel_d41d.hkl", {
                "markers": np.array(codes, np.uint16).reshape(shape),
                "timeStamps": ripple_times(session).reshape(shape),
                "sessionStartTime": 0.5, "markerFormat": format_, "unfinishedTrial": [],
            })  # fmt: skip

    def navigation(self, lost=(), **options):
        """Session 1, an aborted start with a trial of session 2, session 2."""
        aborted = [(1050.0, "Trigger Version 84"), (1052.0, "Start Trial 14"), (1053.0, "Cue Offset 24")]
        messages = messages_of("session01", lost) + aborted + messages_of("session02")
        return write_eye_file(self.folder / "181105.asc", messages, 998_000, 1_125_000, **options)

    def fixation(self, lost=(), **options):
        return write_eye_file(self.folder / "P11_5.asc", messages_of("sessioneye", lost), 50_000, 80_000, **options)

    def product(self, session):
        folder = self.folder / session
        return (folder if session == "sessioneye" else folder / "unaligned") / NAME

    def make(self, navigation=None, fixation=None, sessions=tuple(CODES), eye="auto", screen=(1920, 1080)):
        make_edfsplit(
            navigation,
            fixation,
            {name: self.folder / name / "rplparallel_d41d.hkl" for name in sessions},
            {name: self.product(name) for name in sessions},
            self.folder / "missingData.csv",
            eye=eye,
            screen=screen,
        )
        return {name: hickle.load(self.product(name)) for name in sessions}


@pytest.fixture
def day(tmp_path):
    return Day(tmp_path)


def on_screen(gaze, width=1920, height=1080):
    gaze = gaze.astype(np.float32).astype(float)
    return np.where((gaze < 0) | (gaze > [width, height]), np.nan, gaze)


def test_navigation_fields_are_pyhipps_with_known_values(day):
    found = day.make(day.navigation(), sessions=["session01", "session02"])
    for session, (begin, end) in {"session01": (1000.5, 1050.0), "session02": (1100.5, 1125.0)}.items():
        fields, ripple = found[session], ripple_times(session)
        ms = np.arange(round(begin * 1000), round(end * 1000))
        truth = on_eyelink(session, ripple)
        np.testing.assert_array_equal(fields["timestamps"], ms / 1000)
        np.testing.assert_array_equal(fields["eye_pos"], on_screen(gaze_at(ms, 0)))
        assert np.isnan(fields["eye_pos"]).all(1).any() and (np.isnan(fields["eye_pos"]).sum(1) == 1).any()
        np.testing.assert_allclose(fields["trial_timestamps"], truth - begin, atol=1e-9)
        np.testing.assert_array_equal(fields["trial_times"], truth)
        np.testing.assert_array_equal(fields["trial_codes"], CODES[session])
        assert fields["timeouts"].tolist() == [truth[1, 2]]
        assert (fields["session_start"], fields["expTime"]) == ([begin], [998.0])
        assert fields["session_start_index"] == [begin * 1000 - 998_000]
        n_trials = len(ripple)
        assert (fields["noOfTrials"], fields["setidx"]) == ([n_trials], [0] * n_trials)
        assert (fields["noOfSessions"], fields["numSets"], fields["samplingRate"]) == (1, [1], 1000)
        eye_steps, ripple_steps = np.diff(truth.ravel()), np.diff(ripple.ravel())
        expected = np.abs(np.concatenate([[0], eye_steps - ripple_steps])).reshape(-1, 3)
        np.testing.assert_allclose(fields["discrepancies"], expected, atol=1e-9)
        assert (fields["eye"], fields["trial_repaired"].any()) == ("left", False)


def test_fixations_and_saccades_of_a_session_end_after_its_start_and_begin_before_its_end(day):
    fields = day.make(day.navigation(), sessions=["session01", "session02"])["session01"]
    ends = np.arange(998_000, 1_125_000, 400)
    starts = ends[(ends - 60 >= 1_000_500) & (ends - 300 < 1_050_000)] - 300
    expected = np.column_stack([starts / 1000, (starts + 240) / 1000, np.full(len(starts), 0.24)])
    np.testing.assert_allclose(fields["fix_times"], expected, atol=1e-9)
    assert fields["fix_event"].tolist() == [240] * len(starts)
    n_saccades = ((ends - 1 >= 1_000_500) & (ends - 59 < 1_050_000)).sum()
    assert fields["sacc_event"].tolist() == [58] * n_saccades


def test_fixation_fields_are_pyhipps_with_known_values(day):
    fields = day.make(fixation=day.fixation(), sessions=["sessioneye"])["sessioneye"]
    ms, truth = np.arange(50_000, 80_000), on_eyelink("sessioneye", ripple_times("sessioneye"))
    np.testing.assert_array_equal(fields["trial_timestamps"], truth)
    np.testing.assert_array_equal(fields["indices"], np.round(truth * 1000).astype(int) - 50_000)
    np.testing.assert_array_equal(fields["timestamps"], ms / 1000)
    np.testing.assert_array_equal(fields["calib_eye_pos"], on_screen(gaze_at(ms, 0)))
    np.testing.assert_array_equal(fields["calib_fix_event"], np.full((75, 1), 240))
    np.testing.assert_array_equal(fields["calib_sacc_event"], np.full((75, 1), 58))
    ends = np.arange(50_000, 80_000, 400)
    np.testing.assert_allclose(
        fields["calib_fix_times"], np.column_stack([(ends - 300) / 1000, (ends - 60) / 1000, np.full(75, 0.24)])
    )
    assert (fields["session_start"], fields["noOfTrials"]) == ([truth[0, 0]], [4])
    assert fields["session_start_index"] == [round(truth[0, 0] * 1000 - 50_000, 3)]


EMPTY = {
    "session01": {"calib_eye_pos": (0, 2), "calib_fix_event": (0, 1), "calib_sacc_event": (0, 1),
                  "calib_fix_times": (0, 3), "indices": (0, 3)},
    "sessioneye": {"eye_pos": (0, 2), "fix_event": (0,), "sacc_event": (0,), "fix_times": (0, 3), "timeouts": (0,),
                   "trial_codes": (0, 3), "discrepancies": (0, 3)},
}  # fmt: skip


def test_names_types_and_places_are_those_that_pyhipp_finds(day):
    found = day.make(day.navigation(), day.fixation())
    assert NAME == "eyelink_24d5.hkl"
    for session, empty in EMPTY.items():
        fields = found[session]
        assert {name: fields[name].shape for name in empty} == empty
        assert fields["dirs"] == [f"picasso/20181105/{session}"], "unaligned is no level"
        assert (fields["args"], fields["plotopts"]) == (eyelink_args(), {"indexer": "session"})
        types = {name: fields[name].dtype for name in fields if isinstance(fields[name], np.ndarray)}
        assert types.pop("trial_codes") == np.uint16
        assert types.pop("indices") == np.int64
        assert types.pop("trial_repaired") == np.bool_
        assert set(types.values()) == {np.dtype(np.float64)}
    assert set(found["session01"]) == set(found["sessioneye"])


def test_repairs_and_what_was_left_out_are_in_the_table(day):
    found = day.make(day.navigation(lost=[0, 4, 11]), day.fixation(lost=[2]))
    truth = on_eyelink("session01", ripple_times("session01"))
    np.testing.assert_allclose(found["session01"]["trial_times"], truth, atol=0.003)
    np.testing.assert_allclose(found["session01"]["trial_timestamps"], truth - 1000.5, atol=0.003)
    assert np.flatnonzero(found["session01"]["trial_repaired"]).tolist() == [0, 4, 11]
    assert np.flatnonzero(found["sessioneye"]["trial_repaired"]).tolist() == [2]
    table = pd.read_csv(day.folder / "missingData.csv", dtype={"trial": "Int64"}, keep_default_na=False, na_values=[""])
    assert table.columns.tolist() == ["session", "device", "trial", "marker", "code", "time_s", "what"]
    rows = (
        table.drop(columns=["time_s", "what"])
        .astype(object)
        .where(table.drop(columns=["time_s", "what"]).notna(), None)
    )
    assert rows.to_numpy().tolist() == [
        [None, "eyelink", None, "trigger", 84],
        ["session01", "eyelink", 0, "start", 11],
        ["session01", "eyelink", 1, "cue", 25],
        ["session01", "eyelink", 3, "end", 32],
        ["sessioneye", "eyelink", 0, "end", 32],
    ]
    assert table["time_s"][0] == 1050
    np.testing.assert_allclose(table["time_s"][1:4], truth.ravel()[[0, 4, 11]], atol=0.003)


def test_the_table_of_a_day_without_repairs_has_its_columns(day):
    day.make(fixation=day.fixation(), sessions=["sessioneye"])
    assert (day.folder / "missingData.csv").read_text() == "session,device,trial,marker,code,time_s,what\n"


def test_the_right_eye_and_another_screen(day):
    path = day.navigation(eyes=("LEFT", "RIGHT"))
    fields = day.make(path, sessions=["session01"], eye="right", screen=(1024, 768))["session01"]
    ms = np.arange(1_000_500, 1_050_000)
    np.testing.assert_array_equal(fields["eye_pos"], on_screen(gaze_at(ms, 1), 1024, 768))
    assert fields["eye"] == "right"
    assert (fields["args"]["ScreenX"], fields["args"]["ScreenY"]) == (1024, 768)
    assert len(fields["fix_event"]) == 0, "they are of the left eye"


def test_samples_at_500_hz_and_a_pause_keep_their_times(day):
    """trial_timestamps counts samples; trial_times are times."""
    path = day.navigation(step=2, pause=(1_003_500, 1_005_000))
    fields = day.make(path, sessions=["session01"])["session01"]
    ms = np.concatenate([np.arange(1_000_500, 1_003_500, 2), np.arange(1_005_000, 1_050_000, 2)])
    np.testing.assert_array_equal(fields["timestamps"], ms / 1000)
    assert fields["samplingRate"] == 500
    samples = np.rint(fields["trial_timestamps"] * 500).astype(int)
    truth = on_eyelink("session01", ripple_times("session01"))
    outside = (truth < 1003.5) | (truth > 1005)
    assert outside.sum() >= 10 and (truth > 1005).any()
    assert np.abs(fields["timestamps"][samples] - truth)[outside].max() <= 0.001 + 1e-9


def test_each_file_is_read_once(day, monkeypatch):
    read, paths = edfsplit.read_eye_file, []
    monkeypatch.setattr(edfsplit, "read_eye_file", lambda path, eye: paths.append(path.name) or read(path, eye))
    day.make(day.navigation(), day.fixation())
    assert paths == ["181105.asc", "P11_5.asc"]


def expect_nothing(day, error, match, **options):
    with pytest.raises(error, match=match):
        day.make(**options)
    assert [path.name for path in day.folder.rglob("*") if "eyelink" in path.name or path.suffix == ".csv"] == []


def test_a_session_that_is_not_found_leaves_no_product_of_any(day):
    messages = messages_of("session01")
    path = write_eye_file(day.folder / "181105.asc", messages, 998_000, 1_050_000)
    expect_nothing(day, MarkerError, r"181105\.asc: .*session02", navigation=path, fixation=day.fixation())


def test_a_damaged_fixation_file_leaves_no_product_of_the_navigation(day):
    fixation = day.fixation()
    fixation.write_bytes(fixation.read_bytes()[:-2000])
    expect_nothing(day, FormatError, r"P11_5\.asc.*cut off", navigation=day.navigation(), fixation=fixation)


def test_missing_eye_files_are_named(day):
    expect_nothing(day, CatalogError, "session01, session02: .*navigation", fixation=day.fixation())
    expect_nothing(
        day, CatalogError, "sessioneye: expected an EyeLink file of the fixation", navigation=day.navigation()
    )


def test_a_session_without_gaze_is_refused(day):
    path = day.navigation()
    lines = path.read_text().splitlines(keepends=True)
    blind = [
        re.sub(r"^(\d+)\t.*", "\\1\t   .\t   .\t 0.0\t...", line) if line >= "1100500" and line[0] == "1" else line
        for line in lines
    ]
    path.write_text("".join(blind))
    message = r"181105\.asc, session02: expected gaze of the left eye on the screen between 1100\.500 s and 1124\.999 s"
    expect_nothing(day, FormatError, message, navigation=path, sessions=["session01", "session02"])


def test_an_unknown_eye_is_refused(day):
    expect_nothing(day, ConfigError, "auto, left or right", navigation=day.navigation(), eye="both")


def test_a_fixation_session_without_ripple_markers_is_as_written(day, caplog):
    write_product(day.folder / "sessioneye" / "rplparallel_d41d.hkl", {
        "markers": np.zeros((0, 3), np.uint16), "timeStamps": np.zeros((0, 3)), "unfinishedTrial": []})  # fmt: skip
    fields = day.make(fixation=day.fixation(lost=[4]), sessions=["sessioneye"])["sessioneye"]
    assert np.argwhere(np.isnan(fields["trial_timestamps"])).tolist() == [[1, 1]]
    assert np.argwhere(fields["indices"] < 0).tolist() == [[1, 1]]
    assert "Ripple has no markers" in caplog.text
