"""The cluster on AWS: its configuration before ParallelCluster's own schema and validators, and its bootstrap.

Nothing here speaks to AWS: the validators ask a stand-in on this machine, and the
process that runs them can reach nothing else.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
import yaml

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
CONFIGURATION = (CLUSTER / "parallelcluster.yaml").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
IMAGE = "aws-parallelcluster-3.16.1-amzn2023-hvm-x86_64-202601010000"

#: Runs with ParallelCluster's Python: configuration from standard input, what became of it as JSON to standard output.
JUDGE = """
import json, os, socket, sys, yaml
resolve, connect = socket.getaddrinfo, socket.socket.connect
def here(host):
    if host not in ("127.0.0.1", "localhost"):
        raise OSError(f"this test reaches for {host}")
socket.getaddrinfo = lambda host, *rest, **more: here(host) or resolve(host, *rest, **more)
socket.socket.connect = lambda self, address: here(address[0]) or connect(self, address)
from marshmallow import ValidationError
from pcluster.config.common import TypeMatchValidatorsSuppressor
from pcluster.schemas.cluster_schema import ClusterSchema
from pcluster.validators.common import ValidatorContext
try:
    cluster = ClusterSchema(cluster_name="hippflow").load(yaml.safe_load(sys.stdin))
except ValidationError as error:
    sys.exit(json.dumps({"refused": error.messages}))
answer = {"resources": {}, "failures": []}
if "AWS_ENDPOINT_URL" in os.environ:
    for queue in cluster.scheduling.queues:
        for resource in queue.compute_resources:
            kinds = resource.instance_type_info_map.values()
            answer["resources"][queue.name] = {
                "nodes": resource.max_count,
                "vcpus": max(kind.vcpus_count() for kind in kinds),
                "mb": min(0.95 * kind.ec2memory_size_in_mib() * 2**20 / 1e6 for kind in kinds),
            }
    # These three ask what the stand-in does not answer: a dry run of a start, and the kind of a key.
    left_out = {"HeadNodeLaunchTemplateValidator", "ComputeResourceLaunchTemplateValidator", "KeyPairValidator"}
    for failure in cluster.validate({TypeMatchValidatorsSuppressor(left_out)}, ValidatorContext()):
        answer["failures"].append([failure.level.name, failure.validator_type, failure.message])
print(json.dumps(answer))
"""


@pytest.fixture(scope="session")
def pcluster_python():
    """The Python of an environment with ParallelCluster, made once; its packages do not fit into the project's."""
    environment = ROOT / ".venv-pcluster"
    made_from = environment / "made-from.txt"
    requirements = CLUSTER / "requirements.txt"
    python = environment / "bin" / "python"
    if not made_from.exists() or made_from.read_text() != requirements.read_text():
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        (environment / ".gitignore").write_text("*\n")
        pip = [sys.executable, "-m", "pip", "--python", python, "--quiet", "--disable-pip-version-check"]
        # Everything is pinned, so nothing has to be resolved: faster, and what is missing is found by the check.
        subprocess.run([*pip, "install", "--no-compile", "--no-deps", "-r", requirements], check=True)
        subprocess.run([*pip, "check"], check=True)
        made_from.write_text(requirements.read_text())
    return python


@pytest.fixture(scope="session")
def judge(pcluster_python, tmp_path_factory):
    """A function that puts a configuration before ParallelCluster, with `endpoint` before its validators, too."""

    def put(configuration, endpoint=None):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path_factory.mktemp("home")),
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
        } | ({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})
        done = subprocess.run(
            [pcluster_python, "-c", JUDGE], input=configuration, env=environment, capture_output=True, text=True
        )
        lines = (done.stdout or done.stderr).strip().splitlines()
        assert lines and lines[-1].startswith("{"), done.stderr
        return json.loads(lines[-1])

    return put


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory):
    """An AWS on this machine with the placeholders' network, key, snapshot and bucket, and the edits they need."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    images = tmp_path_factory.mktemp("aws") / "images.json"
    image = {"ami_id": "ami-0123456789abcdef0", "name": IMAGE, "owner_id": "247102896272", "owner_alias": "amazon"}
    image |= {"architecture": "x86_64", "root_device_name": "/dev/xvda", "root_device_type": "ebs", "public": True}
    image |= {"image_type": "machine", "image_location": "amazon", "platform": None, "description": "", "sriov": ""}
    image |= {"hypervisor": "xen", "virtualization_type": "hvm", "state": "available"}
    images.write_text(json.dumps([image]))
    command = [sys.executable, "-m", "moto.server", "--port", str(port)]
    server = subprocess.Popen(
        command, env=os.environ | {"MOTO_AMIS_PATH": str(images)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while server.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        keys = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing", "region_name": "us-east-1"}
        ec2 = boto3.client("ec2", endpoint_url=endpoint, **keys)
        subnet = ec2.describe_subnets()["Subnets"][0]
        volume = ec2.create_volume(AvailabilityZone=subnet["AvailabilityZone"], Size=500)["VolumeId"]
        snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        s3 = boto3.client("s3", endpoint_url=endpoint, **keys)
        s3.create_bucket(Bucket="your-lab-bucket")
        s3.put_object(Bucket="your-lab-bucket", Key="hippflow/bootstrap.sh", Body=b"")

        def fill_in(configuration):
            return configuration.replace("subnet-0123456789abcdef0", subnet["SubnetId"]).replace(
                "snap-0123456789abcdef0", snapshot
            )

        yield endpoint, fill_in
    finally:
        server.terminate()
        server.wait()


def change(old, new):
    """The configuration with `old` replaced, which must be there."""
    assert old in CONFIGURATION
    return CONFIGURATION.replace(old, new)


@pytest.fixture(scope="module")
def configuration():
    return yaml.safe_load(CONFIGURATION)


def queues(configuration):
    return {queue["Name"]: queue for queue in configuration["Scheduling"]["SlurmQueues"]}


def test_the_schema_of_parallelcluster_takes_the_configuration_without_aws(judge):
    assert judge(CONFIGURATION) == {"resources": {}, "failures": []}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("ScaledownIdletime", "ScaledownIdleTime", "ScaledownIdleTime"),
        ("MaxCount: 7", "MaxCount: 0", "MaxCount"),
        ("snap-0123456789abcdef0", "your-snapshot", "SnapshotId"),
        ("DeletionPolicy: Retain", "DeletionPolicy: Keep", "DeletionPolicy"),
        ("RetentionInDays: 7", "RetentionInDays: 8", "RetentionInDays"),
    ],
)
def test_the_schema_refuses_a_slip(judge, old, new, key):
    assert f'"{key}"' in json.dumps(judge(change(old, new))["refused"])


def test_the_schema_takes_the_other_volumes_of_the_manual(judge):
    empty = change("      SnapshotId: snap-0123456789abcdef0\n", "")
    kept, replaced = re.subn(
        r"(EbsSettings:\n).*(?=\nScheduling)",
        r"\1      VolumeId: vol-0123456789abcdef0\n",
        CONFIGURATION,
        flags=re.DOTALL,
    )
    assert replaced == 1
    assert judge(empty) == judge(kept) == {"resources": {}, "failures": []}


def test_no_validator_of_parallelcluster_objects(judge, stand_in):
    endpoint, fill_in = stand_in
    failures = judge(fill_in(CONFIGURATION), endpoint)["failures"]
    assert [(level, kind) for level, kind, _ in failures] == [("INFO", "DeletionPolicyValidator")], failures


@pytest.mark.parametrize(
    ("old", "new", "validator"),
    [
        ("InstanceType: r7a.2xlarge", "InstanceType: r7a.xlarge", "InstancesCPUValidator"),
        ("InstanceType: r7a.2xlarge", "InstanceType: m7a.2xlarge", "InstancesMemorySchedulingWarningValidator"),
        ("Throughput: 250", "Throughput: 1000", "EbsVolumeThroughputIopsValidator"),
        ("Size: 500", "Size: 400", "EbsVolumeSizeSnapshotValidator"),
        ("hippflow/bootstrap.sh", "hippflow/boot.sh", "AsyncTimedUrlValidator"),
        ("MinJobAge", "SuspendTime", "CustomSlurmSettingsValidator"),
    ],
)
def test_validators_object_to_what_cannot_work(judge, stand_in, old, new, validator):
    endpoint, fill_in = stand_in
    failures = judge(fill_in(change(old, new)), endpoint)["failures"]
    assert validator in {kind for level, kind, _ in failures if level in ("ERROR", "WARNING")}, failures


def test_the_nodes_hold_a_day_and_no_more_than_64_vcpus(judge, stand_in):
    endpoint, fill_in = stand_in
    nodes = judge(fill_in(CONFIGURATION), endpoint)["resources"]
    assert sum(queue["nodes"] * queue["vcpus"] for queue in nodes.values()) <= 64
    # A day is 14 Slurm jobs of 4 CPUs and 17 GB; tried for the third time a job asks for three times as much.
    jobs_on_a_node = min(nodes["spot"]["vcpus"] // 4, nodes["spot"]["mb"] // 17000)
    assert nodes["spot"]["nodes"] * jobs_on_a_node >= 14
    assert all(queue["mb"] >= 3 * 17000 for queue in nodes.values())


def test_jobs_are_placed_by_memory(configuration):
    assert configuration["Scheduling"]["SlurmSettings"]["EnableMemoryBasedScheduling"] is True


def test_there_is_a_queue_of_each_kind_that_costs_nothing_at_rest(configuration):
    kinds = {name: queue["CapacityType"] for name, queue in queues(configuration).items()}
    assert kinds == {"spot": "SPOT", "ondemand": "ONDEMAND"}
    resources = [resource for queue in queues(configuration).values() for resource in queue["ComputeResources"]]
    assert [resource["MinCount"] for resource in resources] == [0, 0]


def test_the_data_volume_outlives_the_cluster(configuration):
    (volume,) = configuration["SharedStorage"]
    assert (volume["MountDir"], volume["EbsSettings"]["DeletionPolicy"]) == ("/data", "Retain")
    assert volume["EbsSettings"]["SnapshotId"].startswith("snap-")


def test_all_nodes_read_the_bucket_and_none_writes_to_it(configuration):
    nodes = [configuration["HeadNode"], *queues(configuration).values()]
    assert [node["Iam"]["S3Access"] for node in nodes] == [
        [{"BucketName": "your-lab-bucket", "EnableWriteAccess": False}]
    ] * 3


def test_finished_jobs_are_seen_for_longer_than_the_driver_ever_waits(configuration):
    (setting,) = configuration["Scheduling"]["SlurmSettings"]["CustomSlurmSettings"]
    # Snakemake's longest interval between two questions is 180 + 10 s; it wants three of them.
    assert setting["MinJobAge"] >= 3 * 190


def test_the_partitions_of_the_manual_and_of_the_profile_are_the_queues(configuration):
    names = set(queues(configuration))
    assert set(re.findall(r"^\| `(\w+)` \|", OPERATIONS, re.MULTILINE)) == names
    assert set(re.findall(r"slurm_partition=(\w+)", OPERATIONS)) <= names
    partitions = ROOT / "profiles" / "slurm" / "partitions.yaml"
    if partitions.exists():
        assert set(yaml.safe_load(partitions.read_text())["partitions"]) == names


SECRETS = re.compile(
    r"AKIA|ASIA[0-9A-Z]{12}|secret_?(access)?_?key|BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:]+:[^/\s@]+@", re.I
)


def test_there_are_no_credentials_beside_the_configuration():
    assert all(SECRETS.search(s) for s in ("AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key = x", "https://me:pw@host/x"))
    found = [path.name for path in CLUSTER.iterdir() if SECRETS.search(path.read_text())]
    assert found == []


# bootstrap.sh, with the project's Makefile and an interpreter that only notes what it is asked to do

INTERPRETER = """#!/usr/bin/env bash
folder=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
case "$*" in
  "-c "*) ;;
  "-m venv .venv")
    mkdir -p .venv/bin
    cp "${BASH_SOURCE[0]}" .venv/bin/python
    ;;
  "-m pip install "*)
    echo "$PWD" >> "$NOTES/installed"
    touch .venv/half
    while [[ -e $NOTES/hold ]]; do sleep 0.05; done
    touch .venv/whole
    ;;
  *) exit 9 ;;
esac
"""


class Sandbox:
    """A volume, a repository with two versions and an interpreter, and runs of bootstrap.sh on them."""

    def __init__(self, folder):
        self.folder = folder
        self.home = folder / "data" / "hippflow"
        self.work = folder / "data" / "hippflow.bootstrap"
        self.repository = folder / "repository"
        self.notes = folder / "notes"
        self.runs = []
        for part in (self.home.parent, self.repository, self.notes):
            part.mkdir(parents=True)
        self.interpreter = folder / "python"
        self.interpreter.write_text(INTERPRETER)
        self.interpreter.chmod(0o755)
        # What `make .venv/complete` looks at, and what a user edits.
        (needed,) = re.findall(r"^\.venv/complete: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        for name in ("Makefile", "config.yaml", *needed.split()):
            (self.repository / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.repository / name)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", ".")
        self.commit("v1")
        with (self.repository / "requirements.lock").open("a") as lock:
            lock.write("another-package==1.0\n")
        self.commit("v2")

    def git(self, *arguments, folder=None):
        identity = ("-c", "user.name=Lab", "-c", "user.email=lab@example.org")
        command = ["git", *identity, "-C", folder or self.repository, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, tag):
        self.git("commit", "--quiet", "--all", "--message", tag)
        self.git("tag", tag)

    def start(self, version="v1", **environment):
        settings = {"HIPPFLOW_HOME": self.home, "HIPPFLOW_REPOSITORY": self.repository, "HIPPFLOW_VERSION": version}
        settings |= {"HIPPFLOW_PYTHON": self.interpreter, "HIPPFLOW_USER": "root", "NOTES": self.notes} | environment
        run = subprocess.Popen(
            ["bash", CLUSTER / "bootstrap.sh"],
            env=os.environ | {name: str(value) for name, value in settings.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.runs.append(run)
        return run

    def stop(self):
        """End what a failed test has left running."""
        for run in self.runs:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            run.stdout.close()

    def run(self, version="v1", status=0, **environment):
        run = self.start(version, **environment)
        output, _ = run.communicate(timeout=60)
        assert run.returncode == status, output
        return output

    def wait_for(self, path, run):
        while not path.exists():
            assert run.poll() is None, run.stdout.read()
            time.sleep(0.02)

    @property
    def installations(self):
        return len((self.notes / "installed").read_text().splitlines())

    @property
    def head(self):
        return self.git("describe", "--tags", folder=self.home)

    def state(self):
        """Every file on the volume with its size and time, without what a run notes of itself."""
        own = {self.work / "log", self.work / "lock"}
        files = [path for path in self.home.parent.rglob("*") if path.is_file() and path not in own]
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def sandbox(tmp_path):
    sandbox = Sandbox(tmp_path)
    yield sandbox
    sandbox.stop()


def test_bootstrap_installs_once_and_a_second_run_changes_nothing(sandbox):
    assert "complete: v1" in sandbox.run()
    assert (sandbox.head, sandbox.installations) == ("v1", 1)
    assert (sandbox.home / ".venv" / "complete").exists()
    before = sandbox.state()
    assert "nothing to do" in sandbox.run()
    assert sandbox.state() == before
    assert sandbox.installations == 1
    assert (sandbox.work / "log").read_text().count("nothing to do") == 1


def test_bootstrap_that_was_killed_while_installing_is_repaired(sandbox):
    (sandbox.notes / "hold").touch()
    run = sandbox.start()
    sandbox.wait_for(sandbox.home / ".venv" / "half", run)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert not (sandbox.home / ".venv" / "complete").exists()
    (sandbox.home / ".venv" / "leftover").touch()
    (sandbox.notes / "hold").unlink()
    assert "complete: v1" in sandbox.run()
    assert (sandbox.home / ".venv" / "whole").exists()
    assert not (sandbox.home / ".venv" / "leftover").exists()
    assert sandbox.installations == 2


def test_bootstrap_that_was_killed_while_cloning_is_repaired(sandbox):
    (sandbox.work / "clone" / ".git").mkdir(parents=True)
    assert "complete: v1" in sandbox.run()
    assert sandbox.head == "v1"
    assert not (sandbox.work / "clone").exists()


def test_bootstrap_that_was_killed_while_changing_files_is_repaired_and_keeps_the_users(sandbox):
    sandbox.run()
    config = sandbox.home / "config.yaml"
    config.write_text(config.read_text().replace("data: data", "data: s3://lab/raw"))
    # As a run is found that was killed after it had noted the changes and written some of the files.
    (sandbox.work / "local.patch").write_text(sandbox.git("diff", "HEAD", folder=sandbox.home) + "\n")
    (sandbox.home / ".git" / "index.lock").touch()
    (sandbox.home / "Makefile").write_text("half of")
    config.unlink()
    assert "complete: v2" in sandbox.run("v2")
    assert sandbox.head == "v2"
    assert sandbox.git("diff", "--name-only", folder=sandbox.home) == "config.yaml"
    assert "data: s3://lab/raw\n" in config.read_text()
    assert not (sandbox.work / "local.patch").exists()


def test_bootstrap_changes_to_another_version_and_keeps_the_users_changes(sandbox):
    sandbox.run()
    config = sandbox.home / "config.yaml"
    mine = config.read_text().replace("data: data", "data: s3://lab/raw")
    config.write_text(mine)
    assert "complete: v2" in sandbox.run("v2")
    assert (sandbox.head, sandbox.installations, config.read_text()) == ("v2", 2, mine)
    assert "nothing to do" in sandbox.run("v2")


def test_bootstrap_follows_a_branch(sandbox):
    sandbox.run("main")
    (sandbox.repository / "config.yaml").write_text("data: elsewhere\n")
    sandbox.commit("v3")
    assert "complete: main" in sandbox.run("main")
    assert (sandbox.head, sandbox.installations) == ("v3", 1)
    assert "nothing to do" in sandbox.run("main")


def test_bootstrap_says_where_changes_are_that_do_not_fit(sandbox):
    sandbox.run()
    (sandbox.home / "config.yaml").write_text("mine: 1\n")
    (sandbox.repository / "config.yaml").write_text("theirs: 1\n")
    sandbox.commit("v3")
    assert "rejected.patch: expected your changes to fit v3" in sandbox.run("v3", status=1)
    assert "+mine: 1" in (sandbox.work / "rejected.patch").read_text()


def test_two_bootstraps_at_once_install_once(sandbox):
    (sandbox.notes / "hold").touch()
    first = sandbox.start()
    sandbox.wait_for(sandbox.home / ".venv" / "half", first)
    second = sandbox.start()
    deadline = time.monotonic() + 30
    while "waiting" not in (sandbox.work / "log").read_text():
        assert time.monotonic() < deadline, "the second run does not wait"
        time.sleep(0.02)
    (sandbox.notes / "hold").unlink()
    assert "complete: v1" in first.communicate(timeout=60)[0]
    assert "nothing to do" in second.communicate(timeout=60)[0]
    assert (first.returncode, second.returncode, sandbox.installations) == (0, 0, 1)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"HIPPFLOW_REPOSITORY": ""}, "expected a repository to clone, found none"),
        ({"HIPPFLOW_REPOSITORY": "https://me:word@host/hippflow"}, "expected a repository without a password"),
        ({"version": "v9"}, "expected the tag, branch or commit v9"),
        ({"HIPPFLOW_PYTHON": "/bin/false"}, "expected Python 3.11 or newer"),
    ],
)
def test_bootstrap_says_what_it_cannot_use(sandbox, environment, message):
    output = sandbox.run(status=1, **environment)
    assert message in output
    assert "word" not in output.replace("password", "")


def test_bootstrap_leaves_a_folder_alone_that_is_something_else(sandbox):
    sandbox.home.mkdir()
    (sandbox.home / "thesis.txt").write_text("mine")
    assert "expected a clone of hippflow or nothing" in sandbox.run(status=1)
    assert (sandbox.home / "thesis.txt").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_bootstrap_as_root_gives_everything_to_the_user(tmp_path_factory):
    folder = tmp_path_factory.getbasetemp().parent.parent / f"hippflow-bootstrap-{os.getpid()}"
    try:
        sandbox = Sandbox(folder)
        # As the volume is on a cluster: everybody may write, and only owners may touch what is there.
        sandbox.home.parent.chmod(0o1777)
        subprocess.run(["chown", "-R", "nobody", sandbox.repository, sandbox.notes], check=True)
        for expected in ("complete: v1", "nothing to do"):
            assert expected in sandbox.run(HIPPFLOW_USER="nobody")
        assert {path.owner() for path in sandbox.home.rglob("*")} == {"nobody"}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages")
def test_bootstrap_of_a_compute_node_installs_the_interpreter_once(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    dnf = programs / "dnf"
    dnf.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nln -s /bin/true {programs}/python3.99\n')
    dnf.chmod(0o755)
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "HIPPFLOW_PYTHON": "python3.99"}
    for _ in range(2):
        subprocess.run([CLUSTER / "bootstrap.sh", "--interpreter-only"], env=environment, check=True)
    assert (tmp_path / "asked").read_text() == "install --assumeyes --quiet python3.99\n"


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_in_bootstrap():
    done = subprocess.run(["shellcheck", CLUSTER / "bootstrap.sh"], capture_output=True, text=True)
    assert done.stdout == ""
