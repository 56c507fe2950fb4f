"""The truth about a demo day, kept beside its files.

Writes ``truth.json`` (seed, sessions with their markers and trials, channels with
their units) and ``truth.npz``. The arrays of ``truth.npz`` are
``session01/channel009/unit1``: samples of the spikes' peaks, 0-based, int64 (n,);
and ``templates/channel009/unit1``: the undisturbed spike in uV, float32
(:data:`~hippflow.demo.units.TEMPLATE_SAMPLES`,), whose peak is at
:data:`~hippflow.demo.units.PEAK_INDEX`.

A day with behaviour has ``behaviour`` in ``truth.json``: per device and session the
clock (``device = offset + (1 + ppm / 1e6) * ripple``, s), the place field and the
faults; and these arrays in ``truth.npz`` (F frames, S samples of the eye):

- ``maze/session01/times``, float64 (F,), s of Ripple's clock; ``triggers``, int64 (F,),
  faults left out; ``position``, float64 (F, 2), x and z; ``heading``, float64 (F,), degrees;
- ``eye/session01/times``, float64 (S,), s of Ripple's clock; ``first``, int64 (), ms of the
  tracker's clock at the first sample; ``pixels``, float32 (S, 2), NaN in blinks;
  ``fixations``, ``saccades``, ``blinks``, int64 (k, 2), first and last ms on the tracker's clock.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.demo.faults import Fault, marker_copies, repeat_markers
from hippflow.demo.gaze import Gaze
from hippflow.demo.maze_log import Frames
from hippflow.demo.timeline import TICKS_PER_SECOND, Clock, Session
from hippflow.demo.units import PEAK_INDEX, PlaceField, Unit
from hippflow.io.atomic import whole_file


def recorded_markers(session: Session, faults: Iterable[Fault]) -> tuple[np.ndarray, np.ndarray]:
    """Return the words on the parallel port as Ripple recorded them: ticks, int64 (m,), and codes, uint16 (m,).

    A marker that is lost goes with its 0.
    """
    which, later = repeat_markers(marker_copies(session, faults, "ripple"))
    ticks, codes = (words.reshape(-1, 2)[which] for words in session.markers)
    return (ticks + np.rint(later * TICKS_PER_SECOND).astype(np.int64)[:, None]).ravel(), codes.ravel()


@dataclass(frozen=True, eq=False)
class SessionTruth:
    """What happened in a session.

    Attributes
    ----------
    kind : str
        ``navigation`` or ``fixation``.
    n_samples : int
        Length in samples, which are ticks of the 30 kHz clock.
    raw_codes, raw_ticks : ndarray, (m,), uint16 and int64
        All words on the parallel port, the zeros between included, as Ripple recorded them.
    trial_codes, trial_ticks : ndarray, (n_trials, 3), uint16 and int64
        Cue onset, cue offset, and reward or timeout; all of them, whatever Ripple lost.
    """

    kind: str
    n_samples: int
    raw_codes: np.ndarray
    raw_ticks: np.ndarray
    trial_codes: np.ndarray
    trial_ticks: np.ndarray

    @classmethod
    def of(cls, session: Session, faults: Iterable[Fault] = ()) -> "SessionTruth":
        """Take over what the timeline says, but for faults of Ripple's."""
        ticks, codes = recorded_markers(session, faults)
        trial_codes = np.array([trial.codes for trial in session.trials], np.uint16).reshape(-1, 3)
        trial_ticks = np.array([trial.ticks for trial in session.trials], np.int64).reshape(-1, 3)
        return cls(session.kind, session.n_samples, codes, ticks, trial_codes, trial_ticks)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.n_samples / TICKS_PER_SECOND


@dataclass(frozen=True, eq=False)
class UnitTruth:
    """One neuron.

    Attributes
    ----------
    snr : float
        Peak over noise level, both in the 500-7500 Hz band.
    polarity : int
        -1 or 1.
    rate : float
        Spikes per second that it was meant to have, before bursts; of the place-tuned
        unit, in the fixation session.
    refractory : int
        Shortest interval, in samples.
    sessions : tuple of str
        Sessions in which it fires.
    follows : int or None
        Label of the unit that it sometimes follows within 1 to 2 ms.
    template : ndarray, float32 (TEMPLATE_SAMPLES,)
        Undisturbed spike in uV.
    spikes : dict of str to ndarray, int64 (n,)
        Per session, silent ones included, samples of the peaks.
    """

    snr: float
    polarity: int
    rate: float
    refractory: int
    sessions: tuple[str, ...]
    follows: int | None
    template: np.ndarray
    spikes: dict[str, np.ndarray]

    @classmethod
    def of(cls, unit: Unit, noise_uv: float, spikes: dict[str, np.ndarray]) -> "UnitTruth":
        """Scale the plan's unit to the noise of its channel."""
        template = (unit.snr * noise_uv * unit.shape).astype(np.float32)
        plan = (unit.snr, unit.polarity, unit.rate, unit.refractory, unit.sessions, unit.follows)
        return cls(*plan, template, spikes)


@dataclass(frozen=True, eq=False)
class ChannelTruth:
    """One electrode: its array, its noise level (MAD / 0.6745 in 500-7500 Hz, uV), its units by label."""

    array: int
    noise_uv: float
    units: dict[int, UnitTruth]


@dataclass(frozen=True, eq=False)
class BehaviourTruth:
    """What the animal did: frames of navigation sessions, gaze of all, the tuned unit, and what devices got wrong."""

    maze: dict[str, Frames]
    eye: dict[str, Gaze]
    place_field: PlaceField
    faults: tuple[Fault, ...]


@dataclass(frozen=True, eq=False)
class Truth:
    """The truth about a day; `behaviour` is None where there is none."""

    subject: str
    day: str
    seed: int
    sessions: dict[str, SessionTruth]
    channels: dict[int, ChannelTruth]
    behaviour: BehaviourTruth | None = None

    @property
    def units(self) -> dict[tuple[int, int], UnitTruth]:
        """All units of the day by (channel, label)."""
        return {(c, label): unit for c, channel in self.channels.items() for label, unit in channel.units.items()}


def _unit_key(channel: int, label: int) -> str:
    return f"channel{channel:03d}/unit{label}"


def _session_json(session: SessionTruth) -> dict[str, Any]:
    arrays = ("raw_codes", "raw_ticks", "trial_codes", "trial_ticks")
    facts = {"kind": session.kind, "seconds": session.seconds, "n_samples": session.n_samples}
    return facts | {name: getattr(session, name).tolist() for name in arrays}


def _unit_json(unit: UnitTruth) -> dict[str, Any]:
    names = ("snr", "polarity", "rate", "refractory", "sessions", "follows")
    counts = {"n_spikes": {session: spikes.size for session, spikes in unit.spikes.items()}}
    return {name: getattr(unit, name) for name in names} | counts


_MAZE_ARRAYS = ("times", "triggers", "position", "heading")
_EYE_ARRAYS = ("times", "first", "pixels", "fixations", "saccades", "blinks")


def _behaviour_json(behaviour: BehaviourTruth) -> dict[str, Any]:
    devices = {"maze": behaviour.maze, "eye": behaviour.eye}
    return {
        "clocks": {
            device: {name: asdict(record.clock) for name, record in records.items()}
            for device, records in devices.items()
        },
        "place_field": asdict(behaviour.place_field),
        "faults": [asdict(fault) for fault in behaviour.faults],
    }


def _behaviour_arrays(behaviour: BehaviourTruth) -> dict[str, np.ndarray]:
    devices = (("maze", behaviour.maze, _MAZE_ARRAYS), ("eye", behaviour.eye, _EYE_ARRAYS))
    return {
        f"{device}/{session}/{name}": getattr(record, name)
        for device, records, names in devices
        for session, record in records.items()
        for name in names
    }


def _load_behaviour(facts: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> BehaviourTruth:
    maze, eye = (
        {name: Clock(**clock) for name, clock in facts["clocks"][device].items()} for device in ("maze", "eye")
    )
    frames, gazes = {}, {}
    for name, clock in maze.items():
        frames[name] = Frames(clock, *(arrays[f"maze/{name}/{key}"] for key in _MAZE_ARRAYS))
    for name, clock in eye.items():
        first, *others = (arrays[f"eye/{name}/{key}"] for key in _EYE_ARRAYS[1:])
        gazes[name] = Gaze(clock, int(first), *others)
    field = facts["place_field"]
    place_field = PlaceField(**field | {"sessions": tuple(field["sessions"])})
    return BehaviourTruth(frames, gazes, place_field, tuple(Fault(**fault) for fault in facts["faults"]))


def save_truth(truth: Truth, day_dir: str | Path) -> None:
    """Write ``truth.npz``, then ``truth.json``, into the folder of the day."""
    arrays = {}
    for (channel, label), unit in truth.units.items():
        arrays[f"templates/{_unit_key(channel, label)}"] = unit.template
        for session, spikes in unit.spikes.items():
            arrays[f"{session}/{_unit_key(channel, label)}"] = spikes
    if truth.behaviour is not None:
        arrays |= _behaviour_arrays(truth.behaviour)
    with whole_file(Path(day_dir, "truth.npz")) as part, open(part, "wb") as file:
        np.savez(file, **arrays)
    facts = {
        "subject": truth.subject,
        "day": truth.day,
        "seed": truth.seed,
        "sampling_rate": TICKS_PER_SECOND,
        "template_peak_index": PEAK_INDEX,
        "sessions": {name: _session_json(session) for name, session in truth.sessions.items()},
        "channels": {
            str(number): {
                "array": channel.array,
                "noise_uv": channel.noise_uv,
                "units": {str(label): _unit_json(unit) for label, unit in channel.units.items()},
            }
            for number, channel in truth.channels.items()
        },
    }
    if truth.behaviour is not None:
        facts["behaviour"] = _behaviour_json(truth.behaviour)
    with whole_file(Path(day_dir, "truth.json")) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n")


def load_truth(day_dir: str | Path) -> Truth:
    """Read the truth about the demo day in `day_dir`.

    Examples
    --------
    >>> import tempfile
    >>> from hippflow.demo.day import write_demo_day
    >>> truth = load_truth(write_demo_day(tempfile.mkdtemp(), channels=[9, 31], seconds=2))
    >>> list(truth.sessions), sorted(len(channel.units) for channel in truth.channels.values())
    (['session01', 'sessioneye'], [0, 2])
    """
    facts = json.loads(Path(day_dir, "truth.json").read_text())
    sessions = {}
    for name, session in facts["sessions"].items():
        codes = (np.array(session[key], np.uint16) for key in ("raw_codes", "trial_codes"))
        ticks = (np.array(session[key], np.int64) for key in ("raw_ticks", "trial_ticks"))
        (raw_codes, trial_codes), (raw_ticks, trial_ticks) = codes, ticks
        trials = (trial_codes.reshape(-1, 3), trial_ticks.reshape(-1, 3))
        sessions[name] = SessionTruth(session["kind"], session["n_samples"], raw_codes, raw_ticks, *trials)
    channels = {}
    with np.load(Path(day_dir, "truth.npz")) as arrays:
        for number, channel in facts["channels"].items():
            units = {}
            for label, unit in channel["units"].items():
                key = _unit_key(int(number), int(label))
                spikes = {session: arrays[f"{session}/{key}"] for session in unit.pop("n_spikes")}
                unit["sessions"] = tuple(unit["sessions"])
                units[int(label)] = UnitTruth(**unit, template=arrays[f"templates/{key}"], spikes=spikes)
            channels[int(number)] = ChannelTruth(channel["array"], channel["noise_uv"], units)
        behaviour = _load_behaviour(facts["behaviour"], arrays) if "behaviour" in facts else None
    return Truth(facts["subject"], facts["day"], facts["seed"], sessions, channels, behaviour)
