"""rpllfp: the local field potential of one channel (PyHipp's RPLLFP)."""

from pathlib import Path

from hippflow.ephys.lfp import lfp_blocks, lfp_length
from hippflow.names import lfp_args
from hippflow.steps.filtered import write_filtered

#: What this imports when it needs it; the process that scripts are forked from does so for all of them.
LATE_IMPORTS = ("hippflow.ephys.compiled_filters",)


def make_rpllfp(
    raw: str | Path, product: str | Path, *, resample_rate: int, order: int, band: list[float], dtype: str
) -> None:
    """Write the LFP of one channel, see :func:`hippflow.ephys.lfp.lfp_blocks`.

    Parameters
    ----------
    raw : path
        The channel's raw signal.
    product : path
        ``rpllfp_6eca.hkl``.
    resample_rate : int
        Hz.
    order : int
    band : [float, float]
        Hz.
    dtype : {'float32', 'int16'}
    """
    write_filtered(
        raw, product, lfp_args({"resample_rate": resample_rate, "order": order, "band": band}),
        prefix="lfp", sampling_rate=resample_rate, order=order, band=band, dtype=dtype,
        filter_blocks=lambda x: lfp_blocks(x, x.sampling_rate, resample_rate=resample_rate, order=order, band=band),
        length=lambda n, rate: lfp_length(n, rate, resample_rate),
    )  # fmt: skip
