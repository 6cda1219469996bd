"""Looking at collectors: who is looked at when, and what becomes of the answers."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from market_operator.errors import ReportError
from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.reconcile.event_recorder import EventRecorder
from market_operator.reconcile.reconciler import Reconciler
from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.status_budget import StatusBudget
from market_operator.scheduling.work_queue import WorkQueue
from market_operator.settings import Settings
from market_operator.telemetry.metrics import Metrics
from market_operator.watch.informer import Informer
from market_operator.watch.listing import waits
from market_operator.watch.poller import AT_ONCE, Poller

KEY = Key("md", "okx-btc")
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
async def sweeping(reader: Reader) -> AsyncIterator[Informer]:
    store, observations = Cache(), Collectors()
    intake = Informer(store, observations, WorkQueue(asyncio.get_running_loop().time), PollSchedule())
    intake.seen[KEY] = "uid-1", 1, False
    nobody: Any = None
    announcer = EventRecorder(nobody, Metrics())
    reconciler = Reconciler(nobody, store, observations, StatusBudget(60.0), Settings(), Metrics(), announcer)
    task = asyncio.create_task(Poller(reader, intake, reconciler, Metrics()).run())
    yield intake
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    intake.queue.close()


async def until(claim: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not claim():
            await asyncio.sleep(0.01)


async def test_a_new_pod_is_looked_at_and_its_resource_queued(pod_document: Make, report: Make) -> None:
    async with sweeping(Reader(report())) as intake:
        intake.child("Pod", pod_document(), time.time())
        await intake.queue.take()
        intake.queue.done(KEY)
        await until(lambda: intake.observations.looks)
        assert (await intake.queue.take())[0] == KEY
        assert len(intake.rounds) == 1, "the next look is planned"


async def test_a_pod_that_cannot_be_read_is_noted_with_the_problem(pod_document: Make) -> None:
    async with sweeping(Reader(ReportError("timed out"))) as intake:
        intake.child("Pod", pod_document(), time.time())
        await until(lambda: intake.observations.looks)
        assert intake.observations.looks["pod-1"].problem == "timed out"


async def test_the_answer_of_a_pod_that_is_gone_meanwhile_is_not_about_now(pod_document: Make, report: Make) -> None:
    reader = Reader(report())
    reader.gate.clear()
    async with sweeping(reader) as intake:
        intake.child("Pod", pod_document(), time.time())
        await until(lambda: reader.asked)
        intake.child_gone("Pod", pod_document(version=2))
        reader.gate.set()
        await asyncio.sleep(0.05)
        assert intake.observations.looks == {}


async def test_only_so_many_are_looked_at_at_once(pod_document: Make, report: Make) -> None:
    reader = Reader(report())
    reader.gate.clear()
    async with sweeping(reader) as intake:
        for number in range(2 * AT_ONCE):
            intake.child("Pod", pod_document(uid=f"p{number}"), time.time())
        await until(lambda: len(reader.asked) == AT_ONCE)
        await asyncio.sleep(0.05)
        assert len(reader.asked) == AT_ONCE
        reader.gate.set()
        await until(lambda: len(reader.asked) == 2 * AT_ONCE)


async def test_a_pod_of_another_operators_resource_is_not_looked_at_until_it_is_ours(
    pod_document: Make, report: Make
) -> None:
    reader = Reader(report())
    async with sweeping(reader) as intake:
        state = intake.seen.pop(KEY)
        intake.child("Pod", pod_document(), time.time())
        await until(lambda: (intake.rounds.next_due() or 0) > time.time() + 1)
        assert reader.asked == []
        intake.seen[KEY] = state
        intake.rounds.look_by(KEY, "pod-1", time.time())
        await until(lambda: reader.asked == ["pod-1"])


@pytest.mark.parametrize(("interval", "expected"), [(300.0, [10.0, 300.0, 300.0]), (2.0, [2.0, 2.0, 2.0])])
def test_everything_is_listed_again_soon_after_the_start(interval: float, expected: list[float]) -> None:
    assert list(itertools.islice(waits(interval), 3)) == expected
