"""What signals and channels are worth: one report for each channel of a session, one table for a day."""


rule signal_quality:
    input:
        raw=results("{session}/{channel}", RPLRAW),
        lfp=results("{session}/{channel}", RPLLFP),
        highpass=results("{session}/{channel}", RPLHIGHPASS),
        lfp_spectrum=results("{session}/{channel}", PRODUCTS.spectrum("lfp")),
        highpass_spectrum=results("{session}/{channel}", PRODUCTS.spectrum("highpass")),
    output:
        quality=results("{session}/{channel}/quality.json"),
    params:
        **config["quality"],
    log:
        log_file("signal_quality", "{session}/{channel}"),
    benchmark:
        benchmark_file("signal_quality", "{session}/{channel}")
    group:
        get_channel_group
    conda:
        "../envs/ephys.yaml"
    threads: 1
    resources:
        mem_mb=get_streaming_memory,
        runtime=get_channel_runtime,
    message:
        "Signal quality of {wildcards.session}/{wildcards.channel}"
    script:
        "../scripts/signal_quality.py"


rule channels:
    input:
        unpack(get_channel_reports),
    output:
        channels=report(
            results("{day}/channels.csv"),
            caption="report/channels.rst",
            category="Days",
            labels={"day": "{day}", "product": "channels"},
        ),
    log:
        log_file("channels", "{day}"),
    benchmark:
        benchmark_file("channels", "{day}")
    group:
        get_day_group
    conda:
        "../envs/ephys.yaml"
    threads: 1
    resources:
        mem_mb=get_streaming_memory,
        runtime=get_short_runtime,
    message:
        "Table of the channels of {wildcards.day}"
    script:
        "../scripts/channels.py"
