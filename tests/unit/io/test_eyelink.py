"""EyeLink's .edf, read as the vendor's library has it; the truth is the real files in eyelinkio and its own reader."""

import time

import numpy as np
import pytest
from eyelinkio import read_edf
from eyelinkio.utils import _get_test_fnames

from hippflow.errors import ConfigError, FormatError
from hippflow.io.eyelink import read_eye_file

FILES = {path.stem: path for path in _get_test_fnames()}
LEFT, BINOCULAR = FILES["test_raw"], FILES["test_raw_binocular"]


@pytest.mark.parametrize(("name", "eye"), [("test_raw", "left"), ("test_2_raw", "left"), *[
    ("test_raw_binocular", eye) for eye in ("left", "right")]])  # fmt: skip
def test_samples_messages_and_events_are_those_of_eyelinkio(name, eye):
    ours, theirs = read_eye_file(FILES[name], eye), read_edf(FILES[name])
    names = [field.removesuffix(f"_{eye}") for field in theirs["info"]["sample_fields"]]
    x, y = (theirs["samples"][names.index(axis)] for axis in ("xpos", "ypos"))
    np.testing.assert_array_equal(ours.gaze, np.column_stack([x, y]).astype(np.float32))
    assert (ours.eye, ours.sampling_rate) == (eye, theirs["info"]["sfreq"])
    assert (ours.times.dtype, ours.gaze.dtype) == (np.float64, np.float32)

    def counted(times):  # eyelinkio's times are the number of samples before, divided by the rate
        return np.interp(times, ours.times, np.arange(len(ours.times)) / ours.sampling_rate)

    messages = theirs["discrete"]["messages"]
    np.testing.assert_allclose(counted([at for at, _ in ours.messages]), messages["stime"], atol=1e-9)
    assert [text for _, text in ours.messages] == [text.decode().rstrip("\n") for text in messages["msg"]]
    for kind in ("fixations", "saccades", "blinks"):
        events = theirs["discrete"][kind]
        events = events[events["eye"] == ("left", "right").index(eye)]
        assert len(events) > 0
        np.testing.assert_allclose(counted(getattr(ours, kind)), np.column_stack([events["stime"], events["etime"]]))


def test_times_are_on_the_eyelink_clock_and_pauses_stay():
    """The file has blocks from 415839 ms to 415975 ms and from 464321 ms to 531012 ms, one sample a ms."""
    recording = read_eye_file(LEFT)
    expected = np.concatenate([np.arange(415_839, 415_975), np.arange(464_321, 531_012)])
    np.testing.assert_array_equal(recording.times, expected / 1000)
    assert recording.messages[0] == (415.838, "RECCFG CR 1000 2 1 L")
    assert recording.messages[-1] == (526.003, "SYNCTIME")


def test_times_at_500_hz_are_ms_and_not_counts():
    recording = read_eye_file(BINOCULAR)
    steps = np.diff(recording.times)
    assert recording.sampling_rate == 500
    assert np.isclose(steps, 0.002).sum() == len(steps) - 14, "15 blocks"
    assert recording.times[[0, -1]].tolist() == [2742.14, 2977.736]


def test_auto_takes_the_eye_with_more_valid_samples():
    valid = {eye: np.isfinite(read_eye_file(BINOCULAR, eye).gaze).all(1).sum() for eye in ("left", "right")}
    assert valid["right"] > valid["left"]
    assert read_eye_file(BINOCULAR, "auto").eye == "right"
    assert read_eye_file(LEFT, "auto").eye == "left"


def test_an_eye_that_was_not_recorded_is_refused():
    with pytest.raises(FormatError, match=r"test_raw\.edf: expected gaze of the right eye, .*left 66117"):
        read_eye_file(LEFT, "right")


@pytest.mark.parametrize("share", [0.0002, 0.003, 0.1, 0.5, 0.999, 0.999999])
def test_a_truncated_file_is_refused(tmp_path, share):
    content = LEFT.read_bytes()
    cut = tmp_path / "181105.edf"
    cut.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FormatError, match=r"181105\.edf: expected .*copy"):
        read_eye_file(cut)


def test_a_file_that_ends_just_behind_its_header_is_refused(tmp_path):
    """The vendor's library crashes on it."""
    content = LEFT.read_bytes()
    end = content.index(b"ENDP:")
    for length in range(end - 3, end + 12):
        (tmp_path / "181105.edf").write_bytes(content[:length])
        with pytest.raises(FormatError, match=r"181105\.edf"):
            read_eye_file(tmp_path / "181105.edf")


def test_a_file_that_lost_bytes_in_the_middle_is_refused(tmp_path):
    """The vendor's library stops there without an error."""
    content = LEFT.read_bytes()
    (tmp_path / "181105.edf").write_bytes(content[:500_000] + content[503_000:])
    with pytest.raises(FormatError, match="cut off or damaged"):
        read_eye_file(tmp_path / "181105.edf")


def test_what_is_no_eye_file_is_refused(tmp_path):
    (tmp_path / "empty.edf").touch()
    (tmp_path / "text.edf").write_text("** CONVERTED FROM x.edf\n" * 100)
    (tmp_path / "181105.mat").write_bytes(b"MATLAB 5.0")
    for name, found in {"empty.edf": "an empty one", "text.edf": "CONVERTED", "181105.mat": "'.mat'",
                        "none.edf": "found none"}.items():  # fmt: skip
        with pytest.raises(FormatError, match=rf"{name}: expected an EyeLink.*{found}"):
            read_eye_file(tmp_path / name)
    with pytest.raises(ConfigError, match="auto, left or right, found 'both'"):
        read_eye_file(LEFT, "both")


def test_a_path_with_other_letters_is_read(tmp_path):
    (tmp_path / "Übung").mkdir()
    (tmp_path / "Übung" / "181105.EDF").write_bytes(LEFT.read_bytes())
    assert len(read_eye_file(tmp_path / "Übung" / "181105.EDF").times) == 66_827


def test_reading_takes_at_most_one_and_a_half_times_what_eyelinkio_takes():
    def seconds(read):
        begin = time.process_time()
        read(LEFT)
        return time.process_time() - begin

    pairs = [(seconds(read_eye_file), seconds(read_edf)) for _ in range(3)]
    assert min(ours for ours, _ in pairs) < 1.5 * min(theirs for _, theirs in pairs)
