"""Signals that exist only where they are read, for tests of memory and of how often samples are read."""

import numpy as np


class LazySignal:
    """A signal of any length; `values` gives its samples at an array of indices."""

    def __init__(self, n, values):
        self.n, self.values = n, values

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return self.values(np.arange(*index.indices(self.n))).astype(np.float32)


class SignalReadOnce(LazySignal):
    """One whose every slice must begin where the last one ended."""

    next = 0

    def __getitem__(self, index):
        start, stop, _ = index.indices(self.n)
        assert start == self.next
        self.next = stop
        return super().__getitem__(index)
