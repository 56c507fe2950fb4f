"""Which files of the results are archived, and under which names."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from hippflow.errors import StorageError
from hippflow.names import DAY, SUBJECT

#: Longest key of S3.
_KEY_BYTES = 1024
#: Folders of the results that have the day below the name of a rule.
_BY_RULE = ("logs", "benchmarks")
_SCOPE = re.compile(rf"(?:(?:{'|'.join(_BY_RULE)})/[^/]+/)?{SUBJECT.pattern}/{DAY.pattern}(?:(?=\.)|/)")
#: Files that are not whole yet, see :mod:`hippflow.io.atomic` and :mod:`hippflow.cloud.journal`.
_UNFINISHED = re.compile(r"\..+\.(part|s3part|s3journal)")


class FileError(Exception):
    """A file that cannot be archived; the others can."""


def why_no_key(name: str) -> str:
    r"""Say why a path below a folder cannot be a key below a prefix; nothing where it can.

    Examples
    --------
    >>> why_no_key("picasso/20181105/day.csv"), why_no_key("../day.csv")
    ('', "which has an empty, '.' or '..' part")
    """
    parts = name.split("/")
    if "" in parts or "." in parts or ".." in parts:
        return "which has an empty, '.' or '..' part"
    if re.search(r"[\x00-\x1f\x7f]", name):
        return "which has control characters"
    try:
        n_bytes = len(name.encode())
    except UnicodeEncodeError:
        return "which is no UTF-8"
    return f"which has {n_bytes} bytes (at most {_KEY_BYTES})" if n_bytes > _KEY_BYTES else ""


def find_days(results: str | Path, wanted: str = "all") -> list[str]:
    """Find the days, ``subject/YYYYMMDD``, of which there are results.

    Parameters
    ----------
    results : path
        Root of the results.
    wanted : str
        ``all``, a day of all subjects, or ``subject/day``.

    Raises
    ------
    StorageError
        There is none.
    """
    days = sorted(
        folder.relative_to(results).as_posix()
        for subject in _entries(Path(results))
        if SUBJECT.fullmatch(subject.name)
        for folder in _entries(subject)
        if DAY.fullmatch(folder.name) and folder.is_dir()
    )
    found = [day for day in days if wanted in ("all", day, day.rsplit("/", 1)[1])]
    if not found:
        raise StorageError(
            f"{results}: expected results of {'any day' if wanted == 'all' else wanted}, found "
            f"{', '.join(days) or 'none'}; name a day as 20181105 or picasso/20181105, or make its products first"
        )
    return found


def list_day_files(results: str | Path, day: str) -> list[Path]:
    """List what is archived of a day: its products, and its logs and benchmarks.

    Temporary files of products in the making are left out. Links are listed; whether they may be followed is seen
    when they are opened.

    Parameters
    ----------
    results : path
        Root of the results.
    day : str
        ``subject/YYYYMMDD``.

    Returns
    -------
    list of Path
        In alphabetical order, with the root.

    Raises
    ------
    StorageError
        A folder that cannot be read, or no file at all.
    """
    results, (subject, date) = Path(results), day.split("/")
    found = _walk(results / day)
    for rule in [rule for kind in _BY_RULE for rule in _entries(results / kind)]:
        for path in _entries(rule / subject):
            if path.name == date:
                found += _walk(path)
            elif path.name.startswith(f"{date}."):  # of a rule whose jobs are for whole days
                found.append(path)
    if not found:
        raise StorageError(f"{results}: expected files of {day}, found none; name a day that has results")
    return sorted(path for path in found if not _UNFINISHED.fullmatch(path.name))


def _unreadable(error: OSError) -> StorageError:
    return StorageError(
        f"{error.filename}: expected a folder that can be read, found: {error.strerror}; correct its permissions"
    )


def _entries(folder: Path) -> list[Path]:
    """List what is in a folder; nothing where there is no folder."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(error) from error


def _walk(folder: Path) -> list[Path]:
    """List all files below a folder; a link to a folder is listed as one."""

    def stop(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise _unreadable(error) from error

    found = []
    for parent, folders, files in os.walk(folder, onerror=stop):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        found += [Path(parent, name) for name in (*files, *links)]
    return found


def scopes(names: Iterable[str]) -> set[str]:
    """Return with what the names of all objects begin that could be of the same days as `names`.

    Examples
    --------
    >>> sorted(scopes(["picasso/20181105/session01/a.hkl", "logs/umaze/picasso/20181105/session01.log"]))
    ['logs/umaze/picasso/20181105/', 'picasso/20181105/']
    """
    found = set()
    for name in names:
        match = _SCOPE.match(name)
        folder = name.rpartition("/")[0]
        found.add(match[0] if match else f"{folder}/" if folder else name)
    return found


def name_below(root: Path, path: Path, prefix: str) -> str:
    """Return the name of a file below the root, which is its key below the prefix.

    Raises
    ------
    FileError
        It is not below it, or its name cannot be a key.
    """
    try:
        name = path.relative_to(root).as_posix()
    except ValueError:
        raise FileError(f"{path}: expected a file below {root}, found one elsewhere; move it there") from None
    if why := why_no_key(f"{prefix}/{name}"):
        shown = name.encode(errors="backslashreplace").decode()
        raise FileError(f"{root}: expected a name that can be a key in a bucket, found {shown!r}, {why}; rename it")
    return name
