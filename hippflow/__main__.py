"""Run hippflow as ``python -m hippflow``."""

from hippflow.cli import main

main()
