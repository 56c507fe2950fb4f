"""Where a raw tree has maze logs and eye data: by the names that the lab gives them."""

import re
from fnmatch import fnmatchcase
from typing import Any

from hippflow.day.raw import RawTree
from hippflow.day.selection import by_numbers
from hippflow.errors import CatalogError

#: What looks like an eye recording, hidden files aside.
_EYE = re.compile(r"^[^.].*\.(edf|asc)\s*$", re.IGNORECASE)


def find_maze_logs(tree: RawTree, session: str, unity: dict[str, Any]) -> tuple[str, ...]:
    """Find a session's maze logs, in the order of the numbers in their names.

    Parameters
    ----------
    tree : RawTree
    session : str
        ``subject/day/session``.
    unity : dict
        The block ``unity`` of the configuration: ``folder`` and ``logs``, patterns of names.

    Returns
    -------
    tuple of str
        Where jobs find them; empty if there is no folder of logs.

    Raises
    ------
    CatalogError
        Two folders of logs, or one without a log; a name that fits but for capital letters.
    """
    folders = _fitting(tree, session, tree.folders(session), unity, "folder")
    if not folders:
        return ()
    if len(folders) > 1:
        raise CatalogError(
            f"{tree.name(session)}: expected one folder of maze logs {unity['folder']} (unity.folder), "
            f"found {len(folders)} ({', '.join(folders)}); move the others away"
        )
    folder = f"{session}/{folders[0]}"
    logs = sorted(_fitting(tree, folder, tree.files(folder), unity, "logs"), key=by_numbers)
    if not logs:
        raise CatalogError(
            f"{tree.name(folder)}: expected maze logs {unity['logs']} (unity.logs), found none; "
            "copy them there, or take the folder away"
        )
    return tuple(tree.local(f"{folder}/{name}") for name in logs)


def _fitting(tree: RawTree, folder: str, names: list[str], unity: dict[str, Any], key: str) -> list[str]:
    """Return the names that fit a pattern; one that fits but for capital letters would be passed over."""
    pattern = unity[key]
    for name in names:
        if fnmatchcase(name.lower(), pattern.lower()) and not fnmatchcase(name, pattern):
            raise CatalogError(
                f"{tree.name(f'{folder}/{name}')}: expected a name as {pattern} (unity.{key}), found other capital "
                "letters; rename it, or correct the pattern"
            )
    return sorted(name for name in names if fnmatchcase(name, pattern))


def find_eye_files(tree: RawTree, day: str, edfsplit: dict[str, Any]) -> dict[str, str | None]:
    """Find a day's eye recordings, of navigation and of fixation.

    Parameters
    ----------
    tree : RawTree
    day : str
        ``subject/day``.
    edfsplit : dict
        The block ``edfsplit`` of the configuration: ``navigation`` and ``fixation``, regular expressions, and
        ``other_files``, ``error`` or ``allow``.

    Returns
    -------
    dict
        Where jobs find the file of each kind, None where there is none.

    Raises
    ------
    CatalogError
        Two files of a kind, a file of both kinds, or of none where that is an error.
    """
    there = sorted(tree.files(day))
    matching = {
        kind: [name for name in there if re.fullmatch(edfsplit[kind], name)] for kind in ("navigation", "fixation")
    }
    others = set(filter(_EYE.search, there)).difference(*matching.values())
    if others and edfsplit["other_files"] == "error":
        name = min(others)
        raise CatalogError(
            f"{tree.name(f'{day}/{name}')}: expected an eye recording's name as {edfsplit['navigation']} "
            f"(edfsplit.navigation) or {edfsplit['fixation']} (edfsplit.fixation), found {name!r}; rename it, "
            "move it away, correct the pattern, or set edfsplit.other_files to allow"
        )
    found: dict[str, str | None] = {}
    for kind, names in matching.items():
        if len(names) > 1:
            raise CatalogError(
                f"{tree.name(day)}: expected one eye recording of {kind} ({edfsplit[kind]}, edfsplit.{kind}), "
                f"found {len(names)} ({', '.join(names)}); move the others away"
            )
        found[kind] = tree.local(f"{day}/{names[0]}") if names else None
    if found["navigation"] and found["navigation"] == found["fixation"]:
        raise CatalogError(
            f"{found['navigation']}: matches edfsplit.navigation and edfsplit.fixation; make the two patterns disjoint"
        )
    return found


def check_eye_files(day: str, found: dict[str, str | None], sessions: list[str], edfsplit: dict[str, Any]) -> None:
    """Check that a day with an eye recording has one of every kind of session.

    Parameters
    ----------
    day : str
        Full name of the day's folder, for the message.
    found : dict
        See :func:`find_eye_files`.
    sessions : list of str
        Names of the day's selected sessions.
    edfsplit : dict
        The block ``edfsplit`` of the configuration; ``missing_file`` is ``error`` or ``allow``.

    Raises
    ------
    CatalogError
        A kind is missing, and that is an error.
    """
    if edfsplit["missing_file"] == "allow" or not any(found.values()):
        return
    kinds = {"fixation" if name == "sessioneye" else "navigation": name for name in sessions}
    for kind, session in kinds.items():
        if not found[kind]:
            there = next(path for path in found.values() if path)
            raise CatalogError(
                f"{day}: expected an eye recording of {kind} ({edfsplit[kind]}, edfsplit.{kind}) for {session}, "
                f"found only {there}; copy it there, correct the pattern, or set edfsplit.missing_file to allow"
            )
