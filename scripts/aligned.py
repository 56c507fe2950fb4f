"""Maze and eye data of one session on the Ripple clock."""

from adapter import job

from hippflow.steps.aligned import make_aligned

with job(globals()) as (input, output, params):
    make_aligned(
        input.unity, input.eyelink, input.markers, output.unity, output.eyelink, output.report, output.figure, **params
    )
