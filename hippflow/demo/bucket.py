"""A raw tree in a bucket of a local S3 endpoint (moto), to try the workflow on a bucket without an account."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from hippflow.errors import ConfigError, StorageError

#: Bucket that the tree is put in.
BUCKET = "hippflow-demo"

#: Seconds that the endpoint may take to start.
PATIENCE = 60.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise StorageError(
        f"expected the local S3 endpoint at 127.0.0.1:{port} within {PATIENCE:g} s, found none; "
        "try python -m moto.server by hand to see why"
    )


@contextmanager
def endpoint() -> Iterator[dict[str, str]]:
    """Run an empty S3 endpoint on this machine.

    Yields
    ------
    dict
        The environment that AWS tools need to use it.

    Raises
    ------
    StorageError
        It did not start.
    """
    if find_spec("moto") is None:
        raise ConfigError("expected the package moto for a local S3 endpoint, found none; pip install 'moto[server]'")
    port = _free_port()
    environment = os.environ | {
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(server, port)
            yield environment
        finally:
            server.terminate()
            server.wait()


def upload_tree(folder: str | Path, environment: dict[str, str]) -> int:
    """Put a raw tree into a new bucket of an endpoint.

    Parameters
    ----------
    folder : path
        Root of the tree; its files become objects of :data:`BUCKET` under their relative paths.
    environment : dict
        See :func:`endpoint`.

    Returns
    -------
    int
        Number of objects.
    """
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )
    client.create_bucket(Bucket=BUCKET)
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    for path in files:
        client.upload_file(str(path), BUCKET, path.relative_to(folder).as_posix())
    return len(files)


def serve(folder: str | Path, command: list[str]) -> int:
    """Run a command while a raw tree is at ``s3://hippflow-demo``.

    Returns
    -------
    int
        The command's exit status.
    """
    with endpoint() as environment:
        n_objects = upload_tree(folder, environment)
        print(f"{n_objects} files of {folder} are at s3://{BUCKET}, {environment['AWS_ENDPOINT_URL_S3']}", flush=True)
        return subprocess.run(command, env=environment).returncode
