"""Servers for the tests of the cluster: each starts when a test first wants it, and ends with the session."""

import sys
import urllib.request

import pytest
from debian import Daemons, free_ports, listens
from local_ceph import REGION, LocalCeph
from local_slurm import LocalSlurm


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A Slurm of four nodes with 2 cores and 4000 MB each, as it was when it started: see `LocalSlurm.reset`."""
    with LocalSlurm(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
def local_slurm(tmp_path_factory):
    """Makes clusters that are unlike the fixture `slurm`, each to be used in a with statement."""
    return lambda **options: LocalSlurm(tmp_path_factory.mktemp("slurm"), **options)


@pytest.fixture(scope="session")
def ceph(tmp_path_factory):
    """Environment that makes boto3 use a real S3 of this host; its buckets stay for the session."""
    with LocalCeph(tmp_path_factory.mktemp("ceph")) as endpoint:
        yield endpoint.environment


@pytest.fixture(scope="session")
def moto(tmp_path_factory):
    """Environment that makes boto3 use a simulated AWS of this host, empty in every test."""
    (port,) = free_ports(1)
    server = Daemons(tmp_path_factory.mktemp("moto"), {})
    server.start("moto", sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
    try:
        server.wait("moto", lambda: listens(port))
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }
    finally:
        server.end()


@pytest.fixture(autouse=True)
def servers_as_new(request):
    """After a test, undo what it did to the cluster and to the simulated AWS."""
    yield
    if "slurm" in request.fixturenames:
        request.getfixturevalue("slurm").reset()
    if "moto" in request.fixturenames:
        reset = request.getfixturevalue("moto")["AWS_ENDPOINT_URL"] + "/moto-api/reset"
        urllib.request.urlopen(urllib.request.Request(reset, method="POST"), timeout=10).close()
