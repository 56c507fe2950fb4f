"""Run hippflow as ``python -m hippflow``."""

from .cli import main

main()
