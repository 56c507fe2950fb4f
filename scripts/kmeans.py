"""Clusters of a plane's cells by the covariance of their activity."""

from adapter import job

from hippflow.steps.kmeans import make_clusters

with job(globals()) as (input, output, params):
    make_clusters(
        input.F,
        input.Fneu,
        input.spks,
        input.stat,
        input.iscell,
        input.settings,
        output.table,
        output.covariance,
        **params,
    )
