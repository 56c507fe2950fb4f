"""AWS, where the configuration names it: credentials, buckets, topics. No secret is shown."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from hippflow.doctor.findings import FAILURE, OK, WARNING, Finding, Workplace, as_failure
from hippflow.errors import HippflowError

#: What to do where boto3 is missing.
_INSTALL = "pip install 'hippflow[cluster]'"

#: What boto3 calls the places that it has credentials from, in words.
_METHODS = {
    "env": "environment variables",
    "shared-credentials-file": "~/.aws/credentials",
    "custom-process": "a program named in ~/.aws/config",
    "config-file": "~/.aws/config",
    "iam-role": "the role of this machine",
    "container-role": "the role of this container",
    "assume-role": "an assumed role",
    "sso": "aws sso login",
}


@dataclass(frozen=True)
class BucketAnswer:
    """What an endpoint answered to a listing of one object.

    Attributes
    ----------
    error : HippflowError or None
        What is wrong, None if it listed.
    date : str
        The answer's date, empty where there is none.
    at : float
        When it came, by this machine's clock, s of the epoch.
    """

    error: HippflowError | None
    date: str
    at: float


def bucket_urls(config: dict[str, Any]) -> list[str]:
    """Return the buckets that the configuration names."""
    urls = [config["data"], (config.get("archive") or {}).get("url")]
    return [url for url in urls if url and url.startswith("s3://")] if find_spec("boto3") else []


def ask_bucket(workplace: Workplace, url: str) -> BucketAnswer:
    """Ask for the first object below a prefix, once for all checks."""
    if url not in workplace.answers:
        workplace.answers[url] = _ask(url)
    return workplace.answers[url]


def _ask(url: str) -> BucketAnswer:
    from hippflow.cloud.errors_s3 import explained
    from hippflow.cloud.s3 import s3_client, split_url

    try:
        bucket, prefix = split_url(url)
        client = s3_client()
        with explained(url, client):
            said = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        return BucketAnswer(None, _date(said), time.time())
    except HippflowError as error:
        return BucketAnswer(error, _date(getattr(error.__cause__, "response", {})), time.time())


def _date(answer: dict[str, Any]) -> str:
    return answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")


def check_buckets(workplace: Workplace) -> Iterator[Finding]:
    """See whether what data, archive and notify name of AWS answers; says nothing where they name nothing of it."""
    config = workplace.settings
    archive, topic = (config.get("archive") or {}).get("url"), (config.get("notify") or {}).get("sns_topic")
    named = {
        "data": config["data"] if workplace.in_bucket else None,
        "archive.url": archive,
        "notify.sns_topic": topic,
    }
    if not any(named.values()):
        return
    if find_spec("boto3") is None:
        keys = ", ".join(key for key, value in named.items() if value)
        yield Finding(FAILURE, f"{keys}: expected the library of AWS, boto3, found none", _INSTALL)
        return
    method = _credentials()
    if method is None:
        yield Finding(
            FAILURE,
            "expected credentials, found none",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run: aws configure",
        )
        return
    yield Finding(OK, f"credentials from {method}")
    for key, url in (("data", named["data"]), ("archive.url", archive)):
        if url:
            error = ask_bucket(workplace, url).error
            more = "; that it may be written to shows only when it is" if key == "archive.url" else ""
            yield Finding(OK, f"{key}: {url} can be listed{more}") if error is None else as_failure(error)
    if topic:
        yield from _judge_topic(topic)


def _credentials() -> str | None:
    """Say in words where credentials come from; None where there are none."""
    import boto3
    from botocore.exceptions import BotoCoreError

    from hippflow.cloud.errors_s3 import explain

    try:
        found = boto3.session.Session().get_credentials()
    except BotoCoreError as error:  # a profile that is not there, half a key
        raise explain(error, "credentials") from error
    return None if found is None else _METHODS.get(found.method, found.method)


def _judge_topic(arn: str) -> Iterator[Finding]:
    from botocore.exceptions import ClientError

    from hippflow.cloud.clusters.aws import asking, aws_client, error_code
    from hippflow.cloud.sns import SnsTopic

    try:
        client = aws_client("sns", SnsTopic(arn).region)
        with asking(f"notify.sns_topic: {arn}", client):
            try:
                subscriptions = client.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
            except ClientError as error:
                # a key that may only publish is right
                if "Authorization" not in error_code(error) and "AccessDenied" not in error_code(error):
                    raise
                yield Finding(OK, f"notify.sns_topic: {arn} may not be looked at; messages may reach it all the same")
                return
    except HippflowError as error:
        yield as_failure(error)
        return
    # one that is not confirmed yet has a word in place of its ARN
    confirmed = [subscription for subscription in subscriptions if subscription["SubscriptionArn"].startswith("arn:")]
    if confirmed:
        yield Finding(OK, f"notify.sns_topic: {arn} sends on to {len(confirmed)}")
    else:
        yield Finding(
            WARNING,
            f"notify.sns_topic: {arn} is there, and nobody has subscribed and confirmed that",
            f"aws sns subscribe --topic-arn {arn} --protocol email --notification-endpoint YOU, then confirm the mail",
        )
