"""The day's channels in one table."""

from adapter import job

from hippflow.steps.channels import make_channels

with job(globals()) as (input, output, params):
    make_channels(input.quality, input.units, output.channels)
