"""EyeLink's .asc, written here from known samples as edf2asc writes them."""

import numpy as np
import pytest

from hippflow.errors import FormatError
from hippflow.io import eyelink_asc
from hippflow.io.eyelink import read_eye_file


def settings(kind, eyes, rate, more=""):
    return f"{kind}\tGAZE\t{chr(9).join(eyes)}\tRATE\t{rate:7.2f}\tTRACKING\tCR\tFILTER\t2{more}\n"


def write_asc(path, blocks, *, eyes=("LEFT",), rate=1000, newline="\n", input_port=False):
    """Write blocks of (times in ms, gaze (n, eyes, 2), lines between samples as {index: text})."""
    text = "** CONVERTED FROM 181105.edf using edfapi 3.1 Linux\n** DATE: Mon Nov  5 10:59:11 2018\n**\n\n"
    for times, gaze, others in blocks:
        text += f"MSG\t{times[0]:g} !MODE RECORD CR {rate} 2 1 L\n"
        text += f"START\t{times[0]:g} \t{chr(9).join(eyes)}\tSAMPLES\tEVENTS\n"
        text += "PRESCALER\t1\nVPRESCALER\t1\nPUPIL\tAREA\n"
        text += settings("EVENTS", eyes, rate) + settings("SAMPLES", eyes, rate, "\tINPUT" * input_port)
        for k, (time, row) in enumerate(zip(times, gaze, strict=True)):
            text += others.get(k, "")
            columns = [f"{time:g}" if time % 1 else f"{int(time)}"]
            for x, y in row:
                missing = np.isnan(x)
                columns += ["   .", "   .", "    0.0"] if missing else [f"{x:7.1f}", f"{y:7.1f}", "  995.0"]
            text += "\t".join([*columns, *["  127.0"] * input_port, "...", "\n"]).replace("\t\n", "\n")
        text += f"END\t{int(times[-1]) + 1} \tSAMPLES\tEVENTS\tRES\t  38.54\t  31.12\n"
    path.write_bytes(text.replace("\n", newline).encode())
    return path


def gaze_of(n, n_eyes=1, seed=0):
    """Gaze in tenths of a pixel, with blinks."""
    gaze = np.round(np.random.default_rng(seed).uniform(-50, 2000, (n, n_eyes, 2)), 1)
    gaze[n // 5 : n // 4] = np.nan
    gaze[n // 2 :: 7, 0] = np.nan
    return gaze


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("input_port", [False, True])
@pytest.mark.parametrize("eyes", [("LEFT",), ("RIGHT",), ("LEFT", "RIGHT")])
def test_samples_of_every_eye_are_exact(tmp_path, eyes, input_port, newline):
    times, gaze = np.arange(5_000_000, 5_000_500), gaze_of(500, len(eyes))
    path = write_asc(tmp_path / "a.asc", [(times, gaze, {})], eyes=eyes, input_port=input_port, newline=newline)
    for column, eye in enumerate(eyes):
        recording = read_eye_file(path, eye.lower())
        np.testing.assert_array_equal(recording.times, times / 1000)
        np.testing.assert_array_equal(recording.gaze, gaze[:, column].astype(np.float32))
        assert (recording.eye, recording.sampling_rate) == (eye.lower(), 1000)


def test_auto_takes_the_eye_with_more_valid_samples(tmp_path):
    gaze = gaze_of(100, 2)
    assert np.isnan(gaze).sum((0, 2)).tolist()[0] > np.isnan(gaze).sum((0, 2)).tolist()[1]
    path = write_asc(tmp_path / "a.asc", [(np.arange(100), gaze, {})], eyes=("LEFT", "RIGHT"))
    assert read_eye_file(path).eye == "right"


@pytest.mark.parametrize(("rate", "times"), [
    (250, np.arange(1000, 2000, 4)),
    (500, np.arange(1001, 1501, 2)),
    (2000, np.arange(1000, 1125, 0.5)),
])  # fmt: skip
def test_times_are_ms_at_every_sampling_rate(tmp_path, rate, times):
    path = write_asc(tmp_path / "a.asc", [(times, gaze_of(len(times)), {})], rate=rate)
    recording = read_eye_file(path)
    assert recording.sampling_rate == rate
    np.testing.assert_array_equal(recording.times, times / 1000)


def test_whole_ms_at_2000_hz_are_half_ms_apart(tmp_path):
    times = np.repeat(np.arange(1000, 1100), 2)
    path = write_asc(tmp_path / "a.asc", [(times, gaze_of(200), {})], rate=2000)
    np.testing.assert_array_equal(read_eye_file(path).times, np.arange(1000, 1100, 0.5) / 1000)


def test_pauses_stay_and_messages_and_events_keep_their_times(tmp_path):
    """One block with messages and events between the samples, a pause with a calibration, a second block."""
    first, second = np.arange(1000, 1300), np.arange(61_000, 61_200)
    lines = {
        3: "MSG\t1002 Trigger Version 84\n",
        10: "SFIX L   1003\nMSG\t1010.5 Start Trial 13\n",
        60: "EFIX L   1003\t1059\t57\t  955.5\t  537.6\t    871\nSSACC L  1060\n",
        70: "SBLINK L 1064\nEBLINK L 1064\t1066\t3\n",
        72: "ESACC L  1060\t1069\t10\t  955.5\t  537.6\t  891.7\t  542.2\t   3.62\t     148\n",
        90: "INPUT\t1090\t127\nBUTTON\t1090\t1\t1\n",
    }
    path = write_asc(tmp_path / "a.asc", [(first, gaze_of(300), lines), (second, gaze_of(200, seed=1), {})])
    calibration = "!CAL \n>>>>>>> CALIBRATION (HV5,P-CR) FOR LEFT: <<<<<<<<<\n   3.571  153.49\n12 points\n"
    pause = f"MSG\t9000 {calibration}\nMSG\t9001 ok\n"
    text = path.read_text()
    path.write_text(text.replace("MSG\t61000 !MODE", pause + "MSG\t61000 !MODE"))
    recording = read_eye_file(path)
    np.testing.assert_array_equal(recording.times, np.concatenate([first, second]) / 1000)
    expected = np.concatenate([gaze_of(300), gaze_of(200, seed=1)])[:, 0]
    np.testing.assert_array_equal(recording.gaze, expected.astype(np.float32))
    assert recording.messages == [
        (1.0, "!MODE RECORD CR 1000 2 1 L"),
        (1.002, "Trigger Version 84"),
        (1.0105, "Start Trial 13"),
        (9.0, calibration),
        (9.001, "ok"),
        (61.0, "!MODE RECORD CR 1000 2 1 L"),
    ]
    assert recording.fixations.tolist() == [[1.003, 1.059]]
    assert recording.saccades.tolist() == [[1.06, 1.069]]
    assert recording.blinks.tolist() == [[1.064, 1.066]]


def test_events_of_the_other_eye_are_left_out(tmp_path):
    lines = {5: "EFIX L   1000\t1004\t5\t 1\t 2\t 3\nEFIX R   1001\t1003\t3\t 1\t 2\t 3\n"}
    path = write_asc(tmp_path / "a.asc", [(np.arange(1000, 1100), gaze_of(100, 2), lines)], eyes=("LEFT", "RIGHT"))
    assert read_eye_file(path, "left").fixations.tolist() == [[1.0, 1.004]]
    assert read_eye_file(path, "right").fixations.tolist() == [[1.001, 1.003]]


@pytest.mark.parametrize("size", [1, 37, 1000, 4096])
def test_where_a_block_of_bytes_ends_does_not_matter(tmp_path, monkeypatch, size):
    lines = {50: "MSG\t1050 Start Trial 11\n", 200: "EFIX L 1100\t1199\t100\t 1\t 2\t 3\n"}
    path = write_asc(tmp_path / "a.asc", [(np.arange(1000, 1300), gaze_of(300), lines)])
    whole = read_eye_file(path)
    monkeypatch.setattr(eyelink_asc, "_BLOCK_BYTES", size)
    pieces = read_eye_file(path)
    np.testing.assert_array_equal(pieces.gaze, whole.gaze)
    np.testing.assert_array_equal(pieces.times, np.arange(1000, 1300) / 1000)
    assert pieces.messages == whole.messages
    assert pieces.fixations.tolist() == [[1.1, 1.199]]


def test_every_cut_is_refused_or_takes_nothing(tmp_path):
    """Behind the word END nothing is read any more."""
    lines = {3: "MSG\t1003 Start Trial 11\n", 5: "EFIX L 1001\t1003\t3\t 1\t 2\t 3\n"}
    path = write_asc(tmp_path / "whole.asc", [(np.arange(1000, 1008), gaze_of(8), lines)])
    whole, content = read_eye_file(path), path.read_bytes()
    cut, end = tmp_path / "181105.asc", content.index(b"END\t")
    for length in range(len(content)):
        cut.write_bytes(content[:length])
        if length < end + len("END"):
            with pytest.raises(FormatError, match=r"181105\.asc"):
                read_eye_file(cut)
        else:
            np.testing.assert_array_equal(read_eye_file(cut).gaze, whole.gaze)
    cut.write_bytes(content[: end - 20])
    with pytest.raises(FormatError, match="cut off"):
        read_eye_file(cut)


@pytest.mark.parametrize(("old", "new", "found"), [
    ("1005\t", "1003\t", "in order of time, found 1.0030 s after 1.0040 s"),
    ("MSG\t1003 ", "MSG\t", "line 15: expected MSG, a time in ms"),
    ("EFIX L 1001", "EFIX X 1001", "line 18: expected EFIX, the eye"),
    ("GAZE\tLEFT\tRATE\t1000.00\tTRACKING\tCR\tFILTER\t2\n1000", "HREF\tLEFT\tRATE\t1000.00\n1000", "GAZE"),
    ("\tRATE\t1000.00\tTRACKING\tCR\tFILTER\t2\n1000", "\n1000", "RATE"),
    ("1006\t", "1006abc\t", "line 12: expected numbers or .* in the samples from here on, found .*abc"),
    ("1006\t", "1006\t 1.0\t", "line 20: expected 5 columns of samples of left, found '1006"),
    ("END\t1008", "START\t1008", "END before the next START"),
    ("PUPIL\tAREA", "?PUPIL\tAREA", "line 9: expected a line of samples, events or messages, found '.PUPIL"),
    ("START\t1000", "MSG\t1000", "START and SAMPLES lines before"),
])  # fmt: skip
def test_a_damaged_line_is_refused_by_its_number(tmp_path, old, new, found):
    lines = {3: "MSG\t1003 Start Trial 11\n", 5: "EFIX L 1001\t1003\t3\t 1\t 2\t 3\n"}
    gaze = np.arange(16.0).reshape(8, 1, 2)
    path = write_asc(tmp_path / "181105.asc", [(np.arange(1000, 1008), gaze, lines)])
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    with pytest.raises(FormatError, match=rf"(?s)181105\.asc.*{found}"):
        read_eye_file(path)


def test_files_without_gaze_are_refused(tmp_path):
    times = np.arange(1000, 1100)
    path = write_asc(tmp_path / "blind.asc", [(times, np.full((100, 1, 2), np.nan), {})])
    with pytest.raises(FormatError, match=r"blind\.asc: expected gaze of the left eye, found valid samples of: left 0"):
        read_eye_file(path)
    path = write_asc(tmp_path / "half.asc", [(times, gaze_of(100, 2) * [[1], [np.nan]], {})], eyes=("LEFT", "RIGHT"))
    with pytest.raises(FormatError, match=r"half\.asc: expected gaze of the right eye, .*right 0"):
        read_eye_file(path, "right")
    assert read_eye_file(path).eye == "left"
    (tmp_path / "events.asc").write_text("** CONVERTED FROM a.edf\n\nMSG\t1 hello\n")
    with pytest.raises(FormatError, match=r"events\.asc: expected gaze samples, found none"):
        read_eye_file(tmp_path / "events.asc")


def test_two_sampling_rates_in_a_file_are_refused(tmp_path):
    one = write_asc(tmp_path / "one.asc", [(np.arange(1000, 1100), gaze_of(100), {})]).read_text()
    two = write_asc(tmp_path / "two.asc", [(np.arange(2000, 2200, 2), gaze_of(100), {})], rate=500).read_text()
    (tmp_path / "both.asc").write_text(one + two)
    with pytest.raises(FormatError, match="one sampling rate, found 500, 1000 Hz"):
        read_eye_file(tmp_path / "both.asc")
