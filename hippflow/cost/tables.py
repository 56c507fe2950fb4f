"""Accounts as tables that fit into a terminal of 100 columns."""

import textwrap
from datetime import UTC, datetime
from typing import Any

from hippflow.cost.account import Account, Row

#: Where a rule's times are from, in words.
_BASIS = {
    "history": "history",
    "far": "history of other sizes",
    "defaults": "shipped defaults",
    "unknown": "a guess",
    "measured": "measured",
}

#: Columns of a terminal.
WIDTH = 100

#: Days that are listed at most.
MOST = 20


def estimate_table(account: Account, planned: int) -> str:
    """Write an estimate: by rule, by day, by type of node, everything else, and the sum."""
    if not planned:
        return "Nothing to do, nothing to pay: every product that was asked for is there."
    lines = [f"{'rule':<14}{'jobs':>8}{'CPU h':>10}{'node h':>10}{'US$':>10}{'+-':>9}   from"]
    lines += [_row(key[0], row, _from(row)) for key, row in account.by("rule").items()]
    lines += _days(account)
    lines += ["", f"{'nodes':<32}{'node h':>10}{'US$':>10}"]
    lines += [
        f"{f'{key[0]} ({key[1]})'.replace('on_demand', 'on-demand'):<32}{row.hours:>10.4f}{row.usd:>10.4f}"
        for key, row in account.by("instance", "market").items()
    ]
    lines += ["", *_items(account)]
    lines += ["", *_sum(account, "The run would cost", "It would cost")]
    return "\n".join(lines)


def bill_table(account: Account, title: str, before: dict[str, Any] | None) -> str:
    """Write a bill, beside the estimate if there was one."""
    guessed: dict[str, dict[str, float]] = {"rule": {}, "day": {}}
    for line in (before or {}).get("lines", []):
        for key, sums in guessed.items():
            sums[line[key]] = sums.get(line[key], 0.0) + line["usd"]
    lines = [title]
    for key in ("rule", "day"):
        heading = f"{key:<26}{'jobs':>8}{'CPU h':>10}{'node h':>10}{'US$':>10}"
        lines += ["", heading + (f"{'estimated US$':>15}" if before else "")]
        rows = {names[0]: row for names, row in account.by(key).items()}
        for name in [*rows, *(name for name in guessed[key] if name not in rows)][: 3 * MOST]:
            row = rows.get(name, Row("", "", "", ""))
            line = f"{name:<26}{row.jobs:>8}{row.cpu / 3600:>10.4f}{row.hours:>10.4f}{row.usd:>10.4f}"
            lines.append(line + (f"{guessed[key].get(name, 0.0):>15.4f}" if before else ""))
    lines += ["", *_items(account)]
    lines += ["", *_sum(account, "The run cost about", "It would have cost about")]
    if before:
        when = datetime.fromtimestamp(before["at"], UTC)
        lines.append(
            f"The estimate of {when:%Y-%m-%d %H:%M} UTC was ${before['usd']:.2f} +- {before['usd_plus_minus']:.2f} for "
            f"{before['cpu_hours']:.2f} CPU hours."
        )
    return "\n".join(lines)


def _row(name: str, row: Row, said: str) -> str:
    cells = f"{row.jobs:>8}{row.cpu / 3600:>10.4f}{row.hours:>10.4f}{row.usd:>10.4f}{row.error:>9.4f}"
    return f"{name:<14}{cells}   {said}".rstrip()


def _from(row: Row) -> str:
    return ", ".join(_BASIS[basis] for basis in sorted(row.basis))


def _days(account: Account) -> list[str]:
    rows = account.by("day")
    lines = ["", f"{'day':<22}{'jobs':>8}{'CPU h':>10}{'node h':>10}{'US$':>10}{'+-':>9}"]
    for (day,), row in list(rows.items())[:MOST]:
        lines.append(
            f"{day:<22}{row.jobs:>8}{row.cpu / 3600:>10.4f}{row.hours:>10.4f}{row.usd:>10.4f}{row.error:>9.4f}"
        )
    if len(rows) > MOST:
        rest = sum(row.usd for row in list(rows.values())[MOST:])
        lines.append(f"{f'and {len(rows) - MOST} more (--json)':<50}{rest:>10.4f}")
    return lines


def _items(account: Account) -> list[str]:
    lines = [f"{'else':<46}{'amount':>12} {'unit':<9}{'US$':>9}{'+-':>9}"]
    for item in account.items:
        said = "   every month" if item.monthly else f"{item.error:>9.4f}" if item.error else ""
        lines.append(f"{item.what:<46}{item.amount:>12.3f} {item.unit:<9}{item.usd:>9.4f}{said}")
    return lines


def _sum(account: Account, billed: str, elsewhere: str) -> list[str]:
    amount = f"${account.usd:.2f}" + (f" +- {account.error:.2f}" if account.error >= 0.005 else "")
    work = (
        f"{account.cpu_hours:.2f} CPU hours, {account.instance_hours:.2f} node hours, "
        f"{account.hours:.2f} h from start to end"
    )
    monthly = " What is billed every month is in no sum." if any(item.monthly for item in account.items) else ""
    prices = f"Prices of {account.prices.date}, {account.settings['region']}, without tax ({account.prices.path})."
    if account.billed:
        return wrapped(f"{billed} {amount}: {work}.{monthly}", prices)
    return wrapped(
        f"Here it costs {account.cpu_hours:.2f} CPU hours of this machine, and no dollars.",
        f"{elsewhere} {amount} on the cluster of cluster.file: {work}.{monthly}",
        prices,
    )


def wrapped(*sentences: str) -> list[str]:
    """Return sentences as lines that fit."""
    return [line for sentence in sentences for line in textwrap.wrap(sentence, WIDTH)]


def ledger_table(entries: list[dict[str, Any]], unsettled: int) -> str:
    """Write the ledger, a line a run, and its sum."""
    lines = [f"{'ended (UTC)':<18}{'run':<30}{'state':<13}{'CPU h':>8}{'node h':>8}{'estimate $':>11}{'US$':>9}"]
    for entry in entries:
        when = datetime.fromtimestamp(entry["at"], UTC)
        guess = entry.get("estimate_usd")
        guessed = "-" if guess is None else f"{guess:.2f}"
        lines.append(
            f"{when:%Y-%m-%d %H:%M}  {entry['run'].removesuffix('.jsonl'):<30}{entry['state']:<13}"
            f"{entry['cpu_hours']:>8.2f}{entry['instance_hours']:>8.2f}{guessed:>11}"
            + (f"{entry['usd']:>9.2f}" if entry["billed"] else f"{'(' + format(entry['usd'], '.2f') + ')':>9}")
        )
    billed = sum(entry["usd"] for entry in entries if entry["billed"])
    lines += ["", f"Billed: ${billed:.2f} for {sum(entry['billed'] for entry in entries)} of {len(entries)} runs."]
    if any(not entry["billed"] for entry in entries):
        lines.append("In parentheses: what runs on this machine would have cost on the cluster; in no sum.")
    if unsettled:
        lines.append(
            f"{unsettled} runs have no line (killed, at work, or older than the ledger): hippflow cost --run NAME"
        )
    return "\n".join(lines)
