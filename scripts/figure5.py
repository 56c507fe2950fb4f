"""First image, covariance matrix, map and traces of a plane's clusters in one figure."""

from adapter import job

from hippflow.steps.figure5 import make_figure5

with job(globals()) as (input, output, params):
    make_figure5(
        input.movie,
        input.registration,
        input.stat,
        input.F,
        input.Fneu,
        input.spks,
        input.settings,
        input.table,
        input.covariance,
        output.png,
        output.pdf,
        **params,
    )
