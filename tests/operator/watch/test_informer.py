import json
from collections.abc import Callable
from typing import Any

import pytest

from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.work_queue import WorkQueue
from market_operator.watch.informer import Informer

KEY = Key("md", "okx-btc")
Make = Callable[..., Any]


@pytest.fixture
def intake() -> Informer:
    return Informer(Cache(), Collectors(), WorkQueue(lambda: 0.0), PollSchedule())


def resource(generation: int = 1, uid: str = "u", **meta: str) -> dict[str, Any]:
    return {"metadata": {"name": "okx-btc", "namespace": "md", "uid": uid, "generation": generation, **meta}}


async def queued(intake: Informer) -> list[Key]:
    found = []
    while intake.queue.depth:
        key, _ = await intake.queue.take()
        intake.queue.done(key)
        found.append(key)
    return found


async def test_a_change_of_the_status_alone_is_no_news(intake: Informer) -> None:
    intake.resource(resource())
    assert await queued(intake) == [KEY]
    intake.resource(resource())
    assert await queued(intake) == []


@pytest.mark.parametrize("change", [{"generation": 2}, {"uid": "v"}, {"deletionTimestamp": "now"}])
async def test_what_a_pass_depends_on_is_news(intake: Informer, change: dict[str, Any]) -> None:
    intake.resource(resource())
    await queued(intake)
    intake.resource(resource(**change))
    assert await queued(intake) == [KEY]


async def test_a_resource_that_is_gone_is_passed_over_once_more(intake: Informer) -> None:
    intake.resource_gone(KEY)
    assert await queued(intake) == []
    intake.resource(resource())
    await queued(intake)
    intake.resource_gone(KEY)
    assert await queued(intake) == [KEY]


async def test_a_running_pod_is_looked_at_at_once(intake: Informer, pod_document: Make) -> None:
    intake.child("Pod", pod_document(), 7.0)
    assert await queued(intake) == [KEY]
    assert intake.rounds.take(7.0) == (KEY, "pod-1")


async def test_an_old_event_is_no_news(intake: Informer, pod_document: Make) -> None:
    intake.child("Pod", pod_document(version=2), 7.0)
    await queued(intake)
    intake.child("Pod", pod_document(version=1), 8.0)
    assert await queued(intake) == []


async def test_a_stopped_container_is_not_looked_at_and_its_report_is_over(
    intake: Informer, pod_document: Make, pod: Callable[..., Pod], report: Callable[..., Report]
) -> None:
    intake.child("Pod", pod_document(), 7.0)
    intake.observations.record_probe(pod(), report())
    intake.child("Pod", pod_document(version=2, state={"waiting": {"reason": "CrashLoopBackOff"}}), 8.0)
    assert intake.observations.looks == {}
    assert intake.rounds.take(99.0) is None


async def test_the_last_words_of_a_pod_that_is_gone_count(
    intake: Informer, pod_document: Make, report_document: Make
) -> None:
    intake.child("Pod", pod_document(), 7.0)
    words = {"terminated": {"exitCode": 0, "message": json.dumps(report_document(counters={"messages": 42}))}}
    intake.child_gone("Pod", pod_document(version=2, state=words))
    assert [reading.counters.messages for reading in intake.observations.readings(KEY, [])] == [42]
    assert intake.store.observe(KEY).pods == ()


async def test_a_pod_that_a_listing_lacks_counts_as_it_was_last_seen(
    intake: Informer, pod_document: Make, pod: Callable[..., Pod], report: Callable[..., Report]
) -> None:
    intake.child("Pod", pod_document(), 7.0)
    intake.observations.record_probe(pod(), report())
    for ghost in intake.store.stale_objects("Pod", "md", set(), 99):
        intake.child_gone("Pod", ghost)
    assert [reading.counters.messages for reading in intake.observations.readings(KEY, [])] == [10]
    assert await queued(intake) == [KEY]


async def test_who_begins_to_act_passes_over_everything_and_looks_at_every_pod(
    intake: Informer, pod_document: Make
) -> None:
    intake.resource(resource())
    intake.child("Pod", pod_document(), now=1.0)
    await queued(intake)
    while intake.rounds.take(1.0):
        pass
    intake.act_on_all(2.0)
    assert await queued(intake) == [KEY]
    assert len(intake.rounds) == 1
