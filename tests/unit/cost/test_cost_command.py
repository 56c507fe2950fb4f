import argparse
import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
import yaml

from hippflow.commands.cost import add
from hippflow.demo.day import write_demo_day
from hippflow.errors import ConfigError
from hippflow.runs.planned import PlannedJob


@pytest.fixture
def cost(capsys):
    """Calls the command and returns what it printed."""
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())

    def call(*arguments):
        chosen = parser.parse_args(["cost", *map(str, arguments)])
        chosen.run(chosen)
        return capsys.readouterr().out

    return call


@pytest.fixture
def place(workflow, monkeypatch):
    """A copy of the workflow that has run nothing; it is the current folder."""
    monkeypatch.chdir(workflow.folder)
    return workflow.folder


def write_record(folder, name, n_jobs=2):
    runs = folder / ".snakemake/hippflow/runs"
    runs.mkdir(parents=True, exist_ok=True)
    start = {"event": "start", "at": 1000.0, "command": ["snakemake", "--executor", "slurm"], "folder": str(folder)}
    lines = [start | {"host": "h", "pid": 1, "identity": "1", "config": {"results": "results"}}]
    for k in range(n_jobs):
        entry = {"event": "job", "at": 1001.0, "id": k, "rule": "sorting", "wildcards": {"day": "picasso/20181105"}}
        lines.append(entry | {"outputs": [f"results/{k}.hkl"], "logs": [], "group": "channels 1"})
        lines.append({"event": "finished", "at": 4600.0, "id": k, "cpu": 3600.0, "wall": 3600.0})
    lines.append({"event": "end", "at": 8200.0, "interrupted": None})
    (runs / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return runs / f"{name}.jsonl"


def test_the_bill_of_the_last_run_or_of_one_by_name(place, cost):
    with pytest.raises(ConfigError, match=r"expected the record of a run, found none; .*hippflow cost --plan"):
        cost()
    first = write_record(place, "20260101T000000Z-1")
    write_record(place, "20260102T000000Z-2", n_jobs=5)
    assert "sorting                          5    5.0000" in cost()
    assert "20260101T000000Z-1: failed" in cost("--run", first)
    report = json.loads(cost("--run", "20260101T000000Z-1", "--json"))
    assert report["bill"]["cpu_hours"] == 2.0 and report["estimate"] is None
    with pytest.raises(ConfigError, match=r"20250101T000000Z-1: expected a run's record in .*, found none"):
        cost("--run", "20250101T000000Z-1")


def test_all_runs_are_those_of_the_ledger(place, cost):
    from hippflow.cost.bill import settle
    from hippflow.runs.record import list_runs

    write_record(place, "20260101T000000Z-1")
    assert "Billed: $0.00 for 0 of 0 runs.\n1 runs have no line" in cost("--all")
    for run in list_runs(".snakemake/hippflow"):
        settle(run)
    (entry,) = json.loads(cost("--all", "--json"))
    assert entry["cpu_hours"] == 2.0 and entry["usd"] > 0.3
    assert f"Billed: ${entry['usd']:.2f} for 1 of 1 runs." in cost("--all")


def test_a_dry_run_is_priced_and_kept_for_the_bill(place, cost):
    write_demo_day(place / "data", channels=(9,), seconds=2, behaviour=False)
    text = cost("--plan", "--", "--executor", "hippflow-slurm", "-j1", "channel/20181105/009")
    assert max(map(len, text.splitlines())) <= 100
    rules = [line.split()[0] for line in text.splitlines() if "shipped defaults" in line]
    assert {"rplsplit", "rplhighpass", "rpllfp", "freqspectrum", "sorting", "units", "spiketrain"} <= set(rules)
    assert "The run would cost $" in text and "picasso/20181105" in text and "r6i.2xlarge (spot)" in text
    (kept,) = Path(".snakemake/hippflow/estimates").glob("*.json")
    command = ["snakemake", "--executor", "hippflow-slurm", "-j1", "channel/20181105/009"]
    assert json.loads(kept.read_text())["command"] == command


def test_the_plan_of_this_machine_is_in_hours_of_it(place, cost, monkeypatch):
    asked = []
    size, out = {"in": 10**9}, "results/picasso/20181105/mountains/channel009/firings.hkl"
    job = PlannedJob("sorting", {"day": "picasso/20181105", "number": "009"}, size, [out], 1, 1000, 10, None, False)
    monkeypatch.setattr("hippflow.runs.planned.planned_jobs", lambda command: asked.append(command) or [job])
    report = json.loads(cost("--plan", "--json", "--config", "channels=9", "--", "-c2", "day/20181105"))
    assert asked == [["snakemake", "-c2", "day/20181105", "--config", "channels=9"]]
    assert (report["billed"], report["jobs"], report["lines"][0]["rule"]) == (False, 1, "sorting")
    default = yaml.safe_load((place / "resources/benchmark_defaults.yaml").read_text())["rules"]["sorting"]
    assert report["cpu_hours"] == pytest.approx((default["seconds"] + default["seconds_per_gb"]) / 3600, abs=1e-5)


def test_settings_are_given_once(place, cost):
    with pytest.raises(ConfigError, match=r"--config: expected once, found before and after --"):
        cost("--plan", "--config", "days=all", "--", "--config", "days=all")
    with pytest.raises(ConfigError, match=r"expected no arguments without --plan, found day/20181105"):
        cost("day/20181105")
    with pytest.raises(ConfigError, match=r"--directory: expected before --"):
        cost("--plan", "--", "--directory", "elsewhere")


def test_the_check_says_how_far_off_the_times_of_finished_jobs_were(place, cost):
    assert "No rule has 8 finished jobs yet" in cost("--check")
    write_record(place, "20260101T000000Z-1", n_jobs=10)
    (place / ".snakemake/metadata").mkdir(parents=True, exist_ok=True)
    (place / "in").write_bytes(bytes(1000))
    for k in range(10):
        name = urlsafe_b64encode(f"results/{k}.hkl".encode()).decode()
        (place / ".snakemake/metadata" / name).write_text(json.dumps({"input": ["in"]}))
    report = json.loads(cost("--check", "--json"))
    assert report["sorting"]["jobs"] == 10 and report["all"]["measured_cpu_seconds"] == 36000
    assert report["all"]["error_of_half"] == 0  # all took the same
    assert "all 10 36000.00 0.0 % 0 % -" in " ".join(cost("--check").split())


def test_prices_need_no_library_of_aws(place):
    program = (
        "import sys; import hippflow.commands.cost, hippflow.cost.bill, hippflow.cost.estimate, hippflow.cost.tables; "
        "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
