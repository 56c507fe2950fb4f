"""Electrophysiology on arrays: markers, filters, spectra, spike sorting."""
