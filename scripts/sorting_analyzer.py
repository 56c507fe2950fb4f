"""Units of one channel and day for SpikeInterface."""

from adapter import job

from hippflow.steps.analyzer import make_sorting_analyzer

with job(globals()) as (input, output, params):
    make_sorting_analyzer(input.highpass, input.firings, output.report, **params)
