"""The raw neural channels of a recording: which they are, and the folders of their products.

What it does not: read samples, or choose among a day's channels (:mod:`hippflow.day.selection`).
"""

import re

from hippflow.errors import CatalogError
from hippflow.io.nsx_header import NsxHeader

#: Largest numbers that folders arrayNN and channelNNN have room for.
MAX_ARRAY, MAX_CHANNEL = 99, 999


def raw_channels(header: NsxHeader, raw_label: str, first_connector: int) -> dict[int, tuple[int, str]]:
    """Find the raw neural channels of a recording by label and unit.

    Parameters
    ----------
    header : NsxHeader
    raw_label : str
        Regular expression for the whole label; its group is the channel number.
    first_connector : int
        Number that the file gives the first front-end: 0 for Ripple, 1 for Blackrock.

    Returns
    -------
    dict
        Index into the header's channels and folder ``arrayNN/channelNNN``, by channel number.

    Raises
    ------
    CatalogError
        No channel, or one number twice.
    """
    pattern = re.compile(raw_label)
    found: dict[int, tuple[int, str]] = {}
    for index, channel in enumerate(header.channels):
        match = pattern.fullmatch(channel.label)
        if not match or channel.units.replace("µ", "u") != "uV":
            continue
        if not (match[1] or "").isdecimal():
            raise CatalogError(
                f"{header.path}: expected the first group of {raw_label!r} (rplsplit.raw_label) to be a channel "
                f"number, found {match[1]!r} in {channel.label!r}; put the group around the digits"
            )
        number = int(match[1])
        if number in found:
            raise CatalogError(f"{header.path}: two channels are labelled {channel.label!r}; their numbers must differ")
        array = channel.connector - first_connector + 1
        if number > MAX_CHANNEL or array > MAX_ARRAY:
            raise CatalogError(
                f"{header.path}: expected channels up to {MAX_CHANNEL} on front-ends up to {MAX_ARRAY}, found channel "
                f"{number} on front-end {array} at {channel.label!r}; the label or the header is damaged, or set "
                "rplsplit.raw_label to a pattern of neural channels alone"
            )
        if array < 1:
            raise CatalogError(
                f"{header.path}: expected front-ends from {first_connector} (rplsplit.first_connector), found "
                f"{channel.connector} at {channel.label!r}; set rplsplit.first_connector to {channel.connector}"
            )
        found[number] = (index, f"array{array:02d}/channel{number:03d}")
    if not found:
        labels = ", ".join(repr(channel.label) for channel in header.channels[:6])
        raise CatalogError(
            f"{header.path}: expected channels in uV labelled {raw_label!r} (rplsplit.raw_label), found {labels} ...; "
            "set rplsplit.raw_label to what this recording's neural channels are called"
        )
    return dict(sorted(found.items()))
