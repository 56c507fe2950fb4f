"""Compiled loops of the filters; :mod:`hippflow.ephys.filters` and its neighbours say what they are for.

The zero-phase filter treats 8 stretches of one signal at once, side by side: a recursive filter has to
wait for its last result, but not for that of another stretch. :mod:`hippflow.ephys.lanes` has the vectors.
"""

import numpy as np

from hippflow.compiling import compiled
from hippflow.ephys.lanes import (
    LANES,
    first,
    fma,
    load,
    load_half,
    load_rows,
    load_stretches,
    lower,
    narrow,
    recur,
    slide,
    splat,
    store_rows,
    transpose,
    widen,
)

#: Taps of the decimation filter per sample of a decimated one, without the last.
REACH = 20

#: Highest order of the compiled recursive filters.
ORDER = 8


@compiled
def filter_stretches(head, x, settling, length, b, scaled, a, gain, before, y, out):
    """Filter 8 stretches of a signal, which join, forwards and backwards.

    Parameters
    ----------
    head : array of float32 or float64, shape (settling + k * length,), k * length >= settling
        Begins with the samples before `x`, the start of the first stretch, and has room for all of stretches
        that begin before `x`. Becomes that for the next 8.
    x : array of the same type, shape (8 * length,)
        Samples not seen yet; results are for as many that begin where `head` does.
    settling, length : int
        Samples that a stretch takes to settle, and between the starts of two. Multiples of 8.
    b, scaled, a : tuple of float
        As :func:`hippflow.ephys.lanes.recur` takes them: the numerators of the forward pass, divided by its first
        coefficient, and of the backward pass, multiplied with it; and the denominator.
    gain : tuple of two float
        Of the two passes for a constant.
    before : array of float64, shape (2, 8)
        The 8 samples before `head` and the forward results there; becomes that for the next 8 stretches.
    y : array of float64, shape ((settling + length) * 8,)
        For the results of the forward pass, by time and stretch.
    out : array of float32, shape (8 * length,)
        Results.

    Returns
    -------
    bool
        Whether all results of the forward pass are finite.
    """
    n_rows = settling + length
    head[settling:] = x[: len(head) - settling]
    history = np.empty(2 * LANES * LANES)
    for row in range(LANES):
        history[row * LANES] = before[0, row]
        history[(LANES + row) * LANES] = before[1, row]
        for k in range(1, LANES):
            start = head[k * length] if k * length < settling else x[k * length - settling]
            history[row * LANES + k] = start
            history[(LANES + row) * LANES + k] = gain[0] * start
    old, results = load_rows(history, 0, LANES), load_rows(history, LANES * LANES, LANES)
    for t in range(0, n_rows, LANES):
        new = widen(transpose(load_stretches(head, x, t, length, settling)))
        results = recur(old, new, results, b, a)
        store_rows(y, t * LANES, LANES, results)
        old = new

    # What is not finite stays so until the end of its stretch.
    finite = np.isfinite(y[(n_rows - 1) * LANES :]).all()
    # The unsettled start of every stretch but the first is replaced by the settled end of the one before.
    for t in range(settling - 1, -1, -1):
        for k in range(1, LANES):
            y[t * LANES + k] = y[(t + length) * LANES + k - 1]
    for row in range(LANES):
        before[0, row] = x[LANES * length - settling - LANES + row]
        before[1, row] = y[(length - LANES + row) * LANES + LANES - 1]
    head[:settling] = x[LANES * length - settling :]

    last = load(y, (n_rows - 1) * LANES)
    steady = fma(last, splat(gain[1]), splat(0.0))
    old = (last, last, last, last, last, last, last, last)
    results = (steady, steady, steady, steady, steady, steady, steady, steady)
    for t in range(n_rows - LANES, -LANES, -LANES):
        new = load_rows(y, (t + LANES - 1) * LANES, -LANES)
        results = recur(old, new, results, scaled, a)
        if t < length:
            store_rows(out, t, length, transpose(narrow(results[::-1])))
        old = new
    return finite


@compiled
def run_scalar(x, b, a, z, y):
    """Filter as :func:`scipy.signal.lfilter` does, to the last bit where that rounds every product.

    Parameters
    ----------
    x : array of float32 or float64, shape (n,)
    b, a : array of float64, shape (9,)
        Transfer function with zeros at its end, divided by what was a[0].
    z : array of float64, shape (8,)
        State with zeros at its end; becomes that after.
    y : array of float64, shape (n,)
    """
    b0, b1, b2, b3, b4, b5, b6, b7, b8 = b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8]
    a1, a2, a3, a4, a5, a6, a7, a8 = a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]
    z0, z1, z2, z3, z4, z5, z6, z7 = z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7]
    for i in range(len(x)):
        u = np.float64(x[i])
        v = z0 + b0 * u
        z0 = z1 + u * b1 - v * a1
        z1 = z2 + u * b2 - v * a2
        z2 = z3 + u * b3 - v * a3
        z3 = z4 + u * b4 - v * a4
        z4 = z5 + u * b5 - v * a5
        z5 = z6 + u * b6 - v * a6
        z6 = z7 + u * b7 - v * a7
        z7 = u * b8 - v * a8
        y[i] = v
    z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7] = z0, z1, z2, z3, z4, z5, z6, z7


@compiled
def weigh(x, ratio, taps, end, out):
    """Sum taps times the samples under them, at places `ratio` samples apart.

    Every sample is loaded once and added to the 20 sums that it belongs to, which move on by one number
    every `ratio` samples. Three parts of the signal take turns, so that taps are loaded once for all, and
    there is always a sum that waits for no other.

    Parameters
    ----------
    x : array of float32 or float64, shape ((n - 1) * ratio + 20 * ratio + 1,) or longer
    ratio : int
    taps : array of float64, shape (ratio * 20,)
        By sample within a period; that for the sum which is complete next comes first.
    end : float
        The last tap.
    out : array of float64, shape (n,)

    Returns
    -------
    bool
        Whether all sums are finite.
    """
    n = len(out)
    part = (n + 2) // 3
    second, third = min(part, n - part), n - part
    empty, none = splat(0.0), lower(splat(0.0))
    here0, here1, here2 = empty, empty, none
    there0, there1, there2 = empty, empty, none
    yonder0, yonder1, yonder2 = empty, empty, none
    finite = True
    for m in range(part + REACH - 1):
        here0, here1, here2 = slide(here0, here1), slide(here1, here2), slide(here2, empty)
        there0, there1, there2 = slide(there0, there1), slide(there1, there2), slide(there2, empty)
        yonder0, yonder1, yonder2 = slide(yonder0, yonder1), slide(yonder1, yonder2), slide(yonder2, empty)
        i, j, k = m * ratio, (m + second) * ratio, (m + third) * ratio
        for p in range(ratio):
            h0, h1, h2 = load(taps, REACH * p), load(taps, REACH * p + 8), load_half(taps, REACH * p + 16)
            u, v, w = splat(np.float64(x[i + p])), splat(np.float64(x[j + p])), splat(np.float64(x[k + p]))
            here0, here1, here2 = fma(h0, u, here0), fma(h1, u, here1), fma(h2, lower(u), here2)
            there0, there1, there2 = fma(h0, v, there0), fma(h1, v, there1), fma(h2, lower(v), there2)
            yonder0, yonder1, yonder2 = fma(h0, w, yonder0), fma(h1, w, yonder1), fma(h2, lower(w), yonder2)
        row = m - REACH + 1
        if row >= 0:
            out[row] = first(here0) + end * x[i + ratio]
            out[row + second] = first(there0) + end * x[j + ratio]
            out[row + third] = first(yonder0) + end * x[k + ratio]
            finite &= np.isfinite(out[row]) & np.isfinite(out[row + second]) & np.isfinite(out[row + third])
    return finite


@compiled
def to_steps(x, step, out):
    """Round to whole steps, halves to even, and keep to what int16 holds.

    Parameters
    ----------
    x : array of float32 or float64, shape (n,)
    step : float
    out : array of int16, shape (n,)

    Returns
    -------
    int
        How many values were beyond the ends of int16.
    """
    beyond = 0
    for k in range(len(x)):
        value = np.rint(np.float64(x[k]) / step)
        beyond += (value < -32768.0) | (value > 32767.0)
        out[k] = np.int16(np.int32(min(max(value, -32768.0), 32767.0)))
    return beyond
