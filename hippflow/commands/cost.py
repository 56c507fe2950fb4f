"""``hippflow cost``: what runs would cost, what they have cost, and by which prices."""

import argparse
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hippflow.commands.configuration import add_config_arguments, complete_config
from hippflow.errors import ConfigError

#: The state of runs, from the workflow's folder.
STATE = Path(".snakemake", "hippflow")


def add(commands: Any) -> None:
    """Add the command."""
    cost = commands.add_parser(
        "cost",
        help="what a run would cost, what runs have cost, and by which prices",
        description="Without options: the bill of the last run.",
    )
    what = cost.add_mutually_exclusive_group()
    what.add_argument("--plan", action="store_true", help="price what a run would do; its command follows after --")
    what.add_argument("--run", metavar="RECORD", dest="record", help="the bill of this run: its record, or its name")
    what.add_argument("--all", action="store_true", help="every run in the ledger, and the sum")
    what.add_argument("--check", action="store_true", help="hold the estimate's times against finished jobs")
    what.add_argument("--actual", action="store_true", help="what AWS charged (Cost Explorer; $0.01 a request)")
    what.add_argument("--refresh-prices", action="store_true", help="ask AWS for new prices and write the table")
    cost.add_argument(
        "--days", type=int, default=30, metavar="N", help="with --actual: of the last N days (default 30)"
    )
    add_config_arguments(cost)
    cost.add_argument("--json", action="store_true", help="everything as JSON")
    cost.add_argument(
        "arguments", nargs="*", metavar="ARGUMENT", help="after --plan --: targets and options of snakemake"
    )
    cost.set_defaults(run=_cost)


def _cost(arguments: argparse.Namespace) -> None:
    if arguments.arguments and not arguments.plan:
        raise ConfigError(
            f"hippflow cost: expected no arguments without --plan, found {' '.join(arguments.arguments)}; write "
            "hippflow cost --plan -- day/20181105"
        )
    if arguments.plan:
        _plan(arguments)
        return
    config = complete_config(arguments)
    if arguments.actual:
        _actual(arguments, config)
    elif arguments.refresh_prices:
        _refresh(config)
    elif arguments.check:
        _check(arguments)
    elif arguments.all:
        _all(arguments)
    else:
        _bill(arguments)


def _plan(arguments: argparse.Namespace) -> None:
    from hippflow.cost.estimate import estimate
    from hippflow.cost.history import load_history
    from hippflow.cost.ledger import save_estimate
    from hippflow.cost.site import cost_settings
    from hippflow.cost.tables import estimate_table
    from hippflow.runs.planned import planned_jobs

    command = ["snakemake", *_with_settings(arguments)]
    config = complete_config(arguments)
    prices = _prices(config)
    settings = cost_settings(config, prices, ".", command)
    history = load_history(".")
    planned = planned_jobs(command)
    found = estimate(planned, history, prices, settings)
    save_estimate(STATE, command, found)
    if arguments.json:
        print(json.dumps({"command": command, "jobs": len(planned)} | found.to_dict(), indent=1))
        return
    print(estimate_table(found, len(planned)))
    if planned:
        print(_times(history, found))


def _times(history: Any, found: Any) -> str:
    """Say in a line or two where the times are from, and how far they were off where that is known."""
    from hippflow.cost.check import check, total
    from hippflow.cost.tables import wrapped

    held = check(history)
    lines = []
    if held:
        lines.append(
            f"Times: a held-out half of {total(held).jobs} finished jobs was off by {total(held).error:.1%} of its CPU "
            "time (hippflow cost --check).".replace("%", " %", 1)
        )
    if any(row.basis - {"history"} for row in found.lines):
        lines.append(
            "Where no jobs of a rule and of such sizes have finished, the +- is an assumption, 50 % "
            f"(the shipped defaults are of {history.measured.split(',')[0]})."
        )
    return "\n".join(wrapped(*lines))


def _with_settings(arguments: argparse.Namespace) -> list[str]:
    """Return Snakemake's arguments, and read the configuration from those that say something of it."""
    rest = list(arguments.arguments)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--directory", "-d")
    parser.add_argument("--configfile", "--configfiles", nargs="+", action="extend", default=[])
    parser.add_argument("--config", "-C", nargs="+", action="extend", default=[])
    found = parser.parse_known_args(rest)[0]
    for name in ("configfile", "config"):
        ours, theirs = getattr(arguments, name), getattr(found, name)
        if ours and theirs:
            raise ConfigError(f"--{name}: expected once, found before and after --; give it after --, as for snakemake")
        if ours:
            rest += [f"--{name}", *ours]
        else:
            setattr(arguments, name, theirs)
    if found.directory:
        raise ConfigError("--directory: expected before --, found after it; write hippflow cost --directory DIR --plan")
    return rest


def _prices(config: dict[str, Any]) -> Any:
    from hippflow.cost.prices import load_prices

    return load_prices((config.get("cost") or {}).get("prices"))


def _bill(arguments: argparse.Namespace) -> None:
    from hippflow.cost.bill import bill_of
    from hippflow.cost.ledger import find_estimate
    from hippflow.cost.tables import bill_table
    from hippflow.runs.record import last_run, read_run

    if arguments.record:
        named = Path(arguments.record)
        path = named if named.exists() else STATE / "runs" / f"{named.name.removesuffix('.jsonl')}.jsonl"
        if not path.exists():
            raise ConfigError(
                f"{arguments.record}: expected a run's record in {STATE / 'runs'}, found none of this name"
            )
        run = read_run(path)
    else:
        run = last_run(STATE)
        if run is None:
            raise ConfigError(
                f"{(STATE / 'runs').absolute()}: expected the record of a run, found none; start one, or ask what it "
                "would cost: hippflow cost --plan"
            )
    account, before = bill_of(run), find_estimate(STATE, run)
    if arguments.json:
        print(json.dumps({"run": str(run.path), "bill": account.to_dict(), "estimate": before}, indent=1))
    else:
        print(bill_table(account, f"{run.path.stem}: {run.state}, {' '.join(run.command)}", before))


def _all(arguments: argparse.Namespace) -> None:
    from hippflow.cost.ledger import entries
    from hippflow.cost.tables import ledger_table

    found = entries(STATE)
    names = {entry["run"] for entry in found}
    unsettled = sum(path.name not in names for path in (STATE / "runs").glob("*.jsonl"))
    print(json.dumps(found, indent=1) if arguments.json else ledger_table(found, unsettled))


def _check(arguments: argparse.Namespace) -> None:
    from hippflow.cost.check import check, table, to_dict
    from hippflow.cost.history import load_history

    held = check(load_history("."))
    print(json.dumps(to_dict(held), indent=1) if arguments.json else table(held))


def _need_boto3() -> None:
    if find_spec("boto3") is None:
        raise ConfigError("expected the package boto3 to ask AWS, found none; pip install 'hippflow[cluster]'")


def _actual(arguments: argparse.Namespace, config: dict[str, Any]) -> None:
    _need_boto3()
    from datetime import UTC, datetime

    from hippflow.cloud.cost_explorer import ask_actual
    from hippflow.cost.ledger import spent
    from hippflow.cost.tables import wrapped

    found = ask_actual(arguments.days, (config.get("cluster") or {}).get("name"))
    since = datetime.fromisoformat(found.start).replace(tzinfo=UTC).timestamp()
    ours = spent(STATE, since)
    if arguments.json:
        print(json.dumps(found.__dict__ | {"usd": found.usd, "ledger_usd": ours}, indent=1))
        return
    lines = [f"{'service':<56}{'US$':>12}"]
    lines += [f"{name[:55]:<56}{usd:>12.2f}" for name, usd in found.services.items() if usd >= 0.005]
    lines += [f"{'whole account':<56}{found.usd:>12.2f}"]
    if found.of_cluster is not None:
        lines.append(f"{f'of it with the tag of cluster {found.cluster}':<56}{found.of_cluster:>12.2f}")
    lines += [f"{'our ledger (hippflow cost --all)':<56}{ours:>12.2f}"]
    notes = []
    late = "; the last day or two are not complete" if found.estimated else ""
    notes.append(f"From {found.start} to {found.end}, the latter not included, UTC{late}.")
    if found.of_cluster == 0 and found.usd > 0:
        notes.append(
            "Nothing has the cluster's tag: activate parallelcluster:cluster-name as a cost allocation tag (console: "
            "Billing); it counts from the next day on."
        )
    if found.of_cluster is None:
        notes.append("The cluster's own part: set cluster.name in config.yaml.")
    print("\n".join([*lines, "", *wrapped(*notes)]))


def _refresh(config: dict[str, Any]) -> None:
    _need_boto3()
    from hippflow.cloud.price_list import refresh
    from hippflow.cost.prices import prices_path

    before = _prices(config)
    path = prices_path((config.get("cost") or {}).get("prices"))
    own = (config.get("cost") or {}).get("region") or (config.get("cluster") or {}).get("region")
    regions = list(before.regions) + ([own] if own and own not in before.regions else [])
    found = refresh(before, path, regions)
    changed = sum(
        rates[market].get(name) != price
        for region, rates in before.regions.items()
        for market in ("on_demand", "spot")
        for name, price in found.regions[region][market].items()
    )
    print(
        f"{path}: prices of {found.date} for {', '.join(found.regions)}; {changed} differ from those of {before.date}."
    )


def idle_price(idle: Any, region: str) -> float | None:
    """Return US$ an hour of something that does nothing; see :func:`hippflow.cost.idle.idle_price`."""
    from hippflow.cost import idle as prices_of_idle

    return prices_of_idle.idle_price(idle, region)
