"""EyeLink recordings as text (.asc), as the vendor's edf2asc writes them.

Lines of samples begin with their time in ms; every other line begins with a word. The
file is read in blocks of bytes, in which the lines of samples are found by their first
byte and parsed together, so that an hour takes seconds. What the format does not explain
is an error.
"""

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

from hippflow.errors import FormatError

#: The eyes in the order of the columns.
EYES = ("left", "right")

#: Events that are kept, by the word of the line that ends them.
_EVENTS = {"EFIX": "fixations", "ESACC": "saccades", "EBLINK": "blinks"}
_IGNORED = {"PRESCALER", "VPRESCALER", "PUPIL", "EVENTS", "SFIX", "SSACC", "SBLINK", "BUTTON", "INPUT"}
_BLOCK_BYTES = 16 << 20
#: Bytes that lines of samples have; other control characters are blanks for some readers of numbers, for others not.
_PLAIN = np.isin(np.arange(256), [*b"\t\n\r", *range(32, 127)])
#: Longest line that is read.
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class EyeFile:
    """What an eye file holds, of both eyes.

    Attributes
    ----------
    times : ndarray of float64
        Shape (n_samples,), s on the EyeLink clock; pauses are gaps.
    gaze : ndarray of float32
        Shape (n_samples, 2, 2): sample, eye (left, right), axis (x, y); pixels, NaN where missing.
    sampling_rate : float
        Hz.
    recorded : tuple of str
        The eyes that were recorded.
    messages : list of (float, str)
        Time, s, and text, in the file's order.
    events : dict of str to ndarray of float64
        fixations, saccades and blinks, shape (n, 3): eye (0 left, 1 right), start and end, s.
    """

    times: np.ndarray
    gaze: np.ndarray
    sampling_rate: float
    recorded: tuple[str, ...]
    messages: list[tuple[float, str]]
    events: dict[str, np.ndarray]


@dataclass
class EyeFileBuilder:
    """Collects the parts of an eye file, whatever its format, and checks the whole."""

    path: Path
    times: list[np.ndarray] = field(default_factory=list)
    gaze: list[np.ndarray] = field(default_factory=list)
    rates: set[float] = field(default_factory=set)
    recorded: set[str] = field(default_factory=set)
    messages: list[tuple[float, str]] = field(default_factory=list)
    events: dict[str, list[tuple[float, float, float]]] = field(
        default_factory=lambda: {name: [] for name in _EVENTS.values()}
    )

    def finish(self) -> EyeFile:
        """Join the parts.

        Raises
        ------
        FormatError
            No samples, several sampling rates, or samples that are not in order of time.
        """
        if not sum(map(len, self.times)):
            raise FormatError(
                f"{self.path}: expected gaze samples, found none; was the recording started, and (for .asc) were "
                "samples exported?"
            )
        if len(self.rates) != 1 or not 0 < min(self.rates) <= 1e5:
            raise FormatError(
                f"{self.path}: expected one sampling rate, found {', '.join(f'{r:g}' for r in sorted(self.rates))} Hz; "
                "split the file by rate"
            )
        times = np.concatenate(self.times) / 1000  # ms whatever the sampling rate
        self.times.clear()
        backwards = np.flatnonzero(np.diff(times) <= 0)
        if backwards.size:
            before, after = times[backwards[0] : backwards[0] + 2]
            raise FormatError(
                f"{self.path}: expected samples in order of time, found {after:.4f} s after {before:.4f} s; "
                "the file is damaged or made of several recordings"
            )
        gaze = np.concatenate(self.gaze)
        self.gaze.clear()
        return EyeFile(
            times,
            gaze,
            self.rates.pop(),
            tuple(eye for eye in EYES if eye in self.recorded),
            self.messages,
            {name: np.array(rows, np.float64).reshape(-1, 3) for name, rows in self.events.items()},
        )


def read_asc(path: str | Path) -> EyeFile:
    """Read an EyeLink .asc file with its samples, messages and events.

    Parameters
    ----------
    path : path

    Returns
    -------
    EyeFile

    Raises
    ------
    FormatError
        The file is cut off, has no samples, has no gaze, or has a line that no EyeLink writes.
    """
    parser = _Parser(Path(path))
    for block in _whole_lines(Path(path)):
        parser.feed(block)
    return parser.finish()


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Yield the file in blocks that end with a line; the last one may lack its end."""
    rest = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            cut = block.rfind(b"\n") + 1
            if cut:
                yield rest + block[:cut]
                rest = block[cut:]
            else:
                rest += block
            if len(rest) > _LONGEST_LINE:
                raise FormatError(
                    f"{path}: expected lines of text, found one of more than {len(rest)} bytes; the file is damaged or "
                    "was not written by edf2asc"
                )
    if rest:
        yield rest


class _Parser:
    """Reads blocks of lines one after another and remembers what it is in the middle of."""

    def __init__(self, path: Path):
        self.path = path
        self.file = EyeFileBuilder(path)
        self.n_lines = 0  # before the current block of bytes
        self.recording = False
        self.in_message = False
        self.eyes: tuple[str, ...] = ()
        self.rate = 0.0
        self.runs: list[tuple[bytes, int]] = []
        self.more: list[str] = []  # further lines of the last message

    def feed(self, block: bytes) -> None:
        """Read a block of whole lines."""
        content = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(content == ord("\n"))
        starts = np.concatenate([[0], ends + 1])
        starts = starts[starts < content.size]
        first = content[starts]
        bounds = np.append(starts, content.size)
        done = 0
        for line in np.flatnonzero((first < ord("0")) | (first > ord("9"))).tolist():
            self._run(block[bounds[done] : bounds[line]], done)
            self._line(block[bounds[line] : bounds[line + 1]], line)
            done = line + 1
        self._run(block[bounds[done] :], done)
        if not block.endswith(b"\n"):  # the end of the file, perhaps within a row
            self._check_end(self.n_lines + len(starts))
        self._samples()
        self.n_lines += len(starts)

    def finish(self) -> EyeFile:
        """Check that the file ended where a recording may end, and return what it holds."""
        self._check_end(self.n_lines)
        self._end_message()
        return self.file.finish()

    def _check_end(self, n_lines: int) -> None:
        if self.recording:
            raise FormatError(
                f"{self.path}: expected an END line after the last START, found the end of the file after line "
                f"{n_lines}; the file is cut off, copy or convert it again"
            )

    def _fail(self, line: int, expected: str, found: str) -> NoReturn:
        raise FormatError(
            f"{self.path}, line {self.n_lines + line + 1}: expected {expected}, found {found[:80]!r}; "
            "the file is damaged or was not written by edf2asc"
        )

    def _run(self, run: bytes, line: int) -> None:
        """Keep lines of samples for later."""
        if not run:
            return
        if not self.recording and self.in_message:  # a text of several lines, as calibration reports are
            self.more.append(run.decode(errors="replace").rstrip())
            return
        if not (self.eyes and self.recording):
            self._fail(line, "START and SAMPLES lines before the first sample", run[:80].decode(errors="replace"))
        self.in_message = False
        self.runs.append((run, line))

    def _line(self, raw: bytes, line: int) -> None:
        """Read a line that is no sample."""
        text = raw.decode(errors="replace").rstrip("\r\n")
        words = text.split()
        known = bool(words) and not text[0].isspace()
        word = words[0] if known else ""
        if not self.in_message and not words:
            return
        if word == "MSG":
            self._message(text, line)
        elif word in _EVENTS:
            self._event(word, words, line)
        elif word == "START":
            if self.recording:
                self._fail(line, "END before the next START", text)
            self.recording = True
        elif word == "END":
            self._samples()
            self.recording, self.eyes = False, ()
        elif word == "SAMPLES":
            self._columns(words, line)
        elif word not in _IGNORED and not word.startswith("**"):
            if not self.in_message:
                self._fail(line, "a line of samples, events or messages", text)
            self.more.append(text)
            return
        self.in_message = word == "MSG"

    def _message(self, text: str, line: int) -> None:
        self._end_message()
        parts = text.split(None, 2)
        try:
            time = _number(parts[1])
        except (IndexError, ValueError):
            self._fail(line, "MSG, a time in ms and a text", text)
        self.file.messages.append((time / 1000, parts[2] if len(parts) == 3 else ""))

    def _end_message(self) -> None:
        """Add to the last message its further lines."""
        if self.more:
            time, text = self.file.messages[-1]
            self.file.messages[-1] = time, "\n".join([text, *self.more])
            self.more.clear()

    def _event(self, word: str, words: list[str], line: int) -> None:
        try:
            row = float(("L", "R").index(words[1])), _number(words[2]) / 1000, _number(words[3]) / 1000
        except (IndexError, ValueError):
            self._fail(line, f"{word}, the eye (L or R), start and end in ms", " ".join(words))
        self.file.events[_EVENTS[word]].append(row)

    def _columns(self, words: list[str], line: int) -> None:
        """Learn from a SAMPLES line which columns follow."""
        self._samples()
        if "GAZE" not in words:
            self._fail(line, "gaze samples (SAMPLES GAZE ...; export them as gaze)", " ".join(words))
        self.eyes = tuple(eye for eye in EYES if eye.upper() in words)
        try:
            self.rate = _number(words[words.index("RATE") + 1])
        except (IndexError, ValueError):
            self._fail(line, "a sampling rate (RATE) in the SAMPLES line", " ".join(words))
        if not self.eyes:
            self._fail(line, "LEFT or RIGHT in the SAMPLES line", " ".join(words))
        self.file.rates.add(self.rate)
        self.file.recorded.update(self.eyes)

    def _samples(self) -> None:
        """Parse the lines of samples that wait."""
        runs, self.runs = self.runs, []
        if not runs:
            return
        columns = [0, *(3 * index + axis for index in range(len(self.eyes)) for axis in (1, 2))]
        counts = [_count_words(run) for run, _ in runs]
        usual = max(int(counts[0][0]), columns[-1] + 2)  # at least the pupil follows
        for (run, line), words in zip(runs, counts, strict=True):
            if (words != usual).any():
                wrong = int(np.argmax(words != usual))
                found = run.split(b"\n", wrong + 1)[wrong].decode(errors="replace").rstrip()
                self._fail(line + wrong, f"{usual} columns of samples of {' and '.join(self.eyes)}", found)
        content = b"".join(run for run, _ in runs)
        if not _PLAIN[np.frombuffer(content, np.uint8)].all():
            self._fail(runs[0][1], "lines of plain text in the samples from here on", "other characters")
        try:
            with np.errstate(over="ignore"):  # numbers that are too large are refused below
                table = pd.read_csv(
                    io.BytesIO(content),
                    header=None,
                    sep=r"\s+",
                    usecols=columns,
                    dtype={column: np.float32 if column else np.float64 for column in columns},
                    na_values=["."],
                    keep_default_na=False,
                    quoting=csv.QUOTE_NONE,
                )
        except (ValueError, OverflowError) as error:
            self._fail(runs[0][1], "numbers or . for missing in the samples from here on", str(error))
        values = table.to_numpy(np.float64)
        if len(table) != sum(map(len, counts)) or np.isinf(values).any() or np.isnan(values[:, 0]).any():
            self._fail(runs[0][1], "a time and finite numbers in every sample from here on", "other lines or numbers")
        times = table[0].to_numpy().copy()
        if self.rate > 1000:  # times in whole ms come twice
            times[1:][np.diff(times) == 0] += 0.5
        gaze = np.full((len(times), 2, 2), np.nan, np.float32)
        for index, eye in enumerate(self.eyes):
            gaze[:, EYES.index(eye)] = table[[3 * index + 1, 3 * index + 2]].to_numpy()
        self.file.times.append(times)
        self.file.gaze.append(gaze)


def _number(word: str) -> float:
    """Return the number that a word is, as a program writes one; of others raise ValueError."""
    value = float(word)
    if not (math.isfinite(value) and word.isascii() and "_" not in word):
        raise ValueError(f"{word} is no number of a file")
    return value


def _count_words(run: bytes) -> np.ndarray:
    """Count the words of every line."""
    content = np.frombuffer(run, np.uint8)
    space = content <= ord(" ")
    begins = ~space
    begins[1:] &= space[:-1]
    starts = np.concatenate([[0], np.flatnonzero(content == ord("\n")) + 1])
    return np.add.reduceat(begins, starts[starts < content.size], dtype=np.int32)
