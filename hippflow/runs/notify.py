"""Who is told how a run ended.

A sink is an address of one kind: an SNS topic, which sends e-mail and more to those who
subscribe, or a webhook. Another kind is a class with `send` and a line in `SINKS`.
"""

import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

from hippflow.errors import CloudError, ConfigError, HippflowError
from hippflow.redaction import HIDDEN, redacted

#: Seconds that all sinks together may take, and that a webhook may take to answer.
PATIENCE, WEBHOOK_TIMEOUT = 10.0, 5.0


class Sink(Protocol):
    """An address that messages go to."""

    def send(self, subject: str, text: str, data: dict[str, Any]) -> None:
        """Send one message.

        Parameters
        ----------
        subject : str
            A line.
        text : str
            What a person reads.
        data : dict
            The same for a program, JSON values; ``data["state"]`` says how the run ended.

        Raises
        ------
        HippflowError
            It was not accepted; the message says why and what to do.
        """


class Webhook:
    """An address that takes ``{"subject": ..., "text": ..., "run": ...}`` as JSON by POST.

    Chat services show ``text``.
    """

    def __init__(self, url: str):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ConfigError(
                "expected an address like https://host/path, found another, which may be secret; correct it"
            )
        self.url = url
        self.host = f"{parts.scheme}://{parts.hostname}"  # the rest may be a secret

    def send(self, subject: str, text: str, data: dict[str, Any]) -> None:
        """Post a message; see `Sink.send`."""
        body = json.dumps({"subject": subject, "text": text, "run": data}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request, timeout=WEBHOOK_TIMEOUT).close()
        except urllib.error.HTTPError as error:
            error.close()
            raise CloudError(
                f"{self.host}: expected that it takes the message, found HTTP {error.code}; correct "
                "the address, or see why its owner refuses"
            ) from error
        except (OSError, ValueError) as error:
            cause = getattr(error, "reason", error)
            raise CloudError(
                f"{self.host}: expected an answer within {WEBHOOK_TIMEOUT:g} s, found: {cause}; check the address and "
                "the network"
            ) from error


def _sns_topic(arn: str) -> Sink:
    try:
        from hippflow.cloud.sns import SnsTopic  # nothing of AWS is imported in a run that needs none
    except ImportError as error:
        raise CloudError(
            f"expected the library of AWS, found: {error}; install it: pip install 'hippflow[cluster]'"
        ) from error
    return SnsTopic(arn)


#: Kinds of sinks by their key in ``notify`` of the configuration.
SINKS: dict[str, Callable[[str], Sink]] = {"sns_topic": _sns_topic, "webhook": Webhook}


def send_all(
    settings: dict[str, str | None] | None,
    subject: str,
    text: str,
    data: dict[str, Any],
    patience: float = PATIENCE,
) -> list[str]:
    """Send a message to all sinks at once, and wait no longer than `patience`.

    Parameters
    ----------
    settings : dict or None
        ``notify`` of the configuration: address by kind of sink, None where there is none.
    subject, text, data
        As in `Sink.send`.
    patience : float
        Seconds for all of them.

    Returns
    -------
    list of str
        For every sink that did not take the message a line that says why. Nothing is raised.

    Examples
    --------
    >>> send_all({"sns_topic": None, "webhook": "example.org"}, "done", "all of it", {})
    ['notify.webhook: expected an address like https://host/path, found another, which may be secret; correct it']
    """
    troubles: dict[str, str | None] = {}
    threads = []
    for kind, address in (settings or {}).items():
        if address and kind in SINKS:
            troubles[kind] = f"no answer within {patience:g} s; the run does not wait longer"
            # a daemon: one that hangs does not keep the process alive either
            thread = threading.Thread(target=_send, args=(kind, address, subject, text, data, troubles), daemon=True)
            thread.start()
            threads.append(thread)
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [f"notify.{kind}: {' '.join(trouble.split())}" for kind, trouble in troubles.items() if trouble]


def _without(url: str, text: str) -> str:
    """Return a text without what follows the host in an address, which may be a secret."""
    _, _, rest = url.partition("//")
    _, _, path = (rest or f"/{url}").partition("/")
    words = sorted(re.split(r"[^\w-]+", path), key=len, reverse=True)  # what is between them a message may escape
    for piece in (url, path, *words):
        if len(piece) > 3:
            text = text.replace(piece, HIDDEN)
    return redacted(text)


def _send(
    kind: str, address: str, subject: str, text: str, data: dict[str, Any], troubles: dict[str, str | None]
) -> None:
    try:
        SINKS[kind](address).send(subject, text, data)
        troubles[kind] = None
    except HippflowError as error:
        troubles[kind] = str(error)
    except Exception as error:  # noqa: BLE001 - what a sink does wrong must not end a run
        troubles[kind] = f"{type(error).__name__}: {error}"
    if kind == "webhook" and troubles[kind]:
        troubles[kind] = _without(address, troubles[kind])
