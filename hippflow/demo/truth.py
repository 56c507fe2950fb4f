"""The truth about a demo day, kept beside its files.

Writes ``truth.json`` (seed, sessions with their markers and trials, channels with
their units) and ``truth.npz``. The arrays of ``truth.npz`` are
``session01/channel009/unit1``: samples of the spikes' peaks, 0-based, int64 (n,);
and ``templates/channel009/unit1``: the undisturbed spike in uV, float32
(:data:`~hippflow.demo.units.TEMPLATE_SAMPLES`,), whose peak is at
:data:`~hippflow.demo.units.PEAK_INDEX`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.demo.timeline import TICKS_PER_SECOND, Session
from hippflow.demo.units import PEAK_INDEX, Unit
from hippflow.io.atomic import whole_file


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
        All words on the parallel port, the zeros between included.
    trial_codes, trial_ticks : ndarray, (n_trials, 3), uint16 and int64
        Cue onset, cue offset, and reward or timeout.
    """

    kind: str
    n_samples: int
    raw_codes: np.ndarray
    raw_ticks: np.ndarray
    trial_codes: np.ndarray
    trial_ticks: np.ndarray

    @classmethod
    def of(cls, session: Session) -> "SessionTruth":
        """Take over what the timeline says."""
        ticks, codes = session.markers
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
        Spikes per second that it was meant to have, before bursts.
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
class Truth:
    """The truth about a day."""

    subject: str
    day: str
    seed: int
    sessions: dict[str, SessionTruth]
    channels: dict[int, ChannelTruth]

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


def save_truth(truth: Truth, day_dir: str | Path) -> None:
    """Write ``truth.npz``, then ``truth.json``, into the folder of the day."""
    arrays = {}
    for (channel, label), unit in truth.units.items():
        arrays[f"templates/{_unit_key(channel, label)}"] = unit.template
        for session, spikes in unit.spikes.items():
            arrays[f"{session}/{_unit_key(channel, label)}"] = spikes
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
    return Truth(facts["subject"], facts["day"], facts["seed"], sessions, channels)
