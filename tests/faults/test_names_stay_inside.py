"""Names and links that come from files and buckets: none of them leads out of the folders that results belong to."""

import os
import subprocess
import sys
from pathlib import Path

import boto3
import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

from hippflow.cloud.raw import BucketTree
from hippflow.day.catalog import build_catalog
from hippflow.day.channels import raw_channels
from hippflow.day.config import check_config, load_schema
from hippflow.day.products import Products
from hippflow.demo import ripple
from hippflow.demo.bucket import endpoint
from hippflow.errors import CatalogError, ConfigError, FormatError, StorageError
from hippflow.io.atomic import whole_file
from hippflow.io.nsx_header import read_nsx_header
from hippflow.io.products import read_product, write_product
from hippflow.io.signals import open_signal
from hippflow.steps.placefield import read_trains
from hippflow.steps.sorting import read_sorting

REPOSITORY = Path(__file__).parents[2]
CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
SCHEMA = load_schema(REPOSITORY / "schemas/config.schema.yaml")
SESSION = "picasso/20181105/session01"


@pytest.fixture
def raw(tmp_path):
    """A raw root with one session of headers, whose file names carry the day."""
    folder = tmp_path / "data" / SESSION
    folder.mkdir(parents=True)
    ripple.write_nev(folder / "181105_Block1.nev", [])
    ripple.write_nsx(folder / "181105_Block1.ns5", [ripple.raw_channel(9)], [])
    return tmp_path / "data"


def labelled(folder, label):
    """A recording with one channel of this label, of up to 16 characters."""
    channel = ripple.Channel(1, label, 0, 1, "uV", 32764, 8191)
    path = folder / "a.ns5"
    ripple.write_nsx(path, [channel], [])
    return read_nsx_header(path)


@pytest.mark.parametrize("label", ["raw ../../../1", "raw /etc/1", "raw 1/../../..", "../../raw 1"])
def test_a_label_that_is_a_path_is_no_channel(tmp_path, label):
    header = labelled(tmp_path, label)
    with pytest.raises(CatalogError, match="expected channels in uV labelled"):
        raw_channels(header, r"raw (\d+)", 0)
    with pytest.raises(CatalogError, match="expected (the first group of .* to be a channel number|channels in uV)"):
        raw_channels(header, r"raw (.*)", 0)


def test_every_product_of_a_tree_is_below_the_results(raw, tmp_path):
    """Also where the tree's folders are links to elsewhere: products go by names, not by what links lead to."""
    elsewhere = tmp_path / "elsewhere"
    (raw / "picasso/20181105").rename(elsewhere)
    (raw / "picasso/20181105").symlink_to(elsewhere)
    config = CONFIG | {"data": str(raw), "results": str(tmp_path / "results")}
    products = Products(config, build_catalog(config))
    paths = [product.path for product in products.of_day("picasso/20181105")]
    assert len(paths) > 8
    assert {os.path.commonpath([os.path.normpath(path), tmp_path / "results"]) for path in paths} == {
        str(tmp_path / "results")
    }


@pytest.mark.parametrize(
    "name, words",
    [
        ("181105\nERROR fake line.nev", "expected a name without braces and control characters"),
        ("181105_{subject}.nev", "expected a name without braces and control characters"),
        ("\x1b[31m181105.nev", "expected a name without braces and control characters"),
        (os.fsdecode(b"181105_\xff.nev"), "expected a name in UTF-8"),
        ("181105_Block1.NEV", "expected the suffix .nev, found .NEV"),
        ("181106_Block1.nev", "expected a file of 20181105, as its folder, found the date 20181106"),
        ("20171105.nev", "expected a file of 20181105, as its folder, found the date 20171105"),
    ],
)
def test_a_file_name_that_cannot_be_meant_is_refused_before_anything_is_made(raw, name, words):
    (raw / SESSION / "181105_Block1.nev").rename(raw / SESSION / name)
    with pytest.raises(CatalogError, match=words) as error:
        build_catalog(CONFIG | {"data": str(raw)})
    str(error.value).encode()  # it can be written into any log
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["results", "staging"])
@pytest.mark.parametrize("folder", ["out/{session}", "out\nside", "out\0"])
def test_a_folder_that_rules_would_read_as_a_pattern_is_refused(key, folder):
    with pytest.raises(ConfigError, match=f"{key}: expected a folder without braces and control characters"):
        check_config({key: folder}, SCHEMA)


@pytest.fixture(scope="module")
def bucket():
    """A client that may write to an endpoint of this machine, and the endpoint's environment."""
    with endpoint() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=environment["AWS_ENDPOINT_URL_S3"], region_name="us-east-1")
        yield client


@pytest.mark.parametrize(
    "key, words",
    [
        (f"{SESSION}/../../../../evil.nev", "expected a key that can be a path below a folder"),
        ("/etc/cron.d/evil", "expected a key that can be a path below a folder"),
        (f"{SESSION}//181105.nev", "expected a key that can be a path below a folder"),
        (f"{SESSION}/181105{{x}}.nev", "expected a name without braces and control characters"),
    ],
)
def test_a_key_that_would_leave_the_copies_is_refused(bucket, tmp_path, key, words):
    name = f"lab{abs(hash(key)) % 10**9}"
    bucket.create_bucket(Bucket=name)
    bucket.put_object(Bucket=name, Key=key, Body=b"x")
    with pytest.raises((StorageError, CatalogError), match=words):
        tree = BucketTree(f"s3://{name}", tmp_path / "staging")
        build_catalog(CONFIG | {"data": f"s3://{name}"}, tree)
    assert list(tmp_path.iterdir()) == []


def hostile_products(folder):
    """Files in the layout of hickle whose content is elsewhere, in each of the ways that HDF5 has."""
    secret = folder / "secret.hkl"
    write_product(secret, {"data": np.arange(8.0), "key": "the laboratory's"})
    paths = []
    for kind in ("external link", "external storage", "virtual", "soft link to an external link"):
        path = folder / f"{kind}.hkl"
        write_product(path, {"data": np.zeros(8)})
        with h5py.File(path, "r+") as file:
            attributes = dict(file['data/"data"'].attrs)
            del file['data/"data"']
            if kind == "external link":
                file['data/"data"'] = h5py.ExternalLink(secret, '/data/"data"')
            elif kind == "external storage":
                made = file["data"].create_dataset('"data"', (8,), "u1", external=[("/etc/passwd", 0, 8)])
            elif kind == "virtual":
                layout = h5py.VirtualLayout((8,), "f8")
                layout[:] = h5py.VirtualSource(secret, 'data/"data"', (8,))
                made = file["data"].create_virtual_dataset('"data"', layout)
            else:
                file["hidden"] = h5py.ExternalLink(secret, '/data/"data"')
                file['data/"data"'] = h5py.SoftLink("/hidden")
            if "link" not in kind:
                for name, value in attributes.items():
                    made.attrs[name] = value
        paths.append(path)
    return paths


def test_a_product_whose_content_is_in_another_file_is_not_read(tmp_path):
    paths = hostile_products(tmp_path)
    with h5py.File(paths[1]) as file:
        assert bytes(file['data/"data"'][:5]) == b"root:"  # the trap does spring where it is trusted
    for path in paths:
        with pytest.raises(FormatError, match=f"{path.name}: expected values in the file itself"):
            read_product(path)
        with pytest.raises(FormatError, match="expected values in the file itself"), open_signal(path):
            pass


@pytest.mark.parametrize(
    "cell, train",
    [
        ("../../../../evil", ""),
        ("/tmp/evil", ""),
        ("cell01/../../x", ""),
        ("cell01", "../../../secret.hkl"),
        ("cell01", "/etc/secret.hkl"),
        ("cell01", "cell02/spiketrain_d41d.hkl"),
    ],
)
def test_a_table_of_cells_names_folders_of_its_channel_alone(tmp_path, cell, train):
    """Place fields are written where it says."""
    cells = tmp_path / "cells.csv"
    columns = {"cell": [cell], "unit": [1], "quality": ["good"], "num_spikes": [0], "firing_rate": [0.0]}
    pd.DataFrame(columns | {"spiketrain": [train]}).to_csv(cells, index=False)
    with pytest.raises(FormatError, match="cells.csv: expected cells like cell01, each with its train in cell01/"):
        read_trains(cells)
    assert list(tmp_path.iterdir()) == [cells]


def test_a_sorting_names_sessions_alone(tmp_path):
    firings = tmp_path / "firings.hkl"
    fields = {name: np.zeros(0, np.int64) for name in ("samples", "labels", "sessionLengths")}
    fields |= {"masked": np.zeros((0, 2), np.int64), "noise": 1.0, "threshold": 4.0}
    write_product(firings, fields | {"sessions": ["../../elsewhere"]})
    with pytest.raises(FormatError, match="firings.hkl: expected sessions like session01"):
        read_sorting(firings)
    write_product(firings, fields | {"sessions": ["session01", "sessioneye"]})
    assert read_sorting(firings)[1]["sessions"] == ["session01", "sessioneye"]


def test_a_link_in_the_place_of_a_product_or_log_is_replaced_and_not_followed(tmp_path):
    """What somebody else's results have for links does not become a way to write over files of one's own."""
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    for name in ("units.csv", "units.log"):
        (tmp_path / name).symlink_to(mine)
    with whole_file(tmp_path / "units.csv") as part:
        part.write_text("unit\n")
    script = "import logging; from hippflow.job_log import start_job_log\n"
    script += f"start_job_log([{str(tmp_path / 'units.log')!r}]); logging.getLogger('hippflow.x').error('said')"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert mine.read_text() == "mine"
    assert (tmp_path / "units.csv").read_text() == "unit\n"
    assert "said" in (tmp_path / "units.log").read_text()
    assert not (tmp_path / "units.log").is_symlink()
