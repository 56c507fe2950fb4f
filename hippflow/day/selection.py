"""Which subjects, days, sessions and channels of a raw tree were asked for."""

import re
from collections.abc import Iterable
from typing import Any

from hippflow.errors import ConfigError

_RANGE = re.compile(r"(\d+)-(\d+)")


def nearest(value: Any, valid: Iterable[Any]) -> Any:
    """Return the valid value most like `value`: the closest number, else the most similar word.

    Examples
    --------
    >>> nearest(125, [1, 31, 124]), nearest("tridesclous", ["mountainsort5", "tridesclous2"])
    (124, 'tridesclous2')
    """
    from difflib import SequenceMatcher  # only for messages; parse time stays small

    valid = list(valid)
    if all(re.fullmatch("[0-9]{1,300}", str(v)) for v in [value, *valid]):
        return min(valid, key=lambda v: abs(int(v) - int(value)))
    return max(valid, key=lambda v: SequenceMatcher(None, str(value), str(v)).ratio())


def by_numbers(name: str) -> list[Any]:
    """Return a key that sorts names by the numbers in them.

    Examples
    --------
    >>> sorted(["session_10.txt", "session_2.txt"], key=by_numbers)
    ['session_2.txt', 'session_10.txt']
    """
    parts = re.split(r"([0-9]+)", name)  # every other part is a number
    return [int(part) if k % 2 else part for k, part in enumerate(parts)]


def select_names(key: str, wanted: str | list[Any], valid: list[str], where: str) -> list[str]:
    """Return the names of `valid` that were asked for, in the order of `valid`.

    Raises
    ------
    ConfigError
        A name that is not there; the message gives the nearest one that is.

    Examples
    --------
    >>> select_names("days", [20181105], ["20181101", "20181105"], "data/picasso")
    ['20181105']
    """
    if wanted == "all":
        return valid
    names = [str(name) for name in (wanted if isinstance(wanted, list) else [wanted])]
    for name in names:
        if name not in valid:
            hint = f"; nearest: {nearest(name, valid)}" if valid else ""
            raise ConfigError(f"{key}: {name} is not in {where} ({len(valid)} there{hint})")
    return [name for name in valid if name in names]


def parse_channels(wanted: str | int | list[Any]) -> tuple[set[int], list[range]]:
    """Split a channel selection into single numbers and ranges.

    Examples
    --------
    >>> parse_channels(["1-3", 9])
    ({9}, [range(1, 4)])
    """
    singles: set[int] = set()
    ranges: list[range] = []
    for item in wanted if isinstance(wanted, list) else str(wanted).replace(" ", "").split(","):
        match = _RANGE.fullmatch(str(item))
        if match and int(match[1]) <= int(match[2]):
            ranges.append(range(int(match[1]), int(match[2]) + 1))
        elif str(item).isdigit():
            singles.add(int(item))
        else:
            raise ConfigError(f"channels: {item!r} is neither a channel number nor a range such as 1-32")
    return singles, ranges


def select_channels(wanted: str | int | list[Any], present: set[int], where: str) -> set[int]:
    """Return the channels of `present` that were asked for.

    A single number must be present. Of a range, what is present is taken, which
    must be at least one channel.

    Examples
    --------
    >>> sorted(select_channels(["1-32", 56], {9, 31, 56, 72}, "picasso/20181105"))
    [9, 31, 56]
    """
    if wanted == "all":
        return set(present)
    singles, ranges = parse_channels(wanted)
    for channel in sorted(singles - present):
        raise ConfigError(
            f"channels: {channel} is not in the recording of {where} ({len(present)} channels; "
            f"nearest: {nearest(channel, sorted(present))})"
        )
    chosen = set(singles)
    for span in ranges:
        found = present.intersection(span)
        if not found:
            raise ConfigError(
                f"channels: none of {span.start}-{span.stop - 1} is in the recording of {where} "
                f"({len(present)} channels; nearest: {nearest(span.start, sorted(present))})"
            )
        chosen |= found
    return chosen
