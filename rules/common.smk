"""Configuration, the run's plan, and the functions that rules call. No rules.

Wildcards: `session` is subject/day/session, `channel` is arrayNN/channelNNN, `day`
is subject/day; `number` is a channel's three digits.
"""

import sys
from functools import cache, partial
from pathlib import Path

from hippflow_snakemake import script
from snakemake.exceptions import WorkflowError

from hippflow.day.config import check_config, load_schema
from hippflow.names import (
    highpass_args,
    argument_hash,
    lfp_args,
    product_name,
    spectrum_args,
    umaze_args,
)
from hippflow.day.plan import EMPTY_PLAN, make_plan, read_plan
from hippflow.day.selection import nearest
from hippflow.driver import clear_up, start_record
from hippflow.errors import HippflowError

#: Folder of what a run keeps about itself.
STATE = ".snakemake/hippflow"

try:
    if workflow.is_main_process and not {"-n", "--dry-run", "--dryrun"} & set(sys.argv):
        clear_up(STATE, ".snakemake/locks")
    config = check_config(
        config, load_schema(workflow.source_path("../schemas/config.schema.yaml"))
    )
    IN_BUCKET = config["data"].startswith("s3://")
    if not workflow.is_main_process:
        PLAN = read_plan()
    elif IN_BUCKET:
        # Runs on local files need nothing of AWS.
        from hippflow.cloud.raw import BucketTree

        PLAN = make_plan(config, STATE, BucketTree(config["data"], config["staging"]))
    elif "--lint" in sys.argv and not Path(config["data"]).exists():
        PLAN = EMPTY_PLAN
    else:
        PLAN = make_plan(config, STATE)
except HippflowError as error:
    raise WorkflowError(str(error))

BUCKET = config["data"].rstrip("/")
SESSIONS = PLAN.catalog.by_path
DAYS = PLAN.catalog.days

RPLRAW = product_name("rplraw")
RPLPARALLEL = product_name("rplparallel")
RPLLFP = product_name("rpllfp", lfp_args(config["rpllfp"]))
RPLHIGHPASS = product_name("rplhighpass", highpass_args(config["rplhighpass"]))
#: Behaviour in the maze and gaze, with PyHipp's arguments, which are constants of its classes.
UNITY, EYELINK = "unity_71bf.hkl", "eyelink_24d5.hkl"
UMAZE = product_name("umaze", umaze_args(**config["umaze"]))
#: Sessions of navigation, in which the animal is in the maze.
NAVIGATION = r"[A-Za-z]+/\d{8}/session\d{2}"
#: Signal that each spectrum is of, by the hash in the spectrum's name.
SPECTRA = {
    argument_hash(spectrum_args(signal, config["freqspectrum"])): signal
    for signal in ("lfp", "highpass")
}


# A run that is killed leaves this record, for the next one to clear up after it.
onstart:
    start_record(STATE)


wildcard_constraints:
    session=r"[A-Za-z]+/\d{8}/session(\d{2}|eye)",
    day=r"[A-Za-z]+/\d{8}",
    channel=r"array\d{2}/channel\d{3}",
    number=r"\d{3}",


def results(*parts):
    """Path of a product below the results root."""
    return str(Path(config["results"], *parts))


def log_file(rule_name, path):
    """Path of a job's log, outside the folders of the data."""
    return results("logs", rule_name, f"{path}.log")


def benchmark_file(rule_name, path):
    """Path of a job's benchmark table."""
    return results("benchmarks", rule_name, f"{path}.tsv")


# Slurm jobs. Snakemake jobs with the same group share one; profiles/slurm says how many
# channels do. All chains of jobs with one group id go together (see "block" there).


def get_block(stage, day, number=1):
    """Group of jobs on one subject/day that go into one Slurm job as a whole."""
    group = "_".join([stage, *Path(day).parts[:2], f"{number:02d}"])
    workflow.parent_groupids[group] = "block"
    return group


def get_staging_group(wildcards):
    """The raw files of one day are staged together."""
    return get_block("staging", wildcards.file)


def get_session_group(wildcards):
    """The steps on whole sessions of one day, markers and behaviour, go together."""
    return get_block("sessions", getattr(wildcards, "session", None) or wildcards.day)


def get_channel_block(wildcards, stage="channels"):
    """A day's channels go together in blocks."""
    if hasattr(wildcards, "session"):
        day, number = SESSIONS[wildcards.session].day, int(wildcards.channel[-3:])
    else:
        day, number = wildcards.day, int(wildcards.number)
    size = workflow.group_settings.group_components.get("channels", 1)
    return get_block(stage, day, get_day_channels(day).index(number) // size + 1)


def get_channel_group(wildcards):
    """Signals, sorting and cells of a block of channels."""
    return get_channel_block(wildcards)


def get_place_group(wildcards):
    """Place fields of a block: apart, so that signals and sorting do not wait for behaviour."""
    return get_channel_block(wildcards, "places")


# Inputs


def get_object(wildcards):
    """Size, checksum and time of an object as it is in the plan of the run."""
    return PLAN.objects[f"{BUCKET}/{wildcards.file}"]


def get_nev(wildcards):
    """The session's digital events."""
    return SESSIONS[wildcards.session].nev


def get_recording(wildcards):
    """The session's continuous recording, and the nev if it takes that to know when its clock started."""
    session = SESSIONS[wildcards.session]
    return {"nsx": session.nsx} | ({"nev": session.clock} if session.clock else {})


def get_spectrum_signal(wildcards):
    """The signal whose spectrum is asked for by the hash in the file's name."""
    product = {"lfp": RPLLFP, "highpass": RPLHIGHPASS}[SPECTRA[wildcards.spectrum]]
    return results(wildcards.session, wildcards.channel, product)


def get_sorted_sessions(day, number):
    """The sessions of a day in which a channel was recorded, with the channel's folder, in sorting order."""
    return [
        (session.path, session.channels[int(number)])
        for session in DAYS[day]
        if int(number) in session.channels
    ]


def get_day_highpass(wildcards):
    """The channel's high-pass signals of all sessions of the day."""
    return [
        results(session, folder, RPLHIGHPASS)
        for session, folder in get_sorted_sessions(wildcards.day, wildcards.number)
    ]


def get_sorting(wildcards):
    """The sorting of the day's channel to which a session's channel belongs."""
    day, number = SESSIONS[wildcards.session].day, wildcards.channel[-3:]
    folder = f"mountains/channel{number}"
    return {
        "firings": results(day, folder, "firings.hkl"),
        "units": results(day, folder, "units.csv"),
    }


def get_highpass(wildcards):
    """The high-pass signal of a session's channel, for its clock."""
    return results(wildcards.session, wildcards.channel, RPLHIGHPASS)


def get_maze_logs(wildcards):
    """The session's maze logs, in order."""
    return SESSIONS[wildcards.session].maze_logs


def get_eye_sessions(day):
    """Names of a day's sessions that its eye recordings have, and that have trial markers to find them by."""
    return tuple(session.name for session in DAYS[day] if session.eye and session.nev)


def get_eye_recordings(wildcards):
    """The day's eye recordings: of navigation, of fixation, or both."""
    sessions = [
        session for session in DAYS[wildcards.day] if session.eye and session.nev
    ]
    return {
        "fixation" if session.name == "sessioneye" else "navigation": session.eye
        for session in sessions
    }


def get_eye_splits():
    """Rules that split a day's eye recordings: name, sessions, and the days that have just these."""
    days = {}
    for day in DAYS:
        if get_eye_sessions(day):
            days.setdefault(get_eye_sessions(day), []).append(day)
    ordered = sorted(days.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        (f"edfsplit_{k}" if k > 1 else "edfsplit", sessions, where)
        for k, (sessions, where) in enumerate(ordered, start=1)
    ]


def get_eyelink(session):
    """Name of a session's eye data as the tracker has them; those of fixation are on their own clock for good."""
    return EYELINK if session.endswith("sessioneye") else f"unaligned/{EYELINK}"


# Parameters


def get_settings(block, *names):
    """Some parameters of a block of the configuration."""
    return {name: config[block][name] for name in names}


def get_raycast_settings():
    """Parameters of the ray casting: the camera, the screen and the rays."""
    scene, settings = "scene", dict(config["raycast"])
    return {name: value for name, value in settings.items() if name != scene} | {
        "screen": config["screen"]
    }


def get_spectrum_args(wildcards):
    """PyHipp's arguments of a spectrum."""
    return spectrum_args(SPECTRA[wildcards.spectrum], config["freqspectrum"])


# Resources: memory in MB and time in minutes, from the length of the recording, growing with every attempt.


def get_seconds(wildcards):
    """Length of the recording that a job reads: of its session, or of all sessions of its day."""
    if hasattr(wildcards, "session"):
        return SESSIONS[wildcards.session].seconds
    return sum(session.seconds for session in DAYS[wildcards.day])


def get_streaming_memory(wildcards, attempt):
    """Memory of a job that reads its input block by block."""
    return 1000 * attempt


def get_eye_memory(wildcards, attempt):
    """Memory of a step that holds all eye samples of a day: 1000 a second, some 500 bytes each."""
    day = getattr(wildcards, "day", None) or SESSIONS[wildcards.session].day
    seconds = sum(session.seconds for session in DAYS[day])
    return int(1000 + seconds * 1000 * 500 / 1e6) * attempt


def get_sorting_memory(wildcards, attempt):
    """Memory of a sorting: the sorter holds the whole day of one channel, some 20 bytes a sample."""
    return int(1500 + get_seconds(wildcards) * 30000 * 20 / 1e6) * attempt


def get_short_runtime(wildcards, attempt):
    """Time of a step on markers or spike times, whatever the recording's length."""
    return 10 * attempt


def get_staging_runtime(wildcards, attempt):
    """Time of a transfer at 10 MB/s, a slow line."""
    return int(10 + get_object(wildcards)["size"] / 10e6 / 60) * attempt


def get_split_runtime(wildcards, attempt):
    """Time of a pass over a recording, at least twice as fast as real time on a slow shared disk."""
    return int(10 + get_seconds(wildcards) / 60 / 2) * attempt


def get_channel_runtime(wildcards, attempt):
    """Time of a step on one channel's signal, some hundred times faster than real time."""
    return int(5 + get_seconds(wildcards) / 60 / 20) * attempt


def get_sorting_runtime(wildcards, attempt):
    """Time of sorting one channel, some ten times faster than real time."""
    return int(10 + get_seconds(wildcards) / 60 / 2) * attempt


# Targets


def is_aligned(session):
    """Whether a session has all that it takes to put maze and gaze on the Ripple clock."""
    return bool(session.nev and session.maze_logs and session.eye)


def get_session_products(session):
    """Everything that is made of one session as a whole."""
    products = []
    if session.nev:
        products.append(RPLPARALLEL)
        products += [f"unaligned/{UNITY}"] if session.maze_logs else []
        products += [get_eyelink(session.name)] if session.eye else []
    if is_aligned(session):
        products += [UNITY, EYELINK, "alignment.json", "alignment.png", UMAZE]
        products += ["unityfile_eyelink.csv", "binData.hdf", "raycast.json"]
    return [results(session.path, name) for name in products]


def get_channel_products(session, number):
    """Everything that is made of one channel in one session."""
    names = [RPLRAW, RPLLFP, RPLHIGHPASS, "cells.csv"]
    names += [f"freqspectrum_{spectrum}.hkl" for spectrum in SPECTRA]
    names += ["placefields.csv"] if is_aligned(session) else []
    return [results(session.path, session.channels[number], name) for name in names]


def get_day_channel_products(day, number):
    """Everything that is made of one channel on one day."""
    recorded = [session for session in DAYS[day] if number in session.channels]
    names = ["firings.hkl", "units.csv", "metrics.csv", "templates.hkl"]
    products = [results(day, f"mountains/channel{number:03d}", name) for name in names]
    for session in recorded:
        products += get_channel_products(session, number)
    return products


def get_day_products(day):
    """Everything that is made of one day."""
    products = [p for session in DAYS[day] for p in get_session_products(session)]
    products += [results(day, "missingData.csv")] if get_eye_sessions(day) else []
    for number in get_day_channels(day):
        products += get_day_channel_products(day, number)
    return products


@cache
def get_day_channels(day):
    """Numbers of all channels recorded on one day."""
    return sorted({number for session in DAYS[day] for number in session.channels})


def get_all_products(wildcards):
    """Everything that the configuration selects."""
    return [product for day in DAYS for product in get_day_products(day)]


def get_days_called(date):
    """The subject/day entries of a date, of one subject or several."""
    return [day for day in DAYS if Path(day).name == date]


def get_date_products(date, wildcards):
    """Everything that is made of one date."""
    return [p for day in get_days_called(date) for p in get_day_products(day)]


def get_date_channel_products(date, number, wildcards):
    """Everything that is made of one channel on one date."""
    return [
        product
        for day in get_days_called(date)
        for product in get_day_channel_products(day, number)
    ]


def get_channel_targets(arguments):
    """The targets channel/DATE/NUMBER among the command line's arguments, with their date and channel number."""
    targets = []
    for target in dict.fromkeys(a for a in arguments if a.startswith("channel/")):
        date, _, number = target.removeprefix("channel/").partition("/")
        dates = [Path(day).name for day in DAYS]
        if date not in dates:
            raise WorkflowError(
                f"{target}: no day {date!r} is selected; nearest: {nearest(date, dates)}"
            )
        channels = {n for day in get_days_called(date) for n in get_day_channels(day)}
        if not number.isdigit() or int(number) not in channels:
            raise WorkflowError(
                f"{target}: no channel {number!r} is selected on {date} ({len(channels)} are); "
                f"nearest: {nearest(number, sorted(channels)) if channels else 'none'}"
            )
        targets.append((target, date, int(number)))
    return targets
