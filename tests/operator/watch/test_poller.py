import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from market_operator.errors import ReportError
from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.observed.pods import Pod
from market_operator.observed.registry import Registry
from market_operator.observed.reports import Report
from market_operator.resource.naming import Key
from market_operator.resource.shares import KEPT_BYTES
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.status_budget import StatusBudget
from market_operator.scheduling.work_queue import WorkQueue
from market_operator.telemetry.containment import Containment
from market_operator.telemetry.metrics import Metrics
from market_operator.watch.informer import Informer
from market_operator.watch.poller import MAX_CONCURRENT_PROBES, Poller

KEY = Key("md", "okx-btc")
RESOURCE = {"metadata": {"name": "okx-btc", "namespace": "md", "uid": "uid-1", "generation": 1}}
Make = Callable[..., Any]


class Reader:
    """Answers with `answer`, while `gate` is open."""

    def __init__(self, answer: Report | ReportError) -> None:
        self.answer = answer
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[str] = []

    async def read(self, pod: Pod) -> Report:
        self.asked.append(pod.uid)
        await self.gate.wait()
        if isinstance(self.answer, ReportError):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        """Nothing to close."""


@asynccontextmanager
async def polling(reader: Reader) -> AsyncIterator[Informer]:
    queue = WorkQueue(asyncio.get_running_loop().time)
    informer = Informer(
        Cache(), Registry(), Collectors(), queue, PollSchedule(), Containment(Metrics()), is_leading=True
    )
    informer.registry.update(RESOURCE)
    poller = Poller(
        reader,
        informer.cache,
        informer.registry,
        informer.collectors,
        queue,
        informer.poll_schedule,
        StatusBudget(60.0),
        Metrics(),
        informer.containment,
    )
    task = asyncio.create_task(poller.run())
    yield informer
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    queue.close()


async def until(claim: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not claim():
            await asyncio.sleep(0.01)


async def test_new_pod_is_probed_and_its_resource_queued(pod_document: Make, report: Make) -> None:
    async with polling(Reader(report())) as informer:
        informer.child("Pod", pod_document(), time.time())
        await informer.queue.take()
        informer.queue.done(KEY)
        await until(lambda: informer.collectors.probes)
        assert (await informer.queue.take())[0] == KEY
        assert len(informer.poll_schedule) == 1, "the next probe is scheduled"


async def test_failed_probe_is_stored_with_its_problem(pod_document: Make) -> None:
    async with polling(Reader(ReportError("timed out"))) as informer:
        informer.child("Pod", pod_document(), time.time())
        await until(lambda: informer.collectors.probes)
        assert informer.collectors.probes["pod-1"].problem == "timed out"


async def test_pod_whose_probes_fail_is_probed_less_often(pod_document: Make) -> None:
    async with polling(Reader(ReportError("timed out"))) as informer:
        informer.child("Pod", pod_document(), time.time())
        for _ in range(5):
            await until(lambda: informer.collectors.probes.pop("pod-1", None) and informer.poll_schedule.next_due())
            due = informer.poll_schedule.next_due() or 0.0
            informer.poll_schedule.probe_by(KEY, "pod-1", time.time())
        assert due > time.time() + 15, "the fifth interval is 30 s; without a backoff it is 2 s"


async def test_answer_is_dropped_when_the_pod_is_gone_meanwhile(pod_document: Make, report: Make) -> None:
    reader = Reader(report())
    reader.gate.clear()
    async with polling(reader) as informer:
        informer.child("Pod", pod_document(), time.time())
        await until(lambda: reader.asked)
        informer.child_gone("Pod", pod_document(version=2))
        reader.gate.set()
        await asyncio.sleep(0.05)
        assert informer.collectors.probes == {}


async def test_number_of_concurrent_probes_is_limited(pod_document: Make, report: Make) -> None:
    reader = Reader(report())
    reader.gate.clear()
    async with polling(reader) as informer:
        for number in range(2 * MAX_CONCURRENT_PROBES):
            informer.registry.update({"metadata": {**RESOURCE["metadata"], "namespace": f"n{number}"}})
            informer.child("Pod", pod_document(uid=f"p{number}", namespace=f"n{number}"), time.time())
        await until(lambda: len(reader.asked) == MAX_CONCURRENT_PROBES)
        await asyncio.sleep(0.05)
        assert len(reader.asked) == MAX_CONCURRENT_PROBES
        reader.gate.set()
        await until(lambda: len(reader.asked) == 2 * MAX_CONCURRENT_PROBES)


async def test_hanging_pods_do_not_hold_up_a_neighbours_probe(pod_document: Make, report: Make) -> None:
    reader = Reader(report())
    reader.gate.clear()
    async with polling(reader) as informer:
        informer.registry.update({"metadata": {**RESOURCE["metadata"], "namespace": "noisy"}})
        for number in range(600):
            informer.child("Pod", pod_document(uid=f"p{number}", namespace="noisy"), time.time())
        await until(lambda: reader.asked)
        await asyncio.sleep(0.05)
        informer.child("Pod", pod_document(uid="neighbour"), time.time())
        await until(lambda: "neighbour" in reader.asked)


async def test_pod_that_changes_all_the_time_is_queued_later(
    pod_document: Make, report: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StatusBudget, "flip_wait", lambda *_: 60.0)
    async with polling(Reader(report())) as informer:
        informer.child("Pod", pod_document(), time.time())
        await informer.queue.take()
        informer.queue.done(KEY)
        await until(lambda: informer.collectors.probes)
        assert informer.queue.depth == 0


async def test_foreign_pod_is_not_probed_until_its_resource_is_served(pod_document: Make, report: Make) -> None:
    reader = Reader(report())
    async with polling(reader) as informer:
        informer.registry.remove(KEY)
        informer.child("Pod", pod_document(), time.time())
        await until(lambda: (informer.poll_schedule.next_due() or 0) > time.time() + 1)
        assert reader.asked == []
        informer.registry.update(RESOURCE)
        informer.poll_schedule.probe_by(KEY, "pod-1", time.time())
        await until(lambda: reader.asked == ["pod-1"])


async def test_internal_error_about_one_pod_does_not_end_the_probes(pod_document: Make, report: Make) -> None:
    class Faulty(Reader):
        async def read(self, pod: Pod) -> Report:
            if pod.uid == "bad":
                raise OverflowError
            return await super().read(pod)

    reader = Faulty(report())
    async with polling(reader) as informer:
        informer.child("Pod", pod_document("bad"), time.time())
        await asyncio.sleep(0.05)
        informer.child("Pod", pod_document(), time.time())
        await asyncio.sleep(0.7)
        assert reader.asked == ["pod-1"]
        assert informer.collectors.probes["pod-1"].report is not None
        assert informer.collectors.probes["bad"].problem == "internal error: OverflowError()", "its resource says so"


async def test_answer_of_another_pod_is_a_failed_probe(pod_document: Make, report: Make) -> None:
    """An address is used again, or a pod's status was changed: its conditions would be those of another collector."""
    async with polling(Reader(report(uid="other"))) as informer:
        informer.child("Pod", pod_document(), time.time())
        await asyncio.sleep(0.1)
        probe = informer.collectors.probes["pod-1"]
        assert probe.report is None
        assert probe.problem.startswith("another pod answered: other/")


async def test_report_without_room_in_memory_is_a_failed_probe(pod_document: Make, report: Make) -> None:
    streams = [{"stream": f"S{number}-USDT/trade", "state": "live"} for number in range(1_000)]
    async with polling(Reader(report(streams=streams))) as informer:
        informer.collectors.shares.take("md", KEPT_BYTES // 2)
        informer.child("Pod", pod_document(), time.time())
        await until(lambda: informer.collectors.probes)
        probe = informer.collectors.probes["pod-1"]
        assert probe.report is None
        assert "no memory left" in probe.problem
