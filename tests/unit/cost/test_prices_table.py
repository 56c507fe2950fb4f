from pathlib import Path

import pytest
import yaml

from hippflow.cost.prices import RATES, check_prices, load_prices
from hippflow.cost.site import cost_settings, runs_on_cluster
from hippflow.errors import ConfigError

REPOSITORY = Path(__file__).parents[3]
REGIONS = {"us-east-1", "us-west-2", "eu-central-1", "ap-southeast-1"}


@pytest.fixture
def prices():
    return load_prices(REPOSITORY / "resources/prices.yaml")


def test_the_shipped_table_prices_every_type_of_the_clusters_file(prices):
    cluster = yaml.safe_load((REPOSITORY / "cluster/parallelcluster.yaml").read_text())
    types = [cluster["HeadNode"]["InstanceType"]]
    for queue in cluster["Scheduling"]["SlurmQueues"]:
        types += [entry["InstanceType"] for entry in queue["ComputeResources"][0]["Instances"]]
    assert len(set(types)) == 7
    assert set(prices.regions) >= REGIONS
    missing = {(t, r) for t in types for r in REGIONS for m in ("spot", "on_demand") if not prices.has(t, r, m)}
    assert missing == {("r7a.2xlarge", "ap-southeast-1")}  # AWS has none there


def test_the_shipped_prices_are_those_of_awss_list(prices):
    assert prices.hour("r6i.2xlarge", "us-east-1", "on_demand") == 0.504
    assert prices.hour("m6i.xlarge", "us-east-1", "on_demand") == 0.192
    assert prices.hour("r6i.2xlarge", "eu-central-1", "on_demand") == 0.608
    assert prices.rate("us-east-1", "volume_gb_month") == 0.08
    assert (prices.vcpus("r6i.2xlarge"), prices.instances["r6i.2xlarge"]["memory_gib"]) == (8, 64)
    for region, rates in prices.regions.items():
        for instance, price in rates["spot"].items():
            assert 0.25 < price / prices.hour(instance, region, "on_demand") < 0.6


def test_what_a_table_lacks_is_named(prices, tmp_path):
    table = yaml.safe_load((REPOSITORY / "resources/prices.yaml").read_text())
    del table["regions"]["us-west-2"]["s3_get_1000"]
    with pytest.raises(ConfigError, match=r"mine.yaml: expected a number in regions.us-west-2.s3_get_1000, found None"):
        check_prices(table, "mine.yaml")
    with pytest.raises(ConfigError, match="expected date, instances and regions, found 'text'"):
        check_prices("text", "mine.yaml")
    with pytest.raises(ConfigError, match=r"none.yaml: expected a price table in YAML, found: .*No such file"):
        load_prices(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"expected prices of the region mars-1, found ap-southeast-1, .*cost.region"):
        prices.rate("mars-1", RATES[0])
    with pytest.raises(ConfigError, match=r"expected a price of r7a.2xlarge \(spot\) in ap-southeast-1"):
        prices.hour("r7a.2xlarge", "ap-southeast-1", "spot")
    with pytest.raises(ConfigError, match=r"expected r6i.2xlarg in its instances, found none; nearest: r6i.2xlarge"):
        prices.vcpus("r6i.2xlarg")


def test_a_clusters_file_says_where_jobs_run(prices):
    settings = cost_settings({}, prices, REPOSITORY)
    assert settings["region"] == "us-east-1"
    assert settings["queues"] == {
        "spot": {"instance": "r6i.2xlarge", "market": "spot", "nodes": 7},
        "ondemand": {"instance": "r6i.2xlarge", "market": "on_demand", "nodes": 1},
    }
    assert settings["head_node"] == "m6i.xlarge"
    assert settings["volume"] == {"gb": 500, "mbps": 250, "iops": 3000}
    assert (settings["slots"], settings["idle_minutes"], settings["partitions"]) == (4, 5, None)
    elsewhere = cost_settings(
        {"cost": {"region": "ap-southeast-1"}, "products": {"dtype": "int16"}}, prices, REPOSITORY
    )
    assert (elsewhere["region"], elsewhere["sample_bytes"], settings["sample_bytes"]) == ("ap-southeast-1", 2, 4)


def test_the_first_type_with_a_price_is_taken(prices, tmp_path):
    text = (REPOSITORY / "cluster/parallelcluster.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("r6i.2xlarge", "x9.huge"))
    config = {"cluster": {"file": "mine.yaml"}}
    assert cost_settings(config, prices, tmp_path)["queues"]["spot"]["instance"] == "r6a.2xlarge"
    (tmp_path / "mine.yaml").write_text("Region: us-east-1\n")
    with pytest.raises(ConfigError, match=r"mine.yaml: expected a ParallelCluster configuration .* 'Scheduling'"):
        cost_settings(config, prices, tmp_path)
    with pytest.raises(ConfigError, match=r"none.yaml: expected the cluster's configuration, found: .*cluster.file"):
        cost_settings({"cluster": {"file": "none.yaml"}}, prices, tmp_path)


def test_partitions_count_only_where_the_profile_uses_them(prices, tmp_path):
    folder = tmp_path / "profiles/slurm"
    folder.mkdir(parents=True)
    (folder / "partitions.yaml").write_text("partitions: {spot: {max_runtime: 120}, ondemand: {max_runtime: 9000}}")
    (folder / "config.yaml").write_text("executor: hippflow-slurm\ncores: 8\n")
    assert cost_settings({}, prices, tmp_path)["partitions"] is None
    (folder / "config.yaml").write_text("hippflow-slurm-partition-config: profiles/slurm/partitions.yaml\n")
    assert cost_settings({}, prices, tmp_path)["partitions"] == {"spot": 120, "ondemand": 9000}
    (folder / "partitions.yaml").write_text("spot: 120\n")
    with pytest.raises(ConfigError, match=r"partitions.yaml: expected partitions with max_runtime"):
        cost_settings({}, prices, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--profile", "slurm"], True),
        (["--profile=profiles/slurm", "-n"], True),
        (["--profile", "mine", "--executor", "local"], False),
        (["--profile", "mine"], False),
        (["-c8", "day/20181105"], False),
    ],
)
def test_the_profile_or_the_executor_says_whether_jobs_go_to_a_cluster(tmp_path, arguments, expected):
    for name, executor in (("slurm", "hippflow-slurm"), ("profiles/slurm", "hippflow-slurm"), ("mine", "local")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.yaml").write_text(f"executor: {executor}\n")
    assert runs_on_cluster(["snakemake", *arguments], tmp_path) is expected
