"""Selections: what is taken, and errors that name key, value and the nearest valid one."""

import pytest

from hippflow.day.selection import nearest, parse_channels, select_channels, select_names
from hippflow.errors import ConfigError

DAYS = ["20181101", "20181102", "20181105"]
PRESENT = {9, 31, 34, 56, 72, 93, 119, 120}


@pytest.mark.parametrize(
    "wanted, expected",
    [
        ("all", DAYS),
        ("20181102", ["20181102"]),
        (20181102, ["20181102"]),
        (["20181105", 20181101], ["20181101", "20181105"]),
        (["20181105", "20181105"], ["20181105"]),
    ],
)
def test_names(wanted, expected):
    assert select_names("days", wanted, DAYS, "data/picasso") == expected


@pytest.mark.parametrize("wanted, value", [("20181104", "20181104"), ([20181101, 20181106], "20181106")])
def test_a_name_that_is_not_there(wanted, value):
    expected = f"days: {value} is not in data/picasso (3 there; nearest: 20181105)"
    with pytest.raises(ConfigError) as error:
        select_names("days", wanted, DAYS, "data/picasso")
    assert str(error.value) == expected


def test_a_name_where_there_is_none():
    with pytest.raises(ConfigError, match=r"subjects: picasso is not in data \(0 there\)"):
        select_names("subjects", ["picasso"], [], "data")
    assert select_names("subjects", "all", [], "data") == []


@pytest.mark.parametrize(
    "wanted, expected",
    [
        ("all", PRESENT),
        (9, {9}),
        ("9", {9}),
        ([9, 31], {9, 31}),
        (["9", 31], {9, 31}),
        ("1-32", {9, 31}),
        ("9,56-72", {9, 56, 72}),
        (" 9 , 31 - 34 ", {9, 31, 34}),
        (["1-32", 56, "119-124"], {9, 31, 56, 119, 120}),
        ("9-9", {9}),
        (["1-124", 9], PRESENT),
    ],
)
def test_channels(wanted, expected):
    assert select_channels(wanted, PRESENT, "picasso/20181105") == expected


def test_ranges_are_taken_apart():
    assert parse_channels("1-3,9") == ({9}, [range(1, 4)])


@pytest.mark.parametrize("wanted, channel, near", [(10, 10, 9), ([9, 33], 33, 34), ("9,200", 200, 120), (0, 0, 9)])
def test_a_channel_that_is_not_there(wanted, channel, near):
    with pytest.raises(ConfigError) as error:
        select_channels(wanted, PRESENT, "picasso/20181105")
    expected = f"channels: {channel} is not in the recording of picasso/20181105 (8 channels; nearest: {near})"
    assert str(error.value) == expected


def test_a_range_in_which_there_is_no_channel():
    with pytest.raises(ConfigError) as error:
        select_channels(["9-31", "57-71"], PRESENT, "picasso/20181105")
    expected = "channels: none of 57-71 is in the recording of picasso/20181105 (8 channels; nearest: 56)"
    assert str(error.value) == expected


@pytest.mark.parametrize(
    "wanted, item", [("1-", "1-"), ("32-1", "32-1"), ("a", "a"), ("1,,2", ""), ([-1], -1), ([1.5], 1.5)]
)
def test_what_is_no_channel(wanted, item):
    with pytest.raises(ConfigError, match=rf"channels: {item!r} is neither a channel number nor a range such as 1-32"):
        select_channels(wanted, PRESENT, "picasso/20181105")


@pytest.mark.parametrize(
    "value, valid, expected",
    [
        (33, [31, 34, 56], 34),
        ("33", [31, 34, 56], 34),
        ("sesion01", ["session01", "sessioneye"], "session01"),
        ("band", ["band", "order"], "band"),
        ("float64", ["float32", "int16"], "float32"),
    ],
)
def test_nearest(value, valid, expected):
    assert nearest(value, valid) == expected
