"""Credentials among the files of a volume: a snapshot would keep them for as long as it exists.

What is looked for: private keys, the AWS command line's credentials, and the files in which git, curl, pip, npm,
Docker, the GitHub command line and others keep passwords and tokens. It goes by names, and looks inside where the name
alone does not tell (``*.pem`` may be a certificate). What it does not find: credentials under any other name, in
archives, and in the middle of other files. Installed Python packages (``site-packages``) are left out: they hold keys
for their tests, which everybody has.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

#: Bytes of a file that are looked at.
READ = 1 << 16

_PRIVATE = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File", re.IGNORECASE)
_AWS_SECRET = re.compile(rb"aws_(secret_access_key|session_token)\s*=|\bAKIA[0-9A-Z]{16}\b", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(rb"://[^/\s:@]+:[^/\s@]+@")
_ANYTHING = re.compile(rb"\S")

#: Pattern of a file's last names, and what its content must have for it to be a secret.
_SUSPECTS = [
    ("id_rsa", _ANYTHING),
    ("id_dsa", _ANYTHING),
    ("id_ecdsa", _ANYTHING),
    ("id_ed25519", _ANYTHING),
    ("*.pem", _PRIVATE),
    ("*.key", _PRIVATE),
    ("*.ppk", _PRIVATE),
    ("*aws/credentials", _AWS_SECRET),
    ("*aws/config", _AWS_SECRET),
    ("*.aws/sso/cache/*.json", _ANYTHING),
    ("*.aws/cli/cache/*.json", _ANYTHING),
    ("accessKeys*.csv", re.compile(rb"secret access key", re.IGNORECASE)),
    ("*_accessKeys.csv", re.compile(rb"secret access key", re.IGNORECASE)),
    (".netrc", re.compile(rb"\bpassword\b")),
    (".git-credentials", _ANYTHING),
    ("*.git/config", _PASSWORD_IN_URL),
    (".pgpass", _ANYTHING),
    (".pypirc", re.compile(rb"\bpassword\b")),
    (".npmrc", re.compile(rb"_auth|_password", re.IGNORECASE)),
    ("*.docker/config.json", re.compile(rb'"auth"')),
    ("*gh/hosts.yml", re.compile(rb"oauth_token")),
    ("token", _ANYTHING),
    (".token", _ANYTHING),
    ("*.token", _ANYTHING),
    ("*_token", _ANYTHING),
]


@dataclass
class KeySearch:
    """What a search for credentials found.

    Attributes
    ----------
    found : list of Path
        Files that hold credentials, or are called as if and cannot be read.
    closed : list of Path
        Folders that this user may not look into.
    """

    found: list[Path] = field(default_factory=list)
    closed: list[Path] = field(default_factory=list)


def find_keys(folder: str | Path) -> KeySearch:
    """Look for credentials below a folder, on its own file system and without following links.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "certificate.pem").write_text("-----BEGIN CERTIFICATE-----")
    >>> _ = (folder / "me.pem").write_text("-----BEGIN RSA PRIVATE KEY-----")
    >>> [path.name for path in find_keys(folder).found]
    ['me.pem']
    """
    folder = Path(folder)
    search = KeySearch()
    for path in _files(folder, search.closed):
        parents = "/".join(path.parts[-4:])
        for pattern, secret in _SUSPECTS:
            whole = parents if "/" in pattern else path.name
            if fnmatchcase(whole, pattern) and _holds(path, secret):
                search.found.append(path)
                break
    search.found.sort()
    return search


def _files(folder: Path, closed: list[Path]) -> Iterator[Path]:
    device = folder.stat().st_dev
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            entries = list(os.scandir(current))
        except PermissionError:
            if current.name != "lost+found":  # of every ext4 volume, and root's alone
                closed.append(current)
            continue
        except FileNotFoundError:  # somebody works here
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "site-packages" and entry.stat(follow_symlinks=False).st_dev == device:
                    waiting.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _holds(path: Path, secret: re.Pattern[bytes]) -> bool:
    try:
        with path.open("rb") as file:
            return secret.search(file.read(READ)) is not None
    except FileNotFoundError:
        return False
    except OSError:  # somebody else's, which is how keys are kept
        return True
