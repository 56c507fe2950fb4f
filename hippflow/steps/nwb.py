"""nwb: everything of a day in one NWB file."""

import logging
from pathlib import Path
from typing import Any

from hippflow.errors import FormatError

log = logging.getLogger(__name__)

#: What this step imports when it starts to work, which takes longer than all else (hippflow.forks).
LATE_IMPORTS = ("hippflow.nwb.file",)


def make_nwb(sources: dict[str, list[str]], nwb: str | Path, *, settings: dict[str, Any]) -> None:
    """Write a day's products as one NWB file, in memory of one block of its signals.

    Parameters
    ----------
    sources : dict of str to list of path
        The products by kind, see :func:`hippflow.nwb.sources.nwb_sources`.
    nwb : path
        The file, in the day's folder of the results.
    settings : dict
        See :func:`hippflow.nwb.sources.nwb_settings`.

    Raises
    ------
    FormatError
        Products that are not there, damaged, or contradict each other.
    """
    from hippflow.nwb.contents import Contents
    from hippflow.nwb.file import build_file, write_file

    if not any(sources.values()):
        raise FormatError(f"{nwb}: expected products of the day, found none; see nwb.modalities")
    contents = Contents(Path(nwb).parent, sources)
    file = build_file(contents, settings)
    write_file(file, nwb)
    log.info(
        "%s: %d sessions, %d channels, %d units, %d two-photon recordings", nwb, len(contents.parts),
        len(contents.channels), len(file.units) if file.units else 0, len(contents.recordings),
    )  # fmt: skip
