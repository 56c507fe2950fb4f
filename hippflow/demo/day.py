"""A small recording day in the levels of the field, with the truth beside it.

Writes, below a root folder::

    picasso/20181105/session01/181105_Block1.nev .ns5     navigation
    picasso/20181105/session01/RawData_T1-400/            the maze's log
    picasso/20181105/sessioneye/181105_DST.nev .ns5       fixation, half as long
    picasso/20181105/181105.asc, P11_5.asc                the eye tracker's files
    picasso/20181105/truth.json, truth.npz                written last

by specification 2.2: four analog inputs (mV) and the raw channels (uV), int16 at
30 kHz, and the trial markers with zeros between. On a day with behaviour one unit
(:func:`~hippflow.demo.units.tunable_unit`) follows the animal's place in the navigation
sessions, instead of firing at a steady rate; every other sample of the recording is the
same as without behaviour.
"""

import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hippflow.demo.behaviour import (
    Behaviour,
    BehaviourOptions,
    make_behaviour,
    make_place_field,
    session_starts,
    write_behaviour,
)
from hippflow.demo.ripple import analog_channel, marker_events, raw_channel, write_nev, write_nsx
from hippflow.demo.signal import N_ANALOG, SessionSignal, noise_level
from hippflow.demo.timeline import TICKS_PER_SECOND, Session, Timeline, make_timeline
from hippflow.demo.truth import BehaviourTruth, ChannelTruth, SessionTruth, Truth, UnitTruth, save_truth
from hippflow.demo.units import (
    TEMPLATE_SAMPLES,
    PlaceField,
    Unit,
    place_train,
    plan_units,
    spike_trains,
    tunable_unit,
)
from hippflow.errors import ConfigError
from hippflow.progress import Progress

#: The channels of the students' exercise: some on each of the four front-ends.
EXERCISE_CHANNELS = (9, 31, 34, 56, 72, 93, 119, 120)

#: Highest electrode number of four 32-channel front-ends.
MAX_CHANNEL = 128

#: Most navigation sessions of a day.
MAX_SESSIONS = 99


def _file_stem(session: Session, start: datetime.datetime) -> str:
    """Return what the recorder's files of a session are called: the date, and Block1 or DST."""
    suffix = f"Block{int(session.name.removeprefix('session'))}" if session.kind == "navigation" else "DST"
    return f"{start:%y%m%d}_{suffix}"


def _check(channels: int | Sequence[int], seconds: float, subject: str, day: str, n_navigation: int) -> tuple[int, ...]:
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
    if not 1 <= n_navigation <= MAX_SESSIONS:
        raise ConfigError(f"n_navigation: a day has 1 to {MAX_SESSIONS} navigation sessions; got {n_navigation!r}")
    return numbers


def _write_session(
    folder: Path,
    session: Session,
    truth: SessionTruth,
    signal: SessionSignal,
    start: datetime.datetime,
    combined_every: int,
    progress: Progress,
) -> None:
    raw = [raw_channel(number) for number in signal.spikes]
    name = _file_stem(session, start)
    events = marker_events(truth.raw_ticks, truth.raw_codes, combined_every=combined_every)
    write_nev(folder / f"{name}.nev", events, channels=raw, start=start)

    def seconds() -> Iterator[np.ndarray]:
        for first in range(0, session.n_samples, TICKS_PER_SECOND):
            samples = signal.read(first, first + TICKS_PER_SECOND)
            yield samples
            progress.update(len(samples) / TICKS_PER_SECOND)

    analog = [analog_channel(number) for number in range(1, N_ANALOG + 1)]
    write_nsx(folder / f"{name}.ns5", analog + raw, seconds(), start=start)


Trains = dict[int, tuple[np.ndarray, np.ndarray]]


def _session_trains(
    units: Sequence[Unit], session: Session, seed: int, behaviour: Behaviour | None, field: PlaceField | None
) -> Trains:
    """Draw when the units of a channel fire in a session, by label."""
    trains = spike_trains(units, session.name, session.n_samples, seed)
    for unit in units:
        if behaviour and field and (unit.channel, unit.label) == (field.channel, field.label):
            path = behaviour.paths.get(session.name)
            if path is not None:
                where = (session.name, session.n_samples, seed, path.position)
                trains[unit.label] = place_train(unit, field, *where)
    return trains


def _imagine(
    timeline: Timeline, channels: Sequence[int], behaviour: Behaviour | None
) -> tuple[Truth, dict[str, SessionSignal]]:
    """Decide everything that will be on the day: its truth, and the signal of each session."""
    seed, names = timeline.seed, [session.name for session in timeline.sessions]
    plan = plan_units(channels, names, seed)
    field = make_place_field(behaviour, tunable_unit(plan, names)) if behaviour else None
    spikes: dict[str, dict] = {name: {} for name in names}
    truths: dict[int, ChannelTruth] = {}
    for channel, units in plan.items():
        trains = {s.name: _session_trains(units, s, seed, behaviour, field) for s in timeline.sessions}
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
    faults = behaviour.faults if behaviour else ()
    sessions = {session.name: SessionTruth.of(session, faults) for session in timeline.sessions}
    did = BehaviourTruth(behaviour.frames, behaviour.gazes, field, faults) if behaviour and field else None
    return Truth(timeline.subject, timeline.day, seed, sessions, truths, did), signals


def write_demo_day(
    root: str | Path,
    *,
    channels: int | Sequence[int] = EXERCISE_CHANNELS,
    seconds: float = 60.0,
    seed: int = 20181105,
    subject: str = "picasso",
    day: str = "20181105",
    combined_every: int = 0,
    n_navigation: int = 1,
    behaviour: bool = True,
    options: BehaviourOptions | None = None,
) -> Path:
    """Write a recording day whose truth is known.

    Parameters
    ----------
    root : path
        Folder above the subjects.
    channels : sequence of int, or int
        Electrode numbers; or how many, from 1.
    seconds : float
        Length of a navigation session; ``sessioneye`` lasts half of it.
    seed : int
        Equal seeds give equal files. A channel's noise and units' shapes do not
        depend on the length; noise does not depend on which other channels there
        are, but how many units a channel has does.
    subject, day : str
        Names of the two upper levels.
    combined_every : int
        Let every n-th marker come together with SMA 1 in one packet; such markers
        neo does not see (:func:`~hippflow.demo.ripple.marker_events`).
    n_navigation : int
        Number of navigation sessions, ``session01`` on.
    behaviour : bool
        Write the maze's logs and the eye tracker's files, and let one unit follow the animal's place.
    options : BehaviourOptions, optional
        Drifts, format of the logs, and faults, those of Ripple's included; only with `behaviour`.

    Returns
    -------
    Path
        Folder of the day.

    Raises
    ------
    ConfigError
        A day that cannot be.

    Examples
    --------
    >>> import tempfile
    >>> day_dir = write_demo_day(tempfile.mkdtemp(), channels=[9, 31], seconds=2, behaviour=False)
    >>> sorted(path.name for path in day_dir.rglob("*.*"))
    ['181105_Block1.nev', '181105_Block1.ns5', '181105_DST.nev', '181105_DST.ns5', 'truth.json', 'truth.npz']
    """
    numbers = _check(channels, seconds, subject, day, n_navigation)
    if options is not None and not behaviour:
        raise ConfigError("options: expected none for a day without behaviour; leave them out, or behaviour=True")
    timeline = make_timeline(subject, day, seconds, seed, n_navigation)
    starts = session_starts(timeline)
    done = make_behaviour(timeline, starts, options) if behaviour else None
    truth, signals = _imagine(timeline, numbers, done)
    progress = Progress(sum(s.seconds for s in truth.sessions.values()), "demo day", "s of recording")
    day_dir = Path(root, subject, day)
    for session in timeline.sessions:
        name = session.name
        facts = (session, truth.sessions[name], signals[name], starts[name])
        _write_session(day_dir / name, *facts, combined_every, progress)
    if done:
        write_behaviour(done, day_dir, starts)
    save_truth(truth, day_dir)
    return day_dir
