"""What the raw tree holds: days, sessions and channels, from names and headers alone.

The tree has the levels of the field, ``subject/YYYYMMDD/session01`` ...
``session99`` (navigation), ``sessioneye`` (fixation) and ``imaging01`` ... (two-photon).
A session's folder holds at most one ``.nev`` and one continuous recording, an imaging
folder one movie. Nothing is guessed: two candidates are an error, and so is a folder
whose name is almost a session's.
"""

import json
import logging
import re
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from hippflow.day.behaviour import check_eye_files, find_eye_files, find_maze_logs
from hippflow.day.channels import raw_channels
from hippflow.day.checks import CheckedTree, check_day_folders, check_subject_folders, is_date
from hippflow.day.imaging import Recording, read_recording
from hippflow.day.raw import LocalTree, RawTree
from hippflow.day.selection import select_channels, select_names
from hippflow.errors import CatalogError
from hippflow.names import IMAGING, SESSION, SUBJECT

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """One recording session.

    Attributes
    ----------
    path : str
        ``subject/day/session``, relative to the raw and the results root alike.
    nev, nsx : str or None
        Digital events and continuous recording, where there are any.
    n_bytes : int
        Size of the continuous recording.
    seconds : float
        Its length, from its size.
    sampling_rate : float
        Hz, 0 where there is no continuous recording.
    clock : str or None
        The nev, where the recording's time stamps need it to know when the recording started.
    channels : dict of int to str
        Folder ``arrayNN/channelNNN`` of every selected channel, by channel number.
    modified : float
        When the recording was last changed in its bucket, s of the epoch; 0 where it is local.
    maze_logs : tuple of str
        Logs of the maze, in order.
    eye : str or None
        The day's eye recording that has this session: that of navigation, or that of fixation.
    started : str or None
        When the continuous recording began by its headers, in ISO 8601, where they say it.
    """

    path: str
    nev: str | None
    nsx: str | None
    n_bytes: int
    seconds: float
    sampling_rate: float
    clock: str | None
    channels: dict[int, str]
    modified: float = 0.0
    maze_logs: tuple[str, ...] = ()
    eye: str | None = None
    started: str | None = None

    @property
    def name(self) -> str:
        """``session01``, ..., ``sessioneye``."""
        return self.path.rsplit("/", 1)[1]

    @property
    def day(self) -> str:
        """``subject/day`` of this session."""
        return self.path.rsplit("/", 1)[0]


@dataclass(frozen=True)
class Catalog:
    """The selected sessions and two-photon recordings of a raw tree, in order of subject, day and name."""

    sessions: tuple[Session, ...]
    recordings: tuple[Recording, ...] = ()

    @cached_property
    def by_path(self) -> dict[str, Session]:
        """The sessions by their path."""
        return {session.path: session for session in self.sessions}

    @cached_property
    def days(self) -> dict[str, list[Session]]:
        """The sessions of every ``subject/day``, navigation first, in the order in which they are sorted together.

        A day of imaging alone has none.
        """
        days: dict[str, list[Session]] = {
            day: [] for day in sorted({r.day for r in (*self.sessions, *self.recordings)})
        }
        for session in self.sessions:
            days[session.day].append(session)
        return days

    def to_json(self) -> str:
        """Write the catalog as text that :meth:`from_json` reads back."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Catalog":
        """Read what :meth:`to_json` wrote."""
        stored = json.loads(text)
        for row in stored["sessions"]:
            row["channels"] = {int(number): folder for number, folder in row["channels"].items()}
            row["maze_logs"] = tuple(row["maze_logs"])
        for row in stored["recordings"]:
            row["files"] = tuple(row["files"])
        return cls(
            tuple(Session(**row) for row in stored["sessions"]), tuple(Recording(**row) for row in stored["recordings"])
        )


def _folders(tree: RawTree, parent: str, pattern: re.Pattern[str]) -> list[str]:
    return sorted(name for name in tree.folders(parent) if pattern.fullmatch(name))


def _session_folders(tree: RawTree, day: str) -> list[str]:
    """Return the names of a day's sessions and two-photon recordings."""
    for name in tree.folders(day):
        for start, pattern, names in (
            ("session", SESSION, "session01 ... session99 or sessioneye"),
            ("imaging", IMAGING, "imaging01 ... imaging99"),
        ):
            if name.lower().startswith(start) and not pattern.fullmatch(name):
                raise CatalogError(
                    f"{tree.name(f'{day}/{name}')}: expected {names}, found {name!r}; "
                    "rename the folder, or move it out of the day"
                )
    return _folders(tree, day, SESSION) + _folders(tree, day, IMAGING)


def _only_file(tree: RawTree, folder: str, suffix: str) -> str | None:
    """Return the one file with this suffix, None if there is none; hidden files do not count."""
    names = [name for name in tree.files(folder) if not name.startswith(".")]
    found = sorted(name for name in names if name.endswith(f".{suffix}"))
    for name in names:
        if name.lower().endswith(f".{suffix}") and name not in found:
            raise CatalogError(
                f"{tree.name(folder)}/{name}: expected the suffix .{suffix}, found {name[-len(suffix) - 1 :]}; "
                "rename the file"
            )
    if len(found) > 1:
        raise CatalogError(
            f"{tree.name(folder)}: expected one .{suffix} file, found {len(found)} ({', '.join(found)}); "
            "move the others away"
        )
    return f"{folder}/{found[0]}" if found else None


def _read_session(tree: RawTree, path: str, config: dict[str, Any], eyes: dict[str, str | None]) -> Session:
    rplsplit = config["rplsplit"]
    nev, nsx = _only_file(tree, path, "nev"), _only_file(tree, path, rplsplit["suffix"])
    events = tree.local(nev) if nev else None
    fixation = path.endswith("sessioneye")
    behaviour = {
        "maze_logs": () if fixation else find_maze_logs(tree, path, config["unity"]),
        "eye": eyes["fixation" if fixation else "navigation"],
    }
    _check_markers(tree.name(path), nev, nsx, behaviour, config["rplparallel"]["no_markers"])
    if nsx is None:
        return Session(path, events, None, 0, 0.0, 0.0, None, {}, **behaviour)
    header = tree.nsx_header(nsx)
    channels = raw_channels(header, rplsplit["raw_label"], rplsplit["first_connector"])
    size = tree.size(nsx)
    return Session(
        path=path,
        nev=events,
        nsx=tree.local(nsx),
        n_bytes=size,
        seconds=(size - header.n_bytes) / (2 * len(header.channels)) / header.sampling_rate,
        sampling_rate=header.sampling_rate,
        clock=events if header.spec == "3.0" else None,
        channels={number: folder for number, (_, folder) in channels.items()},
        modified=tree.modified(nsx),
        started=header.started.isoformat() if header.started else None,
        **behaviour,
    )


def _check_markers(where: str, nev: str | None, nsx: str | None, behaviour: dict[str, Any], no_markers: str) -> None:
    """Check that behaviour has the markers that put it on the recording's clock, and that there is anything at all."""
    found = [*behaviour["maze_logs"], *filter(None, [behaviour["eye"]])]
    if not (nev or nsx or behaviour["maze_logs"]):
        log.warning("%s: a session without a recording; nothing is made of it. Copy its files there.", where)
    elif not nev and found and no_markers == "error":
        raise CatalogError(
            f"{where}: expected a .nev with the trial markers that {found[0]} is aligned by, found none; copy it "
            "there, or set rplparallel.no_markers to allow, and the session goes without behaviour"
        )


def build_catalog(config: dict[str, Any], tree: RawTree | None = None, *, look: bool = True) -> Catalog:
    """List the raw tree and read its headers, for what the configuration selects.

    Parameters
    ----------
    config : dict
        The complete configuration, see :func:`hippflow.day.config.check_config`.
    tree : RawTree, optional
        The raw tree, where it is not the local folder ``config["data"]``.
    look : bool
        Whether local files that jobs could not read are an error here.

    Returns
    -------
    Catalog

    Raises
    ------
    CatalogError
        A layout that leaves open which file is meant, a name or time that cannot be right
        (:class:`hippflow.day.checks.CheckedTree`), or nothing at all.
    ConfigError
        A selected subject, day, session or channel that is not there.
    FormatError
        A damaged header.
    """
    tree = CheckedTree(tree or LocalTree(config["data"]), config["raw"], look)
    if config["subjects"] == "all":
        check_subject_folders(tree, tree.folders(""))
    sessions: list[Session] = []
    recordings: list[Recording] = []
    present: set[str] = set()
    wanted = config["sessions"] if isinstance(config["sessions"], list) else [config["sessions"]]
    subjects = select_names("subjects", config["subjects"], _folders(tree, "", SUBJECT), tree.name(""))
    for day in _select_days(tree, subjects, config["days"]):
        names = _session_folders(tree, day)
        present.update(names)
        names = [name for name in names if name in wanted or config["sessions"] == "all"]
        movies = [name for name in names if IMAGING.fullmatch(name)]
        recordings += [read_recording(tree, f"{day}/{name}", config["movie"]) for name in movies]
        names = [name for name in names if name not in movies]
        eyes = find_eye_files(tree, day, config["edfsplit"])
        check_eye_files(tree.name(day), eyes, names, config["edfsplit"])
        sessions += [_read_session(tree, f"{day}/{name}", config, eyes) for name in names]
    select_names("sessions", config["sessions"], sorted(present), f"the selected days of {tree.name('')}")
    if not recordings and not any(session.nev or session.nsx for session in sessions):
        suffix = config["rplsplit"]["suffix"]
        raise CatalogError(
            f"{tree.name('')}: expected .nev or .{suffix} files in subject/YYYYMMDD/session01/ ..., or .tif files in "
            f"subject/YYYYMMDD/imaging01/ ..., found {len(sessions)} session folders with none; "
            "check data, subjects, days and sessions in config.yaml"
        )
    return Catalog(tuple(_select_day_channels(sessions, config["channels"])), tuple(recordings))


def _select_days(tree: RawTree, subjects: list[str], wanted: Any) -> list[str]:
    """Return the selected subject/day; a day must exist for at least one of several subjects."""
    for subject in subjects if wanted == "all" else ():
        check_day_folders(tree.name(subject), tree.folders(subject))
    present = [(subject, day) for subject in subjects for day in sorted(filter(is_date, tree.folders(subject)))]
    where = tree.name(subjects[0] if len(subjects) == 1 else "")
    days = select_names("days", wanted, sorted({day for _, day in present}), where)
    return [f"{subject}/{day}" for subject, day in present if day in days]


def _select_day_channels(sessions: list[Session], wanted: Any) -> list[Session]:
    """Leave the selected channels in every session; a channel must be in some session of each day that has any."""
    present: dict[str, set[int]] = {}
    for session in sessions:
        present.setdefault(session.day, set()).update(session.channels)
    chosen = {day: select_channels(wanted, channels, day) if channels else set() for day, channels in present.items()}
    return [
        replace(session, channels={n: f for n, f in session.channels.items() if n in chosen[session.day]})
        for session in sessions
    ]
