"""Text without what must not be read by others: credentials, tokens, signed addresses, and who is told of runs.

Every error of hippflow, every line of a job's log and every command that is kept go through here, whatever library or
server the words come from. What is not in the environment, and looks like nothing known, is not found.
"""

import os
import re
from collections.abc import Iterable

#: What stands for a value that is not shown.
HIDDEN = "<hidden>"

#: Variables that hold credentials; shorter values, as of a test's server, would hide parts of words.
_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ACCESS_KEY_ID")
_SHORTEST = 8

#: User and password in an address: https://user:password@host/.
_USER = re.compile(r"(?<=//)[^/@\s'\"]*@")

#: Parts of an address that let anyone in who has it: those of AWS, old and new, and of others.
_SIGNED = re.compile(
    r"((?:X-Amz-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId|sig|(?:access_|api_)?(?:token|key)"
    r"|password|secret)=)[^&\s'\"<>]+",
    re.IGNORECASE,
)
_QUERY = re.compile(r"[?&][^\s'\"<>]+")

#: The block of the configuration with addresses of who is told, on a command line: notify={webhook: ...}.
_NOTIFY = re.compile(r"(notify[\"']?\s*[=:]\s*).*", re.DOTALL)


def redacted(text: str) -> str:
    """Return a text without credentials of the environment, passwords in addresses, and signatures of them.

    Examples
    --------
    >>> redacted("https://lab.s3.amazonaws.com/a.nev?X-Amz-Signature=0fe1&x-id=GetObject")
    'https://lab.s3.amazonaws.com/a.nev?X-Amz-Signature=<hidden>&x-id=GetObject'
    >>> redacted("http://user:word@localhost:7480")
    'http://localhost:7480'
    """
    for name in _VARIABLES:
        value = os.environ.get(name, "")
        if len(value) >= _SHORTEST:
            text = text.replace(value, f"<{name}>")
    return _QUERY.sub(lambda query: _SIGNED.sub(rf"\1{HIDDEN}", query[0]), _USER.sub("", text))


def redacted_command(arguments: Iterable[str]) -> list[str]:
    """Return a command's arguments without secrets, and without the addresses of who is told.

    Examples
    --------
    >>> redacted_command(["snakemake", "--config", "days=20181105", "notify={webhook: https://chat/hooks/a1b2}"])
    ['snakemake', '--config', 'days=20181105', 'notify=<hidden>']
    """
    return [redacted(_NOTIFY.sub(rf"\1{HIDDEN}", argument)) for argument in arguments]
