"""What AWS has charged, from Cost Explorer: truth, but a day late, and a cent a question."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hippflow.cloud.clusters.aws import CLUSTER_TAG, asking, aws_client
from hippflow.errors import CloudError

#: Where Cost Explorer is, whatever the cluster's region.
REGION = "us-east-1"

#: Days that it knows.
MOST_DAYS = 365


@dataclass(frozen=True)
class Actual:
    """Charges of some days.

    Attributes
    ----------
    start, end : str
        First day, and the day after the last, UTC.
    services : dict of str to float
        USD of the whole account by service, dearest first.
    days : dict of str to float
        The same by day.
    cluster : str or None
        Whose part `of_cluster` is.
    of_cluster : float or None
        USD of what has the cluster's tag; None where nobody asked.
    estimated : bool
        Whether some of it may still change.
    """

    start: str
    end: str
    services: dict[str, float]
    days: dict[str, float]
    cluster: str | None
    of_cluster: float | None
    estimated: bool

    @property
    def usd(self) -> float:
        """USD of the whole account."""
        return sum(self.services.values())


def ask_actual(days: int, cluster: str | None = None, today: date | None = None) -> Actual:
    """Ask Cost Explorer what the account, and a cluster in it, has cost.

    Parameters
    ----------
    days : int
        How many, up to and with today.
    cluster : str, optional
        Name of the cluster, whose tag must be a cost allocation tag of the account.
    today : date, optional
        For another end than today, UTC.

    Returns
    -------
    Actual

    Raises
    ------
    CloudError
        Cost Explorer cannot be reached or refuses; or an answer in another currency.
    """
    if not 1 <= days <= MOST_DAYS:
        raise CloudError(f"--days: expected 1 to {MOST_DAYS}, which Cost Explorer knows, found {days}")
    end = (today or datetime.now(UTC).date()) + timedelta(days=1)
    start = end - timedelta(days=days)
    client = aws_client("ce", REGION)
    services: dict[str, float] = {}
    by_day: dict[str, float] = {}
    estimated = False
    groups = [{"Type": "DIMENSION", "Key": "SERVICE"}]
    for result in _results(client, start, end, {"GroupBy": groups}):
        estimated |= bool(result.get("Estimated"))
        for group in result.get("Groups", []):
            amount, name = _amount(group), group["Keys"][0]
            services[name] = services.get(name, 0.0) + amount
            day = result["TimePeriod"]["Start"]
            by_day[day] = by_day.get(day, 0.0) + amount
    of_cluster = None
    if cluster:
        chosen = {"Filter": {"Tags": {"Key": CLUSTER_TAG, "Values": [cluster]}}}
        of_cluster = sum(_amount(r, "Total") for r in _results(client, start, end, chosen) if r.get("Total"))
    dearest = dict(sorted(services.items(), key=lambda item: (-item[1], item[0])))
    return Actual(str(start), str(end), dearest, dict(sorted(by_day.items())), cluster, of_cluster, estimated)


def _results(client: Any, start: date, end: date, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the days of an answer, page by page."""
    request = request | {
        "TimePeriod": {"Start": str(start), "End": str(end)},
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost"],
    }
    while True:
        with asking("costs", client):
            page = client.get_cost_and_usage(**request)
        yield from page["ResultsByTime"]
        if not page.get("NextPageToken"):
            return
        request["NextPageToken"] = page["NextPageToken"]


def _amount(found: dict[str, Any], where: str = "Metrics") -> float:
    cost = found[where]["UnblendedCost"]
    if cost.get("Unit", "USD") != "USD":
        raise CloudError(f"Cost Explorer: expected dollars, found {cost['Unit']}; see the AWS console for this account")
    return float(cost["Amount"])
