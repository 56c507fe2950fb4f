"""Maze log of one session, with the measures of its routes."""

from adapter import job

from hippflow.steps.unity import make_unity

with job(globals()) as (input, output, params):
    make_unity(input.logs, input.markers, output.unity, **params)
