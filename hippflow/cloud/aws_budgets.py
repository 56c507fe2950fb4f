"""The budget of the AWS account: what this month has cost, and mails before and when it is too much.

Budgets belong to an account and no region. Their figures, and those of Cost Explorer, are up to a day late; one
question to Cost Explorer costs 0.01 USD.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from hippflow.cloud.clusters.aws import asking, aws_client, error_code, explain_aws
from hippflow.cloud.cost_explorer import ask_actual
from hippflow.errors import CloudError

#: The budget's name, and the region that a client of a service without regions is made for.
NAME, REGION = "hippflow", "us-east-1"

#: Alerts: what of the limit, in percent, is spent or will be by the end of the month.
ALERTS = (("ACTUAL", 80.0), ("ACTUAL", 100.0), ("FORECASTED", 100.0))

#: What a changed budget does not take, because AWS computes it.
_COMPUTED = ("CalculatedSpend", "LastUpdatedTime", "HealthStatus")


@dataclass(frozen=True)
class AwsBudget:
    """A budget as AWS has it.

    Attributes
    ----------
    limit, spent : float
        USD of the month.
    forecast : float or None
        USD that AWS expects by its end, None where it does not say.
    """

    name: str
    limit: float
    spent: float
    forecast: float | None


def has_credentials() -> bool:
    """Say whether there is a key to ask AWS with.

    Raises
    ------
    CloudError
        Half a key, or a profile that is not there.
    """
    try:
        return boto3.session.Session().get_credentials() is not None
    except BotoCoreError as error:
        raise explain_aws(error, "credentials") from error


def _account() -> str:
    sts = aws_client("sts", REGION)
    with asking("account", sts):
        return sts.get_caller_identity()["Account"]


def _describe(client: Any, account: str, name: str) -> dict[str, Any] | None:
    """Return a budget of the account, None if there is none of this name."""
    with asking(f"budget {name}", client):
        try:
            return client.describe_budget(AccountId=account, BudgetName=name)["Budget"]
        except ClientError as error:
            if error_code(error) == "NotFoundException":
                return None
            raise


def read_budget(name: str = NAME) -> AwsBudget | None:
    """Read a monthly budget of costs.

    Returns
    -------
    AwsBudget or None
        None if there is none of this name, or it is of another kind or currency.

    Raises
    ------
    CloudError
        AWS cannot be asked.
    """
    found = _describe(aws_client("budgets", REGION), _account(), name)
    if found is None or found["BudgetType"] != "COST" or found["TimeUnit"] != "MONTHLY" or "BudgetLimit" not in found:
        return None
    spend = found.get("CalculatedSpend", {})
    forecast = spend.get("ForecastedSpend")
    if found["BudgetLimit"]["Unit"] != "USD":
        return None
    return AwsBudget(
        name,
        float(found["BudgetLimit"]["Amount"]),
        float(spend.get("ActualSpend", {}).get("Amount", 0)),
        float(forecast["Amount"]) if forecast else None,
    )


def month_to_date(name: str = NAME) -> tuple[float, str]:
    """Ask AWS what this month (UTC) has cost: its budget of this name, or without one Cost Explorer.

    Returns
    -------
    usd : float
    source : str
        Who said so.

    Raises
    ------
    CloudError
        AWS cannot be asked.
    """
    try:
        budget = read_budget(name)
    except CloudError:  # a key that may see costs and not budgets
        return cost_of_month(), "AWS Cost Explorer"
    if budget is not None:
        return budget.spent, f"AWS Budgets, {name}"
    return cost_of_month(), "AWS Cost Explorer"


def cost_of_month(now: datetime | None = None) -> float:
    """Ask Cost Explorer for the account's USD since the first of the month (UTC).

    Raises
    ------
    CloudError
        AWS cannot be asked.
    """
    now = now or datetime.now(UTC)
    return ask_actual(now.day, today=now.date()).usd


def put_budget(usd: float, email: str, name: str = NAME) -> str:
    """Make the account's budget with its alerts, or give the one of this name this limit and these alerts.

    Parameters
    ----------
    usd : float
        A month.
    email : str
        Who is told; those who were told already are so still.
    name : str

    Returns
    -------
    str
        ``created``, ``updated`` or ``unchanged``.

    Raises
    ------
    CloudError
        AWS cannot be asked, or refuses.
    """
    client, account = aws_client("budgets", REGION), _account()
    limit = {"Amount": f"{usd:.2f}", "Unit": "USD"}
    subscriber = {"SubscriptionType": "EMAIL", "Address": email}
    found = _describe(client, account, name)
    if found is None:
        budget = {"BudgetName": name, "BudgetLimit": limit, "TimeUnit": "MONTHLY", "BudgetType": "COST"}
        alerts = [{"Notification": _alert(*alert), "Subscribers": [subscriber]} for alert in ALERTS]
        with asking(f"budget {name}", client):
            client.create_budget(AccountId=account, Budget=budget, NotificationsWithSubscribers=alerts)
        return "created"
    if found["BudgetType"] != "COST" or found["TimeUnit"] != "MONTHLY":
        raise CloudError(
            f"budget {name}: expected one of costs a month, found {found['BudgetType']} {found['TimeUnit']}; rename "
            "or delete that one in the AWS console (Billing, Budgets)"
        )
    changed = False
    if float(found.get("BudgetLimit", {}).get("Amount", 0)) != float(limit["Amount"]):
        kept = {key: value for key, value in found.items() if key not in _COMPUTED}
        with asking(f"budget {name}", client):
            client.update_budget(AccountId=account, NewBudget=kept | {"BudgetLimit": limit})
        changed = True
    for alert in ALERTS:
        changed |= _put_alert(client, account, name, _alert(*alert), subscriber)
    return "updated" if changed else "unchanged"


def _alert(kind: str, percent: float) -> dict[str, Any]:
    return {
        "NotificationType": kind,
        "ComparisonOperator": "GREATER_THAN",
        "Threshold": percent,
        "ThresholdType": "PERCENTAGE",
    }


def _put_alert(client: Any, account: str, name: str, alert: dict[str, Any], subscriber: dict[str, str]) -> bool:
    """Add an alert, or somebody to an alert, unless that is there; return whether it was added."""
    where = {"AccountId": account, "BudgetName": name}
    with asking(f"alerts of the budget {name}", client):
        alerts = client.describe_notifications_for_budget(**where)["Notifications"]
        same = [found for found in alerts if all(found.get(key) == value for key, value in alert.items())]
        if not same:
            client.create_notification(**where, Notification=alert, Subscribers=[subscriber])
            return True
        try:
            client.create_subscriber(**where, Notification=alert, Subscriber=subscriber)
        except ClientError as error:
            if error_code(error) == "DuplicateRecordException":
                return False
            raise
        return True
