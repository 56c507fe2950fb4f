"""Units of one channel and day: quality, metrics, mean waveforms."""

from adapter import job

from hippflow.steps.units import make_units

with job(globals()) as (input, output, params):
    curation = getattr(input, "curation", None) or None  # an empty list where there is no such file
    tables = output.units, output.metrics, output.templates
    make_units(input.highpass, input.firings, *tables, curation, **params)
