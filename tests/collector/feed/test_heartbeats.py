"""Each kind of heartbeat tells a quiet connection from a dead one."""

import pytest

from feed_life import reconnects
from imaginary_exchange import ImaginaryExchange
from imaginary_life import ImaginaryLife, at, sent
from imaginary_server import trades
from market_collector.exchanges.interface import Heartbeat, HeartbeatKind

(TRADES,) = trades("BTC-USDT")
PING = '{"op":"ping","req_id":"p{id}"}'


def life_with(heartbeat: Heartbeat, ping_interval_s: float = 20.0) -> ImaginaryLife:
    life = ImaginaryLife(ImaginaryExchange(heartbeat=heartbeat), TRADES, ping_interval_s=ping_interval_s)
    life.is_acked(TRADES)
    return life


def test_ping_has_the_next_id() -> None:
    life = life_with(Heartbeat(ping=PING))
    pings = []
    for seconds in (25.0, 50.0):
        pings += sent(life.feed.woken(at(seconds)))
        life.gets({"pong": 1}, seconds + 1)
    assert pings == [{"op": "ping", "req_id": "p1"}, {"op": "ping", "req_id": "p2"}]


@pytest.mark.parametrize(("always", "pings"), [(False, 0), (True, 4)])
def test_ping_is_sent_despite_messages_if_the_exchange_wants_it(always: bool, pings: int) -> None:
    life = life_with(Heartbeat(ping=PING, always=always))
    for second in range(1, 81):
        life.gets({"trade": "BTC-USDT", "id": second}, second)
        assert reconnects(life.feed.woken(at(second + 0.5))) == []
    assert life.feed.pings_sent == pings


def test_unanswered_ping_ends_the_connection_after_the_exchange_s_time() -> None:
    life = life_with(Heartbeat(ping=PING, dead_after_s=10.0))
    assert len(sent(life.feed.woken(at(21)))) == 1
    assert reconnects(life.feed.woken(at(30.9))) == []
    assert reconnects(life.feed.woken(at(31))) == ["no answer to a ping for 10 s"]


@pytest.mark.parametrize("kind", [HeartbeatKind.CONTROL_FRAMES, HeartbeatKind.MESSAGES])
def test_connection_without_pings_of_ours_lives_while_messages_arrive(kind: HeartbeatKind) -> None:
    life = life_with(Heartbeat(kind, dead_after_s=60.0), ping_interval_s=5.0)
    life.gets({"pong": 1}, 50)
    effects = life.feed.woken(at(109))
    assert (sent(effects), reconnects(effects)) == ([], [])
    assert reconnects(life.feed.woken(at(110))) == [f"no {kind.value} for 60 s"]


@pytest.mark.parametrize(("kind", "lives"), [(HeartbeatKind.CONTROL_FRAMES, True), (HeartbeatKind.MESSAGES, False)])
def test_control_frames_show_life_only_where_they_are_the_heartbeat(kind: HeartbeatKind, lives: bool) -> None:
    life = life_with(Heartbeat(kind, dead_after_s=60.0))
    life.feed.note_control_frame(40.0)
    assert (reconnects(life.feed.woken(at(99))) == []) is lives
    assert len(reconnects(life.feed.woken(at(100)))) == 1


def test_control_frames_do_not_answer_a_ping() -> None:
    """An edge may answer frames although the exchange behind it is down."""
    life = life_with(Heartbeat(ping=PING))
    assert len(sent(life.feed.woken(at(21)))) == 1
    life.feed.note_control_frame(40.0)
    assert len(reconnects(life.feed.woken(at(41)))) == 1
