"""Large text tables written by numpy, character by character: what Python's own formatting takes minutes for."""

from collections.abc import Sequence

import numpy as np

_ZERO = np.uint8(ord("0"))


def join_columns(fields: Sequence[np.ndarray]) -> bytes:
    r"""Return the lines of a table, columns separated by commas.

    Parameters
    ----------
    fields : sequence of ndarray of uint8, shape (n, width)
        Characters of each column, as :func:`letters` and :func:`digits` make them.

    Examples
    --------
    >>> join_columns([letters(np.array([b"a", b"bc"])), digits(np.array([1.5, -20.0]), 3)])
    b'a,1.5\nbc,-20\n'
    """
    n = len(fields[0])
    comma, newline = (np.full((n, 1), ord(character), np.uint8) for character in ",\n")
    columns = [column for field in fields for column in (field, comma)]
    return np.concatenate([*columns[:-1], newline], axis=1).tobytes().translate(None, b"\0")


def letters(text: np.ndarray) -> np.ndarray:
    """Return byte strings as a matrix of characters, with zeros where they are shorter."""
    return np.ascontiguousarray(text).view(np.uint8).reshape(len(text), -1)


def digits(values: np.ndarray, decimals: int, missing: bytes = b"") -> np.ndarray:
    """Write numbers as a matrix of characters, with zeros for what is to be left out.

    All rows at once, digit by digit: an hour has 50 million numbers, too many for Python's own formatting.
    """
    absent = ~np.isfinite(values)
    scaled = np.rint(np.where(absent, 0.0, values) * 10.0**decimals).astype(np.int64)
    rest = np.abs(scaled)
    largest = int(rest.max(initial=0))
    n_whole = len(str(largest // 10**decimals))
    rest = rest.astype(np.uint32 if largest < 2**32 else np.uint64)  # half the width divides in a quarter of the time
    # From top to bottom: sign, whole digits, point, decimals.
    out = np.zeros((1 + n_whole + (1 + decimals if decimals else 0), len(values)), np.uint8)
    shown = np.zeros(len(values), bool)
    for place in range(len(out) - 1, len(out) - 1 - decimals, -1):
        rest, digit = _last_digit(rest)
        shown |= digit != _ZERO  # zeros at the end are not
        np.multiply(digit, shown, out=out[place])
    if decimals:
        out[1 + n_whole] = shown * np.uint8(ord("."))
    for place in range(n_whole, 0, -1):
        shown = (rest != 0) | (place == n_whole)  # zeros at the beginning are not
        rest, digit = _last_digit(rest)
        np.multiply(digit, shown, out=out[place])
    out[0] = (scaled < 0) * np.uint8(ord("-"))
    out[:, absent] = 0
    out[: len(missing), absent] = np.frombuffer(missing, np.uint8)[:, np.newaxis]
    return out.T


def _last_digit(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a tenth of the numbers, and their last digits as characters."""
    tenth = numbers // numbers.dtype.type(10)
    return tenth, (numbers - tenth * numbers.dtype.type(10)).astype(np.uint8) + _ZERO
