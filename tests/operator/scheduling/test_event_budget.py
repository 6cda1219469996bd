from market_operator.resource.naming import Key
from market_operator.scheduling.event_budget import (
    ALL_BURST,
    ALL_SECONDS_EACH,
    BURST,
    NAMESPACE_BURST,
    SECONDS_EACH,
    EventBudget,
)

KEY = Key("md", "okx-btc")


def test_flapping_resource_gets_a_burst_of_events_and_then_few() -> None:
    budget = EventBudget()
    flaps = range(0, 86_400, 30)
    allowed = [now for now in flaps if budget.take(KEY, float(now))]
    assert allowed[:BURST] == [*flaps][:BURST]
    assert len(allowed) <= BURST + 86_400 / SECONDS_EACH + 1


def test_flapping_resource_takes_nothing_from_another() -> None:
    budget = EventBudget()
    while budget.take(KEY, 0.0):
        pass
    assert budget.take(Key("md", "other"), 0.0)


def test_events_are_limited_when_thousands_of_resources_change() -> None:
    budget = EventBudget()
    assert sum(budget.take(Key(f"n{number}", "a"), 0.0) for number in range(10_000)) == ALL_BURST
    assert budget.take(Key("later", "a"), ALL_SECONDS_EACH)


def test_flapping_namespace_takes_nothing_from_another() -> None:
    """400 resources flap for a minute, and a neighbour's dozen Events are written at any time."""
    budget, written = EventBudget(), 0
    for second in range(60):
        written += sum(budget.take(Key("noisy", str(number)), float(second)) for number in range(400))
        if second in {0, 59}:
            assert all(budget.take(Key("next-door", f"{second}-{number}"), float(second)) for number in range(12))
    assert NAMESPACE_BURST <= written <= NAMESPACE_BURST + 2 * 60


def test_unused_budget_is_capped() -> None:
    budget = EventBudget()
    budget.take(KEY, 0.0)
    later = 1e6
    assert sum(budget.take(KEY, later + 10 * number) for number in range(BURST + 5)) == BURST


def test_deleted_resource_is_forgotten() -> None:
    budget = EventBudget()
    while budget.take(KEY, 0.0):
        pass
    budget.forget(KEY)
    assert budget.take(KEY, 10.0)
