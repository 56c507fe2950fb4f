"""hippflow: a recording day from raw files to finished, checked products."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "load_day"]


def __getattr__(name: str) -> Any:
    """Give what reads finished days when it is asked for: jobs import the package without it."""
    if name == "load_day":
        from hippflow.reading.day import load_day

        return load_day
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
