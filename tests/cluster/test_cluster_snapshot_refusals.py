"""Snapshots of a cluster's volume: what is refused or given up, in which words, and the command."""

import argparse

import pytest
from aws_between import client, make_instance, make_stack, make_volume, refusal
from debian import free_ports
from snapshot_lab import take

from hippflow.cloud.clusters import snapshot as module
from hippflow.cloud.clusters.aws import aws_client
from hippflow.cloud.clusters.snapshot import snapshot_steps
from hippflow.commands.cluster import add
from hippflow.errors import CloudError, ConfigError

pytest_plugins = ["aws_fixtures", "snapshot_lab"]


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
