import heapq
from itertools import pairwise

import pytest

from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule, failing_interval, interval
from market_operator.scheduling.slots import Slots

KEY = Key("md", "okx-btc")


@pytest.mark.parametrize(
    ("is_healthy", "requested", "pods", "seconds"),
    [
        (True, 30.0, 1, 10.0),
        (True, 1.0, 1, 1.0),
        (False, 30.0, 1, 2.0),
        (True, 1.0, 10_000, 250.0),
        (False, 1.0, 10_000, 100.0),
    ],
)
def test_interval_follows_health_request_and_number_of_pods(
    is_healthy: bool, requested: float, pods: int, seconds: float
) -> None:
    assert interval(is_healthy, requested, pods) == seconds


def test_next_probe_uses_the_requested_interval_until_forgotten() -> None:
    schedule = PollSchedule()
    schedule.request(KEY, 1.0)
    schedule.probe_again(KEY, "a", 100.0, is_healthy=True)
    assert schedule.next_due() == 101.0
    schedule.skip("a")
    schedule.forget(KEY)
    schedule.probe_again(KEY, "a", 100.0, is_healthy=True)
    assert schedule.next_due() == 110.0


def test_shorter_interval_counts_from_now_on() -> None:
    schedule = PollSchedule()
    schedule.probe_again(KEY, "a", 100.0, is_healthy=True)  # before the resource is known
    schedule.request(KEY, 1.0, ["a"], 100.5)
    assert schedule.next_due() == 101.5
    schedule.request(KEY, 1.0, ["a"], 100.9)
    assert schedule.next_due() == 101.5, "the same interval changes nothing"
    schedule.request(KEY, 5.0, ["a"], 101.0)
    assert schedule.next_due() == 101.5, "neither does a longer one"


def test_shorter_interval_does_not_hurry_a_failing_or_stopped_pod() -> None:
    schedule = PollSchedule()
    for _ in range(4):
        schedule.probe_after_failure(KEY, "failing", 100.0)
        schedule.take(200.0)
    schedule.probe_after_failure(KEY, "failing", 100.0)
    due = schedule.next_due()
    schedule.request(KEY, 1.0, ["failing", "stopped"], 100.0)
    assert schedule.next_due() == due
    assert len(schedule) == 1


def test_pod_is_due_once() -> None:
    schedule = PollSchedule()
    schedule.probe_by(KEY, "a", 5.0)
    assert schedule.take(4.9) is None
    assert schedule.take(5.0) == (KEY, "a")
    assert schedule.take(9.0) is None


def test_earlier_of_two_probes_counts() -> None:
    schedule = PollSchedule()
    schedule.probe_by(KEY, "a", 5.0)
    schedule.probe_by(KEY, "a", 3.0)
    schedule.probe_by(KEY, "a", 9.0)
    assert schedule.next_due() == 3.0
    assert schedule.take(4.0) == (KEY, "a")
    assert schedule.take(20.0) is None
    assert len(schedule) == 0


def test_a_pod_can_be_skipped() -> None:
    schedule = PollSchedule()
    schedule.probe_by(KEY, "a", 1.0)
    schedule.probe_by(KEY, "b", 2.0)
    schedule.skip("a")
    assert schedule.next_due() == 2.0
    assert schedule.take(5.0) == (KEY, "b")
    assert schedule.next_due() is None


def test_failing_pod_is_probed_less_often_until_it_answers() -> None:
    schedule, now, waits = PollSchedule(), 100.0, []
    for _ in range(6):
        schedule.probe_after_failure(KEY, "a", now)
        due = schedule.next_due()
        assert due is not None
        waits.append(due - now)
        now = due
        schedule.take(now)
    assert waits == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    schedule.probe_again(KEY, "a", now, is_healthy=False)
    schedule.take(now + 2.0)
    schedule.probe_after_failure(KEY, "a", now)
    assert schedule.next_due() == now + 2.0


def test_failing_interval_is_never_below_that_of_the_fleet() -> None:
    assert failing_interval(1, 10_000) == interval(False, 30.0, 10_000)
    assert failing_interval(5000, 1) == 30.0


def test_resources_of_one_namespace_take_turns() -> None:
    schedule, other = PollSchedule(), Key("md", "other")
    for uid in ("a", "b", "c"):
        schedule.probe_by(KEY, uid, 1.0)
    schedule.probe_by(other, "d", 2.0)
    assert [schedule.take(5.0) for _ in range(3)] == [(KEY, "a"), (other, "d"), (KEY, "b")]


def test_pod_that_is_due_can_still_be_skipped() -> None:
    schedule, slots = PollSchedule(), Slots(4)
    slots.take(KEY)
    schedule.probe_by(KEY, "a", 1.0)
    assert schedule.take(5.0, slots) is None
    schedule.skip("a")
    schedule.probe_by(KEY, "b", 6.0)
    assert schedule.take(7.0) == (KEY, "b")
    assert schedule.take(7.0) is None


def neighbours_probes(noisy: int, namespaces: int) -> list[float]:
    """Times of the probes of one pod in 30 s, beside pods that accept connections and never answer. Time is simulated.

    The neighbour asks for a probe every second.
    """
    schedule, slots, seen = PollSchedule(), Slots(32), list[float]()
    schedule.request(KEY, 1.0)
    for number in range(noisy):
        schedule.probe_by(Key(f"noisy-{number % namespaces}", str(number)), f"noisy-{number}", 0.0)
    schedule.probe_by(KEY, "neighbour", 0.0)
    running: list[tuple[float, Key, str]] = []
    for tick in range(3000):
        now = tick / 100
        while running and running[0][0] <= now:
            _, key, uid = heapq.heappop(running)
            slots.release(key)
            if key == KEY:
                schedule.probe_again(key, uid, now, is_healthy=True)
            else:
                schedule.probe_after_failure(key, uid, now)
        while found := schedule.take(now, slots):
            key, uid = found
            slots.take(key)
            if key == KEY:
                seen.append(now)
            heapq.heappush(running, (now + (0.01 if key == KEY else 2.5), key, uid))
    return seen


@pytest.mark.parametrize("namespaces", [1, 5])
def test_hanging_pods_do_not_delay_a_neighbours_probes(namespaces: int) -> None:
    seen = neighbours_probes(600, namespaces)
    assert max(later - sooner for sooner, later in pairwise([0.0, *seen, 30.0])) <= 1.1


def test_interval_grows_in_a_namespace_with_many_pods() -> None:
    schedule = PollSchedule()
    for number in range(799):
        schedule.probe_by(KEY, str(number), 0.0)
    schedule.probe_again(KEY, "last", 1000.0, is_healthy=True)
    schedule.probe_again(Key("next-door", "a"), "neighbour", 1000.0, is_healthy=True)
    while schedule.take(999.0):
        pass
    assert schedule.take(1019.9) == (Key("next-door", "a"), "neighbour")
    assert schedule.next_due() == 1020.0


def test_interval_grows_with_the_number_of_namespaces() -> None:
    schedule = PollSchedule()
    for number in range(799):
        schedule.probe_by(Key(str(number), "a"), str(number), 5000.0)
    schedule.probe_again(KEY, "last", 1000.0, is_healthy=True)
    assert schedule.next_due() == 1020.0
