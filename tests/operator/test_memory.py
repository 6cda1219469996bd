"""Memory of the operator's observed state."""

import asyncio
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.observed.registry import Registry
from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.work_queue import WorkQueue
from market_operator.telemetry.containment import Containment
from market_operator.telemetry.metrics import Metrics
from market_operator.watch.informer import Informer
from owned import made_by_replicaset, owned

Make = Callable[..., Any]
RESOURCES = 50


class Life:
    """Resources whose pods start, report and stop, round after round."""

    def __init__(self, pod_document: Make, report: Make) -> None:
        self.informer = Informer(
            Cache(),
            Registry(),
            Collectors(),
            WorkQueue(asyncio.get_running_loop().time),
            PollSchedule(),
            Containment(Metrics()),
            is_leading=True,
        )
        self._pod_document, self._report = pod_document, report
        self._version = self.events = 0

    async def rounds(self, numbers: range) -> None:
        """Ten events of each resource per round, and the reconciles that they queue."""
        for number in numbers:
            for resource in range(RESOURCES):
                self._events(f"r{resource}", f"{number}-{resource}")
                self.events += 10
            await self._passes()
            await asyncio.sleep(0)  # the loop drops cancelled timers

    async def _passes(self) -> None:
        while self.informer.queue.depth:
            key, _ = await self.informer.queue.take()
            self.informer.queue.retry(key)
            self.informer.queue.done(key)
        while self.informer.poll_schedule.take(1e12):
            pass

    def _events(self, name: str, uid: str) -> None:
        informer, meta = self.informer, {"namespace": "md", "name": name, "uid": f"r-{uid}", "generation": 1}
        informer.resource({"metadata": meta})
        report = self._report(uid=uid)
        starting = {"waiting": {"reason": "ContainerCreating"}}
        for version, state in enumerate((starting, None, None, None, {"terminated": {"exitCode": 0}})):
            document = self._pod(name, uid, version, state)
            informer.child("Pod", document, float(version))
            if pod := informer.cache.pod(Key("md", name), uid):
                informer.collectors.record_probe(pod, report)
        informer.child_gone("Pod", document)
        named = {**document["metadata"], "name": f"c-{uid}", "uid": f"c-{uid}", **owned(name)}
        child = {"metadata": named, "data": {"x": uid}}
        informer.child("ConfigMap", child, 0.0)
        informer.child_gone("ConfigMap", child)
        informer.collectors.forget(Key("md", name))
        informer.resource_gone(Key("md", name))

    def _pod(self, name: str, uid: str, version: int, state: Any) -> Any:
        document = self._pod_document(uid=uid, version=self._version + version, state=state)
        document["metadata"]["annotations"]["marketcollector.dev/resource"] = name
        document["metadata"] |= made_by_replicaset(f"{name}-0-6d4c")
        self._version += 10
        return document


@pytest.mark.repeats
async def test_100000_events_leave_no_memory_behind(
    pod_document: Make, report: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for remembered in ("observed.cache._MAX_REMOVED_UIDS", "observed.collectors._MAX_FINISHED_PODS"):
        monkeypatch.setattr(f"market_operator.{remembered}", 500)
    life = Life(pod_document, report)
    await life.rounds(range(40))
    after_few = resident()
    await life.rounds(range(40, 240))
    life.informer.queue.close()
    assert life.events > 100_000
    assert resident() - after_few < 2_000_000, "twenty bytes an event would be more"


def resident() -> int:
    """Memory of this process in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
