"""The projections of a two-photon recording, animated over planes or over time."""

from adapter import job

from hippflow.steps.projections import make_projections

with job(globals()) as (input, output, params):
    make_projections(input.projections, output.maximum, output.standard_deviation, **params)
