"""Trial markers of one session from its .nev."""

from adapter import job

from hippflow.steps.rplparallel import make_rplparallel

with job(globals()) as (input, output, params):
    make_rplparallel(input.nev, output.markers, **params)
