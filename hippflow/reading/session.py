"""One session: trials, position, eye data and what was looked at.

Times are seconds on Ripple's clock; the eye data of the fixation session alone are on the eye tracker's.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hippflow.errors import FormatError
from hippflow.io.products import read_product
from hippflow.reading.channel import Channel
from hippflow.reading.files import Files
from hippflow.reading.named import Named

#: Columns of unityfile_eyelink.csv that say where the gaze fell.
_GAZE = {1: "time", 2: "object", 3: "gaze_x", 4: "gaze_y", 5: "x", 7: "z", 8: "heading"}
_GAZE |= {9: "hit_x", 10: "hit_y", 11: "hit_z"}

#: What the first digit of the marker at a trial's end says.
_OUTCOMES = {3: "reward", 4: "timeout"}


@dataclass(frozen=True)
class Session:
    """One session of a day.

    Attributes
    ----------
    name : str
        ``session01``, or ``sessioneye`` for the fixation session.
    folder : Path

    Notes
    -----
    What is not there, because the session has no such data or is not finished, raises a FormatError when it is asked
    for.
    """

    name: str
    folder: Path
    _files: Files = field(repr=False, compare=False)

    def _product(self, name: str) -> dict[str, Any]:
        return read_product(self._files.find(self.folder, name))

    @cached_property
    def channels(self) -> dict[int, Channel]:
        """The channels that have products, by number."""
        folders = self.folder.glob("array[0-9][0-9]/channel[0-9][0-9][0-9]*")
        found = {int(folder.name[7:]): folder for folder in folders if folder.name[7:].isdigit()}
        channels = {number: Channel(number, folder, self._files) for number, folder in sorted(found.items())}
        return Named(f"{self.folder}, channels", channels)

    @cached_property
    def markers(self) -> pd.DataFrame:
        """Every code on the parallel port but zeros: ``time`` in s, ``code``."""
        fields = self._product("rplparallel_d41d.hkl")
        codes = np.asarray(fields["rawMarkers"]).ravel()
        times = np.asarray(fields["rawTicks"], np.float64).ravel() / fields["tickRate"]
        return pd.DataFrame({"time": times[codes != 0], "code": codes[codes != 0]})

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row for each trial: ``start``, ``cue`` (its offset), ``end`` in s, ``target``, ``outcome``.

        `cue` is NaN and `target` 0 where the session's markers do not have them; `outcome` is ``reward`` or
        ``timeout``. A fixation session of the format 128, 6, 7, 32 has markers, but no trials.

        Raises
        ------
        FormatError
            The session's markers are of no trials.

        Examples
        --------
        >>> from hippflow import load_day
        >>> from hippflow.demo.finished import write_finished_day
        >>> trials = load_day(write_finished_day())["session01"].trials
        >>> (trials["end"] - trials["cue"])[trials["outcome"] == "reward"].tolist()
        [1.5]
        """
        fields = self._product("rplparallel_d41d.hkl")
        codes, times = np.asarray(fields["markers"], np.int64), np.asarray(fields["timeStamps"], np.float64)
        if codes.ndim != 2 and codes.size:
            raise FormatError(
                f"{self.folder}: its markers ({fields['markerFormat']}) are of no navigation trials; take .markers"
            )
        if not codes.size:
            codes, times = np.zeros((0, 3), np.int64), np.zeros((0, 3))
        ends = codes[:, -1]
        tens = np.where(ends >= 10, ends // 10, ends)
        return pd.DataFrame(
            {
                "start": times[:, 0],
                "cue": times[:, 1] if codes.shape[1] == 3 else np.nan,
                "end": times[:, -1],
                "target": np.where(ends >= 10, ends % 10, 0),
                "outcome": pd.Series([_OUTCOMES.get(int(digit), "unknown") for digit in tens], dtype="str"),
            }
        )

    @cached_property
    def alignment(self) -> dict[str, Any]:
        """How well the clocks were brought together (``alignment.json``)."""
        return self._files.report(self.folder, "alignment.json")

    @cached_property
    def raycast(self) -> dict[str, Any]:
        """How many samples fell on every object, and how many on none (``raycast.json``)."""
        return self._files.report(self.folder, "raycast.json")

    @cached_property
    def unity(self) -> dict[str, Any]:
        """All fields of the maze log on Ripple's clock."""
        return self._product("unity_71bf.hkl")

    @cached_property
    def eyelink(self) -> dict[str, Any]:
        """All fields of the eye data: of a navigation session on Ripple's clock, of fixation on the eye tracker's."""
        return self._product("eyelink")

    @cached_property
    def occupancy(self) -> dict[str, Any]:
        """All fields of ``umaze``: which bins of the floor were visited, when and for how long."""
        return self._product("umaze")

    @cached_property
    def position(self) -> pd.DataFrame:
        """One row for each frame of the maze: ``time`` in s, ``x`` and ``z`` in maze units, ``heading`` in degrees."""
        rows, times = self.unity["unityData"][0], self.unity["unityTime"][0]
        return pd.DataFrame({"time": times[1:], "x": rows[:, 2], "z": rows[:, 3], "heading": rows[:, 4]})

    @cached_property
    def eye_position(self) -> pd.DataFrame:
        """One row for each sample: ``time`` in s, ``x`` and ``y`` in px from the screen's upper left corner, or NaN.

        Times of the fixation session are on the eye tracker's clock.
        """
        fields = self.eyelink
        place = fields["eye_pos"] if len(fields["eye_pos"]) else fields["calib_eye_pos"]
        place = np.reshape(place, (-1, 2))
        return pd.DataFrame({"time": fields["timestamps"], "x": place[:, 0], "y": place[:, 1]})

    @cached_property
    def fixations(self) -> pd.DataFrame:
        """One row for each fixation: ``start``, ``end``, ``duration`` in s, on the clock of `eye_position`."""
        fields = self.eyelink
        times = fields["fix_times"] if len(fields["fix_times"]) else fields["calib_fix_times"]
        return pd.DataFrame(np.reshape(times, (-1, 3)), columns=["start", "end", "duration"])

    @cached_property
    def gaze(self) -> pd.DataFrame:
        """One row for each eye sample of the trials: what was looked at.

        ``time`` in s (of whole ms), ``object``, ``gaze_x`` and ``gaze_y`` in px, ``x``, ``z`` (maze units) and
        ``heading`` (degrees) of the animal, ``hit_x``, ``hit_y`` and ``hit_z`` of the point that was hit (maze
        units). Samples that hit nothing have the object ``Sample Ignored`` and NaN for the point.
        """
        options = {"header": None, "usecols": list(_GAZE), "dtype": {2: "category"}}
        table = self._files.table(self.folder, "unityfile_eyelink.csv", **options)
        return table.rename(columns=_GAZE).assign(time=table[1] / 1000)
