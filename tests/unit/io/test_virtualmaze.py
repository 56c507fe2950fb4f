"""Maze logs under every kind of header, and what is no log."""

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippflow.errors import FormatError
from hippflow.io.virtualmaze import TRIGGERS, read_maze_logs

#: The 14 lines of 2018, with their order and values.
SETTINGS = {
    "Version": "20180106_DoubleTee",
    "Trigger": "v4",
    "TaskType": "Continuous",
    "PosterLocations": "P1(-5,1.5,-7.55) P2(-7.55,1.5,5) P3(7.55,1.5,-5)",
    "TrialType": "Double Tee",
    "SpecifiedRewardNo": "40",
    "CompletionWindow": "0",
    "TimeoutDuration": "30000",
    "IntersessionInterval": "10",
    "RewardTime": "2000",
    "RotationSpeed": "0.5",
    "TranslationSpeed": "0.5",
    "JoystickDeadzone": "0.1",
    "RewardViewCriteria": "0.8",
}
KEY_VALUE = "".join(f"{key}: {value}\n" for key, value in SETTINGS.items())
NESTED = {"version": 4, "scene": {"name": "Double Tee", "posters": [[-5.0, -7.55]]}, "note": "a: b {c}"}
HEADERS = {
    "key-value": (KEY_VALUE, SETTINGS),
    "json": (json.dumps(NESTED) + "\n", NESTED),
    "none": ("", {}),
}
ROWS = [
    (84, 0.03333333, 0.0, 0.0, 0.0),
    (11, 0.03300000, 0.0001, -0.25, 359.9999),
    (0, 0.03400000, -10.5, 9.1234, -0.0001),
    (21, 0.51000000, 3.0, 4.0, 90.0),
    (31, 0.03333333, 3.0, 4.5, 180.0),
]


def row_text(rows):
    return "".join(f" {code} {dt:.8f} {x:.4f} {z:.4f} {heading:.4f}\n" for code, dt, x, z, heading in rows)


def write(folder, text, name="session_1_272018105911.txt"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def table(log):
    return np.column_stack([log.trigger, log.delta_time, log.x, log.z, log.heading]).tolist()


@pytest.mark.parametrize("kind", HEADERS)
def test_every_row_is_read_under_every_kind_of_header(tmp_path, kind):
    text, header = HEADERS[kind]
    log = read_maze_logs([write(tmp_path, text + row_text(ROWS))])
    assert table(log) == [list(map(float, row)) for row in ROWS]
    assert (log.trigger.dtype, log.delta_time.dtype, log.heading.dtype) == (np.int64, np.float64, np.float64)
    assert log.header == header
    assert log.files == (("session_1_272018105911.txt", 5),)


@pytest.mark.parametrize("n_lines", [1, 13, 15, 40])
def test_the_number_of_header_lines_does_not_matter(tmp_path, n_lines):
    text = "".join(f"Setting{k}: {k}\n" for k in range(n_lines))
    log = read_maze_logs([write(tmp_path, text + row_text(ROWS))])
    assert log.trigger.tolist() == [84, 11, 0, 21, 31]
    assert len(log.header) == n_lines


def test_rows_are_those_of_pyhipp_and_the_one_that_it_drops(tmp_path):
    path = write(tmp_path, KEY_VALUE + row_text(ROWS))
    pyhipp = np.loadtxt(path, skiprows=15)
    log = read_maze_logs([path])
    assert table(log)[1:] == pyhipp.tolist()
    assert log.trigger[0] == 84


@pytest.mark.parametrize("kind", ["key-value", "json"])
def test_a_log_with_a_header_only_has_no_rows(tmp_path, kind):
    text, header = HEADERS[kind]
    log = read_maze_logs([write(tmp_path, text)])
    assert (log.trigger.shape, log.x.shape, log.header) == ((0,), (0,), header)
    assert log.files == (("session_1_272018105911.txt", 0),)


def test_files_are_joined_in_the_order_of_their_numbers(tmp_path):
    texts = {
        "session_10_272018110000.txt": "Version: 10\n" + row_text([(0, 0.1, 10, 0, 0)] * 3),
        "session_2_272018105911.txt": KEY_VALUE + row_text([(0, 0.1, 2, 0, 0)] * 2),
        "session_3_272018105915.txt": KEY_VALUE,
        "session_1_272018105000.txt": row_text([(84, 0.1, 1, 0, 0)]),
    }
    log = read_maze_logs([write(tmp_path, text, name) for name, text in texts.items()])
    assert log.x.tolist() == [1, 2, 2, 10, 10, 10]
    assert log.files == tuple(zip(sorted(texts, key=lambda name: int(name.split("_")[1])), (1, 2, 0, 3), strict=True))
    assert log.header == SETTINGS


_NUMBERS = st.decimals(-500, 500, places=4, allow_nan=False).map(float)
_ROWS = st.lists(
    st.tuples(
        st.sampled_from(TRIGGERS), st.decimals(0, 10, places=8).map(float), _NUMBERS, _NUMBERS, _NUMBERS
    ),
    max_size=30,
)  # fmt: skip
_KEYS = st.from_regex(r"[A-Za-z][A-Za-z0-9_ ]{0,10}[A-Za-z0-9]", fullmatch=True)
_VALUES = st.from_regex(r"([!-~]([ -~]{0,12}[!-~])?)?", fullmatch=True)
_JSON = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
)
_HEADERS = st.one_of(
    st.just(("", {})),
    st.dictionaries(_KEYS, _VALUES, max_size=20).map(
        lambda header: ("".join(f"{key}: {value}\n" for key, value in header.items()), header)
    ),
    st.tuples(_JSON, st.sampled_from([None, 2])).map(
        lambda pair: (json.dumps(pair[0], indent=pair[1]) + "\n", pair[0])
    ),
)  # fmt: skip


@given(
    rows=_ROWS,
    header=_HEADERS,
    newline=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    blank=st.booleans(),
    ended=st.booleans(),
)
def test_what_was_written_is_read(tmp_path_factory, rows, header, newline, bom, blank, ended):
    text, values = header
    text = text + ("\n" if blank else "") + row_text(rows)
    if not ended:
        text = text.removesuffix("\n")
    if not text.strip():
        return
    data = (b"\xef\xbb\xbf" if bom else b"") + text.replace("\n", newline).encode()
    log = read_maze_logs([write(tmp_path_factory.mktemp("log"), data)])
    assert table(log) == [list(map(float, row)) for row in rows]
    assert log.header == values


def test_a_log_that_is_cut_off_anywhere_in_its_last_row_is_refused(tmp_path):
    whole = KEY_VALUE + row_text(ROWS)
    start = whole.rindex("\n ", 0, -1) + 1
    for end in range(start + 1, len(whole) - 1):
        path = write(tmp_path, whole[:end])
        with pytest.raises(FormatError, match=rf"{path}, line 1[89]: .*cut off"):
            read_maze_logs([path])
    for end in (start, len(whole) - 1, len(whole)):
        assert len(read_maze_logs([write(tmp_path, whole[:end])]).x) == (4 if end == start else 5)


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (" 11 0.03 1.0 2.0", r"expected a row .* found 4 columns: '11 0\.03 1\.0 2\.0'"),
        (" 11 0.03 1.0 2.0 3.0 4.0", "found 6 columns"),
        (" 11 0.03 1.0 two 3.0", "found 'two' in"),
        (" 11 0,03 1.0 2.0 3.0", "found '0,03' in"),
        (" 11 0.03 1.0 nan 3.0", "expected finite numbers, found '11 0.03 1.0 nan 3.0'"),
        (" 0 0.03 1.0 2.0 Infinity", "expected finite numbers"),
        (" 99 0.03 1.0 2.0 3.0", "expected a trigger .* found '99 0.03 1.0 2.0 3.0'"),
        (" 17 0.03 1.0 2.0 3.0", "expected a trigger"),
        (" 10 0.03 1.0 2.0 3.0", "expected a trigger"),
        (" 11.5 0.03 1.0 2.0 3.0", "expected a trigger"),
        (" 11 -0.03 1.0 2.0 3.0", "found a negative one"),
        ("Version: 3", "found 2 columns"),
        (" 1_1 0.03 1.0 2.0 3.0", "found '1_1' in"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path, kind, bad, message):
    header = HEADERS[kind][0]
    line = header.count("\n") + 4 + 1  # two rows and a blank line are before it
    path = write(tmp_path, header + row_text(ROWS[:2]) + "\n" + row_text(ROWS[2:3]) + bad + "\n" + row_text(ROWS[3:]))
    with pytest.raises(FormatError, match=rf"{path}, line {line}: .*{message}"):
        read_maze_logs([path])


def test_the_file_with_the_bad_row_is_named(tmp_path):
    good = write(tmp_path, row_text(ROWS), "session_1_1.txt")
    bad = write(tmp_path, row_text(ROWS) + " 1\n", "session_2_1.txt")
    with pytest.raises(FormatError, match=r"session_2_1\.txt, line 6"):
        read_maze_logs([good, bad])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found an empty file"),
        ("\n \n", "found an empty file"),
        (" 11 0.03 1.0 2.0\n" * 3, "line 1: .*found 4 columns"),
        ("Version: 4\nTimeoutDur", "line 2: .*found 1 columns: 'TimeoutDur'"),
        ('{"version": 4, "scene"', "line 1: expected a header in JSON"),
        ('{"version": 4} 84\n' + row_text(ROWS), "line 1: .*found 1 columns: '84'"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "expected a text file"),
        ("[1, 2]\n", "line 1: .*found 2 columns"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(FormatError, match=rf"{path}[,:].*{message}"):
        read_maze_logs([path])


def test_no_files_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(FormatError, match="expected at least one maze log"):
        read_maze_logs([])
    with pytest.raises(FormatError, match=r"absent\.txt: expected a maze log"):
        read_maze_logs([tmp_path / "absent.txt"])


def test_an_hour_is_read_in_seconds(tmp_path):
    n_rows = 108_000
    rng = np.random.default_rng(1)
    columns = [np.full(n_rows, 1 / 30), *rng.uniform(-12, 12, (2, n_rows)), rng.uniform(0, 360, n_rows)]
    path = write(tmp_path, KEY_VALUE + row_text((0, *row) for row in np.array(columns).T))
    start = time.process_time()
    log = read_maze_logs([path])
    assert time.process_time() - start < 5
    assert len(log.trigger) == n_rows
    np.testing.assert_allclose(log.x, columns[1], rtol=0, atol=5.1e-5)
