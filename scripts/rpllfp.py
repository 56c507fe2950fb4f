"""LFP of one channel from its raw signal."""

from adapter import job

from hippflow.steps.rpllfp import make_rpllfp

with job(globals()) as (input, output, params):
    make_rpllfp(input.raw, output.lfp, **params)
