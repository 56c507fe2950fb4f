"""Importing this compiles what SpikeInterface's metrics compile at their first use, a second of every process.

For the process that scripts are forked from (hippflow.forks): its forks find it done. Does nothing else.
"""

import numpy as np

from hippflow.ephys.metrics import unit_metrics
from hippflow.ephys.sorting import Sorting

_SAMPLES = np.arange(300, 29000, 150)
_SORTING = Sorting(_SAMPLES, np.arange(len(_SAMPLES)) % 2 + 1, np.empty((0, 2), np.int64), 1.0, 4.0)
unit_metrics(np.sin(np.arange(30000.0)), 30000, _SORTING)
