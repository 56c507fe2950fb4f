"""Messages to an SNS topic, which sends them on to its subscriptions (e-mail, SMS, queues, functions)."""

import re
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError, ProfileNotFound

from hippflow.errors import CloudError

#: A topic that does not answer is given up after these seconds.
CONNECT_TIMEOUT, READ_TIMEOUT = 3, 5

#: Longest subject in characters and longest message in bytes that SNS takes, with room for what surrounds them.
MAX_SUBJECT, MAX_MESSAGE = 100, 200_000

_ARN = re.compile(r"arn:aws[\w-]*:sns:([a-z]{2}[a-z0-9-]+):\d{12}:[\w-]{1,256}")

_FORBIDDEN = {"AuthorizationError", "AuthorizationErrorException", "AccessDenied", "AccessDeniedException"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_WRONG_KEY = {"InvalidClientTokenId", "InvalidAccessKeyId", "UnrecognizedClientException", "SignatureDoesNotMatch"}


class SnsTopic:
    """A topic; see `hippflow.runs.notify.Sink`.

    Parameters
    ----------
    arn : str
        ``arn:aws:sns:region:account:name``; its region is the one that is asked. Key and endpoint come
        from where the AWS tools take them.

    Raises
    ------
    CloudError
        Anything else than such an ARN.
    """

    def __init__(self, arn: str):
        match = _ARN.fullmatch(arn)
        if not match:
            raise CloudError(
                f"expected a topic like arn:aws:sns:ap-southeast-1:123456789012:name, found {arn!r}; take it from: "
                "aws sns list-topics"
            )
        self.arn, self.region = arn, match[1]

    def send(self, subject: str, text: str, data: dict[str, Any]) -> None:
        """Publish a message; its attribute ``state`` lets a subscription choose, for example, failed runs alone.

        Raises
        ------
        CloudError
            SNS cannot be reached, or refuses.
        """
        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": 2},
        )
        try:
            client = boto3.session.Session().client("sns", region_name=self.region, config=config)
            client.publish(
                TopicArn=self.arn,
                Subject=shorten_subject(subject),
                Message=_shorten(text),
                MessageAttributes={
                    "state": {"DataType": "String", "StringValue": str(data.get("state") or "unknown")},
                },
            )
        except (BotoCoreError, ClientError, ValueError) as error:  # ValueError: an endpoint that is no URL
            raise CloudError(f"{self.arn}: {_explain(error)}") from error


def shorten_subject(subject: str) -> str:
    """Make a line that SNS takes as a subject: up to 100 printable ASCII characters.

    Examples
    --------
    >>> shorten_subject("Hippocampus – 2 failed")
    'Hippocampus ? 2 failed'
    """
    line = " ".join(subject.split()).encode("ascii", "replace").decode()
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= MAX_SUBJECT else f"{line[: MAX_SUBJECT - 3]}..."


def _shorten(text: str) -> str:
    data = text.encode()
    return text if len(data) <= MAX_MESSAGE else data[:MAX_MESSAGE].decode(errors="ignore") + "\n..."


def _explain(error: Exception) -> str:
    """Say what a failed publication means and what to do."""
    if isinstance(error, NoCredentialsError):
        return (
            "expected credentials, found none; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or "
            "give the machine a role"
        )
    if isinstance(error, (PartialCredentialsError, ProfileNotFound)):
        return f"expected complete credentials, found: {error}; correct AWS_PROFILE or the AWS_* variables"
    if not isinstance(error, ClientError):
        return (
            f"expected that SNS answers, found: {error}; check the network, the region in the ARN and AWS_ENDPOINT_URL"
        )
    answer = error.response.get("Error", {})
    code = str(answer.get("Code", "a refusal"))
    if code in _FORBIDDEN:
        return f"expected permission to publish, found {code}; allow sns:Publish on this topic to this key or role"
    if code in ("NotFound", "NotFoundException"):
        return f"expected a topic of this name, found {code}; correct notify.sns_topic (aws sns list-topics shows them)"
    if code in _EXPIRED:
        return f"expected valid credentials, found {code}: they have expired; get new ones"
    if code in _WRONG_KEY:
        return f"expected a key that AWS knows, found {code}; correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return f"expected that SNS takes the message, found {code} {answer.get('Message', '')}; correct notify.sns_topic"
