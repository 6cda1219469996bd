from market_operator.status.times import believed_time, kubernetes_time

NOW = 1_795_000_000.0


def test_time_has_the_form_of_kubernetes() -> None:
    assert kubernetes_time(NOW) == "2026-11-18T11:06:40Z"


def test_clock_of_a_pod_may_be_ahead_by_a_minute() -> None:
    assert believed_time("2026-11-18T11:07:40Z", NOW) == "2026-11-18T11:07:40Z"
    assert believed_time("2026-11-18T11:07:41Z", NOW) == ""


def test_time_of_another_century_is_not_believed() -> None:
    assert believed_time("1999-12-31T23:59:59Z", NOW) == ""
    assert believed_time("", NOW) == ""
