"""Importing this makes the machine code of the sorting, which takes seconds where it is not kept already.

For the process that scripts are forked from (hippflow.forks): its forks find it done. Does nothing else.
"""

import numpy as np

from hippflow.ephys.sorting import sort_spikes

_SIGNAL = np.random.default_rng(0).normal(0, 1, 30000).astype(np.float32)
_SIGNAL[500::700] -= 20
_SIGNAL[800::900] += 30
sort_spikes(_SIGNAL, 30000, n_starts=1)
