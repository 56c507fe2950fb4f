"""Objects in an S3 bucket: which there are, how they begin, and what went wrong.

Everything here and in :mod:`hippflow.cloud.download` only reads: no request that
could write, delete or create anything in a bucket is ever made. Addresses and keys
come from where the AWS tools take them (``AWS_ENDPOINT_URL_S3``, ``AWS_REGION``,
``AWS_ACCESS_KEY_ID`` and so on, ``~/.aws``, the role of the machine).
"""

import os
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from hippflow.cloud.errors_s3 import endpoint_of, explain, explained
from hippflow.errors import StorageError

#: Three attempts at an address that does not answer take ten seconds.
CONNECT_TIMEOUT, READ_TIMEOUT, ATTEMPTS = 3, 30, 3

_URL = re.compile(r"s3://([a-z0-9][a-z0-9._-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)


@dataclass(frozen=True)
class S3Object:
    """One object as a listing saw it.

    Attributes
    ----------
    url : str
        ``s3://bucket/key``.
    size : int
        Bytes.
    etag : str
        Entity tag without its quotes; it changes when the content does.
    modified : float
        When it was last written, seconds since 1970.
    """

    url: str
    size: int
    etag: str
    modified: float


def split_url(url: str) -> tuple[str, str]:
    """Split ``s3://bucket/some/prefix`` into bucket and the rest.

    Raises
    ------
    StorageError
        Anything else than such an address.

    Examples
    --------
    >>> split_url("s3://lab-data/raw/picasso"), split_url("s3://lab-data")
    (('lab-data', 'raw/picasso'), ('lab-data', ''))
    """
    match = _URL.fullmatch(str(url))
    if not match:
        raise StorageError(
            f"{url}: expected an address like s3://bucket/folder with a bucket name of 3 to 63 lower-case letters, "
            "digits, dots and hyphens, found something else; correct the address"
        )
    return match[1], match[2] or ""


def s3_client(connections: int = 10) -> Any:
    """Make a client from the environment, as the AWS tools do.

    Parameters
    ----------
    connections : int
        How many requests can be under way at once.

    Raises
    ------
    StorageError
        A profile, endpoint or setting that cannot be used.
    """
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=connections,
        request_checksum_calculation="when_required",  # endpoints older than these checksums refuse them
        response_checksum_validation="when_required",
    )
    try:
        session = boto3.session.Session()
        region = os.environ.get("AWS_REGION") or session.region_name or "us-east-1"
        return session.client("s3", region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no URL
        raise explain(error, "s3://") from error


def list_objects(url: str, client: Any = None) -> dict[str, S3Object]:
    """List the objects below a prefix in one paginated request.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix``; the prefix is a folder, so ``raw`` does not find ``raw2/...``.
    client : boto3 client, optional
        As from :func:`s3_client`.

    Returns
    -------
    dict of str to S3Object
        By key relative to the prefix. The empty objects ``folder/`` that stand for folders are left out.

    Raises
    ------
    StorageError
        A listing that failed, or a key that cannot be a path below a folder.
    """
    bucket, prefix = split_url(url)
    folder = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
    client = client or s3_client()
    found = {}
    with explained(url, client):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder):
            if "IsTruncated" not in page:  # botocore takes any page of a web server for a listing of nothing
                raise StorageError(
                    f"{url} at {endpoint_of(client)}: expected a listing, found an answer that is none; correct "
                    "AWS_ENDPOINT_URL_S3"
                )
            for entry in page.get("Contents", ()):
                key = entry["Key"]
                name = key[len(folder) :]
                if key.endswith("/") and entry["Size"] == 0:
                    continue
                _check_key(name, f"s3://{bucket}/{key}")
                found[name] = S3Object(
                    f"s3://{bucket}/{key}", entry["Size"], entry["ETag"].strip('"'), entry["LastModified"].timestamp()
                )
    return found


def _check_key(name: str, url: str) -> None:
    parts = name.split("/")
    if "" in parts or "." in parts or ".." in parts or "\0" in name or PurePosixPath(name).is_absolute():
        raise StorageError(
            f"{url}: expected a key that can be a path below a folder, found {name!r}, which is absolute or has an "
            "empty, '.' or '..' part; rename the object in the bucket, or choose a prefix without it"
        )


def read_range(obj: S3Object, first: int, n_bytes: int, client: Any) -> bytes:
    """Read bytes of an object from `first` on, as many as there are, and transfer no more than these.

    Raises
    ------
    StorageError
        A request that failed, or an object that is no longer the one listed.
    """
    n_bytes = min(n_bytes, obj.size - first)
    if n_bytes <= 0:
        return b""
    bucket, key = split_url(obj.url)
    wanted = f"bytes={first}-{first + n_bytes - 1}"
    with explained(obj.url, client):
        response = client.get_object(Bucket=bucket, Key=key, Range=wanted, IfMatch=f'"{obj.etag}"')
        with response["Body"] as body:  # closed unread, should the endpoint send more than was asked for
            data = body.read(n_bytes)
    check_unchanged(obj, response)
    if first and not response.get("ContentRange", "").startswith(f"bytes {first}-"):
        raise StorageError(
            f"{obj.url}: expected bytes {first} on from {endpoint_of(client)}, found that it ignores ranges "
            f"({response.get('ContentRange') or 'no Content-Range'}); copy the files and set data to the copy"
        )
    if len(data) != n_bytes:
        raise StorageError(
            f"{obj.url}: expected {n_bytes} bytes from {endpoint_of(client)}, found {len(data)}; try again"
        )
    return data


def check_unchanged(obj: S3Object, response: dict[str, Any]) -> None:
    """Check that a response is about the object as it was listed; not every endpoint honours ``If-Match``."""
    found = response.get("ETag", "").strip('"')
    if found != obj.etag:
        raise StorageError(
            f"{obj.url}: expected the object as listed (ETag {obj.etag}), found ETag {found or 'missing'}: it changed "
            "since the run was planned; start again"
        )
