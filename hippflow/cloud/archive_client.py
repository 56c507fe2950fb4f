"""The client that writes the archive: it can put objects below one prefix, and nothing else.

The rest of :mod:`hippflow.cloud` only reads. Here a hook in the client itself sees every
request before it is made, whoever makes it, and refuses what is not on a short list or
is about another bucket or a key outside the prefix: no object is ever deleted, no bucket
made, changed or deleted, no object copied, and none made public.
"""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from hippflow.cloud import s3
from hippflow.cloud.archive_names import why_no_key
from hippflow.cloud.errors_s3 import endpoint_of
from hippflow.cloud.s3 import split_url
from hippflow.cloud.workers import Patience, Retries, Run
from hippflow.errors import StorageError
from hippflow.progress import Progress

#: What may be asked, and with which parameters. Those of these that name an object are held against the prefix.
ALLOWED = {
    "PutObject": {"Bucket", "Key", "Body", "ContentMD5", "Metadata"},
    "CreateMultipartUpload": {"Bucket", "Key", "Metadata"},
    "UploadPart": {"Bucket", "Key", "UploadId", "PartNumber", "Body", "ContentMD5"},
    "CompleteMultipartUpload": {"Bucket", "Key", "UploadId", "MultipartUpload"},
    "AbortMultipartUpload": {"Bucket", "Key", "UploadId"},
    "ListParts": {"Bucket", "Key", "UploadId", "PartNumberMarker"},
    "HeadObject": {"Bucket", "Key"},
    "GetObject": {"Bucket", "Key", "Range", "IfMatch"},
    "ListObjectsV2": {"Bucket", "Prefix", "ContinuationToken", "EncodingType"},
    "ListMultipartUploads": {"Bucket", "Prefix", "KeyMarker", "UploadIdMarker"},
    "HeadBucket": {"Bucket"},  # with which botocore finds the bucket's region
}

#: Name of the metadata that holds the SHA-256 of a product's content.
SHA256 = "hippflow-sha256"


#: How endpoints say that there is no such upload (Ceph: NoSuchKey), or that another process has replaced its parts.
_GONE = {"NoSuchUpload", "NoSuchKey", "InvalidPart"}
_OF_UPLOADS = {"UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts"}


class UploadGoneError(Exception):
    """An upload in parts that another process has completed, given up, or gone on with in its own way."""


def split_archive(url: str) -> tuple[str, str]:
    """Split the address of an archive into bucket and prefix.

    Raises
    ------
    StorageError
        No address of a folder in a bucket.

    Examples
    --------
    >>> split_archive("s3://lab-archive/products/")
    ('lab-archive', 'products')
    """
    bucket, prefix = split_url(url)
    prefix = prefix.rstrip("/")
    wrong = f"found {prefix!r}, {why_no_key(prefix)}" if prefix else "found none"
    if not prefix or why_no_key(prefix):
        raise StorageError(
            f"{url}: expected a folder in the bucket, as in s3://{bucket}/products, {wrong}; add one to archive.url "
            "(or --to): nothing outside it is ever written"
        )
    return bucket, prefix


def archive_client(url: str, connections: int = 10) -> Any:
    """Make a client that can only do what an archive at `url` needs.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix``.
    connections : int
        How many requests can be under way at once.

    Returns
    -------
    boto3 client
        Any other request than those of :data:`ALLOWED` below the prefix raises :class:`StorageError` and is not made.

    Raises
    ------
    StorageError
        An address or settings that cannot be used.
    """
    bucket, prefix = split_archive(url)
    client = s3.s3_client(connections)

    def guard(params: dict[str, Any], model: Any, **_: Any) -> None:
        outside = params.get("Bucket") != bucket or any(
            not str(params.get(name, "")).startswith(f"{prefix}/")
            for name in {"Key", "Prefix"} & ALLOWED.get(model.name, set())
        )
        further = set(params) - ALLOWED.get(model.name, set())
        wrong_key = why_no_key(str(params["Key"])) if "Key" in params else ""
        if model.name not in ALLOWED or outside or further or wrong_key:
            about = f"s3://{params.get('Bucket', '')}/{params.get('Key', params.get('Prefix', ''))}"
            detail = f" with {', '.join(sorted(further))}" if further and not outside else ""
            raise StorageError(
                f"{about}: expected a request that the archive at {url} may make, found {model.name}{detail}: only "
                "what lies below its own prefix is written, and nothing is deleted; this is a defect of hippflow"
            )

    client.meta.events.register_last("before-parameter-build.s3", guard)
    return client


class ArchiveRun(Run):
    """The threads of one upload or verification, with a client that is held to the prefix."""

    def __init__(self, url: str, connections: int, patience: Patience, n_bytes: int, what: str):
        super().__init__(archive_client(url, connections), connections, 0, patience, n_bytes)
        self._progress = Progress(n_bytes / 1e6, what, "MB")
        self.url = url.rstrip("/")
        self.bucket, self.prefix = split_archive(url)

    def retries(self, name: str = "") -> "ArchiveRetries":
        """Bear failures of requests about a key below the prefix."""
        return ArchiveRetries(self, f"{self.url}/{name}" if name else self.url)

    def place(self, name: str) -> dict[str, str]:
        """Return the parameters that name the object of a product."""
        return {"Bucket": self.bucket, "Key": f"{self.prefix}/{name}"}


class ArchiveRetries(Retries):
    """Failures of one request of the archive in a row."""

    def wait(self, error: Exception) -> None:
        """Wait before the next attempt, or raise what the error means."""
        self._run.go_on()  # a body that was left off because another thread failed looks like a lost connection
        code = error_code(error)
        if code in _GONE and error.operation_name in _OF_UPLOADS:
            raise UploadGoneError from error
        if code in ("AccessDenied", "Forbidden", "403"):
            raise StorageError(
                f"{self._url} at {endpoint_of(self._run.client)}: expected permission to archive, found {code} (HTTP "
                "403); check that AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are right and that they may, for this "
                "prefix, s3:PutObject, s3:GetObject, s3:AbortMultipartUpload, s3:ListMultipartUploadParts, and for "
                "the bucket s3:ListBucket, s3:ListBucketMultipartUploads"
            ) from error
        super().wait(error)


def error_code(error: Exception) -> str:
    """Return the code of an endpoint's refusal, empty for other errors."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _pages(client: Any, operation: str, url: str, **params: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(operation).paginate(**params):
        if "IsTruncated" not in page:  # botocore takes any page of a web server for a listing of nothing
            raise StorageError(
                f"{url} at {endpoint_of(client)}: expected a listing, found an answer that is none; correct "
                "AWS_ENDPOINT_URL_S3"
            )
        yield page


def list_below(run: ArchiveRun, start: str) -> dict[str, tuple[int, str]]:
    """List what is in the archive under names that begin with `start`.

    Returns
    -------
    dict of str to (int, str)
        Size in bytes and ETag, by name below the prefix; objects ``folder/`` that stand for folders are left out.
    """

    def request(client: Any) -> dict[str, tuple[int, str]]:
        pages = _pages(client, "list_objects_v2", run.url, Bucket=run.bucket, Prefix=f"{run.prefix}/{start}")
        return {
            entry["Key"][len(run.prefix) + 1 :]: (entry["Size"], entry["ETag"].strip('"'))
            for page in pages
            for entry in page.get("Contents", ())
            if not entry["Key"].endswith("/")
        }

    return run.retries().ask(request)


def list_uploads(run: ArchiveRun) -> dict[str, list[str]]:
    """List the unfinished uploads below the prefix: their ids by name, the newest first."""

    def request(client: Any) -> dict[str, list[str]]:
        found = []
        for page in _pages(client, "list_multipart_uploads", run.url, Bucket=run.bucket, Prefix=f"{run.prefix}/"):
            found += [(entry["Initiated"], entry["Key"], entry["UploadId"]) for entry in page.get("Uploads", ())]
        uploads: dict[str, list[str]] = {}
        for _, key, upload in sorted(found, reverse=True):
            uploads.setdefault(key[len(run.prefix) + 1 :], []).append(upload)
        return uploads

    return run.retries().ask(request)


def list_parts(run: ArchiveRun, name: str, upload: str) -> dict[int, tuple[int, str]]:
    """List the parts of an unfinished upload: size and ETag by number.

    Raises
    ------
    UploadGoneError
        It is no longer there.
    """

    def request(client: Any) -> dict[int, tuple[int, str]]:
        pages = _pages(client, "list_parts", run.url, **run.place(name), UploadId=upload)
        return {
            part["PartNumber"]: (part["Size"], part["ETag"].strip('"'))
            for page in pages
            for part in page.get("Parts", ())
        }

    return run.retries(name).ask(request)


def head(run: ArchiveRun, name: str) -> dict[str, Any] | None:
    """Ask for an object's size, ETag and metadata; None where there is none."""

    def request(client: Any) -> dict[str, Any] | None:
        try:
            return client.head_object(**run.place(name))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise

    return run.retries(name).ask(request)


def is_opaque(answer: dict[str, Any]) -> bool:
    """Tell whether an object is encrypted so that its ETag is no MD5 of its content."""
    return answer.get("ServerSideEncryption", "").startswith("aws:kms") or "SSECustomerAlgorithm" in answer


def abort(run: ArchiveRun, name: str, upload: str) -> None:
    """Give up an unfinished upload of an object below the prefix, with its parts."""
    try:
        run.retries(name).ask(lambda client: client.abort_multipart_upload(**run.place(name), UploadId=upload))
    except UploadGoneError:
        return
