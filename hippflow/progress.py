"""Progress of long steps: a live line in a terminal, sparse lines in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two updates of a terminal line, and between two log lines.
TERMINAL_PERIOD, LOG_PERIOD = 0.2, 30.0


def format_duration(seconds: float) -> str:
    """Write a duration the way a clock shows it.

    Examples
    --------
    >>> format_duration(75), format_duration(3675)
    ('1:15', '1:01:15')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Progress:
    """How far a step of known length has come, its rate and the time left.

    Parameters
    ----------
    total : float
        Amount of work, in `unit`.
    what : str
        What is being made; opens every line.
    unit : str
        Name of the unit, for the rate.

    Examples
    --------
    >>> progress = Progress(total=3, what="rpllfp", unit="blocks")
    >>> progress.update(1.5)
    >>> progress.describe(elapsed=2.0)
    'rpllfp: 50 %, 0.75 blocks/s, 0:02 left'
    """

    def __init__(self, total: float, what: str, unit: str = "items"):
        self.total, self.what, self.unit = total, what, unit
        self.done = 0.0
        self._start = self._last_shown = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def describe(self, elapsed: float) -> str:
        """Say percentage, rate and time left after `elapsed` seconds."""
        share = self.done / self.total if self.total else 1.0
        rate = self.done / elapsed if elapsed > 0 else 0.0
        left = format_duration(max(0.0, self.total - self.done) / rate) if rate else "unknown"
        return f"{self.what}: {share:.0%}, {rate:.3g} {self.unit}/s, {left} left".replace("%", " %", 1)

    def update(self, amount: float = 1.0) -> None:
        """Add `amount` of finished work and show it when it is time to."""
        self.done += amount
        now = time.monotonic()
        finished = self.done >= self.total * (1 - 1e-9)  # a sum of seconds may fall short of the whole by rounding
        if self._terminal:
            if finished or now - self._last_shown >= TERMINAL_PERIOD:
                self._last_shown = now
                print(
                    f"\r\x1b[K{self.describe(now - self._start)}",
                    end="\n" if finished else "",
                    file=sys.stderr,
                    flush=True,
                )
        elif now - self._last_shown >= LOG_PERIOD or (finished and now - self._start >= LOG_PERIOD):
            self._last_shown = now
            log.info(self.describe(now - self._start))


def track(items: Iterable[T], total: int, what: str, unit: str = "blocks") -> Iterator[T]:
    """Yield `items` unchanged while showing how far through `total` of them we are.

    Examples
    --------
    >>> sum(track([1, 2, 3], total=3, what="adding"))
    6
    """
    progress = Progress(total, what, unit)
    for item in items:
        yield item
        progress.update()
