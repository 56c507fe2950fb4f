"""hippflow serve: a raw tree at a local S3 endpoint while a command runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from hippflow.demo import bucket
from hippflow.errors import ConfigError, StorageError

#: Prints what is in the bucket, with the environment that it is given alone.
LIST = """
import boto3, sys
for item in boto3.client("s3").list_objects_v2(Bucket="hippflow-demo")["Contents"]:
    print(item["Key"], item["Size"])
sys.exit(3)
"""


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "tree/picasso/20181105/session01").mkdir(parents=True)
    (tmp_path / "tree/picasso/20181105/session01/a.nev").write_bytes(b"12345")
    (tmp_path / "tree/picasso/20181105/notes.txt").write_bytes(b"")
    return tmp_path / "tree"


def test_a_command_finds_the_tree_and_its_status_is_kept(tree):
    command = [Path(sys.executable).with_name("hippflow"), "serve", tree, "--", sys.executable, "-c", LIST]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    said, *listed = done.stdout.splitlines()
    assert said.startswith(f"2 files of {tree} are at s3://hippflow-demo, http://127.0.0.1:")
    assert listed == ["picasso/20181105/notes.txt 0", "picasso/20181105/session01/a.nev 5"]


def test_an_endpoint_that_does_not_start_is_an_error(monkeypatch):
    monkeypatch.setattr(bucket, "PATIENCE", 0.0)
    with pytest.raises(StorageError, match="expected the local S3 endpoint at 127.0.0.1:"), bucket.endpoint():
        pass


def test_without_moto_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(bucket, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'moto\[server\]'"), bucket.endpoint():
        pass
