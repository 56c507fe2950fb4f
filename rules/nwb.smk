"""A finished day in one NWB file."""


rule nwb:
    input:
        unpack(get_nwb_sources),
    output:
        nwb=results("{subject}/{date}/{subject}_{date}.nwb"),
    params:
        settings=get_nwb_settings,
    log:
        log_file("nwb", "{subject}/{date}"),
    benchmark:
        benchmark_file("nwb", "{subject}/{date}")
    wildcard_constraints:
        subject=r"[A-Za-z]+",
        date=r"\d{8}",
    conda:
        "../envs/outputs.yaml"
    threads: 1
    resources:
        mem_mb=get_nwb_memory,
        runtime=get_nwb_runtime,
    message:
        "NWB file of {wildcards.subject}/{wildcards.date}"
    script:
        "../scripts/nwb.py"
