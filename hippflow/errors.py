"""Errors that a user can act on.

Every message names the file, what was expected, what was found and what to do
about it. Scripts turn a :class:`HippflowError` into that message and a non-zero
exit status; any other exception is a defect of hippflow and keeps its traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from hippflow.redaction import redacted


class HippflowError(Exception):
    """Base class of all errors that describe bad input rather than a defect; none of them shows a secret."""

    def __init__(self, *parts: object):
        super().__init__(*(redacted(part) if isinstance(part, str) else part for part in parts))


class ConfigError(HippflowError):
    """A configuration key, value or selection that cannot be right."""


class CatalogError(HippflowError):
    """A raw folder whose layout does not say which file is meant."""


class FormatError(HippflowError):
    """A file that is not what its name or header says."""


class GapError(FormatError):
    """A recording with pauses or clock resets where none were allowed."""


class MarkerError(HippflowError):
    """A sequence of trial markers that no known format explains."""


class SignalError(HippflowError):
    """A signal that a step cannot process (too short, wrong rate, not finite)."""


class SortingError(HippflowError):
    """A spike sorter that is unknown, failed or returned what cannot be."""


class StorageError(HippflowError):
    """A bucket, object or transfer that failed, or credentials that do not reach it."""


class DiskError(HippflowError):
    """A disk that is full, gone, or cannot be written to; another time it may be in order."""


class DriverError(HippflowError):
    """A run that was killed and cannot be cleared up after."""


class AlignmentError(HippflowError):
    """Clocks of two devices that cannot be mapped onto each other."""


class ImagingError(HippflowError):
    """A movie that registration, cell detection or clustering can make nothing of."""


class CloudError(HippflowError):
    """An AWS service other than S3 that refuses, fails or cannot be reached."""


@contextmanager
def about(path: object) -> Iterator[None]:
    """Put a file before the message of an error that the block raises, where it does not name it.

    Examples
    --------
    >>> with about("channel009/rplraw_d41d.hkl"):
    ...     raise SignalError("signal of 1 sample is too short")
    Traceback (most recent call last):
    hippflow.errors.SignalError: channel009/rplraw_d41d.hkl: signal of 1 sample is too short
    """
    try:
        yield
    except HippflowError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error
