"""Two-photon imaging: the movie, without motion, cells and their activity, and its clusters."""

# A movie of several planes is split in one pass; recordings with as many planes share a rule.
for movie, n_planes, recordings in get_movie_rules():

    rule:
        name:
            movie
        input:
            files=get_movie_files,
        output:
            binaries=[
                results("{recording}/movie", f"plane{k}.bin") for k in range(n_planes)
            ],
            projections=[
                results("{recording}/movie", f"plane{k}.npz") for k in range(n_planes)
            ],
            report=results("{recording}/movie/movie.json"),
        params:
            planes=config["movie"]["planes"],
            channels=config["movie"]["channels"],
            functional_channel=config["movie"]["functional_channel"],
        log:
            log_file(movie, "{recording}"),
        benchmark:
            benchmark_file(movie, "{recording}")
        group:
            get_imaging_group
        wildcard_constraints:
            recording="|".join(recordings),
        conda:
            "../envs/imaging.yaml"
        threads: 1
        resources:
            mem_mb=get_streaming_memory,
            runtime=get_movie_runtime,
        message:
            "Movie of {wildcards.recording}"
        script:
            "../scripts/movie.py"


rule registration:
    input:
        movie=results("{recording}/movie/plane{plane}.bin"),
        report=results("{recording}/movie/movie.json"),
    output:
        data=results("{recording}/suite2p/plane{plane}/data.bin"),
        registration=results("{recording}/suite2p/plane{plane}/reg_outputs.npy"),
    params:
        settings=registration_settings(suite2p_settings(config)),
    log:
        log_file("registration", "{recording}/plane{plane}"),
    benchmark:
        benchmark_file("registration", "{recording}/plane{plane}")
    group:
        get_plane_group
    conda:
        "../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=get_registration_memory,
        runtime=get_registration_runtime,
    message:
        "Motion of {wildcards.recording}, plane {wildcards.plane}"
    script:
        "../scripts/registration.py"


rule suite2p:
    input:
        data=results("{recording}/suite2p/plane{plane}/data.bin"),
        registration=results("{recording}/suite2p/plane{plane}/reg_outputs.npy"),
        report=results("{recording}/movie/movie.json"),
    output:
        **{
            name: results("{recording}/suite2p/plane{plane}", f"{name}.npy")
            for name in SUITE2P
        },
    params:
        settings=suite2p_settings(config),
        memory_mb=config["suite2p"]["memory"],
    log:
        log_file("suite2p", "{recording}/plane{plane}"),
    benchmark:
        benchmark_file("suite2p", "{recording}/plane{plane}")
    group:
        get_plane_group
    conda:
        "../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=get_detection_memory,
        runtime=get_detection_runtime,
    message:
        "Cells of {wildcards.recording}, plane {wildcards.plane}"
    script:
        "../scripts/suite2p.py"


rule kmeans:
    input:
        **{
            name: results("{recording}/suite2p/plane{plane}", f"{name}.npy")
            for name in ("F", "Fneu", "spks", "stat", "iscell", "settings")
        },
    output:
        table=results("{recording}/kmeans/plane{plane}/clusters.csv"),
        covariance=results("{recording}/kmeans/plane{plane}/covariance.npy"),
    params:
        **config["kmeans"],
    log:
        log_file("kmeans", "{recording}/plane{plane}"),
    benchmark:
        benchmark_file("kmeans", "{recording}/plane{plane}")
    group:
        get_plane_group
    conda:
        "../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=get_imaging_memory,
        runtime=get_short_runtime,
    message:
        "Clusters of {wildcards.recording}, plane {wildcards.plane}"
    script:
        "../scripts/kmeans.py"


rule figure5:
    input:
        **{
            name: results("{recording}/suite2p/plane{plane}", f"{name}.npy")
            for name in ("F", "Fneu", "spks", "stat", "settings")
        },
        movie=results("{recording}/movie/plane{plane}.npz"),
        registration=results("{recording}/suite2p/plane{plane}/reg_outputs.npy"),
        table=results("{recording}/kmeans/plane{plane}/clusters.csv"),
        covariance=results("{recording}/kmeans/plane{plane}/covariance.npy"),
    output:
        png=report(
            results("{recording}/kmeans/plane{plane}/figure5.png"),
            caption="report/figure5.rst",
            category="Imaging",
            subcategory="Cells and clusters",
            labels={"recording": "{recording}", "plane": "{plane}"},
        ),
        pdf=results("{recording}/kmeans/plane{plane}/figure5.pdf"),
    params:
        fs=config["suite2p"]["fs"],
        traces=config["kmeans"]["traces"],
    log:
        log_file("figure5", "{recording}/plane{plane}"),
    benchmark:
        benchmark_file("figure5", "{recording}/plane{plane}")
    group:
        get_plane_group
    conda:
        "../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=get_imaging_memory,
        runtime=get_short_runtime,
    message:
        "Figure of {wildcards.recording}, plane {wildcards.plane}"
    script:
        "../scripts/figure5.py"


rule projections:
    input:
        projections=get_plane_projections,
    output:
        maximum=report(
            results("{recording}/projections/maximum.gif"),
            caption="report/projections.rst",
            category="Imaging",
            subcategory="Projections",
            labels={"recording": "{recording}", "projection": "maximum"},
        ),
        standard_deviation=report(
            results("{recording}/projections/standard_deviation.gif"),
            caption="report/projections.rst",
            category="Imaging",
            subcategory="Projections",
            labels={"recording": "{recording}", "projection": "standard deviation"},
        ),
    params:
        **config["projections"],
    log:
        log_file("projections", "{recording}"),
    benchmark:
        benchmark_file("projections", "{recording}")
    group:
        get_imaging_group
    conda:
        "../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=get_imaging_memory,
        runtime=get_short_runtime,
    message:
        "Animated projections of {wildcards.recording}"
    script:
        "../scripts/projections.py"
