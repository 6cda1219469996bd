"""A connection gets a successor shortly before the exchange ends it for its age."""

import logging
import random
from collections.abc import Sequence
from math import inf

import pytest

from feed_life import reconnects
from imaginary_exchange import ImaginaryExchange
from imaginary_life import ImaginaryLife, at
from imaginary_server import collection, imaginary_server, trades
from market_collector.exchanges.interface import Limits, Route, Window
from market_collector.feed.effects import Effect, Replace
from market_collector.model.events import Gap
from market_collector.net.deadlines import Deadlines
from market_collector.net.supervisor import age_of_replacement_s

DIAL = Window(1000, 1.0)
LIFE_S = 2.0


def replacements(effects: Sequence[Effect]) -> list[Replace]:
    return [effect for effect in effects if isinstance(effect, Replace)]


def test_feed_asks_once_for_its_replacement_at_the_given_age() -> None:
    (stream,) = trades("BTC-USDT")
    life = ImaginaryLife(ImaginaryExchange(), stream, replace_after_s=7.25)
    life.is_acked(stream)
    assert life.feed.wake_at == 1.0
    assert replacements(life.feed.woken(at(6.5))) == []
    assert life.feed.wake_at == 7.25
    (effect,) = replacements(life.feed.woken(at(7.25)))
    assert effect.is_planned
    assert replacements(life.feed.woken(at(8))) == []


def test_feed_without_an_age_lives_on() -> None:
    (stream,) = trades("BTC-USDT")
    life = ImaginaryLife(ImaginaryExchange(), stream)
    life.is_acked(stream)
    for hour in range(1, 49):
        life.gets({"pong": 1}, hour * 3600)
        effects = life.feed.woken(at(hour * 3600))
        assert (replacements(effects), reconnects(effects)) == ([], [])


def test_replacement_is_an_hour_or_two_before_the_end_of_a_day() -> None:
    chance = random.Random(1)
    ages = [age_of_replacement_s(24 * 3600.0, chance) for _ in range(100)]
    assert all(age is not None and 22.0 <= age / 3600 <= 23.1 for age in ages)
    assert len(set(ages)) == 100
    assert age_of_replacement_s(None, chance) is None


async def test_connections_are_replaced_before_the_exchange_ends_them(caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(dial=DIAL, life_s=LIFE_S)
    exchange = ImaginaryExchange(limits=limits, routes={"all": Route(streams_per_connection=2)})
    streams = trades("A-B", "C-D", "E-F", "G-H")
    caplog.set_level(logging.INFO)
    async with (
        imaginary_server() as server,
        collection(exchange, *streams, websocket=server.websocket, deadlines=Deadlines(steady_s=0.1)) as running,
    ):
        await running.comes(lambda: len(server.clients) == 4)
        await running.comes(lambda: all(client.ended_at < inf for client in server.clients[:2]))
        first, others = server.clients[:2], server.clients[2:]
        assert all(client.opened_at - first[0].opened_at >= 0.9 * LIFE_S for client in others)
        for client in first:
            (successor,) = (other for other in others if other.streams == client.streams)
            assert successor.frames[0][0] < client.ended_at
        assert running.supervisor.last_reconnect is not None
        assert "for its age" in running.supervisor.last_reconnect.reason
    assert [record for record in running.records if isinstance(record, Gap)] == []
    assert {line.levelno for line in caplog.records if "for its age" in line.message} == {logging.INFO}
