"""A raw file of a bucket, copied once to where all jobs can read it."""

from adapter import job

from hippflow.cloud.staging import stage_object

with job(globals()) as (input, output, params):
    stage_object(input.object, output.raw, **params["as_planned"])
