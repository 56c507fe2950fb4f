"""Configuration, the run's plan, and the functions that give rules their inputs and parameters. No rules.

Wildcards: `session` is subject/day/session, `channel` is arrayNN/channelNNN, `day`
is subject/day; `number` is a channel's three digits. `recording` is subject/day/imagingNN,
`plane` the number of one of its planes, from 0.
"""

import sys
from pathlib import Path

from hippflow_snakemake import script
from hippflow_snakemake.shortcuts import take_shortcuts
from snakemake.exceptions import WorkflowError
from snakemake_logger_plugin_hippflow import describe_run, guard_budget

from hippflow.day.config import check_config, load_schema, suite2p_settings
from hippflow.imaging.settings import registration_settings, stage_memory
from hippflow.names import spectrum_args
from hippflow.day.plan import EMPTY_PLAN, make_plan, read_plan
from hippflow.day.products import SUITE2P, UNITY, Products
from hippflow.day.raw import raw_tree
from hippflow.driver import check_folders, claim_of, clear_up, start_record
from hippflow.errors import HippflowError
from hippflow.io.disk import check_room, claim_results
from hippflow.nwb.sources import check_nwb, nwb_settings, nwb_sources

#: Folder of what a run keeps about itself.
STATE = ".snakemake/hippflow"


def get_cost(run):
    """What a run has cost, for its summary and the ledger."""
    from hippflow.cost.bill import settle  # half a second that jobs need not spend

    return settle(run)


take_shortcuts()

try:
    if workflow.is_main_process and not {"-n", "--dry-run", "--dryrun"} & set(sys.argv):
        check_room(STATE)
        clear_up(STATE, ".snakemake/locks")
    config = check_config(
        config, load_schema(workflow.source_path("../schemas/config.schema.yaml"))
    )
    if workflow.is_main_process:
        describe_run(config, workflow, get_cost)
    # Who is told is a matter of the driver: it may be secret, and Snakemake keeps the configuration of scripts in files.
    config = {key: value for key, value in config.items() if key != "notify"}
    IN_BUCKET = config["data"].startswith("s3://")
    if not workflow.is_main_process:
        PLAN = read_plan()
    elif "--lint" in sys.argv and not Path(config["data"]).exists():
        PLAN = EMPTY_PLAN
    else:
        PLAN = make_plan(config, STATE, raw_tree(config))
    check_nwb(
        config["nwb"],
        PLAN.catalog.days,
        [recording.day for recording in PLAN.catalog.recordings],
    )
except HippflowError as error:
    raise WorkflowError(str(error))

BUCKET = config["data"].rstrip("/")
SESSIONS = PLAN.catalog.by_path
DAYS = PLAN.catalog.days
RECORDINGS = {recording.path: recording for recording in PLAN.catalog.recordings}

PRODUCTS = Products(config, PLAN.catalog)
RPLRAW, RPLPARALLEL = PRODUCTS.rplraw, PRODUCTS.rplparallel
RPLLFP, RPLHIGHPASS = PRODUCTS.rpllfp, PRODUCTS.rplhighpass
EYELINK, UMAZE, SPECTRA = PRODUCTS.eyelink, PRODUCTS.umaze, PRODUCTS.spectra
#: Sessions of navigation, in which the animal is in the maze.
NAVIGATION = r"[A-Za-z]+/\d{8}/session\d{2}"


# A run that is killed leaves this record, for the next one to clear up after it. Jobs are
# known by now, and none has started.
onstart:
    check_folders(config)
    claim_results(claim_of(config["results"]))
    start_record(STATE)
    guard_budget(config, workflow, STATE)


wildcard_constraints:
    session=r"[A-Za-z]+/\d{8}/session(\d{2}|eye)",
    day=r"[A-Za-z]+/\d{8}",
    channel=r"array\d{2}/channel\d{3}",
    number=r"\d{3}",
    recording=r"[A-Za-z]+/\d{8}/imaging\d{2}",
    plane=r"\d+",


def results(*parts):
    """Path of a product below the results root."""
    return str(Path(config["results"], *parts))


def log_file(rule_name, path):
    """Path of a job's log, outside the folders of the data."""
    return results("logs", rule_name, f"{path}.log")


def benchmark_file(rule_name, path):
    """Path of a job's benchmark table."""
    return results("benchmarks", rule_name, f"{path}.tsv")


# Inputs


def get_object(wildcards):
    """Size, checksum and time of an object as it is in the plan of the run."""
    return PLAN.objects[f"{BUCKET}/{wildcards.file}"]


def get_nev(wildcards):
    """The session's digital events."""
    return SESSIONS[wildcards.session].nev


def get_recording_start(wildcards):
    """When the session's continuous recording began by its headers, None where they do not say it."""
    return SESSIONS[wildcards.session].started


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


def get_curation(wildcards):
    """What a person decided about the channel's units, where that is written down."""
    path = PRODUCTS.curation(wildcards.day, int(wildcards.number))
    return path if Path(path).exists() else []


def get_channel_reports(wildcards):
    """Quality of the day's channels in every session, and their units."""
    return PRODUCTS.channel_reports(wildcards.day)


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
    """A day's sessions that its eye recordings have, and that have trial markers to find them by."""
    return [session for session in DAYS[day] if session.eye and session.nev]


def get_eye_recordings(wildcards):
    """The day's eye recordings: of navigation, of fixation, or both."""
    return {
        "fixation" if session.name == "sessioneye" else "navigation": session.eye
        for session in get_eye_sessions(wildcards.day)
    }


def get_eye_splits():
    """Rules that split a day's eye recordings: name, sessions, and the days that have just these."""
    days = {}
    for day in DAYS:
        sessions = tuple(session.name for session in get_eye_sessions(day))
        if sessions:
            days.setdefault(sessions, []).append(day)
    ordered = sorted(days.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        (f"edfsplit_{k}" if k > 1 else "edfsplit", sessions, where)
        for k, (sessions, where) in enumerate(ordered, start=1)
    ]


def get_aligned_rules():
    """Rules that put devices on the Ripple clock: name, devices, and the sessions that have just these."""
    sessions = {}
    for session in SESSIONS.values():
        sessions.setdefault("_".join(PRODUCTS.devices(session)), []).append(session)
    return [
        (
            "aligned" if "_" in name else f"aligned_{name}",
            PRODUCTS.devices(some[0]),
            [s.path for s in some],
        )
        for name, some in sorted(sessions.items())
        if name
    ]


def get_movie_files(wildcards):
    """The TIFF files of a movie, in order."""
    return RECORDINGS[wildcards.recording].files


def get_movie_rules():
    """Rules that split movies into planes: name, number of planes, and the recordings that have so many."""
    planes = {}
    for recording in RECORDINGS.values():
        planes.setdefault(recording.planes, []).append(recording.path)
    return [
        (f"movie_{n}_planes" if n > 1 else "movie", n, paths)
        for n, paths in sorted(planes.items())
    ]


def get_plane_projections(wildcards):
    """The projections of a movie's planes."""
    n_planes = RECORDINGS[wildcards.recording].planes
    return [
        results(wildcards.recording, "movie", f"plane{k}.npz") for k in range(n_planes)
    ]


def get_report_inputs(wildcards):
    """Everything that the report of a day is made of."""
    return PRODUCTS.report_inputs(wildcards.day)


def get_nwb_sources(wildcards):
    """The products of a day that its NWB file has, by kind."""
    return nwb_sources(PRODUCTS, f"{wildcards.subject}/{wildcards.date}")


# Parameters


def get_nwb_settings(wildcards):
    """What a day's NWB file depends on besides: other animals are left out."""
    return nwb_settings(config["nwb"], f"{wildcards.subject}/{wildcards.date}")


def get_recorded(wildcards):
    """What was recorded on a day, for its report."""
    return PRODUCTS.recorded(wildcards.day)


def get_report_settings(wildcards):
    """Everything of the configuration that the report of a day depends on."""
    return PRODUCTS.report_settings(wildcards.day)


def get_raycast_settings():
    """Parameters of the ray casting: the camera, the screen and the rays."""
    settings = config["raycast"] | {"screen": config["screen"]}
    del settings["scene"]  # an input
    return settings


def get_spectrum_args(wildcards):
    """PyHipp's arguments of a spectrum."""
    return spectrum_args(SPECTRA[wildcards.spectrum], config["freqspectrum"])
