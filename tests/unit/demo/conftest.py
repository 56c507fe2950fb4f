import pytest

from hippflow.demo.day import write_demo_day


@pytest.fixture(scope="session")
def default_day(tmp_path_factory):
    """The day that `hippflow demo` writes when nothing else is asked for."""
    return write_demo_day(tmp_path_factory.mktemp("default"))


@pytest.fixture(scope="session")
def small_day(tmp_path_factory):
    """Four channels on three front-ends, 3 s and 1.5 s."""
    return write_demo_day(tmp_path_factory.mktemp("small"), channels=[9, 34, 56, 120], seconds=3)
