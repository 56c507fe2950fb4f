"""Maze and eye data of one session on the Ripple clock."""

from adapter import job

from hippflow.steps.aligned import make_aligned

with job(globals()) as (input, output, params):
    make_aligned(
        getattr(input, "unity", None),
        getattr(input, "eyelink", None),
        input.markers,
        getattr(output, "unity", None),
        getattr(output, "eyelink", None),
        output.report,
        output.figure,
        **params,
    )
