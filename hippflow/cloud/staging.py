"""staging: one raw file from a bucket to the local tree."""

from pathlib import Path

from hippflow.cloud.download import download_objects
from hippflow.cloud.s3 import S3Object


def stage_object(url: str, path: str | Path, *, size: int, etag: str, modified: float) -> None:
    """Copy an object, as it was when the run was planned, to a local file.

    Parameters
    ----------
    url : str
        ``s3://bucket/key``.
    path : path
        The copy; it is there when it is whole and verified.
    size, etag, modified
        See :class:`hippflow.cloud.s3.S3Object`.

    Raises
    ------
    StorageError
        The object has changed, cannot be reached, does not fit the disk, or arrived damaged.
    """
    download_objects([(S3Object(url, size, etag, modified), Path(path))])
