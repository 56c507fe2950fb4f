"""The command that deletes a cluster: what it asks, whom, and what it does not take for an answer."""

import argparse
import json
import os
import re
import sys
from pathlib import Path

import pytest
from doomed_cluster import script

from hippflow.commands.cluster import Hooks, add
from hippflow.demo.day import write_demo_day
from hippflow.errors import CloudError

pytest_plugins = ["aws_fixtures", "doomed_cluster"]


ROOT = Path(__file__).parents[2]


def command(*words, hooks=None):
    """Run the command line."""
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers(), hooks)
    arguments = parser.parse_args(["cluster", "teardown", "--region", "us-east-1", *words])
    arguments.run(arguments)


def test_the_command_checks_asks_and_deletes(doomed, on_head, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("cluster: {name: hippflow}\narchive: {url: s3://lab}\nresults: made\n")
    product = tmp_path / "made" / "picasso" / "rpllfp_6eca.hkl"
    product.parent.mkdir(parents=True)
    product.write_text("x")
    asked = []
    hooks = Hooks(
        inventory=lambda config: asked.append(config["results"]) or [],
        archive_report=lambda config: asked.append(config["archive"]["url"]) or [],
    )
    words = ["--pcluster", doomed.stand_in]
    with pytest.raises(CloudError, match="found that products is not"):
        command(*words, "--yes", hooks=hooks)
    assert "not a minute before the newest completed snapshot" in capsys.readouterr().out
    assert asked == ["made", "s3://lab"] and doomed.exists()
    product.unlink()
    with pytest.raises(CloudError, match="found no terminal; give --yes"):
        command(*words, hooks=hooks)
    assert doomed.exists() and not doomed.deleting
    doomed.n_deleting = 0
    command(*words, "--yes", hooks=hooks)
    said = capsys.readouterr().out
    assert len(re.findall(r"^ok ", said, re.MULTILINE)) == 10, "five, twice"
    assert "cluster hippflow: gone" in said and not doomed.exists()
    doomed.assert_nothing_lost()


def test_the_head_node_answers_for_its_products(doomed, on_head, tmp_path, monkeypatch, capsys):
    """Its own configuration counts, not that of the computer from which the cluster is deleted."""
    there, here = tmp_path / "there", tmp_path / "here"
    (there / ".venv/bin").mkdir(parents=True)
    here.mkdir()
    write_demo_day(there / "data", channels=(9,), seconds=2, behaviour=False)
    for name in ("schemas", "config.yaml"):
        (there / name).symlink_to(ROOT / name)
    script(there / ".venv/bin/hippflow", f'#!/bin/sh\nexec {sys.executable} -m hippflow "$@"\n')
    ssh = script(tmp_path / "ssh", f'#!/bin/sh\nshift\nexport SLURM_CONF={os.environ["SLURM_CONF"]}\nexec sh -c "$1"\n')
    monkeypatch.chdir(here)
    words = ["--cluster", "hippflow", "--head", f"{ssh} lab", "--pcluster", doomed.stand_in, "--yes"]
    with pytest.raises(CloudError, match="found that inventory, archive, products are not"):
        command(*words, "--folder", str(here))
    assert capsys.readouterr().out.count("expected an answer, found exit status") == 3

    (there / "results").mkdir()
    with pytest.raises(CloudError, match="found that inventory is not"):
        command(*words, "--folder", str(there))
    said = capsys.readouterr().out
    assert re.search(r"not ok +inventory .* missing: picasso/20181105: sorting: 1 of 1 are to be made", said)
    assert "none is configured (archive.url in config.yaml)" in said and "products   there are none" in said
    assert doomed.exists() and not doomed.deleting
    # Results that lie elsewhere there
    (tmp_path / "made").mkdir()
    (tmp_path / "made/rpllfp_6eca.hkl").touch()
    (there / "config.yaml").unlink()
    (there / "config.yaml").write_text(f"results: {tmp_path / 'made'}\n")
    with pytest.raises(CloudError, match="found that inventory, products are not"):
        command(*words, "--folder", str(there))
    assert "not a minute before the newest completed snapshot" in capsys.readouterr().out
    (tmp_path / "made/rpllfp_6eca.hkl").unlink()
    doomed.n_deleting = 0
    command(*words, "--folder", str(there), "--anyway")
    assert not doomed.exists()


def test_a_cluster_that_is_not_named_is_not_deleted_even_if_it_is_the_only_one(doomed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CloudError, match="expected the name of a cluster, found none; give --cluster: hippflow"):
        command("--yes")
    assert doomed.exists() and not doomed.deleting


def test_products_of_another_computer_prove_nothing(doomed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    with pytest.raises(CloudError, match="found that jobs, inventory, products are not"):
        command(
            "--cluster", "hippflow", "--yes", "--pcluster", doomed.stand_in, hooks=Hooks(inventory=lambda config: [])
        )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["unknown", "unknown", "ok", "ok", "unknown"]
    assert json.dumps(lines).count("expected a node of the cluster hippflow") == 3
