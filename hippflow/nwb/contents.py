"""The products that a file is made from, by session and recording, and whether they fit together."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.errors import FormatError
from hippflow.reading.channel import Channel, SignalFile
from hippflow.reading.day import Day
from hippflow.reading.files import Files
from hippflow.reading.recording import Recording
from hippflow.reading.session import Session


@dataclass
class Part:
    """What the file has of one session.

    Attributes
    ----------
    session : Session
    channels : dict of str to dict of int to Channel
        Channels by number, for every kind of product (``lfp``, ``raw``, ``cells``).
    files : dict of str to Path
        Other products: ``nev``, ``markers``, ``unity``, ``eyelink``, ``gaze``.
    """

    session: Session
    channels: dict[str, dict[int, Channel]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``session01``."""
        return self.session.name

    def signals(self, kind: str) -> dict[int, SignalFile]:
        """Return the signals of all channels.

        Parameters
        ----------
        kind : {'lfp', 'raw'}

        Raises
        ------
        FormatError
            Signals that cannot be of one recording: of other lengths, rates, clocks or types.
        """
        found = {number: getattr(channel, kind) for number, channel in sorted(self.channels.get(kind, {}).items())}
        shapes = {number: _shape(signal) for number, signal in found.items()}
        first = next(iter(shapes), None)
        for number, shape in shapes.items():
            wrong = next((name for name, value in shape.items() if value != shapes[first][name]), None)
            if wrong:
                raise FormatError(
                    f"{found[number].path}: expected {wrong} {shapes[first][wrong]} as in {found[first].path}, "
                    f"of the same recording, found {shape[wrong]}; make the one that is older anew"
                )
        return found


def _shape(signal: SignalFile) -> dict[str, Any]:
    return {
        "samples": len(signal),
        "sampling rate": signal.sampling_rate,
        "segments": signal.segments.tolist(),
        "ticks per second": float(signal.info.get("TickRate", signal.sampling_rate)),
        "type of samples": str(signal.dtype),
    }


class Contents:
    """The products of a day by where they belong.

    Parameters
    ----------
    folder : path
        The day in the results.
    sources : dict of str to list of str
        See :func:`hippflow.nwb.sources.nwb_sources`.

    Attributes
    ----------
    folder : Path
    parts : dict of str to Part
        Sessions by name, in the order in which they are sorted together.
    recordings : dict of str to Recording
        Two-photon recordings by name.
    files : Files
        Finds what is asked for by folder and name.
    """

    def __init__(self, folder: str | Path, sources: dict[str, list[str]]):
        self.folder = Path(folder)
        self._sources = {kind: [Path(path) for path in paths] for kind, paths in sources.items()}
        named = {"lfp": "rpllfp", "eyelink": "eyelink"}
        names = {product: self._sources[kind][0].name for kind, product in named.items() if self._sources.get(kind)}
        self.files = Files(names)
        self.parts: dict[str, Part] = {}
        for kind in ("lfp", "raw", "cells"):
            for path in self._sources.get(kind, ()):
                channel = Channel(int(path.parent.name.removeprefix("channel")), path.parent, self.files)
                self._part(path.parents[2]).channels.setdefault(kind, {})[channel.number] = channel
        for kind in ("markers", "unity", "eyelink", "gaze"):
            for path in self._sources.get(kind, ()):
                if path.name != "raycast.json":
                    self._part(path.parent).files[kind] = path
        for path in self._sources.get("nev", ()):
            if path.parent.name in self.parts:
                self.parts[path.parent.name].files["nev"] = path
        self.parts = dict(sorted(self.parts.items()))
        folders = [path.parents[1] for path in self._sources.get("movie", ())]
        self.recordings = {path.name: Recording(path.name, path, self.files) for path in sorted(folders)}

    def _part(self, folder: Path) -> Part:
        if folder.name not in self.parts:
            self.parts[folder.name] = Part(Session(folder.name, folder, self.files))
        return self.parts[folder.name]

    @cached_property
    def day(self) -> Day:
        """The day, for what lies beside its sessions."""
        return Day(self.folder, self.files)

    @property
    def sorted_channels(self) -> list[int]:
        """Numbers of the channels whose units the file has."""
        tables = [path for path in self._sources.get("units", ()) if path.name == "units.csv"]
        return sorted(int(path.parent.name.removeprefix("channel")) for path in tables)

    @cached_property
    def channels(self) -> dict[int, Channel]:
        """All channels of the day by number.

        Raises
        ------
        FormatError
            A channel that is on two arrays, or lists of channels that differ between products.
        """
        found: dict[int, Channel] = {}
        for part in self.parts.values():
            self._check_lists(part)
            for channels in part.channels.values():
                for number, channel in channels.items():
                    if found.setdefault(number, channel).array != channel.array:
                        raise FormatError(
                            f"{channel.folder}: expected channel {number} on one array, found it on another in "
                            f"{found[number].folder}; remove the folder that is wrong"
                        )
        return dict(sorted(found.items()))

    def _check_lists(self, part: Part) -> None:
        lists = {kind: set(channels) for kind, channels in part.channels.items()}
        if "cells" in lists:
            lists["cells"] = lists["cells"] & set(self.sorted_channels)
        kinds = iter(lists.items())
        first, numbers = next(kinds, ("", set()))
        for kind, others in kinds:
            if others != numbers:
                raise FormatError(
                    f"{part.session.folder}: expected the same channels in all products, found "
                    f"{_numbers(numbers - others)} with {first} alone, {_numbers(others - numbers)} with {kind} alone; "
                    "make them with one selection of channels"
                )


def _numbers(some: set[int]) -> str:
    return ", ".join(map(str, sorted(some))) or "none"


def end_of(signal: SignalFile) -> float:
    """Return when the last sample of a signal ends, s on its session's clock."""
    if not len(signal):
        return 0.0
    return float(signal.times(len(signal) - 1)[0]) + 1 / signal.sampling_rate


def stretches(signal: SignalFile) -> np.ndarray:
    """Return when the uninterrupted stretches of a signal begin and end, float64 (k, 2), s on its session's clock."""
    rows = [row for row in signal.segments.tolist() if row[1]]
    ends = [[signal.times(k, k + 1)[0], signal.times(k + n - 1, k + n)[0]] for k, n, *_ in rows]
    return np.reshape(ends, (-1, 2)) + np.array([0.0, 1 / signal.sampling_rate])
