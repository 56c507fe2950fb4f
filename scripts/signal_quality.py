"""Quality of one channel's signals in one session."""

from adapter import job

from hippflow.steps.signal_quality import make_signal_quality

with job(globals()) as (input, output, params):
    signals = input.raw, input.lfp, input.highpass, input.lfp_spectrum, input.highpass_spectrum
    make_signal_quality(*signals, output.quality, **params)
