"""A plane's movie without the animal's motion."""

from adapter import job

from hippflow.steps.registration import register_plane

with job(globals()) as (input, output, params):
    register_plane(input.movie, input.report, output.data, output.registration, **params)
