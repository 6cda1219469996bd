from market_simulator.engine.events import Key
from market_simulator.engine.line import Line

ONE, TWO = Key("books", "A-B"), Key("trades", "A-B")


def test_frames_go_out_at_once_in_order() -> None:
    line = Line()
    line.put(b"a", ONE, 0.0)
    line.put(b"b", None, 0.0)
    assert (bool(line), len(line)) == (True, 2)
    assert line.take(0.0) == b"ab"
    assert not line
    assert line.due(0.0) is None


def test_delayed_frames_wait_until_they_are_due() -> None:
    line = Line()
    line.put(b"late", ONE, 1.0, late=0.5)
    assert line.take(1.4) == b""
    assert line.due(1.4) == 1.5
    assert line.take(1.5) == b"late"
    assert line.due(1.5) is None


def test_delayed_stream_stays_in_order_and_others_do_not_wait() -> None:
    line = Line()
    line.put(b"1", ONE, 0.0, late=1.0)
    line.put(b"2", ONE, 0.5)
    line.put(b"x", TWO, 0.5)
    assert line.take(0.5) == b"x"
    line.put(b"3", ONE, 1.0)
    assert line.take(1.0) == b"123"
    line.put(b"4", ONE, 1.0)
    assert line.take(1.0) == b"4"


def test_bounded_rate_limits_the_bytes_per_second() -> None:
    line = Line()
    line.put(b"x" * 100, ONE, 0.0)
    written = [len(line.take(step / 8, 160.0)) for step in range(8)]
    assert written == [0, 20, 20, 20, 20, 20, 0, 0]


def test_very_slow_queue_still_makes_progress() -> None:
    line = Line()
    line.put(b"abc", ONE, 0.0)
    taken = b"".join(line.take(step * 0.05, 2.0) for step in range(40))
    assert taken == b"abc"


def test_remaining_bytes_go_out_when_the_rate_is_unbounded() -> None:
    line = Line()
    line.put(b"x" * 100, ONE, 0.0)
    assert [len(line.take(now, 100.0)) for now in (0.0, 0.125)] == [0, 12]
    line.put(b"y", TWO, 0.2)
    assert line.due(0.2) == 0.25
    assert line.take(0.2) == b"x" * 88 + b"y"
