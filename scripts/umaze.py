"""Where the animal was, and for how long."""

from adapter import job

from hippflow.steps.umaze import make_umaze

with job(globals()) as (input, output, params):
    make_umaze(input.unity, output.umaze, **params)
