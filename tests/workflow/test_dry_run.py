"""What a dry run shows and refuses, and what the workflow's own checks say of it."""

import re
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml

from hippflow.demo.day import write_demo_day
from hippflow.demo.imaging import write_demo_imaging
from hippflow.demo.ripple import analog_channel, raw_channel, write_nev, write_nsx

REPOSITORY = Path(__file__).parents[2]
RULES = {"all", "rplparallel", "rplsplit", "rpllfp", "rplhighpass", "freqspectrum", "sorting", "units", "spiketrain"}
RULES |= {"signal_quality", "channels", "unity", "edfsplit", "aligned", "raycast", "umaze", "placefield"}
RULES |= {"movie", "registration", "suite2p", "kmeans", "figure5", "projections", "report"}

#: A usual experiment has 45, 67000 jobs.
N_DAYS = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_demo_day(root, channels=[9, 34], seconds=2)
    return root


def test_the_rule_graph_and_the_dag_are_drawn(workflow, tmp_path):
    write_demo_day(tmp_path / "both", channels=[9], seconds=2)
    write_demo_imaging(tmp_path / "both", frames=50, size=(64, 64))
    for option in ("--rulegraph", "--dag"):
        drawn = workflow.run(option, "--config", "data=both", "suite2p={fs: 2, tau: 1.8}").output
        assert "digraph snakemake_dag" in drawn
        assert all(rule in drawn for rule in RULES)


def test_the_picture_in_the_readme_is_that_of_the_rules(workflow):
    assert "(docs/rulegraph.svg)" in (REPOSITORY / "README.md").read_text()
    drawn = re.findall(r"<text[^>]*>(\w+)</text>", (REPOSITORY / "docs/rulegraph.svg").read_text())
    assert set(drawn) == RULES


def test_the_rules_are_clean(workflow):
    """snakemake --lint finds nothing, with no recording at hand."""
    linted = workflow.run("--lint").output
    assert "in a good condition" in linted
    formatted = subprocess.run(
        [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "rules"], cwd=REPOSITORY, capture_output=True
    )
    assert formatted.returncode == 0, formatted.stderr.decode()


def test_rules_and_their_scripts_do_not_know_who_is_told(workflow, data):
    """Snakemake itself writes the configuration of a script into a file, where it starts one."""
    with open(workflow.folder / "Snakefile", "a") as snakefile:
        snakefile.write('\n\nprint("settings of rules:", *config)\n')
    told = workflow.run("--dry-run", "--config", f"data={data}", "notify={webhook: https://hooks.example.org/x}").output
    (settings,) = re.findall("^settings of rules: (.*)$", told, re.MULTILINE)
    assert "rplsplit" in settings.split()
    assert "notify" not in settings.split()


#: At the end of a Snakefile: what every job of the run would get.
RESOURCES = """

import atexit


@atexit.register
def print_resources():
    for job in workflow.dag.jobs:
        if not job.rule.norun:
            print("gets", job.rule.name, job.resources.mem_mb, job.resources.runtime)
"""


def test_every_step_gets_more_memory_and_time_with_every_attempt(workflow, tmp_path):
    write_demo_day(tmp_path / "both", channels=[9], seconds=2)
    write_demo_imaging(tmp_path / "both", frames=50, size=(64, 64))
    with open(workflow.folder / "Snakefile", "a") as snakefile:
        snakefile.write(RESOURCES)
    given = []
    for attempt in (1, 2, 3):
        told = workflow.run(
            "--dry-run", "--attempt", str(attempt), "--config", "data=both", "suite2p={fs: 2, tau: 1.8}"
        )
        rows = re.findall(r"^gets (\w+) (\d+) (\d+)$", told.output, re.MULTILINE)
        given.append({rule: (int(memory), int(minutes)) for rule, memory, minutes in sorted(rows)})
    first, second, third = given
    assert set(first) == RULES - {"all"}
    for rule, (memory, minutes) in first.items():
        assert second[rule] == (2 * memory, 2 * minutes), rule
        assert third[rule] == (3 * memory, 3 * minutes), rule


def test_every_rule_has_the_same_keys_in_the_same_order():
    order = ["input", "output", "params", "log", "benchmark", "threads", "resources", "message", "script"]
    for file in ("staging", "ripple", "sorting", "quality", "behaviour", "report", "nwb"):
        text = (REPOSITORY / f"rules/{file}.smk").read_text()
        rules = re.split(r"^ *rule(?: \w+)?:\n", text, flags=re.MULTILINE)[1:]
        assert rules
        for rule in rules:
            keys = [key for key in re.findall(r"^ +(\w+):(?: \d+)?$", rule, re.MULTILINE) if key in order]
            assert keys == [key for key in order if key in keys]
            assert {"input", "output", "log", "benchmark", "threads", "resources", "message", "script"} <= set(keys)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["rpllfp={ordr: 8}"], "config.yaml: rpllfp.ordr: unknown key; nearest valid key: rpllfp.order"),
        (["chanels=9"], "config.yaml: chanels: unknown key; nearest valid key: channels"),
        (["rpllfp={order: eight}"], "config.yaml: rpllfp.order: expected a whole number, found 'eight'"),
        (["rplhighpass={band: [500, 15000]}"], "rplhighpass.band: 15000 Hz is not below half the 30000 Hz of"),
        (["rpllfp={resample_rate: 1001}"], "which is no multiple of 1001; nearest: 1000"),
        (["rplsplit={on_gap: ignore}"], "rplsplit.on_gap: 'ignore' is not one of error, fill, segment"),
        (["sorting={sorter: tridesclus2}"], "'tridesclus2' is no sorter of SpikeInterface; nearest: tridesclous2"),
        (["channels=[9, 35]"], "channels: 35 is not in the recording of picasso/20181105 (2 channels; nearest: 34)"),
        (["channels=50-60"], "channels: none of 50-60 is in the recording of picasso/20181105"),
        (["days=20181106"], "days: 20181106 is not in"),
        (["sessions=session2"], "sessions: session2 is not in"),
        (["subjects=pablo"], "subjects: pablo is not in"),
    ],
)
def test_a_wrong_setting_stops_before_anything_runs(workflow, data, settings, message):
    run = workflow.run("--config", f"data={data}", *settings, status=1)
    assert message in run.output
    assert run.jobs == []
    made = {path.name for path in (workflow.folder / "results").rglob("*")}
    assert made <= {"summary.txt", "summary.json"}  # which say that nothing was


def test_a_target_that_is_not_there_is_refused(workflow, data):
    run = workflow.run("--dry-run", "channel/20181105/035", "--config", f"data={data}", status=1)
    assert "channel/20181105/035: no channel '035' is selected on 20181105 (2 are); nearest: 34" in run.output
    run = workflow.run("--dry-run", "channel/20181106/009", "--config", f"data={data}", status=1)
    assert "nearest: 20181105" in run.output


def test_without_recordings_it_says_what_to_do(workflow):
    run = workflow.run("--dry-run", status=1)
    assert "data: expected the folder of raw recordings" in run.output
    assert "hippflow demo data" in run.output


@pytest.fixture(scope="module")
def tree_of_headers(tmp_path_factory):
    """Days of two sessions of 124 channels, whose files end with their headers: there is no signal to read."""
    root = tmp_path_factory.mktemp("headers")
    channels = [analog_channel(n) for n in range(1, 5)] + [raw_channel(n) for n in range(1, 125)]
    write_nsx(root / "a.ns5", channels, iter([]))
    write_nev(root / "a.nev", [], channels=channels)
    headers = (root / "a.ns5").read_bytes()[: 314 + 66 * len(channels)]
    for k in range(N_DAYS):
        day = f"{date(2018, 11, 1) + timedelta(k):%Y%m%d}"
        for session in ("session01", "sessioneye"):
            folder = root / "data" / "picasso" / day / session
            folder.mkdir(parents=True)
            (folder / f"{day[2:]}.ns5").write_bytes(headers)
            shutil.copy(root / "a.nev", folder / f"{day[2:]}.nev")
    return root / "data"


@pytest.mark.slow
def test_a_dry_run_lists_every_job_of_many_days_and_reads_no_signal(workflow, tree_of_headers):
    output = workflow.run("--dry-run", "--quiet", "rules", "reason", "--config", f"data={tree_of_headers}").output
    counts = {
        words[0]: int(words[1])
        for line in output.splitlines()
        if len(words := line.split()) == 2 and words[1].isdigit()
    }
    sessions, channels = 2 * N_DAYS, N_DAYS * 124
    assert counts == {
        "rplparallel": sessions,
        "rplsplit": sessions,
        "rpllfp": 2 * channels,
        "rplhighpass": 2 * channels,
        "freqspectrum": 4 * channels,
        "signal_quality": 2 * channels,
        "sorting": channels,
        "units": channels,
        "spiketrain": 2 * channels,
        "channels": N_DAYS,
        "report": N_DAYS,
        "all": 1,
        "total": 2 * sessions + 14 * channels + 2 * N_DAYS + 1,
    }


def test_one_day_of_a_tree_of_headers_is_listed_channel_by_channel(workflow, tree_of_headers):
    jobs = workflow.plan("--config", f"data={tree_of_headers}", "days=20181103")
    assert len(jobs) == 2 * 2 + 14 * 124 + 2
    for number in range(1, 125):
        folder = f"array{(number - 1) // 32 + 1:02d}/channel{number:03d}"
        assert f"LFP of picasso/20181103/session01/{folder}" in jobs
        assert f"Spike sorting of picasso/20181103, channel {number:03d}" in jobs


def test_the_configuration_that_is_shipped_is_valid(workflow):
    config = yaml.safe_load((workflow.folder / "config.yaml").read_text())
    assert config["data"] == "data"
    assert config["channels"] == "all"
