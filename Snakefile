# hippflow: a recording day from raw files to finished products.
#
#   snakemake -n                           what would run, and why
#   snakemake -c8                          everything that config.yaml selects
#   snakemake -c8 day/20181105             one day
#   snakemake -c8 channel/20181105/009     one channel of one day

from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


# What snakemake --report begins with; its figures and tables are flagged in the rules.
report: "rules/report/workflow.rst"


# Configuration, plan of the run, paths, input functions.
include: "rules/common.smk"
# What is made of sessions, channels and days.
include: "rules/products.smk"
# Memory, time, and Slurm jobs.
include: "rules/resources.smk"
# Raw files from a bucket, where config.yaml names one.
include: "rules/staging.smk"
# Ripple: trial markers, raw signals, LFP, high-pass signals, spectra.
include: "rules/ripple.smk"
# Spike sorting over all sessions of a day, and the cells of every session.
include: "rules/sorting.smk"
# What signals and channels are worth.
include: "rules/quality.smk"
# Maze logs and eye recordings, on one clock, to gaze targets and place fields.
include: "rules/behaviour.smk"
# Two-photon movies: registration, cells, their activity and its clusters.
include: "rules/imaging.smk"
# A whole day in one NWB file, where config.yaml asks for it.
include: "rules/nwb.smk"
# The report of a day, of all that is made of it.
include: "rules/report.smk"
# day/20181105, channel/20181105/009, phy/20181105/009 and analyzer/20181105/009.
include: "rules/targets.smk"


rule all:
    input:
        get_all_products,
    message:
        "Everything that config.yaml selects"
    default_target: True
