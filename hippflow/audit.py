"""Known vulnerabilities of the packages in the lock file: ``make lint``.

Asks a public service of advisories with pip-audit, which calls a package without an answer "skipped",
and the whole "No known vulnerabilities found". So the service is first asked about an old package whose vulnerabilities
everybody knows, and then every package must have had an answer: otherwise nothing is called clean. Reads the lock file
and writes nothing; names and versions of packages are all that leaves this machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hippflow.doctor.surroundings import read_lock

#: A version with vulnerabilities that every service knows, to see that there is one.
KNOWN = "jinja2==2.4.1"

#: Exit statuses: what is known of no package, of some, and what could not be asked.
CLEAN, VULNERABLE, UNKNOWN = 0, 1, 2

#: Seconds for an answer about all packages.
PATIENCE = 900

#: Packages that are named in a line at most.
_MOST = 5


@dataclass
class Audit:
    """What a service said.

    Attributes
    ----------
    asked : dict of str to str
        Versions by package.
    vulnerable : list of str
        A line for every vulnerability.
    unanswered : list of str
        Packages of which it said nothing.
    """

    asked: dict[str, str] = field(default_factory=dict)
    vulnerable: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


def read_answer(asked: dict[str, str], text: str) -> Audit:
    """Read what pip-audit writes as JSON.

    Examples
    --------
    >>> answer = '{"dependencies": [{"name": "six", "version": "1.17.0", "vulns": []}]}'
    >>> read_answer({"six": "1.17.0", "py": "1.11.0"}, answer).unanswered
    ['py 1.11.0']
    """
    audit, answered = Audit(asked), set()
    for package in json.loads(text)["dependencies"]:
        if "vulns" not in package:
            continue
        answered.add((_normal(package["name"]), package["version"]))
        audit.vulnerable += [
            f"{package['name']} {package['version']}: {found['id']}{_fixed(found)}" for found in package["vulns"]
        ]
    audit.unanswered = [
        f"{name} {version}" for name, version in asked.items() if (_normal(name), version) not in answered
    ]
    return audit


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _fixed(found: dict[str, Any]) -> str:
    versions = found.get("fix_versions") or []
    return f", repaired in {', '.join(versions)}" if versions else ", not repaired yet"


def ask(asked: dict[str, str], service: str) -> Audit:
    """Ask a service about packages; of what it does not answer, none has been answered."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "requirements.txt")
        path.write_text("".join(f"{name}=={version}\n" for name, version in asked.items()))
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(path), "--no-deps", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off", "--vulnerability-service", service]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
            return read_answer(asked, done.stdout)
        except (subprocess.TimeoutExpired, ValueError, KeyError):  # no service, or words that are no answer
            return Audit(asked, [], [f"{name} {version}" for name, version in asked.items()])


def judge(control: Audit, audit: Audit | None, service: str) -> tuple[int, list[str]]:
    """Return the exit status and what to say.

    Parameters
    ----------
    control : Audit
        Of :data:`KNOWN`.
    audit : Audit or None
        Of the lock; None if it was not asked for.
    service : str
    """
    if not control.vulnerable or audit is None:
        return UNKNOWN, [
            f"NOT AUDITED: expected that the advisories of {service!r} know {KNOWN} to be vulnerable, found no such "
            "answer; is there a network? Nothing is known of the packages of the lock. make lint AUDIT=warn goes on "
            "without, AUDIT_SERVICE=osv asks another service"
        ]
    said = [f"VULNERABLE: {line}" for line in audit.vulnerable]
    if audit.unanswered:
        said.append(
            f"NOT AUDITED: expected an answer about all {len(audit.asked)} packages, found none about "
            f"{len(audit.unanswered)}: {_some(audit.unanswered)}; ask again, or another service (AUDIT_SERVICE=osv)"
        )
    if said:
        return VULNERABLE if audit.vulnerable else UNKNOWN, said
    return CLEAN, [f"{len(audit.asked)} packages audited, no known vulnerability ({service})"]


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")


def main() -> None:
    """Audit a lock file; exit with 1 where there is a vulnerability, and with 2 where that is not known."""
    parser = argparse.ArgumentParser(prog="python -m hippflow.audit", description=main.__doc__)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--unreachable", choices=["fail", "warn"], default="fail", help="where the service is away")
    parser.add_argument("--service", default="pypi", help="as pip-audit names it: pypi or osv")
    arguments = parser.parse_args()
    asked = read_lock(arguments.lock)
    control = ask(dict([KNOWN.split("==")]), arguments.service)
    audit = ask(asked, arguments.service) if control.vulnerable else None
    status, said = judge(control, audit, arguments.service)
    print("\n".join(f"audit: {line}" for line in said), file=sys.stderr if status else sys.stdout)
    sys.exit(CLEAN if status == UNKNOWN and arguments.unreachable == "warn" else status)


if __name__ == "__main__":
    main()
