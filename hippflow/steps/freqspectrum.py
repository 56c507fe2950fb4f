"""freqspectrum: the amplitude spectrum of one channel's LFP or high-pass signal (PyHipp's FreqSpectrum)."""

from pathlib import Path
from typing import Any

from hippflow.ephys.spectrum import amplitude_spectrum
from hippflow.io.products import base_fields, write_product
from hippflow.io.signals import open_signal


def make_freqspectrum(signal: str | Path, product: str | Path, *, args: dict[str, Any]) -> None:
    """Write the spectrum of one signal, see :func:`hippflow.ephys.spectrum.amplitude_spectrum`.

    Parameters
    ----------
    signal : path
        ``rpllfp_....hkl`` or ``rplhighpass_....hkl``.
    product : path
        ``freqspectrum_....hkl``.
    args : dict
        PyHipp's arguments; 'pointsPerWindow' is the length of a window in samples.
    """
    with open_signal(signal) as x:
        spectrum = amplitude_spectrum(x, x.sampling_rate, args["pointsPerWindow"])
    fields = base_fields(product, "channel", args)
    write_product(
        product,
        fields
        | {
            "freq": [spectrum.freq],
            "magnitude": [spectrum.magnitude],
            "magstderr": [spectrum.magstderr],
            "numberOfWindows": [spectrum.n_windows],
            "array_dict": {fields["dirs"][0].rsplit("/", 1)[0]: 0},
            "current_plot_type": None,
            "numSets": 1,
        },
    )
