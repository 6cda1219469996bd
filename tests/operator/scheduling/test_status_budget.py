import heapq

import pytest

from market_operator.resource.naming import Key
from market_operator.scheduling.status_budget import FLIP_INTERVAL_S, FLIPS_BURST, WRITES_PER_SECOND, StatusBudget

A, B = Key("md", "a"), Key("md", "b")


def test_counters_of_one_resource_wait_for_the_interval() -> None:
    pace = StatusBudget(60.0)
    assert pace.wait(A, 1000.0) == 0
    pace.wrote(A, 1000.0)
    assert pace.wait(A, 1010.0) == 50
    assert pace.wait(A, 1060.0) == 0
    assert pace.wait(B, 1010.0) == 0


def test_all_resources_share_a_budget_and_each_gets_its_share() -> None:
    pace = StatusBudget(60.0)
    keys = [Key("md", f"r{number}") for number in range(50)]
    turns = [pace.slot(key, 1000.0) for key in keys]
    assert turns == pytest.approx([number / WRITES_PER_SECOND for number in range(50)])
    assert pace.slot(keys[20], 1000.0 + turns[20]) == 0
    assert pace.slot(keys[21], 1000.0 + turns[20]) > 0


def test_used_share_is_not_available_again() -> None:
    pace = StatusBudget(0.0)
    pace.slot(A, 1000.0)
    pace.wrote(A, 1000.0)
    assert pace.slot(A, 1000.0) > 0


def test_deleted_resource_is_forgotten() -> None:
    pace = StatusBudget(60.0)
    pace.wrote(A, 1000.0)
    pace.forget(A)
    assert pace.wait(A, 1001.0) == 0


def test_waiting_namespace_does_not_hold_up_a_neighbour() -> None:
    pace = StatusBudget(60.0)
    for number in range(10_000):
        pace.slot(Key("noisy", str(number)), 1000.0)
    wait = pace.slot(A, 1000.0)
    assert wait <= 3 / WRITES_PER_SECOND
    assert pace.slot(A, 1000.0 + wait + 0.001) == 0


def test_total_rate_holds_when_namespaces_come_later() -> None:
    """Every resource asks again when its wait ends, as reconciles do."""
    pace, writes, asked = StatusBudget(0.0), list[float](), 0
    calls = [(1000.0 + namespace / 10, Key(str(namespace), str(n))) for namespace in range(5) for n in range(100)]
    heapq.heapify(calls)
    while calls:
        now, key = heapq.heappop(calls)
        asked += 1
        if wait := pace.slot(key, now):
            heapq.heappush(calls, (now + wait + 0.001, key))
        else:
            writes.append(now)
            pace.wrote(key, now)
    assert len(writes) == 500
    assert 500 / WRITES_PER_SECOND - 1 <= writes[-1] - writes[0] <= 500 / WRITES_PER_SECOND + 15
    assert asked < 500 * 8


def test_changes_of_mind_are_written_less_often_after_a_burst() -> None:
    pace, written = StatusBudget(60.0), 0
    for second in range(600):
        if not pace.flip_wait(A, second):
            pace.flipped(A, second)
            written += 1
        assert pace.flip_wait(A, second) <= FLIP_INTERVAL_S
    assert FLIPS_BURST <= written <= FLIPS_BURST + 600 / FLIP_INTERVAL_S
    assert pace.flip_wait(B, 600) == 0
    pace.forget(A)
    assert pace.flip_wait(A, 600) == 0
