"""Entry to a finished day: its sessions, recordings and units.

Reads the results tree alone, neither the raw data nor Snakemake's records; every
product is read when it is asked for. :func:`load_day` is also ``hippflow.load_day``.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hippflow.errors import FormatError
from hippflow.io.products import read_product
from hippflow.io.tables import WHOLE
from hippflow.names import DAY, IMAGING, SESSION
from hippflow.reading.files import Files, names_of
from hippflow.reading.named import Named
from hippflow.reading.recording import Recording
from hippflow.reading.session import Session

_SCHEMA = Path(__file__).parents[2] / "schemas/config.schema.yaml"


@dataclass(frozen=True)
class Day:
    """One recording day of one subject.

    Attributes
    ----------
    folder : Path
        ``results/picasso/20181105``.
    """

    folder: Path
    _files: Files = field(repr=False, compare=False)

    @property
    def subject(self) -> str:
        """Name of the animal."""
        return self.folder.parent.name

    @property
    def date(self) -> str:
        """The date, as in 20181105."""
        return self.folder.name

    def _below(self, names: Any, kind: Any) -> dict[str, Any]:
        found = sorted(path for path in self.folder.iterdir() if path.is_dir() and names.fullmatch(path.name))
        return Named(self.folder, {path.name: kind(path.name, path, self._files) for path in found})

    @cached_property
    def sessions(self) -> dict[str, Session]:
        """The sessions, by name, navigation before fixation."""
        return self._below(SESSION, Session)

    @cached_property
    def recordings(self) -> dict[str, Recording]:
        """The two-photon recordings, by name."""
        return self._below(IMAGING, Recording)

    def __getitem__(self, name: str) -> Session | Recording:
        """Return a session or a two-photon recording by its name."""
        return Named(self.folder, self.sessions | self.recordings)[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all sessions and recordings."""
        return iter(self.sessions | self.recordings)

    @cached_property
    def channels(self) -> list[int]:
        """Numbers of all channels of the day, ascending."""
        return sorted({number for session in self.sessions.values() for number in session.channels})

    def sorting_folder(self, channel: int) -> Path:
        """Return the folder of what was sorted on a channel."""
        return self.folder / f"mountains/channel{channel:03d}"

    def sorting(self, channel: int) -> dict[str, Any]:
        """Return all fields of a channel's sorting: every spike's sample in the joined sessions, its unit, ..."""
        return read_product(self._files.find(self.sorting_folder(channel), "firings.hkl"))

    def templates(self, channel: int) -> np.ndarray:
        """Return the mean waveforms of a channel's units, float32 (samples, units), µV; unit k is column k - 1."""
        return np.asarray(read_product(self._files.find(self.sorting_folder(channel), "templates.hkl"))[0])

    @cached_property
    def channel_table(self) -> pd.DataFrame:
        """One row for each channel and session: the numbers of its ``quality``, its units by quality, its spikes."""
        return self._files.table(self.folder, "channels.csv")

    @cached_property
    def units(self) -> pd.DataFrame:
        """One row for each unit of the day: ``channel``, ``unit``, ``quality``, and all metrics.

        These are the columns of ``units.csv`` and then those of ``metrics.csv``; rates are in Hz, amplitudes in µV.
        Channels that were not sorted have no rows.
        """
        tables = []
        for channel in self.channels:
            folder = self.sorting_folder(channel)
            if self._files.has(folder, "units.csv") and self._files.has(folder, "metrics.csv"):
                units, metrics = (
                    self._files.table(folder, f"{name}.csv", {"unit": WHOLE}, unique="unit")
                    for name in ("units", "metrics")
                )
                new = [name for name in metrics if name == "unit" or name not in units]
                tables.append(units.merge(metrics[new], on="unit").assign(channel=channel))
        if not tables:
            return pd.DataFrame(columns=["channel", "unit", "quality"])
        table = pd.concat(tables, ignore_index=True)
        return table[["channel", *(name for name in table if name != "channel")]]


def load_day(folder: str | Path, config: str | Path | dict[str, Any] | None = None) -> Day:
    """Open a finished day for reading.

    Parameters
    ----------
    folder : path
        The day in the results tree, ``results/picasso/20181105``.
    config : path or dict, optional
        The configuration that the day was made with; needed only where a folder has products of several settings. As
        a dictionary it may lack keys, which have their defaults: ``{"umaze": {"min_obs": 1}}``.

    Returns
    -------
    Day
        Has read nothing yet, not even the names of its sessions. What it reads later it keeps, signals and movies
        excepted: load the day again after a new run.

    Raises
    ------
    FormatError
        There is no such day.
    ConfigError
        The configuration cannot be read, or has keys or values that the workflow does not know.

    Examples
    --------
    >>> from hippflow.demo.finished import write_finished_day
    >>> day = load_day(write_finished_day())
    >>> day.subject, list(day.sessions), day.channels
    ('picasso', ['session01'], [9])
    >>> session = day["session01"]
    >>> print(session.trials.to_string(index=False))
     start  cue  end  target outcome
       0.5  1.0  2.5       5  reward
    >>> times, lfp = session.channels[9].lfp.between(0.5, 0.503)
    >>> times.tolist(), lfp.tolist()
    ([0.5, 0.501, 0.502], [500.0, 501.0, 502.0])
    """
    folder = Path(os.path.abspath(Path(folder).expanduser()))  # the subject is in it, also in "20181105" and "."
    if not folder.is_dir() or not DAY.fullmatch(folder.name):
        raise FormatError(
            f"{folder}: expected the folder of a day in the results, as results/picasso/20181105, found "
            f"{'another folder' if folder.is_dir() else 'nothing'}; {_remedy(folder)}"
        )
    return Day(folder, Files(names_of(_complete(config))))


def _remedy(folder: Path) -> str:
    """Say which days are where one was looked for: in a folder, above it, or beside it."""
    if DAY.fullmatch(folder.parent.name) and folder.parent.is_dir():
        return f"give {folder.parent}"
    around = folder if folder.is_dir() else folder.parent
    found = sorted(path.name for path in around.glob("*") if path.is_dir() and DAY.fullmatch(path.name))
    if found:
        return f"days in {around}: {', '.join(found)}"
    return "run the workflow for it, or correct the path"


def _complete(config: str | Path | dict[str, Any] | None) -> dict[str, Any]:
    """Return a configuration with the defaults of the schema; without one, nothing."""
    if not config:
        return {}
    from hippflow.day.config import check_config, load_schema  # which read YAML; most days are read without
    from hippflow.day.config_file import read_complete_config

    if isinstance(config, str | Path):
        return read_complete_config(Path(config), "give the config.yaml that the day was made with")
    return check_config(config, load_schema(_SCHEMA))
