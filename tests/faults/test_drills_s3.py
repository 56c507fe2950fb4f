"""Drills on runs whose raw files are in a bucket: what passes is borne, what stays is named, the bytes are the same.

The endpoint is moto behind a proxy that misbehaves. tests/cluster/test_download_faults.py drills the transfer alone, on
a real S3 as well.
"""

import os
import threading
import time
from http.server import ThreadingHTTPServer

import pytest
from s3_endpoints import Fault, FaultyProxy, writer

from hippflow.demo.bucket import BUCKET

pytest_plugins = ["served_day"]

LONG = os.environ.get("HIPPFLOW_LONG_FAULTS") == "1"
DAY = "picasso/20181105"
SESSIONS = {"session01": "181105_Block1", "sessioneye": "181105_DST"}
NAVIGATION_NEV, NAVIGATION_NS5, EYE_NEV, EYE_NS5 = (
    f"{DAY}/{session}/{stem}.{suffix}" for session, stem in SESSIONS.items() for suffix in ("nev", "ns5")
)
#: A part of the day that reads four objects.
TARGETS = [
    f"results/{DAY}/{session}/{name}"
    for session in SESSIONS
    for name in ("rplparallel_d41d.hkl", "array02/channel034/rpllfp_6eca.hkl")
]
OPTIONS = ("--config", f"data=s3://{BUCKET}", "channels=34")

#: Before the script that copies: pauses between attempts that a test can wait for.
IMPATIENT = """
from hippflow.cloud.download import PATIENCE
object.__setattr__(PATIENCE, "first_pause", 0.05)
object.__setattr__(PATIENCE, "longest_pause", {longest})
"""


class Endpoint(FaultyProxy):
    """A proxy with faults by object, which can be away.

    Attributes
    ----------
    faults : dict of str to list of Fault
        By the end of an object's key, one after another, and the last of a list of one that ends with `None` for ever.
    outage : tuple of str and float, or None
        Away for so many seconds from the first request for the content of this object.
    preludes : dict of str to callable
        What happens just before the first request for the content of an object is answered.
    """

    def __init__(self, environment):
        super().__init__(environment)
        self.faults, self.preludes, self.outage, self.away = {}, {}, None, False

    def _answer(self, handler):
        range_header = handler.headers.get("Range", "")
        of_content = handler.command == "GET" and "list-type" not in handler.path and range_header != "bytes=0-16383"
        if self.outage and of_content and handler.path.endswith(self.outage[0]):
            _, seconds = self.outage
            self.outage, self.away = None, True
            threading.Thread(target=self._stay_away, args=(seconds,), daemon=True).start()
        if self.away:  # a connection that was open before
            handler.close_connection = True
            return
        prelude = next((key for key in self.preludes if of_content and handler.path.endswith(key)), None)
        if prelude:
            self.preludes.pop(prelude)()
        key = next((key for key in self.faults if of_content and handler.path.endswith(key)), None)
        if key and self.faults[key]:
            fault = self.faults[key][0]
            if self.faults[key][-1] is not None:
                self.faults[key].pop(0)
            if fault.status:
                self._refuse(handler, fault)
            else:
                start = int(range_header.removeprefix("bytes=").split("-")[0] or 0) if range_header else 0
                self._forward(handler, fault, start)
            return
        super()._answer(handler)

    def _stay_away(self, seconds):
        address, handler = self._server.server_address, self._server.RequestHandlerClass
        self._server.shutdown()
        self._server.server_close()  # connections are refused
        time.sleep(seconds)
        self._server = ThreadingHTTPServer(address, handler)
        self._server.daemon_threads = True
        self.away = False
        self._server.serve_forever(poll_interval=0.02)


@pytest.fixture
def proxy(served):
    with Endpoint(served) as proxy:
        yield proxy


def pause_at_most(workflow, seconds):
    """Let copies try again after a short while."""
    script = workflow.folder / "scripts/staging.py"
    script.write_text(
        script.read_text().replace("\nfrom hippflow", IMPATIENT.format(longest=seconds) + "\nfrom hippflow", 1)
    )


def check(workflow, finished):
    """The same bytes as from local files, and nothing that is not whole."""
    for path in TARGETS:
        assert (workflow.folder / path).read_bytes() == (finished.folder / path).read_bytes(), path
    for key in (NAVIGATION_NEV, NAVIGATION_NS5, EYE_NEV, EYE_NS5):
        assert (workflow.folder / "staging" / key).read_bytes() == (finished.folder / "data" / key).read_bytes()
    assert not [path for path in (workflow.folder / "staging").rglob("*") if path.name.startswith(".")]


def test_bursts_cuts_damage_and_an_outage_are_borne(workflow, proxy, finished):
    pause_at_most(workflow, 0.5)
    proxy.faults = {
        NAVIGATION_NEV: [Fault(status=503, code="SlowDown")] * 5,
        NAVIGATION_NS5: [Fault(cut=1_000_000), Fault(cut=300_000), Fault(flip=777)],
        EYE_NEV: [Fault(shorten=100), Fault(status=500, code="InternalError")],
    }
    proxy.outage = (EYE_NS5, 1.5)
    run = workflow.run(*TARGETS, *OPTIONS, environment=proxy.environment)
    assert not any(proxy.faults.values()) and proxy.outage is None
    assert f"s3://{BUCKET}/{NAVIGATION_NEV}" in run.output
    assert "found SlowDown (HTTP 503)" in run.output
    assert "failure 5 of " in run.output
    check(workflow, finished)


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="make faults has it")
def test_an_endpoint_that_is_down_for_a_minute_is_waited_for_with_the_patience_of_every_run(workflow, proxy, finished):
    proxy.outage = (EYE_NS5, 62)
    start = time.monotonic()
    run = workflow.run(*TARGETS, *OPTIONS, environment=proxy.environment)
    assert time.monotonic() - start > 62
    assert "expected an endpoint that answers" in run.output
    check(workflow, finished)


def test_what_stays_wrong_is_named_by_its_object_and_the_next_start_makes_the_rest(workflow, proxy, finished):
    """Of four objects one may not be read, one has gone, one is damaged, and one ends too early, every time."""
    pause_at_most(workflow, 0.05)
    proxy.faults = {
        NAVIGATION_NEV: [Fault(status=403, code="AccessDenied"), None],
        NAVIGATION_NS5: [Fault(flip=777), None],
        EYE_NEV: [Fault(status=404, code="NoSuchKey"), None],
        EYE_NS5: [Fault(shorten=1000), None],
    }
    run = workflow.run(*TARGETS, *OPTIONS, status=1, environment=proxy.environment)
    said = run.output.split("\nhippflow: ")[1]
    assert said.startswith("4 jobs failed, 0 products made, ")
    for key, expected in (
        (NAVIGATION_NEV, "found AccessDenied (HTTP 403)"),
        (NAVIGATION_NS5, "expected ETag"),
        (EYE_NEV, "expected an object of this name, found NoSuchKey (HTTP 404)"),
        (EYE_NS5, "expected an endpoint that answers, found: "),
    ):
        (line,) = [line for line in said.splitlines() if f"staging {key}: StorageError: s3://{BUCKET}/{key}" in line]
        assert expected in line
    assert "Traceback" not in run.output
    assert not [path for path in (workflow.folder / "staging").rglob("*") if path.is_file() and path.name[0] != "."]
    proxy.faults = {}
    again = workflow.run(*TARGETS, *OPTIONS, environment=proxy.environment)
    assert sum(job.startswith("Copy of") for job in again.jobs) == 4
    check(workflow, finished)


def test_an_object_that_is_cut_off_in_the_bucket_is_never_taken_for_the_recording(workflow, proxy, served, finished):
    """At first it is cut off while the run goes on, after it was planned; then it is so from the start."""
    whole = (finished.folder / "data" / EYE_NS5).read_bytes()
    client = writer(served | {"AWS_REGION": "us-east-1"})
    proxy.preludes = {EYE_NS5: lambda: client.put_object(Bucket=BUCKET, Key=EYE_NS5, Body=whole[:-1000])}
    run = workflow.run(*TARGETS, *OPTIONS, status=1, environment=proxy.environment)
    said = run.output.split("\nhippflow: ")[1]
    assert f"staging {EYE_NS5}: StorageError: s3://{BUCKET}/{EYE_NS5}" in said
    assert "it changed since the run was planned; start again" in said
    assert not (workflow.folder / "staging" / EYE_NS5).exists()
    again = workflow.run(*TARGETS, *OPTIONS, status=1, environment=proxy.environment)
    assert f"FormatError: staging/{EYE_NS5}: expected whole data blocks, found" in again.output.split("\nhippflow: ")[1]
    assert not (workflow.folder / TARGETS[-1]).exists()
    client.put_object(Bucket=BUCKET, Key=EYE_NS5, Body=whole)
    workflow.run(*TARGETS, *OPTIONS, environment=proxy.environment)
    check(workflow, finished)
