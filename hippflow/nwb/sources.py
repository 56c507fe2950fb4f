"""Which products a day's NWB file is made from, and what must be set for it. No NWB library is imported here."""

from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hippflow.day.config import in_order
from hippflow.errors import ConfigError

#: What suite2p says of a plane that the file has, and what its images are from.
PLANE = ("F", "Fneu", "spks", "stat", "iscell", "settings", "reg_outputs")

#: Kinds of files that an NWB file is made from.
KINDS = ("nev", "markers", "lfp", "raw", "cells", "units", "unity", "eyelink", "gaze", "movie", "planes")

#: What NWB or its inspector demand of a subject.
_DEMANDED = {
    "species": 'the Latin name, as "Macaca fascicularis"',
    "sex": "M, F, O (other) or U (unknown)",
    "age": 'an ISO 8601 duration, as P8Y, or date_of_birth in quotes, as "2010-05-01"',
}

#: What NWB demands of two-photon recordings.
_OF_LIGHT = {
    "indicator": "the indicator's name, as GCaMP6s",
    "excitation_lambda": "the wavelength of the laser in nm, as 920",
    "emission_lambda": "that of the indicator's light in nm, as 510",
}


def nwb_name(day: str) -> str:
    """Return the name of a day's file.

    Examples
    --------
    >>> nwb_name("picasso/20181105")
    'picasso_20181105.nwb'
    """
    return f"{day.replace('/', '_')}.nwb"


def nwb_sources(products: Any, day: str) -> dict[str, list[str]]:
    """Return the files that a day's NWB file is made from.

    Parameters
    ----------
    products : hippflow.day.products.Products
    day : str
        ``subject/day``.

    Returns
    -------
    dict of str to list of str
        By kind (:data:`KINDS`), without kinds that the day does not have; empty where none of the enabled modalities
        has anything.
    """
    wanted = products.config["nwb"]["modalities"]
    found: dict[str, list[str]] = {}
    for session in products.catalog.days[day]:
        _add_signals(found, products, session, wanted)
        if "behaviour" in wanted:
            _add_behaviour(found, products, session)
    if "ephys" in wanted:
        for number in products.channels(day):
            folder = f"mountains/channel{number:03d}"
            names = ("firings.hkl", "units.csv", "metrics.csv", "templates.hkl")
            found.setdefault("units", []).extend(products.path(day, folder, name) for name in names)
    if "imaging" in wanted:
        for recording in products.catalog.recordings:
            if recording.day == day:
                _add_recording(found, products, recording)
    if found and products.config["nwb"]["clock"] == "header":
        nevs = [session.nev for session in products.catalog.days[day] if session.nev]
        found |= {"nev": nevs} if nevs else {}
    return found


def _add_signals(found: dict[str, list[str]], products: Any, session: Any, wanted: list[str]) -> None:
    names = {"lfp": products.rpllfp, "cells": "cells.csv"} if "ephys" in wanted else {}
    names |= {"raw": products.rplraw} if "raw" in wanted else {}
    for kind, name in names.items():
        paths = [products.path(session.path, folder, name) for folder in session.channels.values()]
        if paths:
            found.setdefault(kind, []).extend(paths)


def _add_behaviour(found: dict[str, list[str]], products: Any, session: Any) -> None:
    devices = products.devices(session)
    names = {"markers": [products.rplparallel]} if session.nev else {}
    names |= {device: [name] for device, name in devices.items()}
    if session.nev and session.eye and session.name == "sessioneye":
        names["eyelink"] = [products.eyelink]
    if len(devices) == 2:
        names["gaze"] = ["unityfile_eyelink.csv", "raycast.json"]
    for kind, some in names.items():
        found.setdefault(kind, []).extend(products.path(session.path, name) for name in some)


def _add_recording(found: dict[str, list[str]], products: Any, recording: Any) -> None:
    found.setdefault("movie", []).append(products.path(recording.path, "movie/movie.json"))
    for k in range(recording.planes):
        names = [f"movie/plane{k}.npz", *(f"suite2p/plane{k}/{name}.npy" for name in PLANE)]
        names.append(f"kmeans/plane{k}/clusters.csv")
        found.setdefault("planes", []).extend(products.path(recording.path, name) for name in names)


def nwb_settings(block: dict[str, Any], day: str) -> dict[str, Any]:
    """Return what of the block `nwb` a day's file depends on: all, with its own subject alone.

    Parameters
    ----------
    block : dict
        The block `nwb` of the complete configuration.
    day : str
        ``subject/day``.

    Examples
    --------
    >>> block = {"enable": True, "lab": "Yen", "subjects": {"picasso": {"sex": "M"}, "zebrafish": {"sex": "U"}}}
    >>> nwb_settings(block, "picasso/20181105")
    {'lab': 'Yen', 'subject': {'sex': 'M'}}
    """
    rest = {key: value for key, value in block.items() if key not in ("enable", "subjects")}
    rest["subject"] = block["subjects"].get(day.split("/")[0], {})
    return in_order(rest)


def check_nwb(block: dict[str, Any], days: Iterable[str], imaged: Iterable[str]) -> None:
    """Check that everything is set that NWB, or its inspector, demands of the files of these days.

    Parameters
    ----------
    block : dict
        The block `nwb` of the complete configuration.
    days, imaged : iterable of str
        ``subject/day`` of all days, and of those with two-photon recordings.

    Raises
    ------
    ConfigError
        Something is not; all such places are listed.
    """
    if not block["enable"]:
        return
    lacking = []
    try:
        ZoneInfo(block["timezone"])
    except (ZoneInfoNotFoundError, ValueError):
        lacking.append(f"nwb.timezone: expected a name as Europe/Berlin; found {block['timezone']!r}")
    for subject in sorted({day.split("/")[0] for day in days}):
        fields = block["subjects"].get(subject, {})
        for name, what in _DEMANDED.items():
            if not (fields.get(name) or (name == "age" and fields.get("date_of_birth"))):
                lacking.append(f"nwb.subjects.{subject}.{name}: expected {what}; found nothing")
    if "imaging" in block["modalities"] and list(imaged):
        lacking += [f"nwb.{key}: expected {what}; found nothing" for key, what in _OF_LIGHT.items() if not block[key]]
    if lacking:
        lines = "\n".join(lacking)
        raise ConfigError(f"config.yaml: {lines}\nNWB files need these; set them, or nwb.enable: false")
