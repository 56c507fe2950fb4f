"""Cells of one plane, their signals and spikes, by suite2p."""

from pathlib import Path

from adapter import job

from hippflow.steps.suite2p import find_cells

with job(globals()) as (input, output, params):
    find_cells(input.data, input.registration, input.report, Path(output.F).parent, **params)
