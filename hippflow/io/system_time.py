"""When a recording began, as the headers of NEV and NSx files have it: Windows' SYSTEMTIME, 16 bytes."""

import struct
from datetime import UTC, datetime


def parse_system_time(raw: bytes) -> datetime | None:
    """Parse a date and time of a header.

    Returns
    -------
    datetime or None
        UTC, to a ms; None where all is 0, as recorders write that do not know it.

    Raises
    ------
    ValueError
        It is no time.

    Examples
    --------
    >>> parse_system_time(struct.pack("<8H", 2018, 11, 1, 5, 10, 30, 0, 250)).isoformat()
    '2018-11-05T10:30:00.250000+00:00'
    """
    year, month, _, day, hour, minute, second, ms = found = struct.unpack("<8H", raw)
    if not any(found):
        return None
    try:
        return datetime(year, month, day, hour, minute, second, 1000 * ms, UTC)
    except ValueError as error:
        raise ValueError(f"found {found} ({error})") from error


def time_or_none(raw: bytes) -> datetime | None:
    """Parse a date and time of a header; None also where it is none, for readers that can do without."""
    try:
        return parse_system_time(raw)
    except ValueError:
        return None
