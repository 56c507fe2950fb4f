"""Amplitude spectrum of one channel's LFP or high-pass signal."""

from adapter import job

from hippflow.steps.freqspectrum import make_freqspectrum

with job(globals()) as (input, output, params):
    make_freqspectrum(input.signal, output.spectrum, **params)
