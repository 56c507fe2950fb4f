"""A new price table, from AWS's price list and the spot market."""

import json
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from hippflow.cloud.clusters.aws import asking, aws_client
from hippflow.cost.prices import Prices, check_prices
from hippflow.errors import CloudError
from hippflow.io.atomic import whole_file

#: One of the regions in which the price list is; it has the prices of all of them.
REGION = "us-east-1"

_HEADER = """\
# What AWS charges in US$, without tax, for Linux and shared hardware; written by: hippflow cost --refresh-prices.
# on_demand and volume_gb_month are of AWS's price list, spot is the median of a region's zones, all as of the date.
# The other rates are as they were in the table before.
"""


def refresh(prices: Prices, path: str | Path, regions: list[str] | None = None) -> Prices:
    """Ask AWS for the prices of all instance types of a table, and write them; on any failure the file stays.

    Parameters
    ----------
    prices : Prices
        The table before: its instance types and regions are asked for, its other rates are kept.
    path : path
        Where the new one goes.
    regions : list of str, optional
        Only these; the others stay as they were. One that is not in the table takes its other rates
        from the table's first region.

    Returns
    -------
    Prices
        The new table.

    Raises
    ------
    CloudError
        AWS cannot be reached, refuses, or has no price for any of the types.
    """
    client = aws_client("pricing", REGION)
    first = next(iter(prices.regions.values()))
    new: dict[str, Any] = {name: dict(rates) for name, rates in prices.regions.items()}
    for region in regions or list(prices.regions):
        rates = dict(prices.regions.get(region, first))
        rates["on_demand"] = _on_demand(client, region, list(prices.instances))
        rates["spot"] = _spot(region, list(rates["on_demand"]))
        rates["volume_gb_month"] = _volume(client, region)
        new[region] = rates
    date = datetime.now(UTC).date().isoformat()
    document = {
        "date": date,
        "source": f"AWS price list and spot market, asked on {date}: {', '.join(regions or prices.regions)}",
        "instances": prices.instances,
        "regions": new,
    }
    found = check_prices(document, path)
    text = _HEADER + yaml.safe_dump(document, sort_keys=False, default_flow_style=False)
    with whole_file(path) as part:
        part.write_text(text)
    return found


def _on_demand(client: Any, region: str, instances: list[str]) -> dict[str, float]:
    found = {}
    for instance in instances:
        wanted = {
            "regionCode": region,
            "instanceType": instance,
            "operatingSystem": "Linux",
            "preInstalledSw": "NA",
            "tenancy": "Shared",
            "capacitystatus": "Used",
        }
        price = _price(client, wanted, f"the price of {instance} in {region}")
        if price is not None:
            found[instance] = price
    if not found:
        raise CloudError(
            f"AWS price list: expected prices of {', '.join(instances)} in {region}, found none; correct the region's "
            "name. The table stays as it was"
        )
    return found


def _volume(client: Any, region: str) -> float:
    what = f"the price of gp3 volumes in {region}"
    price = _price(client, {"regionCode": region, "volumeApiName": "gp3", "productFamily": "Storage"}, what)
    if price is None:
        raise CloudError(f"AWS price list: expected {what}, found none; correct the region's name")
    return price


def _price(client: Any, wanted: dict[str, str], what: str) -> float | None:
    """Return the on-demand price of the product that fits, None if there is none."""
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    with asking(what, client):
        answer = client.get_products(ServiceCode="AmazonEC2", Filters=filters, FormatVersion="aws_v1")
    for text in answer["PriceList"]:
        for term in json.loads(text).get("terms", {}).get("OnDemand", {}).values():
            for dimension in term["priceDimensions"].values():
                price = float(dimension["pricePerUnit"].get("USD", 0))
                if price > 0:
                    return price
    return None


def _spot(region: str, instances: list[str]) -> dict[str, float]:
    """Return the median over the zones of what spot nodes cost now."""
    client = aws_client("ec2", region)
    latest: dict[str, dict[str, tuple[datetime, float]]] = {}
    with asking(f"spot prices of {region}", client):
        pages = client.get_paginator("describe_spot_price_history").paginate(
            InstanceTypes=instances, ProductDescriptions=["Linux/UNIX"], StartTime=datetime.now(UTC)
        )
        for page in pages:
            for entry in page["SpotPriceHistory"]:
                zones = latest.setdefault(entry["InstanceType"], {})
                found = entry["Timestamp"], float(entry["SpotPrice"])
                zones[entry["AvailabilityZone"]] = max(zones.get(entry["AvailabilityZone"], found), found)
    return {
        instance: round(median(price for _, price in latest[instance].values()), 6)
        for instance in instances
        if instance in latest
    }
