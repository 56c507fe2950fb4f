"""hippflow: a recording day from raw files to finished, checked products."""

__version__ = "0.1.0"
