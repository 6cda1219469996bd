from market_operator.resource.naming import Key
from market_operator.scheduling.event_budget import ALL_BURST, ALL_SECONDS_EACH, BURST, SECONDS_EACH, EventBudget

KEY = Key("md", "okx-btc")


def test_a_resource_that_flaps_is_told_of_so_often_and_then_seldom() -> None:
    allowance = EventBudget()
    flaps = range(0, 86_400, 30)
    told = [now for now in flaps if allowance.take(KEY, float(now))]
    assert told[:BURST] == [*flaps][:BURST]
    assert len(told) <= BURST + 86_400 / SECONDS_EACH + 1


def test_a_resource_that_flaps_takes_nothing_from_another() -> None:
    allowance = EventBudget()
    while allowance.take(KEY, 0.0):
        pass
    assert allowance.take(Key("md", "other"), 0.0)


def test_thousands_that_turn_at_once_make_no_flood() -> None:
    allowance = EventBudget()
    assert sum(allowance.take(Key("md", str(number)), 0.0) for number in range(10_000)) == ALL_BURST
    assert allowance.take(Key("md", "later"), ALL_SECONDS_EACH)


def test_what_was_not_used_is_not_saved_up_for_ever() -> None:
    allowance = EventBudget()
    allowance.take(KEY, 0.0)
    later = 1e6
    assert sum(allowance.take(KEY, later + 10 * number) for number in range(BURST + 5)) == BURST


def test_a_resource_that_is_gone_is_forgotten() -> None:
    allowance = EventBudget()
    while allowance.take(KEY, 0.0):
        pass
    allowance.forget(KEY)
    assert allowance.take(KEY, 10.0)
