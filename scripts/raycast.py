"""What the animal looked at, sample by sample."""

from adapter import job

from hippflow.steps.raycast import make_raycast

with job(globals()) as (input, output, params):
    make_raycast(
        input.unity, input.eyelink, input.markers, input.scene, output.gaze, output.bins, output.report, **params
    )
