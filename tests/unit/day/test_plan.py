"""The plan of a run: which channels a pass over a recording makes, and how jobs read it."""

import os
import time
from pathlib import Path

import pytest
import yaml

from hippflow.day.catalog import Catalog, Session
from hippflow.day.plan import PLAN_VARIABLE, Plan, Split, check_rates, make_plan, plan_splits, read_plan
from hippflow.demo import ripple
from hippflow.errors import CatalogError, ConfigError

CONFIG = yaml.safe_load((Path(__file__).parents[3] / "config.yaml").read_text())
CHANNELS = {9: "array01/channel009", 31: "array01/channel031", 34: "array02/channel034"}
RECORDED = 1_000_000_000


@pytest.fixture(autouse=True)
def _no_plan(monkeypatch):
    monkeypatch.setenv(PLAN_VARIABLE, "")


def session(root, path, channels=tuple(CHANNELS), rate=30_000.0):
    nsx = root / "data" / path / "b.ns5"
    nsx.parent.mkdir(parents=True)
    nsx.touch()
    os.utime(nsx, (RECORDED, RECORDED))
    return Session(path, None, str(nsx), 0, 1.0, rate, None, {n: CHANNELS[n] for n in channels})


def add_product(root, path, channel, time):
    product = root / "results" / path / CHANNELS[channel] / "rplraw_d41d.hkl"
    product.parent.mkdir(parents=True)
    product.touch()
    os.utime(product, (time, time))


def splits(root, *sessions):
    return [tuple(vars(s).values()) for s in plan_splits(Catalog(sessions), root / "results", "rplraw_d41d.hkl")]


ALL = tuple(CHANNELS.values())
DAY = "picasso/20181105"


def test_sessions_with_the_same_channels_share_a_rule(tmp_path):
    both = [session(tmp_path, f"{DAY}/{name}") for name in ("session01", "sessioneye")]
    assert splits(tmp_path, *both) == [("rplsplit", ALL, (f"{DAY}/session01", f"{DAY}/sessioneye"))]


def test_the_most_common_channels_come_first(tmp_path):
    sessions = [
        session(tmp_path, f"{DAY}/session01", (9,)),
        session(tmp_path, f"{DAY}/session02"),
        session(tmp_path, f"{DAY}/session03"),
        session(tmp_path, f"{DAY}/sessioneye", (9, 31)),
    ]
    assert splits(tmp_path, *sessions) == [
        ("rplsplit", ALL, (f"{DAY}/session02", f"{DAY}/session03")),
        ("rplsplit_2", ALL[:2], (f"{DAY}/sessioneye",)),
        ("rplsplit_3", ALL[:1], (f"{DAY}/session01",)),
    ]


def test_missing_and_outdated_channels_are_made_and_whole_ones_are_not(tmp_path):
    path = f"{DAY}/session01"
    one = session(tmp_path, path)
    add_product(tmp_path, path, 9, RECORDED + 1)  # whole
    add_product(tmp_path, path, 31, RECORDED - 1)  # older than the recording; 34 is missing
    assert splits(tmp_path, one) == [("rplsplit", ALL[1:], (path,)), ("rplsplit_2", ALL[:1], (path,))]


def test_a_product_as_old_as_the_recording_is_whole(tmp_path):
    path = f"{DAY}/session01"
    one = session(tmp_path, path, (9,))
    add_product(tmp_path, path, 9, RECORDED)
    other = session(tmp_path, f"{DAY}/session02", (9, 31))
    add_product(tmp_path, f"{DAY}/session02", 9, RECORDED)
    assert splits(tmp_path, one, other) == [
        ("rplsplit", ALL[:1], (path, f"{DAY}/session02")),
        ("rplsplit_2", ALL[1:2], (f"{DAY}/session02",)),
    ]


def test_nothing_done_and_everything_done_are_one_pass(tmp_path):
    path = f"{DAY}/session01"
    one = session(tmp_path, path)
    before = splits(tmp_path, one)
    for channel in CHANNELS:
        add_product(tmp_path, path, channel, RECORDED + 5)
    assert splits(tmp_path, one) == before == [("rplsplit", ALL, (path,))]


def test_sessions_without_a_recording_are_not_split(tmp_path):
    assert splits(tmp_path, Session(f"{DAY}/session01", "b.nev", None, 0, 0.0, 0.0, None, {})) == []


def test_json_round_trip(tmp_path):
    catalog = Catalog(
        (session(tmp_path, f"{DAY}/session01"), Session(f"{DAY}/session02", "b.nev", None, 0, 0.0, 0.0, None, {}))
    )
    plan = Plan(catalog, (Split("rplsplit", ALL, (f"{DAY}/session01",)),))
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    "rate, section, change, message",
    [
        (30_000, "rpllfp", {"resample_rate": 1001}, r"resample_rate: .*b\.ns5 has 30000 Hz, .* of 1001; nearest: 1000"),
        (2000, "rpllfp", {"resample_rate": 3000}, r"rpllfp\.resample_rate: .* has 2000 Hz, .* of 3000; nearest: 2000"),
        (30_000, "rplhighpass", {"band": [500, 15_000]}, r"rplhighpass\.band: 15000 Hz is not below half the 30000 Hz"),
        (10_000, "rplhighpass", {}, r"rplhighpass\.band: 7500 Hz is not below half .*; nearest: less than 5000"),
    ],
)
def test_rates_that_a_recording_does_not_allow(tmp_path, rate, section, change, message):
    catalog = Catalog((session(tmp_path, f"{DAY}/session01", rate=float(rate)),))
    with pytest.raises(ConfigError, match=message):
        check_rates(CONFIG | {section: CONFIG[section] | change}, catalog)


def test_rates_that_a_recording_allows(tmp_path):
    none = Session(f"{DAY}/session02", "b.nev", None, 0, 0.0, 0.0, None, {})
    check_rates(CONFIG, Catalog((session(tmp_path, f"{DAY}/session01"), none)))


@pytest.fixture
def config(tmp_path):
    folder = tmp_path / "data" / DAY / "session01"
    ripple.write_nsx(folder / "b.ns5", [ripple.raw_channel(n) for n in CHANNELS], [])
    return CONFIG | {"data": str(tmp_path / "data"), "results": str(tmp_path / "results")}


def test_jobs_read_the_plan_of_their_run(tmp_path, config, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = make_plan(config, "plans")
    assert [split.channels for split in plan.splits] == [ALL]
    assert Path(os.environ[PLAN_VARIABLE]).is_absolute()
    assert read_plan() == plan


def test_jobs_keep_the_plan_while_products_appear(tmp_path, config):
    plan = make_plan(config, tmp_path / "plans")
    add_product(tmp_path, f"{DAY}/session01", 9, 4_000_000_000)
    assert read_plan() == plan
    again = make_plan(config, tmp_path / "plans")
    assert [split.channels for split in again.splits] == [ALL[1:], ALL[:1]]
    assert read_plan() == again


def test_equal_plans_share_a_file_and_others_do_not(tmp_path, config):
    make_plan(config, tmp_path / "plans")
    first = os.environ[PLAN_VARIABLE]
    text = Path(first).read_text()
    make_plan(config, tmp_path / "plans")
    assert os.environ[PLAN_VARIABLE] == first
    assert Path(first).read_text() == text
    make_plan(config | {"channels": 9}, tmp_path / "plans")
    assert os.environ[PLAN_VARIABLE] != first
    names = sorted(path.name for path in (tmp_path / "plans").iterdir())
    assert len(names) == 2 and all(name.startswith("plan-") and name.endswith(".json") for name in names)


def test_a_plan_with_impossible_rates_is_not_made(tmp_path, config):
    with pytest.raises(ConfigError, match="resample_rate"):
        make_plan(config | {"rpllfp": CONFIG["rpllfp"] | {"resample_rate": 999}}, tmp_path / "plans")
    assert not (tmp_path / "plans").exists()


@pytest.mark.parametrize("value", [None, "", "nowhere/plan-0123.json"])
def test_a_job_that_does_not_know_its_plan(monkeypatch, value):
    if value is None:
        monkeypatch.delenv(PLAN_VARIABLE)
    else:
        monkeypatch.setenv(PLAN_VARIABLE, value)
    with pytest.raises(CatalogError, match=rf"in the file that {PLAN_VARIABLE} names, found {value!r}; jobs need"):
        read_plan()


def test_plans_of_long_ago_are_removed(config, tmp_path):
    folder = tmp_path / "plans"
    folder.mkdir()
    for name, days in (("plan-old.json", 61), ("plan-recent.json", 59)):
        (folder / name).write_text("{}")
        past = time.time() - days * 86400
        os.utime(folder / name, (past, past))
    make_plan(config, folder)
    kept = {path.name for path in folder.iterdir()}
    assert "plan-old.json" not in kept
    assert "plan-recent.json" in kept
    assert len(kept) == 2
