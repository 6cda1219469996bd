"""The link's state machine: every transition, without a socket or a task."""

import logging
import random

import pytest

from market_collector.errors import ConnectionFailedError
from market_collector.exchanges.interface import Closing
from market_collector.model.moment import Moment
from market_collector.model.streams import ConnectionState
from market_collector.net.backoff import Backoff
from market_collector.net.link_state import DRAIN_POLL_S, Dismiss, LinkEffect, LinkMachine, LinkPolicy, Log, Open

MAX_DELAY_S = 8.0
STEADY_S = 5.0


def at(seconds: float) -> Moment:
    return Moment(seconds, int(seconds * 1e9))


def machine(max_attempts: int = 0, *, auto_restart: bool = True) -> LinkMachine:
    backoff = Backoff(1.0, MAX_DELAY_S, random.Random(1))
    return LinkMachine(LinkPolicy(60.0, STEADY_S, max_attempts, auto_restart), backoff, at(0))


def connected() -> LinkMachine:
    one = machine()
    one.started(at(1))
    one.opened(1, at(2))
    return one


def draining() -> LinkMachine:
    """Connection 1 is to be replaced, its successor 2 is open."""
    one = connected()
    assert one.replace("upgrade", at(3)) == [Open(2)]
    one.opened(2, at(4))
    return one


def opened(effects: list[LinkEffect]) -> list[int]:
    return [effect.number for effect in effects if isinstance(effect, Open)]


def dismissed(effects: list[LinkEffect]) -> list[tuple[int, str]]:
    return [(effect.number, effect.reason) for effect in effects if isinstance(effect, Dismiss)]


def logged(effects: list[LinkEffect]) -> list[int]:
    return [effect.level for effect in effects if isinstance(effect, Log)]


def test_start_opens_the_first_connection() -> None:
    one = machine()
    assert one.started(at(1)) == [Open(1)]
    assert (one.state, one.newest_open, one.wake_at) == (ConnectionState.CONNECTING, None, None)
    one.opened(1, at(2))
    assert (one.state, one.newest_open, one.since_ns) == (ConnectionState.CONNECTED, 1, 2_000_000_000)
    assert (one.reconnections, one.last_reconnect) == (0, None)


def test_end_is_followed_by_a_delay_and_an_attempt() -> None:
    one = connected()
    effects = one.ended(1, "reset", at(2 + STEADY_S), is_serving=True)
    assert (opened(effects), logged(effects)) == ([], [logging.WARNING])
    assert (one.state, one.reason) == (ConnectionState.BACKOFF, "reset")
    assert one.wake_at is not None
    assert 7.0 <= one.wake_at <= 8.0, "the first delay is the shortest"
    assert one.woken(at(one.wake_at - 0.001), is_complete=False) == []
    assert one.woken(at(one.wake_at), is_complete=False) == [Open(2)]
    one.opened(2, at(9))
    assert one.reconnections == 1
    assert one.last_reconnect is not None
    assert one.last_reconnect.reason == "reset"


def delays(one: LinkMachine, life_s: float, *, is_serving: bool, count: int = 40) -> list[float]:
    """Open and end connections that live for this long; return the delays before the next ones."""
    now, found = 1.0, list[float]()
    one.started(at(now))
    for number in range(1, count + 1):
        one.opened(number, at(now))
        now += life_s
        one.ended(number, "closed", at(now), is_serving=is_serving)
        assert one.wake_at is not None
        found.append(one.wake_at - now)
        now = one.wake_at
        one.woken(at(now), is_complete=False)
    return found


@pytest.mark.parametrize(
    ("life_s", "is_serving"),
    [(0.1, False), (STEADY_S + 100, False), (STEADY_S - 0.1, True)],
    ids=["acknowledged and closed", "acknowledged and silent", "closed soon after its first data"],
)
def test_delays_grow_while_no_connection_brings_data_for_a_while(life_s: float, is_serving: bool) -> None:
    assert max(delays(machine(), life_s, is_serving=is_serving)) > MAX_DELAY_S / 2


def test_delays_start_over_after_a_connection_that_brought_data() -> None:
    assert max(delays(machine(), STEADY_S, is_serving=True)) <= 1.0


def test_brief_connections_with_data_use_up_no_attempts() -> None:
    assert len(delays(machine(2, auto_restart=False), 0.1, is_serving=True)) == 40


def test_attempts_are_used_up_by_connections_that_bring_nothing() -> None:
    one = machine(1, auto_restart=False)
    one.started(at(1))
    one.opened(1, at(1))
    one.ended(1, "closed", at(2))
    assert one.has_given_up


def test_announced_end_of_a_steady_connection_opens_its_successor_at_once() -> None:
    one = connected()
    assert one.announced("upgrade", at(2 + STEADY_S), is_serving=True) == [Open(2)]


def test_announced_end_of_a_new_connection_is_followed_by_a_delay() -> None:
    """Otherwise an exchange that announces an end to each connection would be dialed without pause."""
    one, found = machine(), list[float]()
    one.started(at(0))
    now = 0.0
    for number in range(1, 21):
        one.opened(number, at(now))
        assert opened(one.announced("upgrade", at(now + 0.1), is_serving=True)) == []
        assert one.state is ConnectionState.DRAINING
        assert one.wake_at is not None
        wake_at = one.wake_at
        assert one.ended(number, "closed", at(now + 0.2), is_serving=True) == [], "it waits already"
        assert one.wake_at == wake_at
        found.append(wake_at - now)
        now = wake_at
        assert one.woken(at(now), is_complete=False) == [Open(number + 1)]
    assert max(found) > MAX_DELAY_S / 2


def test_announced_end_opens_nothing_while_a_connection_is_opening() -> None:
    one = connected()
    one.replace("asked for", at(3))
    assert one.announced("upgrade", at(4), is_serving=True) == []


def test_predecessor_ends_when_the_successor_delivers_every_stream() -> None:
    one = draining()
    assert (one.state, one.reason) == (ConnectionState.DRAINING, "upgrade; the next one: connected")
    assert one.woken(at(4), is_complete=False) == []
    assert one.wake_at == 4 + DRAIN_POLL_S
    effects = one.woken(at(5), is_complete=True)
    assert dismissed(effects) == [(1, "replaced: upgrade")]
    assert (one.state, one.reason) == (ConnectionState.CONNECTED, "")
    assert one.woken(at(99), is_complete=True) == [], "no predecessor is left"
    assert one.ended(1, "replaced: upgrade", at(6), is_serving=True) == []
    assert one.state is ConnectionState.CONNECTED


def test_predecessor_ends_at_the_drain_deadline() -> None:
    one = draining()
    assert dismissed(one.woken(at(63.9), is_complete=False)) == []
    assert dismissed(one.woken(at(64), is_complete=False)) == [(1, "replaced: upgrade")]


def test_successor_that_fails_leaves_the_predecessor_draining() -> None:
    one = connected()
    one.replace("upgrade", at(3))
    effects = one.ended(2, "refused", at(4), error=ConnectionFailedError("refused"))
    assert dismissed(effects) == []
    assert (one.state, one.newest_open) == (ConnectionState.DRAINING, 1)
    assert one.wake_at is not None
    assert one.woken(at(one.wake_at), is_complete=False) == [Open(3)]


def test_third_connection_dismisses_the_second_and_keeps_the_first() -> None:
    one = draining()
    effects = one.replace("upgrade again", at(5))
    assert (dismissed(effects), opened(effects)) == ([(2, "replaced before it served")], [3])


def test_replace_opens_nothing_while_a_connection_is_opening() -> None:
    one = machine()
    one.started(at(1))
    assert one.replace("asked for", at(2)) == []


def test_replace_opens_nothing_while_the_link_is_not_running() -> None:
    one = connected()
    one.stopping()
    assert one.replace("asked for", at(3)) == []
    assert one.ended(1, "stopped", at(4)) == []
    one.stopped(at(4))
    assert (one.state, one.wake_at) == (ConnectionState.STOPPED, None)
    assert one.started(at(5)) == [Open(2)]


def test_replace_ends_a_delay() -> None:
    one = connected()
    one.ended(1, "reset", at(5))
    assert one.replace("asked for", at(5.01)) == [Open(2)]
    assert (one.state, one.reason, one.wake_at) == (ConnectionState.CONNECTING, "asked for", None)


def test_link_gives_up_after_the_last_attempt_until_replaced() -> None:
    one = machine(2, auto_restart=False)
    one.started(at(1))
    one.ended(1, "refused", at(2), error=ConnectionFailedError("refused"))
    one.woken(at(99), is_complete=False)
    effects = one.ended(2, "refused", at(100), error=ConnectionFailedError("refused"))
    assert (one.state, one.exhausted) == (ConnectionState.STOPPED, "gave up after 2 attempts: refused")
    assert (one.has_given_up, one.wake_at, logged(effects)) == (True, None, [logging.ERROR])
    assert one.replace("asked for", at(200)) == [Open(3)]
    assert not one.has_given_up
    one.ended(3, "refused", at(201), error=ConnectionFailedError("refused"))
    assert one.state is ConnectionState.BACKOFF, "the attempts are counted from 0 again"


def test_link_has_not_given_up_while_its_old_connection_lives() -> None:
    one = machine(1, auto_restart=False)
    one.started(at(1))
    one.opened(1, at(2))
    one.replace("upgrade", at(3), is_serving=True)
    one.ended(2, "refused", at(4), error=ConnectionFailedError("refused"))
    assert (one.state, one.has_given_up) == (ConnectionState.DRAINING, False)
    one.ended(1, "closed", at(5), is_serving=True)
    assert (one.state, one.has_given_up) == (ConnectionState.STOPPED, True)


def test_problem_of_the_last_attempt_stays_until_the_next_has_an_outcome() -> None:
    one = machine()
    one.started(at(1))
    excluded = ConnectionFailedError("HTTP 451", status=451, retry_after_s=600.0, problem="RegionRestricted")
    one.ended(1, "HTTP 451", at(2), error=excluded)
    assert one.wake_at is not None
    assert one.wake_at >= 602
    one.woken(at(one.wake_at), is_complete=False)
    assert (one.state, one.problem) == (ConnectionState.CONNECTING, "RegionRestricted")
    one.ended(2, "timeout", at(700), error=ConnectionFailedError("timeout"))
    assert one.problem == ""
    one.replace("asked for", at(701))
    one.ended(3, "HTTP 451", at(702), error=excluded)
    one.replace("asked for", at(703))
    one.opened(4, at(704))
    assert one.problem == ""


def test_last_attempt_keeps_the_delay_that_the_exchange_requests() -> None:
    one = machine(1)
    one.started(at(1))
    one.ended(1, "HTTP 418", at(2), error=ConnectionFailedError("HTTP 418", status=418, retry_after_s=600.0))
    assert one.wake_at is not None
    assert one.wake_at >= 602


def test_stopped_link_has_no_problem() -> None:
    one = machine()
    one.started(at(1))
    one.ended(1, "HTTP 451", at(2), error=ConnectionFailedError("HTTP 451", problem="RegionRestricted"))
    one.stopped(at(3))
    assert one.problem == ""


def test_attempts_start_over_after_a_long_delay_with_auto_restart() -> None:
    one = machine(1)
    one.started(at(1))
    effects = one.ended(1, "refused", at(2), error=ConnectionFailedError("refused"))
    assert logged(effects) == [logging.ERROR, logging.WARNING]
    assert one.state is ConnectionState.BACKOFF
    assert one.wake_at is not None
    assert one.wake_at >= 2 + MAX_DELAY_S / 2


@pytest.mark.parametrize("closing", [Closing.SLOW_READER, Closing.TOO_MANY])
def test_close_for_our_conduct_is_counted_and_logged(closing: Closing) -> None:
    one = connected()
    effects = one.ended(1, "closed: 4005", at(3), closing=closing)
    assert (one.closes, logged(effects)) == ({closing: 1}, [logging.ERROR, logging.WARNING])
