"""What jobs get: memory and time, and the Slurm job that they share. No rules."""

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
    """Memory of a sorting: the default sorter holds the spikes alone, others the day of a channel, 20 bytes a sample."""
    if config["sorting"]["sorter"] == "gaussian_mixture":
        return get_units_memory(wildcards, attempt)
    return get_viewer_memory(wildcards, attempt)


def get_units_memory(wildcards, attempt):
    """Memory of a step on a day's spikes, some 100 a second at most, that reads the signal block by block."""
    return int(1500 + get_seconds(wildcards) * 100_000 / 1e6) * attempt


def get_viewer_memory(wildcards, attempt):
    """Memory of what viewers read: the whole day of one channel, some 20 bytes a sample."""
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
    """Time of sorting one channel: the default sorter is some thousand times faster than real time, others ten times."""
    share = 20 if config["sorting"]["sorter"] == "gaussian_mixture" else 2
    return int(10 + get_seconds(wildcards) / 60 / share) * attempt


# Imaging: from the size of a frame and of the files; where these are compressed, the next attempt gets more.


def get_megapixels(recording):
    """Pixels of all frames of one plane in millions, of 2 bytes each."""
    return recording.n_bytes / 2e6 / recording.planes / recording.channels


def get_imaging_memory(wildcards, attempt):
    """Memory of a step on traces, projections or pictures of a recording."""
    recording = RECORDINGS[wildcards.recording]
    return int(1500 + recording.height * recording.width * 48 * 16 / 1e6) * attempt


def get_movie_runtime(wildcards, attempt):
    """Time of a pass over a movie at 20 MB/s, a slow shared disk."""
    return int(5 + RECORDINGS[wildcards.recording].n_bytes / 20e6 / 60) * attempt


def get_suite2p_memory(recording):
    """Memory that registration and finding cells take. Compressed files may have four times the frames of their size."""
    frames = 4e6 * get_megapixels(recording) / (recording.height * recording.width)
    try:
        return stage_memory(
            suite2p_settings(config),
            height=recording.height,
            width=recording.width,
            n_frames=int(frames),
            memory_mb=config["suite2p"]["memory"],
        )
    except HippflowError as error:
        raise WorkflowError(str(error))


def get_registration_memory(wildcards, attempt):
    """Memory of the correction of motion, some batches of frames."""
    return get_suite2p_memory(RECORDINGS[wildcards.recording])[0] * attempt


def get_registration_runtime(wildcards, attempt):
    """Time of the correction of motion: 5 megapixels a second, a third of what one core does."""
    return int(10 + get_megapixels(RECORDINGS[wildcards.recording]) / 5 / 60) * attempt


def get_detection_memory(wildcards, attempt):
    """Memory of finding cells, at most what the bins of time are made to fit."""
    return get_suite2p_memory(RECORDINGS[wildcards.recording])[1] * attempt


def get_detection_runtime(wildcards, attempt):
    """Time of finding cells and their traces: 20 megapixels a second."""
    return int(20 + get_megapixels(RECORDINGS[wildcards.recording]) / 20 / 60) * attempt


# A page of everything of a day.


def get_report_runtime(wildcards, attempt):
    """Time of a report: a few files of every channel, and what the animal looked at, 1000 samples a second."""
    sessions = DAYS[wildcards.day]
    n_channels = sum(len(session.channels) for session in sessions)
    return int(10 + n_channels / 30 + sum(s.seconds for s in sessions) / 600) * attempt


# The whole day in one file.


def get_nwb_bytes(wildcards):
    """Bytes of the signals and the frames of a day whose NWB file is written."""
    day = f"{wildcards.subject}/{wildcards.date}"
    share = 1 if "raw" in config["nwb"]["modalities"] else 1 / 20
    movies = sum(movie.n_bytes for movie in PLAN.catalog.recordings if movie.day == day)
    return sum(session.n_bytes for session in DAYS[day]) * share + movies / 20


def get_nwb_memory(wildcards, attempt):
    """Memory of an NWB file: blocks of its signals, and all spikes of a day, some 100 a second and channel at most."""
    sessions = DAYS[f"{wildcards.subject}/{wildcards.date}"]
    channel_seconds = sum(len(one.channels) * one.seconds for one in sessions)
    return int(1500 + channel_seconds * 100 * 24 / 1e6) * attempt


def get_nwb_runtime(wildcards, attempt):
    """Time of an NWB file: it is compressed at 10 MB/s at least, on a slow shared disk."""
    return int(15 + get_nwb_bytes(wildcards) / 10e6 / 60) * attempt


# Slurm jobs. Snakemake jobs with the same group share one; profiles/slurm says how many
# channels do. All chains of jobs with one group id go together (see "block" there).


def get_block(stage, day, number=1):
    """Group of jobs on one subject/day that go into one Slurm job as a whole.

    None in a dry run without the Slurm profile: a run on this machine has none, and they take a fifth of the time.
    """
    if workflow.dryrun and not workflow.group_settings.group_components:
        return None
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
    return get_block(stage, day, PRODUCTS.channels(day).index(number) // size + 1)


def get_channel_group(wildcards):
    """Signals, sorting and cells of a block of channels."""
    return get_channel_block(wildcards)


def get_place_group(wildcards):
    """Place fields of a block: apart, so that signals and sorting do not wait for behaviour."""
    return get_channel_block(wildcards, "places")


def get_imaging_group(wildcards):
    """The movies of a day and their projections go together."""
    return get_block("movies", RECORDINGS[wildcards.recording].day)


def get_day_group(wildcards):
    """What is made of a whole day when everything else of it is there."""
    return get_block("report", wildcards.day)


def get_plane_group(wildcards):
    """All steps of one plane go together: planes run beside each other."""
    recording = Path(wildcards.recording)
    return get_block(
        f"{recording.name}_plane", str(recording.parent), int(wildcards.plane) + 1
    )
