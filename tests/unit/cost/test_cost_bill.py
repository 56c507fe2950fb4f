import json
import shutil
from pathlib import Path

import pytest
from cost_settings_of_tests import PRICES, SETTINGS

from hippflow.cost.bill import bill, bill_of, cost_line, settle
from hippflow.cost.ledger import add_entry, entries, find_estimate, save_estimate, spent
from hippflow.cost.tables import bill_table, ledger_table
from hippflow.runs.record import Job, Run

REPOSITORY = Path(__file__).parents[3]
SESSION = "picasso/20181105/session01"


def job(number, rule="sorting", state="finished", group="g", cpu=3600.0, wall=3600.0, **times):
    wildcards = {"session": SESSION}
    times = {"started": 0.0, "ended": 1800.0} | times
    outputs = [f"results/{number}.hkl"]
    return Job(number, rule, wildcards, outputs, [], None, group, state=state, cpu=cpu, wall=wall, **times)


def run(folder, *jobs, name="20260101T000000Z-1.jsonl", command=("snakemake", "--executor", "slurm"), **entries):
    found = {"started": 1000.0, "ended": 8200.0, "config": {"results": "results"}} | entries
    return Run(folder / name, "succeeded", list(command), str(folder), jobs={one.id: one for one in jobs}, **found)


@pytest.fixture
def folder(tmp_path):
    """A workflow's folder, as far as prices go."""
    for part in ("resources", "cluster", "profiles"):
        shutil.copytree(REPOSITORY / part, tmp_path / part)
    return tmp_path


def test_a_bill_is_what_the_benchmarks_say(tmp_path):
    waiting = job(2, "rplsplit", group=None, cpu=360.0, wall=7200.0)
    found = bill(run(tmp_path, job(1), waiting), "results", PRICES, SETTINGS)
    rows = {names[0]: row for names, row in found.by("rule").items()}
    # CPU time at the utilisation of 0.5: 2 h of a vCPU, of which a node has 8; the other waited longer: 2 h of a vCPU
    assert rows["sorting"].hours == pytest.approx(2 / 8) and rows["rplsplit"].hours == pytest.approx(2 / 8)
    assert (rows["sorting"].cpu, rows["rplsplit"].cpu) == (3600, 360)
    assert found.hours == pytest.approx(2)
    items = {item.what: item.usd for item in found.items}
    assert items["head node head"] == pytest.approx(1.0)
    assert items["1 x node (spot) starting, waiting"] == pytest.approx(0.2 * 0.4)
    assert found.usd == pytest.approx(0.5 * 0.4 + 0.08 + 1.0 + 0.02)
    assert {row.day for row in found.lines} == {"picasso/20181105"}


def test_a_job_is_billed_where_the_time_it_asked_for_sent_it(tmp_path):
    """As partitions.yaml sends long jobs to nodes that are not taken back."""
    settings = SETTINGS | {"partitions": {"spot": 60.0, "ondemand": 10000.0}}
    jobs = [job(1, minutes=30), job(2, group=None, minutes=300)]
    found = bill(run(tmp_path, *jobs), "results", PRICES, settings)
    assert sorted((row.market, row.jobs) for row in found.lines) == [("on_demand", 1), ("spot", 1)]


def test_what_failed_is_paid_for_once_a_slurm_job(tmp_path):
    failed = [job(k, state="failed", cpu=None, wall=None) for k in (1, 2)]
    dropped = job(3, state="dropped", cpu=None, wall=None)
    found = bill(run(tmp_path, *failed, dropped), "results", PRICES, SETTINGS)
    assert [row.jobs for row in found.lines] == [1]
    assert found.lines[0].hours == pytest.approx(0.5 / 8)


def test_a_run_that_goes_on_has_a_bill_so_far(tmp_path):
    going = run(tmp_path, job(1), job(2, state="running", cpu=None, wall=None), ended=None)
    found = bill(going, "results", PRICES, SETTINGS)
    assert found.lines[0].jobs == 1 and found.hours > 1000


def test_products_and_copies_have_their_sizes(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/1.hkl").write_bytes(bytes(4_000_000))
    found = bill(run(tmp_path, job(1), job(9)), "results", PRICES, SETTINGS | {"archive": True, "download": 1.0})
    taken = next(item for item in found.items if item.what == "transfer to your own computer")
    assert taken.amount == pytest.approx(0.004)


def test_the_ledger_has_one_line_a_run(tmp_path):
    first = run(tmp_path, job(1))
    account = bill(first, "results", PRICES, SETTINGS)
    assert add_entry(tmp_path, first, account) and not add_entry(tmp_path, first, account)
    # half a line of a process that was killed does not spoil the next
    with open(tmp_path / "ledger.jsonl", "a") as file:
        file.write('{"run": "half')
    second = run(tmp_path, job(1), name="20260102T000000Z-1.jsonl", ended=9000.0)
    assert add_entry(tmp_path, second, account)
    assert [entry["run"] for entry in entries(tmp_path)] == [first.path.name, second.path.name]
    assert entries(tmp_path)[0]["by_rule"] == {"sorting": pytest.approx(0.1)}
    assert spent(tmp_path) == pytest.approx(2 * account.usd, abs=1e-5)
    assert spent(tmp_path, since=8500.0) == pytest.approx(account.usd, abs=1e-5)
    assert spent(tmp_path, since=0.0, until=8500.0) == pytest.approx(account.usd, abs=1e-5)


def test_runs_on_this_machine_are_in_no_sum(tmp_path):
    account = bill(run(tmp_path, job(1)), "results", PRICES, SETTINGS | {"cluster": False})
    assert not account.billed
    add_entry(tmp_path, run(tmp_path, job(1)), account)
    assert spent(tmp_path) == 0.0
    text = ledger_table(entries(tmp_path), 2)
    assert f"({account.usd:.2f})" in text and "2 runs have no line" in text
    assert max(map(len, text.splitlines())) <= 100


def test_an_estimate_is_found_for_the_run_of_the_same_command(tmp_path, monkeypatch):
    account = bill(run(tmp_path, job(1)), "results", PRICES, SETTINGS)
    monkeypatch.setattr("time.time", lambda: 500.0)
    save_estimate(tmp_path, ["snakemake", "-n", "--executor", "slurm"], account)
    found = find_estimate(tmp_path, run(tmp_path))
    assert found["usd"] == pytest.approx(account.usd, abs=1e-6) and found["at"] == 500.0
    assert find_estimate(tmp_path, run(tmp_path, command=("snakemake", "day/20181105"))) is None
    assert find_estimate(tmp_path, run(tmp_path, started=400.0)) is None  # made after it
    assert find_estimate(tmp_path, run(tmp_path, started=500.0 + 8 * 86400)) is None  # too old
    text = bill_table(account, "title", found)
    assert "estimated US$" in text and "The estimate of 1970-01-01 00:08 UTC was $" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_run_is_settled_in_a_line(folder):
    state = folder / ".snakemake/hippflow"
    line = settle(run(folder, job(1)))
    usd = entries(state)[0]["usd"]
    assert line.startswith(f"about ${usd:.2f}: ")
    assert line.endswith("node hours, r6i.2xlarge (spot), prices of 2026-01-19, us-east-1")
    assert settle(run(folder, job(1))) == line and len(entries(state)) == 1
    # the shipped table, by hand: one CPU hour at 0.6 of 8 vCPU, 10 min of starting and waiting, 2 h of the head node
    nodes = (1 / 0.6 / 8 + 1 / 6) * 0.2516
    others = 2 * 0.192 + (4 + 1 / 0.6 / 8 + 1 / 6 - 2) * 0.005 + 45 * 2 / 730
    assert usd == pytest.approx(nodes + others, abs=1e-4)
    local = cost_line(run(folder, job(1), command=("snakemake", "-c2")))
    assert local.startswith("nothing, 1:00:00 of this machine's CPU; about $")


def test_a_price_that_is_not_known_breaks_no_run(folder):
    (folder / "resources/prices.yaml").write_text("date: today")
    assert cost_line(run(folder, job(1))).startswith("unknown: ")
    assert settle(run(folder, job(1))).startswith("unknown: ")
    shutil.copy(REPOSITORY / "resources/prices.yaml", folder / "resources/prices.yaml")
    (folder / ".snakemake").write_text("a file where a folder should be")
    assert "it is not in the ledger: " in settle(run(folder, job(1)))


def test_the_configuration_may_name_another_table(folder):
    text = (folder / "resources/prices.yaml").read_text()
    (folder / "mine.yaml").write_text(text.replace("date: 2026-01-19", "date: 2030-01-01"))
    mine = run(folder, job(1), config={"cost": {"prices": "mine.yaml", "region": "eu-central-1"}})
    account = bill_of(mine)
    assert (account.prices.date, account.settings["region"]) == ("2030-01-01", "eu-central-1")
    assert json.loads(json.dumps(account.to_dict()))["region"] == "eu-central-1"
