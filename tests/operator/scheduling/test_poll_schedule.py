from collections.abc import Callable

from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule, interval

KEY = Key("md", "okx-btc")


def test_healthy_pods_are_looked_at_less_often(pod: Callable[..., Pod], report: Callable[..., Report]) -> None:
    assert interval(pod(), report(), 30.0, 1) == 10
    assert interval(pod(), report(), 1.0, 1) == 1
    assert interval(pod(), report(health="Degraded"), 30.0, 1) == 2
    assert interval(pod(ready=False), report(), 30.0, 1) == 2
    assert interval(pod(), None, 30.0, 1) == 2


def test_a_large_fleet_is_looked_at_within_a_rate(pod: Callable[..., Pod], report: Callable[..., Report]) -> None:
    assert interval(pod(), report(), 1.0, 10_000) == 250
    assert interval(pod(), None, 1.0, 10_000) == 100


def test_a_pod_is_due_once() -> None:
    rounds = PollSchedule()
    rounds.look_at(KEY, "a", 5.0)
    assert rounds.take(4.9) is None
    assert rounds.take(5.0) == (KEY, "a")
    assert rounds.take(9.0) is None


def test_the_sooner_of_two_plans_counts() -> None:
    rounds = PollSchedule()
    rounds.look_by(KEY, "a", 5.0)
    rounds.look_by(KEY, "a", 3.0)
    rounds.look_by(KEY, "a", 9.0)
    assert rounds.next_due() == 3.0
    assert rounds.take(4.0) == (KEY, "a")
    assert rounds.take(20.0) is None
    assert len(rounds) == 0


def test_a_pod_can_be_skipped() -> None:
    rounds = PollSchedule()
    rounds.look_at(KEY, "a", 1.0)
    rounds.look_at(KEY, "b", 2.0)
    rounds.skip("a")
    assert rounds.next_due() == 2.0
    assert rounds.take(5.0) == (KEY, "b")
    assert rounds.next_due() is None
