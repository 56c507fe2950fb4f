"""Raw signals of one session's channels from its continuous recording, in one pass."""

from adapter import job

from hippflow.steps.rplsplit import make_rplraw

with job(globals()) as (input, output, params):
    params.pop("suffix")  # has done its work in choosing the file
    make_rplraw(input.nsx, output.raw, nev=getattr(input, "nev", None), **params)
