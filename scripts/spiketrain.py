"""Spike trains of one channel's units in one session."""

from adapter import job

from hippflow.steps.spiketrain import make_spiketrains

with job(globals()) as (input, output, params):
    make_spiketrains(input.firings, input.units, input.highpass, output.cells, selection=params["cells"])
