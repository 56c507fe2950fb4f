"""The price table: what AWS charges for nodes, disks, buckets and traffic, with the date of the prices."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hippflow.day.selection import nearest
from hippflow.errors import ConfigError

#: The table, from the workflow's folder.
TABLE = Path("resources", "prices.yaml")

#: How nodes are bought.
MARKETS = ("on_demand", "spot")

#: What a region has a price for, beside nodes; per GB and month, per thousand requests, and so on.
RATES = (
    "volume_gb_month",
    "volume_mbps_month",
    "volume_iops_month",
    "snapshot_gb_month",
    "s3_gb_month",
    "s3_put_1000",
    "s3_get_1000",
    "transfer_out_gb",
    "address_hour",
)

#: AWS's month of hours.
HOURS_OF_MONTH = 730.0


@dataclass(frozen=True)
class Prices:
    """A price table.

    Attributes
    ----------
    path : str
        Where it is from.
    date : str
        Of the prices, ``2026-01-19``.
    instances : dict of str to dict
        ``vcpus`` and ``memory_gib`` of every instance type.
    regions : dict of str to dict
        ``on_demand`` and ``spot``, USD an hour by instance type, and the other rates (:data:`RATES`) in USD.
    """

    path: str
    date: str
    instances: dict[str, dict[str, float]]
    regions: dict[str, dict[str, Any]]

    def has(self, instance: str, region: str, market: str) -> bool:
        """Say whether an instance type has a price."""
        return instance in self.regions.get(region, {}).get(market, {}) and instance in self.instances

    def hour(self, instance: str, region: str, market: str) -> float:
        """Return what an hour of a node costs, in USD.

        Raises
        ------
        ConfigError
            The table has no such price.
        """
        found = self._region(region)[market]
        if instance not in found:
            raise ConfigError(
                f"{self.path}: expected a price of {instance} ({market}) in {region}, found those of "
                f"{', '.join(sorted(found))}; add it, or choose another instance type in cluster.file"
            )
        return float(found[instance])

    def vcpus(self, instance: str) -> int:
        """Return how many CPUs a node has.

        Raises
        ------
        ConfigError
            The table does not know the instance type.
        """
        if instance not in self.instances:
            raise ConfigError(
                f"{self.path}: expected {instance} in its instances, found none; nearest: "
                f"{nearest(instance, sorted(self.instances))}; add it"
            )
        return int(self.instances[instance]["vcpus"])

    def rate(self, region: str, what: str) -> float:
        """Return another price, one of :data:`RATES`, in USD.

        Raises
        ------
        ConfigError
            The table does not know the region.
        """
        return float(self._region(region)[what])

    def _region(self, region: str) -> dict[str, Any]:
        if region not in self.regions:
            raise ConfigError(
                f"{self.path}: expected prices of the region {region}, found {', '.join(sorted(self.regions))}; set "
                "cost.region to one of these, or add it: hippflow cost --refresh-prices"
            )
        return self.regions[region]


def prices_path(path: str | Path | None = None) -> Path:
    """Return the table that is used: the one that is named, the workflow's in this folder, or hippflow's."""
    if path is not None:
        return Path(path)
    return TABLE if TABLE.exists() else Path(__file__).parents[2] / TABLE


def load_prices(path: str | Path | None = None) -> Prices:
    """Read a price table.

    Parameters
    ----------
    path : path, optional
        See :func:`prices_path`.

    Returns
    -------
    Prices

    Raises
    ------
    ConfigError
        It is not there, or something is missing in it; the message says what.

    Examples
    --------
    >>> prices = load_prices(Path(__file__).parents[2] / TABLE)
    >>> prices.hour("r6i.2xlarge", "us-east-1", "on_demand"), prices.vcpus("r6i.2xlarge")
    (0.504, 8)
    """
    path = prices_path(path)
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: expected a price table in YAML, found: {error}; correct cost.prices") from error
    return check_prices(found, path)


def check_prices(found: Any, path: str | Path) -> Prices:
    """Check what a price table holds; see :func:`load_prices`."""
    if not isinstance(found, dict) or not {"date", "instances", "regions"} <= set(found):
        raise _wrong(path, "date, instances and regions", f"{list(found) if isinstance(found, dict) else found!r}")
    for name, instance in _entries(found["instances"], path, "instances"):
        for key in ("vcpus", "memory_gib"):
            _check_number(instance, key, path, f"instances.{name}")
    for region, rates in _entries(found["regions"], path, "regions"):
        for market in MARKETS:
            prices = rates.get(market)
            if not isinstance(prices, dict):
                raise _wrong(path, f"prices by instance type in regions.{region}.{market}", repr(prices))
            for instance in prices:
                _check_number(prices, instance, path, f"regions.{region}.{market}")
        for key in RATES:
            _check_number(rates, key, path, f"regions.{region}")
    return Prices(str(path), str(found["date"]), found["instances"], found["regions"])


def _entries(block: Any, path: str | Path, where: str) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(block, dict) or not block or not all(isinstance(entry, dict) for entry in block.values()):
        raise _wrong(path, f"a block of entries in {where}", repr(block))
    return list(block.items())


def _check_number(block: dict[str, Any], key: str, path: str | Path, where: str) -> None:
    value = block.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise _wrong(path, f"a number in {where}.{key}", repr(value))


def _wrong(path: str | Path, expected: str, found: str) -> ConfigError:
    return ConfigError(f"{path}: expected {expected}, found {found}; correct the price table (resources/prices.yaml)")
