"""Two-photon recordings of a raw tree, ``subject/YYYYMMDD/imaging01``, from names and the first file's header."""

import re
from dataclasses import dataclass
from typing import Any

from hippflow.day.raw import RawTree
from hippflow.day.selection import by_numbers
from hippflow.errors import CatalogError


@dataclass(frozen=True)
class Recording:
    """One two-photon recording: a movie in one or many TIFF files.

    Attributes
    ----------
    path : str
        ``subject/day/imaging01``, relative to the raw and the results root alike.
    files : tuple of str
        The TIFF files, in the order of the numbers in their names.
    n_bytes : int
        Their size.
    height, width : int
        Of a frame, in pixels.
    planes, channels : int
        That the frames go through in turn.
    modified : float
        When a file was last changed in its bucket, s of the epoch; 0 where they are local.
    """

    path: str
    files: tuple[str, ...]
    n_bytes: int
    height: int
    width: int
    planes: int
    channels: int
    modified: float = 0.0

    @property
    def day(self) -> str:
        """``subject/day`` of this recording."""
        return self.path.rsplit("/", 1)[0]


def _check_names(where: str, names: list[str], missing_files: str) -> None:
    """Check that names differ in their numbers alone, and where they count, that none is left out."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(re.sub(r"\d+", "#", name), []).append(name)
    if len(kinds) > 1:
        most, *others = sorted(kinds.values(), key=len, reverse=True)
        raise CatalogError(
            f"{where}: expected TIFF files of one movie, whose names differ in numbers alone, found {most[0]} and "
            f"{', '.join(name for group in others for name in group[:3])}; move what is not of the movie away"
        )
    numbers = [[int(part) for part in re.findall(r"\d+", name)] for name in names]
    for name, following, one, two in zip(names, names[1:], numbers, numbers[1:], strict=False):
        if one == two:
            raise CatalogError(
                f"{where}: expected every number once, found {name} and {following}; move the file that is not of the "
                "movie away"
            )
    counting = [column for column in zip(*numbers, strict=True) if len(set(column)) > 1]
    if missing_files == "allow" or len(counting) != 1:
        return
    (counts,) = counting
    for name, count, following in zip(names, counts, counts[1:], strict=False):
        if following != count + 1:
            raise CatalogError(
                f"{where}: expected {name} to be followed by number {count + 1}, found {following}; copy the files "
                "that are missing there, or set movie.missing_files to allow"
            )


def find_movie_files(tree: RawTree, path: str, missing_files: str) -> list[str]:
    """Find the TIFF files of a recording, in the order of the numbers in their names.

    Parameters
    ----------
    tree : RawTree
    path : str
        ``subject/day/imaging01``.
    missing_files : {'error', 'allow'}
        What a number that is left out in names that count is.

    Returns
    -------
    list of str
        Relative to the tree's root.

    Raises
    ------
    CatalogError
        No TIFF file, a file that is of another kind, or a number that is left out.
    """
    names = [name for name in tree.files(path) if re.search(r"\.tiff?$", name, re.IGNORECASE) and name[0] != "."]
    if not names:
        raise CatalogError(f"{tree.name(path)}: expected the TIFF files of a movie, found none; copy them there")
    names.sort(key=by_numbers)
    _check_names(tree.name(path), names, missing_files)
    return [f"{path}/{name}" for name in names]


def read_recording(tree: RawTree, path: str, movie: dict[str, Any]) -> Recording:
    """Look at a recording's names and its first file's header.

    Parameters
    ----------
    tree : RawTree
    path : str
        ``subject/day/imaging01``.
    movie : dict
        The block ``movie`` of the configuration.

    Returns
    -------
    Recording

    Raises
    ------
    CatalogError
        See :func:`find_movie_files`.
    FormatError
        The first file is no TIFF movie.
    ConfigError
        Numbers of planes or channels that its metadata contradict.
    """
    from hippflow.io.tiff import interleaving, read_tiff_header  # most runs have no movie, and need no tifffile

    files = find_movie_files(tree, path, movie["missing_files"])
    with tree.open(files[0]) as first:
        header = read_tiff_header(first)
    planes, channels = interleaving(header.dimensions, header.name, len(files), movie["planes"], movie["channels"])
    return Recording(
        path=path,
        files=tuple(tree.local(file) for file in files),
        n_bytes=sum(tree.size(file) for file in files),
        height=header.height,
        width=header.width,
        planes=planes,
        channels=channels,
        modified=max(tree.modified(file) for file in files),
    )
