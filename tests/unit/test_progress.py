"""Progress of long steps, by a clock that is set by hand."""

import io
import logging
from types import SimpleNamespace

import pytest

from hippflow import progress
from hippflow.progress import LOG_PERIOD, Progress, format_duration, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A list with the time."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def terminal(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream))
    return stream


@pytest.fixture
def log(monkeypatch, caplog):
    """Where lines go when there is no terminal."""
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=io.StringIO()))
    caplog.set_level(logging.INFO)
    return caplog


@pytest.mark.parametrize(
    "seconds, expected",
    [
        (0, "0:00"),
        (0.4, "0:00"),
        (59.6, "1:00"),
        (75, "1:15"),
        (3599, "59:59"),
        (3600, "1:00:00"),
        (100_000, "27:46:40"),
    ],
)
def test_durations(seconds, expected):
    assert format_duration(seconds) == expected


@pytest.mark.parametrize(
    "total, done, elapsed, expected",
    [
        (200, 50, 10, "rpllfp: 25 %, 5 blocks/s, 0:30 left"),
        (200, 0, 10, "rpllfp: 0 %, 0 blocks/s, unknown left"),
        (200, 200, 10, "rpllfp: 100 %, 20 blocks/s, 0:00 left"),
        (200, 50, 0, "rpllfp: 25 %, 0 blocks/s, unknown left"),
        (3, 4, 2, "rpllfp: 133 %, 2 blocks/s, 0:00 left"),
        (0, 0, 1, "rpllfp: 100 %, 0 blocks/s, unknown left"),
    ],
)
def test_descriptions(total, done, elapsed, expected):
    bar = Progress(total, "rpllfp", "blocks")
    bar.done = done
    assert bar.describe(elapsed) == expected


def test_a_terminal_line_is_written_over_and_ended(clock, terminal):
    bar = Progress(4, "rplsplit", "s")
    for _ in range(4):
        clock[0] += 1
        bar.update()
    lines = terminal.getvalue().split("\r\x1b[K")
    assert lines == [
        "",
        "rplsplit: 25 %, 1 s/s, 0:03 left",
        "rplsplit: 50 %, 1 s/s, 0:02 left",
        "rplsplit: 75 %, 1 s/s, 0:01 left",
        "rplsplit: 100 %, 1 s/s, 0:00 left\n",
    ]


def test_a_terminal_line_is_not_written_too_often(clock, terminal):
    bar = Progress(1000, "rplsplit")
    for _ in range(999):
        clock[0] += 0.001
        bar.update()
    assert 3 <= terminal.getvalue().count("\r") <= 5
    bar.update()
    assert terminal.getvalue().endswith("left\n")


def test_a_line_ends_although_the_seconds_do_not_add_up_exactly(clock, terminal):
    assert sum([0.1] * 10) < 1
    bar = Progress(1, "rplsplit", "s of recording")
    for _ in range(10):
        bar.update(0.1)
    assert terminal.getvalue().endswith("left\n")


def test_a_log_gets_a_line_now_and_then(clock, log):
    bar = Progress(100, "rplsplit", "s")
    for _ in range(100):
        clock[0] += 1
        bar.update()
    assert log.messages == [
        "rplsplit: 30 %, 1 s/s, 1:10 left",
        "rplsplit: 60 %, 1 s/s, 0:40 left",
        "rplsplit: 90 %, 1 s/s, 0:10 left",
        "rplsplit: 100 %, 1 s/s, 0:00 left",
    ]
    assert progress.sys.stderr.getvalue() == ""


def test_a_short_step_is_not_logged(clock, log):
    bar = Progress(10, "rplsplit")
    for _ in range(10):
        clock[0] += LOG_PERIOD / 11
        bar.update()
    assert log.messages == []


def test_items_are_passed_on_and_counted(clock, terminal):
    assert list(track(iter("abc"), total=3, what="adding")) == ["a", "b", "c"]
    assert terminal.getvalue().endswith("adding: 100 %, 0 blocks/s, unknown left\n")


def test_an_error_in_a_step_passes(terminal):
    def broken():
        yield 1
        raise ValueError("disk full")

    with pytest.raises(ValueError, match="disk full"):
        list(track(broken(), total=2, what="adding"))
