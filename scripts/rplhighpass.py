"""High-pass signal of one channel from its raw signal."""

from adapter import job

from hippflow.steps.rplhighpass import make_rplhighpass

with job(globals()) as (input, output, params):
    make_rplhighpass(input.raw, output.highpass, **params)
