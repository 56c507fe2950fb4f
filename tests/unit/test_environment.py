"""Environments: one lock, and everything else agrees with it."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PYPROJECT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(PYPROJECT)["project"]
PLUGINS = (ROOT / "plugins/pyproject.toml").read_text()
NAME = re.compile(r"[A-Za-z0-9._-]+")


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def version(text):
    return tuple(int(part) for part in re.findall(r"\d+", text))


LINES = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and not line.startswith("#")]
LOCK = {normal(line.split("==")[0]): line.split("==")[1].split()[0] for line in LINES if "==" in line}
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
DEPENDENCIES = [*PROJECT["dependencies"], *(d for group in PROJECT["optional-dependencies"].values() for d in group)]
DEPENDENCIES += tomllib.loads(PLUGINS)["project"]["dependencies"]


def test_the_lock_pins_every_package_once():
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*( ; sys_platform .+)?", line) for line in LINES), LINES
    assert len(LOCK) == len(LINES) > 50


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_every_dependency_is_pinned_within_its_bounds(dependency):
    name = normal(NAME.match(dependency)[0])
    assert name in LOCK
    for sign, bound in re.findall(r"(==|>=|<)([\d.]+)", dependency):
        locked, given = version(LOCK[name]), version(bound)
        assert {"==": locked == given, ">=": locked >= given, "<": locked < given}[sign]


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_every_dependency_has_a_reason(dependency):
    lines = [line for line in (PYPROJECT + PLUGINS).splitlines() if line.strip().startswith(f'"{dependency}"')]
    assert lines
    for line in lines:
        assert re.search(r"\",\s+# \w.{5,}", line), f"{dependency} has no comment that says why it is needed"


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.name)
def test_environments_of_conda_have_the_versions_of_the_lock(path):
    packages = yaml.safe_load(path.read_text())["dependencies"]
    (pip,) = [package["pip"] for package in packages if isinstance(package, dict)]
    assert len(pip) > 5
    for package in pip:
        name, _, found = package.partition("==")
        assert found == LOCK[normal(name)], f"{name} is {found or 'not pinned'}, the lock has {LOCK[normal(name)]}"
    needed = {normal(NAME.match(dependency)[0]) for dependency in PROJECT["dependencies"]} - {"snakemake"}
    if path.name == "ephys.yaml":
        assert {normal(package.split("==")[0]) for package in pip} == needed


def test_there_is_an_environment():
    assert "ephys.yaml" in [path.name for path in ENVIRONMENTS]


def test_the_environment_has_a_python_that_the_project_allows():
    (python,) = [
        p for p in yaml.safe_load((ROOT / "envs/ephys.yaml").read_text())["dependencies"] if "python=" in str(p)
    ]
    assert version(python.split("=")[1]) >= version(PROJECT["requires-python"])
