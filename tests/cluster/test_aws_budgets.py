"""The budget with a simulated AWS: what AWS is told and asked, and the command that does it.

The simulated AWS neither changes budgets nor adds subscribers; the server before it (budgets_between.py) does.
"""

import argparse
import json
import os
import shutil
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from budgets_between import Budgets
from debian import free_ports
from s3_endpoints import use

from hippflow.cloud.aws_budgets import (
    ALERTS,
    NAME,
    cost_of_month,
    has_credentials,
    month_to_date,
    put_budget,
    read_budget,
)
from hippflow.commands.budget import add
from hippflow.cost.budget import Figures, aws_account, spent_so_far
from hippflow.errors import CloudError, ConfigError

ROOT = Path(__file__).parents[2]
ACCOUNT = "123456789012"


@pytest.fixture
def aws(moto, monkeypatch):
    """The simulated AWS for this process, behind a server that can do more."""
    with Budgets(moto) as budgets:
        use(monkeypatch, budgets.environment)
        yield budgets


def costs(aws, *amounts):
    """What Cost Explorer is to answer next, for one service of as many days."""
    rows = [
        {
            "TimePeriod": {"Start": f"2025-11-{day:02d}", "End": f"2025-11-{day + 1:02d}"},
            "Groups": [{"Keys": ["Amazon EC2"], "Metrics": {"UnblendedCost": {"Amount": str(usd), "Unit": "USD"}}}],
        }
        for day, usd in enumerate(amounts, start=1)
    ]
    url = f"http://{aws._upstream}/moto-api/static/ce/cost-and-usage-results"
    body = json.dumps({"results": [{"ResultsByTime": rows, "DimensionValueAttributes": []}]}).encode()
    urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=10).close()


def stored():
    return boto3.client("budgets").describe_budget(AccountId=ACCOUNT, BudgetName=NAME)["Budget"]


def test_a_budget_is_made_once_with_its_alerts(aws):
    assert read_budget() is None
    assert put_budget(400, "me@lab.edu") == "created"
    found = stored()
    assert (found["BudgetLimit"], found["TimeUnit"], found["BudgetType"]) == (
        {"Amount": "400.00", "Unit": "USD"},
        "MONTHLY",
        "COST",
    )
    alerts = boto3.client("budgets").describe_notifications_for_budget(AccountId=ACCOUNT, BudgetName=NAME)
    assert {(one["NotificationType"], one["Threshold"]) for one in alerts["Notifications"]} == set(ALERTS)
    assert aws.subscribers == {alert: ["me@lab.edu"] for alert in ALERTS}
    assert put_budget(400, "me@lab.edu") == "unchanged"
    assert "UpdateBudget" not in aws.asked
    budget = read_budget()
    assert (budget.limit, budget.spent, budget.forecast) == (400.0, 0.0, 0.0)


def test_a_budget_of_the_same_name_is_changed_and_what_others_added_stays(aws):
    client = boto3.client("budgets")
    own = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 50.0}
    client.create_budget(
        AccountId=ACCOUNT,
        Budget={
            "BudgetName": NAME,
            "BudgetLimit": {"Amount": "100", "Unit": "USD"},
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
            "CostFilters": {"Region": ["us-east-1"]},
        },
        NotificationsWithSubscribers=[
            {"Notification": own, "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "pi@lab.edu"}]}
        ],
    )
    assert put_budget(400, "me@lab.edu") == "updated"
    found = stored()
    assert float(found["BudgetLimit"]["Amount"]) == 400
    assert found["CostFilters"] == {"Region": ["us-east-1"]}
    assert aws.subscribers[("ACTUAL", 80.0)] == ["me@lab.edu"]
    assert put_budget(400, "pi@lab.edu") == "updated"  # a second one to be told
    assert aws.subscribers[("FORECASTED", 100.0)] == ["me@lab.edu", "pi@lab.edu"]
    assert put_budget(400, "pi@lab.edu") == "unchanged"
    alerts = client.describe_notifications_for_budget(AccountId=ACCOUNT, BudgetName=NAME)["Notifications"]
    assert len(alerts) == 1 + len(ALERTS)


def test_a_budget_of_another_kind_is_left_alone(aws):
    budget = {
        "BudgetName": NAME,
        "BudgetLimit": {"Amount": "100", "Unit": "USD"},
        "TimeUnit": "ANNUALLY",
        "BudgetType": "COST",
    }
    boto3.client("budgets").create_budget(AccountId=ACCOUNT, Budget=budget)
    assert read_budget() is None
    with pytest.raises(CloudError, match="budget hippflow: expected one of costs a month, found COST ANNUALLY; rename"):
        put_budget(400, "me@lab.edu")
    assert float(stored()["BudgetLimit"]["Amount"]) == 100


def test_the_month_is_as_the_budget_says_or_else_as_cost_explorer_does(aws):
    costs(aws, 12.5, 0.25)
    assert month_to_date() == (12.75, "AWS Cost Explorer")
    boto3.client("budgets").create_budget(
        AccountId=ACCOUNT,
        Budget={
            "BudgetName": NAME,
            "BudgetLimit": {"Amount": "400", "Unit": "USD"},
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
            "CalculatedSpend": {"ActualSpend": {"Amount": "33.5", "Unit": "USD"}},
        },
    )
    assert month_to_date() == (33.5, "AWS Budgets, hippflow")
    aws.refuse.add("DescribeBudget")  # a key that may see costs and not budgets
    assert month_to_date() == (12.75, "AWS Cost Explorer")
    aws.refuse.add("GetCostAndUsage")
    with pytest.raises(CloudError, match="costs at .*: expected .*AccessDenied"):
        month_to_date()


def test_a_month_begins_on_its_first_day_and_ends_tomorrow(aws):
    costs(aws, 7)
    assert cost_of_month(datetime(2025, 3, 1, 0, 5, tzinfo=UTC)) == 7  # the end must be after the start
    assert cost_of_month(datetime(2024, 12, 31, 23, 59, tzinfo=UTC)) == 0


def test_without_credentials_or_an_answer_the_ledger_counts(aws, monkeypatch):
    figures = Figures(None, None, lambda since: 3.0, aws_account())
    (port,) = free_ports(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    found = spent_so_far("month", figures, patience=8)
    assert (found.usd, found.source) == (3.0, "the ledger of this workflow's runs")
    assert "expected an endpoint that answers" in found.trouble
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert not has_credentials()
    assert spent_so_far("month", figures).trouble is None
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(CloudError, match="nobody"):
        has_credentials()


# The command


def budget_command(*arguments):
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    chosen = parser.parse_args(["budget", *arguments])
    chosen.run(chosen)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder of a workflow without data; it is the current folder."""
    for name in (
        "Snakefile",
        "config.yaml",
        "rules",
        "schemas",
        "scripts",
        "profiles",
        "slurm",
        "resources",
        "cluster",
    ):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")
    return tmp_path


def test_the_command_makes_the_budget_of_the_configuration(place, aws, capsys):
    budget_command("--create", "--email", "me@lab.edu", "--config", "budget={usd: 250}")
    assert capsys.readouterr().out == (
        "AWS budget hippflow created: 250.00 USD a month for the whole account; me@lab.edu is told at 80 % spent, "
        "100 % spent, 100 % forecast.\n"
    )
    assert float(stored()["BudgetLimit"]["Amount"]) == 250


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--create", "--config", "budget={usd: 250}"),
            "--email: expected the address that gets the alerts, found None",
        ),
        (("--create", "--email", "me", "--config", "budget={usd: 250}"), "found 'me'"),
        (("--create", "--email", "a@b.c", "--config", "budget={usd: 5, period: run}"), "expected month .* found run"),
        ((), "budget.usd: expected what may be spent, in USD, found none"),
    ],
)
def test_what_the_command_cannot_do_is_said(place, aws, arguments, message):
    with pytest.raises(ConfigError, match=message):
        budget_command(*arguments)
    assert aws.asked == []


def test_the_command_shows_limit_spent_left_and_what_is_to_come(place, aws, capsys):
    """With the real price table, benchmarks and dry run."""
    from hippflow.demo.day import write_demo_day

    write_demo_day(place / "data", channels=[9], seconds=4, behaviour=False)
    costs(aws, 12.5)
    budget_command("--json", "--config", "budget={usd: 12.51}")
    found = json.loads(capsys.readouterr().out)
    assert (found["limit"], found["period"], found["on_exceed"]) == (12.51, "month", "refuse")
    assert (found["spent"]["usd"], found["spent"]["source"]) == (12.5, "AWS Cost Explorer")
    assert found["left"] == pytest.approx(0.01)
    assert found["jobs"] > 10
    assert found["planned"]["billed"] is True
    assert found["planned"]["usd"] > 0.01
    assert found["excess"] == pytest.approx(found["planned"]["usd"] - 0.01, abs=1e-5)
    (place / "data").rename(place / "elsewhere")  # nothing to ask Snakemake about: the rest is shown all the same
    budget_command("--config", "budget={usd: 12.51}")
    said = capsys.readouterr().out
    assert said.startswith(
        "limit     12.51 USD a month; a run that exceeds it: refuse\nspent     12.50 USD: AWS Cost Explorer\n"
    )
    assert "\nto come   not known: expected a dry run that says what" in said
