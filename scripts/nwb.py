"""Everything of a day in one NWB file."""

from adapter import job

from hippflow.nwb.sources import KINDS
from hippflow.steps.nwb import make_nwb

with job(globals()) as (input, output, params):
    sources = {kind: list(getattr(input, kind, ())) for kind in KINDS}
    make_nwb(sources, output.nwb, **params)
