"""Prices and charges from AWS: Cost Explorer and spot prices of moto, the price list of a stand-in for its API."""

import argparse
import json
import threading
import urllib.request
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from debian import free_ports
from s3_endpoints import use

from hippflow.cloud.cost_explorer import ask_actual
from hippflow.cloud.price_list import refresh
from hippflow.commands.cost import add
from hippflow.cost.prices import load_prices
from hippflow.errors import CloudError

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def aws(moto, monkeypatch):
    """The simulated AWS for this process."""
    use(monkeypatch, moto)
    return moto


def queue(aws, *results):
    """Make moto's Cost Explorer answer so, one result a request."""
    body = json.dumps({"results": results}).encode()
    url = aws["AWS_ENDPOINT_URL"] + "/moto-api/static/ce/cost-and-usage-results"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    urllib.request.urlopen(request, timeout=10).close()


def charges(day, services, estimated=False, unit="USD"):
    groups = [
        {"Keys": [name], "Metrics": {"UnblendedCost": {"Amount": str(usd), "Unit": unit}}}
        for name, usd in services.items()
    ]
    return {"TimePeriod": {"Start": day, "End": day}, "Total": {}, "Groups": groups, "Estimated": estimated}


def of_tag(usd):
    total = {"UnblendedCost": {"Amount": str(usd), "Unit": "USD"}}
    return {"ResultsByTime": [{"TimePeriod": {}, "Total": total, "Groups": [], "Estimated": False}]}


COMPUTE = "Amazon Elastic Compute Cloud - Compute"
ACCOUNT = [
    {"ResultsByTime": [charges("2026-01-01", {COMPUTE: 1.5, "Tax": 0.1})], "NextPageToken": "more"},
    {"ResultsByTime": [charges("2026-01-02", {COMPUTE: 2.0, "EC2 - Other": 0.75}, estimated=True)]},
]


def test_charges_are_added_up_over_days_and_pages(aws):
    queue(aws, *ACCOUNT, of_tag(3.25))
    found = ask_actual(2, "lab", date(2026, 1, 2))
    assert (found.start, found.end, found.estimated) == ("2026-01-01", "2026-01-03", True)
    assert found.services == {COMPUTE: 3.5, "EC2 - Other": 0.75, "Tax": 0.1}
    assert found.days == {"2026-01-01": pytest.approx(1.6), "2026-01-02": pytest.approx(2.75)}
    assert (found.usd, found.of_cluster) == (pytest.approx(4.35), 3.25)


def test_other_currencies_and_impossible_times_are_refused(aws):
    queue(aws, {"ResultsByTime": [charges("2026-01-01", {COMPUTE: 1.5}, unit="CNY")]})
    with pytest.raises(CloudError, match="expected dollars, found CNY"):
        ask_actual(2, None, date(2026, 1, 2))
    with pytest.raises(CloudError, match=r"--days: expected 1 to 365, .* found 0"):
        ask_actual(0)


@pytest.fixture
def stand_in(monkeypatch):
    """A server in place of the price list and of Cost Explorer: its answers by request, which a test fills in."""
    asked = []
    answers = {"status": 200, "prices": {}}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.headers["X-Amz-Target"], body))
            filters = {entry["Field"]: entry["Value"] for entry in body.get("Filters", [])}
            name = filters.get("instanceType") or filters.get("volumeApiName")
            found = answers["prices"].get((filters.get("regionCode"), name))
            # as https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
            # has it: every product is JSON in a string of the answer's JSON
            term = {"pricePerUnit": {"USD": f"{found:.10f}"}, "unit": "Hrs"} if found is not None else {}
            product = {
                "product": {"productFamily": "Compute Instance", "attributes": {"instanceType": name}, "sku": "ABC"},
                "serviceCode": "AmazonEC2",
                "terms": {"OnDemand": {"ABC.JRT": {"priceDimensions": {"ABC.JRT.6YS": term}, "sku": "ABC"}}},
            }
            answer = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product)] if term else []}
            if answers["status"] != 200:
                answer = {"__type": "AccessDeniedException", "message": "User is not authorized"}
            data = json.dumps(answer).encode()
            self.send_response(answers["status"])
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for service in ("PRICING", "COST_EXPLORER"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", f"http://127.0.0.1:{server.server_port}")
    yield answers, asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def table(tmp_path):
    """A table of two types in two regions, in a file."""
    shipped = yaml.safe_load((REPOSITORY / "resources/prices.yaml").read_text())
    small = {"r6i.2xlarge", "m6i.xlarge"}
    shipped["instances"] = {name: entry for name, entry in shipped["instances"].items() if name in small}
    shipped["regions"] = {name: shipped["regions"][name] for name in ("us-east-1", "eu-central-1")}
    for rates in shipped["regions"].values():
        for market in ("on_demand", "spot"):
            rates[market] = {name: price for name, price in rates[market].items() if name in small}
    path = tmp_path / "prices.yaml"
    path.write_text(yaml.safe_dump(shipped))
    return path


PRICES = {
    ("us-east-1", "r6i.2xlarge"): 0.51,
    ("us-east-1", "m6i.xlarge"): 0.2,
    ("us-east-1", "gp3"): 0.081,
    ("eu-central-1", "r6i.2xlarge"): 0.62,
    ("eu-central-1", "gp3"): 0.1,
}


def test_new_prices_replace_the_old(aws, stand_in, table):
    answers, asked = stand_in
    answers["prices"] = PRICES
    before = load_prices(table)
    refresh(before, table)
    after = load_prices(table)
    assert after.date > before.date
    assert after.regions["us-east-1"]["on_demand"] == {"r6i.2xlarge": 0.51, "m6i.xlarge": 0.2}
    assert after.regions["us-east-1"]["spot"]["r6i.2xlarge"] == 0.00001  # moto's
    assert after.regions["eu-central-1"]["on_demand"] == {"r6i.2xlarge": 0.62}  # the other is not sold there any more
    assert after.rate("eu-central-1", "volume_gb_month") == 0.1
    assert after.rate("eu-central-1", "s3_gb_month") == before.rate("eu-central-1", "s3_gb_month")
    target, body = asked[0]
    assert target == "AWSPriceListService.GetProducts" and body["ServiceCode"] == "AmazonEC2"
    filters = {entry["Field"]: entry["Value"] for entry in body["Filters"]}
    assert filters["operatingSystem"] == "Linux" and filters["tenancy"] == "Shared"
    assert {entry["Type"] for entry in body["Filters"]} == {"TERM_MATCH"}


def test_a_region_of_ones_own_is_added(aws, stand_in, table):
    answers, _ = stand_in
    answers["prices"] = {("eu-west-1", "r6i.2xlarge"): 0.564, ("eu-west-1", "gp3"): 0.088}
    refresh(load_prices(table), table, ["eu-west-1"])
    after = load_prices(table)
    assert after.hour("r6i.2xlarge", "eu-west-1", "on_demand") == 0.564
    assert after.hour("r6i.2xlarge", "us-east-1", "on_demand") == 0.504  # as it was


def test_a_price_list_that_fails_leaves_the_table(aws, stand_in, table, monkeypatch):
    answers, _ = stand_in
    before = table.read_bytes()
    answers["prices"] = {key: price for key, price in PRICES.items() if key[0] == "us-east-1"}  # half way through
    with pytest.raises(CloudError, match=r"expected prices of .* in eu-central-1, found none"):
        refresh(load_prices(table), table)
    answers["status"] = 400
    with pytest.raises(CloudError, match=r"expected permission for pricing:GetProducts, found AccessDeniedException"):
        refresh(load_prices(table), table)
    (port,) = free_ports(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", f"http://127.0.0.1:{port}")
    with pytest.raises(CloudError, match=r"the price of .*xlarge in .* at .*: expected an endpoint that answers"):
        refresh(load_prices(table), table)
    assert table.read_bytes() == before
    assert list(table.parent.iterdir()) == [table]


def test_cost_explorer_that_refuses_is_one_sentence(aws, stand_in):
    answers, _ = stand_in
    answers["status"] = 400
    with pytest.raises(
        CloudError, match=r"costs at .*: expected permission for ce:GetCostAndUsage, found AccessDenied"
    ):
        ask_actual(2)


@pytest.fixture
def command(aws, workflow, monkeypatch, capsys):
    monkeypatch.chdir(workflow.folder)
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())

    def call(*arguments):
        chosen = parser.parse_args(["cost", *arguments])
        chosen.run(chosen)
        return capsys.readouterr().out

    return call


def test_the_commands_say_what_aws_charged_and_which_prices_are_new(aws, command, stand_in, table, monkeypatch):
    answers, _ = stand_in
    table.rename("resources/prices.yaml")
    answers["prices"] = PRICES
    said = command("--refresh-prices")
    assert said.startswith("resources/prices.yaml: prices of 20") and "for eu-central-1, us-east-1; 6 differ" in said
    assert load_prices().hour("r6i.2xlarge", "us-east-1", "on_demand") == 0.51
    monkeypatch.delenv("AWS_ENDPOINT_URL_COST_EXPLORER")
    queue(aws, *ACCOUNT, of_tag(0))
    said = command("--actual", "--days", "7", "--config", "cluster={name: lab}")
    assert max(map(len, said.splitlines())) <= 100
    rows = {line[:56].rstrip(): line[56:].strip() for line in said.splitlines()}
    assert rows["Amazon Elastic Compute Cloud - Compute"] == "3.50" and rows["whole account"] == "4.35"
    assert rows["our ledger (hippflow cost --all)"] == "0.00" and rows["of it with the tag of cluster lab"] == "0.00"
    assert "activate parallelcluster:cluster-name as a cost allocation tag" in said
    queue(aws, *ACCOUNT, of_tag(3.25))
    report = json.loads(command("--actual", "--days", "8", "--json", "--config", "cluster={name: lab}"))
    assert (report["usd"], report["of_cluster"], report["ledger_usd"]) == (4.35, 3.25, 0.0)
