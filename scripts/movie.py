"""A two-photon movie, plane by plane as suite2p reads it, with its projections."""

from adapter import job

from hippflow.steps.movie import make_movie

with job(globals()) as (input, output, params):
    make_movie(input.files, output.binaries, output.projections, output.report, **params)
