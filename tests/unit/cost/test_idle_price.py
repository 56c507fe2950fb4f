import pytest

from hippflow.cloud.clusters.idle import Idle
from hippflow.cost.idle import idle_price
from hippflow.cost.prices import load_prices


def thing(kind, **more):
    return Idle(kind, "id-1", "hippflow", "nothing to do", **more)


@pytest.mark.parametrize(
    "idle, price",
    [
        (thing("compute node", type="r6i.2xlarge"), 0.504),
        (thing("address"), 0.005),
        (thing("volume", type="gp3", gb=500, iops=3000, throughput=250), (500 * 0.08 + 125 * 0.04) / 730),
        (thing("volume", type="gp3", gb=100, iops=4000, throughput=125), (100 * 0.08 + 1000 * 0.005) / 730),
        (thing("snapshot", gb=200), 200 * 0.05 / 730),
    ],
)
def test_things_cost_what_aws_lists_for_them(idle, price):
    assert idle_price(idle, "us-east-1") == pytest.approx(price)


def test_a_spot_node_has_the_price_of_the_spot_market():
    idle = thing("compute node", type="r6i.2xlarge", spot=True)
    assert idle_price(idle, "us-east-1") == load_prices().regions["us-east-1"]["spot"]["r6i.2xlarge"]


@pytest.mark.parametrize(
    "idle, region",
    [
        (thing("compute node", type="x1e.32xlarge"), "us-east-1"),
        (thing("address"), "mars-north-1"),
        (thing("volume", type="io2", gb=10), "us-east-1"),
    ],
)
def test_what_the_table_does_not_know_has_no_price(idle, region):
    assert idle_price(idle, region) is None
