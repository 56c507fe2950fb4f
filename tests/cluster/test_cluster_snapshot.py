"""Snapshots of a cluster's volume: what is made, named and deleted, and that nothing is lost where it is killed.

What is refused is in test_cluster_snapshot_refusals.py.
"""

import multiprocessing
import os
import re
import signal

import pytest
import yaml
from aws_between import client, refusal
from snapshot_lab import DESCRIPTION, STEPS, take

from hippflow.cloud.clusters.snapshot import snapshot_steps
from hippflow.errors import CloudError

pytest_plugins = ["aws_fixtures", "snapshot_lab"]


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
