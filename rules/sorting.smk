"""Spike sorting: a channel's high-pass signals of all sessions of a day to units, and those to every session's cells."""


rule sorting:
    input:
        highpass=get_day_highpass,
    output:
        firings=results("{day}/mountains/channel{number}/firings.hkl"),
    params:
        **config["sorting"],
    log:
        log_file("sorting", "{day}/channel{number}"),
    benchmark:
        benchmark_file("sorting", "{day}/channel{number}")
    group:
        get_channel_group
    conda:
        "../envs/ephys.yaml"
    threads: 1
    resources:
        mem_mb=get_sorting_memory,
        runtime=get_sorting_runtime,
    message:
        "Spike sorting of {wildcards.day}, channel {wildcards.number}"
    script:
        "../scripts/sorting.py"


rule units:
    input:
        highpass=get_day_highpass,
        firings=results("{day}/mountains/channel{number}/firings.hkl"),
        curation=get_curation,
    output:
        units=results("{day}/mountains/channel{number}/units.csv"),
        metrics=results("{day}/mountains/channel{number}/metrics.csv"),
        templates=results("{day}/mountains/channel{number}/templates.hkl"),
    params:
        **config["units"],
    log:
        log_file("units", "{day}/channel{number}"),
    benchmark:
        benchmark_file("units", "{day}/channel{number}")
    group:
        get_channel_group
    conda:
        "../envs/ephys.yaml"
    threads: 1
    resources:
        mem_mb=get_units_memory,
        runtime=get_channel_runtime,
    message:
        "Units of {wildcards.day}, channel {wildcards.number}"
    script:
        "../scripts/units.py"


rule spiketrain:
    input:
        unpack(get_sorting),
        highpass=get_highpass,
    output:
        cells=results("{session}/{channel}/cells.csv"),
    params:
        **config["spiketrain"],
    log:
        log_file("spiketrain", "{session}/{channel}"),
    benchmark:
        benchmark_file("spiketrain", "{session}/{channel}")
    group:
        get_channel_group
    conda:
        "../envs/ephys.yaml"
    threads: 1
    resources:
        mem_mb=get_streaming_memory,
        runtime=get_short_runtime,
    message:
        "Spike trains of {wildcards.session}/{wildcards.channel}"
    script:
        "../scripts/spiketrain.py"


# To look at units, on request: phy/20181105/009 and analyzer/20181105/009.


rule phy:
    input:
        highpass=get_day_highpass,
        firings=results("{day}/mountains/channel{number}/firings.hkl"),
    output:
        report=results("{day}/mountains/channel{number}/phy/hippflow.json"),
    params:
        isi_ms=config["units"]["isi_ms"],
    log:
        log_file("phy", "{day}/channel{number}"),
    benchmark:
        benchmark_file("phy", "{day}/channel{number}")
    group:
        get_channel_group
    conda:
        "../envs/ephys.yaml"
    threads: 1
    resources:
        mem_mb=get_viewer_memory,
        runtime=get_split_runtime,
    message:
        "Phy folder of {wildcards.day}, channel {wildcards.number}"
    script:
        "../scripts/phy.py"


rule sorting_analyzer:
    input:
        highpass=get_day_highpass,
        firings=results("{day}/mountains/channel{number}/firings.hkl"),
    output:
        report=results("{day}/mountains/channel{number}/analyzer/hippflow.json"),
    params:
        isi_ms=config["units"]["isi_ms"],
    log:
        log_file("sorting_analyzer", "{day}/channel{number}"),
    benchmark:
        benchmark_file("sorting_analyzer", "{day}/channel{number}")
    group:
        get_channel_group
    conda:
        "../envs/ephys.yaml"
    threads: 1
    resources:
        mem_mb=get_viewer_memory,
        runtime=get_split_runtime,
    message:
        "SortingAnalyzer of {wildcards.day}, channel {wildcards.number}"
    script:
        "../scripts/sorting_analyzer.py"
