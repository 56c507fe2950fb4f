import sys
from pathlib import Path

# What installs Debian's packages is with the tests that need most of them.
sys.path.insert(0, str(Path(__file__).parents[2] / "cluster"))
