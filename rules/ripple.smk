"""Ripple recordings: .nev to trial markers, .ns5 to raw signals, LFP, high-pass signals and spectra."""


rule rplparallel:
    input:
        nev=get_nev,
    output:
        markers=results("{session}", RPLPARALLEL),
    params:
        **config["rplparallel"],
        recording_started=get_recording_start,
    log:
        log_file("rplparallel", "{session}"),
    benchmark:
        benchmark_file("rplparallel", "{session}")
    group:
        get_session_group
    conda:
        "../envs/ephys.yaml"
    threads: 1
    resources:
        mem_mb=get_streaming_memory,
        runtime=get_short_runtime,
    message:
        "Trial markers of {wildcards.session}"
    script:
        "../scripts/rplparallel.py"


# One pass over a recording makes the raw signals of all its channels; sessions with the
# same channels to make share a rule (hippflow/day/plan.py).
for split in PLAN.splits:

    rule:
        name:
            split.name
        input:
            unpack(get_recording),
        output:
            raw=expand(results("{{session}}/{channel}", RPLRAW), channel=split.channels),
        params:
            **config["rplsplit"],
            dtype=config["products"]["dtype"],
        log:
            log_file(split.name, "{session}"),
        benchmark:
            benchmark_file(split.name, "{session}")
        wildcard_constraints:
            session="|".join(split.sessions),
        conda:
            "../envs/ephys.yaml"
        threads: 1
        resources:
            mem_mb=get_streaming_memory,
            runtime=get_split_runtime,
        message:
            "Raw signals of {wildcards.session}"
        script:
            "../scripts/rplsplit.py"


rule rpllfp:
    input:
        raw=results("{session}/{channel}", RPLRAW),
    output:
        lfp=results("{session}/{channel}", RPLLFP),
    params:
        **config["rpllfp"],
        dtype=config["products"]["dtype"],
    log:
        log_file("rpllfp", "{session}/{channel}"),
    benchmark:
        benchmark_file("rpllfp", "{session}/{channel}")
    group:
        get_channel_group
    conda:
        "../envs/ephys.yaml"
    threads: 1
    resources:
        mem_mb=get_streaming_memory,
        runtime=get_channel_runtime,
    message:
        "LFP of {wildcards.session}/{wildcards.channel}"
    script:
        "../scripts/rpllfp.py"


rule rplhighpass:
    input:
        raw=results("{session}/{channel}", RPLRAW),
    output:
        highpass=results("{session}/{channel}", RPLHIGHPASS),
    params:
        **config["rplhighpass"],
        dtype=config["products"]["dtype"],
    log:
        log_file("rplhighpass", "{session}/{channel}"),
    benchmark:
        benchmark_file("rplhighpass", "{session}/{channel}")
    group:
        get_channel_group
    conda:
        "../envs/ephys.yaml"
    threads: 1
    resources:
        mem_mb=get_streaming_memory,
        runtime=get_channel_runtime,
    message:
        "High-pass signal of {wildcards.session}/{wildcards.channel}"
    script:
        "../scripts/rplhighpass.py"


rule freqspectrum:
    input:
        signal=get_spectrum_signal,
    output:
        spectrum=results("{session}/{channel}/freqspectrum_{spectrum}.hkl"),
    params:
        args=get_spectrum_args,
    log:
        log_file("freqspectrum", "{session}/{channel}_{spectrum}"),
    benchmark:
        benchmark_file("freqspectrum", "{session}/{channel}_{spectrum}")
    group:
        get_channel_group
    wildcard_constraints:
        spectrum="|".join(SPECTRA),
    conda:
        "../envs/ephys.yaml"
    threads: 1
    resources:
        mem_mb=get_streaming_memory,
        runtime=get_channel_runtime,
    message:
        "Amplitude spectrum of {wildcards.session}/{wildcards.channel}"
    script:
        "../scripts/freqspectrum.py"
