"""What is made of sessions, channels, two-photon recordings and days, and where it lies.

The rules make these files; the workflow's targets and everything that looks at a results tree
from outside (status, archive, report) take the lists from here, so that they cannot differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hippflow.day.catalog import Catalog, Session
from hippflow.day.config import in_order
from hippflow.day.imaging import Recording
from hippflow.names import (
    argument_hash,
    eyelink_args,
    highpass_args,
    lfp_args,
    product_name,
    spectrum_args,
    umaze_args,
)
from hippflow.nwb.sources import nwb_name, nwb_sources

#: Behaviour in the maze, with the arguments of PyHipp's class, which are constants.
UNITY = "unity_71bf.hkl"

#: What suite2p says of the cells of a plane, beside its signals.
SUITE2P = ("F", "Fneu", "spks", "stat", "iscell", "ops", "detect_outputs", "db", "settings")

#: Products of whole days that are made beside each other, of everything else.
BESIDE = ("report", "nwb")

#: Blocks of the configuration that the report of a day does not show: they select, say where things are kept, or can
#: hold an address that not everybody should read.
_NOT_REPORTED = {"data", "staging", "subjects", "days", "sessions", "channels", "nwb", "notify", "archive", "budget"}
_NOT_REPORTED |= {"raw"}

#: Blocks of two-photon imaging, and those of everything; all others are of sessions.
_OF_MOVIES, _OF_ALL = {"movie", "suite2p", "kmeans", "projections"}, {"results", "products", "cost", "cluster"}


@dataclass(frozen=True)
class Product:
    """One file that the workflow makes.

    Attributes
    ----------
    kind : str
        The rule that makes it; rules that differ in their files alone count as one.
    path : str
        The file, with the results root.
    owner : str
        ``subject/day/session01``, ``subject/day/imaging01`` or ``subject/day`` that it is made of.
    channel : int or None
        The channel that it is made of.
    """

    kind: str
    path: str
    owner: str
    channel: int | None = None


def report_settings(config: dict[str, Any], sessions: bool = True, movies: bool = True) -> dict[str, Any]:
    """Return the blocks of the configuration that the report of a day shows, or finds products by.

    Keys are sorted: where a setting comes from, the command line or a file, is no reason to make a report again.

    Parameters
    ----------
    config : dict
        The complete configuration.
    sessions, movies : bool
        Whether the day has any; the settings of what it has not do not count.

    Examples
    --------
    >>> report_settings({"umaze": {"min_obs": 1, "grid_steps": 40}, "data": "raw", "movie": {}}, movies=False)
    {'umaze': {'grid_steps': 40, 'min_obs': 1}}
    """
    return in_order(
        {
            name: block
            for name, block in config.items()
            if name not in _NOT_REPORTED and (name in _OF_ALL or (movies if name in _OF_MOVIES else sessions))
        }
    )


@dataclass(frozen=True)
class Products:
    """The products of a catalog under a configuration.

    Parameters
    ----------
    config : dict
        The complete configuration.
    catalog : Catalog
    """

    config: dict[str, Any]
    catalog: Catalog

    rplraw = product_name("rplraw")
    rplparallel = product_name("rplparallel")

    @cached_property
    def rpllfp(self) -> str:
        """File name of an LFP."""
        return product_name("rpllfp", lfp_args(self.config["rpllfp"]))

    @cached_property
    def rplhighpass(self) -> str:
        """File name of a high-pass signal."""
        return product_name("rplhighpass", highpass_args(self.config["rplhighpass"]))

    @cached_property
    def spectra(self) -> dict[str, str]:
        """Signal that each spectrum is of, by the hash in the spectrum's name."""
        block = self.config["freqspectrum"]
        return {argument_hash(spectrum_args(signal, block)): signal for signal in ("lfp", "highpass")}

    def spectrum(self, signal: str) -> str:
        """Return the file name of the spectrum of a signal, ``lfp`` or ``highpass``."""
        return next(f"freqspectrum_{name}.hkl" for name, found in self.spectra.items() if found == signal)

    @cached_property
    def eyelink(self) -> str:
        """File name of a session's eye data."""
        return product_name("eyelink", eyelink_args(self.config["screen"]))

    @cached_property
    def umaze(self) -> str:
        """File name of where the animal was."""
        return product_name("umaze", umaze_args(**self.config["umaze"]))

    def path(self, *parts: str) -> str:
        """Return the path of a file below the results root."""
        return "/".join([self._root, *parts])  # pathlib would take most of the time for 100000 products

    @cached_property
    def _root(self) -> str:
        return str(Path(self.config["results"]))

    def devices(self, session: Session) -> dict[str, str]:
        """Return a navigation session's products of devices with clocks of their own, by device."""
        if not session.nev or session.name == "sessioneye":
            return {}
        return ({"unity": UNITY} if session.maze_logs else {}) | ({"eyelink": self.eyelink} if session.eye else {})

    def split_eyelink(self, session: str) -> str:
        """Return the name of a session's eye data as the tracker has them; fixation stays on that clock for good."""
        return self.eyelink if session.endswith("sessioneye") else f"unaligned/{self.eyelink}"

    def of_session(self, session: Session) -> Iterator[Product]:
        """Yield everything that is made of one session as a whole."""
        found = self.devices(session)
        names = []
        if session.nev:
            names.append(("rplparallel", self.rplparallel))
            names += [("unity", f"unaligned/{UNITY}")] if session.maze_logs else []
            names += [("edfsplit", self.split_eyelink(session.name))] if session.eye else []
        if found:
            names += [("aligned", name) for name in (*found.values(), "alignment.json", "alignment.png")]
        if "unity" in found:
            names.append(("umaze", self.umaze))
        if len(found) == 2:
            names += [("raycast", name) for name in ("unityfile_eyelink.csv", "binData.hdf", "raycast.json")]
        for kind, name in names:
            yield Product(kind, self.path(session.path, name), session.path)

    def of_channel(self, session: Session, number: int) -> Iterator[Product]:
        """Yield everything that is made of one channel in one session."""
        names = [("rplsplit", self.rplraw), ("rpllfp", self.rpllfp), ("rplhighpass", self.rplhighpass)]
        names += [("freqspectrum", f"freqspectrum_{spectrum}.hkl") for spectrum in self.spectra]
        names += [("signal_quality", "quality.json"), ("spiketrain", "cells.csv")]
        names += [("placefield", "placefields.csv")] if "unity" in self.devices(session) else []
        for kind, name in names:
            yield Product(kind, self.path(session.path, session.channels[number], name), session.path, number)

    def of_day_channel(self, day: str, number: int) -> Iterator[Product]:
        """Yield everything that is made of one channel on one day (``subject/day``)."""
        names = [("sorting", "firings.hkl")] + [("units", n) for n in ("units.csv", "metrics.csv", "templates.hkl")]
        for kind, name in names:
            yield Product(kind, self.path(day, f"mountains/channel{number:03d}", name), day, number)
        for session in self.catalog.days[day]:
            if number in session.channels:
                yield from self.of_channel(session, number)

    def curation(self, day: str, number: int) -> str:
        """Return the file in which a person may have curated one channel's units of a day."""
        return self.path(day, f"mountains/channel{number:03d}", "curation.json")

    def channel_reports(self, day: str) -> dict[str, list[str]]:
        """Return what the table of a day's channels is made of: reports of signals, and units."""
        found = [p for number in self.channels(day) for p in self.of_day_channel(day, number)]
        quality = [product.path for product in found if product.kind == "signal_quality"]
        return {"quality": quality, "units": [p.path for p in found if p.path.endswith("/units.csv")]}

    def of_recording(self, recording: Recording) -> Iterator[Product]:
        """Yield everything that is made of one two-photon recording."""
        names = [("movie", "movie/movie.json")]
        for k in range(recording.planes):
            names += [("movie", f"movie/plane{k}.{suffix}") for suffix in ("bin", "npz")]
            names += [("registration", f"suite2p/plane{k}/{name}") for name in ("data.bin", "reg_outputs.npy")]
            names += [("suite2p", f"suite2p/plane{k}/{name}.npy") for name in SUITE2P]
            names += [("kmeans", f"kmeans/plane{k}/{name}") for name in ("clusters.csv", "covariance.npy")]
            names += [("figure5", f"kmeans/plane{k}/figure5.{suffix}") for suffix in ("png", "pdf")]
        names += [("projections", f"projections/{name}.gif") for name in ("maximum", "standard_deviation")]
        for kind, name in names:
            yield Product(kind, self.path(recording.path, name), recording.path)

    def channels(self, day: str) -> list[int]:
        """Return the numbers of all channels recorded on one day (``subject/day``)."""
        return self._channels[day]

    @cached_property
    def _channels(self) -> dict[str, list[int]]:
        return {
            day: sorted({number for session in sessions for number in session.channels})
            for day, sessions in self.catalog.days.items()
        }

    def recorded(self, day: str) -> str:
        """Return what was recorded on a day, as :meth:`hippflow.day.catalog.Catalog.from_json` reads it."""
        recordings = tuple(found for found in self.catalog.recordings if found.day == day)
        return Catalog(tuple(self.catalog.days[day]), recordings).to_json()

    def report_settings(self, day: str) -> dict[str, Any]:
        """Return what of the configuration the report of a day depends on."""
        movies = any(found.day == day for found in self.catalog.recordings)
        return report_settings(self.config, bool(self.catalog.days[day]), movies)

    def report_inputs(self, day: str) -> list[str]:
        """Return what the report of a day is made of: everything else but what is made beside it."""
        return [product.path for product in self.of_day(day) if product.kind not in BESIDE]

    def of_day(self, day: str) -> Iterator[Product]:
        """Yield everything that is made of one day (``subject/day``)."""
        for recording in self.catalog.recordings:
            if recording.day == day:
                yield from self.of_recording(recording)
        sessions = self.catalog.days[day]
        for session in sessions:
            yield from self.of_session(session)
        if any(session.eye and session.nev for session in sessions):
            yield Product("edfsplit", self.path(day, "missingData.csv"), day)
        for number in self.channels(day):
            yield from self.of_day_channel(day, number)
        if self.of_whole_days:
            if self.channels(day):
                yield Product("channels", self.path(day, "channels.csv"), day)
            yield Product("report", self.path(day, "report.html"), day)
        if self.makes_nwb(day):
            yield Product("nwb", self.path(day, nwb_name(day)), day)

    @property
    def of_whole_days(self) -> bool:
        """Whether nothing is left out of days: a table or page of a narrowed run would replace the whole day's."""
        return self.config["channels"] == "all" and self.config["sessions"] == "all"

    def makes_nwb(self, day: str) -> bool:
        """Return whether a day gets an NWB file: where that is enabled, of whole days, with something to be in it."""
        return self.config["nwb"]["enable"] and self.of_whole_days and bool(nwb_sources(self, day))
