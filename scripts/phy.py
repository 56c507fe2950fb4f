"""Units of one channel and day for Phy."""

from adapter import job

from hippflow.steps.phy import make_phy

with job(globals()) as (input, output, params):
    make_phy(input.highpass, input.firings, output.report, **params)
