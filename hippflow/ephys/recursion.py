"""One pass of a recursive filter over one piece of a signal, by the compiled kernel where that takes it.

What this does: chooses between the kernel and scipy, and gives samples the types that kernels are compiled for.

What it does not: design filters, or run them backwards (:mod:`hippflow.ephys.filters` does).
"""

import numpy as np
from scipy.signal import lfilter


class Recursion:
    """A filter that is run over pieces of a signal, as scipy's lfilter is, several times faster up to order 8.

    Its bits are scipy's where scipy's build rounds every product.

    Parameters
    ----------
    b, a : numpy.ndarray
        Transfer function.

    Examples
    --------
    >>> run = Recursion(np.array([1.0]), np.array([1.0, -0.5]))
    >>> y, state = run(np.array([4.0, 0.0, 0.0]), np.array([0.0]))
    >>> y.tolist(), state.tolist()
    ([4.0, 2.0, 1.0], [0.5])
    """

    def __init__(self, b: np.ndarray, a: np.ndarray):
        from hippflow.ephys.filter_kernels import ORDER, run_scalar

        self._b, self._a, self._kernel = b, a, run_scalar
        self._coefficients = np.zeros((2, ORDER + 1))
        self._compiled = max(len(b), len(a)) <= ORDER + 1
        if self._compiled:
            for row, numbers in zip(self._coefficients, (b, a), strict=True):
                row[: len(numbers)] = numbers / np.asarray(a, float)[0]

    def __call__(
        self, x: np.ndarray, state: np.ndarray, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return float64 results, in `out` (which may be `x`) if that is given, and the state after."""
        y = np.empty(len(x)) if out is None else out
        if not self._compiled:
            y[:], state = lfilter(self._b, self._a, x, zi=state)
            return y, state
        z = np.zeros(self._coefficients.shape[1] - 1)
        z[: len(state)] = state
        self._kernel(for_kernels(x), *self._coefficients, z, y)
        return y, z[: len(state)]


def for_kernels(x: np.ndarray) -> np.ndarray:
    """Return samples as one of the types for which kernels are compiled: float32 or float64, writable."""
    dtype = np.float32 if x.dtype == np.float32 else np.float64
    return x.astype(dtype, copy=not x.flags.writeable)
