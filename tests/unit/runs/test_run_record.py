import json
import logging
import os
import socket
import sys
import time
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_logger_plugin_hippflow import LogHandler, stopped_because
from snakemake_logger_plugin_hippflow import current as plugin_current

from hippflow.driver import process_identity
from hippflow.errors import FormatError
from hippflow.runs.record import last_run, last_words, list_runs, read_run, to_dict

START = {
    "event": "start",
    "at": 1000.0,
    "command": ["snakemake", "-c2"],
    "folder": "/lab",
    "host": socket.gethostname(),
    "pid": 2**22 + 1,  # above what Linux gives
    "identity": "1",
    "config": {"data": "data"},
}
PLAN = {"event": "plan", "at": 1001.0, "rules": {"all": [1, 0], "split": [1, 3], "lfp": [3, 3]}, "there": 7}


def job(number, rule, *outputs, at=1002.0, **entries):
    names = {"wildcards": {"n": str(number)}, "outputs": list(outputs), "logs": [], "benchmark": None, "group": None}
    return {"event": "job", "at": at, "id": number, "rule": rule} | names | entries


def finished(number, at=1003.0, **times):
    return {"event": "finished", "at": at, "id": number} | times


def failed(number, error, at=1003.0):
    return {"event": "failed", "at": at, "id": number, "error": error, "lines": [error], "late": False}


END = {"event": "end", "at": 1010.5, "interrupted": None}


@pytest.fixture
def record(tmp_path):
    def write(*lines, name="20260101T000000Z-1.jsonl", end=""):
        path = tmp_path / "runs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines) + end)
        return path

    return write


def test_a_run_that_failed_says_what_is_made_failed_and_not_made(record):
    split = job(1, "split", "a.raw", "b.raw", "c.raw", benchmark="split.tsv")
    lines = [START, PLAN, split, finished(1, cpu=1.5, wall=2.0), job(2, "lfp", "a.lfp"), failed(2, "FormatError: a")]
    run = read_run(record(*lines, job(3, "lfp", "b.lfp", benchmark="b.tsv"), finished(3), END))
    assert (run.state, run.made, run.there, run.seconds) == ("failed", 4, 7, 10.5)
    assert [(job.name, job.error) for job in run.failed] == [("lfp 2", "FormatError: a")]
    assert run.not_made == {"lfp": 1}
    assert run.cpu == (1.5, 1, 2)  # one of two benchmarks was there
    plain = to_dict(run)
    assert json.loads(json.dumps(plain)) == plain
    assert plain["started"] == "1970-01-01T00:16:40+00:00"
    assert plain["products"] == {"made": 4, "already_there": 7, "not_made": {"lfp": 1}}


def test_an_error_of_an_attempt_is_forgotten_when_the_next_succeeds(record):
    plan = PLAN | {"rules": {"split": [1, 1]}}
    error = {"event": "error", "at": 1003.0, "message": "CalledProcessError"}
    attempt = [job(1, "split", "a.raw"), error, failed(1, "killed")]
    good = read_run(record(START, plan, *attempt, job(1, "split", "a.raw"), finished(1), END))
    assert (good.state, good.errors, good.failed, good.jobs[1].attempts) == ("succeeded", [], [], 2)
    # an error after the last job is one of the run
    bad = read_run(record(START, plan, job(1, "split", "a.raw"), finished(1), error, END))
    assert (bad.state, bad.errors) == ("failed", ["CalledProcessError"])


@pytest.mark.parametrize(
    "lines",
    [
        [],  # the jobs were never known
        [PLAN],  # none of them was started
        [PLAN | {"rules": {"lfp": [2, 2]}}, job(1, "lfp", "a"), finished(1)],  # half of them were
        [PLAN | {"rules": {}}, {"event": "error", "at": 1.0, "message": "WorkflowError"}],
    ],
)
def test_a_run_without_the_proof_of_success_failed(record, lines):
    assert read_run(record(START, *lines, END)).state == "failed"


def test_a_run_with_nothing_to_do_succeeded(record):
    assert read_run(record(START, PLAN | {"rules": {}}, END)).state == "succeeded"


def test_a_run_without_an_end_was_killed_when_its_process_is_gone(record):
    me = {"pid": os.getpid(), "identity": process_identity(os.getpid())}
    lines = [PLAN, job(1, "split", "a.raw")]
    assert read_run(record(START, *lines)).state == "killed"
    assert read_run(record(START | me, *lines)).state == "running"
    assert read_run(record(START | me | {"identity": "of an earlier process"}, *lines)).state == "killed"
    assert read_run(record(START | {"host": "another"}, *lines)).state == "running"  # nobody here can tell
    assert read_run(record(START | {"host": "another"}, *lines, END)).state == "failed"


def test_half_a_line_at_the_end_is_what_a_killed_process_leaves(record):
    run = read_run(record(START, PLAN, job(1, "split", "a.raw"), end='{"event": "finis'))
    assert (run.state, [job.state for job in run.jobs.values()]) == ("killed", ["running"])
    with pytest.raises(FormatError, match=r"runs/.*jsonl: expected a JSON object in every line, .* in line 2"):
        read_run(record(START, end='{"event": "finis\n{"event": "end"}\n'))


def test_runs_are_in_the_order_of_their_start(record, tmp_path):
    assert last_run(tmp_path) is None
    record(START | {"at": 2.0}, name="20260102T000000Z-1.jsonl")
    record(START | {"at": 1.0}, name="20260101T235959Z-99999.jsonl")
    assert [run.started for run in list_runs(tmp_path)] == [1.0, 2.0]
    assert last_run(tmp_path).started == 2.0


def test_the_error_of_a_job_is_the_last_in_its_log(tmp_path):
    log, other = tmp_path / "a.log", tmp_path / "slurm.log"
    log.write_text(
        "12:00:00 ValueError: an early one\n12:00:01 FormatError: a.ns5: expected blocks\n"
        "12:00:01 It was raised here:\nTraceback (most recent call last):\n  File x\n"
        "hippflow.errors.FormatError: a.ns5: expected blocks\n\n"
    )
    error, lines = last_words([str(tmp_path / "missing.log"), str(log)])
    assert error == "FormatError: a.ns5: expected blocks"
    assert len(lines) == 5
    assert lines[-1] == "hippflow.errors.FormatError: a.ns5: expected blocks"
    log.write_text("x" * 100_000 + "\nblock 7 of 9\n")
    other.write_text("slurmstepd: OOMError: killed\n")
    assert last_words([str(log)])[0] is None
    assert last_words([str(log)])[1][-1] == "block 7 of 9"
    os.utime(log, (1000, 1000))
    assert last_words([str(log)], since=2000.0) == (None, [])  # it is of an earlier run


# The logger plugin, as Snakemake calls it


class Driver:
    """Tells a handler of jobs in one folder, as Snakemake does."""

    def __init__(self, **settings):
        self.handler = LogHandler(SimpleNamespace(**{"dryrun": False, "quiet": set()} | settings), None)

    def tell(self, event, message="", **entries):
        record = logging.makeLogRecord({"msg": message, "event": event, **entries})
        self.handler.handle(record)

    def job(self, number, output, **entries):
        names = {"wildcards": {"n": str(number)}, "log": [f"{number}.log"], "benchmark": f"{number}.tsv"}
        names["resources"] = {"runtime": 30}
        self.tell(LogEvent.JOB_INFO, jobid=number, rule_name="step", output=[output], **names | entries)

    def group(self, name, *numbers):
        self.tell(LogEvent.GROUP_INFO, group_id=name, jobs=[SimpleNamespace(jobid=number) for number in numbers])
        for number in numbers:
            self.job(number, f"{number}.out")

    def fail(self, number, message=None):
        entries = {"jobid": number, "log": [f"{number}.log"], "rule_msg": message}
        self.tell(LogEvent.JOB_ERROR, **entries)

    def start(self, n_jobs):
        self.tell(LogEvent.WORKFLOW_STARTED)
        self.tell(LogEvent.RUN_INFO, stats={"step": n_jobs, "total": n_jobs})


@pytest.fixture
def driver(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["snakemake", "--cores", "2"])
    monkeypatch.setattr(plugin_current.CURRENT, "workflow", None)
    monkeypatch.setattr(plugin_current.CURRENT, "config", {})
    monkeypatch.setattr(plugin_current.CURRENT, "reason", None)
    monkeypatch.setattr(plugin_current.CURRENT, "cost", None)
    return Driver


def test_of_a_failed_group_what_is_there_was_made_and_the_rest_had_no_turn(driver, tmp_path):
    """Snakemake tells of a group that failed only which jobs did."""
    run = driver()
    run.start(6)
    run.group("channels", 1, 2, 3)
    run.group("channels", 4, 5)
    run.job(6, "6.out")
    (tmp_path / "1.out").touch()
    (tmp_path / "1.tsv").write_text("s\tcpu_time\n2.5\t1.25\n")
    (tmp_path / "2.log").write_text("12:00:00 SignalError: channel 2 is flat\n")
    run.fail(2, "SignalError: channel 2 is flat\nSlurm job 7 is FAILED. 1 of the 3 jobs of its group failed.")
    for number in (4, 5):
        (tmp_path / f"{number}.out").touch()
        run.tell(LogEvent.JOB_FINISHED, job_id=number)
    (tmp_path / "4.tsv").write_text("s\tcpu_time\n1.0\t0.5\n")  # it came late, as over NFS
    run.handler.close()
    ended = last_run(".snakemake/hippflow")
    assert {job.minutes for job in ended.jobs.values()} == {30}
    assert {job.id: job.state for job in ended.jobs.values()} == {
        1: "finished",
        2: "failed",
        3: "dropped",
        4: "finished",
        5: "finished",
        6: "failed",  # Snakemake said nothing of it, and its product is not there
    }
    assert ended.jobs[2].error == "SignalError: channel 2 is flat"
    assert ended.jobs[6].error == "it ended without its products"
    assert ended.cpu == (1.75, 2, 3)
    assert ended.state == "failed"


def test_a_job_without_words_of_its_own_fails_with_those_of_who_ran_it(driver, tmp_path):
    run = driver()
    run.start(4)
    for number in (1, 2, 3, 4):
        run.job(number, f"{number}.out")
        (tmp_path / f"{number}.log").write_text("12:00:00 block 3 of 9\n")
    run.fail(1, "\nSlurm job 12 is OUT_OF_MEMORY.")
    run.tell(
        LogEvent.ERROR, "RuleException:\nCalledProcessError in file \"a\", line 1:\nCommand 'x' died with SIGKILL."
    )
    run.fail(2)
    run.tell(LogEvent.ERROR, "RuleException:\nCalledProcessError in file \"a\", line 1:\nCommand 'x' returned 1.")
    run.fail(3)
    run.tell(LogEvent.ERROR, "WorkflowError:\nOSError: [Errno 28] No space left on device")  # of its benchmark
    run.fail(4)
    run.handler.close()
    errors = [job.error for job in last_run(".snakemake/hippflow").failed]
    assert errors[:3] == ["Slurm job 12 is OUT_OF_MEMORY.", "Command 'x' died with SIGKILL.", "12:00:00 block 3 of 9"]
    assert errors[3] == "OSError: [Errno 28] No space left on device"


def test_what_ctrl_c_ends_is_stopped_and_what_failed_before_failed(driver, tmp_path):
    run = driver()
    run.start(4)
    for number in (1, 2, 3):
        run.job(number, f"{number}.out")
    (tmp_path / "1.log").write_text("FormatError: a\n")
    run.fail(1)
    run.fail(2)  # it got the same Ctrl-C
    run.tell(None, "Terminating processes on user request, this might take some time.")
    run.handler.close()
    ended = last_run(".snakemake/hippflow")
    assert [job.state for job in ended.jobs.values()] == ["failed", "stopped", "stopped"]
    assert (ended.state, ended.reason) == ("interrupted", "Ctrl-C")


def test_the_reason_of_a_stop_is_kept(driver):
    run = driver()
    run.start(1)
    stopped_because("the budget is spent")
    run.tell(None, "Will exit after finishing currently running jobs (scheduler).")
    run.handler.close()
    assert last_run(".snakemake/hippflow").reason == "the budget is spent"


def test_a_run_that_nobody_stopped_has_no_reason(driver):
    run = driver()
    run.start(1)
    stopped_because("the budget is spent")  # but it came to its end
    run.handler.close()
    assert last_run(".snakemake/hippflow").reason is None


@pytest.mark.parametrize("option", ["--touch", "-t"])
def test_touching_files_is_no_run(driver, option, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["snakemake", option])
    run = driver()
    run.start(1)
    run.handler.close()
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_snakemake_does_something_else_is_no_run(driver, tmp_path, monkeypatch):
    for option, recorded in (("--lint", False), ("--unlock", False), ("--cores", True)):
        monkeypatch.setattr(sys, "argv", ["snakemake", option])
        run = driver()
        run.tell(LogEvent.ERROR, "WorkflowError: config.yaml")
        run.handler.close()
        assert bool(list_runs(".snakemake/hippflow")) == recorded


def test_a_record_that_cannot_be_written_is_one_warning(driver, tmp_path, caplog, capsys):
    (tmp_path / ".snakemake").write_text("in the way")
    run = driver()
    run.start(1)
    run.job(1, "1.out")
    run.tell(LogEvent.ERROR, "RuleException:\nOSError: a")  # with which a record may begin
    run.handler.close()
    (warning,) = caplog.records
    assert warning.getMessage().startswith("The record of this run cannot be kept (")
    assert capsys.readouterr().err == ""


def test_a_fork_of_the_driver_ends_no_record(driver, capsys):
    run = driver()
    run.start(1)
    pid = os.fork()
    if pid == 0:
        run.handler.close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert last_run(".snakemake/hippflow").state == "running"
    run.handler.close()
    assert last_run(".snakemake/hippflow").state == "failed"
    assert capsys.readouterr().err.count("hippflow: ") == 1


def test_a_run_quiet_about_everything_prints_nothing(driver, capsys):
    from snakemake.settings.enums import Quietness

    run = driver(quiet={Quietness.ALL})
    run.start(1)
    run.handler.close()
    assert capsys.readouterr().err == ""
    assert last_run(".snakemake/hippflow").state == "failed"


def test_a_record_of_ten_thousand_jobs_costs_seconds_of_the_driver_at_most(driver, tmp_path, capsys):
    (tmp_path / "1.tsv").write_text("s\tcpu_time\n1.0\t0.5\n")
    (tmp_path / "1.out").touch()
    run = driver()
    start = time.process_time()
    run.start(10_000)
    for number in range(10_000):
        run.job(number, "1.out", benchmark="1.tsv")
        run.tell(LogEvent.JOB_FINISHED, job_id=number)
    run.handler.close()
    assert time.process_time() - start < 6
    assert last_run(".snakemake/hippflow").cpu == (5000.0, 10_000, 10_000)
    assert "hippflow: 10000 products made" in capsys.readouterr().err
