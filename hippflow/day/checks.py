"""What a raw tree must keep to before anything is made of it: names, days and times of its files.

Reads names and times alone, and no file. What cannot be right stops a run before its first job; a day in a name, and a
time of change, which can be wrong although the recording is right, can be allowed in ``config.yaml`` (``raw``).
"""

import os
import re
import stat
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, BinaryIO

from hippflow.day.raw import RawTree
from hippflow.errors import CatalogError
from hippflow.io.nsx_header import NsxHeader
from hippflow.names import DAY, SUBJECT

#: Seconds by which a file may be newer than this machine's clock: disks and machines differ a little.
TOLERANCE = 600.0

#: A date with which a name begins: 181105_Block1.nev, 20181105.edf.
_DATE = re.compile(r"(\d{8}|\d{6})(?!\d)", re.ASCII)


def is_date(name: str) -> bool:
    """Say whether a name is a date, YYYYMMDD.

    Examples
    --------
    >>> is_date("20181105"), is_date("20181399")
    (True, False)
    """
    return bool(name.isascii() and DAY.fullmatch(name)) and _parse(name) is not None


def _parse(digits: str) -> str | None:
    """Return the day, YYYYMMDD, that six or eight digits are, None if they are no date."""
    try:
        return datetime.strptime(digits, "%Y%m%d" if len(digits) == 8 else "%y%m%d").strftime("%Y%m%d")
    except ValueError:
        return None


def date_in_name(name: str) -> str | None:
    """Return the day, YYYYMMDD, with which a file's name begins; None if it begins with none.

    Examples
    --------
    >>> date_in_name("181105_Block1.nev"), date_in_name("Block1.nev"), date_in_name("999999.nev")
    ('20181105', None, None)
    """
    match = _DATE.match(name)
    return _parse(match[1]) if match else None


def check_day_folders(where: str, names: Iterable[str]) -> None:
    """Check a subject's folders: eight digits that are no date, or a date written otherwise, would be passed over.

    Raises
    ------
    CatalogError
        Such a folder.
    """
    for name in names:
        digits = re.sub(r"[\s_.-]", "", name)
        if DAY.fullmatch(digits) and not is_date(name):
            raise CatalogError(
                f"{where}/{name}: expected a day as YYYYMMDD, found {name!r}; rename the folder, or move it out of "
                "the subject"
            )


def check_subject_folders(tree: RawTree, names: Iterable[str]) -> None:
    """Check the folders of a raw root: one with days in it, whose name is no subject's, would be passed over.

    Raises
    ------
    CatalogError
        Such a folder.
    """
    for name in names:
        if SUBJECT.fullmatch(name) or name.startswith("."):
            continue
        try:
            days = [day for day in tree.folders(name) if is_date(day)]
        except (PermissionError, CatalogError):  # lost+found, or a link that leads nowhere: nothing can be made of it
            continue
        if days:
            raise CatalogError(
                f"{tree.name(name)}: expected the name of a subject in letters from A to Z, found {name!r} with "
                f"{len(days)} days; rename the folder, move it out, or name the subjects that you want with subjects"
            )


class CheckedTree:
    """A raw tree whose files are checked when they are first asked for.

    Parameters
    ----------
    tree : RawTree
    raw : dict
        The block ``raw`` of the configuration: ``wrong_day`` and ``future``, each ``error`` or ``allow``.
    look : bool
        Whether local files themselves are looked at, or names alone.

    Raises
    ------
    CatalogError
        By any method that is given a file: a name that cannot be written into logs and tables, a date in it that is not
        its folder's day, no regular file behind it, no permission, a time of change in the future.
    """

    def __init__(self, tree: RawTree, raw: dict[str, Any], look: bool = True):
        self._tree, self._raw, self._look, self._checked = tree, raw, look, set[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tree, name)

    def local(self, path: str) -> str:
        """Return where jobs find a file."""
        self._check(path)
        return self._tree.local(path)

    def nsx_header(self, path: str) -> NsxHeader:
        """Read the headers of a continuous recording."""
        self._check(path)
        return self._tree.nsx_header(path)

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading here and there."""
        self._check(path)
        return self._tree.open(path)

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        self._check(path)
        return self._tree.size(path)

    def _check(self, path: str) -> None:
        if path in self._checked:
            return
        name = self._tree.name(path)
        _check_name(name)
        if self._raw["wrong_day"] == "error":
            self._check_day(path, name)
        changed = self._tree.modified(path) or (_look(name) if self._look else 0.0)
        ahead = changed - time.time()
        if ahead > TOLERANCE and self._raw["future"] == "error":
            raise CatalogError(
                f"{name}: expected a file that was changed in the past, found {ahead / 3600:.1f} h in the future: "
                "every run would take what is made of it for outdated, and make it again; set the clock of this "
                "machine, or the file's time (touch), or set raw.future to allow"
            )
        self._checked.add(path)

    def _check_day(self, path: str, name: str) -> None:
        day, found = path.split("/")[1], date_in_name(path.rsplit("/", 1)[1])
        if found and found != day:
            raise CatalogError(
                f"{name}: expected a file of {day}, as its folder, found the date {found} in its name; move it to its "
                "day, rename it, or set raw.wrong_day to allow"
            )


def _check_name(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode(errors="backslashreplace").decode()
        raise CatalogError(f"{shown}: expected a name in UTF-8, found other bytes; rename the file") from None
    if not name.isprintable() or {"{", "}"} & set(name):
        raise CatalogError(
            f"{name!r}: expected a name without braces and control characters, found some; rename file or folder"
        )


def _look(path: str) -> float:
    """Return when a local file was last changed, s of the epoch, or say why jobs could not read it."""
    try:
        found = os.stat(path)
    except OSError as error:
        link = f", a link to {os.readlink(path)}" if os.path.islink(path) else ""
        raise CatalogError(
            f"{path}: expected a file{link}, found: {error.strerror}; copy it there, or mount what the link leads to"
        ) from error
    if not stat.S_ISREG(found.st_mode):
        raise CatalogError(f"{path}: expected a file, found something else (a pipe or device); move it away")
    if not os.access(path, os.R_OK):
        raise CatalogError(
            f"{path}: expected a file that can be read, found no permission; chmod u+r, or ask its owner"
        )
    return found.st_mtime
