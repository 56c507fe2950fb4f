"""What a file says of itself: animal, people, place, and identifiers that are the same every time."""

import uuid
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pynwb import NWBFile
from pynwb.file import Subject

import hippflow
from hippflow.nwb.clock import Placed

#: Namespace of the objects' identifiers.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "hippflow/nwb")

#: What of the settings goes into the file under its own name, where it is set.
_PLAIN = (
    "experimenter",
    "institution",
    "lab",
    "keywords",
    "experiment_description",
    "protocol",
    "related_publications",
)


def make_file(subject: str, date: str, start: datetime, placed: list[Placed], settings: dict[str, Any]) -> NWBFile:
    """Begin a file.

    Parameters
    ----------
    subject, date : str
        As in the names of the folders.
    start : datetime
        When the day's clock is at 0.
    placed : list of Placed
        Its recordings.
    settings : dict
        The block `nwb` of the configuration with the subject's own part (``subject``).

    Returns
    -------
    NWBFile
        With identifiers and dates that depend on the day alone.
    """
    names = ", ".join(one.name for one in placed)
    return NWBFile(
        session_description=settings["session_description"] or f"Recordings of {subject} on {date}: {names}.",
        identifier=f"{subject}_{date}",
        session_id=date,
        session_start_time=start,
        file_create_date=start,  # now() would make other bytes every time
        was_generated_by=[["hippflow", hippflow.__version__]],
        subject=_subject(subject, settings["subject"], settings["timezone"]),
        **{name: settings[name] for name in _PLAIN if settings[name]},
    )


def _subject(name: str, fields: dict[str, Any], zone: str) -> Subject:
    known = {key: value for key, value in fields.items() if value not in (None, "")}
    if "date_of_birth" in known:
        known["date_of_birth"] = datetime.fromisoformat(known["date_of_birth"]).replace(tzinfo=ZoneInfo(zone))
    if "weight" in known:
        known["weight"] = str(known["weight"])
    return Subject(**({"subject_id": name} | known))


def fix_identifiers(file: NWBFile) -> None:
    """Give every object of a file an identifier of its path, where pynwb has drawn one at random.

    pynwb has no public way to set it; were the attribute called otherwise, files would differ from run to run, which a
    test would see.
    """
    for thing in [file, *file.all_children()]:
        path, parent = thing.name, thing.parent
        while parent is not None:
            path, parent = f"{parent.name}/{path}", parent.parent
        identifier = uuid.uuid5(_NAMESPACE, f"{file.identifier}/{type(thing).__name__}/{path}")
        thing._AbstractContainer__object_id = str(identifier)
