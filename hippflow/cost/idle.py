"""What a thing that does nothing costs an hour, by the price table."""

from typing import TYPE_CHECKING

from hippflow.cost.prices import HOURS_OF_MONTH, load_prices
from hippflow.errors import ConfigError

if TYPE_CHECKING:
    from hippflow.cloud.clusters.idle import Idle

#: What every gp3 volume has; more of it costs extra.
THROUGHPUT, IOPS = 125, 3000


def idle_price(idle: "Idle", region: str) -> float | None:
    """Return US$ an hour of an instance, volume, snapshot or address, None where the table has no price of it.

    Of a snapshot it is the most that it can cost: AWS charges for blocks that are in use.

    Examples
    --------
    >>> from hippflow.cloud.clusters.idle import Idle
    >>> idle_price(Idle("head node", "i-1", "hippflow", "no jobs for an hour", type="m6i.xlarge"), "us-east-1")
    0.192
    """
    prices = load_prices()
    try:
        if idle.kind == "address":
            return prices.rate(region, "address_hour")
        if idle.kind == "snapshot":
            return idle.gb * prices.rate(region, "snapshot_gb_month") / HOURS_OF_MONTH
        if idle.kind == "volume":
            month = idle.gb * prices.rate(region, "volume_gb_month")
            month += max(0, idle.throughput - THROUGHPUT) * prices.rate(region, "volume_mbps_month")
            month += max(0, idle.iops - IOPS) * prices.rate(region, "volume_iops_month")
            return month / HOURS_OF_MONTH if idle.type == "gp3" else None
        return prices.hour(idle.type, region, "spot" if idle.spot else "on_demand")
    except ConfigError:
        return None
