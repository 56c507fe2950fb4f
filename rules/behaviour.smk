"""Behaviour: maze logs and eye recordings, on one clock, to what the animal looked at and where it was."""


rule unity:
    input:
        logs=get_maze_logs,
        markers=results("{session}", RPLPARALLEL),
    output:
        unity=results("{session}/unaligned", UNITY),
    params:
        reversal_frames=config["unity"]["reversal_frames"],
    log:
        log_file("unity", "{session}"),
    benchmark:
        benchmark_file("unity", "{session}")
    group:
        get_session_group
    conda:
        "../envs/behaviour.yaml"
    threads: 1
    resources:
        mem_mb=get_streaming_memory,
        runtime=get_short_runtime,
    message:
        "Maze log of {wildcards.session}"
    script:
        "../scripts/unity.py"


# A day's eye recordings are read once for all its sessions; days with the same sessions share a rule.
for split, sessions, days in get_eye_splits():

    rule:
        name:
            split
        input:
            unpack(get_eye_recordings),
            markers=[results("{day}", name, RPLPARALLEL) for name in sessions],
        output:
            eyelink=[
                results("{day}", name, PRODUCTS.split_eyelink(name))
                for name in sessions
            ],
            missing=results("{day}/missingData.csv"),
        params:
            sessions=sessions,
            eye=config["edfsplit"]["eye"],
            screen=config["screen"],
        log:
            log_file(split, "{day}"),
        benchmark:
            benchmark_file(split, "{day}")
        group:
            get_session_group
        wildcard_constraints:
            day="|".join(days),
        conda:
            "../envs/behaviour.yaml"
        threads: 1
        resources:
            mem_mb=get_eye_memory,
            runtime=get_short_runtime,
        message:
            "Eye data of {wildcards.day}"
        script:
            "../scripts/edfsplit.py"


# A session may have a maze log, eye data or both; what there is goes onto the Ripple clock together.
for aligned, files, sessions in get_aligned_rules():

    rule:
        name:
            aligned
        input:
            **{
                name: results("{session}/unaligned", file)
                for name, file in files.items()
            },
            markers=results("{session}", RPLPARALLEL),
        output:
            **{name: results("{session}", file) for name, file in files.items()},
            report=results("{session}/alignment.json"),
            figure=report(
                results("{session}/alignment.png"),
                caption="report/alignment.rst",
                category="Alignment",
                labels={"session": "{session}"},
            ),
        params:
            **config["aligned"],
        log:
            log_file(aligned, "{session}"),
        benchmark:
            benchmark_file(aligned, "{session}")
        group:
            get_session_group
        wildcard_constraints:
            session="|".join(sessions),
        conda:
            "../envs/behaviour.yaml"
        threads: 1
        resources:
            mem_mb=get_eye_memory,
            runtime=get_short_runtime,
        message:
            "Behaviour of {wildcards.session} on the Ripple clock"
        script:
            "../scripts/aligned.py"


rule raycast:
    input:
        unity=results("{session}", UNITY),
        eyelink=results("{session}", EYELINK),
        markers=results("{session}", RPLPARALLEL),
        scene=config["raycast"]["scene"],
    output:
        gaze=results("{session}/unityfile_eyelink.csv"),
        bins=results("{session}/binData.hdf"),
        report=results("{session}/raycast.json"),
    params:
        **get_raycast_settings(),
    log:
        log_file("raycast", "{session}"),
    benchmark:
        benchmark_file("raycast", "{session}")
    group:
        get_session_group
    wildcard_constraints:
        session=NAVIGATION,
    conda:
        "../envs/behaviour.yaml"
    threads: 1
    resources:
        mem_mb=get_eye_memory,
        runtime=get_channel_runtime,
    message:
        "What the animal looked at in {wildcards.session}"
    script:
        "../scripts/raycast.py"


rule umaze:
    input:
        unity=results("{session}", UNITY),
    output:
        umaze=results("{session}", UMAZE),
    params:
        **config["umaze"],
    log:
        log_file("umaze", "{session}"),
    benchmark:
        benchmark_file("umaze", "{session}")
    group:
        get_session_group
    wildcard_constraints:
        session=NAVIGATION,
    conda:
        "../envs/behaviour.yaml"
    threads: 1
    resources:
        mem_mb=get_streaming_memory,
        runtime=get_short_runtime,
    message:
        "Where the animal was in {wildcards.session}"
    script:
        "../scripts/umaze.py"


rule placefield:
    input:
        cells=results("{session}/{channel}/cells.csv"),
        umaze=results("{session}", UMAZE),
    output:
        table=results("{session}/{channel}/placefields.csv"),
    params:
        **config["placefield"],
        **config["umaze"],
    log:
        log_file("placefield", "{session}/{channel}"),
    benchmark:
        benchmark_file("placefield", "{session}/{channel}")
    group:
        get_place_group
    wildcard_constraints:
        session=NAVIGATION,
    conda:
        "../envs/behaviour.yaml"
    threads: 1
    resources:
        mem_mb=get_streaming_memory,
        runtime=get_short_runtime,
    message:
        "Place fields of {wildcards.session}/{wildcards.channel}"
    script:
        "../scripts/placefield.py"
