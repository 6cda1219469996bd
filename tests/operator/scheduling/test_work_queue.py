import asyncio
from itertools import islice

import pytest

from market_operator.resource.naming import Key
from market_operator.scheduling.work_queue import LONGEST_DELAY, OLD_AFTER_S, WorkQueue, delays

A, B, C, D = (Key("md", name) for name in "abcd")


@pytest.fixture
async def queue() -> WorkQueue:
    return WorkQueue(asyncio.get_running_loop().time)


def test_delays_double_up_to_the_maximum() -> None:
    assert list(islice(delays(lambda: 0.0), 4)) == [0.5, 1.0, 2.0, 4.0]
    assert max(islice(delays(lambda: 0.0), 20)) == LONGEST_DELAY


def test_jitter_shortens_a_delay_by_at_most_half() -> None:
    assert list(islice(delays(lambda: 1.0), 3)) == [0.25, 0.5, 1.0]


async def test_key_is_queued_at_most_once(queue: WorkQueue) -> None:
    for key in (A, B, A, A):
        queue.add(key)
    assert (queue.depth, queue.counts.adds) == (2, 2)
    assert [(await queue.take())[0] for _ in range(2)] == [A, B]


async def test_urgent_keys_come_first_and_keep_their_order(queue: WorkQueue) -> None:
    queue.add(A)
    for key in (C, D):
        queue.add(key, is_urgent=True)
    queue.add(C)
    assert [(await queue.take())[0] for _ in range(3)] == [C, D, A]


async def test_queued_key_can_become_urgent(queue: WorkQueue) -> None:
    for key in (A, B):
        queue.add(key)
    queue.add(B, is_urgent=True)
    assert (queue.depth, queue.counts.adds) == (2, 2)
    assert [(await queue.take())[0] for _ in range(2)] == [B, A]


async def test_urgent_event_during_a_reconcile_stays_urgent(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.take()
    queue.add(A, is_urgent=True)
    for key in (A, B):
        queue.add(key)
    queue.done(A)
    assert [(await queue.take())[0] for _ in range(2)] == [A, B]


async def test_event_during_a_reconcile_is_not_lost(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.take()
    queue.add(A)
    assert queue.depth == 0, "one worker at a time"
    queue.done(A)
    assert (await queue.take())[0] == A


async def test_finished_key_is_not_queued_again_without_an_event(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.take()
    queue.done(A)
    assert queue.depth == 0


async def test_a_worker_waits_for_work(queue: WorkQueue) -> None:
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add(A)
    assert (await waiting)[0] == A


async def test_delayed_key_is_queued_when_due(queue: WorkQueue) -> None:
    queue.add_after(A, 0.01)
    assert queue.depth == 0
    assert (await queue.take())[0] == A


async def test_earlier_of_two_delays_counts(queue: WorkQueue) -> None:
    queue.add_after(A, 60)
    queue.add_after(A, 0.01)
    queue.add_after(A, 60)
    assert (await asyncio.wait_for(queue.take(), 5))[0] == A


async def test_immediate_event_replaces_a_delayed_key(queue: WorkQueue) -> None:
    queue.add_after(A, 0.01)
    queue.add(A)
    await queue.take()
    queue.done(A)
    await asyncio.sleep(0.03)
    assert queue.depth == 0


async def test_failures_raise_the_delay_until_a_success(queue: WorkQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[float] = []
    monkeypatch.setattr(WorkQueue, "add_after", lambda self, key, delay: used.append(delay))
    for _ in range(6):
        queue.retry(A)
    assert all(later > sooner for sooner, later in zip(used[::2], used[2::2], strict=False))
    queue.succeeded(A)
    queue.retry(A)
    assert used[-1] <= 0.5
    queue.retry(A, at_least=30.0)
    assert used[-1] == 30.0
    assert queue.counts.retries == 8


async def test_deleted_key_is_forgotten(queue: WorkQueue) -> None:
    queue.add_after(A, 0.01)
    queue.forget(A)
    await asyncio.sleep(0.03)
    assert queue.depth == 0


async def test_work_duration_is_measured() -> None:
    now = 100.0
    queue = WorkQueue(lambda: now)
    assert (queue.longest_work, queue.unfinished_work) == (0.0, 0.0)
    queue.add(A)
    queue.add(B)
    now = 103.0
    assert (await queue.take()) == (A, 3.0)
    now = 104.0
    await queue.take()
    now = 106.0
    assert (queue.longest_work, queue.unfinished_work) == (3.0, 5.0)
    queue.close()


class Neighbour:
    """A worker in simulated time: each reconcile takes 50 ms, and `noise` are urgent again before each."""

    def __init__(self, noise: list[Key]) -> None:
        self.now, self.noise = 0.0, noise
        self.queue = WorkQueue(lambda: self.now)

    async def seconds_until(self, key: Key) -> float:
        start = self.now
        while self.now < start + 60:
            for noisy in self.noise:
                self.queue.add(noisy, is_urgent=True)
            taken, _ = await self.queue.take()
            if taken == key:
                return self.now - start
            self.now += 0.05
            self.queue.done(taken)
        return self.now - start


async def test_constant_changes_do_not_starve_a_neighbours_event() -> None:
    neighbour = Neighbour([Key("noisy", str(number)) for number in range(12)])
    neighbour.queue.add(A)
    assert await neighbour.seconds_until(A) < 1.2


async def test_constant_changes_do_not_delay_a_neighbours_change() -> None:
    neighbour = Neighbour([Key("noisy", str(number)) for number in range(400)])
    await neighbour.seconds_until(Key("noisy", "9"))
    neighbour.queue.add(A, is_urgent=True)
    assert await neighbour.seconds_until(A) <= 0.1


async def test_old_keys_of_one_namespace_do_not_hold_up_its_changes() -> None:
    neighbour = Neighbour([])
    for number in range(1000):
        neighbour.queue.add(Key("md", str(number)))
    neighbour.now = 5.0
    neighbour.queue.add(A, is_urgent=True)
    assert await neighbour.seconds_until(A) <= 0.1


async def test_old_keys_of_one_namespace_do_not_delay_a_neighbours_event() -> None:
    neighbour = Neighbour([])
    for number in range(1000):
        neighbour.queue.add(Key("noisy", str(number)))
    neighbour.now = 5.0
    neighbour.queue.add(A)
    assert await neighbour.seconds_until(A) <= 1.2


async def test_an_old_key_can_become_urgent() -> None:
    neighbour = Neighbour([])
    for key in (A, B, C):
        neighbour.queue.add(key)
    neighbour.now = 5.0
    await neighbour.queue.take()
    neighbour.queue.add(C, is_urgent=True)
    assert [(await neighbour.queue.take())[0] for _ in range(2)] == [C, B]


async def test_events_of_many_new_resources_wait_for_all_of_them() -> None:
    """Each new resource causes events, which one reconcile handles. It took two when they did not wait."""
    neighbour = Neighbour([])
    new = [Key("md", str(number)) for number in range(1000)]
    for key in new:
        neighbour.queue.add(key, is_urgent=True)
    order = []
    for _ in range(len(new)):
        key, _ = await neighbour.queue.take()
        neighbour.now += 0.05
        neighbour.queue.done(key)
        neighbour.queue.add(key)
        order.append(key)
    assert order == new


async def test_constant_changes_of_a_namespace_do_not_starve_its_events() -> None:
    neighbour = Neighbour([Key("md", f"noisy-{number}") for number in range(12)])
    neighbour.queue.add(A)
    neighbour.now = OLD_AFTER_S + 1
    assert await neighbour.seconds_until(A) < 0.2
