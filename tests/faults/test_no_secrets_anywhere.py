"""Planted credentials, tokens and signed addresses: no file that runs leave, and nothing that they say, has one in it.

They are where users have them, in the environment and the configuration, while runs succeed, fail and are killed. The
whole folder of the workflow is searched for them as they are, in base64, in UTF-16 and as parts of addresses.
"""

import argparse
import base64
import http.client
import os
import shutil
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

import h5py
import pytest
from planted_secrets import CANARIES, found_in, leaks, texts_of
from s3_endpoints import Fault, FaultyProxy

from hippflow.cloud.errors_s3 import explain
from hippflow.cloud.s3 import s3_client, split_url
from hippflow.commands.configuration import settings_again
from hippflow.day.config import check_config, load_schema, read_config
from hippflow.demo.bucket import BUCKET, endpoint, upload_tree
from hippflow.demo.day import write_demo_day
from hippflow.errors import ConfigError, HippflowError, StorageError
from hippflow.forks import ForkServer
from hippflow.redaction import redacted, redacted_command
from hippflow.runs.notify import send_all

DAY = "picasso/20181105"
SIGNED = (
    "https://lab.s3.amazonaws.com/raw/181105.nev?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
    f"{CANARIES['AWS_ACCESS_KEY_ID']}%2F20181105&X-Amz-Signature={CANARIES['signature']}"
)
NWB = "nwb={enable: true, subjects: {picasso: {species: Macaca fascicularis, sex: M, age: P8Y}}}"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A day of one channel in a bucket, and the environment with the canaries."""
    raw = tmp_path_factory.mktemp("raw")
    write_demo_day(raw, channels=[9], seconds=8, seed=5)
    with endpoint() as environment:
        upload_tree(raw, environment)
        planted = {name: value for name, value in CANARIES.items() if name.startswith("AWS_")}
        yield {
            "AWS_ENDPOINT_URL_S3": environment["AWS_ENDPOINT_URL_S3"],
            "AWS_REGION": "us-east-1",
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        } | planted


@pytest.fixture(scope="module")
def hook():
    """The address of a webhook that refuses, and answers with what it was asked: a server may echo."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(403, f"no {self.path}")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/services"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def searched(new_workflow, served, hook):
    """A folder after runs that succeeded, failed in several ways and were killed; what they all said is in `said`."""
    workflow = new_workflow()
    config = workflow.folder / "config.yaml"
    text = config.read_text()
    assert "  webhook: null" in text
    config.write_text(text.replace("  webhook: null", f"  webhook: {hook}/{CANARIES['webhook in a file']}?token=x"))
    on_line = f"notify={{webhook: {hook}/{CANARIES['webhook on the command line']}}}"
    data = ["--config", f"data=s3://{BUCKET}", "umaze={min_obs: 1}", NWB]
    runs = []
    with FaultyProxy(served) as proxy:
        environment = proxy.environment
        runs.append(workflow.run("--verbose", *data, on_line, environment=environment))
        shutil.rmtree(workflow.folder / "staging")
        for fault in (Fault(status=403, code="AccessDenied"), Fault(status=403, code="SignatureDoesNotMatch")):
            proxy.always = fault
            runs.append(workflow.run("--verbose", *data, on_line, environment=environment, status=1))
        proxy.always, proxy.once = None, [Fault(status=404, code="NoSuchKey")]
        runs.append(workflow.run("--printshellcmds", *data, environment=environment, status=1))
        runs.append(workflow.run("--config", f"data={SIGNED}", on_line, environment=environment, status=1))
        runs.append(
            workflow.run("--config", f"data=s3://u:{CANARIES['password']}@lab", environment=environment, status=1)
        )
        runs += [kill_a_run(workflow, data, environment)]
        workflow.status = {}
        for command in ("doctor", "status", "cost", "report"):
            arguments = [DAY] if command == "report" else []
            program = [sys.executable, "-m", "hippflow", "--debug", command, *arguments, *data, on_line]
            done = subprocess.run(
                program, cwd=workflow.folder, env=os.environ | environment, capture_output=True, text=True
            )
            workflow.status[command] = done.returncode
            runs.append(argparse.Namespace(output=done.stdout + done.stderr))
    workflow.said = "\n".join(run.output for run in runs)
    workflow.runs = runs
    return workflow


def kill_a_run(workflow, data, environment):
    """Everything at once, while a script works."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--forceall", *data]
    run = subprocess.Popen(
        command,
        cwd=workflow.folder,
        env=os.environ | environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = []
    for line in run.stderr:
        said.append(line)
        if line.startswith("Job ") and "Spike sorting" in line:
            break
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    run.stderr.close()
    return argparse.Namespace(output="".join(said))


def test_canaries_are_found_where_they_are(tmp_path):
    """The search itself, on what it must find."""
    secret = CANARIES["AWS_SECRET_ACCESS_KEY"]
    for k, content in enumerate(
        [
            secret.encode(),
            base64.b64encode(f'{{"notify": "{secret}"}}'.encode()),
            base64.b64encode(f"x{{{secret}}}".encode()),
            quote(SIGNED, safe="").encode(),
            secret.encode("utf-16-le"),
        ]
    ):
        assert found_in(b"before" + content + b"after"), k
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=[secret.encode()], compression="gzip", chunks=(1,))
    assert found_in(texts_of(tmp_path / "a.h5"))
    assert not found_in(b"nothing at all, canary")


def test_runs_did_what_they_were_to_do(searched):
    """Or there would be nothing to find."""
    assert searched.product("picasso_20181105.nwb").stat().st_size > 10_000
    assert searched.product("report.html").exists()
    assert list((searched.folder / ".snakemake/hippflow/runs").glob("*.jsonl"))
    assert list((searched.folder / ".snakemake/log").iterdir())
    assert searched.said.count("notify.webhook: http://127.0.0.1: expected that it takes the message") >= 3
    assert "expected permission to read, found AccessDenied (HTTP 403)" in searched.said
    assert "correct AWS_SECRET_ACCESS_KEY" in searched.said
    assert "expected an object of this name, found NoSuchKey" in searched.said
    assert searched.status["status"] == 0
    assert searched.status["report"] == 0


def test_no_file_that_runs_leave_has_a_secret_in_it(searched):
    assert leaks(searched.folder, but={searched.folder / "config.yaml"}) == {}


def test_nothing_that_runs_say_has_a_secret_in_it(searched):
    assert [sorted(found_in(run.output.encode())) for run in searched.runs] == [[]] * len(searched.runs)


def test_copies_of_the_workflow_for_jobs_do_not_know_who_is_told(searched):
    """What a killed run leaves of its scripts and plans is searched, too: there was one."""
    plans = list((searched.folder / ".snakemake/hippflow").glob("plan-*.json"))
    assert plans
    assert not any("notify" in path.read_text() for path in plans)
    records = [path.read_text() for path in (searched.folder / ".snakemake/hippflow/runs").glob("*.jsonl")]
    assert any('"notify=<hidden>"' in record for record in records)


@pytest.fixture
def planted(monkeypatch):
    for name, value in CANARIES.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


def test_no_error_shows_what_is_in_the_environment(planted):
    for canary in CANARIES.values():
        for text in (f"failed: {SIGNED}", f"https://u:{CANARIES['password']}@host/x", " ".join(os.environ.values())):
            assert canary not in str(HippflowError(text))
            assert canary not in redacted(text)
    assert str(HippflowError("a.nev: expected 3 = 1 + 2, found x?y=z")) == "a.nev: expected 3 = 1 + 2, found x?y=z"


@pytest.mark.parametrize(
    "url", [SIGNED, f"s3://u:{CANARIES['password']}@lab/raw", f"S3://LAB?sig={CANARIES['signature']}"]
)
def test_a_wrong_address_is_shown_without_what_lets_in(planted, url):
    with pytest.raises(StorageError) as error:
        split_url(url)
    assert found_in(str(error.value).encode()) == set()


def test_what_boto_says_is_shown_without_secrets(planted, monkeypatch):
    from botocore.exceptions import ClientError, EndpointConnectionError

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://u:{CANARIES['password']}@127.0.0.1:9")
    errors = [
        EndpointConnectionError(endpoint_url=SIGNED),
        ClientError(
            {"Error": {"Code": "Odd", "Message": f"key {CANARIES['AWS_ACCESS_KEY_ID']}: {SIGNED}"}}, "GetObject"
        ),
        http.client.InvalidURL(SIGNED),
    ]
    for error in errors:
        for client in (None, s3_client()):
            assert found_in(str(explain(error, "s3://lab/raw", client)).encode()) == set()


SCHEMA = "schemas/config.schema.yaml"


@pytest.mark.parametrize(
    "address",
    [
        "hooks.example.org/{}",
        "https://hooks.example.org/a b/{}",
        "https://hooks.example.org:port/{}",
        "https:///{}",
        "https://hooks.example.org/\x00{}",
        "http://127.0.0.1:9/{}",
    ],
)
def test_a_webhook_that_cannot_be_used_is_not_shown(address):
    """Wherever the mistake is in it, and whoever finds it."""
    secret = CANARIES["webhook in a file"]
    (warning,) = send_all({"webhook": address.format(secret)}, "subject", "text", {})
    assert warning.startswith("notify.webhook: ")
    assert secret not in warning


def test_a_wrong_setting_of_who_is_told_is_not_shown(request):
    secret = CANARIES["webhook in a file"]
    schema = load_schema(request.config.rootpath / SCHEMA)
    with pytest.raises(ConfigError, match="notify.webhook: expected an address that starts with") as error:
        check_config({"notify": {"webhook": f"hooks.example.org/{secret}"}}, schema)
    assert secret not in str(error.value)
    with pytest.raises(ConfigError, match="--config notify=<hidden>: expected a value in YAML") as error:
        read_config([], [f"notify={{webhook: [{secret}"], schema)
    assert secret not in str(error.value)
    with pytest.raises(ConfigError) as error:
        check_config({"notify": f"https://hooks.example.org/{secret}"}, schema)
    assert secret not in str(error.value)


def test_commands_that_are_printed_do_not_say_who_is_told():
    given = ["days=all", f"notify={{webhook: https://h/{CANARIES['webhook on the command line']}}}"]
    assert settings_again(argparse.Namespace(directory=".", configfile=[], config=given)) == " --config days=all"
    assert settings_again(argparse.Namespace(directory=".", configfile=[], config=given[1:])) == ""


def test_a_command_that_is_kept_has_no_addresses_of_who_is_told():
    secret = CANARIES["webhook on the command line"]
    for argument in (f"notify={{webhook: https://h/{secret}}}", f'notify={{"webhook": "https://h/{secret}"}}'):
        assert redacted_command(["snakemake", "--config", "days=all", argument]) == [
            "snakemake",
            "--config",
            "days=all",
            "notify=<hidden>",
        ]


SCRIPT = """
import os, sys
sys.path.insert(0, "scripts")
from types import SimpleNamespace as Names
from adapter import job
run = Names(input=Names(), output=Names(), params={}, log=[sys.argv[1]])
with job({"snakemake": run}):
    raise RuntimeError(sys.argv[2] + " ".join(os.environ.values()))
"""


def test_a_jobs_log_has_no_secret_of_an_error_of_any_library(planted, tmp_path, request):
    """A defect keeps its traceback, and loses what must not be read."""
    arguments = [sys.executable, "-c", SCRIPT, str(tmp_path / "job.log"), SIGNED]
    done = subprocess.run(arguments, cwd=request.config.rootpath, capture_output=True)
    log = (tmp_path / "job.log").read_text()
    assert done.returncode == 1 and found_in(done.stderr) == set()
    assert "Unexpected error, a defect of hippflow" in log
    assert "RuntimeError: https://lab.s3.amazonaws.com/raw/181105.nev?" in log
    assert found_in(log.encode()) == set()


def test_an_error_that_no_script_expects_is_shown_without_secrets(planted, tmp_path, capfd):
    """By the process that runs scripts, to the terminal or to the log of a Slurm job."""
    script = tmp_path / "fails.py"
    script.write_text(f"import os\nraise RuntimeError({SIGNED!r} + ' '.join(os.environ.values()))\n")
    assert ForkServer().start(script, {}, {}).wait().status == 1
    said = capfd.readouterr().err
    assert "RuntimeError: https://lab.s3.amazonaws.com/raw/181105.nev?" in said
    assert found_in(said.encode()) == set()
