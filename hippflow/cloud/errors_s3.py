"""What a failed request to an S3 endpoint means, and what to do about it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
)
from urllib3.exceptions import HTTPError

from hippflow.errors import StorageError
from hippflow.redaction import redacted

#: What a request to an endpoint can raise; a body that is being read also raises what lies below botocore. An endpoint
#: that answers everything by a redirection makes botocore ask for the bucket's region for ever.
REQUEST_ERRORS = (BotoCoreError, ClientError, HTTPError, RecursionError)

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
_WRONG_KEY = {"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException", "InvalidToken"}
_WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
_BUSY = {"SlowDown", "ServiceUnavailable", "InternalError", "Throttling", "RequestTimeout", "RequestLimitExceeded"}


def is_transient(error: Exception) -> bool:
    """Tell whether the same request may succeed later: a lost connection, or an endpoint that is busy."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status == 429 or error.response.get("Error", {}).get("Code") in _BUSY
    return isinstance(error, (ConnectionError, HTTPClientError, IncompleteReadError, HTTPError))


def endpoint_of(client: Any = None) -> str:
    """Name the endpoint that a client talks to, without a user name or password that its address may hold."""
    if client is not None:
        url = client.meta.endpoint_url
    else:
        url = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "Amazon S3"
    return _without_user(url)


def _without_user(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


@contextmanager
def explained(url: str, client: Any = None) -> Iterator[None]:
    """Raise what the block's requests raise as a :class:`StorageError` about `url`."""
    try:
        yield
    except REQUEST_ERRORS as error:
        raise explain(error, url, client) from error


def explain(error: Exception, url: str, client: Any = None) -> StorageError:
    """Say what a failed request means and what to do about it.

    Parameters
    ----------
    error : Exception
        From botocore or from below it.
    url : str
        What was asked for, ``s3://bucket/key``.
    client : boto3 client, optional
        The one that was asked, for the name of its endpoint.

    Returns
    -------
    StorageError
        To be raised. Its message never holds a secret key or a token.
    """
    where = f"{url} at {_endpoint_in(error, client)}"
    if isinstance(error, ClientError):
        return StorageError(f"{where}: {_explain_answer(error, urlsplit(url).netloc)}")
    if isinstance(error, NoCredentialsError):
        said = (
            "expected credentials, found none; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
            "or run: aws configure"
        )
    elif isinstance(error, (PartialCredentialsError, ProfileNotFound)):
        said = (
            f"expected complete credentials, found: {_redacted(error)}; correct AWS_PROFILE, or set both "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    elif isinstance(error, SSLError):
        said = (
            f"expected a certificate that this machine trusts, found: {_redacted(error)}; set AWS_CA_BUNDLE to the "
            "endpoint's certificate authority, or correct https:// in AWS_ENDPOINT_URL_S3"
        )
    elif isinstance(error, (ConnectionError, HTTPClientError, IncompleteReadError, HTTPError)):
        said = (
            f"expected an endpoint that answers, found: {_redacted(error)}; check the network and "
            "AWS_ENDPOINT_URL_S3, and that the endpoint runs"
        )
    elif isinstance(error, RecursionError):
        said = (
            "expected an answer, found redirections alone; set AWS_REGION to the bucket's region, or write https:// in "
            "AWS_ENDPOINT_URL_S3"
        )
    else:
        said = f"expected usable AWS settings, found: {_redacted(error)}; check the AWS_* variables and ~/.aws"
    return StorageError(f"{where}: {said}")


def _explain_answer(error: ClientError, bucket: str) -> str:
    """Explain the refusal that an endpoint sent."""
    answer = error.response.get("Error", {})
    code = str(answer.get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    found = f"found {code or 'a refusal'}" + (f" (HTTP {status})" if status and str(status) != code else "")
    if code in _EXPIRED:
        return (
            f"expected valid credentials, {found}: the session token has expired; get new credentials (aws sso login, "
            "or new AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN) and start again"
        )
    if code in _WRONG_KEY:
        return (
            f"expected a key that the endpoint knows, {found}; correct AWS_ACCESS_KEY_ID (and AWS_SESSION_TOKEN), or "
            "AWS_ENDPOINT_URL_S3 if the key belongs to another endpoint"
        )
    if code == "SignatureDoesNotMatch":
        return f"expected a secret that fits the key, {found}; correct AWS_SECRET_ACCESS_KEY"
    if code == "RequestTimeTooSkewed":
        return f"expected clocks that agree, {found}; set the clock of this machine"
    if code in _WRONG_REGION or status == 301:
        region = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region")
        region = answer.get("Region") or region or f"what `aws s3api get-bucket-location --bucket {bucket}` says"
        return f"expected the bucket's own region, {found}; set AWS_REGION to {region}"
    if code == "NoSuchBucket":
        return f"expected a bucket {bucket}, {found}; correct the bucket's name, or AWS_ENDPOINT_URL_S3"
    if code == "PreconditionFailed" or status in (412, 416):
        return f"expected the object as listed, {found}: it changed since the run was planned; start again"
    if code == "NoSuchKey" or status == 404:
        return f"expected an object of this name, {found}; correct the address (aws s3 ls shows what there is)"
    if status in (401, 403):
        return (
            f"expected permission to read, {found}; check that AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are right "
            "and that they may list and read this bucket (s3:ListBucket, s3:GetObject)"
        )
    if code in _BUSY or status >= 500 or status == 429:
        return f"expected an answer, {found}: the endpoint is overloaded or out of order; try again later"
    said = _redacted(answer.get("Message") or "")
    return f"expected an answer, {found} {said}".rstrip() + "; check the address and AWS_ENDPOINT_URL_S3"


def _endpoint_in(error: Exception, client: Any) -> str:
    asked = getattr(error, "kwargs", {}).get("endpoint_url") if client is None else None
    if asked:
        parts = urlsplit(str(asked))
        return _without_user(f"{parts.scheme}://{parts.netloc}")
    return endpoint_of(client)


def _redacted(message: object) -> str:
    """Write a message as one line without secrets."""
    return " ".join(redacted(str(message)).split()).rstrip(".")
