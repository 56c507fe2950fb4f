"""The budget: a run that would cost too much does not start, and one that has cost enough starts no more jobs."""

import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from hippflow.cost.budget import Figures, Planned, Spent, Standing, hold, period_start, spent_so_far
from hippflow.errors import CloudError, ConfigError
from hippflow.runs.record import last_run, list_runs

#: Two steps for each name. A step is estimated at `each` dollars and is billed with one when it is finished.
SNAKEFILE = """
from snakemake_logger_plugin_hippflow import describe_run, guard_budget
from hippflow.cost.budget import Figures, Planned
from hippflow.errors import ConfigError

config = {"results": "out", "names": "a,b,c", "slow": "", "each": 1, "spent": 0, "billed": "yes"} | config
config["budget"] = {"period": "total", "on_exceed": "refuse"} | config.get("budget", {})
describe_run(config, workflow)

def estimate(jobs):
    if config["each"] == "unknown":
        raise ConfigError("prices.yaml: expected a price of x1.huge, found none; add it")
    return Planned(len(jobs) * float(config["each"]), 0.25, config["billed"] == "yes")

def bill(run):
    return float(sum(len(job.outputs) for job in run.in_state("finished")))

onstart:
    guard_budget(config, workflow, ".snakemake/hippflow", Figures(estimate, bill, lambda since: float(config["spent"])))

rule all:
    input: expand("out/{name}.second", name=config["names"].split(","))

rule first:
    output: "out/{name}.first"
    params: seconds=lambda wildcards: 1 if wildcards.name in config["slow"].split(",") else 0.3
    shell: "sleep {params.seconds}; touch {output}"

rule second:
    input: "out/{name}.first"
    output: "out/{name}.second"
    shell: "touch {output}"
"""


class Tiny:
    """A workflow of seven jobs, with a budget."""

    def __init__(self, folder):
        self.folder, self.state = folder, folder / ".snakemake/hippflow"
        (folder / "Snakefile").write_text(SNAKEFILE)

    def run(self, budget, *settings, status=0, options=("--cores", "2")):
        """Run it with `budget`; return what it says."""
        command = [sys.executable, "-m", "snakemake", "--keep-going", "--scheduler", "greedy", "--logger", "hippflow"]
        config = ("--config", f"budget={{{budget}}}", *settings)
        done = subprocess.run(
            [*command, *options, *config], cwd=self.folder, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    @property
    def made(self):
        return sorted(path.name for path in (self.folder / "out").glob("?.*"))

    @property
    def locks(self):
        return list((self.folder / ".snakemake/locks").glob("*"))


@pytest.fixture
def tiny(tmp_path):
    return Tiny(tmp_path)


def test_a_run_that_would_cost_too_much_starts_nothing_and_leaves_no_lock(tiny):
    said = tiny.run("usd: 8", "spent=3", status=1)
    numbers = (
        "budget.usd: expected at most 8.00 USD in all, found 3.00 spent (the ledger of this workflow's runs) and an "
        "estimate of 6.00 (± 0.25) for this run, 1.00 too much"
    )
    assert numbers in said
    assert "hippflow: failed, no job was started, 6 not made\n" in said
    assert numbers in (tiny.folder / "out/summary.txt").read_text()
    run = last_run(tiny.state)
    assert (run.state, run.jobs, run.planned["first"]) == ("failed", {}, (3, 3))
    assert (tiny.made, tiny.locks) == ([], [])

    assert "first" in tiny.run("usd: 8", "spent=3", options=("--dry-run",))  # looking at it is free
    tiny.run("usd: 9", "spent=3")  # exactly what it costs
    assert len(tiny.made) == 6
    # it costs nothing to call what is there up to date
    tiny.run("usd: 1", "spent=3", options=("--touch", "--forceall", "--cores", "1"))


def test_a_warning_lets_it_go_on_and_says_so_once(tiny):
    said = tiny.run("usd: 3, on_exceed: warn")
    assert said.count("for this run, 3.00 too much; going on, as budget.on_exceed is warn.") == 1
    assert said.count("the budget of 3.00 USD is reached") == 1
    assert last_run(tiny.state).state == "succeeded"
    assert len(tiny.made) == 6


def test_a_run_that_has_cost_enough_finishes_what_runs_and_starts_no_more(tiny):
    names = "names=a,b,c,d,e,f,g,h"
    said = tiny.run("usd: 4", "each=0", "spent=1", names, "slow=a,b,c,d,e,f,g,h", status=1)
    run = last_run(tiny.state)
    assert (run.state, run.failed, run.in_state("running", "stopped")) == ("interrupted", [], [])
    assert run.reason.startswith("the budget of 4.00 USD is reached: 1.00 were spent before, and ")
    assert f"hippflow: interrupted ({run.reason}), {run.made} products made, {16 - run.made} not made\n" in said
    assert 3 <= run.made < 12
    assert len(tiny.made) == run.made
    assert {job.outputs[0] for job in run.jobs.values()} == {f"out/{name}" for name in tiny.made}  # all were finished
    assert "At least one job did not complete" not in said.split("hippflow: interrupted")[1]
    assert tiny.locks == []
    assert "next         snakemake" in said

    tiny.run("usd: 40", "each=0", "spent=4", names)
    assert len(tiny.made) == 16
    assert [run.state for run in list_runs(tiny.state)] == ["interrupted", "succeeded"]


def test_a_quiet_run_is_watched_too(tiny):
    """Snakemake does not tell then which jobs are finished."""
    options = ("--cores", "1", "--quiet", "progress", "rules")
    said = tiny.run("usd: 2", "each=0", "names=a,b,c,d,e", status=1, options=options)
    run = last_run(tiny.state)
    assert "hippflow: interrupted (the budget of 2.00 USD is reached: 0.00 were spent before, " in said
    assert 2 <= run.made == len(tiny.made) < 8


def test_a_limit_that_the_last_job_reaches_is_a_success(tiny):
    tiny.run("usd: 2", "each=0", "names=a")
    assert last_run(tiny.state).state == "succeeded"


def test_a_run_on_this_machine_is_not_held_against_the_budget(tiny):
    tiny.run("usd: 0", "billed=no", "names=a")
    assert tiny.made == ["a.first", "a.second"]


def test_a_run_whose_price_is_not_known_is_refused_unless_a_warning_is_enough(tiny):
    said = tiny.run("usd: 8", "each=unknown", status=1)
    assert "what the run would cost cannot be said: prices.yaml: expected a price of x1.huge" in said
    assert last_run(tiny.state).jobs == {}
    said = tiny.run("usd: 8, on_exceed: warn", "each=unknown", "names=a")
    assert "hippflow: the budget is not watched: prices.yaml: expected a price of x1.huge" in said
    assert tiny.made == ["a.first", "a.second"]


def figures(usd=0.0, ledger=None, account=None, billed=True):
    return Figures(lambda jobs: Planned(usd, 0.0, billed), lambda run: 0.0, ledger or (lambda since: 0.0), account)


def test_the_larger_of_aws_and_ledger_counts_and_says_whose_it_is():
    small, large = (lambda since: 3.0), (lambda since: 30.0)

    def aws():
        return 20.0, "AWS Budgets, hippflow"

    assert spent_so_far("month", figures(ledger=small, account=aws)) == Spent(20.0, "AWS Budgets, hippflow", 3.0)
    found = spent_so_far("month", figures(ledger=large, account=aws))
    assert (found.usd, found.source) == (
        30.0,
        "the ledger of this workflow's runs; AWS Budgets, hippflow, up to a day late, has 20.00",
    )


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (
            CloudError("costs: expected credentials, found none; get some"),
            "costs: expected credentials, found none; get some",
        ),
        (KeyError("Budget"), "KeyError: 'Budget'"),
    ],
)
def test_where_aws_does_not_answer_the_ledger_counts(error, trouble):
    def aws():
        raise error

    found = spent_so_far("month", figures(ledger=lambda since: 3.0, account=aws))
    assert found == Spent(3.0, "the ledger of this workflow's runs", 3.0, trouble)


def test_aws_is_not_waited_for_long():
    start = time.monotonic()
    found = spent_so_far("month", figures(account=lambda: time.sleep(10)), patience=0.3)
    assert time.monotonic() - start < 2
    assert (found.usd, found.trouble) == (0.0, "no answer within 0.3 s")


def test_aws_without_a_key_is_no_trouble():
    assert spent_so_far("month", figures(ledger=lambda since: 2.0, account=lambda: None)).trouble is None


def test_a_period_begins_with_its_month_or_never():
    since = []

    def ledger(start):
        since.append(start)
        return 5.0

    month = spent_so_far("month", figures(ledger=ledger))
    total = spent_so_far("total", figures(ledger=ledger, account=lambda: (99.0, "AWS")))  # which forgets
    run = spent_so_far("run", figures(ledger=ledger))
    assert (month.usd, total.usd, run.usd) == (5.0, 5.0, 0.0)
    began = datetime.fromtimestamp(since[0], UTC)
    assert (began.day, began.hour, began.minute, began.second) == (1, 0, 0, 0)
    assert since[1:] == [0.0]
    assert (
        period_start("month", datetime(2024, 2, 29, 23, 59, tzinfo=UTC)) == datetime(2024, 2, 1, tzinfo=UTC).timestamp()
    )


def test_what_is_left_and_what_is_too_much():
    standing = Standing(400.0, "month", Spent(320.1, "AWS Budgets, hippflow"), Planned(95.4, 20.0))
    assert (standing.left, standing.excess) == (pytest.approx(79.9), pytest.approx(15.5))
    assert standing.explain() == (
        "budget.usd: expected at most 400.00 USD a month, found 320.10 spent (AWS Budgets, hippflow) and an estimate "
        "of 95.40 (± 20.00) for this run, 15.50 too much"
    )
    assert hold({"usd": 400, "period": "run"}, figures(399.0), []).excess == 0
    assert hold({"usd": 400, "period": "run"}, figures(401.0), []).excess == pytest.approx(1.0)


def test_a_price_that_is_not_known_is_no_zero():
    def unknown(jobs):
        raise ConfigError("no price")

    with pytest.raises(ConfigError, match="no price"):
        hold({"usd": 4, "period": "run"}, Figures(unknown, None, None), [])


def test_the_ledger_is_not_asked_for_a_run_that_is_not_billed():
    def ledger(since):
        raise AssertionError("asked")

    assert hold({"usd": 0, "period": "month"}, figures(5.0, ledger, billed=False), []).spent.usd == 0
