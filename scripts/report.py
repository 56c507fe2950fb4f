"""The day's report: one page of everything that was recorded, made and found."""

from adapter import job

from hippflow.steps.report import make_report

with job(globals()) as (input, output, params):
    make_report(output.report, **params)
