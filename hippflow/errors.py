"""Errors that a user can act on.

Every message names the file, what was expected, what was found and what to do
about it. Scripts turn a :class:`HippflowError` into that message and a non-zero
exit status; any other exception is a defect of hippflow and keeps its traceback.
"""


class HippflowError(Exception):
    """Base class of all errors that describe bad input rather than a defect."""


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


class DriverError(HippflowError):
    """A run that was killed and cannot be cleared up after."""


class AlignmentError(HippflowError):
    """Clocks of two devices that cannot be mapped onto each other."""


class ImagingError(HippflowError):
    """A movie that registration, cell detection or clustering can make nothing of."""


class CloudError(HippflowError):
    """An AWS service other than S3 that refuses, fails or cannot be reached."""
