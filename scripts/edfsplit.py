"""A day's eye recordings, split into its sessions."""

from adapter import job

from hippflow.steps.edfsplit import make_edfsplit

with job(globals()) as (input, output, params):
    sessions = params.pop("sessions")
    make_edfsplit(
        getattr(input, "navigation", None),
        getattr(input, "fixation", None),
        dict(zip(sessions, input.markers, strict=True)),
        dict(zip(sessions, output.eyelink, strict=True)),
        output.missing,
        **params,
    )
