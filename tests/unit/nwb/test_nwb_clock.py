"""When a day's recordings began: from the headers of their nev, or laid one after the other."""

import struct
from datetime import UTC, datetime, timedelta

import pytest

from hippflow.demo.ripple import Digital, write_nev
from hippflow.errors import FormatError
from hippflow.io.nev import read_start_time
from hippflow.nwb.clock import Span, place

START = datetime(2018, 11, 5, 10, 59, 11, 250_000)


@pytest.mark.parametrize("spec", ["2.1", "2.2", "2.3", "3.0"])
def test_a_nev_says_when_it_began(tmp_path, spec):
    write_nev(tmp_path / "a.nev", [], spec=spec, channels=[], start=START)
    assert read_start_time(tmp_path / "a.nev") == START.replace(tzinfo=UTC)


def test_a_clock_in_nanoseconds_says_it_by_its_first_packet(tmp_path):
    began = 1_541_415_551_250_000_000  # 2018-11-05 10:59:11.25 UTC
    events = [Digital(began + 10**9, 10), Digital(began, 84)]
    write_nev(tmp_path / "a.nev", events[::-1], spec="3.0-ptp", channels=[], start=datetime(2001, 1, 1))
    assert read_start_time(tmp_path / "a.nev") == START.replace(tzinfo=UTC)


@pytest.mark.parametrize("time", [(0,) * 8, (2018, 13, 1, 5, 10, 59, 11, 0)])
def test_a_nev_without_a_time_says_none_and_a_wrong_one_is_refused(tmp_path, time):
    path = tmp_path / "a.nev"
    write_nev(path, [], channels=[], start=START)
    data = bytearray(path.read_bytes())
    data[28:44] = struct.pack("<8H", *time)
    path.write_bytes(data)
    if not any(time):
        assert read_start_time(path) is None
    else:
        with pytest.raises(FormatError, match=r"a\.nev: expected the time of the recording's start in the header"):
            read_start_time(path)


def spans(*starts, seconds=60.0):
    return [Span(f"session{k:02d}", seconds, start and start.replace(tzinfo=UTC)) for k, start in enumerate(starts, 1)]


def test_sessions_are_placed_by_their_starts_whatever_their_names():
    start, placed = place(
        spans(START + timedelta(seconds=90), START), [Span("imaging01", 5.0)], "20181105", "Asia/Singapore", 10
    )
    assert start.isoformat() == "2018-11-05T18:59:11.250000+08:00"
    assert [(one.name, one.offset, one.stop) for one in placed] == [
        ("session02", 0.0, 60.0), ("session01", 90.0, 150.0), ("imaging01", 160.0, 165.0),
    ]  # fmt: skip


def test_one_start_that_is_not_known_lays_all_one_after_the_other():
    start, placed = place(spans(START, None), [], "20181105", "UTC", 2.5)
    assert start == datetime(2018, 11, 5, tzinfo=UTC)
    assert [(one.offset, one.stop) for one in placed] == [(0.0, 60.0), (62.5, 122.5)]
    assert {one.source for one in placed} == {"not known: laid after the one before"}


def test_a_day_of_two_photon_recordings_begins_with_the_first():
    _, placed = place([], [Span("imaging01", 5.0), Span("imaging02", 6.0)], "20220104", "UTC", 10)
    assert [(one.name, one.offset) for one in placed] == [("imaging01", 0.0), ("imaging02", 15.0)]


def test_sessions_that_overlap_are_refused_but_for_the_recorders_tolerance():
    with pytest.raises(FormatError, match=r"session02: expected it to begin after the end of session01, found 5\.0 s"):
        place(spans(START, START + timedelta(seconds=55)), [], "20181105", "UTC", 10)
    _, placed = place(spans(START, START + timedelta(seconds=59.5)), [], "20181105", "UTC", 10)
    assert placed[1].offset == 59.5


@pytest.mark.parametrize(("days", "right"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_recording_of_another_day_is_refused(days, right):
    some = spans(START + timedelta(days=days))
    if right:
        assert len(place(some, [], "20181105", "UTC", 10)[1]) == 1
    else:
        with pytest.raises(FormatError, match="session01: expected a recording of 20181105, found 2018-11"):
            place(some, [], "20181105", "UTC", 10)
