"""One collector against the simulator: it starts or raises the reason, always stops, and reports its true state."""

import asyncio
import json
import logging
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from library_collector import collector, comes, running
from loopback import new_address
from market_collector.api import callbacks
from market_collector.api.collector import ExchangeCollector
from market_collector.api.configuration import ExchangeCollectorConfig
from market_collector.api.points import DataPoint, StreamEvent
from market_collector.errors import ConfigurationError, ConnectionFailedError, InputError, StreamRefusedError
from market_collector.exchanges import EXCHANGES
from market_collector.exchanges.interface import Batch, Request, Route
from market_collector.model.streams import DataType, Stream
from simulator_process import MARKET, Simulator, simulator

pytestmark = [pytest.mark.simulator, pytest.mark.usefixtures("folder", "nothing_is_left")]


def stored_in(folder: Path) -> list[Any]:
    return [json.loads(line) for file in folder.glob("**/*.jsonl") for line in file.read_text().splitlines()]


# -- data


async def test_callbacks_get_every_fill_once_and_as_the_market_made_it(exchange: Simulator) -> None:
    points, events = list[DataPoint](), list[StreamEvent]()
    made = collector(exchange)

    async def on_trade(point: DataPoint) -> None:
        await asyncio.sleep(0)
        points.append(point)

    made.add_data_callback(DataType.TRADE, on_trade)
    made.add_event_callback(events.append)
    async with running(made):
        await comes(lambda: len(points) > 50)
    ids = [int(point.data["trade_id"]) for point in points]
    assert ids == list(range(ids[0], ids[-1] + 1))
    truth = exchange.lines(f"/truth/trades?symbol=BTC-USDT&from={ids[0]}&to={ids[-1]}")
    assert [(row["tradeId"], row["px"], row["sz"], row["side"]) for row in truth] == [
        (point.data["trade_id"], point.data["price"], point.data["amount"], point.data["side"]) for point in points
    ]
    assert [event.kind for event in events] == ["connected", "disconnected"]


async def test_each_type_goes_to_its_own_callbacks_over_two_connections(exchange: Simulator) -> None:
    types = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLE)
    points: dict[DataType, list[DataPoint]] = {each: [] for each in types}
    made = collector(exchange, *types)
    for each in types:
        made.add_data_callback(each, points[each].append)
    async with running(made):
        await comes(lambda: all(points.values()))
        status = made.get_status()
        assert {row["name"] for row in status["connections"]} == {"public", "business"}
        assert {row["stream"] for row in status["streams"]} == {
            "BTC-USDT/trade",
            "BTC-USDT/orderbook",
            "BTC-USDT/ticker",
            "BTC-USDT/candle:1m",
        }
    for each in types:
        assert {point.data_type for point in points[each]} == {each}
    assert points[DataType.ORDERBOOK][0].data["action"] == "snapshot"


async def test_several_symbols_share_the_connections(exchange: Simulator) -> None:
    points = list[DataPoint]()
    symbols = ["BTC-USDT", "ETH-USDT"]
    made = collector(exchange, DataType.TRADE, DataType.ORDERBOOK, symbols=symbols)
    assert made.name == "okx_btc_usdt_and_1_more"
    made.add_data_callback(DataType.TRADE, points.append)
    async with running(made):
        await comes(lambda: {point.symbol for point in points} == set(symbols))
        status = made.get_status()
    assert sorted(row["name"] for row in status["connections"]) == ["business", "public"]
    assert (status["symbol"], status["symbols"], len(status["streams"])) == ("", symbols, 4)
    for symbol in symbols:
        ids = [int(point.data["trade_id"]) for point in points if point.symbol == symbol]
        assert ids == list(range(ids[0], ids[-1] + 1))


async def test_balances_need_a_key_and_a_missing_one_is_named(exchange: Simulator, folder: Path) -> None:
    points = list[DataPoint]()
    made = collector(exchange, DataType.BALANCE, custom_params={"credentials_directory": str(folder)})
    made.add_data_callback(DataType.BALANCE, points.append)
    with pytest.raises(StreamRefusedError, match="okx refuses account/balance: CredentialsMissing: no apiKey"):
        await made.start()
    for name in ("api-key", "secret-key", "passphrase"):
        head, _, tail = name.partition("-")
        (folder / f"{head}{tail.capitalize()}").write_text(f"simulator-{name}")
    async with running(made):
        await comes(lambda: {point.data["asset"] for point in points} == {"BTC", "ETH", "USDT"})
        assert {(point.symbol, point.data_type) for point in points} == {("account", DataType.BALANCE)}
        assert "simulator-" not in str(made.get_status())


async def test_a_record_reaches_its_callback_without_a_batch_pause(
    exchange: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    points, pauses = list[DataPoint](), list[float]()

    async def fill_batch(_: object, longest_s: float) -> None:
        pauses.append(longest_s)

    monkeypatch.setattr("market_collector.sinks.fanout._Writer._fill_batch", fill_batch)
    made = collector(exchange)
    made.add_data_callback(DataType.TRADE, points.append)
    async with running(made):
        await comes(lambda: len(points) > 30)
    assert pauses == []


async def test_callbacks_may_come_and_go_while_it_runs(exchange: Simulator) -> None:
    first, second = list[DataPoint](), list[DataPoint]()
    made = collector(exchange)
    async with running(made):
        made.add_data_callback(DataType.TRADE, first.append)
        await comes(lambda: first)
        made.add_data_callback(DataType.TRADE, second.append)
        assert made.remove_data_callback(DataType.TRADE, first.append)
        count = len(first)
        await comes(lambda: len(second) > 3)
        assert len(first) == count
    assert not made.remove_data_callback(DataType.TRADE, first.append)
    assert not made.remove_event_callback(print)


async def test_a_gap_is_an_event(exchange: Simulator) -> None:
    events = list[StreamEvent]()
    made = collector(exchange, DataType.TRADE, DataType.ORDERBOOK)
    made.add_event_callback(events.append)
    async with running(made):
        exchange.post("/faults/lose", {"channel": "books", "symbol": "BTC-USDT", "count": 1})
        await comes(lambda: "lost" in {event.kind for event in events})
        assert made.get_status()["gaps"]["detected"] >= 1
    gap = next(event for event in events if event.kind == "gap")
    assert gap.data["stream"] == "BTC-USDT/orderbook"


async def test_missing_trades_are_reported_and_backfilled(exchange: Simulator) -> None:
    points, events = list[DataPoint](), list[StreamEvent]()
    made = collector(exchange)
    made.add_data_callback(DataType.TRADE, points.append)
    made.add_event_callback(events.append)
    async with running(made):
        await comes(lambda: points)
        exchange.post("/faults/lose", {"channel": "trades-all", "symbol": "BTC-USDT", "count": 5})
        await comes(lambda: "repaired" in {event.kind for event in events})
        gaps = made.get_status()["gaps"]
    assert (gaps["detected"], gaps["repaired"], gaps["open"]) == (1, 1, 0)
    ids = [int(point.data["trade_id"]) for point in points]
    assert sorted(ids) == list(range(min(ids), max(ids) + 1))
    assert sum(point.data["backfilled"] for point in points) == gaps["missing_trades"] >= 5


async def test_the_next_start_backfills_with_a_state_directory(exchange: Simulator, folder: Path) -> None:
    points = list[DataPoint]()

    def made() -> ExchangeCollector:  # another object each time, as another process would have
        one = collector(exchange, custom_params={"state_directory": str(folder / "state")})
        one.add_data_callback(DataType.TRADE, points.append)
        return one

    async with running(made()):
        await comes(lambda: len(points) > 20)
    await asyncio.sleep(0.3)  # the market goes on
    async with running(made()) as second:
        await comes(lambda: second.get_status()["gaps"]["repaired"] == 1)
    ids = [int(point.data["trade_id"]) for point in points]
    assert sorted(ids) == list(range(min(ids), max(ids) + 1))
    assert any(point.data["backfilled"] for point in points)


async def test_raw_frames_and_records_are_stored_in_files(exchange: Simulator, folder: Path) -> None:
    points = list[DataPoint]()
    made = collector(exchange, store_raw_data=True)
    made.add_data_callback(DataType.TRADE, points.append)
    async with running(made):
        await comes(lambda: len(points) > 3)
    records = stored_in(folder / "records")
    assert {"raw", "trade"} <= {record["type"] for record in records}
    stored = [record for record in records if record["type"] == "trade"]
    assert stored == [point.data for point in points]


async def test_with_debug_its_log_has_a_file_of_its_own(
    exchange: Simulator, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    package = logging.getLogger("market_collector")
    monkeypatch.setattr(package, "level", package.level)
    async with running(collector(exchange, health_check_interval=1)):
        file = folder / "logs" / "okx_collector_btc_usdt_debug.log"
        await comes(lambda: "Counters(messages=" in file.read_text())
    text = file.read_text()
    assert "connection: connected, 1 streams" in text
    assert "ping_interval_s=20.0" in text
    assert "Connected(exchange='okx'" in text
    assert "okx_btc_usdt: stopped" in text


# -- questions


async def test_status_and_health_tell_of_each_step(exchange: Simulator) -> None:
    made = collector(exchange)
    assert (made.get_status()["state"], made.get_status()["websocket_state"]) == ("stopped", "stopped")
    assert made.get_health_status()["issues"] == ["stopped"]
    async with running(made):
        await comes(lambda: made.get_status()["messages_processed"] > 10)
        status = made.get_status()
        assert (status["exchange"], status["symbol"], status["data_types"]) == ("okx", "BTC-USDT", ["trade"])
        assert (status["state"], status["websocket_state"], status["health"]) == ("running", "connected", "Healthy")
        assert set(status["websocket_stats"]) == {"reconnections", "pings_sent", "pongs_received"}
        assert made.get_health_status()["is_healthy"]
        json.dumps(status)
    status = made.get_status()
    assert (status["state"], status["websocket_state"]) == ("stopped", "stopped")
    assert status["messages_processed"] > 10
    assert not made.get_health_status()["is_healthy"]


async def test_reconnects_pings_and_pongs_are_counted() -> None:
    with simulator(*MARKET[:-3], "0.01", *MARKET[-2:]) as exchange:
        made = collector(exchange, custom_params={"ping_interval": 1.0})
        async with running(made):
            await comes(lambda: made.get_status()["websocket_stats"]["pongs_received"] > 0)
            exchange.post("/faults/drop", {})
            await comes(lambda: made.get_status()["websocket_stats"]["reconnections"] == 1)
            stats = made.get_status()["websocket_stats"]
            assert stats["pings_sent"] >= stats["pongs_received"] >= 1


async def test_a_failing_callback_degrades_the_health_and_nothing_else(exchange: Simulator) -> None:
    points = list[DataPoint]()
    made = collector(exchange)

    def broken(point: DataPoint) -> None:
        raise KeyError("px")

    made.add_data_callback(DataType.TRADE, broken)
    made.add_data_callback(DataType.TRADE, points.append)
    async with running(made):
        await comes(lambda: len(points) > 5)
        health = made.get_health_status()
        rows = {row["callback"]: row for row in made.get_status()["callbacks"]}
    assert (health["health"], health["is_healthy"]) == ("Degraded", False)
    assert "KeyError: 'px'" in health["issues"][0]
    (name,) = [name for name in rows if name.endswith("broken")]
    assert rows[name]["failures"] == rows[name]["calls"] > 5
    assert rows["list.append"]["failures"] == 0


# -- a start that cannot succeed


async def test_a_symbol_that_the_exchange_does_not_know_is_named(exchange: Simulator) -> None:
    made = collector(exchange, DataType.TRADE, DataType.TICKER, symbol="NO-SUCH")
    with pytest.raises(StreamRefusedError, match=r"okx refuses NO-SUCH/trade: SymbolNotFound: .*60018") as raised:
        await made.start()
    assert raised.value.reason == "SymbolNotFound"
    assert (made.state, made.get_status()["error"]) == ("failed", str(raised.value))
    await made.stop()


async def test_a_refused_connection_ends_the_start_after_the_attempts(exchange: Simulator) -> None:
    params = {"websocket_endpoint": f"ws://{new_address()}", "max_reconnect_attempts": 3}
    made = collector(exchange, custom_params=params)
    with pytest.raises(
        ConnectionFailedError, match=r"connection gave up after 3 attempts: .*Connection refused.*max_reconnect"
    ):
        await made.start()
    assert made.state == "failed"


class NewestCandles:
    """Polls that only confirm that the exchange answers."""

    def request(self, stream: Stream) -> Request:
        return EXCHANGES["okx"].rest_api.newest(stream)

    def read(self, stream: Stream, body: bytes, receive_time_ns: int) -> Batch:
        return Batch(stream, [])


async def test_start_waits_for_polled_streams(exchange: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    okx = EXCHANGES["okx"]
    monkeypatch.setattr(okx, "routes", {**okx.routes, "business": Route(polled_every_s=0.1)}, raising=False)
    monkeypatch.setattr(okx, "polls", NewestCandles(), raising=False)
    unanswered = {"rest_endpoint": f"http://{new_address()}", "start_timeout": 0.5}
    with pytest.raises(
        ConnectionFailedError, match=r"public connection: connected, business poll: connecting .*refused"
    ):
        await collector(exchange, DataType.TICKER, DataType.CANDLE, custom_params=unanswered).start()
    async with running(collector(exchange, DataType.TICKER, DataType.CANDLE)) as made:
        assert {row["state"] for row in made.get_status()["connections"]} == {"connected"}


async def test_an_exchange_that_never_answers_ends_the_start_at_its_deadline(exchange: Simulator) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        made = collector(exchange, custom_params={"websocket_endpoint": address, "start_timeout": 0.3})
        with pytest.raises(ConnectionFailedError, match=r"not connected within start_timeout, 0\.3 s: .*connecting"):
            await made.start()
    assert made.get_health_status()["issues"] == [f"failed: {made.get_status()['error']}"]


async def test_after_a_failed_start_it_can_be_started_again(exchange: Simulator) -> None:
    exchange.post("/faults/refuse", {"seconds": 60, "status": 503})
    made = collector(exchange, custom_params={"max_reconnect_attempts": 2})
    try:
        with pytest.raises(ConnectionFailedError, match="503"):
            await made.start()
    finally:
        exchange.clear_faults()
    async with running(made):
        assert made.get_status()["error"] == ""


async def test_without_auto_restart_it_stays_down_and_says_so() -> None:
    with simulator(*MARKET) as exchange:
        made = collector(exchange, auto_restart=False, custom_params={"max_reconnect_attempts": 2})
        async with running(made):
            exchange.post("/faults/refuse", {"seconds": 60, "status": 503})
            exchange.post("/faults/drop", {})
            await comes(lambda: made.get_status()["websocket_state"] == "stopped")
            assert "gave up after 2 attempts" in made.get_status()["connections"][0]["reason"]


def test_a_wrong_file_is_found_when_the_collector_is_made() -> None:
    Path("config").mkdir()
    Path("config/okx_config.json").write_text('{"stale": 3}')
    with pytest.raises(InputError, match=r"config/okx_config\.json:1: stale: unknown field. Did you mean stale_after"):
        ExchangeCollector(ExchangeCollectorConfig("okx", "BTC-USDT", ["trade"]))


# -- any order


async def test_started_twice_it_runs_once(exchange: Simulator) -> None:
    made = collector(exchange)
    assert all(await asyncio.gather(made.start(), made.start()))
    assert await made.start()
    assert sum(task.get_name() == f"collector {made.name}" for task in asyncio.all_tasks()) == 1
    await asyncio.gather(made.stop(), made.stop())
    await made.stop()


async def test_start_changes_nothing_while_it_runs_or_reconnects() -> None:
    with simulator(*MARKET) as exchange:
        # The exchange refuses for longer than a start waits, so that a second wait would fail.
        made = collector(exchange, custom_params={"start_timeout": 3.0})
        async with running(made):
            exchange.post("/faults/refuse", {"seconds": 4, "status": 503})
            exchange.post("/faults/drop", {})
            await comes(lambda: made.get_status()["websocket_state"] != "connected")
            assert await made.start()
            await comes(lambda: made.get_status()["websocket_state"] == "connected")


async def test_a_start_during_a_stop_waits_for_it_and_starts_again(exchange: Simulator) -> None:
    made = collector(exchange)
    await made.start()
    stopping = asyncio.create_task(made.stop())
    await asyncio.sleep(0)
    assert await made.start()
    await stopping
    assert made.state == "running"
    await made.stop()


async def test_a_stop_during_a_start_ends_it_with_an_error(exchange: Simulator) -> None:
    made = collector(exchange)
    starting = asyncio.create_task(made.start())
    await asyncio.sleep(0)
    await made.stop()
    with pytest.raises(ConnectionFailedError, match="stopped before it was connected"):
        await starting
    assert (made.state, made.get_status()["error"]) == ("stopped", "")


async def test_a_start_that_is_cancelled_leaves_nothing(exchange: Simulator) -> None:
    made = collector(exchange)
    starting = asyncio.create_task(made.start())
    await asyncio.sleep(0.001)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert made.state == "stopped"


async def test_a_callback_may_stop_its_own_collector(exchange: Simulator) -> None:
    made = collector(exchange)
    after = list[str]()

    async def on_trade(point: DataPoint) -> None:
        await made.stop()
        after.append(made.state)

    await made.start()
    made.add_data_callback(DataType.TRADE, on_trade)
    async with asyncio.timeout(callbacks.CLOSE_S - 1):  # it is not waited for until it is cancelled
        await made.wait_until_stopped()
    assert after[0] == "stopping"
    assert made.state == "stopped"


async def test_a_callback_may_stop_its_collector_before_the_start_returns(exchange: Simulator) -> None:
    made, points = collector(exchange), list[DataPoint]()

    async def on_trade(point: DataPoint) -> None:
        points.append(point)
        await made.stop()

    made.add_data_callback(DataType.TRADE, on_trade)
    assert await made.start()
    await made.wait_until_stopped()
    assert points
    assert (made.state, made.get_status()["error"]) == ("stopped", "")


async def test_a_start_in_the_callback_that_stops_says_how_to_restart(exchange: Simulator) -> None:
    made = collector(exchange)

    async def on_trade(point: DataPoint) -> None:
        await made.stop()
        await made.start()

    made.add_data_callback(DataType.TRADE, on_trade)
    await made.start()
    await made.wait_until_stopped()
    stopped, failing = made.get_health_status()["issues"]
    assert stopped == "stopped"
    assert "start() in a callback cannot wait for the stop" in failing
    assert "asyncio.create_task(collector.start())" in failing


async def test_a_callback_may_restart_its_collector_in_a_new_task(exchange: Simulator) -> None:
    made, points, starts = collector(exchange), list[DataPoint](), list[asyncio.Task[bool]]()

    async def on_trade(point: DataPoint) -> None:
        points.append(point)
        if not starts:
            await made.stop()
            starts.append(asyncio.create_task(made.start()))

    made.add_data_callback(DataType.TRADE, on_trade)
    await made.start()
    await comes(lambda: starts)
    assert await starts[0]
    count = len(points)
    await comes(lambda: len(points) > count)
    assert made.state == "running"
    await made.stop()


STEPS = st.lists(
    st.sampled_from(["start", "stop", "cancelled start", "ask", "pause", "drop", "stream"]), min_size=1, max_size=8
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, together=st.booleans())
def test_calls_in_any_order_or_at_once_leave_nothing(exchange: Simulator, steps: list[str], together: bool) -> None:
    async def story() -> None:
        made = collector(exchange)  # one connection: a process may open three a second
        made.add_data_callback(DataType.TRADE, lambda point: asyncio.sleep(0))
        tasks = list[asyncio.Task[None]]()
        for step in steps:
            tasks.append(asyncio.create_task(take(exchange, made, step)))
            if not together:
                await tasks[-1]
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        await made.stop()
        assert made.state == "stopped"
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(story())


async def take(exchange: Simulator, made: ExchangeCollector, step: str) -> None:
    """One step; a start may end with the stop that came between."""
    match step:
        case "start":
            with suppress(ConnectionFailedError):  # stopped before it was connected
                await made.start()
        case "cancelled start":
            starting = asyncio.create_task(take(exchange, made, "start"))
            await asyncio.sleep(0.005)
            starting.cancel()
            await asyncio.wait([starting])
        case "stop":
            await made.stop()
        case "ask":
            made.ask_to_stop()
        case "stream":
            with suppress(ConfigurationError, TimeoutError):  # it does not run; nothing has come
                async with asyncio.timeout(0.05):
                    async for _ in made.stream():
                        break
        case "drop":
            await asyncio.to_thread(exchange.post, "/faults/drop", {})
        case "pause":
            await asyncio.sleep(0.02)
