"""A small recording day in the levels of the field, with the truth beside it.

Writes, below a root folder::

    picasso/20181105/session01/181105_Block1.nev .ns5     navigation
    picasso/20181105/sessioneye/181105_DST.nev .ns5       fixation, half as long
    picasso/20181105/truth.json, truth.npz                written last

by specification 2.2: four analog inputs (mV) and the raw channels (uV), int16 at
30 kHz, and the trial markers with zeros between.
"""

import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hippflow.demo.ripple import analog_channel, marker_events, raw_channel, write_nev, write_nsx
from hippflow.demo.signal import N_ANALOG, SessionSignal, noise_level
from hippflow.demo.timeline import TICKS_PER_SECOND, Session, Timeline, make_timeline
from hippflow.demo.truth import ChannelTruth, SessionTruth, Truth, UnitTruth, save_truth
from hippflow.demo.units import TEMPLATE_SAMPLES, plan_units, spike_trains
from hippflow.errors import ConfigError
from hippflow.progress import Progress

#: The channels of the students' exercise: some on each of the four front-ends.
EXERCISE_CHANNELS = (9, 31, 34, 56, 72, 93, 119, 120)

#: Highest electrode number of four 32-channel front-ends.
MAX_CHANNEL = 128

#: What the recorder's files of each kind of session are called after the date.
FILE_SUFFIX = {"navigation": "Block1", "fixation": "DST"}


def _check(channels: int | Sequence[int], seconds: float, subject: str, day: str) -> tuple[int, ...]:
    """Return the channel numbers, or say what is wrong with the request."""
    numbers = tuple(range(1, channels + 1)) if isinstance(channels, int) else tuple(sorted(channels))
    if not numbers or len(set(numbers)) != len(numbers) or numbers[0] < 1 or numbers[-1] > MAX_CHANNEL:
        raise ConfigError(f"channels: expected different numbers in 1..{MAX_CHANNEL}, or how many; got {channels!r}")
    if not seconds >= 2:
        raise ConfigError(f"seconds: a demo session lasts at least 2 s; got {seconds!r}")
    if not (subject.isascii() and subject.isalpha()):
        raise ConfigError(f"subject: expected letters only, e.g. picasso; got {subject!r}")
    try:
        datetime.datetime.strptime(day, "%Y%m%d")
    except ValueError:
        raise ConfigError(f"day: expected a date such as 20181105; got {day!r}") from None
    return numbers


def _write_session(
    folder: Path,
    session: Session,
    signal: SessionSignal,
    start: datetime.datetime,
    combined_every: int,
    progress: Progress,
) -> None:
    raw = [raw_channel(number) for number in signal.spikes]
    name = f"{start:%y%m%d}_{FILE_SUFFIX[session.kind]}"
    events = marker_events(*session.markers, combined_every=combined_every)
    write_nev(folder / f"{name}.nev", events, channels=raw, start=start)

    def seconds() -> Iterator[np.ndarray]:
        for first in range(0, session.n_samples, TICKS_PER_SECOND):
            samples = signal.read(first, first + TICKS_PER_SECOND)
            yield samples
            progress.update(len(samples) / TICKS_PER_SECOND)

    analog = [analog_channel(number) for number in range(1, N_ANALOG + 1)]
    write_nsx(folder / f"{name}.ns5", analog + raw, seconds(), start=start)


def _imagine(timeline: Timeline, channels: Sequence[int]) -> tuple[Truth, dict[str, SessionSignal]]:
    """Decide everything that will be on the day: its truth, and the signal of each session."""
    seed = timeline.seed
    plan = plan_units(channels, [session.name for session in timeline.sessions], seed)
    spikes: dict[str, dict] = {session.name: {} for session in timeline.sessions}
    truths: dict[int, ChannelTruth] = {}
    for channel, units in plan.items():
        trains = {s.name: spike_trains(units, s.name, s.n_samples, seed) for s in timeline.sessions}
        noise_uv = noise_level(seed, channel)
        truths[channel] = ChannelTruth(
            array=raw_channel(channel).front_end + 1,
            noise_uv=noise_uv,
            units={
                unit.label: UnitTruth.of(unit, noise_uv, {name: train[unit.label][0] for name, train in trains.items()})
                for unit in units
            },
        )
        for name, train in trains.items():
            samples = np.concatenate([np.zeros(0, np.int64), *(train[unit.label][0] for unit in units)])
            amplitudes = np.concatenate([np.zeros(0, np.float32), *(train[unit.label][1] for unit in units)])
            rows = np.repeat(np.arange(len(units)), [train[unit.label][0].size for unit in units])
            order = np.argsort(samples, kind="stable")
            spikes[name][channel] = samples[order], rows[order].astype(np.uint8), amplitudes[order]
    templates = {
        channel: np.reshape([unit.template for unit in truth.units.values()], (-1, TEMPLATE_SAMPLES))
        for channel, truth in truths.items()
    }
    signals = {s.name: SessionSignal(s, spikes[s.name], templates, seed) for s in timeline.sessions}
    sessions = {session.name: SessionTruth.of(session) for session in timeline.sessions}
    return Truth(timeline.subject, timeline.day, seed, sessions, truths), signals


def write_demo_day(
    root: str | Path,
    *,
    channels: int | Sequence[int] = EXERCISE_CHANNELS,
    seconds: float = 60.0,
    seed: int = 20181105,
    subject: str = "picasso",
    day: str = "20181105",
    combined_every: int = 0,
) -> Path:
    """Write a recording day whose truth is known.

    Parameters
    ----------
    root : path
        Folder above the subjects.
    channels : sequence of int, or int
        Electrode numbers; or how many, from 1.
    seconds : float
        Length of ``session01``; ``sessioneye`` lasts half of it.
    seed : int
        Equal seeds give equal files. A channel's noise and units' shapes do not
        depend on the length; noise does not depend on which other channels there
        are, but how many units a channel has does.
    subject, day : str
        Names of the two upper levels.
    combined_every : int
        Let every n-th marker come together with SMA 1 in one packet; such markers
        neo does not see (:func:`~hippflow.demo.ripple.marker_events`).

    Returns
    -------
    Path
        Folder of the day.

    Examples
    --------
    >>> import tempfile
    >>> day_dir = write_demo_day(tempfile.mkdtemp(), channels=[9, 31], seconds=2)
    >>> sorted(path.name for path in day_dir.rglob("*.*"))
    ['181105_Block1.nev', '181105_Block1.ns5', '181105_DST.nev', '181105_DST.ns5', 'truth.json', 'truth.npz']
    """
    numbers = _check(channels, seconds, subject, day)
    timeline = make_timeline(subject, day, seconds, seed)
    truth, signals = _imagine(timeline, numbers)
    progress = Progress(sum(s.seconds for s in truth.sessions.values()), "demo day", "s of recording")
    day_dir = Path(root, subject, day)
    start = datetime.datetime.strptime(day, "%Y%m%d").replace(hour=10, minute=59, second=11)
    for session in timeline.sessions:
        _write_session(day_dir / session.name, session, signals[session.name], start, combined_every, progress)
        start += datetime.timedelta(seconds=session.n_samples / TICKS_PER_SECOND + 300)
    save_truth(truth, day_dir)
    return day_dir
