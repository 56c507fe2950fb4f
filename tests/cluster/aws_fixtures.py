"""Fixtures of the tests of clusters on AWS: `pytest_plugins = ["aws_fixtures"]`."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from aws_between import Between
from debian import Daemons, free_ports, listens
from local_ceph import REGION
from s3_endpoints import use

ROOT = Path(__file__).parents[2]

IMAGE = {
    "ami_id": "ami-0123456789abcdef0",
    "owner_id": "247102896272",
    "root_device_name": "/dev/xvda",
    "root_device_type": "ebs",
    "image_location": "amazon",
    "image_type": "machine",
    "state": "available",
    "virtualization_type": "hvm",
} | dict.fromkeys(("architecture", "description", "hypervisor", "name", "owner_alias", "platform", "sriov"), "")


@pytest.fixture(scope="session")
def aws_server(tmp_path_factory):
    """Environment of a simulated AWS as the fixture `moto`, but with one machine image in place of 600.

    That makes it as good as new in a fiftieth of the time.
    """
    folder = tmp_path_factory.mktemp("aws")
    images = folder / "images.json"
    images.write_text(json.dumps([IMAGE | {"public": True}]))
    (port,) = free_ports(1)
    server = Daemons(folder, {"MOTO_AMIS_PATH": str(images)})
    server.start("moto", sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
    try:
        server.wait("moto", lambda: listens(port))
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        yield keys | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }
    finally:
        server.end()


@pytest.fixture(scope="session")
def between_server(aws_server):
    with Between(aws_server) as between:
        yield between


@pytest.fixture
def aws(aws_server, between_server, monkeypatch):
    """A server that changes nothing yet, before an empty simulated AWS, and boto3 set up for it."""
    reset = urllib.request.Request(f"{aws_server['AWS_ENDPOINT_URL']}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset, timeout=10).close()
    between_server.asked, between_server.before, between_server.after = [], None, None
    use(monkeypatch, between_server.environment)
    return between_server


@pytest.fixture(scope="session")
def pcluster(tmp_path_factory):
    """The command of ParallelCluster: of the environment that test_parallelcluster.py makes, or of one like it."""
    requirements = ROOT / "cluster" / "requirements.txt"
    environment = ROOT / ".venv-pcluster"
    made_from = environment / "made-from.txt"  # written last
    if not made_from.exists() or made_from.read_text() != requirements.read_text():
        environment = tmp_path_factory.mktemp("pcluster")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        pip = [sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "--quiet"]
        subprocess.run([*pip, "install", "--no-compile", "--no-deps", "-r", requirements], check=True)
    return environment / "bin" / "pcluster"
