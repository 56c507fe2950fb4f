"""What happened on the demo day, apart from any device that recorded it.

Writes nothing. All devices of the day are made from one :class:`Timeline`, so
that their records agree. Times are integer ticks of the 30 kHz Ripple clock,
0 = first sample of the session.
"""

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

TICKS_PER_SECOND = 30_000

#: Marker that opens a session (80 + version 4 of the task).
SESSION_START = 84

#: Tens of the marker codes; the units are the target (poster) 1..6.
CUE_ONSET, CUE_OFFSET, REWARDED, TIMEOUT = 10, 20, 30, 40

N_TARGETS = 6

#: Seconds that each phase of a trial lasts, (shortest, longest), in a session of 30 s or more.
PHASES = {
    "navigation": {"cue": (0.9, 1.1), "run": (2.0, 6.0), "timeout": (8.0, 8.0), "pause": (1.0, 2.0)},
    "fixation": {"cue": (0.3, 0.5), "run": (0.8, 1.6), "timeout": (2.0, 2.0), "pause": (0.5, 1.0)},
}


def generator(seed: int, *keys: int | str) -> np.random.Generator:
    """Return the random generator of one thing on the demo day.

    Every thing has its own stream, so that it does not depend on what else is
    generated, nor in which order.

    Examples
    --------
    >>> a, b = generator(1, "lfp", 9), generator(1, "lfp", 9)
    >>> a.random() == b.random()
    True
    """
    numbers = [zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys]
    return np.random.Generator(np.random.SFC64([seed, *numbers]))


@dataclass(frozen=True)
class Clock:
    """A device's clock against Ripple's: ``device = offset + (1 + ppm / 1e6) * ripple``, all but `ppm` in seconds."""

    offset: float
    ppm: float

    def to_device(self, ripple: np.ndarray | float) -> np.ndarray | float:
        """Return what the device's clock shows at times of Ripple's.

        Examples
        --------
        >>> Clock(offset=5, ppm=250_000).to_device(1000)
        1255.0
        """
        return self.offset + (1 + self.ppm / 1e6) * ripple

    def to_ripple(self, device: np.ndarray | float) -> np.ndarray | float:
        """Return Ripple's times at which the device's clock shows these."""
        return (device - self.offset) / (1 + self.ppm / 1e6)


@dataclass(frozen=True)
class Trial:
    """One trial: cue on, cue off, end; `rewarded`, or else timed out. Times in ticks."""

    target: int
    cue_onset: int
    cue_offset: int
    end: int
    rewarded: bool

    @property
    def ticks(self) -> tuple[int, int, int]:
        """Times of the three markers."""
        return self.cue_onset, self.cue_offset, self.end

    @property
    def codes(self) -> tuple[int, int, int]:
        """The three marker codes.

        Examples
        --------
        >>> Trial(target=3, cue_onset=0, cue_offset=30000, end=90000, rewarded=False).codes
        (13, 23, 43)
        """
        end = REWARDED if self.rewarded else TIMEOUT
        return CUE_ONSET + self.target, CUE_OFFSET + self.target, end + self.target


@dataclass(frozen=True)
class Session:
    """One session of the day.

    Attributes
    ----------
    name, kind : str
        ``session01`` and ``navigation``, or ``sessioneye`` and ``fixation``.
    n_samples : int
        Length in ticks.
    start : int
        Tick of the session marker.
    trials : tuple of Trial
    reset_delays : tuple of int
        Ticks from each marker to the 0 that resets the port after it.
    """

    name: str
    kind: str
    n_samples: int
    start: int
    trials: tuple[Trial, ...]
    reset_delays: tuple[int, ...]

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.n_samples / TICKS_PER_SECOND

    @property
    def shrink(self) -> float:
        """How much shorter everything in it is than in a session of 30 s or more."""
        return min(1.0, self.seconds / 30)

    @cached_property
    def events(self) -> tuple[np.ndarray, np.ndarray]:
        """The session marker and three markers a trial: ticks, int64 (1 + 3 T,), and codes, uint16 (1 + 3 T,)."""
        ticks = np.array([self.start, *(tick for trial in self.trials for tick in trial.ticks)])
        codes = [SESSION_START, *(code for trial in self.trials for code in trial.codes)]
        return ticks, np.array(codes, np.uint16)

    @cached_property
    def markers(self) -> tuple[np.ndarray, np.ndarray]:
        """Every word on the parallel port: ticks, int64 (2m,), and codes, uint16 (2m,), zeros included."""
        ticks, codes = self.events
        all_ticks = np.column_stack([ticks, ticks + self.reset_delays]).ravel()
        return all_ticks, np.column_stack([codes, np.zeros_like(codes)]).ravel()


@dataclass(frozen=True)
class Timeline:
    """The sessions of one day, in the order in which they are named."""

    subject: str
    day: str
    seed: int
    sessions: tuple[Session, ...]


def make_session(name: str, kind: str, seconds: float, seed: int) -> Session:
    """Draw the trials of a session; it ends between two trials.

    Sessions shorter than 30 s have proportionally shorter trials, so that there
    are always some.

    Examples
    --------
    >>> session = make_session("session01", "navigation", seconds=60, seed=1)
    >>> ticks, codes = session.markers
    >>> int(codes[0]), codes.size == 2 * (1 + 3 * len(session.trials)), bool((np.diff(ticks) > 0).all())
    (84, True, True)
    """
    rng = generator(seed, "trials", name)
    n_samples = round(seconds * TICKS_PER_SECOND)
    shrink = min(1.0, seconds / 30)

    def lasts(phase: str) -> int:
        return round(rng.uniform(*PHASES[kind][phase]) * shrink * TICKS_PER_SECOND)

    trials: list[Trial] = []
    start = round(0.2 * shrink * TICKS_PER_SECOND)
    target, cue_onset = int(rng.integers(1, N_TARGETS + 1)), start + lasts("pause")
    while True:
        rewarded = bool(rng.random() > 0.2)
        cue_offset = cue_onset + lasts("cue")
        end = cue_offset + lasts("run" if rewarded else "timeout")
        if end + lasts("pause") > n_samples:
            break
        trials.append(Trial(target, cue_onset, cue_offset, end, rewarded))
        cue_onset = end + lasts("pause")
        if rewarded:  # after a timeout the same target is tried again
            target = (target - 1 + int(rng.integers(1, N_TARGETS))) % N_TARGETS + 1
    resets = rng.integers(20, 60, 1 + 3 * len(trials))
    return Session(name, kind, n_samples, start, tuple(trials), tuple(resets.tolist()))


def make_timeline(subject: str, day: str, seconds: float, seed: int, n_navigation: int = 1) -> Timeline:
    """Describe a day of one navigation session, or more, and a fixation session of half the length of one."""
    names = [f"session{number:02d}" for number in range(1, n_navigation + 1)]
    sessions = [make_session(name, "navigation", seconds, seed) for name in names]
    return Timeline(subject, day, seed, (*sessions, make_session("sessioneye", "fixation", seconds / 2, seed)))
