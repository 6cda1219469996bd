import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.observed.pods import Pod
from market_operator.observed.registry import Registry
from market_operator.observed.reports import Report
from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.work_queue import OVERWRITTEN_DELAY, WorkQueue
from market_operator.telemetry.containment import Containment
from market_operator.telemetry.metrics import Metrics
from market_operator.watch.informer import Informer

KEY = Key("md", "okx-btc")
Make = Callable[..., Any]


@pytest.fixture
def informer() -> Informer:
    """The informer of the leader."""
    return Informer(
        Cache(), Registry(), Collectors(), WorkQueue(lambda: 0.0), PollSchedule(), Containment(Metrics()), True
    )


def resource(generation: int = 1, uid: str = "u", **meta: str) -> dict[str, Any]:
    return {"metadata": {"name": "okx-btc", "namespace": "md", "uid": uid, "generation": generation, **meta}}


async def queued(informer: Informer) -> list[Key]:
    found = []
    while informer.queue.depth:
        key, _ = await informer.queue.take()
        informer.queue.done(key)
        found.append(key)
    return found


async def test_change_of_only_the_status_queues_nothing(informer: Informer) -> None:
    informer.resource(resource())
    assert await queued(informer) == [KEY]
    informer.resource(resource())
    assert await queued(informer) == []


async def test_status_that_others_write_often_costs_one_reconcile_a_second(informer: Informer) -> None:
    informer.resource(resource(resourceVersion="1"))
    assert await queued(informer) == [KEY]
    informer.registry.left(KEY, "1")
    for version in range(2, 12):
        informer.resource(resource(resourceVersion=str(version)))
    assert await queued(informer) == []
    await asyncio.sleep(OVERWRITTEN_DELAY + 0.1)
    assert await queued(informer) == [KEY]


@pytest.mark.parametrize("change", [{"generation": 2}, {"uid": "v"}, {"deletionTimestamp": "now"}])
async def test_change_of_spec_identity_or_deletion_queues_the_resource(
    informer: Informer, change: dict[str, Any]
) -> None:
    informer.resource(resource())
    await queued(informer)
    informer.resource(resource(**change))
    assert await queued(informer) == [KEY]


async def test_gone_resource_is_queued_once_more(informer: Informer) -> None:
    informer.resource_gone(KEY)
    assert await queued(informer) == []
    informer.resource(resource())
    await queued(informer)
    informer.resource_gone(KEY)
    assert await queued(informer) == [KEY]


async def test_running_pod_is_due_for_a_probe_at_once(informer: Informer, pod_document: Make) -> None:
    informer.child("Pod", pod_document(), 7.0)
    assert await queued(informer) == [KEY]
    assert informer.poll_schedule.take(7.0) == (KEY, "pod-1")


async def test_old_event_queues_nothing(informer: Informer, pod_document: Make) -> None:
    informer.child("Pod", pod_document(version=2), 7.0)
    await queued(informer)
    informer.child("Pod", pod_document(version=1), 8.0)
    assert await queued(informer) == []


async def test_stopped_container_is_not_probed_and_its_report_is_dropped(
    informer: Informer, pod_document: Make, pod: Callable[..., Pod], report: Callable[..., Report]
) -> None:
    informer.child("Pod", pod_document(), 7.0)
    informer.collectors.record_probe(pod(), report())
    informer.child("Pod", pod_document(version=2, state={"waiting": {"reason": "CrashLoopBackOff"}}), 8.0)
    assert informer.collectors.probes == {}
    assert informer.poll_schedule.take(99.0) is None


async def test_termination_message_of_a_gone_pod_is_counted(
    informer: Informer, pod_document: Make, report_document: Make
) -> None:
    informer.child("Pod", pod_document(), 7.0)
    words = {"terminated": {"exitCode": 0, "message": json.dumps(report_document(counters={"messages": 42}))}}
    informer.child_gone("Pod", pod_document(version=2, state=words))
    assert [reading.counters.messages for reading in informer.collectors.samples(KEY, [])] == [42]
    assert informer.cache.observe(KEY).pods == ()


async def test_copied_pod_counts_nothing(informer: Informer, pod_document: Make, report_document: Make) -> None:
    """Somebody copies a pod for debugging, with its labels."""
    words = {"terminated": {"exitCode": 0, "message": json.dumps(report_document())}}
    informer.child("Pod", pod_document(ownerReferences=[]), 7.0)
    informer.child_gone("Pod", pod_document(version=2, state=words, ownerReferences=[]))
    assert informer.collectors.samples(KEY, []) == []
    assert len(informer.poll_schedule) == 0


async def test_released_pod_keeps_its_counts_and_is_not_probed(
    informer: Informer, pod_document: Make, pod: Callable[..., Pod], report: Callable[..., Report]
) -> None:
    """Somebody takes a pod out of its ReplicaSet, by a label. No sample may have a shard that does not exist."""
    informer.child("Pod", pod_document(), 7.0)
    informer.collectors.record_probe(pod(), report())
    informer.child("Pod", pod_document(version=2, ownerReferences=[]), 8.0)
    assert [(each.shard, each.counters.messages) for each in informer.collectors.samples(KEY, [])] == [(0, 10)]
    assert (len(informer.poll_schedule), informer.cache.observe(KEY).pods) == (0, ())


async def test_pod_missing_in_a_listing_is_counted_by_its_last_report(
    informer: Informer, pod_document: Make, pod: Callable[..., Pod], report: Callable[..., Report]
) -> None:
    informer.child("Pod", pod_document(), 7.0)
    informer.collectors.record_probe(pod(), report())
    for stale in informer.cache.stale_objects("Pod", "md", set(), 99):
        informer.child_gone("Pod", stale)
    assert [reading.counters.messages for reading in informer.collectors.samples(KEY, [])] == [10]
    assert await queued(informer) == [KEY]


async def test_standby_keeps_its_cache_current_without_queueing(
    informer: Informer, pod_document: Make, report_document: Make
) -> None:
    """The leader counts termination messages. A standby would count them again after a takeover."""
    informer.is_leading = False
    words = {"terminated": {"exitCode": 0, "message": json.dumps(report_document())}}
    informer.resource(resource())
    informer.child("Pod", pod_document(last_state=words, restarts=1), 1.0)
    assert await queued(informer) == []
    assert len(informer.poll_schedule) == 0
    assert informer.collectors.samples(KEY, []) == []
    assert [pod.uid for pod in informer.cache.observe(KEY).pods] == ["pod-1"]
    informer.child_gone("Pod", pod_document(version=2, state=words))
    informer.resource_gone(KEY)
    assert await queued(informer) == []
    assert informer.collectors.samples(KEY, []) == []
    assert informer.cache.observe(KEY).pods == ()


async def test_new_leader_queues_every_resource_and_probes_every_pod(
    informer: Informer, pod_document: Make, report_document: Make
) -> None:
    informer.is_leading = False
    words = {"terminated": {"exitCode": 0, "message": json.dumps(report_document())}}
    informer.resource(resource())
    informer.child("Pod", pod_document(last_state=words, restarts=1), now=1.0)
    informer.lead(2.0)
    assert await queued(informer) == [KEY]
    assert len(informer.poll_schedule) == 1
    assert len(informer.collectors.samples(KEY, [])) == 1, "termination messages of existing pods are read"


async def test_pod_that_cannot_be_read_is_shown_as_unreachable(informer: Informer, pod_document: Make) -> None:
    """Its resource would otherwise keep its old status."""
    informer.resource(resource())
    informer.child("Pod", pod_document(), 7.0)
    assert set(await queued(informer)) == {KEY}
    damaged = pod_document(version=2)
    damaged["status"]["containerStatuses"] = 7
    informer.child("Pod", damaged, 8.0)
    assert await queued(informer) == [KEY]
    [pod] = informer.cache.observe(KEY).pods
    assert (pod.is_running, pod.ip, pod.is_owned) == (True, "", True)
    assert "its object cannot be read: internal error" in informer.collectors.probes["pod-1"].problem
    informer.child_gone("Pod", damaged)
    assert informer.cache.observe(KEY).pods == ()
