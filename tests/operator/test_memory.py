"""Test M, the part that needs no cluster: a hundred thousand events leave nothing behind."""

import asyncio
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.work_queue import WorkQueue
from market_operator.watch.informer import Informer

Make = Callable[..., Any]
RESOURCES = 50


class Life:
    """Resources whose pods come, run, report, stop and go, for ever."""

    def __init__(self, pod_document: Make, report: Make) -> None:
        self.intake = Informer(Cache(), Collectors(), WorkQueue(asyncio.get_running_loop().time), PollSchedule())
        self._pod_document, self._report = pod_document, report
        self._version = self.events = 0

    async def rounds(self, numbers: range) -> None:
        """Ten events of each resource in each round, and the passes that they ask for."""
        for number in numbers:
            for resource in range(RESOURCES):
                self._events(f"r{resource}", f"{number}-{resource}")
                self.events += 10
            await self._passes()
            await asyncio.sleep(0)  # in which the loop forgets the timers that were cancelled

    async def _passes(self) -> None:
        while self.intake.queue.depth:
            key, _ = await self.intake.queue.take()
            self.intake.queue.retry(key)
            self.intake.queue.done(key)
        while self.intake.rounds.take(1e12):
            pass

    def _events(self, name: str, uid: str) -> None:
        intake, meta = self.intake, {"namespace": "md", "name": name, "uid": f"r-{uid}", "generation": 1}
        intake.resource({"metadata": meta})
        report = self._report(uid=uid)
        starting = {"waiting": {"reason": "ContainerCreating"}}
        for version, state in enumerate((starting, None, None, None, {"terminated": {"exitCode": 0}})):
            document = self._pod(name, uid, version, state)
            intake.child("Pod", document, float(version))
            if pod := intake.store.pod(Key("md", name), uid):
                intake.observations.record_probe(pod, report)
        intake.child_gone("Pod", document)
        child = {"metadata": {**document["metadata"], "name": f"c-{uid}", "uid": f"c-{uid}"}, "data": {"x": uid}}
        intake.child("ConfigMap", child, 0.0)
        intake.child_gone("ConfigMap", child)
        intake.observations.forget(Key("md", name))
        intake.resource_gone(Key("md", name))

    def _pod(self, name: str, uid: str, version: int, state: Any) -> Any:
        document = self._pod_document(uid=uid, version=self._version + version, state=state)
        document["metadata"]["annotations"]["marketcollector.dev/resource"] = name
        self._version += 10
        return document


async def test_a_hundred_thousand_events_leave_nothing_behind(
    pod_document: Make, report: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for remembered in ("observed.cache._GONE_REMEMBERED", "observed.collectors._REMEMBERED_PODS"):
        monkeypatch.setattr(f"market_operator.{remembered}", 500)
    life = Life(pod_document, report)
    await life.rounds(range(40))
    after_few = resident()
    await life.rounds(range(40, 240))
    life.intake.queue.close()
    assert life.events > 100_000
    assert resident() - after_few < 2_000_000, "twenty bytes an event would be more"


def resident() -> int:
    """Memory of this process in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
