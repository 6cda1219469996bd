"""What a worker does, and what one that stands by does not. The process as a whole: tests/cluster/test_app.py."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from market_operator.app import App, assemble, stand_by, work
from market_operator.errors import LeadershipError
from market_operator.resource.naming import Key
from market_operator.settings import Settings

KEY = Key("md", "okx-btc")
Make = Callable[..., Any]


class Gone:
    """A cluster in which every call ends like a call of one who no longer leads."""

    def __init__(self) -> None:
        self.asked: list[Key] = []

    async def read(self, key: Key) -> None:
        self.asked.append(key)
        raise LeadershipError("not ours any more")


@pytest.fixture
async def parts() -> AsyncIterator[App]:
    cluster: Any = Gone()
    made = assemble(Settings(), cluster, cluster)
    yield made
    made.queue.close()


def resource() -> dict[str, Any]:
    return {"metadata": {"name": "okx-btc", "namespace": "md", "uid": "u", "generation": 1}}


async def idle(parts: App) -> None:
    async with asyncio.timeout(5):
        while parts.queue.depth or parts.queue.longest_work:
            await asyncio.sleep(0)


async def test_who_stands_by_remembers_the_news_but_not_what_the_leader_counts(
    parts: App, pod_document: Make, report_document: Make
) -> None:
    standby = asyncio.create_task(stand_by(parts))
    ended = {"exitCode": 0, "finishedAt": "2026-11-22T10:05:00Z", "message": json.dumps(report_document())}
    pod = pod_document(last_state={"terminated": ended}, restarts=1)
    parts.intake.resource(resource())
    parts.intake.child("Pod", pod, time.time())
    await idle(parts)
    observed = parts.reconciler.store.observe(KEY)
    assert [each.uid for each in observed.pods] == ["pod-1"]
    assert parts.reconciler.observations.readings(KEY, ()) == []
    assert len(parts.intake.rounds) == 0
    standby.cancel()
    parts.intake.act_on_all(time.time())
    assert parts.queue.depth == 1
    assert len(parts.intake.rounds) == 1
    assert len(parts.reconciler.observations.readings(KEY, ())) == 1, "of a pod that exists all is heard again"


async def test_what_is_not_known_to_be_ours_is_not_even_read(parts: App) -> None:
    worker = asyncio.create_task(work(parts))
    parts.queue.add(KEY)
    await idle(parts)
    worker.cancel()
    assert parts.cluster.asked == []  # type: ignore[attr-defined]


async def test_a_worker_that_no_longer_leads_ends_and_with_it_the_process(parts: App) -> None:
    parts.intake.resource(resource())
    with pytest.raises(LeadershipError):
        await work(parts)
