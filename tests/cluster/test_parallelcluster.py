"""The cluster on AWS: its configuration before ParallelCluster's own schema and validators.

Nothing here speaks to AWS: the validators ask a stand-in on this machine, and the
process that runs them can reach nothing else.
"""

import json
import os
import re
import shutil
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


def test_the_head_nodes_rights_are_deployed_and_may_be_given_to_it(judge, stand_in):
    """The template as the manual deploys it, and the configuration's lines for it with the # taken away."""
    endpoint, fill_in = stand_in
    keys = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing", "region_name": "us-east-1"}
    cloudformation, iam = (boto3.client(name, endpoint_url=endpoint, **keys) for name in ("cloudformation", "iam"))
    given = re.search(r"--parameter-overrides (.*)", OPERATIONS)[1].split()
    cloudformation.create_stack(
        StackName="hippflow-head-node",
        TemplateBody=(CLUSTER / "head-node-policy.yaml").read_text(),
        Parameters=[dict(zip(("ParameterKey", "ParameterValue"), one.split("="), strict=True)) for one in given],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    (policy,) = iam.list_policies(Scope="Local")["Policies"]
    version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])["PolicyVersion"]
    may = {}
    for statement in version["Document"]["Statement"]:
        for action in statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]:
            may[action] = statement
    assert may["s3:PutObject"]["Resource"] == "arn:aws:s3:::your-lab-bucket/archive/*"
    assert may["sns:Publish"]["Resource"].endswith(":hippflow")
    # Deletion: of snapshots with hippflow's tag, and of nothing else.
    assert [action for action in may if "Delete" in action or "Terminate" in action] == ["ec2:DeleteSnapshot"]
    assert may["ec2:DeleteSnapshot"]["Condition"] == {"StringLike": {"aws:ResourceTag/hippflow:cluster": "*"}}

    with_rights = CONFIGURATION.replace("# AdditionalIamPolicies", "AdditionalIamPolicies")
    with_rights = with_rights.replace(
        "#   - Policy: arn:aws:iam::123456789012", "  - Policy: arn:aws:iam::123456789012"
    )
    assert policy["Arn"] in with_rights, "the name in the configuration is the template's"
    failures = judge(fill_in(with_rights), endpoint)["failures"]
    assert [(level, kind) for level, kind, _ in failures] == [("INFO", "DeletionPolicyValidator")], failures


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
