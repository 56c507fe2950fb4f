"""Entry to a finished day: its sessions, recordings and units.

Reads the results tree alone, neither the raw data nor Snakemake's records; every
product is read when it is asked for. :func:`load_day` is also ``hippflow.load_day``.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from hippflow.errors import FormatError
from hippflow.names import DAY, IMAGING, SESSION
from hippflow.reading.files import Files, names_of
from hippflow.reading.recording import Recording
from hippflow.reading.session import Session


@dataclass(frozen=True)
class Day:
    """One recording day of one subject.

    Attributes
    ----------
    folder : Path
        ``results/picasso/20181105``.
    """

    folder: Path
    _files: Files = field(repr=False)

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
        return {path.name: kind(path.name, path, self._files) for path in found}

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
        there = self.sessions | self.recordings
        if name not in there:
            raise FormatError(f"{self.folder}: expected one of {', '.join(there) or 'no sessions'}, found {name!r}")
        return there[name]

    @cached_property
    def channels(self) -> list[int]:
        """Numbers of all channels of the day."""
        return sorted({number for session in self.sessions.values() for number in session.channels})

    def sorting_folder(self, channel: int) -> Path:
        """Return the folder of what was sorted on a channel."""
        return self.folder / f"mountains/channel{channel:03d}"

    @cached_property
    def units(self) -> pd.DataFrame:
        """One row for each unit of the day: ``channel``, ``unit``, ``quality``, and all metrics.

        Channels that were not sorted have no rows.
        """
        tables = []
        for channel in self.channels:
            folder = self.sorting_folder(channel)
            if self._files.has(folder, "units.csv") and self._files.has(folder, "metrics.csv"):
                units, metrics = (self._files.table(folder, f"{name}.csv") for name in ("units", "metrics"))
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
        The configuration that the day was made with; needed only where a folder has products of several settings.

    Returns
    -------
    Day
        Reads nothing yet.

    Raises
    ------
    FormatError
        There is no such day.
    ConfigError
        The configuration cannot be read.

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
    folder = Path(folder)
    if not folder.is_dir() or not DAY.fullmatch(folder.name):
        raise FormatError(
            f"{folder}: expected the folder of a day in the results, as results/picasso/20181105, found "
            f"{'another folder' if folder.is_dir() else 'nothing'}; run the workflow for it, or correct the path"
        )
    if isinstance(config, str | Path):
        from hippflow.day.config_file import read_complete_config

        config = read_complete_config(Path(config), "give the config.yaml that the day was made with")
    return Day(folder, Files(names_of(config or {})))
