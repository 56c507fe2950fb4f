"""A cluster with round numbers, so that what it costs can be worked out by hand."""

from hippflow.cost.prices import check_prices

RATES = {
    "volume_gb_month": 0.073,
    "volume_mbps_month": 0.0,
    "volume_iops_month": 0.0,
    "snapshot_gb_month": 0.0,
    "s3_gb_month": 0.02,
    "s3_put_1000": 1.0,
    "s3_get_1000": 0.5,
    "transfer_out_gb": 0.1,
    "address_hour": 0.0,
}
TABLE = {
    "date": "2025-01-01",
    "instances": {"node": {"vcpus": 8, "memory_gib": 64}, "head": {"vcpus": 4, "memory_gib": 16}},
    "regions": {"here": {"on_demand": {"node": 1.0, "head": 0.5}, "spot": {"node": 0.4}} | RATES},
}
PRICES = check_prices(TABLE, "prices.yaml")
SETTINGS = {
    "region": "here",
    "cluster": True,
    "queues": {
        "spot": {"instance": "node", "market": "spot", "nodes": 3},
        "ondemand": {"instance": "node", "market": "on_demand", "nodes": 1},
    },
    "head_node": "head",
    "volume": {"gb": 100.0, "mbps": 100.0, "iops": 3000.0},
    "partitions": None,
    "slots": 4,
    "idle_minutes": 6.0,
    "archive": False,
    "sample_bytes": 4,
    "utilisation": 0.5,
    "start_minutes": 6.0,
    "download": 0.0,
}
