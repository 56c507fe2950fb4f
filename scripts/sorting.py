"""Spike sorting of one channel over all sessions of its day."""

from adapter import job

from hippflow.steps.sorting import make_sorting

with job(globals()) as (input, output, params):
    make_sorting(input.highpass, output.firings, **params)
