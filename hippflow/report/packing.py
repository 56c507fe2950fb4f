"""Numbers for the page's script: arrays as text of 16 bits a value, and everything else as plain JSON."""

import base64
import json
import math
from typing import Any

import numpy as np

#: What stands for a missing value.
_MISSING = -32768


def pack(values: Any) -> dict[str, Any]:
    """Return an array as the script of the page unpacks it.

    Values are rounded to 65534 steps between the least and the largest of them, which no eye can tell apart.

    Parameters
    ----------
    values : array_like
        Any shape; NaN and infinities become missing.

    Returns
    -------
    dict
        ``d``, little-endian int16 as base64; value k is ``o + s * d[k]``, missing where ``d[k]`` is -32768.

    Examples
    --------
    >>> pack([0.0, 1.0, float("nan")])
    {'n': 3, 'o': 0.5, 's': 1.525925474e-05, 'd': 'AYD/fwCA'}
    """
    flat = np.asarray(values, np.float64).ravel()
    known = np.isfinite(flat)
    low, high = (float(flat[known].min()), float(flat[known].max())) if known.any() else (0.0, 0.0)
    offset, step = float(f"{(low + high) / 2:.10g}"), float(f"{(high - low) / 65534 or 1.0:.10g}")
    steps = np.full(flat.size, _MISSING, "<i2")
    steps[known] = np.clip(np.rint((flat[known] - offset) / step), -32767, 32767)
    return {"n": flat.size, "o": offset, "s": step, "d": base64.b64encode(steps.tobytes()).decode()}


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """Return what :func:`pack` packed, float64, as the script does it.

    Examples
    --------
    >>> unpack(pack([1.0, 2.0, float("nan")])).round(6).tolist()
    [1.0, 2.0, nan]
    """
    steps = np.frombuffer(base64.b64decode(packed["d"]), "<i2").astype(np.float64)
    return np.where(steps == _MISSING, np.nan, packed["o"] + packed["s"] * steps)


def plain(value: Any) -> Any:
    """Return a value as JSON has it: numpy's numbers as Python's, NaN and infinities as None.

    Examples
    --------
    >>> plain({"rate": np.float32(0.5), "snr": [np.nan, np.int64(3)]})
    {'rate': 0.5, 'snr': [None, 3]}
    """
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def to_script(data: dict[str, Any]) -> str:
    """Return JSON that can stand in a page's ``<script>``: no value of it can end that element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c")
