"""Raw files in a bucket as inputs of the workflow: read-only, and listed once a run.

Extends snakemake-storage-plugin-s3, which asks the endpoint for every object again each
time it looks for jobs to start (so that requests grow with the square of the jobs that
wait), swallows errors of access, creates a bucket that is missing and deletes one that it
finds empty. Here an object exists, and changed, as the run's own listing of the bucket
says; nothing is ever written to a bucket, and the transfer is the business of hippflow's
staging jobs.
"""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import snakemake_storage_plugin_s3 as s3
from snakemake_interface_common.exceptions import WorkflowError

#: Environment variable that leads to the plan of the run, which holds the bucket's listing.
PLAN_VARIABLE = "HIPPFLOW_PLAN"

StorageProviderSettings = s3.StorageProviderSettings


class StorageProvider(s3.StorageProvider):
    """Knows the objects of a run."""

    def __post_init__(self) -> None:
        """Open no connection: nothing is asked."""

    @cached_property
    def objects(self) -> dict[str, dict[str, Any]]:
        """The objects of the run's listing, by URL."""
        path = os.environ.get(PLAN_VARIABLE)
        if not path or not Path(path).exists():
            raise WorkflowError(
                f"expected the run's plan in the file that {PLAN_VARIABLE} names, found {path!r}; "
                "jobs need the environment of the run that submits them (sbatch --export=ALL)"
            )
        return json.loads(Path(path).read_text())["objects"]


class StorageObject(s3.StorageObject):
    """One object, as the listing has it."""

    async def inventory(self, cache: Any) -> None:
        """Everything is known from the listing."""

    def exists(self) -> bool:
        """Say whether the listing has the object."""
        return self.query in self.provider.objects

    def mtime(self) -> float:
        """Return when the object was last written, in seconds of the epoch."""
        return self.provider.objects[self.query]["modified"]

    def size(self) -> int:
        """Return the object's bytes."""
        return self.provider.objects[self.query]["size"]

    def is_dir(self) -> bool:
        """Say no: a raw file is never a folder."""
        return False

    def retrieve_object(self) -> NoReturn:
        """Refuse: staging jobs transfer objects."""
        raise WorkflowError(f"{self.query}: raw objects are fetched by staging jobs; use storage(..., retrieve=False)")

    def store_object(self) -> NoReturn:
        """Refuse: a lab's bucket is only read."""
        raise WorkflowError(f"{self.query}: hippflow only reads the bucket of raw recordings")

    def remove(self) -> NoReturn:
        """Refuse: a lab's bucket is only read."""
        raise WorkflowError(f"{self.query}: hippflow only reads the bucket of raw recordings")
