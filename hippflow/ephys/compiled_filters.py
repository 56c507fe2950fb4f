"""Importing this loads the kernels of the filters, or compiles them, as signals of float32 need them.

For the process that scripts are forked from (hippflow.forks): its forks find it done. Does nothing else.
"""

import numpy as np

from hippflow.ephys.filter_kernels import to_steps
from hippflow.ephys.filters import butter_bandpass
from hippflow.ephys.highpass import highpass_blocks
from hippflow.ephys.lfp import lfp_blocks
from hippflow.ephys.zero_phase import STRETCH, zero_phase_blocks

_RATE = 30000
_SIGNAL = np.sin(np.arange(17 * STRETCH, dtype=np.float32))
for _blocks in highpass_blocks(_SIGNAL, _RATE), lfp_blocks(_SIGNAL, _RATE):
    for _block in _blocks:
        to_steps(_block, 1.0, np.empty(len(_block), np.int16))  # products of int16
# The band-pass of the LFP, which for this needs to be minutes long.
for _block in zero_phase_blocks(*butter_bandpass(8, (1, 150), 1000), _SIGNAL.astype(np.float64), stretch=STRETCH):
    pass
