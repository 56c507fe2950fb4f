"""Units of one channel and day: quality, metrics, mean waveforms."""

from adapter import job

from hippflow.steps.units import make_units

with job(globals()) as (input, output, params):
    make_units(input.highpass, input.firings, output.units, output.metrics, output.templates, **params)
