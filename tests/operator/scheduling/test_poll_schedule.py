import pytest

from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule, interval

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
