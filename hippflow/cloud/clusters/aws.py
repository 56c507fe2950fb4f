"""Clients of AWS for clusters, which clusters there are, and what a failed request means.

Keys, region and addresses come from where the AWS tools take them (``AWS_REGION``, ``AWS_PROFILE``,
``AWS_ENDPOINT_URL``, ``~/.aws``, the role of the machine).
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
)

from hippflow.cloud.errors_s3 import REQUEST_ERRORS, endpoint_of, is_transient
from hippflow.cloud.s3 import ATTEMPTS, CONNECT_TIMEOUT, READ_TIMEOUT
from hippflow.errors import CloudError

#: Tags that ParallelCluster 3 gives: the first to all that belongs to a cluster, the second to instances and to their
#: own disks but not to shared volumes, the third to the cluster's stack.
CLUSTER_TAG, NODE_TAG, VERSION_TAG = (
    "parallelcluster:cluster-name",
    "parallelcluster:node-type",
    "parallelcluster:version",
)

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_WRONG_KEY = {"AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"}
_WRONG_SECRET = {"SignatureDoesNotMatch", "IncompleteSignature", "InvalidSignatureException"}
_FORBIDDEN = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "UnauthorizedAccess"}
_REGION_OFF = {"OptInRequired", "RegionDisabledException"}
_BUSY = {
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "SnapshotCreationPerVolumeRateExceeded",
    "ConcurrentSnapshotLimitExceeded",
}


@dataclass(frozen=True)
class Stack:
    """What CloudFormation says of a cluster.

    Attributes
    ----------
    name, status, reason : str
        Such as ``hippflow``, ``DELETE_IN_PROGRESS`` and, of a failure, why.
    """

    name: str
    status: str
    reason: str


def aws_client(service: str, region: str | None = None) -> Any:
    """Make a client of a service, such as ``ec2`` or ``cloudformation``.

    Raises
    ------
    CloudError
        No region, or a profile, endpoint or setting that cannot be used.
    """
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    try:
        return boto3.session.Session().client(
            service, region_name=region or os.environ.get("AWS_REGION"), config=config
        )
    except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no URL
        raise explain_aws(error, service) from error


@contextmanager
def asking(what: str, client: Any) -> Iterator[None]:
    """Raise what the block's requests raise as a :class:`CloudError` about `what`."""
    try:
        yield
    except REQUEST_ERRORS as error:
        raise explain_aws(error, what, client) from error


def error_code(error: ClientError) -> str:
    """Return the code of a refusal, such as ``InvalidSnapshot.InUse``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def explain_aws(error: Exception, what: str, client: Any = None) -> CloudError:
    """Say what a failed request means and what to do about it.

    Parameters
    ----------
    error : Exception
        From botocore or from below it.
    what : str
        What was asked about.
    client : boto3 client, optional
        The one that was asked, for the names of its endpoint and service.

    Returns
    -------
    CloudError
        To be raised.
    """
    where = f"{what} at {endpoint_of(client)}" if client is not None else what
    if isinstance(error, ClientError):
        return CloudError(f"{where}: {_explain_answer(error, client)}")
    if isinstance(error, NoCredentialsError):
        said = (
            "expected credentials, found none; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
            "or run: aws configure"
        )
    elif isinstance(error, NoRegionError):
        said = (
            "expected a region, found none; give --region, set cluster.region in config.yaml, or set AWS_REGION, "
            "such as us-east-1"
        )
    elif isinstance(error, (PartialCredentialsError, ProfileNotFound)):
        said = (
            f"expected complete credentials, found: {_one_line(error)}; correct AWS_PROFILE, or set both "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    elif isinstance(error, SSLError):
        said = (
            f"expected a certificate that this machine trusts, found: {_one_line(error)}; set AWS_CA_BUNDLE to the "
            "endpoint's certificate authority"
        )
    elif is_transient(error):
        said = (
            f"expected an endpoint that answers, found: {_one_line(error)}; check the network, the region's name and "
            "AWS_ENDPOINT_URL"
        )
    else:
        said = f"expected usable AWS settings, found: {_one_line(error)}; check the AWS_* variables and ~/.aws"
    return CloudError(f"{where}: {said}")


def _explain_answer(error: ClientError, client: Any) -> str:
    """Explain a refusal. AWS's own words are left out where they are a page of cipher."""
    code, status = error_code(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    found = f"found {code or 'a refusal'}" + (f" (HTTP {status})" if status else "")
    if code in _EXPIRED:
        return f"expected valid credentials, {found}: they have expired; get new ones (aws sso login) and start again"
    if code in _WRONG_KEY:
        return f"expected a key that AWS knows, {found}; correct AWS_ACCESS_KEY_ID, or run: aws configure"
    if code in _WRONG_SECRET:
        return f"expected a secret that fits the key, {found}; correct AWS_SECRET_ACCESS_KEY"
    if code in _REGION_OFF:
        return f"expected a region that the account uses, {found}; enable it or correct the region"
    if code in _BUSY or is_transient(error):
        return f"expected an answer, {found}: AWS is busy or out of order; try again in a minute"
    if code in _FORBIDDEN or status in (401, 403):
        service = client.meta.service_model.service_name if client is not None else "aws"
        return (
            f"expected permission for {service}:{error.operation_name}, {found}; ask the account's owner for it, or "
            "use other credentials (AWS_PROFILE)"
        )
    said = _one_line(error.response.get("Error", {}).get("Message") or "")
    return f"expected an answer, {found} {said}".rstrip() + "; check the names and the region"


def _one_line(message: object) -> str:
    """Write a message as one line, without a user name or password in an address."""
    return re.sub(r"//[^/@\s]*@", "//", " ".join(str(message).split())).rstrip(".")


def tags_of(resource: dict[str, Any]) -> dict[str, str]:
    """Return the tags of an answer's resource.

    Examples
    --------
    >>> tags_of({"Tags": [{"Key": "Name", "Value": "data"}]})
    {'Name': 'data'}
    """
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", ())}


def cluster_names(cloudformation: Any) -> list[str]:
    """List the clusters of the region, sorted, also those that are being made or deleted.

    Raises
    ------
    CloudError
        The request failed.
    """
    names = []
    with asking("clusters", cloudformation):
        for page in cloudformation.get_paginator("describe_stacks").paginate():
            for stack in page["Stacks"]:
                tags = tags_of(stack)
                # Nested stacks have their cluster's tags; those of images have the same version tag.
                if "ParentId" not in stack and VERSION_TAG in tags and "parallelcluster:image_id" not in tags:
                    names.append(stack["StackName"])
    return sorted(names)


def find_stack(cloudformation: Any, cluster: str) -> Stack | None:
    """Find the stack of a cluster; None if there is none, or no longer.

    Raises
    ------
    CloudError
        The request failed, or the stack of this name was not made by ParallelCluster 3.
    """
    with asking(f"cluster {cluster}", cloudformation):
        try:
            (stack,) = cloudformation.describe_stacks(StackName=cluster)["Stacks"]
        except ClientError as error:
            if error_code(error) == "ValidationError" and "does not exist" in str(error):
                return None
            raise
    if stack["StackStatus"] == "DELETE_COMPLETE":
        return None
    version = tags_of(stack).get(VERSION_TAG, "")
    if not version.startswith("3."):
        raise CloudError(
            f"{cluster}: expected a cluster of ParallelCluster 3 (a stack with the tag {VERSION_TAG}), found "
            f"{'version ' + version if version else 'a stack without it'}; correct the cluster's name"
        )
    return Stack(cluster, stack["StackStatus"], stack.get("StackStatusReason", ""))
