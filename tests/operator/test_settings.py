from market_operator.settings import Settings


def test_counters_are_written_at_most_once_a_minute_by_default() -> None:
    assert (Settings().counter_interval, Settings().sweep_interval) == (60.0, 300.0)


def test_all_namespaces_are_served_by_default() -> None:
    assert Settings().namespaces == ()
