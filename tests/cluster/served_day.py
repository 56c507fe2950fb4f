"""The demo day in a bucket, for runs that stage it: `pytest_plugins = ["served_day"]` gives `served`."""

import os

import pytest

from hippflow.demo.bucket import endpoint, upload_tree

#: Credentials that a machine has must not stand in for those of the endpoint.
ISOLATED = {
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="module")
def served(finished):
    """The demo day in a bucket; the environment of its endpoint."""
    with endpoint() as environment:
        upload_tree(finished.folder / "data", environment)
        yield {name: value for name, value in environment.items() if name.startswith("AWS_")} | ISOLATED
