import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from s3_endpoints import use, writer

from hippflow.commands import archive
from hippflow.errors import ConfigError, StorageError

SCHEMA = Path(archive.__file__).parents[2] / "schemas" / "config.schema.yaml"
FILES = {
    "picasso/20181105/session01/a.hkl": b"product",
    "picasso/20181106/session01/a.hkl": b"of the next day",
    "titi/20181105/session01/a.hkl": b"of another subject",
    "logs/rplsplit/picasso/20181105/session01.log": b"done",
}


@pytest.fixture
def client(moto, monkeypatch, tmp_path):
    """Results in a workflow's folder, which is the current one, and a bucket `lab` for its archive."""
    use(monkeypatch, moto)
    monkeypatch.chdir(tmp_path)
    for name, data in FILES.items():
        (path := tmp_path / "made" / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    configure(archive={"url": "s3://lab/products"})
    client = writer(moto)
    client.create_bucket(Bucket="lab")
    return client


def configure(**more):
    """Write a configuration, and the schema that has all of it."""
    schema = yaml.safe_load(SCHEMA.read_text())
    block = {"type": "object", "additionalProperties": False, "properties": {"url": {"type": ["string", "null"]}}}
    schema["properties"].setdefault("archive", block)
    Path("schemas").mkdir(exist_ok=True)
    Path("schemas/config.schema.yaml").write_text(yaml.safe_dump(schema))
    Path("config.yaml").write_text(yaml.safe_dump({"results": "made"} | more))


def run(*arguments):
    """Run the command; its exit status."""
    parser = argparse.ArgumentParser()
    archive.add(parser.add_subparsers())
    parsed = parser.parse_args(["archive", *arguments])
    try:
        parsed.run(parsed)
    except SystemExit as end:
        return end.code
    return 0


def objects(client):
    listed = client.list_objects_v2(Bucket="lab").get("Contents", [])
    return {entry["Key"]: client.get_object(Bucket="lab", Key=entry["Key"])["Body"].read() for entry in listed}


def test_a_day_is_archived_and_verified(client, capsys):
    assert run("picasso/20181105") == 0
    assert capsys.readouterr().out == "s3://lab/products: 2 files (0.0 MB): 2 sent (0.0 MB), 0 were there, 0 failed\n"
    wanted = ("picasso/20181105/session01/a.hkl", "logs/rplsplit/picasso/20181105/session01.log")
    assert objects(client) == {f"products/{name}": FILES[name] for name in wanted}
    assert run("picasso/20181105", "--verify") == 0
    assert "2 there with the same size and checksum, 0 missing, 0 different" in capsys.readouterr().out
    assert run("picasso/20181105", "--deep") == 0
    assert "2 there with the same size and content" in capsys.readouterr().out
    assert run("20181105", "--verify") == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "missing: titi/20181105/session01/a.hkl"
    assert said[-1] == "Send what is missing or different: hippflow archive 20181105"


def test_all_days_are_archived_and_a_corrupted_object_is_found(client, capsys):
    assert run("all", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] and report["days"] == ["picasso/20181105", "picasso/20181106", "titi/20181105"]
    assert report["sent"] == sorted(FILES) and report["bytes_sent"] == sum(map(len, FILES.values()))
    assert objects(client) == {f"products/{name}": data for name, data in FILES.items()}
    client.put_object(Bucket="lab", Key="products/picasso/20181106/session01/a.hkl", Body=b"OF THE NEXT DAY")
    assert run("all", "--verify", "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert list(report["different"]) == ["picasso/20181106/session01/a.hkl"] and report["same"] == 3
    config = {"data": "data", "results": "made", "archive": {"url": "s3://lab/products"}}
    (problem,) = archive.archive_problems(config)
    assert problem.startswith("different: picasso/20181106/session01/a.hkl: expected ETag ")
    assert run("all") == 0
    assert archive.archive_problems(config) == []


def test_a_file_that_fails_makes_the_command_fail(client, capsys):
    Path("made/picasso/20181105/away").symlink_to("/etc/hostname")
    assert run("picasso/20181105", "--to", "s3://lab/elsewhere") == 1
    failed, summary = capsys.readouterr().out.splitlines()
    assert failed.startswith("failed: made/picasso/20181105/away: expected a file below made, found a link that leads")
    assert summary.endswith("2 sent (0.0 MB), 0 were there, 1 failed")
    assert sorted(objects(client)) == [
        "elsewhere/logs/rplsplit/picasso/20181105/session01.log",
        "elsewhere/picasso/20181105/session01/a.hkl",
    ]


def test_an_archive_that_is_not_configured_is_asked_for(client):
    configure()
    with pytest.raises(ConfigError, match="expected the address of the archive in archive.url, found none; set it to"):
        run("all")


@pytest.mark.parametrize("raw", ["s3://lab/products", "s3://lab/products/raw", "s3://lab"])
def test_raw_data_are_not_where_the_archive_writes(client, raw):
    configure(data=raw, archive={"url": "s3://lab/products/"})
    with pytest.raises(ConfigError, match=f"expected an archive apart from the raw data, found these at {raw}; choose"):
        run("all")
    configure(data="s3://lab/products2", archive={"url": "s3://lab/products/"})
    assert run("all") == 0


def test_an_unknown_day_is_refused(client):
    with pytest.raises(StorageError, match="made: expected results of 20190101, found picasso/20181105, picasso/2018"):
        run("20190101")


def test_a_configuration_that_cannot_be_read_is_named(client):
    with pytest.raises(
        ConfigError, match="lab.yaml: expected the configuration of the workflow, found: .*No such file"
    ):
        run("all", "--configfile", "lab.yaml")
    Path("config.yaml").write_text("- a list")
    with pytest.raises(ConfigError, match="config.yaml: expected keys and values, found list"):
        run("all")
    configure(resluts="made")
    with pytest.raises(ConfigError, match="resluts: unknown key; nearest valid key: results"):
        run("all")


def test_the_command_can_be_added_without_the_packages_of_the_cloud():
    program = (
        "import argparse, sys; from hippflow.commands.archive import add; "
        "add(argparse.ArgumentParser().add_subparsers()); print([m for m in sys.modules if m.startswith('boto')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
