"""Place fields of one channel's cells in one session."""

from adapter import job

from hippflow.steps.placefield import make_placefields

with job(globals()) as (input, output, params):
    make_placefields(input.cells, input.umaze, output.table, **params)
