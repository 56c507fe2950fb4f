"""One clock for a day: when every session and every two-photon recording began on it.

A session's products have times from the start of its own recording. When that was says the
header of its nev (UTC, in ms); products do not have it. Where it is not known, recordings are
laid one after the other. Nothing is known of when two-photon recordings began.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hippflow.errors import FormatError

#: How a row of the table `sessions` says where its start is from.
HEADER, LAID = "header of the nev", "not known: laid after the one before"

#: Sessions may overlap by so many s, for the recorder's clocks are not that exact.
TOLERANCE = 1.0


@dataclass(frozen=True)
class Span:
    """A recording, and how long it is.

    Attributes
    ----------
    name : str
        ``session01``, ``imaging01``.
    seconds : float
        From its time 0 to the end of what the file has of it.
    start : datetime or None
        When it began, UTC.
    """

    name: str
    seconds: float
    start: datetime | None = None


@dataclass(frozen=True)
class Placed:
    """A recording on the day's clock.

    Attributes
    ----------
    name : str
    offset, stop : float
        When its own time 0 and its end are on the day's clock, s.
    source : str
        :data:`HEADER` or :data:`LAID`.
    """

    name: str
    offset: float
    stop: float
    source: str


def place(spans: list[Span], movies: list[Span], date: str, zone: str, gap: float) -> tuple[datetime, list[Placed]]:
    """Put a day's recordings on one clock.

    Parameters
    ----------
    spans : list of Span
        Its sessions, in the order in which they are to be laid one after the other if not all of them have a start.
    movies : list of Span
        Its two-photon recordings, which come last.
    date : str
        The day, 20181105.
    zone : str
        The laboratory's time zone, as Europe/Berlin.
    gap : float
        Time between recordings that are laid one after the other, s.

    Returns
    -------
    start : datetime
        When the day's clock is at 0: at the first session's start; or at midnight where that is not known.
    placed : list of Placed
        In the order of time.

    Raises
    ------
    FormatError
        Sessions that overlap, or that were not recorded on this day.

    Examples
    --------
    >>> start, placed = place([Span("session01", 60.0), Span("sessioneye", 30.0)], [], "20181105", "UTC", 10)
    >>> start.isoformat(), [(one.name, one.offset) for one in placed]
    ('2018-11-05T00:00:00+00:00', [('session01', 0.0), ('sessioneye', 70.0)])
    """
    midnight = datetime.strptime(date, "%Y%m%d").replace(tzinfo=ZoneInfo(zone))
    start, placed = midnight, []
    if spans and all(span.start for span in spans):
        first = min(span.start for span in spans)
        start = first.astimezone(midnight.tzinfo)
        _check_date(spans, midnight)
        for span in spans:
            offset = (span.start - first).total_seconds()
            placed.append(Placed(span.name, offset, offset + span.seconds, HEADER))
        placed.sort(key=lambda one: one.offset)
        _check_overlap(placed)
    for span in [*(spans if not placed else []), *movies]:
        offset = max(one.stop for one in placed) + gap if placed else 0.0
        placed.append(Placed(span.name, offset, offset + span.seconds, LAID))
    return start, placed


def _check_date(spans: list[Span], midnight: datetime) -> None:
    for span in spans:
        if abs(span.start - (midnight + timedelta(hours=12))) > timedelta(hours=36):
            raise FormatError(
                f"{span.name}: expected a recording of {midnight:%Y%m%d}, found {span.start:%Y-%m-%d %H:%M:%S} UTC in "
                "the header of its nev; if the recorder's clock was wrong, set nwb.clock: consecutive"
            )


def _check_overlap(placed: list[Placed]) -> None:
    for before, after in pairwise(placed):
        if after.offset < before.stop - TOLERANCE:
            early = before.stop - after.offset
            raise FormatError(
                f"{after.name}: expected it to begin after the end of {before.name}, found {early:.1f} s before that, "
                "by the headers of their nev; set nwb.clock: consecutive"
            )
