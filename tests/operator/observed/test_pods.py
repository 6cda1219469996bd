from collections.abc import Callable
from typing import Any

import pytest

from market_operator.observed.pods import Pod, read_pod
from market_operator.resource.naming import Key

Make = Callable[..., Any]


def test_a_running_pod_is_read(pod: Callable[..., Pod]) -> None:
    found = pod(shard=2, template="t1")
    assert (found.key, found.shard, found.template, found.ip) == (Key("md", "okx-btc"), 2, "t1", "10.244.0.9")
    assert found.is_running
    assert found.is_ready
    assert not found.is_terminating
    assert found.configmaps == ("okx-btc-0-abc",)


def test_a_container_runs_only_once_its_startup_probe_passed(pod_document: Make) -> None:
    document = pod_document()
    document["status"]["containerStatuses"][0]["started"] = False
    assert not read_pod(document).is_running


def test_waiting_container_has_a_reason(pod: Callable[..., Pod]) -> None:
    found = pod(state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})
    assert (found.waiting, found.waiting_message, found.is_running) == ("ImagePullBackOff", "no such image", False)


def test_crash_is_read_from_the_last_state(pod: Callable[..., Pod]) -> None:
    last = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "message": "the end"}}
    found = pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, last_state=last)
    assert found.ended == "OOMKilled, exit code 137"
    assert found.termination_messages == ("the end",)


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_an_evicted_pod_counts_as_going(pod_document: Make, phase: str) -> None:
    document = pod_document()
    document["status"]["phase"] = phase
    assert read_pod(document).is_terminating


def test_unscheduled_pod_has_a_reason(pod: Callable[..., Pod]) -> None:
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    assert pod(conditions=[scheduled]).unschedulable == "0/1 nodes"


def test_pod_without_a_status_is_read() -> None:
    meta = {"name": "a", "namespace": "md", "uid": "u", "resourceVersion": "1"}
    found = read_pod({"metadata": meta, "spec": {}})
    assert (found.shard, found.is_running, found.ip) == (-1, False, "")


def test_evicted_pod_has_the_kubelets_reason_words_and_time(pod_document: Make) -> None:
    document = pod_document(state={"terminated": {"exitCode": 137, "finishedAt": "2026-11-22T10:07:00Z"}})
    document["status"] |= {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}
    found = read_pod(document)
    assert (found.failed, found.failed_message, found.failed_at) == (
        "Evicted",
        "The node was low on memory.",
        1795342020,
    )
    assert (found.is_finished, found.is_running, found.is_ready) == (True, False, False)


def test_pod_of_a_lost_node_does_not_run(pod_document: Make) -> None:
    """Kubernetes marks it as failed, and no kubelet corrects the state of its containers."""
    document = pod_document()
    document["status"]["phase"] = "Failed"
    assert not read_pod(document).is_running
