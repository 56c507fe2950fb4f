"""Raw files from a bucket: each comes down once, to where every job can read it."""

# Only these jobs have objects as inputs, so that an object that changed is fetched again.
if IN_BUCKET:

    storage raw:
        provider="hippflow-s3",

    rule staging:
        input:
            object=storage.raw(f"{BUCKET}/{{file}}", retrieve=False),
        output:
            raw=f"{config['staging']}/{{file}}",
        params:
            as_planned=get_object,
        log:
            log_file("staging", "{file}"),
        benchmark:
            benchmark_file("staging", "{file}")
        group:
            get_staging_group
        wildcard_constraints:
            file=r"[A-Za-z]+/\d{8}/.+",
        conda:
            "../envs/cloud.yaml"
        threads: 1
        resources:
            mem_mb=get_streaming_memory,
            runtime=get_staging_runtime,
        message:
            "Copy of {wildcards.file} from the bucket"
        script:
            "../scripts/staging.py"
