"""One route across its connections, with an exchange that each test scripts."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from collector_settings import settings_of
from market_collector.exchanges import EXCHANGES
from market_collector.exchanges.interface import Closing
from market_collector.feed.effects import Effect
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Record, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import ConnectionState, DataType, Stream, StreamState
from market_collector.net.clock import read_clock
from market_collector.net.deadlines import Deadlines
from market_collector.net.link import Link
from market_collector.net.supervisor import Supervisor
from market_collector.telemetry import report
from market_collector.telemetry.status import Health
from scripted_exchange import scripted_exchange

SETTINGS = settings_of("", DataType.ORDERBOOK, DataType.TICKER, backoff_initial_s=0.02, backoff_max_s=0.1)
DEADLINES = Deadlines(open_s=30.0, drain_s=30.0, close_s=0.2)


@dataclass
class Collection:
    """A supervisor of one route, and the records that it emitted."""

    supervisor: Supervisor
    ledger: Ledger
    records: list[Record] = field(default_factory=list)

    @property
    def link(self) -> Link:
        (link,) = self.supervisor.links
        return link

    def stands(self, state: ConnectionState) -> bool:
        return self.link.state is state

    async def comes(self, is_so: Callable[[], Any], within_s: float = 60.0) -> None:
        async with asyncio.timeout(within_s):
            while not is_so():
                await asyncio.sleep(0.005)

    async def flows(self) -> None:
        count = len(self.records)
        await self.comes(lambda: len(self.records) > count and self.stands(ConnectionState.CONNECTED))


def collection(
    websocket: str,
    deadlines: Deadlines = DEADLINES,
    emit: Callable[[Sequence[Record]], None] | None = None,
    **changes: Any,
) -> Collection:
    settings = replace(SETTINGS, endpoint_websocket=websocket, **changes)
    wanted = [Stream("BTC-USDT", data_type) for data_type in settings.data_types]
    ledger = Ledger("okx", wanted, settings.stale_after_s, read_clock())
    records: list[Record] = []
    exchange = EXCHANGES["okx"]
    chance = random.Random(7)
    take = emit or records.extend
    supervisor = Supervisor(settings, exchange, ledger, emit=take, clock=read_clock, chance=chance, deadlines=deadlines)
    return Collection(supervisor, ledger, records)


@asynccontextmanager
async def running(websocket: str, deadlines: Deadlines = DEADLINES, **changes: Any) -> AsyncIterator[Collection]:
    one = collection(websocket, deadlines, **changes)
    await one.supervisor.start()
    try:
        yield one
    finally:
        await one.supervisor.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}


# -- make before break


async def test_successor_opens_before_an_announced_end() -> None:
    with scripted_exchange() as exchange:
        async with running(exchange.websocket) as one:
            await one.flows()
            exchange.serves = False  # the successor is acknowledged, but brings nothing yet
            exchange.send_close_notice()
            await one.comes(lambda: len(exchange.clients) == 2 and exchange.clients[1].args)
            assert one.stands(ConnectionState.DRAINING)
            assert "upgrade; the next one: connected" in one.link.reason
            exchange.serves = True
            await one.comes(lambda: len(exchange.clients) == 1)
            assert one.stands(ConnectionState.CONNECTED)
            assert one.link.reason == ""
            await one.flows()
            assert one.supervisor.reconnections == 1
            assert one.supervisor.last_reconnect is not None
            assert "upgrade" in one.supervisor.last_reconnect.reason


async def test_old_connection_streams_until_closed_when_no_successor_opens() -> None:
    with scripted_exchange() as exchange:
        async with running(exchange.websocket, backoff_initial_s=0.01, backoff_max_s=0.02) as one:
            await one.flows()
            exchange.refuse = 503
            exchange.send_close_notice()
            exchange.send_close_notice()  # once more: said already
            await one.comes(lambda: len(exchange.handshakes) >= 3)
            assert one.stands(ConnectionState.DRAINING)
            assert "503" in one.link.reason
            count = len(one.records)
            await one.comes(lambda: len(one.records) > count + 5)
            exchange.close(1012)
            await one.comes(lambda: one.link.state in (ConnectionState.BACKOFF, ConnectionState.CONNECTING))
            exchange.refuse = None
            await one.flows()
            assert one.supervisor.reconnections == 1


async def test_failed_successor_is_retried_while_the_old_connection_lives() -> None:
    with scripted_exchange() as exchange:
        async with running(exchange.websocket) as one:
            await one.flows()
            exchange.serves = False
            exchange.send_close_notice()
            await one.comes(lambda: len(exchange.clients) == 2)
            exchange.cut(1)
            await one.comes(lambda: len(exchange.handshakes) == 3 and len(exchange.clients) == 2)
            exchange.serves = True
            await one.comes(lambda: len(exchange.clients) == 1)
            await one.flows()


async def test_a_successor_that_never_serves_all_takes_over_after_the_deadline() -> None:
    deadlines = replace(DEADLINES, drain_s=0.3)
    with scripted_exchange() as exchange:
        async with running(exchange.websocket, deadlines) as one:
            await one.flows()
            exchange.serves = False
            exchange.send_close_notice()
            await one.comes(lambda: len(exchange.clients) == 2)
            await one.comes(lambda: len(exchange.clients) == 1)
            assert one.stands(ConnectionState.CONNECTED)


async def test_a_refused_stream_does_not_keep_the_old_connection_alive() -> None:
    with scripted_exchange(rejects=frozenset({"tickers"})) as exchange:
        async with running(exchange.websocket) as one:
            await one.flows()
            exchange.send_close_notice()
            await one.comes(lambda: len(exchange.handshakes) == 2 and len(exchange.clients) == 1)


async def test_third_connection_replaces_a_successor_that_will_end_too() -> None:
    with scripted_exchange() as exchange:
        async with running(exchange.websocket) as one:
            await one.flows()
            exchange.serves = False
            exchange.send_close_notice()
            await one.comes(lambda: len(exchange.clients) == 2)
            exchange.send_close_notice(1)
            await one.comes(lambda: len(exchange.handshakes) == 3)
            await one.comes(lambda: len(exchange.clients) == 2)
            exchange.serves = True
            await one.comes(lambda: len(exchange.clients) == 1)
            assert one.stands(ConnectionState.CONNECTED)


async def test_a_new_connection_can_be_asked_for_and_loses_nothing() -> None:
    with scripted_exchange() as exchange:
        async with running(exchange.websocket, data_types=(DataType.TRADE,)) as one:
            await one.flows()
            one.supervisor.reconnect("no such route", "is nobody's")
            one.supervisor.reconnect(None, "asked for")
            await one.comes(lambda: len(exchange.handshakes) == 2 and len(exchange.clients) == 1)
            await one.flows()
            ids = [int(record.trade_id) for record in one.records if isinstance(record, Trade)]
            assert sorted(ids) == list(range(min(ids), max(ids) + 1))
            assert one.supervisor.last_reconnect is not None
            assert one.supervisor.last_reconnect.reason == "asked for"


# -- what is silent is found by its own deadline


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_handshake_without_an_answer_is_given_up_and_retried(scheme: str) -> None:
    """The kernel accepts, but the WebSocket or TLS handshake (wss) gets no answer."""
    with socket.create_server(("127.0.0.1", 0)) as unresponsive:
        start = time.monotonic()
        url = f"{scheme}://127.0.0.1:{unresponsive.getsockname()[1]}"
        async with running(url, replace(DEADLINES, open_s=0.3)) as one:
            await one.comes(lambda: one.stands(ConnectionState.BACKOFF))
            assert "no WebSocket connection within 0.3 s" in one.link.reason
            assert 0.3 <= time.monotonic() - start < 3.0
            unresponsive.accept()[0].close()
            unresponsive.settimeout(60)
            again, _ = await asyncio.to_thread(unresponsive.accept)
            again.close()


async def test_ping_detects_an_unresponsive_connection() -> None:
    with scripted_exchange() as exchange:
        async with running(exchange.websocket, ping_interval_s=0.5) as one:
            await one.flows()
            exchange.answers = False
            await one.comes(lambda: one.link.state is not ConnectionState.CONNECTED)
            assert "no answer to a ping for 0.5 s" in one.link.reason
            assert one.link.pings_sent == 1
            exchange.answers = True
            await one.flows()


async def test_pings_and_pongs_are_counted_over_all_connections() -> None:
    with scripted_exchange() as exchange:
        async with running(exchange.websocket, ping_interval_s=0.5) as one:
            await one.flows()
            exchange.serves = False
            for number in (1, 2):
                await one.comes(lambda n=number: one.link.pongs_received >= n)  # type: ignore[misc]
                assert one.link.pings_sent >= number
                exchange.cut()
                exchange.serves = True
                await one.comes(lambda n=number: one.supervisor.reconnections == n)  # type: ignore[misc]
                await one.flows()
                exchange.serves = False


async def test_unanswered_subscribe_is_detected() -> None:
    with scripted_exchange(answers=False) as exchange:
        async with running(exchange.websocket, replace(DEADLINES, subscribe_s=0.3)) as one:
            await one.comes(lambda: "no answer to subscribe for 0.3 s" in one.link.reason)
            exchange.answers = True
            await one.flows()


async def test_a_refused_stream_is_asked_for_again_while_the_others_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("market_collector.feed.subscription.REFUSED_RETRY_S", 0.2)
    with scripted_exchange(rejects=frozenset({"tickers"})) as exchange:
        async with running(exchange.websocket) as one:
            await one.flows()
            page = one.ledger.streams[Stream("BTC-USDT", DataType.TICKER)]
            await one.comes(lambda: page.state is StreamState.REFUSED)
            exchange.rejects = frozenset()
            await one.comes(lambda: page.state is StreamState.LIVE)
            assert one.supervisor.reconnections == 0
            assert [[arg["channel"] for arg in each["args"]] for each in exchange.requests[1:]][-1] == ["tickers"]


# -- attempts


async def test_link_waits_for_the_delay_that_the_exchange_requests() -> None:
    with scripted_exchange(refuse=429, headers={"Retry-After": "1"}) as exchange:
        async with running(exchange.websocket) as one:
            await one.comes(lambda: one.stands(ConnectionState.BACKOFF))
            exchange.refuse = None
            await one.flows()
            first, second = exchange.handshakes
            assert second - first >= 1.0


async def test_slow_reader_close_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with scripted_exchange() as exchange:
        async with running(exchange.websocket) as one:
            await one.flows()
            exchange.close(4004)
            await one.comes(lambda: one.supervisor.reconnections == 1)
            assert one.supervisor.closes(Closing.SLOW_READER) == 0
            await one.flows()
            exchange.close(4005)
            await one.comes(lambda: one.supervisor.closes(Closing.SLOW_READER) == 1)
            assert "we read too slowly: closed by the exchange: 4005" in caplog.text
            await one.flows()


async def test_a_link_that_gave_up_is_unhealthy_and_tries_again_when_asked_to() -> None:
    with scripted_exchange(refuse=503) as exchange:
        async with running(exchange.websocket, auto_restart=False, max_reconnect_attempts=2) as one:
            await one.comes(lambda: one.link.has_given_up)
            assert one.stands(ConnectionState.STOPPED)
            word, reason = report.health(one.ledger, one.supervisor.links, [])
            assert word is Health.UNHEALTHY
            assert reason.startswith("public connection gave up after 2 attempts: ")
            assert len(exchange.handshakes) == 2
            exchange.refuse = None
            one.supervisor.reconnect("public", "mended")
            await one.flows()
            assert not one.link.has_given_up


async def test_a_link_gives_up_only_when_its_old_connection_has_ended_too() -> None:
    with scripted_exchange() as exchange:
        async with running(exchange.websocket, auto_restart=False, max_reconnect_attempts=1) as one:
            await one.flows()
            exchange.refuse = 503
            exchange.send_close_notice()
            await one.comes(lambda: len(exchange.handshakes) == 2 and "gave up" in one.link.reason)
            assert one.stands(ConnectionState.DRAINING)
            assert not one.link.has_given_up
            exchange.close()
            await one.comes(lambda: one.link.has_given_up)
            assert one.stands(ConnectionState.STOPPED)


async def test_with_auto_restart_the_attempts_start_over(caplog: pytest.LogCaptureFixture) -> None:
    with scripted_exchange(refuse=503) as exchange:
        async with running(exchange.websocket, max_reconnect_attempts=2) as one:
            await one.comes(lambda: len(exchange.handshakes) >= 3)
            assert "gave up after 2 attempts" in caplog.text
            assert one.link.exhausted.startswith("gave up after 2 attempts: ")
            assert "starting over (autoRestart is true)" in caplog.text
            exchange.refuse = None
            await one.flows()


async def test_at_most_three_connections_per_second_are_opened() -> None:
    """Two collectors of one process count together: the exchange counts by address."""
    with scripted_exchange(refuse=503) as exchange:
        async with (
            asyncio.timeout(20),
            running_pair(exchange.websocket) as (one, other),
        ):
            await one.comes(lambda: len(exchange.handshakes) >= 8)
            assert other.link.reason
        times = exchange.handshakes
        assert all(later - earlier >= 0.9 for earlier, later in zip(times, times[3:], strict=False))


@asynccontextmanager
async def running_pair(websocket: str) -> AsyncIterator[tuple[Collection, Collection]]:
    pair = (collection(websocket, backoff_max_s=0.02), collection(websocket, backoff_max_s=0.02))
    for one in pair:
        await one.supervisor.start()
    try:
        yield pair
    finally:
        for one in pair:
            await one.supervisor.stop()


async def test_an_address_that_comes_back_is_connected_to_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """The delay after a connection that brought data for a while is the shortest, whatever failed earlier."""
    steady_at_once = replace(DEADLINES, steady_s=0.0)
    with scripted_exchange(refuse=503) as exchange:
        async with running(exchange.websocket, steady_at_once, backoff_initial_s=0.05, backoff_max_s=60.0) as one:
            await one.comes(lambda: len(exchange.handshakes) == 3)
            exchange.refuse = None
            one.supervisor.reconnect(None, "waited enough")
            await one.flows()
            exchange.cut()
            start = time.monotonic()
            await one.comes(lambda: one.supervisor.reconnections == 1)
            assert time.monotonic() - start < 1.0


# -- mistakes of ours are loud


async def test_internal_error_in_a_deadline_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def woken(feed: Feed, now: Moment) -> list[Effect]:
        raise ZeroDivisionError("mistake")

    with scripted_exchange() as exchange:
        async with running(exchange.websocket) as one:
            monkeypatch.setattr(Feed, "woken", woken)
            await one.comes(lambda: "internal error: ZeroDivisionError" in one.link.reason)
            monkeypatch.undo()
            await one.flows()
            assert "mistake" in caplog.text


async def test_internal_error_of_a_connection_costs_only_that_connection(caplog: pytest.LogCaptureFixture) -> None:
    mistakes = [ZeroDivisionError("mistake")]

    def emit(records: Sequence[Record]) -> None:
        if mistakes:
            raise mistakes.pop()

    with scripted_exchange() as exchange:
        one = collection(exchange.websocket, emit=emit)
        await one.supervisor.start()
        await one.comes(lambda: one.stands(ConnectionState.CONNECTED))
        await one.supervisor.stop()
    assert one.ledger.complaints.internal_errors == 1
    assert "public connection: internal error: ZeroDivisionError('mistake')" in caplog.text


async def test_supervisor_error_is_raised_by_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def age(self: Ledger, now: Moment) -> None:
        raise ZeroDivisionError("mistake")

    monkeypatch.setattr(Ledger, "age", age)
    with scripted_exchange() as exchange:
        one = collection(exchange.websocket)
        for call in (one.supervisor.start, one.supervisor.stop):
            await one.supervisor.start()
            await one.comes(lambda: asyncio.all_tasks() == {asyncio.current_task()})
            assert one.stands(ConnectionState.STOPPED)
            with pytest.raises(ExceptionGroup) as death:
                await call()
            assert death.group_contains(ZeroDivisionError)
        await one.supervisor.stop()
