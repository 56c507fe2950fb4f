import io
import json
import sys

import pytest

from hippflow.runs.record import Job, Run
from hippflow.runs.summary import finish, headline, next_commands, text

COMMAND = ["snakemake", "-c8", "--config", "umaze={min_obs: 1}"]


def make_run(tmp_path, state, jobs, planned, **entries):
    run = Run(tmp_path / "x.jsonl", state, COMMAND, str(tmp_path), started=0.0, ended=3675.0, planned=planned, there=3)
    run.jobs = {job.id: job for job in jobs}
    for name, value in entries.items():
        setattr(run, name, value)
    return run


def make_job(number, state, rule="lfp", **entries):
    outputs = [f"{rule}{number}.hkl"]
    return Job(number, rule, {"n": f"c{number}"}, outputs, ["a.log"], "a.tsv", state=state, **entries)


def test_a_failed_run_says_everything(tmp_path):
    jobs = [make_job(1, "finished", cpu=75.0), make_job(2, "finished"), make_job(3, "dropped", "units")]
    jobs += [make_job(4, "failed", error="FormatError: a.ns5:\n  expected blocks")]
    run = make_run(tmp_path, "failed", jobs, {"lfp": (3, 3), "units": (3, 3)})
    assert text(run, "1.20 USD").splitlines() == [
        "hippflow: 1 job failed, 2 products made, 3 not made",
        f"  started      1970-01-01 00:00:00 UTC, 1:01:15, in {tmp_path}",
        "  CPU time     1:15, of 1 of 2 jobs",
        "  made         2 products: lfp 2",
        "  there before 3 products",
        "  failed       1 job",
        "               lfp c4: FormatError: a.ns5: expected blocks",
        "  not made     3 products that need what failed: units 3",
        "  cost         1.20 USD",
        "  next         snakemake -c8 --config 'umaze={min_obs: 1}'",
        "               hippflow status",
    ]


@pytest.mark.parametrize(
    ("state", "jobs", "entries", "expected"),
    [
        ("succeeded", ["finished"], {}, "1 product made"),
        ("succeeded", [], {}, "nothing to do, 3 products are there"),
        ("succeeded", [], {"there": None}, "nothing to do"),
        ("failed", [], {}, "failed, no job was started, 2 not made"),
        ("failed", ["finished"], {}, "failed, 1 product made, 1 not made"),
        ("failed", ["failed", "failed"], {}, "2 jobs failed, 0 products made"),
        (
            "interrupted",
            ["stopped"],
            {"reason": "Ctrl-C"},
            "interrupted (Ctrl-C), 0 products made, 1 job stopped, 2 not",
        ),
        (
            "interrupted",
            ["failed"],
            {"reason": "SIGTERM"},
            "interrupted (SIGTERM), 1 job failed, 0 products made, 1 not",
        ),
        ("killed", ["running", "finished"], {"ended": None}, "killed, 1 product made, 1 job stopped, 1 not made"),
        ("running", ["running", "finished"], {"ended": None}, "running, 1 product made, 1 job at work, 1 not made"),
    ],
)
def test_the_headline_never_hides_what_went_wrong(tmp_path, state, jobs, entries, expected):
    made = [make_job(number, how) for number, how in enumerate(jobs)]
    planned = {"lfp": (1, 1)} if state == "succeeded" else {"lfp": (2, 2)}
    run = make_run(tmp_path, state, made, planned if state != "succeeded" or jobs else {}, **entries)
    assert headline(run).startswith(expected)
    assert text(run).startswith(f"hippflow: {headline(run)}\n")
    assert bool(next_commands(run)) == (state not in ("succeeded", "running"))


def test_an_error_without_a_job_is_in_the_summary(tmp_path):
    message = 'WorkflowError in file "Snakefile", line 3:\nconfig.yaml: expected a folder\n  File "Snakefile", line 3'
    run = make_run(tmp_path, "failed", [], {}, errors=[message])
    assert '  failed       WorkflowError in file "Snakefile", line 3: config.yaml: expected a folder\n' in text(run)
    nothing = make_run(tmp_path, "failed", [], {})
    assert "it ended before all jobs had; Snakemake's log is in .snakemake/log" in text(nothing)


def test_the_summary_is_printed_and_lies_with_the_results(tmp_path, capsys):
    run = make_run(tmp_path, "succeeded", [make_job(1, "finished")], {"lfp": (1, 1)}, config={"results": "out"})
    finish(run, cost="2 USD")
    said = capsys.readouterr().err
    assert said == "\n" + (tmp_path / "out/summary.txt").read_text() == "\n" + text(run, "2 USD")
    data = json.loads((tmp_path / "out/summary.json").read_text())
    assert (data["state"], data["cost"], data["summary"]) == ("succeeded", "2 USD", "1 product made")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["summary.json", "summary.txt"]


def test_a_terminal_that_is_gone_does_not_keep_the_summary_from_the_results(tmp_path, monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    run = make_run(tmp_path, "succeeded", [make_job(1, "finished")], {"lfp": (1, 1)}, config={"results": "out"})
    finish(run)
    assert (tmp_path / "out/summary.txt").exists()


def test_a_run_without_a_known_results_folder_is_printed_alone(tmp_path, capsys):
    finish(make_run(tmp_path, "failed", [], {}))
    assert "hippflow: failed, no job was started" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
