"""Snapshots of a cluster's volume in a simulated AWS.

That AWS completes a snapshot at once. So that one can be under way or fail, a server in between (aws_between.py)
changes state, progress, owner and time of single snapshots in its answers; all else, and what is deleted, is its own.
"""

import argparse
import multiprocessing
import os
import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from aws_between import client, make_instance, make_stack, make_volume, refusal, with_snapshots
from debian import free_ports

from hippflow.cloud.clusters import snapshot as module
from hippflow.cloud.clusters.aws import aws_client
from hippflow.cloud.clusters.snapshot import SnapshotPlan, snapshot_steps
from hippflow.commands.cluster import add
from hippflow.errors import CloudError, ConfigError

pytest_plugins = ["aws_fixtures"]

REPOSITORY = Path(__file__).parents[2]
DESCRIPTION = "hippflow hippflow data"
STEPS = ["checked", "started", "completed", "rewritten", "pruned"]


class Lab:
    """A cluster's volume with three snapshots, a configuration that names the newest, and other people's snapshots."""

    def __init__(self, aws, folder):
        self.ec2 = client(aws, "ec2")
        self.volume = make_volume(self.ec2, cluster="hippflow", Name="data", project="memory")
        make_volume(self.ec2, cluster="hippflow", node="Compute", Name="root")
        make_volume(self.ec2, cluster="other", Name="data")
        self.fields = {}
        self.old = [self.snapshot(days=days) for days in (3, 2, 1)]
        self.others = [
            self.snapshot(days=4, description="another"),
            self.snapshot(days=5, cluster="other"),
            self.snapshot(days=6, tagged=False),
            self.snapshot(days=7, ownerId="999999999999"),
            self.snapshot(days=8, status="error"),
        ]
        self.data = folder / "volume"
        self.data.mkdir()
        self.file = folder / "cluster.yaml"
        text = (REPOSITORY / "cluster" / "parallelcluster.yaml").read_text()
        self.text = text.replace("snap-0123456789abcdef0", self.old[-1])
        self.file.write_text(self.text)

    def snapshot(self, days, description=DESCRIPTION, cluster="hippflow", tagged=True, **fields):
        """A snapshot of so many days ago; with fields as `with_snapshots` takes them."""
        tags = [{"Key": "hippflow:cluster", "Value": cluster}]
        given = [{"ResourceType": "snapshot", "Tags": tags}] if tagged else []
        made = self.ec2.create_snapshot(VolumeId=self.volume, Description=description, TagSpecifications=given)
        start = datetime.now(UTC) - timedelta(days=days)
        self.fields[made["SnapshotId"]] = {"startTime": start.strftime("%Y-%m-%dT%H:%M:%S.000Z")} | fields
        return made["SnapshotId"]

    def after(self, action, form, body):
        """What the server in between does to answers."""
        if action == "DescribeSnapshots":
            return with_snapshots(body, self.fields)
        return body

    def ours(self):
        """Ids of all snapshots of the account that these commands or this test have made."""
        known = {*self.fields}
        found = self.ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [self.volume]}])["Snapshots"]
        return known & {one["SnapshotId"] for one in found}, {one["SnapshotId"] for one in found} - known

    def named(self):
        """The snapshot that the configuration names."""
        return yaml.safe_load(self.file.read_text())["SharedStorage"][0]["EbsSettings"]["SnapshotId"]

    def plan(self, **settings):
        standard = {"cluster": "hippflow", "keep": 2, "file": self.file, "data": self.data, "period": 0.01}
        return SnapshotPlan(**(standard | settings))


@pytest.fixture
def lab(aws, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "flush", lambda folder: None)  # of this machine's disk, on which others work
    made = Lab(aws.upstream, tmp_path)
    made.between, aws.after = aws, made.after
    return made


def take(lab, **settings):
    """Take a snapshot, and return the steps and what was said."""
    said = []
    steps = list(snapshot_steps(client(lab.between.environment, "ec2"), lab.plan(**settings), said.append))
    return steps, "\n".join(said)


def test_a_snapshot_is_made_named_and_older_ones_are_pruned(lab):
    steps, said = take(lab)
    left, new = lab.ours()
    (new,) = new
    assert steps == STEPS
    assert lab.named() == new
    assert lab.file.read_text() == lab.text.replace(lab.old[-1], new)
    assert lab.file.with_name("cluster.yaml.bak").read_text() == lab.text
    assert left == {lab.old[-1], *lab.others}
    (entry,) = lab.ec2.describe_snapshots(SnapshotIds=[new])["Snapshots"]
    assert (entry["Description"], entry["VolumeId"]) == (DESCRIPTION, lab.volume)
    tags = {tag["Key"]: tag["Value"] for tag in entry["Tags"]}
    assert tags == {"Name": DESCRIPTION, "hippflow:cluster": "hippflow", "project": "memory"}
    assert f"{lab.old[0]} of" in said and f"{lab.file}: SnapshotId: {new}" in said


def test_one_under_way_is_waited_for_and_none_started(lab):
    under_way = lab.snapshot(days=0.1, status="pending", progress="40%")
    asked = []

    def after(action, form, body):
        if action == "DescribeSnapshots" and "SnapshotId.1" in form:
            asked.append(set(lab.ours()[0]))
            if len(asked) == 4:
                lab.fields[under_way].pop("status")
        return lab.after(action, form, body)

    lab.between.after = after
    steps, said = take(lab, keep=1)
    assert steps == STEPS
    assert "CreateSnapshot" not in lab.between.asked
    assert f"{under_way} of" in said and "going on with it" in said
    assert len(asked) == 4 and all({*lab.old, *lab.others} <= there for there in asked)
    assert lab.named() == under_way
    assert lab.ours() == ({under_way, *lab.others}, set())


def test_one_that_fails_changes_and_deletes_nothing(lab):
    under_way = lab.snapshot(days=0.1, status="pending", progress="40%")
    steps = snapshot_steps(client(lab.between.environment, "ec2"), lab.plan(keep=1), [].append)
    assert [next(steps), next(steps)] == ["checked", "started"]
    lab.fields[under_way] |= {"status": "error", "statusMessage": "the key is disabled"}
    with pytest.raises(CloudError, match=rf"{under_way}: .*error: the key is disabled; nothing was deleted"):
        next(steps)
    assert lab.file.read_text() == lab.text and not lab.file.with_name("cluster.yaml.bak").exists()
    assert lab.ours() == ({under_way, *lab.old, *lab.others}, set())
    assert "DeleteSnapshot" not in lab.between.asked


def test_after_one_that_failed_a_new_one_is_started(lab):
    failed = lab.snapshot(days=0.1, status="error")
    take(lab, keep=1)
    left, (new,) = lab.ours()
    assert lab.named() == new
    assert left == {failed, *lab.others}


def run_until(environment, plan, n_steps):
    """In a process of its own: make so many steps, and be killed."""
    steps = snapshot_steps(client(environment, "ec2"), plan, [].append)
    for _ in range(n_steps):
        next(steps)
    os.kill(os.getpid(), signal.SIGKILL)


def run_all(environment, plan):
    list(snapshot_steps(client(environment, "ec2"), plan, [].append))


def killed(function, *arguments):
    """Run a function in a process that is killed."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


def assert_safe(lab):
    """Nothing of others is lost; what is gone of ours was not needed: the configuration names a whole newer one."""
    left, new = lab.ours()
    assert set(lab.others) <= left
    assert lab.named() in left | new
    if not set(lab.old) <= left:
        assert lab.named() in new
    if lab.file.read_text() != lab.text:
        backup = lab.file.with_name("cluster.yaml.bak").read_text()
        former = yaml.safe_load(backup)["SharedStorage"][0]["EbsSettings"]["SnapshotId"]
        assert backup.replace(former, lab.old[-1]) == lab.text


@pytest.mark.parametrize("n_steps", range(len(STEPS)))
def test_killed_between_two_steps_nothing_is_lost_and_it_goes_on(lab, n_steps):
    killed(run_until, lab.between.environment, lab.plan(keep=1), n_steps)
    assert_safe(lab)
    left, new = lab.ours()
    assert len(new) == (n_steps >= 2)
    assert left == {*lab.old, *lab.others}
    assert (lab.file.read_text() == lab.text) is (n_steps < 4)
    assert take(lab, keep=1)[0] == STEPS
    left, new = lab.ours()
    # Times have no fractions of a second here, so one of a killed run may be of the same second as its successor.
    assert left == set(lab.others) and lab.named() in new and len(new) == 1


def test_killed_in_any_request_nothing_is_lost_and_it_goes_on(lab):
    deadly = {"count": 0, "at": 0}

    def after(action, form, body):
        deadly["count"] += 1
        if deadly["count"] == deadly["at"]:
            os.kill(deadly["process"].pid, signal.SIGKILL)  # it is done, and the process will not know
        return lab.after(action, form, body)

    lab.between.after, n_deaths = after, 0
    while True:
        deadly |= {"count": 0, "at": n_deaths + 1}
        process = multiprocessing.get_context("fork").Process(
            target=run_all, args=(lab.between.environment, lab.plan(keep=1))
        )
        deadly["process"] = process
        process.start()
        process.join(30)
        assert_safe(lab)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        n_deaths += 1
    assert n_deaths >= 7, "volume, listing, start, wait, listing, images, three deletions"
    left, new = lab.ours()
    assert left == set(lab.others) and lab.named() in new


def test_one_that_an_image_or_the_configuration_names_stays(lab):
    lab.ec2.register_image(Name="rescue", RootDeviceName="/dev/xvda")

    def after(action, form, body):
        if action != "DescribeImages":
            return lab.after(action, form, body)
        # The simulated AWS makes a snapshot of its own for every image.
        body, n_disks = re.subn("<snapshotId>.*?<", f"<snapshotId>{lab.old[0]}<", body)
        assert n_disks == 1
        return body

    lab.between.after = after
    lab.file.write_text(lab.text + f"# Before the filters were changed: {lab.old[1]}\n")
    _, said = take(lab, keep=1)
    assert lab.ours()[0] == {*lab.old[:2], *lab.others}
    assert said.count("stays, an image or the configuration names it") == 2


def test_one_that_ec2_keeps_because_it_is_used_stays(lab):
    lab.between.before = lambda action, form: (
        refusal("InvalidSnapshot.InUse", status=400)
        if action == "DeleteSnapshot" and form["SnapshotId"] == lab.old[0]
        else None
    )
    _, said = take(lab, keep=1)
    assert lab.ours()[0] == {lab.old[0], *lab.others}
    assert f"{lab.old[0]} of" in said and "stays, an image uses it" in said


def test_a_configuration_that_names_the_volume_itself_is_left(lab):
    text = lab.text.replace(f"SnapshotId: {lab.old[-1]}", f"VolumeId: {lab.volume}")
    lab.file.write_text(text)
    steps, said = take(lab)
    assert steps == STEPS and lab.file.read_text() == text
    assert f"names the volume {lab.volume} itself" in said


def test_a_configuration_that_cannot_be_rewritten_is_seen_before_anything_starts(lab):
    lab.file.write_text("SharedStorage: [")
    with pytest.raises(ConfigError, match="expected YAML"):
        take(lab)
    assert "CreateSnapshot" not in lab.between.asked


def test_of_several_volumes_the_attached_one_is_taken_else_all_are_named(lab):
    former = make_volume(lab.ec2, cluster="hippflow", Name="data")
    with pytest.raises(CloudError, match="expected one shared volume") as caught:
        take(lab)
    assert lab.volume in str(caught.value) and former in str(caught.value) and "--volume" in str(caught.value)
    assert "CreateSnapshot" not in lab.between.asked
    head = make_instance(lab.ec2, cluster="hippflow", node="HeadNode")["InstanceId"]
    lab.ec2.attach_volume(VolumeId=lab.volume, InstanceId=head, Device="/dev/sdb")
    assert f"volume: {lab.volume} (data, 500 GB, in-use)" in take(lab)[1]
    with pytest.raises(ConfigError, match="expected the EBS storage other"):
        take(lab, volume=make_volume(lab.ec2, Name="other"))


def test_a_cluster_without_a_volume_is_refused(lab):
    with pytest.raises(CloudError, match=r"parallelcluster:cluster-name=another, found none; correct the name"):
        take(lab, cluster="another")


def test_key_files_are_named_and_refused_unless_wanted(lab):
    (lab.data / "me" / ".aws").mkdir(parents=True)
    secrets = {
        "MyKeyPair.pem": "-----BEGIN RSA PRIVATE KEY-----\n",
        "me/.aws/credentials": "[default]\naws_secret_access_key = x\n",
        "me/id_ed25519": "-----BEGIN OPENSSH PRIVATE KEY-----\n",
        "me/.netrc": "machine github.com login me password x\n",
        "me/.git-credentials": "https://me:x@github.com\n",
        "me/github_token": "x\n",
    }
    harmless = {
        "certificate.pem": "-----BEGIN CERTIFICATE-----\n",
        "me/.aws/config": "[default]\nregion = us-east-1\n",
        "me/id_ed25519.pub": "ssh-ed25519 AAAA\n",
        "me/tokens.py": "x = 1\n",
    }
    for name, text in (secrets | harmless).items():
        (lab.data / name).write_text(text)
    with pytest.raises(CloudError, match="expected no credentials") as caught:
        take(lab)
    assert all(str(lab.data / name) in str(caught.value) for name in secrets)
    assert not any(f"{lab.data / name}," in f"{caught.value}," for name in harmless)
    assert "CreateSnapshot" not in lab.between.asked
    assert "they will be in the snapshot" in take(lab, with_keys=True)[1]


def test_a_volume_that_is_not_here_is_refused_unless_taken_unseen(lab):
    with pytest.raises(CloudError, match="run this on the head node, give --data"):
        take(lab, data=lab.data / "none")
    assert "not looked for" in take(lab, data=lab.data / "none", with_keys=True)[1]


def test_a_wait_bears_failing_requests_and_gives_up_at_a_refusal(lab, monkeypatch):
    under_way = lab.snapshot(days=0.1, status="pending")
    answers = [refusal("InternalError", status=500)] * 3 + [None, refusal("UnauthorizedOperation")]
    lab.between.before = lambda action, form: answers.pop(0) if "SnapshotId.1" in form else None
    with pytest.raises(CloudError, match=r"expected permission for ec2:DescribeSnapshots.*\(HTTP 403\)"):
        list(snapshot_steps(aws_client("ec2"), lab.plan()))
    assert answers == []
    lab.between.before = lambda action, form: refusal("InternalError", status=500) if "SnapshotId.1" in form else None
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with pytest.raises(CloudError, match=f"snapshot {under_way} .*AWS is busy"):
        list(snapshot_steps(aws_client("ec2"), lab.plan()))


def command(*words):
    """Run the command line."""
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    arguments = parser.parse_args(["cluster", *words])
    arguments.run(arguments)


def test_the_command_finds_cluster_region_and_file_in_the_configuration(lab, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    (tmp_path / "config.yaml").write_text("cluster: {name: hippflow, region: us-east-1, file: cluster.yaml}\n")
    command("snapshot", "--keep", "1", "--data", str(lab.data))
    _, (new,) = lab.ours()
    assert lab.named() == new and f"{new} is completed" in capsys.readouterr().out


def test_the_region_is_that_of_the_file_on_the_command_line(lab, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    words = ["snapshot", "--cluster", "hippflow", "--data", str(lab.data)]
    with pytest.raises(CloudError, match="expected a region, found none"):
        command(*words)
    command(*words, "--file", str(lab.file))
    assert lab.named() in lab.ours()[1]


def test_the_only_cluster_need_not_be_named(lab, capsys):
    with pytest.raises(CloudError, match="expected one cluster, or --cluster NAME, found none"):
        command("snapshot", "--file", str(lab.file), "--data", str(lab.data))
    make_stack(client(lab.between.upstream, "cloudformation"))
    command("snapshot", "--file", str(lab.file), "--data", str(lab.data))
    assert "is completed" in capsys.readouterr().out


def test_an_interrupt_while_waiting_says_that_it_goes_on(lab, capsys, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    lab.snapshot(days=0.1, status="pending")
    monkeypatch.setattr(module.time, "sleep", interrupt)
    with pytest.raises(SystemExit) as caught:
        command("snapshot", "--cluster", "hippflow", "--file", str(lab.file), "--data", str(lab.data))
    assert caught.value.code == 130
    assert "the same command goes on waiting for it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
            "expected credentials, found none; set AWS_ACCESS",
        ),
        ({"AWS_PROFILE": "nobody"}, "expected complete credentials, found: .*nobody.* correct AWS_PROFILE"),
        ({"AWS_REGION": None, "AWS_DEFAULT_REGION": None}, "expected a region, found none; give --region"),
        ({"AWS_ENDPOINT_URL": "DEAD"}, "expected an endpoint that answers, found: .*check the network"),
        ({"AWS_ENDPOINT_URL": "nonsense"}, "expected usable AWS settings"),
    ],
)
def test_what_is_wrong_with_the_settings_is_a_sentence(lab, monkeypatch, change, said):
    for name, value in change.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value.replace("DEAD", f"http://127.0.0.1:{free_ports(1)[0]}"))
    with pytest.raises(CloudError, match=said):
        list(snapshot_steps(aws_client("ec2"), lab.plan()))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("UnauthorizedOperation", "expected permission for ec2:CreateSnapshot"),
        ("AuthFailure", "expected a key that AWS knows"),
        ("RequestExpired", "they have expired; get new ones"),
        ("SignatureDoesNotMatch", "correct AWS_SECRET_ACCESS_KEY"),
        ("OptInRequired", "expected a region that the account uses"),
        ("SnapshotCreationPerVolumeRateExceeded", "AWS is busy or out of order; try again"),
        ("SnapshotLimitExceeded", "found SnapshotLimitExceeded .* as asked; check the names"),
    ],
)
def test_a_refusal_is_a_sentence_and_loses_nothing(lab, monkeypatch, code, said):
    status = 403 if code == "UnauthorizedOperation" else 400
    answer = refusal(code, status=status)
    lab.between.before = lambda action, form: answer if action == "CreateSnapshot" else None
    with pytest.raises(CloudError, match=said) as caught:
        take(lab)
    assert "\n" not in str(caught.value) and "testing" not in str(caught.value)
    assert lab.file.read_text() == lab.text
    assert lab.ours() == ({*lab.old, *lab.others}, set())


def test_at_least_one_is_kept(lab):
    with pytest.raises(CloudError, match="--keep: expected at least 1"):
        take(lab, keep=0)
