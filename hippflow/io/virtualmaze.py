"""Logs of VirtualMaze: one row a frame with trigger, time, position and heading.

Reads the text files of all versions: rows under 14 lines `Key: value`, under one
JSON object, or under no header at all. The header ends where the first line is
neither; nothing depends on the number of its lines, and no row is left out. What
is no whole row of five finite numbers with a known trigger is refused.
"""

import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.errors import FormatError

#: Triggers that a row can have: none, session start (two versions), start, cue offset, reward, timeout of posters 1..6.
TRIGGERS = (0, 84, 204, *(10 * phase + poster for phase in (1, 2, 3, 4) for poster in range(1, 7)))
_COLUMNS = 5
_BLANKS = " \t"
#: Characters that no row has, but of some of which readers of numbers make ends of lines or fields.
_ODD = re.compile(r"[^\n\t\x20-\x7e]")
_ROW = "a row `trigger deltaTime x z heading` of five numbers"


@dataclass(frozen=True)
class MazeLog:
    """The rows of a session's maze logs, one a frame, in order of time.

    Attributes
    ----------
    trigger : ndarray of int64, shape (n,)
        0 in most rows; see :data:`TRIGGERS`.
    delta_time : ndarray of float64, shape (n,)
        Time since the previous frame, s.
    x, z : ndarray of float64, shape (n,)
        Position on the floor in maze units.
    heading : ndarray of float64, shape (n,)
        Degrees as logged: 0 = +z, clockwise seen from above, not wrapped.
    header : dict
        Of the first file that has one: text values of `Key: value` lines, or the JSON object.
    files : tuple of (str, int)
        Name and number of rows of every file, in the order of the rows.
    """

    trigger: np.ndarray
    delta_time: np.ndarray
    x: np.ndarray
    z: np.ndarray
    heading: np.ndarray
    header: dict[str, Any]
    files: tuple[tuple[str, int], ...]


def read_maze_logs(paths: Iterable[str | Path]) -> MazeLog:
    r"""Read one session's logs, however many files they are.

    Parameters
    ----------
    paths : iterable of path
        Taken in the order of the numbers in their names, ``session_2_...`` before ``session_10_...``,
        whatever order they come in.

    Returns
    -------
    MazeLog

    Raises
    ------
    FormatError
        A file that is missing, empty, cut off or no log; the message names file and line.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "session_1_272018105911.txt"
    >>> _ = path.write_text("Version: 4\n 84 0.03333333 0.0000 0.0000 0.0000\n 11 0.03300000 0.0000 0.1000 0.0000\n")
    >>> log = read_maze_logs([path])
    >>> log.trigger.tolist(), log.z.tolist(), log.header, log.files
    ([84, 11], [0.0, 0.1], {'Version': '4'}, (('session_1_272018105911.txt', 2),))
    """
    ordered = sorted(map(Path, paths), key=lambda path: _name_number(path.name))
    if not ordered:
        raise FormatError("expected at least one maze log (RawData*/session_*.txt), found none; copy the session again")
    logs = [_read_log(path) for path in ordered]
    rows = np.concatenate([rows for _, rows in logs])
    _, delta_time, x, z, heading = np.ascontiguousarray(rows.T)
    header = next((header for header, _ in logs if header), {})
    files = tuple((path.name, len(rows)) for path, (_, rows) in zip(ordered, logs, strict=True))
    return MazeLog(rows[:, 0].astype(np.int64), delta_time, x, z, heading, header, files)


def _name_number(name: str) -> list[str | int]:
    """Return a key that sorts names by the numbers in them."""
    parts = re.split(r"([0-9]+)", name)  # every other part is a number
    return [int(part) if k % 2 else part for k, part in enumerate(parts)]


def _read_log(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    """Return header and rows, float64 of shape (n, 5), of one file."""
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise FormatError(f"{path}: expected a maze log, found no readable file ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: expected a text file, found bytes that are none; is it another file?") from error
    if not text.strip():
        raise FormatError(f"{path}: expected a maze log, found an empty file; copy it again from the maze's computer")
    header, begin = _read_header(text, path)
    body, first_line = text[begin:], text.count("\n", 0, begin) + 1
    return header, _read_rows(body, path, first_line)


def _read_header(text: str, path: Path) -> tuple[dict[str, Any], int]:
    """Return the header's values and where the rows begin."""
    if text.lstrip()[0] == "{":
        start = text.index("{")
        try:
            return json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError) as error:  # RecursionError: brackets in brackets, some 1000 deep
            number = getattr(error, "lineno", text.count("\n", 0, start) + 1)
            raise FormatError(
                f"{path}, line {number}: expected a header in JSON, found what is none "
                f"({getattr(error, 'msg', error)}); the file is damaged or cut off. Copy it again from the maze's "
                "computer"
            ) from error
    header, position = {}, 0
    while position < len(text):
        end = text.find("\n", position) + 1 or len(text)
        key, colon, value = text[position:end].partition(":")
        key = key.strip(_BLANKS)
        if colon and re.match("[A-Za-z]", key):
            header[key] = value.strip(_BLANKS + "\n")
        elif text[position:end].strip(_BLANKS + "\n"):
            break
        position = end
    return header, position


def _read_rows(body: str, path: Path, first_line: int) -> np.ndarray:
    if not body.strip():
        return np.zeros((0, _COLUMNS))
    if odd := _ODD.search(body):
        raise FormatError(
            f"{path}, line {first_line + body.count(chr(10), 0, odd.start())}: expected {_ROW}, found the character "
            f"{odd[0]!r}; the log is damaged or no maze log. Copy it again from the maze's computer"
        )
    try:
        rows = np.loadtxt(io.StringIO(body), comments=None, ndmin=2)
    except ValueError as error:
        raise _bad_line(body, path, first_line) or FormatError(f"{path}: expected {_ROW} a line: {error}") from error
    if rows.shape[1] != _COLUMNS:
        raise _bad_line(body, path, first_line) or FormatError(f"{path}: expected {_ROW} a line, found other columns")
    wrong = np.stack(
        [~np.isfinite(rows).all(axis=1), ~np.isin(rows[:, 0], TRIGGERS), rows[:, 1] < 0, np.zeros(len(rows), bool)]
    )
    wrong[3, -1] = _is_cut(body)
    if wrong.any():
        row = int(wrong.any(axis=0).argmax())
        number, line = _lines(body, first_line)[row]
        raise FormatError(f"{path}, line {number}: {_WRONG[int(wrong[:, row].argmax())].format(line.strip())}")
    return rows


_WRONG = (
    "expected finite numbers, found '{}'; the log is damaged. Copy it again from the maze's computer",
    "expected a trigger 0, 84, 204 or 1x, 2x, 3x, 4x with a poster x of 1..6, found '{}'; is the log of another task?",
    "expected a time since the frame before, found a negative one in '{}'; the log is damaged",
    "expected a whole row, found that the file ends in or right after '{}' without the end of a number or line; "
    "the log is cut off. Copy it again from the maze's computer",
)


def _is_cut(body: str) -> bool:
    """Tell whether the log ends inside a row of five numbers, or after the space in front of one.

    A last number is whole without the end of its line if it has as many decimals as the one before it, for
    VirtualMaze writes positions and heading alike.
    """
    last = body.rpartition("\n")[2]
    if not last.strip():
        return bool(last)
    z, heading = last.split()[-2:]
    return len(heading.partition(".")[2]) < len(z.partition(".")[2])


def _lines(body: str, first_line: int) -> list[tuple[int, str]]:
    """Return the lines that are not blank, with their numbers in the file."""
    return [(number, line) for number, line in enumerate(body.split("\n"), first_line) if line.strip()]


def _bad_line(body: str, path: Path, first_line: int) -> FormatError | None:
    """Describe the first line that is no row; None if every line is one."""
    for number, line in _lines(body, first_line):
        fields = line.split()
        bad = [field for field in fields if not _is_number(field)]
        if bad or len(fields) != _COLUMNS:
            found = f"'{bad[0]}' in" if bad and len(fields) == _COLUMNS else f"{len(fields)} columns:"
            return FormatError(
                f"{path}, line {number}: expected {_ROW}, found {found} '{line.strip()[:80]}'; "
                "the log is damaged, cut off or no maze log. Copy it again from the maze's computer"
            )
    return None


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field
