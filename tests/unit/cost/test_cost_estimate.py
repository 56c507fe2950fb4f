import json
from dataclasses import replace

import pytest
from cost_settings_of_tests import PRICES, SETTINGS

from hippflow.cost.estimate import day_of, estimate, slurm_job_of
from hippflow.cost.history import History
from hippflow.cost.tables import estimate_table
from hippflow.runs.planned import PlannedJob

DAY = "picasso/20181105"
SESSION = f"{DAY}/session01"


def line(seconds, per_gb):
    return {"seconds": seconds, "seconds_per_gb": per_gb, "smallest_gb": 0.0, "largest_gb": 9.0, "jobs": 9}


HISTORY = History(
    (),
    {
        "measured": "2025-01-01, here",
        "rules": {"rplsplit": line(10.0, 0.0), "rpllfp": line(0.0, 1000.0), "sorting": line(3600.0, 0.0)},
        "outputs": {"rpllfp": {"rpllfp_#.hkl": 0.1}, "sorting": {"firings.hkl": 0.0}},
    },
)


def job(rule, inputs, outputs, group=None, runtime=10, **wildcards):
    return PlannedJob(rule, wildcards, inputs, outputs, 1, 1000, runtime, group, False)


def raw(number):
    return f"results/{SESSION}/array01/channel{number:03d}/rplraw_d41d.hkl"


def lfp(number, group=None):
    path = raw(number).replace("rplraw_d41d", "rpllfp_6eca")
    return job("rpllfp", {raw(number): None}, [path], group, session=SESSION, channel=f"array01/channel{number:03d}")


def sorting(number, group=None, runtime=10, size=0):
    out = f"results/{DAY}/mountains/channel{number:03d}/firings.hkl"
    return job("sorting", {f"in{number}": size}, [out], group, runtime, day=DAY, number=f"{number:03d}")


def test_files_that_are_to_be_made_are_sized(tmp_path, short_day, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (recording,) = (short_day / "session01").glob("*.ns5")
    # 2 raw and 4 analog channels of int16: a channel as float32 is a third of the recording's bytes
    n_bytes = 600_000_000
    split = job("rplsplit", {str(recording): n_bytes}, [raw(9), raw(34)], session=SESSION)
    found = estimate([lfp(9), split], HISTORY, PRICES, SETTINGS)
    by_rule = {names[0]: row for names, row in found.by("rule").items()}
    assert by_rule["rpllfp"].cpu == pytest.approx(1000 * 0.2)  # 0.2 GB
    assert by_rule["rplsplit"].n_bytes == pytest.approx(n_bytes + 2 * 2e8)
    assert by_rule["rpllfp"].n_bytes == pytest.approx(2e8 + 2e7)
    int16 = estimate([lfp(9), split], HISTORY, PRICES, SETTINGS | {"sample_bytes": 2})
    assert int16.by("rule")[("rpllfp",)].cpu == pytest.approx(1000 * 0.1)


def test_a_recording_that_is_still_in_the_bucket_is_as_large_there():
    url, copy = "s3://lab/raw/picasso/20181105/session01/a.ns5", "staging/picasso/20181105/session01/a.ns5"
    staging = job("staging", {url: 600_000_000}, [copy], file="picasso/20181105/session01/a.ns5")
    split = job("rplsplit", {copy: None}, [raw(9), raw(34)], session=SESSION)
    found = estimate([staging, split, lfp(9)], HISTORY, PRICES, SETTINGS)
    assert found.by("rule")[("rpllfp",)].cpu == pytest.approx(1000 * 0.2)
    requests = next(item for item in found.items if item.unit == "GET")
    assert requests.amount == 72 and requests.usd == pytest.approx(0.036)  # parts of 8 MiB
    (month,) = [item for item in found.items if item.unit == "GB-month"]
    assert month.usd == pytest.approx(0.6 * 0.02) and month.monthly


def test_hours_and_dollars_are_those_of_the_model():
    found = estimate([sorting(number, f"g{number}") for number in range(8)], HISTORY, PRICES, SETTINGS)
    # 8 CPU h / (8 vCPU x 0.5) = 2 node h at 0.4; 8 Slurm jobs of 4 CPUs fill 4 nodes, of which there are 3
    assert found.cpu_hours == pytest.approx(8)
    ((_, row),) = found.by("instance", "market").items()
    assert (row.hours, row.usd, row.error) == (pytest.approx(2), pytest.approx(0.8), pytest.approx(0.4))
    items = {item.what: item for item in found.items}
    waiting = items["3 x node (spot) starting, waiting"]
    assert (waiting.amount, waiting.usd) == (pytest.approx(0.6), pytest.approx(0.24))
    assert found.instance_hours == pytest.approx(2.6)
    # a Slurm job of one CPU hour takes 2 h, longer than 2/3 h of every node; and 0.1 h until it starts
    assert found.hours == pytest.approx(2.1)
    assert items["head node head"].usd == pytest.approx(1.05)
    assert items["volume of 100 GB, for the run"].usd == pytest.approx(2.1 * 0.01)
    assert items["volume of 100 GB"].usd == pytest.approx(7.3)  # not in the sum
    assert found.usd == pytest.approx(0.8 + 0.24 + 1.05 + 0.021)
    assert found.error == pytest.approx(0.4 + 0.12 + 0.525 + 0.0105)
    report = json.loads(json.dumps(found.to_dict()))
    assert report["usd"] == pytest.approx(found.usd) and report["lines"][0]["from"] == ["defaults"]


def test_nodes_that_wait_for_the_disk_are_paid_for():
    dry = estimate([sorting(1, "g")], HISTORY, PRICES, SETTINGS)
    wet = estimate([sorting(1, "g", size=720_000_000_000)], HISTORY, PRICES, SETTINGS)
    # 720 GB at 100 MB/s are 2 h of the one node
    assert (dry.lines[0].hours, wet.lines[0].hours) == (pytest.approx(0.25), pytest.approx(2))
    # what another job of the same Slurm job has read is in memory
    twice = estimate([sorting(1, "g", size=720_000_000_000), replace(sorting(1, "g"), inputs={"in1": 720_000_000_000})],
                     HISTORY, PRICES, SETTINGS)  # fmt: skip
    assert sum(row.hours for row in twice.lines) == pytest.approx(2)


def test_long_jobs_go_to_the_partition_that_allows_them():
    limits = SETTINGS | {"partitions": {"spot": 120.0, "ondemand": 9000.0}}
    found = estimate([sorting(1, "a", 60), sorting(2, "b", 600)], HISTORY, PRICES, limits)
    assert {(row.instance, row.market): row.usd for row in found.lines} == {
        ("node", "spot"): pytest.approx(0.25 * 0.4),
        ("node", "on_demand"): pytest.approx(0.25 * 1.0),
    }
    assert {row.market for row in estimate([sorting(2, "b", 600)], HISTORY, PRICES, SETTINGS).lines} == {"spot"}


def test_products_in_the_archive_and_at_home_are_paid_for():
    big = lfp(1)
    big = replace(big, inputs={raw(1): 100_000_000_000})  # makes 10 GB
    found = estimate([big], HISTORY, PRICES, SETTINGS | {"archive": True, "download": 0.5})
    items = {item.unit: item.usd for item in found.items}
    assert items["GB"] == pytest.approx(0.5 * 10 * 0.1)
    assert items["GB-month"] == pytest.approx(10 * 0.02)
    assert items["PUT"] == pytest.approx(1.193)  # 1193 parts of 8 MiB


def test_jobs_in_no_group_are_put_together_as_the_slurm_profile_does():
    jobs = [sorting(number) for number in range(1, 17)]
    found = estimate(jobs, HISTORY, PRICES, SETTINGS | {"cluster": False})
    assert not found.billed
    # without the profile Snakemake has groups, too, of a channel each
    fragments = [replace(one, group=f"channels {k}") for k, one in enumerate(jobs)]
    assert estimate(fragments, HISTORY, PRICES, SETTINGS | {"cluster": False}).usd == pytest.approx(found.usd)
    assert any(item.what.startswith("1 x node") for item in found.items)  # two Slurm jobs fill one node
    assert slurm_job_of("rplsplit_2", {}, DAY, None, 7) == "job 7"
    assert slurm_job_of("suite2p", {"recording": "z/20220104/imaging01", "plane": "0"}, DAY, None, 7) == f"{DAY} movies"
    assert slurm_job_of("unity", {"session": SESSION}, DAY, "sessions 3", 7) == "sessions 3"
    assert day_of({"file": "picasso/20181105/session01/a.nev"}, []) == DAY
    assert day_of({}, ["report.html"]) == "-"


def test_the_table_fits_a_terminal_and_says_where_dollars_would_be_paid():
    jobs = [sorting(number) for number in range(1, 4)] + [lfp(1)]
    here = estimate_table(estimate(jobs, HISTORY, PRICES, SETTINGS | {"cluster": False}), len(jobs))
    assert max(map(len, here.splitlines())) <= 100
    assert "Here it costs 3.00 CPU hours of this machine, and no dollars." in here
    assert "It would cost $" in here and "every month" in here and "node (spot)" in here
    there = estimate_table(estimate(jobs, HISTORY, PRICES, SETTINGS), len(jobs))
    assert "The run would cost $" in there and "shipped defaults" in there
    assert estimate_table(estimate([], HISTORY, PRICES, SETTINGS), 0).startswith("Nothing to do, nothing to pay")
