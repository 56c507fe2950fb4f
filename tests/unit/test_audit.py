"""The audit of dependencies: a service that is away, or answers in part, is never taken for one that found nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hippflow.audit import CLEAN, UNKNOWN, VULNERABLE, Audit, ask, judge, read_answer

ROOT = Path(__file__).parents[2]
KNOWN = Audit({"jinja2": "2.4.1"}, ["jinja2 2.4.1: PYSEC-2014-8"])
ASKED = {"six": "1.17.0", "ruamel.yaml": "0.18.1"}
HOLE = {"id": "GHSA-1", "fix_versions": ["1.18"], "aliases": [], "description": ""}


def answer(*packages):
    return json.dumps({"dependencies": list(packages), "fixes": []})


def test_an_answer_about_every_package_is_clean():
    text = answer(
        {"name": "six", "version": "1.17.0", "vulns": []}, {"name": "ruamel-yaml", "version": "0.18.1", "vulns": []}
    )
    status, said = judge(KNOWN, read_answer(ASKED, text), "pypi")
    assert (status, said) == (CLEAN, ["2 packages audited, no known vulnerability (pypi)"])


def test_a_vulnerability_is_named_with_what_repairs_it():
    text = answer({"name": "six", "version": "1.17.0", "vulns": [HOLE]})
    status, said = judge(KNOWN, read_answer(ASKED, text), "pypi")
    assert status == VULNERABLE
    assert said[0] == "VULNERABLE: six 1.17.0: GHSA-1, repaired in 1.18"
    assert said[1].startswith("NOT AUDITED: expected an answer about all 2 packages, found none about 1: ruamel.yaml 0")


@pytest.mark.parametrize(
    "package",
    [
        {"name": "six", "skip_reason": "Dependency not found on PyPI and could not be audited: six (1.17.0)"},
        {"name": "six", "version": "1.16.0", "vulns": []},
    ],
)
def test_a_package_that_was_skipped_is_not_clean(package):
    """pip-audit itself ends with 0 and says that it found no known vulnerabilities."""
    rest = {"name": "ruamel.yaml", "version": "0.18.1", "vulns": []}
    status, said = judge(KNOWN, read_answer(ASKED, answer(package, rest)), "pypi")
    assert status == UNKNOWN
    assert "none about 1: six 1.17.0" in said[0]


def test_a_service_that_does_not_know_what_everybody_knows_is_away():
    for control in (Audit({"jinja2": "2.4.1"}), Audit({"jinja2": "2.4.1"}, [], ["jinja2 2.4.1"])):
        status, said = judge(control, None, "osv")
        assert status == UNKNOWN
        assert said[0].startswith("NOT AUDITED: expected that the advisories of 'osv' know jinja2==2.4.1")


def test_without_a_network_nothing_is_called_clean(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    audit = ask({"jinja2": "2.4.1"}, "osv")
    assert (audit.vulnerable, audit.unanswered) == ([], ["jinja2 2.4.1"])
    command = [sys.executable, "-m", "hippflow.audit", str(ROOT / "requirements.lock"), "--service", "osv"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == UNKNOWN
    assert done.stderr.startswith("audit: NOT AUDITED: ")
    assert done.stdout == ""
    done = subprocess.run([*command, "--unreachable", "warn"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.startswith("audit: NOT AUDITED: ")


def test_make_lint_does_what_make_check_does_and_the_audit():
    makefile = (ROOT / "Makefile").read_text()
    (rule,) = re.findall(r"^lint: (.*)\n((?:\t.*\n)+)", makefile, re.M)
    assert rule[0].split() == ["check"]
    assert "hippflow.audit requirements.lock" in rule[1]
    assert "lint" in re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split()
    assert re.search(r"^AUDIT \?= fail$", makefile, re.M)
