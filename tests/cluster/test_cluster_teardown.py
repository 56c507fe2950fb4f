"""The end of a cluster: nothing is lost, it goes on where it was killed, and what stops it is said.

In the first test the command that deletes it is ParallelCluster's own. What is checked before is in
test_teardown_checks.py, the command in test_teardown_command.py.
"""

import multiprocessing
import os
import re
import signal

import pytest
from aws_between import make_instance, tags
from doomed_cluster import STEPS, clients, script, tear_down

from hippflow.cloud.clusters.checks import Check, Verdict
from hippflow.cloud.clusters.teardown import find_pcluster, teardown_steps
from hippflow.errors import CloudError

pytest_plugins = ["aws_fixtures", "doomed_cluster"]


FAILING = """#!/bin/sh
echo '{ "message": "Bad Request: no permission" }'
exit 1
"""


def test_parallelcluster_deletes_the_cluster_and_what_is_left_is_named(doomed, pcluster, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # pcluster writes a log there
    node = make_instance(doomed.ec2, cluster="hippflow", node="Compute")["InstanceId"]
    address = doomed.ec2.allocate_address(
        Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": tags(cluster="hippflow")}]
    )
    steps, said = tear_down(doomed, pcluster=pcluster)
    assert steps == STEPS
    assert not doomed.exists() and doomed.between.asked.count("DeleteStack") == 1
    assert "deletion has begun" in said and "cluster hippflow: gone" in said
    assert f"aws ec2 terminate-instances --instance-ids {node}" in said
    assert f"aws ec2 delete-volume --volume-id {doomed.volume}" in said
    assert f"aws ec2 release-address --allocation-id {address['AllocationId']}" in said
    doomed.assert_nothing_lost()


def run_until(environment, pcluster, n_steps):
    """In a process of its own: make so many steps, and be killed."""
    steps = teardown_steps(
        *clients(environment), "hippflow", pcluster=pcluster, checks=(), confirm=lambda: True, say=[].append
    )
    for _ in range(n_steps):
        next(steps)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("n_steps", range(len(STEPS)))
def test_killed_between_two_steps_nothing_is_lost_and_it_goes_on(doomed, n_steps):
    process = multiprocessing.get_context("fork").Process(
        target=run_until, args=(doomed.between.environment, doomed.stand_in, n_steps)
    )
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert doomed.exists() and doomed.deleting is (n_steps == 3)
    doomed.assert_nothing_lost()
    steps, said = tear_down(doomed)
    assert steps == (["gone"] if n_steps == 3 else STEPS)
    assert ("is being deleted already" in said) is (n_steps == 3)
    assert doomed.between.asked.count("DeleteStack") == 1
    assert not doomed.exists()
    doomed.assert_nothing_lost()


def test_a_cluster_that_is_gone_is_said_so(doomed):
    doomed.cloudformation.delete_stack(StackName="hippflow")
    steps, said = tear_down(doomed)
    assert steps == ["gone"] and "there is none" in said and doomed.volume in said
    doomed.assert_nothing_lost()


def test_a_deletion_that_fails_is_named_with_its_reason_and_can_be_repeated(doomed):
    doomed.failed = True
    with pytest.raises(CloudError, match="found DELETE_FAILED: the network is in use; look at its stack"):
        tear_down(doomed)
    doomed.failed = doomed.deleting = False
    assert tear_down(doomed)[0] == STEPS


def test_a_pcluster_that_fails_is_quoted(doomed, tmp_path):
    with pytest.raises(CloudError, match=r"found exit status 1: .*Bad Request: no permission.*is still there"):
        tear_down(doomed, pcluster=script(tmp_path / "failing", FAILING))
    assert doomed.exists() and not doomed.deleting


def test_a_missing_pcluster_is_seen_before_anything_is_checked(doomed, tmp_path):
    def checks():
        raise AssertionError("looked at")
        yield

    with pytest.raises(CloudError, match=r"expected ParallelCluster's command, found none; install it"):
        tear_down(doomed, pcluster=tmp_path / "none", checks=checks())
    assert find_pcluster(doomed.stand_in) == doomed.stand_in


def test_a_stack_that_is_no_cluster_is_refused(doomed):
    doomed.cloudformation.create_stack(
        StackName="network", TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    )
    steps = teardown_steps(
        *clients(doomed.between.environment), "network", pcluster=doomed.stand_in, checks=(), confirm=lambda: True
    )
    with pytest.raises(CloudError, match="network: expected a cluster of ParallelCluster 3 .*found a stack without it"):
        next(steps)
    assert not doomed.deleting


@pytest.mark.parametrize("verdict", [Verdict.NO, Verdict.UNKNOWN])
def test_a_check_that_does_not_hold_stops_it(doomed, verdict):
    checks = [Check("jobs", Verdict.OK, "none"), Check("inventory", verdict, "two are missing")]
    with pytest.raises(CloudError, match="found that inventory is not; nothing was deleted"):
        tear_down(doomed, checks=checks)
    assert doomed.exists() and not doomed.deleting
    passed = [Check("inventory", verdict, "two are missing", "--anyway")]
    said = tear_down(doomed, checks=passed)[1]
    assert re.search(rf"^{verdict} +inventory +two are missing \(passed: --anyway\)$", said, re.MULTILINE)


def test_an_answer_other_than_its_name_stops_it(doomed):
    with pytest.raises(CloudError, match="found another answer; nothing was deleted"):
        tear_down(doomed, answer=False)
    assert doomed.exists() and not doomed.deleting
