"""What a run says at its end, whatever the end: of a tiny workflow, and of the real one with a damaged session."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from hippflow.errors import DriverError
from hippflow.runs.record import last_run, list_runs, planned_jobs

#: Two steps for each name, in one group; a name can be made to fail, to wait, or to fail at its first attempt.
SNAKEFILE = '''
from snakemake_logger_plugin_hippflow import describe_run, stopped_because

config = {"results": "out", "names": "a,b,c", "bad": "", "slow": "", "flaky": ""} | config
if config["results"] == "nowhere":
    raise WorkflowError("config.yaml: results: expected a folder, found nowhere")
describe_run(config, workflow, cost=lambda run: f"{run.made} cents")
if "reason" in config:
    stopped_because(config["reason"])

rule all:
    input: expand("out/{name}.second", name=config["names"].split(","))

rule first:
    output: "out/{name}.first"
    log: "out/logs/{name}.log"
    benchmark: "out/benchmarks/{name}.tsv"
    group: "g"
    resources: mem_mb=lambda wildcards, attempt: 100 * attempt, runtime=3
    retries: 1 if config["flaky"] else 0
    params:
        is_in=lambda wildcards: [key for key in ("bad", "slow", "flaky") if wildcards.name in config[key].split(",")],
        error=lambda wildcards: f"11:11:12 FormatError: {wildcards.name}.ns5: expected blocks",
    shell:
        """
        case "{params.is_in}" in
        bad) printf '%s\\n' "11:11:11 block 1" "{params.error}" > {log}; exit 1;;
        slow) touch slow; sleep 60;;
        flaky) test -e flaky || {{ touch flaky; exit 1; }};;
        esac
        printf 1111111111 > {output}
        """

rule second:
    input: "out/{name}.first"
    output: "out/{name}.second"
    group: "g"
    shell: "touch {output}"
'''


class Tiny:
    """A workflow of seven jobs without data."""

    def __init__(self, folder):
        self.folder, self.state = folder, folder / ".snakemake/hippflow"
        (folder / "Snakefile").write_text(SNAKEFILE)

    def command(self, *arguments):
        command = [sys.executable, "-m", "snakemake", *arguments, "--keep-going", "--scheduler", "greedy"]
        return [*command, *(() if "--cores" in arguments else ("--cores", "2")), "--logger", "hippflow"]

    def run(self, *arguments, status=0):
        done = subprocess.run(self.command(*arguments), cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        return done.stderr

    def start(self, *arguments):
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            # tests that run in the background ignore Ctrl-C, and what they start would inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def wait_for(self, name):
        deadline = time.monotonic() + 30
        while not (self.folder / name).exists():
            assert time.monotonic() < deadline, name
            time.sleep(0.05)

    @property
    def summary(self):
        return (self.folder / "out/summary.txt").read_text()

    @property
    def json(self):
        return json.loads((self.folder / "out/summary.json").read_text())


@pytest.fixture
def tiny(tmp_path):
    return Tiny(tmp_path)


def test_a_run_says_what_it_made_what_was_there_and_what_it_took(tiny):
    said = tiny.run()
    assert said.count("hippflow: ") == 1
    assert "\nhippflow: 6 products made\n" in said
    assert said.endswith(tiny.summary)
    assert "  made         6 products: first 3, second 3\n" in said
    assert "  cost         6 cents\n" in said
    assert "next" not in tiny.summary
    assert "3 of 7 steps (43%) done" in said  # Snakemake's own output is there as before
    run = last_run(tiny.state)
    assert (run.state, run.made, run.there) == ("succeeded", 6, 0)
    tables = [path.read_text().splitlines() for path in (tiny.folder / "out/benchmarks").glob("*.tsv")]
    walls = [float(row.split("\t")[head.split("\t").index("s")]) for head, row in tables]
    assert len(walls) == 3
    assert sum(job.wall or 0 for job in run.jobs.values()) == pytest.approx(sum(walls))
    assert run.cpu[1:] == (3, 3)

    (tiny.folder / "out/b.second").unlink()
    assert "hippflow: 1 product made\n" in tiny.run()
    assert "  there before 5 products\n" in tiny.summary
    assert "hippflow: nothing to do, 6 products are there\n" in tiny.run()
    assert [run.state for run in list_runs(tiny.state)] == ["succeeded"] * 3


def test_of_failed_jobs_ten_are_named_with_their_errors_and_the_rest_is_made(tiny):
    """Also of a quiet run, in which Snakemake does not tell what is finished."""
    bad = ",".join(f"n{number:02d}" for number in range(12))
    options = ("--quiet", "progress", "rules", "--config", f"names={bad},b,c", f"bad={bad}")
    said = tiny.run(*options, status=1)
    assert "hippflow: 12 jobs failed, 4 products made, 12 not made\n" in said
    assert tiny.summary.count("ns5: expected blocks\n") == 10
    assert (
        len(re.findall(r"^ +first n\d\d: FormatError: n\d\d.ns5: expected blocks$", tiny.summary, re.MULTILINE)) == 10
    )
    assert "and 2 more, see: hippflow status" in tiny.summary
    assert "not made     12 products that need what failed: second 12\n" in said
    # the same command again makes the rest, once the input is good
    assert f"next         snakemake {' '.join(options)} --keep-going " in said
    assert "done" not in tiny.summary
    assert tiny.json["state"] == last_run(tiny.state).state == "failed"
    assert len(tiny.json["failed"]) == 12
    failed = tiny.json["failed"][0]
    name = failed["wildcards"]["name"]
    assert failed["last_lines"] == ["11:11:11 block 1", f"11:11:12 FormatError: {name}.ns5: expected blocks"]
    assert failed["log"] == f"out/logs/{name}.log"


def test_a_job_that_another_attempt_made_good_is_no_failure(tiny):
    (tiny.folder / "out/summary.txt").mkdir(parents=True)
    said = tiny.run("--config", "flaky=b")
    assert "hippflow: 6 products made\n" in said
    (job,) = [job for job in last_run(tiny.state).jobs.values() if job.name == "first b"]
    assert (job.state, job.attempts) == ("finished", 2)
    assert "Warning: the summary was not written to" in said  # nor is a folder in its place one
    assert tiny.json["state"] == "succeeded"


def test_an_error_before_any_job_is_no_success(tiny):
    said = tiny.run("out/nothing", status=1)
    assert "hippflow: failed, no job was started\n" in said
    assert "MissingRuleException: No rule to produce out/nothing" in said.split("hippflow: ")[1]
    said = tiny.run("--config", "results=nowhere", status=1)  # no workflow yet
    assert "results: expected a folder, found nowhere" in said.split("hippflow: ")[1]
    assert [run.state for run in list_runs(tiny.state)] == ["failed", "failed"]


def test_ctrl_c_is_an_interruption(tiny):
    run = tiny.start("--config", "slow=b", "--cores", "1")
    tiny.wait_for("slow")
    os.killpg(run.pid, signal.SIGINT)
    said = run.communicate(timeout=60)[1]
    assert run.returncode != 0
    assert "hippflow: interrupted (Ctrl-C), " in said
    assert "1 job stopped" in said
    recorded = last_run(tiny.state)
    assert recorded.state == "interrupted"
    assert recorded.failed == []
    (stopped,) = recorded.in_state("stopped")
    assert stopped.name == "first b"
    assert "next         snakemake --config slow=b" in said


def test_a_run_that_is_ended_for_a_reason_gives_it(tiny):
    run = tiny.start("--config", "slow=b", "reason=the budget of 4 USD is spent", "--cores", "1")
    tiny.wait_for("slow")
    run.send_signal(signal.SIGTERM)  # running jobs go on
    time.sleep(0.5)
    os.killpg(run.pid, signal.SIGINT)
    said = run.communicate(timeout=60)[1]
    assert "hippflow: interrupted (the budget of 4 USD is spent), " in said


def test_a_killed_driver_leaves_a_record_that_says_so(tiny):
    run = tiny.start("--config", "slow=c", "--cores", "1")
    tiny.wait_for("slow")
    going = last_run(tiny.state)
    assert (going.state, going.ended) == ("running", None)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    killed = last_run(tiny.state)
    assert (killed.state, killed.ended) == ("killed", None)
    assert [job.name for job in killed.in_state("running")] == ["first c"]
    made = {str(path.relative_to(tiny.folder)) for path in tiny.folder.glob("out/?.*")}
    assert {path for job in killed.in_state("finished") for path in job.outputs} == made
    assert sum(killed.not_made.values()) == 6 - len(made)


def test_planned_jobs_are_those_that_a_run_would_start(tiny):
    for number, name in enumerate(("a.first", "b.first", "a.second")):
        (tiny.folder / "out").mkdir(exist_ok=True)
        (tiny.folder / "out" / name).write_text("1" * 10)
        os.utime(tiny.folder / "out" / name, (1000 + number, 1000 + number))
    jobs = {job.outputs[0]: job for job in planned_jobs(tiny.command(), tiny.folder)}
    assert sorted(jobs) == ["out/b.second", "out/c.first", "out/c.second"]
    first, second = jobs["out/c.first"], jobs["out/b.second"]
    assert (first.rule, first.wildcards, first.threads, first.inputs) == ("first", {"name": "c"}, 1, {})
    assert (first.mem_mb, first.runtime) == (100, 3)
    assert second.inputs == {"out/b.first": 10}
    assert jobs["out/c.second"].inputs == {"out/c.first": None}
    assert first.group == jobs["out/c.second"].group != second.group
    assert list_runs(tiny.state) == []  # a dry run is none
    with pytest.raises(DriverError, match="No rule to produce out/nothing"):
        planned_jobs(tiny.command("out/nothing"), tiny.folder)


@pytest.mark.slow
def test_a_damaged_session_is_in_the_summary_of_the_workflow(workflow, finished):
    day = "picasso/20181105"
    shutil.copytree(finished.folder / "data", workflow.folder / "data")
    recording = workflow.folder / f"data/{day}/sessioneye/181105_DST.ns5"
    os.truncate(recording, recording.stat().st_size - 1000)
    run = workflow.run("channel/20181105/034", "--logger", "hippflow", status=1)
    summary = json.loads((workflow.folder / "results/summary.json").read_text())
    (failed,) = summary["failed"]
    assert failed["rule"].startswith("rplsplit")
    assert failed["wildcards"] == {"session": f"{day}/sessioneye"}
    assert failed["error"].startswith(f"FormatError: data/{day}/sessioneye/181105_DST.ns5: expected whole data blocks")
    assert failed["error"] in run.output.split("hippflow: ")[1]
    # what is counted as made is there, and what is not is not
    made = {path for path in (workflow.folder / "results" / day).rglob("*") if path.is_file()}
    assert 0 < summary["products"]["made"] <= len(made)
    assert summary["products"]["not_made"]["sorting"] > 0
    assert 0 < summary["cpu_seconds"] < 2 * summary["seconds"] + 1
    assert summary["cpu_of_jobs"][0] == summary["cpu_of_jobs"][1] > 0
