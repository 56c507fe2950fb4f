"""rplhighpass: the high-pass signal of one channel, for spikes (PyHipp's RPLHighPass)."""

from pathlib import Path

from hippflow.ephys.highpass import highpass_blocks
from hippflow.names import highpass_args
from hippflow.steps.filtered import write_filtered

#: What this imports when it needs it; the process that scripts are forked from does so for all of them.
LATE_IMPORTS = ("hippflow.ephys.compiled_filters",)


def make_rplhighpass(raw: str | Path, product: str | Path, *, order: int, band: list[float], dtype: str) -> None:
    """Write the high-pass signal of one channel, see :func:`hippflow.ephys.highpass.highpass_blocks`.

    Parameters
    ----------
    raw : path
        The channel's raw signal.
    product : path
        ``rplhighpass_b59f.hkl``.
    order : int
    band : [float, float]
        Hz.
    dtype : {'float32', 'int16'}
    """
    write_filtered(
        raw, product, highpass_args({"order": order, "band": band}),
        prefix="hp", sampling_rate=None, order=order, band=band, dtype=dtype,
        filter_blocks=lambda x: highpass_blocks(x, x.sampling_rate, order=order, band=band),
        length=lambda n, _rate: n,
    )  # fmt: skip
