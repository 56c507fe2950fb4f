"""Where a run's jobs would run: the nodes, disks and queues of the cluster's file, and the settings of ``cost``."""

import argparse
from pathlib import Path
from typing import Any

import yaml

from hippflow.cost.prices import Prices
from hippflow.errors import ConfigError

#: The cluster's file, from the workflow's folder.
CLUSTER_FILE = "cluster/parallelcluster.yaml"

#: ParallelCluster's CapacityType by what the price table calls it; on-demand is its default.
_MARKETS = {"SPOT": "spot", "ONDEMAND": "on_demand", "CAPACITY_BLOCK": "on_demand"}

#: Throughput in MB/s and operations a second that a gp3 volume has for nothing.
FREE_MBPS, FREE_IOPS = 125, 3000


def cost_settings(
    config: dict[str, Any], prices: Prices, folder: str | Path = ".", command: list[str] | None = None
) -> dict[str, Any]:
    """Say what a run's jobs would run on.

    Parameters
    ----------
    config : dict
        The complete configuration of the workflow.
    prices : Prices
        Of an instance list of the cluster's file the first type that has a price is taken.
    folder : path
        Where the workflow runs; ``cluster.file`` and ``profiles`` are relative to it.
    command : list of str, optional
        How the run is started; without it, as on the cluster.

    Returns
    -------
    dict
        ``region``; ``cluster``, whether the jobs go to a cluster; ``queues``, by name `instance`, `market` and
        `nodes`, their most; ``head_node``; ``volume`` with `gb`, `mbps`, `iops`; ``partitions``, the most minutes
        of jobs by queue, or None; ``slots``, CPUs of a Slurm job; ``idle_minutes``, that nodes wait for work;
        ``archive`` and ``sample_bytes``, of a raw signal; and what ``cost`` of the configuration has.

    Raises
    ------
    ConfigError
        The cluster's file cannot be understood, or none of a queue's instance types has a price.
    """
    cost, cluster = config.get("cost") or {}, config.get("cluster") or {}
    path, found = _read_cluster(Path(folder), cluster.get("file") or CLUSTER_FILE)
    region = cost.get("region") or cluster.get("region") or found.get("Region")
    profile = _read_profile(Path(folder), "profiles/slurm") or {}
    try:
        scheduling, head_node = found["Scheduling"], found["HeadNode"]["InstanceType"]
        storage = found["SharedStorage"][0]["EbsSettings"]
        volume = {
            "gb": float(storage.get("Size", 0)),
            "mbps": float(storage.get("Throughput", FREE_MBPS)),
            "iops": float(storage.get("Iops", FREE_IOPS)),
        }
        queues = {queue["Name"]: _queue(queue, prices, region, path) for queue in scheduling["SlurmQueues"]}
        idle = float(scheduling.get("SlurmSettings", {}).get("ScaledownIdletime", 10))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"{path}: expected a ParallelCluster configuration with HeadNode, SharedStorage (EbsSettings) and "
            f"SlurmQueues, found none of {error}; correct cluster.file"
        ) from error
    return {
        "region": region,
        "cluster": command is None or runs_on_cluster(command, folder),
        "queues": queues,
        "head_node": head_node,
        "volume": volume,
        "partitions": _partitions(Path(folder), profile),
        "slots": int(profile.get("cores", 4)),
        "idle_minutes": idle,
        "archive": bool((config.get("archive") or {}).get("url")),
        "sample_bytes": 2 if (config.get("products") or {}).get("dtype") == "int16" else 4,
        "utilisation": float(cost.get("utilisation", 0.6)),
        "start_minutes": float(cost.get("start_minutes", 5)),
        "download": float(cost.get("download", 0)),
    }


def _read_cluster(folder: Path, name: str) -> tuple[Path, dict[str, Any]]:
    path = folder / Path(name).expanduser()
    if not path.exists() and name == CLUSTER_FILE:
        path = Path(__file__).parents[2] / CLUSTER_FILE
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path}: expected the cluster's configuration, found: {error}; correct cluster.file in config.yaml"
        ) from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: expected keys and values, found {found!r}; correct cluster.file in config.yaml")
    return path, found


def _queue(queue: dict[str, Any], prices: Prices, region: str, path: Path) -> dict[str, Any]:
    resource, market = queue["ComputeResources"][0], _MARKETS[queue.get("CapacityType", "ONDEMAND")]
    types = [entry["InstanceType"] for entry in resource.get("Instances", ())] or [resource["InstanceType"]]
    priced = [instance for instance in types if prices.has(instance, region, market)]
    if not priced:
        prices.hour(types[0], region, market)  # says which price is missing
        raise ConfigError(f"{prices.path}: expected {types[0]} in its instances, found none; add it")
    return {"instance": priced[0], "market": market, "nodes": int(resource.get("MaxCount", 10))}


def _read_profile(folder: Path, name: str) -> dict[str, Any] | None:
    """Read a profile of Snakemake, None if there is none of this name."""
    places = [folder / name, Path.home() / ".config/snakemake" / name]
    for place in places:
        path = place / "config.yaml" if place.is_dir() else place
        if path.is_file():
            try:
                found = yaml.safe_load(path.read_text())
            except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
                raise ConfigError(f"{path}: expected a profile in YAML, found: {error}; correct it") from error
            return found if isinstance(found, dict) else {}
    return None


def _partitions(folder: Path, profile: dict[str, Any]) -> dict[str, float] | None:
    """Return the most minutes of jobs by partition, None where all jobs go to the first queue."""
    name = profile.get("hippflow-slurm-partition-config")
    if not name:
        return None
    path = folder / name
    try:
        found = yaml.safe_load(path.read_text())["partitions"]
        return {partition: float(limits["max_runtime"]) for partition, limits in found.items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"{path}: expected partitions with max_runtime, found: {error}; correct it, or "
            "hippflow-slurm-partition-config in profiles/slurm/config.yaml"
        ) from error


def runs_on_cluster(command: list[str], folder: str | Path = ".") -> bool:
    """Say whether the jobs of a Snakemake command go to Slurm, by its executor or its profile.

    Examples
    --------
    >>> runs_on_cluster(["snakemake", "-c8", "day/20181105"])
    False
    >>> runs_on_cluster(["snakemake", "--executor", "hippflow-slurm", "-j", "200"])
    True
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--executor", "-e")
    parser.add_argument("--profile")
    options = parser.parse_known_args(command[1:])[0]
    if options.executor is None and options.profile is not None:
        profile = _read_profile(Path(folder), options.profile)
        options.executor = options.profile if profile is None else str(profile.get("executor", ""))
    return "slurm" in (options.executor or "")
