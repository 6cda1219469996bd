from market_simulator.engine.limits import Limit, Limiter


def test_the_window_slides_and_refused_calls_do_not_count() -> None:
    limiter, limit = Limiter(), Limit(2, 1.0)
    assert [limiter.allows(limit, "a", at) for at in (0.0, 0.5, 0.9, 1.0, 1.4, 1.5)] == [
        True, True, False, True, False, True,
    ]  # fmt: skip


def test_callers_are_counted_apart() -> None:
    limiter, limit = Limiter(), Limit(1, 1.0)
    assert limiter.allows(limit, "a", 0.0)
    assert limiter.allows(limit, "b", 0.0)
    assert not limiter.allows(limit, "a", 0.0)
