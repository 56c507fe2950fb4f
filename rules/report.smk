"""The report of a day, of everything else that is made of it."""


rule report:
    input:
        products=get_report_inputs,
    output:
        report=report(
            results("{day}/report.html"),
            caption="report/day.rst",
            category="Days",
            labels={"day": "{day}", "product": "report"},
        ),
    params:
        recorded=get_recorded,
        settings=get_report_settings,
    log:
        log_file("report", "{day}"),
    benchmark:
        benchmark_file("report", "{day}")
    group:
        get_day_group
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=get_eye_memory,
        runtime=get_report_runtime,
    message:
        "Report of {wildcards.day}"
    script:
        "../scripts/report.py"
