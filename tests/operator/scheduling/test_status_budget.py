import pytest

from market_operator.resource.naming import Key
from market_operator.scheduling.status_budget import WRITES_PER_SECOND, StatusBudget

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
